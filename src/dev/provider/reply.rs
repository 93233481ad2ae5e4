//! Answers in the forms that the provider gives them, and the fields it is sent.
use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The members of a form or a query; a repeated one makes it wrong.
pub(super) type Fields = HashMap<String, String>;
/// What a request is answered with.
pub(super) type Answer = Response<Full<Bytes>>;

/// RFC 6749 section 5.2.
pub(super) fn oauth_error(code: &str) -> Answer {
    let mut answer = json_answer(&json!({"error": code}));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

/// JSON that any page may read: there is no cookie here, so nothing is lent.
pub(super) fn json_answer(value: &Value) -> Answer {
    let mut answer = text(StatusCode::OK, value.to_string());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("usher-mode", HeaderValue::from_static("dev"));
    answer
}
