//! What YAML readers make of a word without quotes. They disagree: `no` is false to YAML 1.1 and a text to
//! 1.2, `12:30` is 750 or a text. Whatever any of them takes for something else has to be quoted.

/// What an unquoted word is taken for, by some reader at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// No value: `null`, `~`, or nothing at all.
    Nothing,
    /// `true` or `false`, also by the names of YAML 1.1.
    Boolean,
    /// A number, also in base 60.
    Number,
    /// A text, to everybody.
    Text,
}

/// How `word` is read.
pub(super) fn reading(word: &str) -> Reading {
    const BOOLEANS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n"];
    let lower = word.to_ascii_lowercase();
    if matches!(&*lower, "" | "~" | "null") {
        Reading::Nothing
    } else if BOOLEANS.contains(&&*lower) {
        Reading::Boolean
    } else if is_number(&lower) {
        Reading::Number
    } else {
        Reading::Text
    }
}

/// The boolean that every reader of YAML 1.2 takes `word` for.
pub(super) fn boolean(word: &str) -> Option<bool> {
    match word {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

fn is_number(lower: &str) -> bool {
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(lower);
    if matches!(unsigned, ".inf" | ".nan") {
        return true;
    }
    let all = |text: &str, base: u32| {
        !text.is_empty() && text.chars().all(|c| c.is_digit(base) || c == '_')
    };
    if let Some(rest) = unsigned.strip_prefix("0x") {
        return all(rest, 16);
    }
    if let Some(rest) = unsigned.strip_prefix("0o").or(unsigned.strip_prefix("0b")) {
        return all(rest, 8);
    }
    if unsigned.contains(':') {
        return unsigned.starts_with(|c: char| c.is_ascii_digit())
            && unsigned.split(':').all(|part| all(part, 10));
    }
    let (mantissa, exponent) = match unsigned.split_once('e') {
        None => (unsigned, "0"),
        Some((mantissa, exponent)) => {
            (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        }
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let some = |text: &str| text.is_empty() || all(text, 10);
    starts
        && all(exponent, 10)
        && some(whole)
        && some(fraction)
        && !(whole.is_empty() && fraction.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_yaml_reader_takes_for_something_else_is_no_text() {
        for word in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(reading(word), Reading::Nothing, "{word}");
        }
        for word in ["true", "False", "no", "NO", "on", "Off", "y", "N", "yes"] {
            assert_eq!(reading(word), Reading::Boolean, "{word}");
        }
        for word in [
            "0", "-1", "+12", "1.5", ".5", "1.", "1e3", "63458e39", "1E-5", "0x1F", "0o17", "017",
            "1_000", "12:30", "1:2:3", ".inf", "-.Inf", ".NaN",
        ] {
            assert_eq!(reading(word), Reading::Number, "{word}");
        }
        for word in [
            "a",
            "63458b39",
            "1h30m",
            "127.0.0.1:4180",
            "2027-06-30",
            "1.2.3",
            "e5",
            "-",
            ".",
            "+",
            "_1",
            "0x",
            "::1",
            "60/m",
            "AC00000000000000000000000000000000",
        ] {
            assert_eq!(reading(word), Reading::Text, "{word}");
        }
    }
}
