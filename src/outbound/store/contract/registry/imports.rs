//! Files that hold whole or not at all.
use super::{
    Whole, active, alice, all_rows, author, change, held, key, link, retire, seen, show, sight,
    signing_in, unlink, whats,
};
use crate::{
    domain::{identity::ChatIdentity, time::Timestamp},
    outbound::store::contract::{clock, identity, longest_id, subject},
    ports::{
        registry::{Change, ClashKind, Filter, ImportError, ImportId, Owner, Row},
        store::{BindError, Binding, FirstSight, Origin},
    },
};
use std::sync::Arc;

pub(super) fn row(owner: Owner, identity: &ChatIdentity, is_retired: bool) -> Row {
    Row { owner, identity: identity.clone(), is_retired, derived_with: None }
}

pub(in crate::outbound::store::contract) fn subject_row(id: &str, text: &str) -> Row {
    let identity = ChatIdentity::imported(text).unwrap();
    row(Owner::Subject("corp".into(), id.into()), &identity, false)
}

pub(in crate::outbound::store::contract) fn waiting_row(value: &str, text: &str) -> Row {
    row(Owner::Waiting("corp".into(), value.into()), &identity(text), false)
}

pub(in crate::outbound::store::contract) async fn staged<S: Whole>(
    store: &S,
    rows: &[Row],
) -> ImportId {
    let import = store.begin_import(&author("users.csv")).await.unwrap();
    let lines: Vec<_> = (2..).zip(rows.iter().cloned()).collect();
    store.stage(import, &lines).await.unwrap();
    import
}

pub(in crate::outbound::store::contract) async fn settled<S: Whole>(store: &S) {
    while store.settle(clock().now(), 3).await.unwrap() {}
}

/// All of it; clashes by line, and nothing, or none and what is new.
pub(in crate::outbound::store::contract) async fn imported<S: Whole>(
    store: &S,
    rows: &[Row],
    allow_links: bool,
) -> Result<u64, Vec<(u64, ClashKind)>> {
    let import = staged(store, rows).await;
    let verified = store.verify(import, allow_links).await.unwrap();
    if !verified.clashes.is_empty() {
        store.abandon(import).await.unwrap();
        settled(store).await;
        return Err(verified.clashes.iter().map(|clash| (clash.line, clash.why)).collect());
    }
    store.apply(import, &author("users.csv")).await.unwrap();
    settled(store).await;
    Ok(verified.fresh)
}

pub(super) async fn imports<S: Whole>(open: &impl Fn() -> Arc<S>) {
    an_import_holds_whole_or_not_at_all(&*open()).await;
    an_import_that_holds_is_seen_before_its_rows_are_moved(&*open()).await;
    a_record_is_the_same_before_and_after_its_rows_are_moved(&*open()).await;
    a_first_sight_during_an_import_makes_it_look_again(&*open()).await;
    every_clash_is_told_by_its_line(&*open()).await;
    what_was_exported_imports_to_the_same(&*open(), &*open()).await;
    what_was_retired_while_it_waited_is_given_to_nobody(&*open()).await;
    an_import_whose_process_is_gone_is_cleared_away(&*open()).await;
}

async fn an_import_holds_whole_or_not_at_all<S: Whole>(store: &S) {
    let mut rows: Vec<Row> =
        (0..249).map(|n| subject_row(&format!("s{n}"), &format!("old {n}"))).collect();
    rows.push(subject_row(&longest_id(), "old and long"));
    let import = staged(store, &rows).await;
    assert!(matches!(store.begin_import(&author("b")).await, Err(ImportError::Busy)));
    assert_eq!(held(store, &subject("corp", "s1")).await, None);
    assert_eq!(store.list(&Filter::default(), 10).await.unwrap(), []);
    store.abandon(import).await.unwrap();
    settled(store).await;
    assert_eq!(store.list(&Filter::default(), 10).await.unwrap(), []);
    assert!(matches!(store.apply(import, &author("late")).await, Err(ImportError::Gone)));
    assert_eq!(imported(store, &rows, false).await, Ok(250));
    let old = ChatIdentity::imported("old 7").unwrap();
    assert_eq!(held(store, &subject("corp", "s7")).await, Some(active(&old)));
    assert_eq!(whats(&show(store, &old).await), ["import"]);
    // A second run changes nothing.
    let before = all_rows(store).await;
    assert_eq!(imported(store, &rows, false).await, Ok(0));
    assert_eq!(all_rows(store).await, before);
    assert_eq!(whats(&show(store, &old).await), ["import"]);
}

async fn an_import_that_holds_is_seen_before_its_rows_are_moved<S: Whole>(store: &S) {
    let rows: Vec<Row> =
        (0..9).map(|n| subject_row(&format!("s{n}"), &format!("old-{n}"))).collect();
    let import = staged(store, &rows).await;
    store.verify(import, false).await.unwrap();
    store.apply(import, &author("users.csv")).await.unwrap();
    let last = subject("corp", "s8");
    let holders = store.holders(std::slice::from_ref(&last)).await.unwrap();
    assert_eq!(holders[0].as_ref().map(|held| held.identity.as_str()), Some("old-8"));
    let early = show(store, &identity("old-7")).await;
    assert_eq!(sight(store, &last).await.unwrap().binding, active(&identity("old-8")));
    // Nobody takes what the file gives to another.
    let thief = FirstSight {
        origin: Origin::Named,
        ..FirstSight::of(&subject("corp", "thief"), identity("old-7"))
    };
    assert!(matches!(store.bind(&thief).await, Err(BindError::Taken)));
    settled(store).await;
    assert_eq!(all_rows(store).await, rows);
    assert_eq!(show(store, &identity("old-7")).await, early);
}

/// Of identities that were there, that come anew, that wait, and that are nobody's.
async fn a_record_is_the_same_before_and_after_its_rows_are_moved<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    let spare = seen(store, "bob").await;
    change(store, unlink(&subject("corp", "bob"))).await.unwrap();
    let rows = [
        subject_row("alice", own.as_str()),
        subject_row("alias", own.as_str()),
        subject_row("bobby", spare.as_str()),
        subject_row("carol", "old-c"),
        subject_row("carl", "old-c"),
        waiting_row("dan@example.com", "old-d"),
        row(Owner::Nobody, &identity("old-e"), true),
        row(Owner::Nobody, &identity("old-f"), false),
    ];
    let import = staged(store, &rows).await;
    let names = ["old-c", "old-d", "old-e", "old-f"].map(identity);
    let all: Vec<_> = [own, spare].into_iter().chain(names).collect();
    for (known, name) in all.iter().enumerate() {
        let record = store.record(name).await.unwrap();
        assert_eq!(record.is_some(), known < 2, "{name:?} does not hold yet");
    }
    assert_eq!(store.verify(import, true).await.unwrap().clashes, []);
    store.apply(import, &author("users.csv")).await.unwrap();
    let mut early = Vec::new();
    for name in &all {
        early.push(show(store, name).await);
    }
    let names: Vec<_> =
        early[0].subjects.iter().map(|(subject, _)| subject.id().as_str()).collect();
    assert_eq!(names, ["alias", "alice"]);
    settled(store).await;
    for (name, early) in all.iter().zip(early) {
        assert_eq!(show(store, name).await, early);
    }
}

async fn a_first_sight_during_an_import_makes_it_look_again<S: Whole>(store: &S) {
    let rows = [subject_row("alice", "old-a"), subject_row("bob", "old-b")];
    let import = staged(store, &rows).await;
    assert_eq!(store.verify(import, false).await.unwrap().clashes, []);
    // Somebody who is not in the file does not matter.
    seen(store, "carol").await;
    let own = seen(store, "alice").await;
    let applied = store.apply(import, &author("users.csv")).await;
    assert!(matches!(applied, Err(ImportError::Overtaken)), "{applied:?}");
    let clashes = store.verify(import, false).await.unwrap().clashes;
    assert_eq!(
        clashes.iter().map(|c| (c.line, c.why)).collect::<Vec<_>>(),
        [(2, ClashKind::HasAnother)]
    );
    store.abandon(import).await.unwrap();
    settled(store).await;
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    assert_eq!(held(store, &subject("corp", "bob")).await, None);
}

async fn every_clash_is_told_by_its_line<S: Whole>(store: &S) {
    use ClashKind::{
        HasAnother, InUse, LetterCase, NotWaiting, Retired, Shared, TwiceInFile, Waits,
    };
    let own = seen(store, "alice").await;
    let gone = seen(store, "gone").await;
    change(store, retire(&gone)).await.unwrap();
    let waiting = [waiting_row("Carol@example.com", "old-c")];
    assert_eq!(imported(store, &waiting, false).await, Ok(1));
    for (rows, links, wanted) in [
        (vec![subject_row("x", "i"), subject_row("x", "j")], true, vec![(3, TwiceInFile)]),
        (vec![subject_row("alice", "i")], true, vec![(2, HasAnother)]),
        (vec![subject_row("x", "i"), subject_row("y", "i")], false, vec![(3, Shared)]),
        (vec![subject_row("x", own.as_str())], false, vec![(2, Shared)]),
        (vec![subject_row("x", gone.as_str())], true, vec![(2, Retired)]),
        (vec![row(Owner::Nobody, &own, true)], true, vec![(2, InUse)]),
        (vec![subject_row("x", "old-c")], true, vec![(2, Waits)]),
        (vec![waiting_row("v", own.as_str())], true, vec![(2, NotWaiting)]),
        (vec![waiting_row("carol@example.com", "k")], false, vec![(2, LetterCase)]),
        (vec![waiting_row("Carol@example.com", "k")], true, vec![(2, HasAnother)]),
        (vec![waiting_row("a", "k"), waiting_row("A", "l")], false, vec![(3, LetterCase)]),
    ] {
        assert_eq!(imported(store, &rows, links).await, Err(wanted), "{rows:?}");
    }
    // What was wrong of them brought nothing; with links allowed two may share.
    assert_eq!(store.record(&identity("i")).await.unwrap(), None);
    let shared = [subject_row("x", own.as_str()), subject_row("y", "i"), subject_row("z", "i")];
    assert_eq!(imported(store, &shared, true).await, Ok(3));
    assert_eq!(held(store, &subject("corp", "x")).await, Some(active(&own)));
}

async fn what_was_exported_imports_to_the_same<S: Whole>(store: &S, empty: &S) {
    let own = seen(store, "alice").await;
    seen(store, "李").await;
    change(store, link(&own, &subject("other", "al"))).await.unwrap();
    let bob = seen(store, "bob").await;
    change(store, retire(&bob)).await.unwrap();
    seen(store, "carol").await;
    change(store, unlink(&subject("corp", "carol"))).await.unwrap();
    let dan = seen(store, "dan").await;
    change(store, Change::Erase { identity: dan, key: Box::new(key(0)) }).await.unwrap();
    assert_eq!(
        imported(store, &[waiting_row("e@x", "old-e"), waiting_row("alice", "old-a")], false).await,
        Ok(2)
    );
    // One that was retired while it waited is there as both.
    change(store, retire(&identity("old-e"))).await.unwrap();
    let rows = all_rows(store).await;
    assert_eq!(rows.len(), 9);
    assert_eq!(imported(empty, &rows, true).await, Ok(9));
    assert_eq!(all_rows(empty).await, rows);
    assert_eq!(imported(empty, &rows, true).await, Ok(0));
    assert_eq!(held(empty, &subject("corp", "bob")).await, Some(Binding::Retired));
}

async fn what_was_retired_while_it_waited_is_given_to_nobody<S: Whole>(store: &S) {
    let (early, late) = (identity("old-a"), identity("old-b"));
    let rows = [
        row(Owner::Nobody, &early, true),
        row(Owner::Nobody, &late, true),
        waiting_row("a@x", "old-a"),
        waiting_row("b@x", "old-b"),
    ];
    let import = staged(store, &rows).await;
    assert_eq!(store.verify(import, false).await.unwrap().clashes, []);
    store.apply(import, &author("users.csv")).await.unwrap();
    // Before its rows are moved, and afterwards.
    for (id, value) in [("a", "a@x"), ("b", "b@x")] {
        let given = store.bind(&signing_in(id, value, true)).await.unwrap();
        assert_eq!(given.binding, Binding::Retired, "{id}");
        settled(store).await;
    }
}

async fn an_import_whose_process_is_gone_is_cleared_away<S: Whole>(store: &S) {
    let rows = [subject_row("alice", "old-a")];
    let import = staged(store, &rows).await;
    settled(store).await;
    assert!(matches!(store.begin_import(&author("b")).await, Err(ImportError::Busy)));
    let later = Timestamp(clock().now().0 + 600);
    while store.settle(later, 10).await.unwrap() {}
    assert!(matches!(store.stage(import, &[]).await, Err(ImportError::Gone)));
    assert_eq!(imported(store, &rows, false).await, Ok(1));
}
