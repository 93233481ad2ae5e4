//! Reads a request's body, with a cap and a deadline (contract 2).
use super::problem::{Code, Problem};
use crate::inbound::detail;
use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use std::time::Duration;
use tokio::time::timeout;

/// How much is read, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// The most bytes a body may have.
    pub bytes: usize,
    /// From its first byte to its last.
    pub time: Duration,
}

/// A request's body as it comes in.
pub trait Inflow: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin> Inflow for B {}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reads `body` to its end.
///
/// # Errors
/// `body_too_large`, `request_timeout`, or `bad_request` where it is broken off or badly framed.
pub async fn read(body: impl Inflow, limit: BodyLimit) -> Result<Bytes, Problem> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit.bytes as u64 {
        return Err(Problem::new(Code::BodyTooLarge, detail::BODY_TOO_LARGE));
    }
    match timeout(limit.time, Limited::new(body, limit.bytes).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(Problem::new(Code::BodyTooLarge, detail::BODY_TOO_LARGE))
        }
        Ok(Err(_)) => Err(Problem::new(Code::BadRequest, detail::BODY_BROKEN)),
        Err(_) => Err(Problem::new(Code::RequestTimeout, detail::BODY_SLOW)),
    }
}
