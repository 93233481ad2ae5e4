//! Decides what a bound user is given (contract 5, `grants`).
use super::bind::Bound;
use crate::domain::{
    grant::{Service, Terms},
    sid::PushCredentialSid,
};
use std::sync::Arc;

/// What the caller asks for. Asking for less never gives more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish<'a> {
    /// `?service=` or `audience`: only grants that name this service are tried.
    pub service: Option<&'a str>,
    /// `?platform=`: a key of the service's `pushCredentials`.
    pub platform: Option<&'a str>,
}

/// Proof that a bound user may have a token of a service. Only [`Permitter`] makes one.
#[derive(Clone, Debug)]
pub struct Permitted {
    bound: Bound,
    service: Arc<Service>,
    terms: Arc<Terms>,
    push_credential: Option<PushCredentialSid>,
}

impl Permitted {
    /// The proof it rests on.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The service to issue for.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The grant's name, ttl and role.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// The push credential of the platform that was asked for.
    pub fn push_credential(&self) -> Option<&PushCredentialSid> {
        self.push_credential.as_ref()
    }
}

/// Why nothing is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    /// No grant matches (`not_entitled`).
    #[error("no grant matches the user")]
    NoGrant,
    /// No grant gives the service that was asked for, or there is none of that name (`not_entitled`;
    /// `invalid_target` at the RFC 8693 endpoint). The two are not told apart to the caller.
    #[error("no grant gives the service that was asked for")]
    Service,
    /// The service has no push credential for the platform (`bad_request`).
    #[error("the service has no push credential for the platform")]
    Platform,
}

/// Applies the grants.
#[derive(Clone, Debug)]
pub struct Permitter;

impl Permitter {
    /// Finds the first grant that matches; evaluation errors do not match.
    ///
    /// # Errors
    /// Each variant of [`NotPermitted`].
    pub fn permit(&self, _bound: Bound, _wish: Wish<'_>) -> Result<Permitted, NotPermitted> {
        Err(NotPermitted::NoGrant)
    }
}
