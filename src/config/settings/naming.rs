//! How an issuer's identities are made (contract 4).
use crate::domain::{identity::IdentityPrefix, time::Timestamp};

/// `issuers[].identity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFormat {
    /// `format`, with what it is made of.
    pub source: IdentitySource,
    /// `prefix`: what readable identities begin with; empty without one, and for opaque ones.
    pub prefix: IdentityPrefix,
    /// `mutable`: a claim that a user or a help desk can change may name a person or their identity.
    pub mutable: bool,
}

/// `issuers[].identity.format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// Derived from namespace and subject with the identity key.
    Opaque,
    /// Read from this claim.
    Claim(Box<str>),
    /// Made by this CEL expression over `claims` and `issuer`, known to compile.
    Expression(Box<str>),
}

/// `issuers[].adopt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopt {
    /// `claim`: what is compared with the match that an identity waits under.
    pub claim: Box<str>,
    /// The first moment at which nothing is adopted any more: the end of the day of `until` in UTC, or the moment
    /// that it names.
    pub until: Timestamp,
}
