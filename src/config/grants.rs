//! `grants` and `tokenSources`: who gets which service, and where requests carry their tokens.
use super::{
    process::Bounds,
    reader::Reader,
    settings::{GrantService, GrantSettings},
    tree::{Cursor, Value},
};
use crate::domain::grant::Terms;

/// Reads all grants; none where the section is absent.
pub(super) fn grants(
    at: Option<&Cursor<'_>>,
    names: &[&str],
    bounds: Option<Bounds>,
    reader: &mut Reader<'_>,
) -> Option<Vec<GrantSettings>> {
    let entries: Vec<_> = at.iter().flat_map(|at| at.items()).collect();
    for (number, at) in entries.iter().enumerate() {
        let Some(name) = at.get("name") else { continue };
        let same = |other: &Cursor<'_>| {
            other
                .get("name")
                .and_then(|other| other.text())
                .is_some_and(|other| Some(other) == name.text())
        };
        if entries.iter().take(number).any(same) {
            name.wrong(&mut reader.report, "another grant has this name (give each its own)");
        }
    }
    let read: Vec<_> = entries.iter().map(|at| grant(at, names, bounds, reader)).collect();
    read.into_iter().collect()
}

fn grant(
    at: &Cursor<'_>,
    names: &[&str],
    bounds: Option<Bounds>,
    reader: &mut Reader<'_>,
) -> Option<GrantSettings> {
    let ttl = bounds.and_then(|bounds| bounds.ttl(Some(at), reader));
    let service = service(at.get("service").as_ref(), names, reader);
    let role = match at.get("role") {
        None => None,
        Some(role) => Some(role.text()?.parse().ok()?),
    };
    let terms = Terms { name: at.get("name")?.text()?.into(), ttl: ttl?, role };
    let kinds = at.get("kinds");
    let users = kinds.is_none_or(|kinds| kinds.items().any(|kind| kind.text() == Some("user")));
    let when = at.get("when").and_then(|when| when.text()).map(Box::from);
    Some(GrantSettings { terms, when, users, service: service? })
}

fn service(
    at: Option<&Cursor<'_>>,
    names: &[&str],
    reader: &mut Reader<'_>,
) -> Option<GrantService> {
    let Some(at) = at else { return Some(GrantService::Named(0)) };
    match &at.node().value {
        Value::Map(_) => Some(GrantService::Expression(at.get("expression")?.text()?.into())),
        Value::Scalar { text, .. } => {
            let found = names.iter().position(|name| *name == &**text);
            if found.is_none() && !names.is_empty() {
                let known = names.join(", ");
                at.wrong(
                    &mut reader.report,
                    format!("there is no service of this name (write one of {known})"),
                );
            }
            found.map(GrantService::Named)
        }
        Value::List(_) | Value::Broken => None,
    }
}

/// Whether there are grants, and each asks for something.
pub(super) fn are_conditional(at: Option<&Cursor<'_>>) -> bool {
    let mut entries = at.iter().flat_map(|at| at.items()).peekable();
    entries.peek().is_some() && entries.all(|at| at.has("when"))
}

/// The names of `twilio.services`, whether or not the rest of them can be read.
pub(super) fn names<'t>(services: Option<&Cursor<'t>>) -> Vec<&'t str> {
    services.iter().flat_map(|at| at.entries()).map(|(entry, _)| &*entry.key).collect()
}

/// The headers of `tokenSources`, in lower case.
pub(super) fn token_headers(
    at: Option<&Cursor<'_>>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Box<str>>> {
    let Some(at) = at else { return Some(vec!["authorization".into()]) };
    let mut headers: Vec<Box<str>> = Vec::new();
    for source in at.items() {
        let Some(header) = source.get("header") else { continue };
        let name = header.text()?.to_ascii_lowercase().into_boxed_str();
        if headers.contains(&name) {
            header.wrong(
                &mut reader.report,
                "this header is here a second time (remove one of them)",
            );
        }
        headers.push(name);
    }
    Some(headers)
}
