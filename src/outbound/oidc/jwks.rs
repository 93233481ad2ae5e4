//! The JWK Set document (RFC 7517 section 5).
use crate::token::key::{KeySet, SkippedKey, UnreadableKeySet};

/// How many bytes a JWK Set may have.
pub const CAP: usize = 512 * 1024;

/// Reads the keys that can be used, and which ones cannot.
///
/// # Errors
/// The text is not a JWK Set, or nothing in it can be used: an issuer that signs has a key, so that an empty set
/// is its mistake, and must not replace a good one.
pub fn read(document: &[u8]) -> Result<(KeySet, Vec<SkippedKey>), UnusableKeys> {
    let (keys, skipped) = KeySet::read(document)?;
    if keys.is_empty() {
        return Err(UnusableKeys::None { skipped: skipped.len() });
    }
    Ok((keys, skipped))
}

/// Why a JWK Set is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKeys {
    /// Not a JWK Set.
    #[error(transparent)]
    Unreadable(#[from] UnreadableKeySet),
    /// Not one usable key.
    #[error("key set has no usable key ({skipped} unusable)")]
    None {
        /// How many keys were passed over.
        skipped: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_without_a_usable_key_is_an_error() {
        assert_eq!(read(br#"{"keys":[]}"#).unwrap_err(), UnusableKeys::None { skipped: 0 });
        let symmetric = br#"{"keys":[{"kty":"oct","k":"AAAA","kid":"a"}]}"#;
        assert_eq!(read(symmetric).unwrap_err(), UnusableKeys::None { skipped: 1 });
    }

    #[test]
    fn p6_what_is_not_a_key_set_is_an_error() {
        for text in ["", "<html>", "{}", "[]", r#"{"keys":{}}"#] {
            let error = read(text.as_bytes()).unwrap_err();
            assert_eq!(error, UnusableKeys::Unreadable(UnreadableKeySet), "{text}");
        }
    }

    #[test]
    fn a_bad_key_beside_a_good_one_is_passed_over() {
        let set = br#"{"keys":[{"kty":"oct","k":"AAAA","kid":"bad"},
            {"kty":"OKP","crv":"Ed25519","kid":"good","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let (keys, skipped) = read(set).unwrap();
        assert!(keys.has("good") && !keys.has("bad"));
        assert_eq!(skipped.len(), 1);
    }
}
