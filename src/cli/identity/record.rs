//! An identity as commands print it: JSON for scripts (contract 4, `show`), tables for people.
use super::table::Table;
use crate::{inbound::admin::Shown, ports::registry::Record};

/// One line of JSON, without the history.
pub(super) fn brief(record: &Record) -> String {
    // Texts can always be written.
    serde_json::to_string(&Shown::briefly(record)).unwrap_or_default()
}

/// JSON with the history.
pub(super) fn whole(record: &Record) -> String {
    serde_json::to_string_pretty(&Shown::whole(record)).unwrap_or_default()
}

/// All about one identity, for people.
pub(super) fn page(record: &Record) -> String {
    let mut about = Table::new(["", ""]);
    about.push(["identity", record.identity.as_str()]);
    about.push(["state", record.state.as_str()]);
    about.push(["created", &record.created_at.rfc3339()]);
    if record.identity.is_outside_alphabet() {
        about.push(["note", "it has characters beyond A-Z a-z 0-9 . _ ~ - : escape it in URLs"]);
    }
    let mut text = about.text();
    if !record.subjects.is_empty() {
        let mut subjects = Table::new(["NAMESPACE", "SUBJECT", "LINKED AT"]);
        for (subject, since) in &record.subjects {
            let (namespace, id) = (subject.namespace().as_str(), subject.id().as_str());
            subjects.push([namespace, id, &since.rfc3339()]);
        }
        text.push('\n');
        text.push_str(&subjects.text());
    }
    if !record.history.is_empty() {
        let mut history = Table::new(["AT", "WHO", "WHAT", "WHY"]);
        for event in &record.history {
            history.push([&event.at.rfc3339(), &event.who, &event.what, &event.why]);
        }
        text.push('\n');
        text.push_str(&history.text());
    }
    text
}

/// What stands above many identities.
pub(super) const HEADING: [&str; 5] = ["IDENTITY", "STATE", "CREATED AT", "NAMESPACE", "SUBJECT"];

/// Many identities, for people: a line for each subject.
pub(super) fn overview(heading: [&str; 5], records: &[Record]) -> String {
    let mut table = Table::new(heading);
    for record in records {
        let created = record.created_at.rfc3339();
        let mut about = [record.identity.as_str(), record.state.as_str(), &created];
        let names = record
            .subjects
            .iter()
            .map(|(subject, _)| (subject.namespace().as_str(), subject.id().as_str()));
        let names: Vec<_> =
            if record.subjects.is_empty() { vec![("", "")] } else { names.collect() };
        for (namespace, id) in names {
            let [identity, state, created] = about;
            table.push([identity, state, created, namespace, id]);
            about = ["", "", ""];
        }
    }
    table.text()
}
