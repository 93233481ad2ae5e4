//! Readable identities: what a claim or an expression says, encoded so that no two texts become one (contract 4).
use super::{ChatIdentity, InvalidChatIdentity};
use std::{fmt::Write as _, str::FromStr};

/// What the readable identities of an issuer begin with: up to 64 of `[A-Za-z0-9._-]`, and not the beginning of
/// derived or guest identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityPrefix(Box<str>);

impl IdentityPrefix {
    /// The prefix as it was written; empty where there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdentityPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        // A `~` in it could be read as the beginning of an encoded byte.
        if text.len() > 64 || !text.bytes().all(is_literal) {
            return Err(InvalidPrefix::Alphabet);
        }
        if is_of_another_kind(text) {
            return Err(InvalidPrefix::Kind);
        }
        Ok(Self(text.into()))
    }
}

/// Why a text is not an [`IdentityPrefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrefix {
    /// Too long, or a character that would have to be encoded.
    #[error("prefix is not up to 64 letters, digits, dots, hyphens and underscores")]
    Alphabet,
    /// It begins like another kind of identity.
    #[error("prefix begins like a derived or guest identity")]
    Kind,
}

impl ChatIdentity {
    /// The readable identity of `value`: the prefix, then the value with each byte outside `A-Z a-z 0-9 - . _` as
    /// `~XX` in upper-case hexadecimal. Two values never have one identity under the same prefix.
    ///
    /// # Errors
    /// Each variant of [`NotNamed`]; none repeats the value.
    pub fn readable(prefix: &IdentityPrefix, value: &str) -> Result<Self, NotNamed> {
        if value.is_empty() {
            return Err(NotNamed::Empty);
        }
        if value.contains(char::is_control) {
            return Err(NotNamed::Control);
        }
        // Encoding only makes it longer; a token may hold a text of many kilobytes.
        if value.len() > 256 {
            return Err(NotNamed::TooLong);
        }
        let text = encoded(prefix, value);
        if is_of_another_kind(&text) {
            return Err(NotNamed::Kind);
        }
        text.parse().map_err(|invalid| match invalid {
            InvalidChatIdentity::Alphabet => NotNamed::TooLong,
            InvalidChatIdentity::Reserved => NotNamed::Reserved,
        })
    }
}

fn encoded(prefix: &IdentityPrefix, value: &str) -> String {
    let mut text = String::with_capacity(prefix.as_str().len() + value.len());
    text.push_str(prefix.as_str());
    for byte in value.bytes() {
        if is_literal(byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "~{byte:02X}");
        }
    }
    text
}

/// The alphabet of identities less `~`, which begins an encoded byte: encoded too, it keeps the encoding injective.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Nobody may name themselves into the derived identities or the guests'.
fn is_of_another_kind(text: &str) -> bool {
    text.starts_with("u-") || text.starts_with("g-")
}

/// Why a text names nobody. Tells nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNamed {
    /// There is no character in it.
    #[error("value is empty")]
    Empty,
    /// It holds a control character, U+0000 to U+001F or U+007F to U+009F.
    #[error("value has a control character")]
    Control,
    /// The identity would be longer than 256 characters.
    #[error("value is too long")]
    TooLong,
    /// Twilio or a URL gives the identity another meaning.
    #[error("value makes an identity of a reserved form")]
    Reserved,
    /// The identity would look like a derived one (`u-`) or a guest's (`g-`).
    #[error("value makes an identity that begins with u- or g-")]
    Kind,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> IdentityPrefix {
        text.parse().unwrap()
    }

    fn named(under: &str, value: &str) -> Result<String, NotNamed> {
        ChatIdentity::readable(&prefix(under), value).map(|identity| identity.as_str().to_owned())
    }

    /// Reads an identity back, by the sentence of the contract.
    fn decoded(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let coded = byte == b'~';
            let digits = coded.then(|| [rest.next().unwrap(), rest.next().unwrap()]);
            bytes.push(digits.map_or(byte, |digits| {
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }));
        }
        bytes
    }

    #[test]
    fn a_readable_identity_is_the_prefix_and_the_encoded_value() {
        for (under, value, identity) in [
            ("", "E-0815", "E-0815"),
            ("emp-", "0815", "emp-0815"),
            ("", "alice@example.com", "alice~40example.com"),
            ("", "Zoë-李", "Zo~C3~AB-~E6~9D~8E"),
            ("", "a~40b", "a~7E40b"),
            ("", " ", "~20"),
            ("", "a/../b", "a~2F..~2Fb"),
            ("s.", "system", "s.system"),
            ("", "System", "System"),
        ] {
            assert_eq!(named(under, value).as_deref(), Ok(identity), "{value}");
        }
    }

    #[test]
    fn a_value_that_must_not_be_an_identity_says_why() {
        let sid = format!("US{}", "0".repeat(32));
        for (under, value, why) in [
            ("", "", NotNamed::Empty),
            ("emp-", "", NotNamed::Empty),
            ("", "a\nb", NotNamed::Control),
            ("", "\u{0}", NotNamed::Control),
            ("", "\u{7f}", NotNamed::Control),
            ("", "a\u{9f}", NotNamed::Control),
            ("", &"a".repeat(257), NotNamed::TooLong),
            ("e", &"a".repeat(256), NotNamed::TooLong),
            ("", &"é".repeat(43), NotNamed::TooLong),
            ("", ".", NotNamed::Reserved),
            (".", ".", NotNamed::Reserved),
            ("", "system", NotNamed::Reserved),
            ("pri", "vate", NotNamed::Reserved),
            ("", &sid, NotNamed::Reserved),
            ("", "u-d3j7cm4uyqsr24th2j5j4osoqi", NotNamed::Kind),
            ("", "g-1", NotNamed::Kind),
            ("u", "-1", NotNamed::Kind),
        ] {
            assert_eq!(named(under, value), Err(why), "{under:?} {value:?}");
        }
        assert!(named("", &"a".repeat(256)).is_ok());
        assert!(named("", &"é".repeat(42)).is_ok());
        // The first character behind the controls.
        assert_eq!(named("", "\u{a0}").as_deref(), Ok("~C2~A0"));
    }

    #[test]
    fn a_prefix_is_plain_and_of_no_other_kind() {
        assert_eq!(prefix("staff.").as_str(), "staff.");
        assert_eq!(IdentityPrefix::default(), prefix(""));
        let long = "a".repeat(65);
        for text in ["a~", "a b", "é", "a/", &long] {
            assert_eq!(text.parse::<IdentityPrefix>(), Err(InvalidPrefix::Alphabet), "{text}");
        }
        for text in ["u-", "g-x"] {
            assert_eq!(text.parse::<IdentityPrefix>(), Err(InvalidPrefix::Kind), "{text}");
        }
    }

    fn value() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[^\\p{Cc}]{1,40}").unwrap()
    }

    /// Texts that a sloppy encoding would confuse.
    fn tricky() -> impl Strategy<Value = String> {
        proptest::string::string_regex("[~047EFaAeE@ ]{1,6}").unwrap()
    }

    proptest! {
        #[test]
        fn p12_a_readable_identity_can_be_read_back_and_is_of_the_alphabet(
            under in "[A-Za-z0-9._]{0,8}", value in prop_oneof![value(), tricky()],
        ) {
            match named(&under, &value) {
                Ok(identity) => {
                    let coded = identity.strip_prefix(under.as_str()).unwrap();
                    prop_assert_eq!(decoded(coded), value.as_bytes());
                    prop_assert!(identity.bytes().all(
                        |b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)
                    ));
                    prop_assert!(identity.len() <= 256);
                    prop_assert!(identity.parse::<ChatIdentity>().is_ok());
                }
                Err(why) => prop_assert!(matches!(
                    why, NotNamed::TooLong | NotNamed::Reserved | NotNamed::Kind
                )),
            }
        }

        #[test]
        fn p12_different_values_have_different_identities(
            under in "[A-Za-z0-9._]{0,8}",
            (one, other) in prop_oneof![(value(), value()), (tricky(), tricky())],
        ) {
            if let (Ok(of_one), Ok(of_other)) = (named(&under, &one), named(&under, &other)) {
                prop_assert_eq!(one == other, of_one == of_other);
            }
            // Nor has whoever is called what another's name is encoded as.
            if let Ok(of_one) = named(&under, &one) {
                let coded = of_one.strip_prefix(under.as_str()).unwrap();
                prop_assert_eq!(coded == one, named(&under, coded) == Ok(of_one.clone()));
            }
        }

        #[test]
        fn any_text_at_all_gives_an_identity_of_the_alphabet_or_none(text in any::<String>()) {
            if let Ok(identity) = named("", &text) {
                prop_assert_eq!(decoded(&identity), text.as_bytes());
                prop_assert!(!text.contains(char::is_control));
            }
        }
    }
}
