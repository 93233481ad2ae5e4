//! What a user may be given: a service, for how long, in which role.
use super::sid::{AccountSid, ApiKeySid, PushCredentialSid, RoleSid, ServiceSid};
use std::{collections::BTreeMap, time::Duration};

/// A service by the name the configuration gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in `twilio.services`.
    pub name: Box<str>,
    /// Its SID.
    pub sid: ServiceSid,
    /// The account it belongs to.
    pub account: AccountSid,
    /// The API key whose secret signs its tokens.
    pub api_key: ApiKeySid,
    /// Twilio's home region, `us1` unless said otherwise; anything else goes into the token's `twr`.
    pub region: Box<str>,
    /// Push credentials by platform (`?platform=`).
    pub push_credentials: BTreeMap<Box<str>, PushCredentialSid>,
}

/// How long Conversations tokens live (contract 3, "Token answer").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// A token's life where nothing shortens it: 240 s to 1 h, or to 24 h with `allowLongLived`.
    pub ttl: Duration,
    /// How much longer than the upstream token it may live, at most 1 h.
    pub grace_beyond_upstream: Duration,
}

/// One entry of `grants`, its policy aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The grant's name, for audit lines; `default` where the configuration has no grants.
    pub name: Box<str>,
    /// The life of its tokens, where it differs from `token.ttl`.
    pub ttl: Option<Duration>,
    /// `deployment_role_sid`.
    pub role: Option<RoleSid>,
}
