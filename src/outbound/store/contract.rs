//! What every store must do, as one test that each store runs.
#![expect(
    clippy::cognitive_complexity,
    reason = "a statement of a contract is told as one story; each of its assertions counts as a branch"
)]
pub(crate) mod faulty;
pub(crate) mod registry;

use crate::{
    domain::{
        identity::ChatIdentity,
        subject::{Subject, SubjectId},
        time::Timestamp,
    },
    ports::clock::{Clock, StoppedClock},
    ports::store::{BindError, Binding, BindingStore, FirstSight, MemoryStore, Pin, PinError},
    token::digest,
};
use std::sync::Arc;
use tokio::task::JoinSet;

pub(crate) fn subject(namespace: &str, id: &str) -> Subject {
    Subject::new(namespace.parse().unwrap(), id.parse().unwrap())
}

pub(crate) fn identity(text: &str) -> ChatIdentity {
    text.parse().unwrap()
}

fn active(text: &str) -> Binding {
    Binding::Active(identity(text))
}

pub(crate) fn pin(fingerprint: &str) -> Pin {
    Pin { fingerprint: fingerprint.parse().unwrap(), formats: Vec::new() }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(StoppedClock::at(Timestamp(1_795_428_900)))
}

/// Runs every statement against an empty store of its own.
pub(crate) async fn holds<S: BindingStore + 'static>(open: impl Fn() -> Arc<S>) {
    a_subject_keeps_what_it_was_given_first(open().as_ref()).await;
    an_identity_of_another_is_taken_and_nothing_changes(open().as_ref()).await;
    names_are_compared_byte_for_byte(open().as_ref()).await;
    a_fingerprint_is_kept_while_identities_rest_on_it(open().as_ref()).await;
    p12_64_concurrent_first_sights_give_one_identity(open()).await;
    p12_64_concurrent_takers_of_one_identity_leave_it_to_one(open()).await;
    open().ping().await.unwrap();
}

async fn bind(
    store: &impl BindingStore,
    subject: &Subject,
    text: &str,
) -> Result<Binding, BindError> {
    Ok(store.bind(&FirstSight::of(subject, identity(text))).await?.binding)
}

async fn a_subject_keeps_what_it_was_given_first(store: &impl BindingStore) {
    let alice = subject("corp", "alice");
    assert_eq!(store.find(&alice).await.unwrap(), None);
    assert_eq!(bind(store, &alice, "u-1").await.unwrap(), active("u-1"));
    assert_eq!(store.find(&alice).await.unwrap(), Some(active("u-1")));
    assert_eq!(bind(store, &alice, "u-2").await.unwrap(), active("u-1"));
    assert_eq!(store.find(&alice).await.unwrap(), Some(active("u-1")));
    // The identity that was not given is still free.
    assert_eq!(bind(store, &subject("corp", "bob"), "u-2").await.unwrap(), active("u-2"));
    assert_eq!(bind(store, &alice, "u-2").await.unwrap(), active("u-1"));
}

async fn an_identity_of_another_is_taken_and_nothing_changes(store: &impl BindingStore) {
    let (alice, mallory) = (subject("corp", "alice"), subject("corp", "mallory"));
    bind(store, &alice, "u-1").await.unwrap();
    assert!(matches!(bind(store, &mallory, "u-1").await, Err(BindError::Taken)));
    assert_eq!(store.find(&mallory).await.unwrap(), None);
    assert_eq!(store.find(&alice).await.unwrap(), Some(active("u-1")));
    // Only letter case makes it another identity: Twilio's are case-sensitive.
    assert_eq!(bind(store, &mallory, "U-1").await.unwrap(), active("U-1"));
}

/// As long as an id may be, and such that no database can make it shorter.
pub(crate) fn longest_id() -> String {
    let mut text = String::new();
    for n in 0_u32.. {
        if text.len() >= SubjectId::MAX_BYTES {
            break;
        }
        text.extend(digest::of_one(&n.to_be_bytes()).map(|byte| char::from(33 + byte % 94)));
    }
    text.truncate(SubjectId::MAX_BYTES);
    text
}

async fn names_are_compared_byte_for_byte(store: &impl BindingStore) {
    let (long, longest) = ("x".repeat(1024), longest_id());
    let names = [
        ("corp", "alice"),
        ("corp", "Alice"),
        ("corp", "alice "),
        ("Corp", "alice"),
        ("corpa", "lice"),
        ("cor", "palice"),
        ("corp", "zo\u{eb}"),
        ("corp", "zoe\u{308}"),
        ("corp", "李"),
        ("corp", "1"),
        ("corp", "1.0"),
        ("corp", "01"),
        ("corp", "%"),
        ("corp", "'; DROP TABLE subjects; --"),
        ("corp", long.as_str()),
        (long.as_str(), "alice"),
        ("https://login.example.com/realms/corp", longest.as_str()),
    ];
    for (at, (namespace, id)) in names.iter().enumerate() {
        let text = format!("u-{at}");
        let whole = Subject::stored(namespace, id).unwrap();
        let bound = bind(store, &whole, &text).await.unwrap();
        assert_eq!(bound, active(&text), "{namespace} {id}");
    }
    for (at, (namespace, id)) in names.iter().enumerate() {
        let held = store.find(&Subject::stored(namespace, id).unwrap()).await.unwrap();
        assert_eq!(held, Some(active(&format!("u-{at}"))), "{namespace} {id}");
    }
}

async fn a_fingerprint_is_kept_while_identities_rest_on_it(store: &impl BindingStore) {
    let (first, second) = ("63458b39", "00000001");
    store.pin(&pin(second)).await.unwrap();
    store.pin(&pin(first)).await.unwrap();
    store.pin(&pin(first)).await.unwrap();
    bind(store, &subject("corp", "alice"), "u-1").await.unwrap();
    assert!(
        matches!(store.pin(&pin(second)).await, Err(PinError::OtherKey(held)) if held.to_string() == first)
    );
    store.pin(&pin(first)).await.unwrap();
}

async fn p12_64_concurrent_first_sights_give_one_identity<S: BindingStore + 'static>(
    store: Arc<S>,
) {
    let mut sights = JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        sights.spawn(async move {
            bind(store.as_ref(), &subject("corp", "alice"), &format!("u-{n}")).await.unwrap()
        });
    }
    let seen = sights.join_all().await;
    let held = store.find(&subject("corp", "alice")).await.unwrap();
    assert!(seen.into_iter().all(|binding| Some(binding) == held));
}

async fn p12_64_concurrent_takers_of_one_identity_leave_it_to_one<S: BindingStore + 'static>(
    store: Arc<S>,
) {
    let mut takers = JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        takers.spawn(async move {
            bind(store.as_ref(), &subject("corp", &n.to_string()), "u-1").await.is_ok()
        });
    }
    let takers = takers.join_all().await;
    assert_eq!(takers.into_iter().filter(|took| *took).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_in_memory_keeps_the_contract_of_every_store() {
    holds(|| Arc::new(MemoryStore::new(1000))).await;
}
