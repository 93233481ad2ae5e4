//! Why a token proves nothing.
use crate::ports::keys::KeysUnavailable;
pub use crate::token::read::Malformed;
use std::sync::Arc;

/// Why a token does not prove anything. Each variant is one code of contract 3's table; the hints choose the
/// sentence of `detail` and hold nothing from the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// `malformed_token`.
    #[error("token is malformed: {0}")]
    Malformed(Malformed),
    /// `unsupported_algorithm`.
    #[error("token is signed with an algorithm that is not allowed")]
    UnsupportedAlgorithm,
    /// `unknown_issuer`.
    #[error("token is from an issuer that is not configured")]
    UnknownIssuer(IssuerHint),
    /// `unknown_key`.
    #[error("token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// `bad_signature`.
    #[error("token's signature does not verify")]
    BadSignature,
    /// `token_expired`.
    #[error("token has expired")]
    Expired,
    /// `token_not_yet_valid`.
    #[error("token is not valid yet")]
    NotYetValid,
    /// `wrong_audience`.
    #[error("token is meant for another audience")]
    WrongAudience(AudienceHint),
    /// `wrong_token_type`.
    #[error("token is of a kind that is not accepted")]
    WrongTokenType(TypeHint),
    /// `claim_rule_failed`, with the operator's own message where the rule has one.
    #[error("token does not satisfy a claim rule")]
    ClaimRule(Option<Arc<str>>),
    /// `claim_rule_failed`: the subject is an e-mail address that the issuer does not vouch for.
    #[error("subject is an e-mail address that is not verified")]
    UnverifiedEmail,
    /// `issuer_unavailable`: nobody can tell.
    #[error(transparent)]
    IssuerUnavailable(#[from] KeysUnavailable),
}

/// Why an issuer may look right and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerHint {
    /// No configured issuer resembles it.
    None,
    /// One differs only by a final slash.
    FinalSlash,
    /// One differs only by `http` for `https`.
    Scheme,
    /// One differs only in letter case.
    Case,
}

/// Why an audience may look right and is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceHint {
    /// Nothing to add.
    None,
    /// It is `account`: Keycloak without an audience mapper.
    KeycloakAccount,
    /// It is Microsoft Graph's: Entra without a scope of the API.
    MicrosoftGraph,
    /// There is none.
    Missing,
}

/// What kind of token it is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeHint {
    /// Header `typ` is another one.
    Header,
    /// A logout token.
    Logout,
    /// An ID token where only access tokens pass.
    IdToken,
    /// An access token where only ID tokens pass.
    AccessToken,
    /// Nothing tells the kind, and only one kind passes.
    Unsaid,
    /// It has `act` (delegation).
    Actor,
    /// It has `cnf` (proof of possession).
    Confirmation,
    /// A Conversations token: Twilio's or usher's own.
    Conversations,
}

impl From<Malformed> for Unverified {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl From<TypeHint> for Unverified {
    fn from(hint: TypeHint) -> Self {
        Self::WrongTokenType(hint)
    }
}
