//! From a token to a token: the steps of the flow, in the one order that compiles.
use crate::{
    domain::{
        claims::TokenKind,
        identity::{ChatIdentity, IdentityKey},
    },
    flow::{
        bind::Binder,
        issue::{ChatToken, Minter},
        permit::{Permitter, Wish},
        verify::{Verified, Verifier},
    },
    inbound::refusal::Refusal,
};
use std::fmt::{self, Debug};

/// What a caller brings and wants.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The upstream token.
    pub token: &'a str,
    /// The kind the caller says it is (RFC 8693, `subject_token_type`), where they say.
    pub declared: Option<TokenKind>,
    /// Service and platform.
    pub wish: Wish<'a>,
}

impl Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({:?}, {:?})", self.declared, self.wish)
    }
}

/// What became of it, and whom it is about, as far as the steps came.
#[derive(Debug)]
pub struct Decision {
    /// The token, or the step that stopped it.
    pub outcome: Result<ChatToken, Refusal>,
    /// Who is behind the token.
    pub verified: Option<Verified>,
    /// For the audit line (contract 9).
    pub subject_hash: Option<String>,
    /// The identity, where there is one.
    pub identity: Option<ChatIdentity>,
}

/// What turns a token into a token. There is one but for tests.
pub trait Steps: Debug + Send + Sync + 'static {
    /// Decides. Everything it waits for has a deadline.
    fn decide(&self, ask: Ask<'_>) -> impl Future<Output = Decision> + Send;
}

/// The flow, of one configuration. A reload makes another.
#[derive(Debug)]
pub struct Exchange {
    /// Proves who sent a token.
    pub verifier: Verifier,
    /// Gives the subject its identity.
    pub binder: Binder,
    /// Decides what the user is given.
    pub permitter: Permitter,
    /// Signs it.
    pub minter: Minter,
    /// For the audit line's `subject_hash`.
    pub identity_key: IdentityKey,
}

impl Steps for Exchange {
    async fn decide(&self, ask: Ask<'_>) -> Decision {
        let mut decision = Decision::refused(Refusal::DeclaredType);
        decision.outcome = self.walk(ask, &mut decision).await;
        decision
    }
}

impl Exchange {
    async fn walk(&self, ask: Ask<'_>, seen: &mut Decision) -> Result<ChatToken, Refusal> {
        let verified = self.verifier.verify(ask.token).await?;
        let upstream = verified.upstream();
        seen.subject_hash = Some(self.identity_key.subject_hash(&upstream.subject));
        seen.verified = Some(verified.clone());
        if !agrees(ask.declared, upstream.kind) {
            return Err(Refusal::DeclaredType);
        }
        let bound = self.binder.bind(verified).await?;
        seen.identity = Some(bound.identity().clone());
        let permitted = self.permitter.permit(bound, ask.wish)?;
        Ok(self.minter.issue(&permitted)?)
    }
}

impl Decision {
    /// Refused before anything was proven.
    pub fn refused(why: Refusal) -> Self {
        Self { outcome: Err(why), verified: None, subject_hash: None, identity: None }
    }
}

/// A token that does not tell its kind is what its bearer says it is.
fn agrees(declared: Option<TokenKind>, kind: TokenKind) -> bool {
    match (declared, kind) {
        (None, _) | (Some(_), TokenKind::Unsaid) => true,
        (Some(declared), kind) => declared == kind,
    }
}
