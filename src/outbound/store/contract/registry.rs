//! What operators and the app may rely on, whatever the registry is kept in.
use super::{clock, identity, pin, subject};
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey},
        secret::Secret,
        subject::Subject,
        time::Timestamp,
    },
    ports::{
        registry::{
            Author, Change, ChangeError, Changed, ClashKind, Conflict, Edition, Filter,
            ImportError, ImportId, Owner, Record, Registry, Rekey, Rekeyed, Row, State,
        },
        store::{BindError, Binding, BindingStore, FirstSight, Given, Match, Origin, StoreError},
    },
    token::digest,
};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(crate) trait Whole: BindingStore + Registry + 'static {}
impl<S: BindingStore + Registry + 'static> Whole for S {}

/// Runs every statement against an empty store of its own.
pub(crate) async fn holds<S: Whole>(open: impl Fn() -> Arc<S>) {
    if !open().is_durable() {
        return what_forgets_refuses_what_must_never_be_undone(&*open()).await;
    }
    a_subject_may_be_linked_and_has_one_identity(&*open()).await;
    an_unlinked_subject_gets_its_own_back_and_nobody_else_does(&*open()).await;
    a_retired_identity_is_never_given_again(&*open()).await;
    a_subject_that_was_never_seen_may_be_retired(&*open()).await;
    an_erasure_leaves_digests_and_the_identity_reserved(&*open()).await;
    the_same_command_again_changes_nothing(&*open()).await;
    pages_are_whole_while_rows_are_added(&*open()).await;
    files_are_in_byte_order_whatever_the_script(&*open()).await;
    p12_64_writers_at_once_leave_one_truth(open()).await;
    changes_are_told_to_those_who_ask(&*open()).await;
    imports(&open).await;
    adoptions(&open).await;
    rekeys(&open).await;
}

pub(super) fn author(why: &str) -> Author {
    Author { who: "cli:ops".into(), why: why.into(), at: clock().now() }
}

pub(super) fn key(first: u8) -> IdentityKey {
    IdentityKey::new(&Secret::new((first..first + 64).collect::<Vec<u8>>())).unwrap()
}

pub(super) fn alice() -> Subject {
    subject("corp", "alice")
}

pub(super) async fn seen<S: Whole>(store: &S, id: &str) -> ChatIdentity {
    let subject = subject("corp", id);
    let given = sight(store, &subject).await.unwrap();
    assert!(matches!(given.binding, Binding::Active(_)), "{given:?}");
    key(0).derive(&subject)
}

/// A first sight as a sidecar with the key of the contract's vectors makes it.
pub(super) async fn sight<S: Whole>(store: &S, subject: &Subject) -> Result<Given, BindError> {
    store.bind(&first_sight(subject)).await
}

pub(super) fn first_sight(subject: &Subject) -> FirstSight {
    let key = key(0);
    FirstSight {
        erased: key.erased(&[subject.namespace().as_str(), subject.id().as_str()]).into(),
        at: clock().now(),
        ..FirstSight::of(subject, key.derive(subject))
    }
}

async fn change<S: Whole>(store: &S, change: Change) -> Result<Changed, ChangeError> {
    store.change(&change, &author("because")).await
}

pub(super) fn link(identity: &ChatIdentity, subject: &Subject) -> Change {
    Change::Link { identity: identity.clone(), subject: subject.clone() }
}

pub(super) fn unlink(subject: &Subject) -> Change {
    Change::Unlink { subject: subject.clone() }
}

pub(super) fn retire(identity: &ChatIdentity) -> Change {
    Change::Retire { identity: identity.clone() }
}

pub(super) async fn show<S: Whole>(store: &S, identity: &ChatIdentity) -> Record {
    store.record(identity).await.unwrap().unwrap()
}

pub(super) async fn held<S: Whole>(store: &S, subject: &Subject) -> Option<Binding> {
    store.find(subject).await.unwrap()
}

fn active(identity: &ChatIdentity) -> Binding {
    Binding::Active(identity.clone())
}

fn whats(record: &Record) -> Vec<&str> {
    record.history.iter().map(|event| &*event.what).collect()
}

async fn what_forgets_refuses_what_must_never_be_undone<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    for wanted in [link(&own, &subject("corp", "bob")), unlink(&alice()), retire(&own)] {
        assert!(matches!(change(store, wanted).await, Err(ChangeError::NotDurable)));
    }
    let begun = store.begin_import(&author("file")).await;
    assert!(matches!(begun, Err(ImportError::NotDurable)));
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    assert_eq!(show(store, &own).await.state, State::Active);
}

async fn a_subject_may_be_linked_and_has_one_identity<S: Whole>(store: &S) {
    let (own, bob) = (seen(store, "alice").await, subject("other", "bob"));
    let changed = change(store, link(&own, &bob)).await.unwrap();
    assert_eq!(changed, Changed { identity: own.clone(), is_new: true });
    assert_eq!(held(store, &bob).await, Some(active(&own)));
    let record = show(store, &own).await;
    assert_eq!(record.subjects.len(), 2);
    assert_eq!(whats(&record), ["link other bob"]);
    let event = record.history.first().unwrap();
    assert_eq!((&*event.who, &*event.why, event.at), ("cli:ops", "because", clock().now()));
    // Both kinds of conflict: a subject that has another, and an identity that nobody has.
    let other = seen(store, "carol").await;
    let refused = change(store, link(&other, &bob)).await;
    assert!(matches!(refused, Err(ChangeError::Conflict(Conflict::HasAnother(had))) if had == own));
    let unknown = change(store, link(&identity("nobody"), &bob)).await;
    assert!(matches!(unknown, Err(ChangeError::NotFound)));
    let holders = store.holders(&[bob.clone(), subject("corp", "unseen")]).await.unwrap();
    assert_eq!(
        holders[0].as_ref().map(|held| (&held.identity, held.state)),
        Some((&own, State::Active))
    );
    assert_eq!(holders[1], None);
}

async fn an_unlinked_subject_gets_its_own_back_and_nobody_else_does<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    change(store, unlink(&alice())).await.unwrap();
    assert_eq!(held(store, &alice()).await, None);
    assert_eq!(show(store, &own).await.state, State::Unlinked);
    // Somebody whose claim says so does not get what was hers.
    let mallory = subject("corp", "mallory");
    let named = FirstSight { origin: Origin::Named, ..FirstSight::of(&mallory, own.clone()) };
    assert!(matches!(store.bind(&named).await, Err(BindError::Taken)));
    assert_eq!(sight(store, &alice()).await.unwrap().binding, active(&own));
    // A readable identity goes back to the one who had it, and to nobody else.
    let emp = identity("emp-7");
    let bob = subject("corp", "bob");
    let of = |subject: &Subject| FirstSight {
        origin: Origin::Named,
        ..FirstSight::of(subject, emp.clone())
    };
    store.bind(&of(&bob)).await.unwrap();
    change(store, unlink(&bob)).await.unwrap();
    assert!(matches!(store.bind(&of(&mallory)).await, Err(BindError::Taken)));
    assert_eq!(store.bind(&of(&bob)).await.unwrap().binding, active(&emp));
    // While another has it, not even to its own.
    change(store, link(&own, &subject("other", "anna"))).await.unwrap();
    change(store, unlink(&alice())).await.unwrap();
    assert!(matches!(sight(store, &alice()).await, Err(BindError::Taken)));
}

async fn a_retired_identity_is_never_given_again<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    change(store, retire(&own)).await.unwrap();
    assert_eq!(held(store, &alice()).await, Some(Binding::Retired));
    assert_eq!(sight(store, &alice()).await.unwrap().binding, Binding::Retired);
    let bob = subject("corp", "bob");
    let refused = change(store, link(&own, &bob)).await;
    assert!(matches!(refused, Err(ChangeError::Conflict(Conflict::Retired))));
    // Not after an unlink either, nor to another.
    change(store, unlink(&alice())).await.unwrap();
    assert_eq!(sight(store, &alice()).await.unwrap().binding, Binding::Retired);
    let named = FirstSight { origin: Origin::Named, ..FirstSight::of(&bob, own.clone()) };
    assert!(matches!(store.bind(&named).await, Err(BindError::Taken)));
    let unknown = change(store, retire(&identity("nobody"))).await;
    assert!(matches!(unknown, Err(ChangeError::NotFound)));
}

async fn a_subject_that_was_never_seen_may_be_retired<S: Whole>(store: &S) {
    store.pin(&pin("63458b39")).await.unwrap();
    let key = key(0);
    let ended = |subject: Subject| {
        let derived = (key.derive(&subject), key.fingerprint());
        Change::RetireSubject { subject, derived }
    };
    assert!(change(store, ended(alice())).await.unwrap().is_new);
    assert!(!change(store, ended(alice())).await.unwrap().is_new);
    assert_eq!(sight(store, &alice()).await.unwrap().binding, Binding::Retired);
    let named = FirstSight { origin: Origin::Named, ..FirstSight::of(&alice(), identity("emp-1")) };
    assert_eq!(store.bind(&named).await.unwrap().binding, Binding::Retired);
    let own = seen(store, "bob").await;
    change(store, ended(subject("corp", "bob"))).await.unwrap();
    assert_eq!(show(store, &own).await.state, State::Retired);
}

async fn an_erasure_leaves_digests_and_the_identity_reserved<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    let (work, home) = (subject("work", "alice@example.com"), subject("home", "al"));
    change(store, link(&own, &work)).await.unwrap();
    change(store, link(&own, &home)).await.unwrap();
    change(store, unlink(&home)).await.unwrap();
    let erase = Change::Erase { identity: own.clone(), key: Box::new(key(0)) };
    assert!(change(store, erase.clone()).await.unwrap().is_new);
    assert!(!change(store, erase).await.unwrap().is_new);
    let record = show(store, &own).await;
    assert_eq!((record.state, record.subjects.len()), (State::Retired, 0));
    let text = format!("{:?}", record.history);
    assert_eq!(record.history.len(), 4, "{text}");
    for name in ["alice", "home", " al", "work"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
    // Only the erasure itself still says why.
    assert_eq!(text.matches("because").count(), 1, "{text}");
    assert_eq!(sight(store, &alice()).await.unwrap().binding, Binding::Retired);
    assert_eq!(sight(store, &work).await.unwrap().binding, Binding::Retired);
    let refused = change(store, link(&own, &work)).await;
    assert!(matches!(refused, Err(ChangeError::Conflict(Conflict::Retired))));
    let rows = store.rows(None, 10).await.unwrap();
    assert_eq!(rows, [row(Owner::Nobody, &own, true)]);
}

async fn the_same_command_again_changes_nothing<S: Whole>(store: &S) {
    let (own, bob) = (seen(store, "alice").await, subject("corp", "bob"));
    for (wanted, events) in
        [(link(&own, &bob), 1), (unlink(&bob), 2), (unlink(&alice()), 3), (retire(&own), 4)]
    {
        assert!(change(store, wanted.clone()).await.unwrap().is_new);
        let edition = store.changes(Edition(0)).await.unwrap().edition;
        assert!(!change(store, wanted).await.unwrap().is_new);
        assert_eq!(show(store, &own).await.history.len(), events);
        assert_eq!(store.changes(Edition(0)).await.unwrap().edition, edition);
    }
    let never = change(store, unlink(&subject("corp", "never"))).await;
    assert!(matches!(never, Err(ChangeError::NotFound)));
}

async fn pages_are_whole_while_rows_are_added<S: Whole>(store: &S) {
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

async fn files_are_in_byte_order_whatever_the_script<S: Whole>(store: &S) {
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

pub(super) async fn all_rows<S: Whole>(store: &S) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let page = store.rows(rows.last(), 3).await.unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

async fn p12_64_writers_at_once_leave_one_truth<S: Whole>(store: Arc<S>) {
    let shared = seen(&*store, "alice").await;
    let mut identities = Vec::new();
    for n in 0..8 {
        identities.push(seen(&*store, &format!("owner-{n}")).await);
    }
    let mut writers = JoinSet::new();
    for n in 0..64_usize {
        let (store, shared) = (Arc::clone(&store), shared.clone());
        let contested = identities[n % 8].clone();
        writers.spawn(async move {
            let own = subject("other", &format!("s-{n}"));
            change(&*store, link(&shared, &own)).await.unwrap();
            // One subject, and eight identities that want it.
            change(&*store, link(&contested, &subject("other", "contested"))).await.is_ok()
        });
    }
    let won = writers.join_all().await.into_iter().filter(|won| *won).count();
    // The winner, and those who asked for the same.
    assert_eq!(won, 8);
    let record = show(&*store, &shared).await;
    assert_eq!((record.subjects.len(), record.history.len()), (65, 64));
}

async fn changes_are_told_to_those_who_ask<S: Whole>(store: &S) {
    let own = seen(store, "alice").await;
    let before = store.changes(Edition::default()).await.unwrap().edition;
    seen(store, "carol").await;
    // First sights change nothing that anybody could remember.
    assert_eq!(store.changes(before).await.unwrap().edition, before);
    change(store, link(&own, &subject("other", "bob"))).await.unwrap();
    let after = store.changes(before).await.unwrap();
    assert!(after.edition > before);
    let bob = digest::of(&[b"other", b"bob"]);
    assert_eq!(after.subjects, Some(vec![bob]));
    change(store, retire(&own)).await.unwrap();
    let mut told = store.changes(after.edition).await.unwrap().subjects.unwrap();
    told.sort_unstable();
    let mut both = vec![bob, digest::of(&[b"corp", b"alice"])];
    both.sort_unstable();
    assert_eq!(told, both);
    // Whoever comes late is told that it may be anybody, once that was thrown away.
    let later = Timestamp(clock().now().0 + 3600);
    store.settle(later, 10).await.unwrap();
    assert_eq!(store.changes(before).await.unwrap().subjects, None);
    // So is one who knows more than the store, which was put back.
    let ahead = Edition(after.edition.0 + 100);
    assert_eq!(store.changes(ahead).await.unwrap().subjects, None);
}

fn row(owner: Owner, identity: &ChatIdentity, is_retired: bool) -> Row {
    Row { owner, identity: identity.clone(), is_retired }
}

pub(super) fn subject_row(id: &str, text: &str) -> Row {
    let identity = ChatIdentity::imported(text).unwrap();
    row(Owner::Subject("corp".into(), id.into()), &identity, false)
}

pub(super) fn waiting_row(value: &str, text: &str) -> Row {
    row(Owner::Waiting("corp".into(), value.into()), &identity(text), false)
}

pub(super) async fn staged<S: Whole>(store: &S, rows: &[Row]) -> ImportId {
    let import = store.begin_import(&author("users.csv")).await.unwrap();
    let lines: Vec<_> = (2..).zip(rows.iter().cloned()).collect();
    store.stage(import, &lines).await.unwrap();
    import
}

pub(super) async fn settled<S: Whole>(store: &S) {
    while store.settle(clock().now(), 3).await.unwrap() {}
}

/// All of it; clashes by line, and nothing, or none and what is new.
pub(super) async fn imported<S: Whole>(
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

async fn imports<S: Whole>(open: &impl Fn() -> Arc<S>) {
    an_import_holds_whole_or_not_at_all(&*open()).await;
    an_import_that_holds_is_seen_before_its_rows_are_moved(&*open()).await;
    a_first_sight_during_an_import_makes_it_look_again(&*open()).await;
    every_clash_is_told_by_its_line(&*open()).await;
    what_was_exported_imports_to_the_same(&*open(), &*open()).await;
    an_import_whose_process_is_gone_is_cleared_away(&*open()).await;
}

async fn an_import_holds_whole_or_not_at_all<S: Whole>(store: &S) {
    let rows: Vec<Row> =
        (0..250).map(|n| subject_row(&format!("s{n}"), &format!("old {n}"))).collect();
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
    assert_eq!(sight(store, &last).await.unwrap().binding, active(&identity("old-8")));
    // Nobody takes what the file gives to another.
    let thief = FirstSight {
        origin: Origin::Named,
        ..FirstSight::of(&subject("corp", "thief"), identity("old-7"))
    };
    assert!(matches!(store.bind(&thief).await, Err(BindError::Taken)));
    settled(store).await;
    assert_eq!(all_rows(store).await, rows);
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
    use ClashKind::{HasAnother, InUse, LetterCase, Retired, Shared, TwiceInFile, Waits};
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
        (vec![waiting_row("v", own.as_str())], true, vec![(2, InUse)]),
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
    let rows = all_rows(store).await;
    assert_eq!(rows.len(), 8);
    assert_eq!(imported(empty, &rows, true).await, Ok(8));
    assert_eq!(all_rows(empty).await, rows);
    assert_eq!(imported(empty, &rows, true).await, Ok(0));
    assert_eq!(held(empty, &subject("corp", "bob")).await, Some(Binding::Retired));
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

async fn adoptions<S: Whole>(open: &impl Fn() -> Arc<S>) {
    p12_an_identity_that_waits_is_taken_once_by_a_verified_equal_value(&*open()).await;
    an_operator_may_link_or_retire_one_that_waits(&*open()).await;
}

pub(super) fn signing_in(id: &str, value: &str, verified: bool) -> FirstSight {
    let adopt = Some(Match { value: value.into(), verified });
    FirstSight { adopt, ..first_sight(&subject("corp", id)) }
}

async fn p12_an_identity_that_waits_is_taken_once_by_a_verified_equal_value<S: Whole>(store: &S) {
    let waiting =
        [waiting_row("Zoë@example.com", "old-z"), waiting_row("bob@example.com", "old-b")];
    imported(store, &waiting, false).await.unwrap();
    let old = identity("old-z");
    assert_eq!(show(store, &old).await.state, State::Unclaimed);
    let unverified = store.bind(&signing_in("z", "Zoë@example.com", false)).await;
    assert!(matches!(unverified, Err(BindError::Unverified)));
    let differs = store.bind(&signing_in("z", "zoë@example.com", true)).await;
    assert!(matches!(differs, Err(BindError::Taken)));
    // Nothing like it waits, so the subject's own it is.
    let other = store.bind(&signing_in("o", "Zoe\u{308}@example.com", true)).await.unwrap();
    assert_eq!((other.adopted, held(store, &subject("corp", "z")).await), (false, None));
    let taken = store.bind(&signing_in("z", "Zoë@example.com", true)).await.unwrap();
    assert_eq!(taken, Given { binding: active(&old), adopted: true });
    let again = store.bind(&signing_in("z", "Zoë@example.com", true)).await.unwrap();
    assert_eq!(again, Given { binding: active(&old), adopted: false });
    let record = show(store, &old).await;
    assert_eq!(whats(&record), ["import", "adopt corp z"]);
    assert_eq!(record.state, State::Active);
    // Another with the same address is somebody else.
    let second = store.bind(&signing_in("y", "Zoë@example.com", true)).await.unwrap();
    assert_eq!(second.binding, active(&key(0).derive(&subject("corp", "y"))));
    // The file again changes nothing.
    assert_eq!(imported(store, &waiting, false).await, Ok(0));
    assert_eq!(show(store, &identity("old-b")).await.state, State::Unclaimed);
}

async fn an_operator_may_link_or_retire_one_that_waits<S: Whole>(store: &S) {
    let waiting = [waiting_row("a@x", "old-a"), waiting_row("b@x", "old-b")];
    imported(store, &waiting, false).await.unwrap();
    change(store, link(&identity("old-a"), &alice())).await.unwrap();
    assert_eq!(held(store, &alice()).await, Some(active(&identity("old-a"))));
    let late = store.bind(&signing_in("late", "a@x", true)).await.unwrap();
    assert!(!late.adopted);
    // Whoever comes for one that was retired is refused, and gets no fresh one.
    change(store, retire(&identity("old-b"))).await.unwrap();
    let given = store.bind(&signing_in("bob", "b@x", true)).await.unwrap();
    assert_eq!(given, Given { binding: Binding::Retired, adopted: false });
}

async fn rekeys<S: Whole>(open: &impl Fn() -> Arc<S>) {
    a_rekey_moves_those_who_were_derived_and_no_others(&*open()).await;
    a_rekey_that_keeps_moves_nobody(&*open()).await;
}

fn rekey(keep: bool, dry_run: bool) -> Rekey {
    Rekey { old: key(0), new: Some(key(1)), formats: Vec::new(), keep, dry_run }
}

async fn a_rekey_moves_those_who_were_derived_and_no_others<S: Whole>(store: &S) {
    store.pin(&pin("63458b39")).await.unwrap();
    let (own, linked) = (seen(store, "alice").await, seen(store, "linked").await);
    change(store, link(&linked, &subject("other", "al"))).await.unwrap();
    imported(store, &[subject_row("bob", "old-b")], false).await.unwrap();
    let dry = store.rekey(&rekey(false, true), &author("why")).await.unwrap();
    assert_eq!(dry, Rekeyed { changed: 1, kept: 3 });
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    let before = store.changes(Edition(0)).await.unwrap().edition;
    let done = store.rekey(&rekey(false, false), &author("why")).await.unwrap();
    assert_eq!(done, dry);
    let new = key(1).derive(&alice());
    assert_eq!(held(store, &alice()).await, Some(active(&new)));
    assert_eq!(show(store, &own).await.state, State::Retired);
    assert_eq!(held(store, &subject("corp", "linked")).await, Some(active(&linked)));
    assert_eq!(held(store, &subject("corp", "bob")).await, Some(active(&identity("old-b"))));
    // Everybody is told, and the old key gives nothing any more.
    assert_eq!(store.changes(before).await.unwrap().subjects, None);
    let late = sight(store, &subject("corp", "late")).await;
    assert!(matches!(late, Err(BindError::Store(StoreError::Rekeyed(_)))), "{late:?}");
    assert_eq!(store.rekey(&rekey(false, false), &author("why")).await.unwrap().changed, 0);
    // Back again gives her back what was her own.
    let back = Rekey { old: key(1), new: Some(key(0)), ..rekey(false, false) };
    assert_eq!(store.rekey(&back, &author("why")).await.unwrap().changed, 1);
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    let other = Rekey { old: key(2), new: Some(key(3)), ..rekey(false, false) };
    let refused = store.rekey(&other, &author("why")).await;
    assert!(matches!(refused, Err(ChangeError::Conflict(Conflict::OtherKey(_)))));
}

async fn a_rekey_that_keeps_moves_nobody<S: Whole>(store: &S) {
    store.pin(&pin("63458b39")).await.unwrap();
    let own = seen(store, "alice").await;
    let done = store.rekey(&rekey(true, false), &author("why")).await.unwrap();
    assert_eq!(done, Rekeyed { changed: 0, kept: 1 });
    assert_eq!(held(store, &alice()).await, Some(active(&own)));
    store.pin(&pin(&key(1).fingerprint().to_string())).await.unwrap();
}
