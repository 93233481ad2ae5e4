//! Why a step of the flow ended a request, and what the caller is told.
use super::{
    detail,
    problem::{Code, Problem},
};
use crate::{
    flow::{bind::Unbound, issue::NotIssued, permit::NotPermitted, verify::Unverified},
    ports::store::StoreError,
};
use std::error::Error;

/// A step that did not make its proof.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token proves nothing.
    #[error("token was not verified")]
    Unverified(#[from] Unverified),
    /// The token is of another kind than the caller declared (RFC 8693, `subject_token_type`).
    #[error("token is of another kind than was declared")]
    DeclaredType,
    /// Nobody's identity.
    #[error("subject was not bound")]
    Unbound(#[from] Unbound),
    /// Nothing is granted.
    #[error("user was not permitted")]
    NotPermitted(#[from] NotPermitted),
    /// No token.
    #[error("token was not issued")]
    NotIssued(#[from] NotIssued),
}

impl Refusal {
    /// What the caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Unverified(why) => unverified(why),
            Self::DeclaredType => Problem::new(Code::WrongTokenType, detail::DECLARED_TYPE),
            Self::Unbound(Unbound::Retired) => Problem::new(Code::IdentityRetired, detail::RETIRED),
            Self::Unbound(Unbound::Conflict) => {
                Problem::new(Code::IdentityConflict, detail::CONFLICT)
            }
            Self::Unbound(Unbound::Unnamed(why)) => {
                Problem::new(Code::ClaimRuleFailed, detail::unnamed(*why))
            }
            Self::Unbound(Unbound::Unverified) => {
                Problem::new(Code::ClaimRuleFailed, detail::WAITS_UNVERIFIED)
            }
            Self::Unbound(Unbound::Store(why)) => Problem::new(
                Code::StoreUnavailable,
                match why {
                    StoreError::Rekeyed(_) => detail::REKEYED,
                    StoreError::Reformatted => detail::REFORMATTED,
                    StoreError::Unavailable(_) | StoreError::Damaged => detail::STORE_UNAVAILABLE,
                },
            ),
            Self::NotPermitted(why) => Problem::new(
                match why {
                    NotPermitted::NoGrant | NotPermitted::Service => Code::NotEntitled,
                    NotPermitted::Platform => Code::BadRequest,
                },
                detail::not_permitted(*why),
            ),
            Self::NotIssued(why) => Problem::new(
                match why {
                    NotIssued::Expiring => Code::TokenExpiring,
                    NotIssued::Unsigned => Code::InternalError,
                },
                detail::not_issued(*why),
            ),
        }
    }

    /// Whether the service that was asked for is what is refused (`invalid_target`, RFC 8693 section 2.2.2).
    pub fn is_about_target(&self) -> bool {
        matches!(self, Self::NotPermitted(NotPermitted::Service))
    }

    /// Itself, as a cause for the log.
    pub fn cause(&self) -> &(dyn Error + 'static) {
        self
    }
}

fn unverified(why: &Unverified) -> Problem {
    match why {
        Unverified::Malformed(what) => Problem::new(Code::MalformedToken, detail::malformed(*what)),
        Unverified::UnsupportedAlgorithm => {
            Problem::new(Code::UnsupportedAlgorithm, detail::ALGORITHM)
        }
        Unverified::UnknownIssuer(hint) => Problem::new(Code::UnknownIssuer, detail::issuer(*hint)),
        Unverified::UnknownKey => Problem::new(Code::UnknownKey, detail::UNKNOWN_KEY),
        Unverified::BadSignature => Problem::new(Code::BadSignature, detail::BAD_SIGNATURE),
        Unverified::Expired => Problem::new(Code::TokenExpired, detail::EXPIRED),
        Unverified::NotYetValid => Problem::new(Code::TokenNotYetValid, detail::NOT_YET_VALID),
        Unverified::WrongAudience(hint) => {
            Problem::new(Code::WrongAudience, detail::audience(*hint))
        }
        Unverified::WrongTokenType(hint) => {
            Problem::new(Code::WrongTokenType, detail::token_type(*hint))
        }
        Unverified::ClaimRule(message) => {
            let problem = Problem::new(Code::ClaimRuleFailed, detail::CLAIM_RULE);
            match message {
                Some(message) => problem.with_message(message),
                None => problem,
            }
        }
        Unverified::UnverifiedEmail => {
            Problem::new(Code::ClaimRuleFailed, detail::EMAIL_UNVERIFIED)
        }
        Unverified::IssuerUnavailable(why) => {
            Problem::new(Code::IssuerUnavailable, detail::ISSUER_UNAVAILABLE)
                .retry_after(why.retry_after)
        }
    }
}
