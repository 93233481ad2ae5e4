//! What a first sight would come to, asked beforehand.
use super::{
    Whole, all_rows, author, change,
    fences::{erase, sight_with},
    first_sight, imported, link, retire, row, seen, signing_in, staged, subject_row, unlink,
    waiting_row,
};
use crate::{
    outbound::store::contract::{identity, pin, subject},
    ports::{
        registry::{ImportError, ImportId, Owner},
        store::{BindError, FirstSight, Given, Origin},
    },
};
use std::collections::BTreeSet;

/// An answer, so that two can be compared.
fn told(answer: &Result<Given, BindError>) -> String {
    format!("{answer:?}")
}

pub(super) async fn what_is_foreseen_comes_to_be<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    let import = a_registry_of_all_kinds(store).await;
    let named = |id: &str, text: &str| FirstSight {
        origin: Origin::Named,
        identity: identity(text),
        ..first_sight(&subject("corp", id))
    };
    let mut sights: Vec<FirstSight> =
        ["alice", "erased", "ended", "back", "lent", "new", "pending", "gone"]
            .map(|id| first_sight(&subject("corp", id)))
            .into();
    for (id, text) in
        [("n1", own.as_str()), ("n2", "old-a"), ("n3", "old-n"), ("n4", "old-p"), ("n5", "emp-5")]
    {
        sights.push(named(id, text));
    }
    for (id, value, verified) in [
        ("s1", "a@x", false),
        ("s2", "A@x", true),
        ("s3", "a@x", true),
        ("s4", "c@x", true),
        ("s5", "e@x", true),
        ("s6", "d@x", false),
        ("s7", "d@x", true),
        ("s8", "f@x", true),
    ] {
        sights.push(signing_in(id, value, verified));
    }
    sights.push(sight_with(1, "late"));
    sights.push(FirstSight { format: "claim nr".into(), ..first_sight(&subject("corp", "f")) });
    let mut kinds = BTreeSet::new();
    for sight in &sights {
        let before = all_rows(store).await;
        let foreseen = told(&store.foresee(sight).await);
        assert_eq!(told(&store.foresee(sight).await), foreseen);
        assert_eq!(all_rows(store).await, before, "{sight:?}");
        assert_eq!(told(&store.bind(sight).await), foreseen, "{sight:?}");
        kinds.insert(foreseen.chars().take(24).collect::<String>());
    }
    assert!(kinds.len() >= 5, "{kinds:?}");
    assert!(matches!(store.begin_import(&author("b")).await, Err(ImportError::Busy)), "{import:?}");
}

/// Of which an import holds and no row was moved yet.
async fn a_registry_of_all_kinds<S: Whole>(store: &S) -> ImportId {
    store.pin(&pin("63458b39")).await.unwrap();
    change(store, erase(&seen(store, "erased").await, 0)).await.unwrap();
    let ended = seen(store, "ended").await;
    change(store, retire(&ended)).await.unwrap();
    let lent = seen(store, "lent").await;
    seen(store, "back").await;
    for id in ["ended", "back", "lent"] {
        change(store, unlink(&subject("corp", id))).await.unwrap();
    }
    change(store, link(&lent, &subject("other", "x"))).await.unwrap();
    let waiting = [("a@x", "old-a"), ("b@x", "old-b"), ("c@x", "old-c")]
        .map(|(value, identity)| waiting_row(value, identity));
    imported(store, &waiting, false).await.unwrap();
    change(store, retire(&identity("old-c"))).await.unwrap();
    let rows = [
        subject_row("pending", "old-p"),
        row(Owner::Subject("corp".into(), "gone".into()), &identity("old-g"), true),
        row(Owner::Nobody, &identity("old-n"), true),
        waiting_row("d@x", "old-d"),
        waiting_row("E@x", "old-e"),
    ];
    let import = staged(store, &rows).await;
    store.verify(import, true).await.unwrap();
    store.apply(import, &author("users.csv")).await.unwrap();
    import
}
