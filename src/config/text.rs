//! Texts with a meaning of their own: durations, dates, names. Each reader says what to write instead.
use crate::domain::{
    identity::{IdentityPrefix, InvalidPrefix},
    time::Timestamp,
};
use std::time::Duration;

/// What is wrong with a text; it does not repeat the text.
pub(super) type Complaint = String;

/// The longest duration that is read, ten years: beyond it, arithmetic with times could fail.
const LONGEST: u64 = 87_600 * 3_600_000;

/// `15m`, `30s`, `8h`, `1h30m`: numbers with units, the larger first.
pub(super) fn duration(text: &str) -> Result<Duration, Complaint> {
    const UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let complaint =
        || "this is not a duration (write a number and its unit: 30s, 15m, 8h, 1h30m)".to_owned();
    let (mut rest, mut units, mut millis) = (text, UNITS, 0_u64);
    if text.is_empty() {
        return Err(complaint());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(complaint)?;
        let (_, worth) = units.get(at).ok_or_else(complaint)?;
        units = units.get(at + 1..).unwrap_or_default();
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*worth));
        millis = part.and_then(|part| millis.checked_add(part)).ok_or_else(complaint)?;
        rest = behind;
    }
    if millis > LONGEST {
        return Err("this is longer than ten years (write a shorter duration)".to_owned());
    }
    Ok(Duration::from_millis(millis))
}

/// `2027-06-30`, as the first second of that day in UTC, or an RFC 3339 moment.
pub(super) fn date(text: &str) -> Result<Timestamp, Complaint> {
    let complaint = || "this is not a date (write it as 2027-06-30)".to_owned();
    let moment = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment: jiff::Timestamp = moment.parse().map_err(|_| complaint())?;
    u64::try_from(moment.as_second()).map(Timestamp).map_err(|_| complaint())
}

/// `60/m`: so many a second, minute or hour.
pub(super) fn rate(text: &str) -> Result<(u32, Duration), Complaint> {
    let parts = text.split_once('/').and_then(|(count, unit)| {
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        let digits = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && *count > 0)?;
        Some((count, Duration::from_secs(seconds)))
    });
    parts.ok_or_else(|| "this is not a rate (write 60/m, 10/s or 1000/h)".to_owned())
}

/// 1 to 1 024 bytes without control characters.
pub(super) fn any(text: &str) -> Result<(), Complaint> {
    if text.is_empty() {
        return Err("this is an empty text (write something, or remove the key)".to_owned());
    }
    if text.len() > 1024 || text.contains(char::is_control) {
        return Err(
            "this is too long or has control characters (write at most 1024 bytes on one line)"
                .to_owned(),
        );
    }
    Ok(())
}

/// A name that stands in logs, metrics and queries.
pub(super) fn name(text: &str) -> Result<(), Complaint> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) {
        return Err(
            "this is not a name (write 1 to 64 letters, digits, dots, hyphens, underscores)"
                .to_owned(),
        );
    }
    Ok(())
}

/// A tenant of `tenants`: it becomes a part of URLs and equals the claim `tid`.
pub(super) fn tenant(text: &str) -> Result<(), Complaint> {
    name(text)
        .map_err(|_| "this is not a tenant id (write the id that the claim `tid` holds)".into())
}

/// A namespace: `urn:usher:` belongs to usher alone (contract 4).
pub(super) fn namespace(text: &str) -> Result<(), Complaint> {
    any(text)?;
    if text.starts_with("urn:usher:") {
        return Err("namespaces that begin with urn:usher: are usher's own (choose another)".into());
    }
    Ok(())
}

/// The beginning of readable identities.
pub(super) fn identity_prefix(text: &str) -> Result<(), Complaint> {
    let told = |invalid| match invalid {
        InvalidPrefix::Alphabet => {
            "this is not a prefix (write up to 64 letters, digits, dots, hyphens, underscores)"
        }
        InvalidPrefix::Kind => {
            "u- and g- begin derived and guest identities (choose another prefix)"
        }
    };
    text.parse::<IdentityPrefix>().map(drop).map_err(|invalid| told(invalid).to_owned())
}

/// The path of a file.
pub(super) fn path(text: &str) -> Result<(), Complaint> {
    if text.is_empty() || text.len() > 4096 || text.contains(char::is_control) {
        return Err(
            "this is not the path of a file (write one such as /run/secrets/usher/key)".to_owned()
        );
    }
    Ok(())
}

/// The name of an environment variable.
pub(super) fn variable(text: &str) -> Result<(), Complaint> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    if text.is_empty() || text.len() > 256 || digit || !text.bytes().all(word) {
        return Err(
            "this is not the name of an environment variable (write letters, digits, underscores)"
                .to_owned(),
        );
    }
    Ok(())
}

/// A SHA-256 digest in hexadecimal.
pub(super) fn sha256(text: &str) -> Result<(), Complaint> {
    if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(
            "this is not a SHA-256 digest (write 64 lower-case hexadecimal digits)".to_owned()
        );
    }
    Ok(())
}

/// Twilio's home region.
pub(super) fn region(text: &str) -> Result<(), Complaint> {
    let hint = match text {
        "dublin" => " (dublin is ie1)",
        "sydney" => " (sydney is au1)",
        "ashburn" => " (ashburn is us1)",
        _ => " (write us1, ie1 or au1)",
    };
    let [a, b, digit] = text.as_bytes() else {
        return Err(format!("this is not a region{hint}"));
    };
    if a.is_ascii_lowercase() && b.is_ascii_lowercase() && digit.is_ascii_digit() {
        return Ok(());
    }
    Err(format!("this is not a region{hint}"))
}

/// An HTTP header's name that may carry a token (RFC 9110 section 5.1).
pub(super) fn header(text: &str) -> Result<(), Complaint> {
    const OTHERS: &[&str] = &[
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "transfer-encoding",
        "upgrade",
    ];
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(token) {
        return Err("this is not the name of a header (write one such as Authorization)".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    if OTHERS.contains(&&*lower) || lower.starts_with("x-conversations-") {
        return Err("this header has another meaning and carries no token".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units_the_larger_first() {
        let seconds = |text| duration(text).map(|span| span.as_secs()).ok();
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for text in ["", "15", "m", "15 m", "30m1h", "1m1m", "1d", "-1s", "1.5h", "15M", "é", "h1"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("99999999999999999999h").is_err());
        assert!(duration("5124095576031h").is_err());
        assert!(duration("87601h").is_err());
    }

    #[test]
    fn a_date_is_its_first_second() {
        assert_eq!(date("2027-06-30"), Ok(Timestamp(1_814_313_600)));
        assert_eq!(date("2027-06-30T00:00:01Z"), Ok(Timestamp(1_814_313_601)));
        for text in ["2027-06-31", "30.06.2027", "2027-6-3", "1960-01-01", "soon", ""] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_has_a_count_and_a_unit() {
        assert_eq!(rate("60/m"), Ok((60, Duration::from_mins(1))));
        for text in ["60", "60/d", "/m", "0/m", "+6/m", "60/min"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_city_is_answered_with_its_region() {
        assert_eq!(region("ie1"), Ok(()));
        assert!(region("dublin").unwrap_err().contains("ie1"));
    }

    #[test]
    fn p20_the_namespaces_of_usher_itself_cannot_be_configured() {
        assert!(namespace("urn:usher:guest").is_err());
        assert!(namespace("urn:usher:api-token").is_err());
        assert!(namespace("corp").is_ok());
    }
}
