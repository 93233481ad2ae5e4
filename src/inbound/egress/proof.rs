//! Proof that a request was meant for this listener (contract 2, "Egress"): a server-side request forgery in the app can
//! send a plain GET to loopback, and no more than that.
use crate::{
    domain::secret::Secret,
    inbound::{
        credential, detail,
        problem::{Code, Problem},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

const MARK: HeaderName = HeaderName::from_static("usher-egress");

/// What proves it.
#[derive(Clone, Debug)]
pub struct Proof {
    sids: Box<[Box<str>]>,
    token: Option<Secret>,
}

impl Proof {
    /// The account's and the keys' `sids` as user names, with `egress.token` where it is set.
    pub fn new(sids: impl Into<Box<[Box<str>]>>, token: Option<Secret>) -> Self {
        Self { sids: sids.into(), token }
    }

    /// Looks for the proof.
    ///
    /// # Errors
    /// `origin_refused` without it; `bad_request` where a header that may hold it is repeated.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let basic = credential::only(headers, &AUTHORIZATION)?;
        let basic = basic.and_then(|value| value.to_str().ok());
        let basic = basic.and_then(|text| credential::behind("basic", text));
        let mut marks = headers.get_all(MARK).iter();
        let mark = marks.next();
        if marks.next().is_some() {
            return Err(Problem::new(Code::BadRequest, detail::REPEATED_PROOF));
        }
        if basic.is_some_and(|basic| self.is_meant(basic))
            || mark.is_some_and(|mark| self.is_marked(mark.as_bytes()))
        {
            return Ok(());
        }
        Err(Problem::new(Code::OriginRefused, detail::NO_PROOF))
    }

    /// `user-id:password` (RFC 7617 section 2).
    fn is_meant(&self, basic: &str) -> bool {
        let Ok(pair) = STANDARD.decode(basic) else { return false };
        let mut parts = pair.splitn(2, |byte| *byte == b':');
        let (Some(user), Some(password)) = (parts.next(), parts.next()) else { return false };
        let known = self.sids.iter().any(|sid| sid.as_bytes() == user);
        known && self.token.as_ref().is_none_or(|token| is_same(token, password))
    }

    fn is_marked(&self, mark: &[u8]) -> bool {
        self.token.as_ref().map_or(mark == b"1", |token| is_same(token, mark))
    }
}

/// Takes a time that tells only whether the lengths are equal.
fn is_same(token: &Secret, shown: &[u8]) -> bool {
    token.reveal().ct_eq(shown).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn checked(token: Option<&str>, headers: &[(HeaderName, String)]) -> Result<(), &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        let proof = Proof::new(["AC1".into(), "SK1".into()], token.map(Secret::text));
        proof.check(&map).map_err(|problem| problem.code().as_str())
    }

    fn basic(pair: &str) -> (HeaderName, String) {
        (AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
    }

    fn mark(value: &str) -> (HeaderName, String) {
        (MARK, value.to_owned())
    }

    const REFUSED: Result<(), &str> = Err("origin_refused");

    #[test]
    fn what_the_sdks_send_and_the_header_prove_it() {
        for headers in [basic("AC1:placeholder"), basic("SK1:"), basic("AC1:a:b"), mark("1")] {
            assert_eq!(checked(None, std::slice::from_ref(&headers)), Ok(()), "{headers:?}");
        }
        assert_eq!(checked(None, &[basic("AC2:x"), mark("1")]), Ok(()));
    }

    #[test]
    fn p19_a_plain_request_proves_nothing() {
        assert_eq!(checked(None, &[]), REFUSED);
        for headers in [
            basic("AC2:x"),
            basic("ac1:x"),
            basic("AC1"),
            basic(":x"),
            (AUTHORIZATION, "Basic AC1:x".into()),
            (AUTHORIZATION, "Bearer AC1".into()),
            (AUTHORIZATION, "Basic".into()),
            mark(""),
            mark("0"),
            mark("true"),
        ] {
            assert_eq!(checked(None, std::slice::from_ref(&headers)), REFUSED, "{headers:?}");
        }
    }

    #[test]
    fn p19_where_a_token_is_set_nothing_less_proves_it() {
        let token = Some("hunter2");
        for headers in [basic("AC1:hunter2"), mark("hunter2")] {
            assert_eq!(checked(token, std::slice::from_ref(&headers)), Ok(()), "{headers:?}");
        }
        for headers in [
            basic("AC1:x"),
            basic("AC1:"),
            basic("AC2:hunter2"),
            mark("1"),
            mark("hunter"),
            mark(""),
        ] {
            assert_eq!(checked(token, std::slice::from_ref(&headers)), REFUSED, "{headers:?}");
        }
    }

    #[test]
    fn p10_two_values_are_never_chosen_from() {
        for headers in [
            [basic("AC1:x"), basic("AC1:x")],
            [(AUTHORIZATION, "Basic QUMxOng=, Basic x".into()), mark("1")],
            [mark("1"), mark("1")],
        ] {
            assert_eq!(checked(None, &headers), Err("bad_request"), "{headers:?}");
        }
    }

    #[test]
    fn p13_a_proof_does_not_print_its_token() {
        let proof = Proof::new([], Some(Secret::text("hunter2")));
        assert!(!format!("{proof:?}").contains("hunter2"));
    }
}
