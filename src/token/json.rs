//! JSON as tokens must write it: one object, each member once, not too deep.
use crate::domain::time::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value, map::Entry};

/// How deep objects and arrays may be nested, the outermost included (contract 3).
const DEEPEST: u8 = 32;

/// The greatest moment a claim may name, 2^53 - 1: beyond it doubles skip whole numbers.
const LAST: u64 = (1 << 53) - 1;

/// The text is not one JSON object in UTF-8, or a member occurs twice, or it is nested too deeply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotOneObject;

/// Reads one object. Two members of one name are an error, however the names are escaped: which of two `sub` is meant is
/// what the attacker hopes two programs see differently.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, NotOneObject> {
    // serde_json itself stops at a depth of 128, so nothing overflows before the depth is looked at.
    let Members(members) = serde_json::from_slice(bytes).map_err(|_| NotOneObject)?;
    let shallow = members.values().all(|value| fits(value, DEEPEST - 1));
    if shallow { Ok(members) } else { Err(NotOneObject) }
}

fn fits(value: &Value, levels: u8) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Array(items) => levels > 0 && items.iter().all(|item| fits(item, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values().all(|member| fits(member, levels - 1))
        }
    }
}

struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OncePerName)
    }
}

struct OncePerName;

impl<'de> Visitor<'de> for OncePerName {
    type Value = Members;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            match members.entry(name) {
                Entry::Vacant(free) => free.insert(access.next_value()?),
                Entry::Occupied(_) => return Err(A::Error::custom("a member occurs twice")),
            };
        }
        Ok(Members(members))
    }
}

/// A `NumericDate` (RFC 7519 section 2): a number from 0 to 2^53 - 1, its fraction dropped. Anything else is none, so
/// that a claim of the wrong type is never taken for an absent one.
pub fn seconds(value: &Value) -> Option<Timestamp> {
    let whole = value.as_u64().or_else(|| whole_part(value.as_f64()?))?;
    (whole <= LAST).then_some(Timestamp(whole))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
fn whole_part(number: f64) -> Option<u64> {
    (0.0..=9_007_199_254_740_991.0).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_a_duplicate_member_is_refused_however_it_is_escaped() {
        assert!(object(br#"{"sub":"a","sub":"a"}"#).is_err());
        assert!(object(br#"{"sub":"a","s\u0075b":"b"}"#).is_err());
        assert!(object(br#"{"sub":"a","Sub":"b","x":{"sub":1}}"#).is_ok());
    }

    #[test]
    fn only_one_object_in_utf_8_is_read() {
        for text in [
            &b""[..],
            b"1",
            b"[]",
            b"null",
            b"\"{}\"",
            b"{} {}",
            b"{},",
            b"{\"a\":1,}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{a:1}",
            b"{\"a\":NaN}",
            b"{\"a\":01}",
            b"{\"a\":1e400}",
            b"{\"a\":\"\n\"}",
            b"{'a':1}",
            b"{\"a\":1",
            b"\0{}",
        ] {
            assert_eq!(object(text), Err(NotOneObject), "{}", String::from_utf8_lossy(text));
        }
        assert!(object(b" {\t\"a\" : 1 }\r\n").is_ok());
    }

    #[test]
    fn an_object_may_be_32_levels_deep_and_no_deeper() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize| {
                format!("{{\"a\":{}0{}}}", open.repeat(levels - 1), close.repeat(levels - 1))
            };
            assert!(object(nested(32).as_bytes()).is_ok());
            assert!(object(nested(33).as_bytes()).is_err());
            assert!(object(nested(5000).as_bytes()).is_err());
        }
    }

    #[test]
    fn p5_a_moment_is_a_number_from_0_to_2_to_the_53_less_1_rounded_down() {
        let read = |text: &str| seconds(&serde_json::from_str(text).unwrap()).map(|at| at.0);
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("1795428900"), Some(1_795_428_900));
        assert_eq!(read("1795428900.999"), Some(1_795_428_900));
        assert_eq!(read("1.7954289e9"), Some(1_795_428_900));
        assert_eq!(read("9007199254740991"), Some(LAST));
        for wrong in [
            "9007199254740992",
            "18446744073709551616",
            "1e300",
            "-1",
            "-0.5",
            "null",
            "true",
            "\"1795428900\"",
            "[1795428900]",
            "{}",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
