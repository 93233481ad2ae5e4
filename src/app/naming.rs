//! Settings -> how identities are made: for first sights, for the store that pins it, and for whoever looks one up.
use crate::{
    config::settings::{IdentityFormat, IdentitySource, IssuerSettings, Settings},
    domain::{
        policy::{Expression, InvalidExpression, Place},
        subject::{Issuer, Namespace},
    },
    flow::{
        bind::{self, Adoption, Format},
        registry::Naming,
    },
    ports::store::Pin,
    token::digest,
};
use std::{collections::HashMap, fmt::Write as _};

/// How the identities of each configured namespace are made: for whoever looks one up.
pub fn namings(settings: &Settings) -> HashMap<Namespace, Naming> {
    let mut namings: HashMap<Namespace, Naming> = HashMap::new();
    for issuer in &settings.issuers {
        let derives = issuer.identity.source == IdentitySource::Opaque;
        let adopts_until = issuer.adopt.as_ref().map(|adopt| adopt.until);
        let naming = namings.entry(issuer.namespace.clone()).or_insert_with(|| Naming {
            line: line(issuer).into(),
            derives: true,
            adopts_until: None,
        });
        naming.derives &= derives;
        naming.adopts_until = naming.adopts_until.max(adopts_until);
    }
    namings
}

/// What the configuration makes identities with.
pub fn pin(settings: &Settings) -> Pin {
    Pin { fingerprint: settings.identity_key.fingerprint(), formats: formats(settings) }
}

/// Each configured namespace and how its identities are made, in one line that never changes for the same format:
/// `opaque`, `claim NAME`, or `expression` and the first 16 hexadecimal digits of the text's SHA-256; then
/// `prefix PREFIX` where there is one; then `of N claims` where a subject is made of more than one, since a subject of one
/// claim may look like one of two. In byte order of the namespaces.
fn formats(settings: &Settings) -> Vec<(Namespace, Box<str>)> {
    let mut formats: Vec<(Namespace, Box<str>)> = Vec::new();
    for issuer in &settings.issuers {
        // Issuers that share a namespace make identities alike, or the configuration would have been refused.
        if !formats.iter().any(|(namespace, _)| *namespace == issuer.namespace) {
            formats.push((issuer.namespace.clone(), line(issuer).into()));
        }
    }
    formats.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    formats
}

fn line(issuer: &IssuerSettings) -> String {
    match issuer.subject.len() {
        0 | 1 => format_line(&issuer.identity),
        claims => format!("{} of {claims} claims", format_line(&issuer.identity)),
    }
}

fn format_line(format: &IdentityFormat) -> String {
    let mut line = match &format.source {
        IdentitySource::Opaque => return "opaque".to_owned(),
        // In quotes where it could be read as a claim and a prefix.
        IdentitySource::Claim(name) if name.contains(char::is_whitespace) => {
            format!("claim {name:?}")
        }
        IdentitySource::Claim(name) => format!("claim {name}"),
        IdentitySource::Expression(text) => {
            let digest = digest::of_one(text.as_bytes());
            digest.iter().take(8).fold("expression ".to_owned(), |mut line, byte| {
                // Writing to a string cannot fail.
                let _ = write!(line, "{byte:02x}");
                line
            })
        }
    };
    if !format.prefix.as_str().is_empty() {
        line.push_str(" prefix ");
        line.push_str(format.prefix.as_str());
    }
    line
}

/// How the subjects of each issuer are named at first sight.
///
/// # Errors
/// An expression does not compile, though the configuration was checked.
pub(super) fn first_sights(
    settings: &Settings,
) -> Result<HashMap<Issuer, bind::Naming>, InvalidExpression> {
    let of = |format: &IdentityFormat| {
        let prefix = format.prefix.clone();
        Ok(match &format.source {
            IdentitySource::Opaque => Format::Opaque,
            IdentitySource::Claim(claim) => Format::Claim { claim: claim.clone(), prefix },
            IdentitySource::Expression(text) => {
                let expression = Expression::compile(text, Place::Identity)?;
                Format::Expression { expression, prefix }
            }
        })
    };
    let mut namings = HashMap::new();
    for issuer in &settings.issuers {
        let adopt = issuer.adopt.as_ref();
        let adoption =
            adopt.map(|adopt| Adoption { claim: adopt.claim.clone(), until: adopt.until });
        let (format, line) = (of(&issuer.identity)?, line(issuer).into());
        let naming = bind::Naming { format, line, adoption };
        namings.insert(issuer.url.clone(), naming);
    }
    Ok(namings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: IdentitySource, prefix: &str) -> String {
        format_line(&IdentityFormat { source, prefix: prefix.parse().unwrap(), mutable: false })
    }

    #[test]
    fn a_format_has_the_line_it_always_had() {
        let claim = |name: &str, prefix| of(IdentitySource::Claim(name.into()), prefix);
        assert_eq!(of(IdentitySource::Opaque, ""), "opaque");
        assert_eq!(claim("employee_id", ""), "claim employee_id");
        assert_eq!(claim("employee_id", "emp-"), "claim employee_id prefix emp-");
        assert_eq!(claim("a prefix b", ""), "claim \"a prefix b\"");
        // printf claims.nr | sha256sum
        let made = of(IdentitySource::Expression("claims.nr".into()), "x.");
        assert_eq!(made, "expression cb531522cc2acd6b prefix x.");
    }
}
