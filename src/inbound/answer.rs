//! Answers, in the forms that usher gives them.
use super::contents::Contents;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

/// An answer.
pub type Answer = Response<Contents>;

/// RFC 8259.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// RFC 9457.
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// RFC 7519 section 10.3.1.
pub const JWT: HeaderValue = HeaderValue::from_static("application/jwt");
/// Plain text.
pub const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// HTML.
pub const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// RFC 9239.
pub const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An answer that no cache may keep. Its headers go into `recycled`, the request's own map, whose room would
/// otherwise be thrown away: nothing that is in it stays.
pub fn text(status: StatusCode, kind: HeaderValue, body: Bytes, recycled: HeaderMap) -> Answer {
    let mut headers = recycled;
    headers.clear();
    headers.insert(CONTENT_TYPE, kind);
    headers.insert(CACHE_CONTROL, NO_STORE);
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// An answer without a body that no cache may keep.
pub fn empty(status: StatusCode, recycled: HeaderMap) -> Answer {
    let mut headers = recycled;
    headers.clear();
    headers.insert(CACHE_CONTROL, NO_STORE);
    let mut answer = Response::new(Contents::default());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}
