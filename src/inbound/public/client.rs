//! `client.js`: the module that front ends load.
use crate::inbound::answer::{self, Answer};
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
    },
};
use std::fmt::Write;

const SOURCE: &[u8] = include_bytes!("client.js");

/// The script and its strong entity tag.
#[derive(Clone, Debug)]
pub(super) struct ClientScript {
    tag: HeaderValue,
}

impl ClientScript {
    pub(super) fn new() -> Self {
        let mut tag = String::from("\"");
        for byte in digest(&SHA256, SOURCE).as_ref().iter().take(16) {
            // Writing to a String does not fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        Self { tag: tag.parse().unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    /// The only answer that may be cached. It holds nothing of anybody, so any origin may read it.
    pub(super) fn answer(&self, request: HeaderMap) -> Answer {
        let mut answer = if self.is_known(&request) {
            answer::empty(StatusCode::NOT_MODIFIED, request)
        } else {
            let body = Bytes::from_static(SOURCE);
            answer::text(StatusCode::OK, answer::JAVASCRIPT, body, request)
        };
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        headers.insert(ETAG, self.tag.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }

    /// RFC 9110 section 13.1.2: the comparison is weak.
    fn is_known(&self, request: &HeaderMap) -> bool {
        request.get_all(IF_NONE_MATCH).iter().any(|value| {
            value.to_str().unwrap_or_default().split(',').map(str::trim).any(|tag| {
                tag == "*"
                    || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.tag.as_bytes()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_sent_again_only_to_those_who_have_another() {
        let script = ClientScript::new();
        let tag = script.tag.to_str().unwrap().to_owned();
        for (known, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"other\", {tag}"), 304),
            ("*".into(), 304),
            ("\"other\"".into(), 200),
            (String::new(), 200),
        ] {
            let mut request = HeaderMap::new();
            request.insert(IF_NONE_MATCH, known.parse().unwrap());
            let answer = script.answer(request);
            assert_eq!(answer.status(), status, "{known}");
            assert_eq!(answer.headers()[ETAG], tag);
            assert_eq!(answer.headers()[CACHE_CONTROL], "public, max-age=300");
        }
        assert!(SOURCE.len() <= 4096, "contract 3: at most 4 KiB");
    }
}
