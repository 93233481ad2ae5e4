//! `identity` and `adopt`: how an issuer's identities are made, and which of them wait for their users.
use crate::config::{
    reader::{Reader, flag},
    settings::{Adopt, IdentityFormat, IdentitySource},
    text,
    tree::Cursor,
};
use std::time::Duration;

/// Reads both.
pub(super) fn naming(
    at: &Cursor<'_>,
    reader: &mut Reader<'_>,
) -> Option<(IdentityFormat, Option<Adopt>)> {
    let identity = at.get("identity");
    let adopt = at.get("adopt").map(|at| adopt(&at, reader));
    let source = source(identity.as_ref());
    let prefix = identity.as_ref().and_then(|at| at.get("prefix"));
    let format = IdentityFormat {
        source: source?,
        prefix: prefix.map_or(Some(""), |at| at.text())?.into(),
        mutable: flag(identity.as_ref(), "mutable"),
    };
    Some((format, adopt.map_or(Some(None), |read| read.map(Some))?))
}

fn source(at: Option<&Cursor<'_>>) -> Option<IdentitySource> {
    let text = |key| at.and_then(|at| at.get(key)).and_then(|at| at.text());
    match text("format") {
        None | Some("opaque") => Some(IdentitySource::Opaque),
        Some("claim") => Some(IdentitySource::Claim(text("claim")?.into())),
        Some("expression") => Some(IdentitySource::Expression(text("expression")?.into())),
        Some(_) => None,
    }
}

/// A day counts to its end: on the last one people still come back to what they had.
fn adopt(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<Adopt> {
    let written = at.get("until")?;
    let day = written.text()?;
    let begins = text::date(day).ok()?;
    let until = if day.len() == 10 { begins.plus(Duration::from_hours(24)) } else { begins };
    if until <= reader.sources.now {
        // Not a mistake: a restart after the day must not fail where none before it did.
        let path = written.path();
        reader.report.warn(format!("{path} has passed: nothing is adopted any more"));
    }
    Some(Adopt { claim: at.get("claim")?.text()?.into(), until })
}
