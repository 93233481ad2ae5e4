//! Twilio's string identifiers: two letters that say what it names, and 32 hexadecimal digits.
use std::{fmt, marker::PhantomData};

/// What a SID names.
pub trait Kind {
    /// The two letters it begins with.
    const PREFIX: &'static str;
    /// What it is called, with its article.
    const NAME: &'static str;
}

/// A SID of kind `K`, right in shape. Whether Twilio knows it is another question.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sid<K>(Box<str>, PhantomData<K>);

impl<K> Sid<K> {
    /// The SID as Twilio wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<K> fmt::Debug for Sid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<K> fmt::Display for Sid<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<K: Kind> std::str::FromStr for Sid<K> {
    type Err = InvalidSid;

    fn from_str(text: &str) -> Result<Self, InvalidSid> {
        let well_formed =
            |rest: &str| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit());
        if text.strip_prefix(K::PREFIX).is_some_and(well_formed) {
            return Ok(Self(text.into(), PhantomData));
        }
        let found =
            KNOWN.iter().find(|(prefix, _)| text.strip_prefix(prefix).is_some_and(well_formed));
        Err(match found {
            Some((_, name)) => {
                InvalidSid::Other { found: name, prefix: K::PREFIX, wanted: K::NAME }
            }
            None => InvalidSid::Shape { prefix: K::PREFIX, wanted: K::NAME },
        })
    }
}

/// Why a text is not the SID that belongs here. The text itself is not repeated: it may be a secret
/// that was pasted into the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSid {
    /// A SID of another kind. `MG…` for `IS…` is Twilio's commonest support case.
    #[error("this is the SID of {found}; {wanted} is {prefix} and 32 hexadecimal digits")]
    Other {
        /// What the given SID names.
        found: &'static str,
        /// The letters that belong here.
        prefix: &'static str,
        /// What belongs here.
        wanted: &'static str,
    },
    /// Not a SID at all.
    #[error("{wanted} is {prefix} and 32 hexadecimal digits")]
    Shape {
        /// The letters that belong here.
        prefix: &'static str,
        /// What belongs here.
        wanted: &'static str,
    },
}

macro_rules! kinds {
    ($($alias:ident $kind:ident $prefix:literal $name:literal;)*) => {$(
        #[doc = concat!("Names ", $name, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
        }
        #[doc = concat!("The SID of ", $name, ", `", $prefix, "…`.")]
        pub type $alias = Sid<$kind>;
    )*};
}

kinds! {
    AccountSid Account "AC" "an account";
    ApiKeySid ApiKey "SK" "an API key";
    ServiceSid Service "IS" "a Conversations service";
    PushCredentialSid PushCredential "CR" "a push credential";
    RoleSid Role "RL" "a role";
}

/// SIDs that are put in the wrong place, and what they name.
const KNOWN: &[(&str, &str)] = &[
    ("AC", "an account"),
    ("CH", "a conversation"),
    ("CR", "a push credential"),
    ("IS", "a Conversations service"),
    ("KS", "a Verify or Video resource"),
    ("MG", "a Messaging service"),
    ("PN", "a phone number"),
    ("RL", "a role"),
    ("SK", "an API key"),
    ("US", "a user"),
    ("VA", "a Verify service"),
    ("ZS", "a Sync service"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messaging_service_where_a_conversations_service_belongs_is_named() {
        let error = "MG0123456789abcdef0123456789abcdef".parse::<ServiceSid>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "this is the SID of a Messaging service; a Conversations service is IS and 32 hexadecimal digits"
        );
    }

    #[test]
    fn a_sid_has_32_hexadecimal_digits() {
        assert!("IS0123456789abcdef0123456789abcdef".parse::<ServiceSid>().is_ok());
        for wrong in
            ["", "IS", "IS0123456789abcdef0123456789abcde", "IS0123456789abcdef0123456789abcdeg"]
        {
            assert!(wrong.parse::<ServiceSid>().is_err(), "{wrong}");
        }
    }
}
