//! What is read a page at a time, and what a store in memory refuses.
use super::{Whole, active, alice, author, change, held, link, retire, seen, show, sight, unlink};
use crate::{
    outbound::store::contract::{identity, subject},
    ports::{
        registry::{ChangeError, Filter, ImportError, Row, State},
        store::{FirstSight, Origin},
    },
};

pub(super) async fn pages_are_whole_while_rows_are_added<S: Whole>(store: &S) {
    let named = |text: &str| FirstSight {
        origin: Origin::Named,
        ..FirstSight::of(&subject("corp", text), identity(text))
    };
    for n in 0..20 {
        store.bind(&named(&format!("n-{n:02}"))).await.unwrap();
    }
    let (mut after, mut listed) = (None, Vec::new());
    for round in 0.. {
        let filter = Filter { after, ..Filter::default() };
        let page = store.list(&filter, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.identity.clone());
        listed.extend(page.iter().map(|record| record.identity.as_str().to_owned()));
        // One before and one behind what was read.
        store.bind(&named(&format!("m-{round}"))).await.unwrap();
        if round < 2 {
            store.bind(&named(&format!("z-{round}"))).await.unwrap();
        }
    }
    let wanted: Vec<String> =
        (0..20).map(|n| format!("n-{n:02}")).chain(["z-0".into(), "z-1".into()]).collect();
    assert_eq!(listed, wanted);
    change(store, retire(&identity("n-03"))).await.unwrap();
    change(store, unlink(&subject("corp", "n-04"))).await.unwrap();
    for (state, wanted) in [(State::Retired, "n-03"), (State::Unlinked, "n-04")] {
        let filter = Filter { state: Some(state), ..Filter::default() };
        let found = store.list(&filter, 100).await.unwrap();
        assert_eq!(found.iter().map(|r| r.identity.as_str()).collect::<Vec<_>>(), [wanted]);
    }
    let nowhere = Filter { namespace: Some("nowhere".parse().unwrap()), ..Filter::default() };
    assert_eq!(store.list(&nowhere, 100).await.unwrap(), []);
}

pub(super) async fn files_are_in_byte_order_whatever_the_script<S: Whole>(store: &S) {
    let names = ["Zoë-李", "zoe\u{308}", "zo\u{eb}", "Å", "a", "B", "a ", "😀", "\u{ffff}", "~"];
    for name in names {
        seen(store, name).await;
        sight(store, &subject("corp é", name)).await.unwrap();
    }
    let mut wanted: Vec<(&str, &str)> =
        names.iter().flat_map(|name| [("corp", *name), ("corp é", *name)]).collect();
    wanted.sort_by_key(|(namespace, name)| (namespace.as_bytes(), name.as_bytes()));
    let rows = all_rows(store).await;
    let order: Vec<(&str, &str)> = rows.iter().map(|row| (row.order().0, row.order().1)).collect();
    assert_eq!(order, wanted);
}

pub(in crate::outbound::store::contract) async fn all_rows<S: Whole>(store: &S) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let page = store.rows(rows.last(), 3).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

pub(super) async fn what_forgets_refuses_what_must_never_be_undone<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    for wanted in [link(&own, &subject("corp", "bob")), unlink(&alice()), retire(&own)] {
        assert!(matches!(change(store, wanted).await, Err(ChangeError::NotDurable)));
    }
    let begun = store.begin_import(&author("file")).await;
    assert!(matches!(begun, Err(ImportError::NotDurable)));
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    assert_eq!(show(store, &own).await.state, State::Active);
}
