//! Identities that wait for their user, and identities that get another name.
use super::{
    Whole, active, alice, author, change, first_sight, held, imported, key, link, retire, seen,
    show, sight, subject_row, waiting_row, whats,
};
use crate::{
    outbound::store::contract::{identity, pin, subject},
    ports::{
        registry::{Change, ChangeError, Conflict, Edition, Rekey, Rekeyed, State},
        store::{BindError, Binding, FirstSight, Given, Match, StoreError},
    },
};
use std::sync::Arc;

pub(super) async fn adoptions<S: Whole>(open: &impl Fn() -> Arc<S>) {
    p12_an_identity_that_waits_is_taken_once_by_a_verified_equal_value(&*open()).await;
    an_operator_may_link_or_retire_one_that_waits(&*open()).await;
    p12_whoever_an_erased_identity_waited_for_gets_no_fresh_one(&*open()).await;
}

pub(in crate::outbound::store::contract) fn signing_in(
    id: &str,
    value: &str,
    verified: bool,
) -> FirstSight {
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

async fn p12_whoever_an_erased_identity_waited_for_gets_no_fresh_one<S: Whole>(store: &S) {
    imported(store, &[waiting_row("A@x", "old-a")], false).await.unwrap();
    change(store, Change::Erase { identity: identity("old-a"), key: Box::new(key(0)) })
        .await
        .unwrap();
    for (value, verified) in [("A@x", true), ("a@x", true), ("A@x", false)] {
        let given = store.bind(&signing_in("a", value, verified)).await.unwrap();
        assert_eq!(given.binding, Binding::Retired, "{value}");
    }
    assert!(matches!(
        store.bind(&signing_in("b", "b@x", true)).await.unwrap().binding,
        Binding::Active(_)
    ));
}

pub(super) async fn rekeys<S: Whole>(open: &impl Fn() -> Arc<S>) {
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
