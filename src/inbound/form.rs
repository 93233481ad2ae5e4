//! `application/x-www-form-urlencoded`, in queries and in bodies.
use super::{
    detail,
    problem::{Code, Problem},
};
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The text does not decode to UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadForm;

/// Name and value.
type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// As [`parameters`], where every `%` must begin an encoded byte: what is looked up or changed must be exactly what was
/// meant.
pub(super) fn strict_parameters(text: &str) -> Result<Vec<Parameter<'_>>, BadForm> {
    if has_stray_percent(text) {
        return Err(BadForm);
    }
    parameters(text.as_bytes()).collect()
}

/// The values of the parameters that are known, each at most once, strictly.
///
/// # Errors
/// `bad_request`; also for a parameter that is not known, which may be a slip of one that is.
pub(super) fn only_these<'a, const N: usize>(
    query: &'a str,
    known: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], Problem> {
    let wrong = |detail| Problem::new(Code::BadRequest, detail);
    let mut found = [const { None }; N];
    for (name, value) in strict_parameters(query).map_err(|_| wrong(detail::BAD_QUERY))? {
        let place = known.iter().position(|known| *known == name);
        let place = place.and_then(|at| found.get_mut(at));
        let place = place.ok_or_else(|| wrong(detail::UNKNOWN_PARAMETER))?;
        if place.replace(value).is_some() {
            return Err(wrong(detail::REPEATED_PARAMETER));
        }
    }
    Ok(found)
}

/// One segment of a path, decoded once; a `+` is a plus.
pub(super) fn segment(text: &str) -> Result<Cow<'_, str>, BadForm> {
    if has_stray_percent(text) {
        return Err(BadForm);
    }
    percent_decode(text.as_bytes()).decode_utf8().map_err(|_| BadForm)
}

/// Whether a `%` is not followed by two hexadecimal digits (RFC 3986 section 2.1).
fn has_stray_percent(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        !matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    })
}

/// The name and the value of each parameter, in order.
pub(super) fn parameters(text: &[u8]) -> impl Iterator<Item = Result<Parameter<'_>, BadForm>> {
    text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).map(|part| {
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        Ok((decode(name)?, decode(value)?))
    })
}

fn decode(text: &[u8]) -> Result<Cow<'_, str>, BadForm> {
    if !text.contains(&b'+') {
        return percent_decode(text).decode_utf8().map_err(|_| BadForm);
    }
    let spaced: Vec<u8> = text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    let decoded = percent_decode(&spaced).decode_utf8().map_err(|_| BadForm)?;
    Ok(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_once() {
        let read: Vec<_> = parameters(b"a=b%2Bc+d&&%61=%2561&e&=f").map(Result::unwrap).collect();
        let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(read, [("a", "b+c d"), ("a", "%61"), ("e", ""), ("", "f")]);
        assert_eq!(parameters(b"a=%ff").next(), Some(Err(BadForm)));
    }

    #[test]
    fn strictly_no_percent_stands_alone() {
        for text in ["%", "%4", "%zz", "a%2", "%%41", "a=%4g", "%ff"] {
            assert_eq!(segment(text), Err(BadForm), "{text}");
            assert_eq!(strict_parameters(text), Err(BadForm), "{text}");
        }
        assert_eq!(segment("a%2Fb+%25c%C3%AB").unwrap(), "a/b+%cë");
        assert_eq!(strict_parameters("a=%2b").unwrap(), [("a".into(), "+".into())]);
    }
}
