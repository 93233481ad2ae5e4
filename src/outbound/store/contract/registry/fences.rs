//! What keeps an identity from going where it does not belong, though keys, formats or files change.
use super::{
    Whole, active, alice, all_rows, author, change, first_sight, held, imported, key, link, retire,
    seen, settled, show, sight, signing_in, staged, subject_row, unlink, waiting_row, whats,
};
use crate::{
    domain::identity::ChatIdentity,
    outbound::store::contract::{identity, pin, subject},
    ports::{
        registry::{Change, ClashKind, Edition, ImportError, Rekey, Row, State},
        store::{BindError, Binding, FirstSight, Origin, Pin, PinError, StoreError},
    },
};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) async fn fences<S: Whole>(open: &impl Fn() -> Arc<S>) {
    p12_64_who_come_back_at_once_get_their_own(open()).await;
    p12_whoever_was_ended_stays_so_under_another_key(&*open(), false).await;
    p12_whoever_was_ended_stays_so_under_another_key(&*open(), true).await;
    p12_another_format_gives_nobody_an_identity(&*open()).await;
    p12_a_backup_guards_its_key(&*open(), &*open()).await;
    p12_an_unlinked_identity_goes_back_to_its_own_only(&*open()).await;
    an_import_tells_everybody(&*open()).await;
    whatever_changes_the_registry_makes_an_import_look_again(&open).await;
    every_link_and_every_adoption_is_in_the_history(&*open()).await;
    all_clashes_are_counted(&*open()).await;
}

pub(super) fn erase(identity: &ChatIdentity, first: u8) -> Change {
    Change::Erase { identity: identity.clone(), key: Box::new(key(first)) }
}

/// A first sight as a sidecar with another key makes it.
pub(super) fn sight_with(first: u8, id: &str) -> FirstSight {
    let (key, subject) = (key(first), subject("corp", id));
    let origin = Origin::Derived(key.fingerprint());
    FirstSight { origin, key: key.clone(), ..FirstSight::of(&subject, key.derive(&subject)) }
}

async fn p12_64_who_come_back_at_once_get_their_own<S: Whole>(store: Arc<S>) {
    let own = seen(&*store, "alice").await;
    for _ in 0..5 {
        change(&*store, unlink(&alice())).await.unwrap();
        let mut sights = JoinSet::new();
        for _ in 0..64 {
            let store = Arc::clone(&store);
            sights.spawn(async move { sight(&*store, &alice()).await.unwrap().binding });
        }
        assert!(sights.join_all().await.into_iter().all(|binding| binding == active(&own)));
    }
}

async fn p12_whoever_was_ended_stays_so_under_another_key<S: Whole>(store: &S, keep: bool) {
    store.pin(&pin("63458b39")).await.unwrap();
    let (erased, ended) = (seen(store, "erased").await, seen(store, "ended").await);
    seen(store, "alice").await;
    change(store, erase(&erased, 0)).await.unwrap();
    change(store, retire(&ended)).await.unwrap();
    change(store, unlink(&subject("corp", "ended"))).await.unwrap();
    for (old, new) in [(0, 1), (1, 2)] {
        let rekey =
            Rekey { old: key(old), new: Some(key(new)), formats: vec![], keep, dry_run: false };
        store.rekey(&rekey, &author("stolen")).await.unwrap();
        for id in ["erased", "ended"] {
            let given = store.bind(&sight_with(new, id)).await.unwrap();
            assert_eq!(given.binding, Binding::Retired, "{id} under key {new}");
        }
        // One whose format makes another is known as well, also to a sidecar that still has the old key.
        for known in [old, new] {
            let named = FirstSight {
                origin: Origin::Named,
                identity: identity("emp-1"),
                ..sight_with(known, "erased")
            };
            match store.bind(&named).await {
                Ok(given) => assert_eq!((given.binding, known), (Binding::Retired, new)),
                Err(BindError::Store(StoreError::Rekeyed(_))) => assert_eq!(known, old),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    // Erasures go on under the new key.
    let late = store.bind(&sight_with(2, "late")).await.unwrap().binding;
    let Binding::Active(late) = late else { panic!("{late:?}") };
    change(store, erase(&late, 2)).await.unwrap();
    assert_eq!(store.bind(&sight_with(2, "late")).await.unwrap().binding, Binding::Retired);
}

async fn p12_another_format_gives_nobody_an_identity<S: Whole>(store: &S) {
    let formats = |line: &str| Pin {
        formats: vec![("corp".parse().unwrap(), line.into())],
        ..pin("63458b39")
    };
    store.pin(&formats("opaque")).await.unwrap();
    seen(store, "alice").await;
    let refused = store.pin(&formats("opaque of 2 claims")).await;
    assert!(matches!(refused, Err(PinError::OtherFormat { .. })), "{refused:?}");
    let named = |line: &str| FirstSight {
        origin: Origin::Named,
        identity: identity("emp-1"),
        format: line.into(),
        ..first_sight(&subject("corp", "bob"))
    };
    let other = store.bind(&named("claim nr")).await;
    assert!(matches!(other, Err(BindError::Store(StoreError::Reformatted))), "{other:?}");
    // An operator said so.
    let rekey = Rekey {
        old: key(0),
        new: None,
        formats: formats("claim nr").formats,
        keep: false,
        dry_run: false,
    };
    store.rekey(&rekey, &author("why")).await.unwrap();
    let late = sight(store, &subject("corp", "late")).await;
    assert!(matches!(late, Err(BindError::Store(StoreError::Reformatted))), "{late:?}");
    assert_eq!(sight(store, &alice()).await.unwrap().binding, active(&key(0).derive(&alice())));
    assert_eq!(store.bind(&named("claim nr")).await.unwrap().binding, active(&identity("emp-1")));
}

async fn p12_a_backup_guards_its_key<S: Whole>(store: &S, empty: &S) {
    let own = seen(store, "alice").await;
    let mut rows = all_rows(store).await;
    rows[0].derived_with = Some(key(0).fingerprint());
    assert_eq!(imported(empty, &rows, true).await, Ok(1));
    let refused = empty.pin(&pin(&key(1).fingerprint().to_string())).await;
    assert!(matches!(refused, Err(PinError::OtherKey(_))), "{refused:?}");
    empty.pin(&pin("63458b39")).await.unwrap();
    let rekey =
        Rekey { old: key(0), new: Some(key(1)), formats: vec![], keep: false, dry_run: false };
    assert_eq!(empty.rekey(&rekey, &author("why")).await.unwrap().changed, 1);
    assert_eq!(held(empty, &alice()).await, Some(active(&key(1).derive(&alice()))));
    assert_eq!(show(empty, &own).await.state, State::Retired);
}

async fn p12_an_unlinked_identity_goes_back_to_its_own_only<S: Whole>(store: &S) {
    let rows = [subject_row("alice", "old-a")];
    imported(store, &rows, false).await.unwrap();
    change(store, unlink(&alice())).await.unwrap();
    let mallory = [subject_row("mallory", "old-a")];
    assert_eq!(imported(store, &mallory, false).await, Err(vec![(2, ClashKind::Shared)]));
    assert_eq!(imported(store, &rows, false).await, Ok(1));
    assert_eq!(held(store, &alice()).await, Some(active(&identity("old-a"))));
    change(store, unlink(&alice())).await.unwrap();
    // An operator may say otherwise.
    assert_eq!(imported(store, &mallory, true).await, Ok(1));
    // One that somebody else had is not its namesake's either.
    let carol = subject("corp", "carol");
    let hers = key(0).derive(&carol);
    imported(store, &[subject_row("bob", hers.as_str())], true).await.unwrap();
    change(store, unlink(&subject("corp", "bob"))).await.unwrap();
    assert!(matches!(sight(store, &carol).await, Err(BindError::Taken)));
    // Erased after it was unlinked, it is still known as what was hers.
    change(store, erase(&hers, 0)).await.unwrap();
    assert_eq!(sight(store, &carol).await.unwrap().binding, Binding::Retired);
}

/// A subject without a row may be remembered as ended.
async fn an_import_tells_everybody<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    change(store, erase(&own, 0)).await.unwrap();
    let before = store.changes(Edition(0)).await.unwrap().edition;
    imported(store, &[subject_row("alice", "new-a")], false).await.unwrap();
    let after = store.changes(before).await.unwrap();
    assert!(after.edition > before);
    assert_eq!(after.subjects, None);
    assert_eq!(sight(store, &alice()).await.unwrap().binding, active(&identity("new-a")));
}

async fn whatever_changes_the_registry_makes_an_import_look_again<S: Whole>(
    open: &impl Fn() -> Arc<S>,
) {
    for turn in 0..5 {
        let store = &*open();
        let own = seen(store, "alice").await;
        imported(store, &[waiting_row("b@x", "old-b")], false).await.unwrap();
        let import = staged(store, &[subject_row("carol", "old-c")]).await;
        store.verify(import, false).await.unwrap();
        let is_overtaken = match turn {
            0 => change(store, link(&own, &subject("corp", "carol"))).await.is_ok(),
            1 => change(store, unlink(&alice())).await.is_ok(),
            2 => {
                let rekey =
                    Rekey { old: key(0), new: None, formats: vec![], keep: true, dry_run: false };
                store.rekey(&rekey, &author("why")).await.is_ok()
            }
            // Whom the file does not name: nothing changes for it.
            3 => store.bind(&signing_in("bob", "b@x", true)).await.is_err(),
            _ => store.bind(&signing_in("carol", "b@x", true)).await.is_ok(),
        };
        let applied = store.apply(import, &author("users.csv")).await;
        assert_eq!(matches!(applied, Err(ImportError::Overtaken)), is_overtaken, "{turn}");
        if is_overtaken {
            // Compared again it is as if it had just begun.
            store.verify(import, false).await.unwrap();
            store.apply(import, &author("users.csv")).await.unwrap();
        }
        settled(store).await;
    }
}

async fn every_link_and_every_adoption_is_in_the_history<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    imported(store, &[subject_row("al", own.as_str())], true).await.unwrap();
    let record = show(store, &own).await;
    assert_eq!(whats(&record), ["import corp al"]);
    assert_eq!(&*record.history[0].why, "users.csv");
    imported(store, &[subject_row("al", own.as_str())], true).await.unwrap();
    assert_eq!(show(store, &own).await.history.len(), 1);
    // Two that wait for one identity, taken one after the other.
    let both = [waiting_row("a@x", "old"), waiting_row("b@x", "old")];
    imported(store, &both, true).await.unwrap();
    for (id, value) in [("a", "a@x"), ("b", "b@x")] {
        assert!(store.bind(&signing_in(id, value, true)).await.unwrap().adopted, "{id}");
    }
    let record = show(store, &identity("old")).await;
    assert_eq!(whats(&record), ["import", "adopt corp a", "adopt corp b"]);
    // An erasure leaves neither name, and loses no event.
    change(store, erase(&identity("old"), 0)).await.unwrap();
    let text = format!("{:?}", show(store, &identity("old")).await.history);
    assert_eq!((text.matches("adopt erased").count(), text.contains("corp")), (2, false), "{text}");
}

async fn all_clashes_are_counted<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    let rows: Vec<Row> = (0..1500).map(|n| subject_row(&n.to_string(), own.as_str())).collect();
    let import = store.begin_import(&author("users.csv")).await.unwrap();
    for part in (2..).zip(rows).collect::<Vec<_>>().chunks(1000) {
        store.stage(import, part).await.unwrap();
    }
    let verified = store.verify(import, false).await.unwrap();
    assert_eq!((verified.clashes.len(), verified.clashes_total), (1000, 1500));
    // Letter case is a conflict whatever is allowed.
    store.abandon(import).await.unwrap();
    settled(store).await;
    let cases = [waiting_row("a", "k"), waiting_row("A", "l")];
    assert_eq!(imported(store, &cases, true).await, Err(vec![(3, ClashKind::LetterCase)]));
}
