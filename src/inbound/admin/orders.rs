//! What an operator orders, as strict JSON.
use crate::{
    domain::subject::Subject,
    inbound::{
        body::{self, BodyLimit, Inflow},
        detail,
        problem::{Code, Problem},
    },
};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde::{Deserialize, de::DeserializeOwned};

/// `{namespace, subject, reason}`: about a subject.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AboutSubject {
    namespace: String,
    subject: String,
    reason: String,
}

/// `{reason}`: about the identity in the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AboutIdentity {
    reason: String,
}

impl AboutSubject {
    /// Who is meant, and why.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn take(self) -> Result<(Subject, Box<str>), Problem> {
        Ok((subject(&self.namespace, &self.subject)?, reason(self.reason)?))
    }

    /// The same where the registry will have the subject: not one where only guests and API tokens are (contract 4).
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn take_own(self) -> Result<(Subject, Box<str>), Problem> {
        let (subject, why) = self.take()?;
        if subject.namespace().is_reserved() {
            return Err(Problem::new(Code::BadRequest, detail::RESERVED_NAMESPACE));
        }
        Ok((subject, why))
    }
}

impl AboutIdentity {
    /// Why.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn take(self) -> Result<Box<str>, Problem> {
        reason(self.reason)
    }
}

/// A subject as a caller names it.
///
/// # Errors
/// `bad_request`.
pub(super) fn subject(namespace: &str, subject: &str) -> Result<Subject, Problem> {
    Subject::stored(namespace, subject).map_err(|_| Problem::new(Code::BadRequest, detail::SUBJECT))
}

/// 1 to 1 000 characters that can stand in a line of a log.
fn reason(text: String) -> Result<Box<str>, Problem> {
    let long = text.chars().nth(1000).is_some();
    if text.trim().is_empty() || long || text.contains(char::is_control) {
        return Err(Problem::new(Code::BadRequest, detail::REASON));
    }
    Ok(text.into())
}

/// Reads a body that is one JSON object: no unknown member, none twice, none of another type.
///
/// # Errors
/// `unsupported_media_type`, `bad_request`, and those of [`body::read`].
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: impl Inflow,
    limit: BodyLimit,
) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType, detail::JSON_TYPE));
    }
    let text = body::read(body, limit).await?;
    let wrong = || Problem::new(Code::BadRequest, detail::JSON_ORDER);
    // serde would take an array for an object, its items in the order of the members.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong());
    }
    serde_json::from_slice(&text).map_err(|_| wrong())
}

/// A page of another origin can send a few other types without asking first.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else { return false };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::FutureExt as _;
    use http::HeaderValue;
    use http_body_util::Full;
    use std::time::Duration;

    fn order(kind: &[&'static str], text: &'static str) -> Result<AboutSubject, &'static str> {
        let mut headers = HeaderMap::new();
        for kind in kind {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let limit = BodyLimit { bytes: 1 << 16, time: Duration::from_secs(1) };
        let read = read(&headers, Full::new(Bytes::from(text)), limit);
        read.now_or_never().unwrap().map_err(|problem| problem.code().as_str())
    }

    const GOOD: &str = r#"{"namespace": "corp", "subject": "a", "reason": "why"}"#;

    #[tokio::test]
    async fn an_order_is_one_object_of_known_members_each_once() {
        let taken = order(&["application/json; charset=utf-8"], GOOD).ok().unwrap().take().unwrap();
        assert_eq!((taken.0.id().as_str(), &*taken.1), ("a", "why"));
        for text in [
            "",
            "null",
            r#"["corp", "a", "why"]"#,
            r#"{"namespace": "corp", "subject": "a"}"#,
            r#"{"namespace": "corp", "subject": "a", "reason": "why", "force": true}"#,
            r#"{"namespace": "corp", "subject": "a", "reason": "why", "reason": "why"}"#,
            r#"{"namespace": "corp", "subject": 5, "reason": "why"}"#,
            r#"{"namespace": "corp", "subject": null, "reason": "why"}"#,
            r#"{"namespace": "corp", "subject": "a", "reason": "why"} {}"#,
            r#"{"namespace": "corp", "subject": "\ud800", "reason": "why"}"#,
        ] {
            assert_eq!(order(&["application/json"], text).err(), Some("bad_request"), "{text}");
        }
    }

    #[tokio::test]
    async fn p14_what_a_form_can_send_is_no_order() {
        for kind in [
            &["text/plain"][..],
            &["application/x-www-form-urlencoded"],
            &["multipart/form-data; boundary=application/json"],
            &["application/jsonp"],
            &["application/json", "text/plain"],
            &[],
        ] {
            assert_eq!(order(kind, GOOD).err(), Some("unsupported_media_type"), "{kind:?}");
        }
    }

    #[test]
    fn a_reason_is_a_line_of_1_to_1000_characters() {
        assert!(reason("ë".repeat(1000)).is_ok());
        for text in [String::new(), " ".into(), "a".repeat(1001), "a\nb".into(), "a\u{9f}".into()] {
            assert_eq!(reason(text).unwrap_err().code(), Code::BadRequest);
        }
    }
}
