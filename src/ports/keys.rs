//! The keys of one issuer.
use super::Reply;
use crate::token::key::KeySet;
use std::{fmt::Debug, sync::Arc, time::Duration};

/// Gives the keys that one issuer signs with. An adapter belongs to exactly one configured issuer, so that
/// nothing in a token can choose what is asked for.
pub trait Keys: Debug + Send + Sync {
    /// The keys held now, without waiting; for every request.
    ///
    /// # Errors
    /// No keys were ever had, or those had are older than `keys.maxStale`.
    fn held(&self) -> Result<Arc<KeySet>, KeysUnavailable>;

    /// The keys after at most one refetch made because `kid` is not among those held, or the first keys if none
    /// were had yet. Many callers share one flight; within the cooldown nothing is fetched. `kid` is remembered
    /// as unknown, so that its repetition costs nothing. Waits at most `keys.fetchTimeout`.
    ///
    /// # Errors
    /// There are no usable keys, or the last attempt failed and `kid` is still not among those held.
    fn refetched<'a>(&'a self, kid: &'a str) -> Reply<'a, Result<Arc<KeySet>, KeysUnavailable>>;

    /// The first keys: waits for the fetch under way where none were had yet, at most `keys.fetchTimeout`;
    /// otherwise the same as [`Keys::held`]. Never starts a fetch of its own.
    ///
    /// # Errors
    /// As [`Keys::held`], after the wait.
    fn first(&self) -> Reply<'_, Result<Arc<KeySet>, KeysUnavailable>>;
}

/// The issuer's keys cannot be had: its fault or the network's, never the caller's (503 `issuer_unavailable`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys are unavailable")]
pub struct KeysUnavailable {
    /// When it is worth trying again (`Retry-After`).
    pub retry_after: Duration,
}

/// Keys that never change, or never were: for tests.
#[derive(Debug)]
pub struct FixedKeys(pub Result<Arc<KeySet>, KeysUnavailable>);

impl Keys for FixedKeys {
    fn held(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.0.clone()
    }

    fn refetched<'a>(&'a self, _kid: &'a str) -> Reply<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(async { self.0.clone() })
    }

    fn first(&self) -> Reply<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(async { self.0.clone() })
    }
}
