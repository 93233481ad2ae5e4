//! What those listeners work with that ask the registry.
use super::{
    answer::{self, Answer},
    detail, form,
    problem::{Code, Problem},
    request::RequestId,
};
use crate::{domain::identity::ChatIdentity, flow::registry::Registrar, ports::store::StoreError};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

/// The registry, and the request that asks it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'a> {
    pub(super) registrar: &'a Registrar,
    pub(super) id: &'a RequestId,
}

impl Desk<'_> {
    /// What is said where the store cannot answer; why is for the log.
    pub(super) fn store_failed(&self, error: &StoreError) -> Problem {
        let detail = match error {
            StoreError::Rekeyed(_) => detail::REKEYED,
            StoreError::Reformatted => detail::REFORMATTED,
            StoreError::Unavailable(_) | StoreError::Damaged => detail::STORE_UNAVAILABLE,
        };
        let problem = Problem::new(Code::StoreUnavailable, detail);
        problem.log(self.id, Some(error));
        problem
    }
}

/// The identity that a segment of a path names.
///
/// # Errors
/// `bad_request` where it does not decode; `not_found` where no identity can be called so.
pub(super) fn named(segment: &str) -> Result<ChatIdentity, Problem> {
    let text =
        form::segment(segment).map_err(|_| Problem::new(Code::BadRequest, detail::BAD_IDENTITY))?;
    ChatIdentity::imported(&text)
        .map_err(|_| Problem::new(Code::NotFound, detail::UNKNOWN_IDENTITY))
}

/// Answers with `value` as JSON.
///
/// # Errors
/// `internal_error` where it cannot be written, which no value of ours is.
pub(super) fn json(value: &impl Serialize, recycled: HeaderMap) -> Result<Answer, Problem> {
    let text = serde_json::to_vec(value);
    let text = text.map_err(|_| Problem::new(Code::InternalError, detail::INTERNAL))?;
    Ok(answer::text(StatusCode::OK, answer::JSON, text.into(), recycled))
}
