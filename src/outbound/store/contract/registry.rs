//! What operators and the app may rely on, whatever the registry is kept in.
mod adoptions;
mod fences;
mod foreseen;
mod imports;
mod pages;

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
            Author, Change, ChangeError, Changed, Conflict, Edition, Owner, Record, Registry, State,
        },
        store::{BindError, Binding, BindingStore, FirstSight, Given, Origin},
    },
    token::digest,
};
pub(super) use adoptions::signing_in;
use adoptions::{adoptions, rekeys};
use fences::fences;
pub(super) use imports::{imported, settled, staged, subject_row, waiting_row};
use imports::{imports, row};
pub(super) use pages::all_rows;
use std::sync::Arc;
use tokio::task::JoinSet;

pub(crate) trait Whole: BindingStore + Registry + 'static {}
impl<S: BindingStore + Registry + 'static> Whole for S {}

/// Runs every statement against an empty store of its own.
pub(crate) async fn holds<S: Whole>(open: impl Fn() -> Arc<S>) {
    if !open().is_durable() {
        return pages::what_forgets_refuses_what_must_never_be_undone(&*open()).await;
    }
    a_subject_may_be_linked_and_has_one_identity(&*open()).await;
    an_unlinked_subject_gets_its_own_back_and_nobody_else_does(&*open()).await;
    a_retired_identity_is_never_given_again(&*open()).await;
    a_subject_that_was_never_seen_may_be_retired(&*open()).await;
    an_erasure_leaves_digests_and_the_identity_reserved(&*open()).await;
    the_same_command_again_changes_nothing(&*open()).await;
    pages::pages_are_whole_while_rows_are_added(&*open()).await;
    pages::files_are_in_byte_order_whatever_the_script(&*open()).await;
    p12_64_writers_at_once_leave_one_truth(open()).await;
    changes_are_told_to_those_who_ask(&*open()).await;
    imports(&open).await;
    adoptions(&open).await;
    rekeys(&open).await;
    fences(&open).await;
    foreseen::what_is_foreseen_comes_to_be(&*open()).await;
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
    FirstSight { at: clock().now(), ..FirstSight::of(subject, key(0).derive(subject)) }
}

pub(super) async fn change<S: Whole>(store: &S, change: Change) -> Result<Changed, ChangeError> {
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

pub(super) fn active(identity: &ChatIdentity) -> Binding {
    Binding::Active(identity.clone())
}

pub(super) fn whats(record: &Record) -> Vec<&str> {
    record.history.iter().map(|event| &*event.what).collect()
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
    let key = key(0);
    let ended = |subject: Subject| {
        let derived = (key.derive(&subject), key.fingerprint());
        Change::RetireSubject { subject, derived }
    };
    assert!(change(store, ended(alice())).await.unwrap().is_new);
    // The tombstone rests on the key.
    assert!(store.pin(&pin("00000001")).await.is_err());
    store.pin(&pin("63458b39")).await.unwrap();
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
