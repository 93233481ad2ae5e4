//! Rows -> bytes of either format.
use super::Format;
use crate::ports::registry::{Owner, Row, State};
use serde::Serialize;

/// What a file begins with.
pub(super) fn head(format: Format) -> &'static str {
    match format {
        Format::Csv => "namespace,subject,identity,state\r\n",
        Format::JsonLines => "",
    }
}

/// Adds `row` to `text`, with its line end.
pub(super) fn row(format: Format, row: &Row, text: &mut String) {
    let (namespace, subject, state) = match &row.owner {
        Owner::Nobody => ("", "", State::Unlinked),
        Owner::Subject(namespace, subject) => (&**namespace, &**subject, State::Active),
        Owner::Waiting(namespace, name) => (&**namespace, &**name, State::Unclaimed),
    };
    let state = if row.is_retired { State::Retired } else { state };
    let object =
        Object { namespace, subject, identity: row.identity.as_str(), state: state.as_str() };
    match format {
        Format::Csv => {
            for (field, behind) in [
                (object.namespace, ","),
                (object.subject, ","),
                (object.identity, ","),
                (object.state, "\r\n"),
            ] {
                push_field(field, text);
                text.push_str(behind);
            }
        }
        Format::JsonLines => {
            // Four texts can always be written.
            text.push_str(&serde_json::to_string(&object).unwrap_or_default());
            text.push('\n');
        }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    namespace: &'a str,
    subject: &'a str,
    identity: &'a str,
    state: &'a str,
}

/// RFC 4180 section 2: in quotes where there is something to protect.
fn push_field(field: &str, text: &mut String) {
    if !field.contains(['"', ',', '\r', '\n']) {
        return text.push_str(field);
    }
    text.push('"');
    text.push_str(&field.replace('"', "\"\""));
    text.push('"');
}
