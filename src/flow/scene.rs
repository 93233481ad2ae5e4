//! People, services and proofs for the tests of this floor.
use super::{
    bind::{Binder, Bound},
    verify::{Upstream, Verified},
};
use crate::{
    domain::{
        claims::{Claims, TokenKind, UserKind},
        grant::Service,
        identity::IdentityKey,
        secret::Secret,
        sid::{Kind, Sid},
        subject::Subject,
        time::Timestamp,
    },
    ports::{
        Reply,
        clock::StoppedClock,
        recall::Digest,
        store::{
            BindError, Binding, BindingStore, FirstSight, Given, MemoryStore, Pin, PinError,
            StoreError,
        },
    },
};
use std::sync::Arc;

/// When these stories begin.
pub(crate) const NOW: Timestamp = Timestamp(1_795_428_000);

pub(crate) fn clock() -> Arc<StoppedClock> {
    Arc::new(StoppedClock::at(NOW))
}

/// The key of contract 4's vectors.
pub(crate) fn identity_key() -> IdentityKey {
    IdentityKey::new(&Secret::new((0..64).collect::<Vec<u8>>())).unwrap()
}

pub(crate) fn subject(namespace: &str, id: &str) -> Subject {
    Subject::new(namespace.parse().unwrap(), id.parse().unwrap())
}

/// A user's access token that ends an hour after [`NOW`].
pub(crate) fn upstream(namespace: &str, id: &str) -> Upstream {
    Upstream {
        digest: digest(id),
        issuer: "https://login.example.com/realms/corp".parse().unwrap(),
        subject: subject(namespace, id),
        kind: TokenKind::AccessToken,
        user: UserKind::User,
        expires: Timestamp(NOW.0 + 3600),
        claims: Claims::new(serde_json::Map::new()),
    }
}

/// A digest that tells short texts apart.
pub(crate) fn digest(text: &str) -> Digest {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    digest
}

pub(crate) fn verified(namespace: &str, id: &str) -> Verified {
    Verified::vouched(upstream(namespace, id))
}

/// The proof after a store of its own was asked.
pub(crate) fn bound(upstream: Upstream) -> Bound {
    bound_by(Arc::new(MemoryStore::new(1)), upstream)
}

/// The proof when the store gives only what it remembers.
pub(crate) fn bound_while_store_is_silent(upstream: Upstream) -> Bound {
    bound_by(Arc::new(Remembering { edition: 0, answers: false }), upstream)
}

/// The proof when the store, which remembers everybody, is at this edition.
pub(crate) fn bound_under(edition: u64, upstream: Upstream) -> Bound {
    bound_by(Arc::new(Remembering { edition, answers: true }), upstream)
}

fn bound_by(store: Arc<dyn BindingStore>, upstream: Upstream) -> Bound {
    let binder = Binder::new(identity_key(), store, clock());
    futures_util::FutureExt::now_or_never(binder.bind(Verified::vouched(upstream)))
        .expect("a store in memory does not wait")
        .unwrap()
}

/// Remembers what would be derived, and answers nothing.
#[derive(Debug)]
struct Remembering {
    edition: u64,
    answers: bool,
}

fn silent() -> StoreError {
    StoreError::Unavailable("silent".into())
}

impl BindingStore for Remembering {
    fn remembered(&self, subject: &Subject) -> Option<Binding> {
        Some(Binding::Active(identity_key().derive(subject)))
    }

    fn edition(&self) -> u64 {
        self.edition
    }

    fn answers(&self) -> bool {
        self.answers
    }

    fn find<'a>(&'a self, _: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        Box::pin(async { Err(silent()) })
    }

    fn bind<'a>(&'a self, _: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(async { Err(BindError::Store(silent())) })
    }

    fn pin<'a>(&'a self, _: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        Box::pin(async { Err(PinError::Store(silent())) })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async { Err(silent()) })
    }
}

pub(crate) fn sid<K: Kind>(digit: char) -> Sid<K> {
    format!("{}{}", K::PREFIX, digit.to_string().repeat(32)).parse().unwrap()
}

/// A service named `name` with push credentials for `ios`, all of whose SIDs repeat `digit`.
pub(crate) fn service(name: &str, digit: char) -> Arc<Service> {
    Arc::new(Service {
        name: name.into(),
        sid: sid(digit),
        account: sid(digit),
        api_key: sid(digit),
        region: "us1".into(),
        push_credentials: [("ios".into(), sid(digit))].into(),
    })
}
