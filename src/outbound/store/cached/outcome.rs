//! What the store's answers show, and tell those who waited together.
use crate::ports::store::{BindError, Given, StoreError};

/// What an operation showed: `usher_store_operations_total`'s outcomes.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Ok,
    Refused,
    Unavailable,
    Damaged,
}

impl Outcome {
    /// What a failure, or none, shows.
    pub(super) fn of(error: Option<&StoreError>) -> Self {
        match error {
            None => Self::Ok,
            Some(StoreError::Unavailable(_)) => Self::Unavailable,
            Some(StoreError::Rekeyed(_) | StoreError::Reformatted) => Self::Refused,
            Some(StoreError::Damaged) => Self::Damaged,
        }
    }

    /// Its label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unavailable | Self::Damaged => "failed",
        }
    }
}

/// What a first sight showed.
pub(super) fn outcome_of_bind(bound: &Result<Given, BindError>) -> Outcome {
    match bound {
        Ok(_) => Outcome::Ok,
        Err(BindError::Taken | BindError::Unverified) => Outcome::Refused,
        Err(BindError::Store(cause)) => Outcome::of(Some(cause)),
    }
}

/// The same failure for each of those who waited for one flight.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(cause) => StoreError::Unavailable(cause.to_string().into()),
        StoreError::Rekeyed(fingerprint) => StoreError::Rekeyed(*fingerprint),
        StoreError::Reformatted => StoreError::Reformatted,
        StoreError::Damaged => StoreError::Damaged,
    }
}
