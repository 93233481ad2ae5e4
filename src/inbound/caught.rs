//! Keeps one request's fault from being another's.
use super::{
    answer::Answer,
    detail,
    problem::{Code, Problem},
    request::RequestId,
};
use futures_util::FutureExt;
use http::HeaderMap;
use std::panic::AssertUnwindSafe;

/// What `work` returns, or `internal_error` where it panics: one request's fault must not be another's.
///
/// `work` is pinned by the caller, so that a few kilobytes of future are not moved with every request.
/// What the panic said is not told to anybody; the process's hook has written where it was.
pub(super) async fn caught<T>(work: impl Future<Output = T>, id: &RequestId) -> Result<T, Problem> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| {
        let problem = Problem::new(Code::InternalError, detail::INTERNAL);
        problem.log(id, None);
        problem
    })
}

/// The answer of `work`, its problem or its panic written as an answer, marked with the request's id and, where usher
/// runs for development, with `Usher-Mode`.
pub(super) async fn finished(
    work: impl Future<Output = Result<Answer, Problem>>,
    id: RequestId,
    dev: bool,
) -> Answer {
    let answer = caught(work, &id).await.unwrap_or_else(Err);
    let mut answer = answer.unwrap_or_else(|problem| problem.answer(&id, HeaderMap::new()));
    id.mark(answer.headers_mut(), dev);
    answer
}
