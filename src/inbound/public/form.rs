//! `application/x-www-form-urlencoded`, in queries and in bodies.
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The text does not decode to UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadForm;

/// The name and the value of each parameter, in order.
pub(super) fn parameters(
    text: &[u8],
) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), BadForm>> {
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
}
