//! Proves who sent a token (contract 3, "Which tokens pass").
use crate::{
    domain::{
        claims::{Claims, TokenKind, UserKind},
        subject::{Issuer, Subject},
        time::Timestamp,
    },
    ports::{keys::KeysUnavailable, recall::Digest},
};
use std::sync::Arc;

/// Proof that an issuer we believe vouches for this subject, now. Only [`verify`](self) makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    upstream: Arc<Upstream>,
}

/// What a verified upstream token says.
#[derive(Debug)]
pub struct Upstream {
    /// Names the very token (SHA-256 over it), for what is remembered about it.
    pub digest: Digest,
    /// The issuer as configured.
    pub issuer: Issuer,
    /// Whom it is about.
    pub subject: Subject,
    /// What kind of token it was.
    pub kind: TokenKind,
    /// Who stands behind it.
    pub user: UserKind,
    /// When it ends.
    pub expires: Timestamp,
    /// All it says, for policy.
    pub claims: Claims,
}

impl Verified {
    /// What the token says.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }
}

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
    /// `issuer_unavailable`: nobody can tell.
    #[error(transparent)]
    IssuerUnavailable(#[from] KeysUnavailable),
}

/// What is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Five parts: encrypted (RFC 7516). At Auth0 a token without an audience is one.
    #[error("it is encrypted (JWE)")]
    Encrypted,
    /// Not three parts: an opaque token, most likely.
    #[error("it does not have three parts")]
    Parts,
    /// Not base64url, or not in canonical form.
    #[error("a part is not base64url")]
    Encoding,
    /// The header or payload is not one JSON object, or has a duplicate member, or is too deep.
    #[error("its header or payload is not one JSON object without duplicate members")]
    Json,
    /// `crit` or `b64` (RFC 7515 section 4.1.11, RFC 7797).
    #[error("its header demands an extension")]
    Critical,
    /// A header member of the wrong type, `kid` among them.
    #[error("a header member has the wrong type")]
    Header,
    /// A registered claim of the wrong type, or one that is missing.
    #[error("a claim is missing or has the wrong type")]
    Claim,
    /// Longer than any token usher reads.
    #[error("it is too long")]
    Length,
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

/// Verifies tokens of the configured issuers.
#[derive(Clone, Debug)]
pub struct Verifier;

impl Verifier {
    /// Proves `token`, a compact JWS, now.
    ///
    /// # Errors
    /// Each variant of [`Unverified`] says which check stopped it.
    pub async fn verify(&self, _token: &str) -> Result<Verified, Unverified> {
        std::future::ready(Err(Unverified::UnknownKey)).await
    }
}

#[cfg(test)]
impl Verified {
    /// Vouches for anybody: for the tests of the steps after this one.
    pub(crate) fn vouched(upstream: Upstream) -> Self {
        Self { upstream: Arc::new(upstream) }
    }
}
