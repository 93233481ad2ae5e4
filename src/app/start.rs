//! Why usher does not start (exit 69). Each says what to do.
use crate::{
    domain::{policy::InvalidExpression, time::Timestamp},
    inbound::server::{BindError, TlsError},
    outbound::{
        http::trust::UnusableTrust,
        store::{postgres::NotOpen, sqlite::Unfit},
    },
    ports::{
        clock::Clock,
        store::{PinError, StoreError},
    },
};

/// 2020-01-01: no host that keeps time says less, and no token could be judged by one that does.
const OLDEST: Timestamp = Timestamp(1_577_836_800);

/// Something usher needs is unavailable or unfit.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host's clock is wrong.
    #[error("the clock says {}, which is before 2020: set the host's clock", .0.rfc3339())]
    Clock(Timestamp),
    /// A port or a socket file.
    #[error("{name} listener")]
    Listener {
        /// `public`, `egress`, `admin` or `health`.
        name: &'static str,
        /// What the host said.
        #[source]
        source: BindError,
    },
    /// A certificate.
    #[error("listen.{name}.tls")]
    Tls {
        /// `public`, `egress`, `admin` or `health`.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: TlsError,
    },
    /// The embedded store.
    #[error("store")]
    Store(#[source] Box<Unfit>),
    /// The shared store.
    #[error("store")]
    Postgres(#[source] Box<NotOpen>),
    /// The store opened, and did not answer.
    #[error("the store does not answer: is it locked by another process, or its disk full?")]
    StoreFailed(#[source] StoreError),
    /// Identities were made with another key; with this one everybody would be somebody new.
    #[error(
        "identity.key is not the one that the store's identities were made with: put the old key back, or move everybody with usher identity rekey"
    )]
    IdentityKey(#[source] PinError),
    /// Identities were made in another format; in this one everybody would be somebody new.
    #[error(
        "issuers[].identity is not the format that the store's identities were made in: put the old one back, or accept this one with usher identity rekey"
    )]
    IdentityFormat(#[source] PinError),
    /// An issuer's `certificateAuthority`, or the host's own.
    #[error("certificate authorities")]
    Trust(#[from] UnusableTrust),
    /// An expression that compiled once does not compile again.
    #[error("configuration")]
    Policy(#[from] InvalidExpression),
    /// A header of `tokenSources`.
    #[error("tokenSources")]
    TokenHeader(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The host gives no thread, socket or signal.
    #[error("the host")]
    Io(#[from] std::io::Error),
}

impl StartError {
    /// Why the store did not accept what identities are made with.
    pub(super) fn of_pin(error: PinError) -> Self {
        match error {
            PinError::OtherKey(_) => Self::IdentityKey(error),
            PinError::OtherFormat { .. } => Self::IdentityFormat(error),
            PinError::Store(error) => Self::StoreFailed(error),
        }
    }
}

/// Refuses a clock that cannot be right.
///
/// # Errors
/// [`StartError::Clock`].
pub(super) fn check_clock(clock: &dyn Clock) -> Result<(), StartError> {
    let now = clock.now();
    if now < OLDEST { Err(StartError::Clock(now)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::clock::StoppedClock;

    #[test]
    fn a_clock_before_2020_is_refused_with_what_to_do() {
        let clock = StoppedClock::at(Timestamp(1_577_836_799));
        let error = check_clock(&clock).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the clock says 2019-12-31T23:59:59Z, which is before 2020: set the host's clock"
        );
        clock.advance(std::time::Duration::from_secs(1));
        assert!(check_clock(&clock).is_ok());
    }
}
