//! What a token says about its bearer.
use super::policy::ClaimValues;
use serde_json::{Map, Value};
use std::sync::OnceLock;

/// The members of a token's payload, each name once.
///
/// `Debug` shows the names only: a value may be somebody's e-mail address.
pub struct Claims {
    members: Map<String, Value>,
    /// The same for policy, made when it is first asked for.
    values: OnceLock<ClaimValues>,
}

impl Claims {
    /// Takes members that were read from a payload.
    pub fn new(members: Map<String, Value>) -> Self {
        Self { members, values: OnceLock::new() }
    }

    /// The value of the claim `name`, if the token has it; `null` is a value.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// Whether the issuer says that the claim `name` is the bearer's own, where there is a claim that says so:
    /// `email_verified` and `phone_number_verified` must be `true`, and not only say it (OpenID Connect Core
    /// section 5.1).
    pub fn vouch_for(&self, name: &str) -> bool {
        let says = match name {
            "email" => "email_verified",
            "phone_number" => "phone_number_verified",
            _ => return true,
        };
        self.get(says) == Some(&Value::Bool(true))
    }

    /// All members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// All members, for policy.
    pub(super) fn values(&self) -> &ClaimValues {
        self.values.get_or_init(|| ClaimValues::of(&self.members))
    }
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

/// What kind of token a proof was (contract 3, "Which tokens pass").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An OAuth access token (RFC 9068 or a provider's own form).
    AccessToken,
    /// An OpenID Connect ID token.
    IdToken,
    /// Nothing tells; passes only where both kinds are allowed.
    Unsaid,
}

/// Who stands behind a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserKind {
    /// A person an issuer vouches for.
    User,
    /// A passer-by with a temporary identity.
    Guest,
    /// A program with an API token.
    Bot,
}

impl UserKind {
    /// The word in configuration, headers and policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Guest => "guest",
            Self::Bot => "bot",
        }
    }
}
