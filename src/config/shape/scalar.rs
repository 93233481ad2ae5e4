//! Holds single values against their kinds: YAML's traps get a sentence each.
use super::{Format, Words, nearest::nearest};
use crate::config::{
    mistake::Report,
    plain::{self, Reading},
    tree::{Cursor, Value},
};

/// The text of a scalar and how it reads, or a report that here is no scalar.
fn scalar<'t>(at: &Cursor<'t>, wanted: &str, report: &mut Report) -> Option<(&'t str, Reading)> {
    let found = match &at.node().value {
        Value::Scalar { text, quoted: true } => return Some((text, Reading::Text)),
        Value::Scalar { text, quoted: false } => match plain::reading(text) {
            Reading::Nothing => "here is no value",
            reading @ (Reading::Boolean | Reading::Number | Reading::Text) => {
                return Some((text, reading));
            }
        },
        Value::List(_) => "here is a list",
        Value::Map(_) => "here is a mapping",
        Value::Broken => return None,
    };
    at.wrong(report, format!("{found} (write {wanted})"));
    None
}

/// `true` or `false`.
pub(super) fn flag(at: &Cursor<'_>, report: &mut Report) {
    let Some((text, reading)) = scalar(at, "true or false", report) else { return };
    if plain::boolean(text).is_some() {
        if reading == Reading::Text {
            at.wrong(report, "in quotes this is a text (write true or false without quotes)");
        }
        return;
    }
    let what = match reading {
        Reading::Boolean => "YAML readers disagree whether this is true, false or a text",
        Reading::Nothing | Reading::Number | Reading::Text => "this is neither true nor false",
    };
    at.wrong(report, format!("{what} (write true or false)"));
}

/// A whole number from `min` to `max`.
pub(super) fn count(at: &Cursor<'_>, min: u64, max: u64, report: &mut Report) {
    let wanted = format!("a whole number from {min} to {max}");
    let Some((text, reading)) = scalar(at, &wanted, report) else { return };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let octal = text.len() > 1 && text.starts_with('0');
    let number = text.parse::<u64>().ok().filter(|number| (min..=max).contains(number));
    if digits && !octal && number.is_some() && reading == Reading::Text {
        at.wrong(report, "in quotes this is a text (write the number without quotes)");
    } else if !digits || octal || number.is_none() {
        at.wrong(report, format!("this is not such a number (write {wanted})"));
    }
}

/// A price.
pub(super) fn amount(at: &Cursor<'_>, report: &mut Report) {
    let Some((text, reading)) = scalar(at, "a price such as 0.05", report) else { return };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain || reading != Reading::Number || text.len() > 20 {
        at.wrong(report, "this is not a price (write a number such as 0.05, without quotes)");
    }
}

/// A text of some format.
pub(super) fn text(format: &Format, at: &Cursor<'_>, report: &mut Report) {
    let wanted = format!("{}: {}", format.noun, format.sample);
    let Some((text, reading)) = scalar(at, &wanted, report) else { return };
    match ((format.check)(text), reading) {
        (Err(complaint), _) => at.wrong(report, complaint),
        (Ok(()), Reading::Boolean) => {
            at.wrong(report, "YAML readers take this for true or false (put it in quotes)");
        }
        (Ok(()), Reading::Number) => {
            at.wrong(report, "YAML readers take this for a number (put it in quotes)");
        }
        (Ok(()), Reading::Nothing | Reading::Text) => {}
    }
}

/// One of some words.
pub(super) fn word(words: &Words, at: &Cursor<'_>, report: &mut Report) {
    let all = words.now.join(", ");
    let Some((text, _)) = scalar(at, &format!("one of {all}"), report) else { return };
    if words.now.contains(&text) {
        return;
    }
    if words.later.contains(&text) {
        at.wrong(report, format!("not in this version (write {all})"));
    } else if let Some(why_not) = (words.why_not)(text) {
        at.wrong(report, why_not);
    } else if let Some((near, true)) = nearest(text, words.now.iter().copied()) {
        at.wrong(report, format!("this is none of {all} (did you mean {near}?)"));
    } else {
        at.wrong(report, format!("this is none of the known words (write one of {all})"));
    }
}
