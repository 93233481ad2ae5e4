//! Finds the credential of a request (contract 3, "Credentials").
use super::{
    detail,
    problem::{Code, Problem},
};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

/// The headers that may carry a token, in the order in which they are tried (`tokenSources`).
#[derive(Clone, Debug)]
pub(super) struct TokenHeaders(Box<[HeaderName]>);

impl TokenHeaders {
    pub(super) fn new(names: impl Into<Box<[HeaderName]>>) -> Self {
        Self(names.into())
    }

    /// The token of the first header that has one. A token in the query is never read.
    ///
    /// # Errors
    /// `bad_request` where it is not clear which token is meant: a proxy in front of us might take the other
    /// one. `missing_token`; `malformed_token` where it is no text.
    pub(super) fn find<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
        let mut found = None;
        for name in &self.0 {
            let Some(value) = only(headers, name)? else { continue };
            if found.is_none() {
                found = token(name, value)?;
            }
        }
        found.ok_or_else(|| Problem::new(Code::MissingToken, detail::MISSING))
    }
}

/// The one value of a header that may carry a credential.
///
/// # Errors
/// `bad_request` where there are several.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() || value.is_some_and(|value| value.as_bytes().contains(&b',')) {
        return Err(Problem::new(Code::BadRequest, detail::REPEATED_CREDENTIAL));
    }
    Ok(value)
}

/// What stands behind an authentication scheme, which may be written in any case (RFC 9110 section 11.1).
pub(super) fn behind<'a>(scheme: &str, text: &'a str) -> Option<&'a str> {
    let (said, rest) = text.split_at_checked(scheme.len())?;
    let rest = rest.strip_prefix(' ')?.trim_matches(' ');
    said.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The token in one header: behind `Bearer` in `Authorization` (RFC 6750 section 2.1, the scheme in any case),
/// elsewhere with or without it.
fn token<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<Option<&'a str>, Problem> {
    let Ok(text) = value.to_str() else {
        let malformed = detail::malformed(crate::flow::verify::Malformed::Encoding);
        return Err(Problem::new(Code::MalformedToken, malformed));
    };
    let token = match behind("bearer", text) {
        Some(token) => token,
        None if *name == AUTHORIZATION => "",
        None => text.trim_matches(' '),
    };
    Ok(Some(token).filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(headers: &[(&'static str, &'static str)]) -> Result<String, &'static str> {
        let names = [AUTHORIZATION, HeaderName::from_static("x-forwarded-access-token")];
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let found = TokenHeaders::new(names).find(&map).map(ToOwned::to_owned);
        found.map_err(|problem| problem.code().as_str())
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(find(&[("authorization", value)]), Ok("a.b.c".into()), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "Basic YTpi", "a.b.c", "Bearera.b.c"] {
            assert_eq!(find(&[("authorization", value)]), Err("missing_token"), "{value}");
        }
        assert_eq!(find(&[]), Err("missing_token"));
    }

    #[test]
    fn p10_two_values_are_never_chosen_from() {
        for headers in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")][..],
            &[("authorization", "Bearer a, Bearer b")],
            &[
                ("authorization", "Bearer a"),
                ("x-forwarded-access-token", "b"),
                ("x-forwarded-access-token", "b"),
            ],
        ] {
            assert_eq!(find(headers), Err("bad_request"), "{headers:?}");
        }
    }

    #[test]
    fn the_first_configured_header_that_has_a_token_wins() {
        let other = ("x-forwarded-access-token", "b");
        assert_eq!(find(&[other, ("authorization", "Bearer a")]), Ok("a".into()));
        assert_eq!(find(&[other, ("authorization", "Basic YTpi")]), Ok("b".into()));
        assert_eq!(find(&[("x-forwarded-access-token", "Bearer b")]), Ok("b".into()));
    }
}
