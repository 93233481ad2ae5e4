//! `identity` and `adopt`: how an issuer's identities are made, and which of them wait for their users (contract 4).
use crate::{
    config::{
        expression,
        reader::{Reader, flag},
        settings::{Adopt, IdentityFormat, IdentitySource},
        text,
        tree::Cursor,
    },
    domain::identity::IdentityPrefix,
};
use std::time::Duration;

/// The claims that a user or a help desk can change.
const CHANGEABLE: &[&str] =
    &["email", "preferred_username", "upn", "name", "nickname", "phone_number"];

/// Those of them that no issuer says it has verified.
const UNVERIFIABLE: &[&str] = &["preferred_username", "upn", "name", "nickname"];

/// Reads both.
pub(super) fn naming(
    at: &Cursor<'_>,
    reader: &mut Reader<'_>,
) -> Option<(IdentityFormat, Option<Adopt>)> {
    let identity = at.get("identity");
    if let Some(identity) = &identity {
        fit_together(identity, reader);
    }
    let mutable = flag(identity.as_ref(), "mutable");
    if !mutable {
        refuse_changeable(at, reader);
    }
    let adopt = at.get("adopt").map(|at| adopt(&at, mutable, reader));
    let prefix = identity.as_ref().and_then(|at| at.get("prefix"));
    let prefix = prefix.map_or(Some(IdentityPrefix::default()), |at| at.text()?.parse().ok());
    let format = IdentityFormat { source: source(identity.as_ref())?, prefix: prefix?, mutable };
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

/// `format: claim` needs `claim`, and nothing else has it; so for `expression`. A derived identity has no prefix.
fn fit_together(identity: &Cursor<'_>, reader: &mut Reader<'_>) {
    let format = identity.get("format").map_or(Some("opaque"), |at| at.text());
    for key in ["claim", "expression"] {
        match identity.get(key) {
            None if format == Some(key) => identity.lacks(
                &mut reader.report,
                key,
                format!("missing, and `format` names it (write {key}: …)"),
            ),
            Some(at) if format != Some(key) => at.wrong(
                &mut reader.report,
                format!("this goes with `format: {key}` alone (write that, or remove this)"),
            ),
            None | Some(_) => {}
        }
    }
    let prefix = identity.get("prefix").filter(|at| at.text().is_some_and(|text| !text.is_empty()));
    if let Some(at) = prefix.filter(|_| format == Some("opaque")) {
        let what =
            "derived identities have no prefix (remove it, or write format: claim or expression)";
        at.wrong(&mut reader.report, what);
    }
}

/// Nobody may become somebody else by changing what they are called.
fn refuse_changeable(at: &Cursor<'_>, reader: &mut Reader<'_>) {
    let (identity, subject) = (at.get("identity"), at.get("subject"));
    let claim = identity.as_ref().and_then(|identity| identity.get("claim"));
    for claim in subject.iter().flat_map(Cursor::items).chain(claim) {
        if claim.text().is_some_and(|name| CHANGEABLE.contains(&name)) {
            claim.wrong(&mut reader.report, "a user or a help desk can change this claim, and would become somebody else (write one that stays, such as sub or oid, or mutable: true under `identity`)");
        }
    }
    let Some(made) = identity.and_then(|identity| identity.get("expression")) else { return };
    match made.text().map(|text| expression::reads(text, CHANGEABLE)).as_deref() {
        None | Some([]) => {}
        Some([claim]) => made.wrong(&mut reader.report, format!("this looks at {claim}, which a user or a help desk can change, and would become somebody else (use a claim that stays, or write mutable: true beside it)")),
        Some([_, ..]) => made.wrong(&mut reader.report, "this may look at several claims that a user or a help desk can change, and would become somebody else (name claims that stay, or write mutable: true beside it)"),
    }
}

fn adopt(at: &Cursor<'_>, mutable: bool, reader: &mut Reader<'_>) -> Option<Adopt> {
    let (claim, until) = (at.get("claim")?, at.get("until")?);
    let day = until.text()?;
    let begins = text::date(day).ok()?;
    // A day counts to its end: on the last one people still come back to what they had.
    let ends = if day.len() == 10 { begins.plus(Duration::from_hours(24)) } else { begins };
    if ends <= reader.sources.now {
        // Not a mistake: a restart after the day must not fail where none before it did.
        let path = until.path();
        reader.report.warn(format!("{path} has passed: nothing is adopted any more"));
    }
    let name = claim.text()?;
    if UNVERIFIABLE.contains(&name) && mutable {
        let path = claim.path();
        reader.report.warn(format!("{path}: a user or a help desk can change this claim, and would take what waits for somebody else"));
    } else if UNVERIFIABLE.contains(&name) {
        // Whoever renames themselves first would have another's identity for ever.
        claim.wrong(&mut reader.report, "a user or a help desk can change this claim, no issuer says it has verified it, and they would take what waits for somebody else (write email, or one that stays such as employee_id, or mutable: true under `identity`)");
    }
    Some(Adopt { claim: name.into(), until: ends })
}

/// What has to last needs a store that does (contract 8, `memory:`).
pub(in crate::config) fn refuse_the_forgetful(issuers: &Cursor<'_>, reader: &mut Reader<'_>) {
    for issuer in issuers.items() {
        let format = issuer.get("identity").and_then(|identity| identity.get("format"));
        if let Some(at) = format.filter(|at| matches!(at.text(), Some("claim" | "expression"))) {
            at.wrong(&mut reader.report, "this format needs a durable store, and store.url is memory: (write sqlite:PATH there, or format: opaque here)");
        }
        if let Some(at) = issuer.get("adopt") {
            at.wrong(&mut reader.report, "this needs a durable store, and store.url is memory: (write sqlite:PATH there, or remove this)");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{
            fixture::{Fixture, yaml},
            settings::IssuerSettings,
        },
        domain::time::Timestamp,
    };

    const A: &str = "url: 'https://a.example', audiences: [a]";
    const B: &str = "url: 'https://b.example', audiences: [b]";

    fn read(issuers: &str) -> (Vec<IssuerSettings>, Vec<String>) {
        let settings = Fixture::new().load(&yaml(&[("issuers", issuers)]));
        settings
            .map(|settings| (settings.issuers, settings.warnings))
            .map_err(|m| m.to_string())
            .unwrap()
    }

    fn mistakes(issuers: &str) -> String {
        Fixture::new().mistakes(&yaml(&[("issuers", issuers)])).join("\n")
    }

    fn of(identity: &str) -> IdentityFormat {
        read(&format!("[{{{A}, identity: {identity}}}]")).0.remove(0).identity
    }

    fn wrong(identity: &str) -> String {
        mistakes(&format!("[{{{A}, identity: {identity}}}]"))
    }

    #[test]
    fn each_format_is_read_with_what_it_is_made_of() {
        let claim = of("{format: claim, claim: employee_id, prefix: emp-}");
        assert_eq!(claim.source, IdentitySource::Claim("employee_id".into()));
        assert_eq!((claim.prefix.as_str(), claim.mutable), ("emp-", false));
        let made = of("{format: expression, expression: \"issuer + claims.nr\", mutable: true}");
        assert_eq!(made.source, IdentitySource::Expression("issuer + claims.nr".into()));
        assert!(made.mutable);
        let opaque = read(&format!("[{{{A}}}]")).0.remove(0);
        assert_eq!((opaque.identity.source, opaque.adopt), (IdentitySource::Opaque, None));
    }

    #[test]
    fn a_format_has_what_it_is_made_of_and_nothing_else() {
        for (identity, path) in [
            ("{format: claim}", "identity.claim: missing"),
            ("{format: expression}", "identity.expression: missing"),
            ("{claim: nr}", "identity.claim: this goes with `format: claim`"),
            ("{format: claim, claim: nr, expression: claims.nr}", "identity.expression: this goes"),
            ("{format: opaque, expression: claims.nr}", "identity.expression: this goes"),
            ("{prefix: emp-}", "identity.prefix: derived identities have no prefix"),
            ("{format: claim, claim: nr, prefix: u-x}", "identity.prefix: u- and g- begin"),
            ("{format: claim, claim: nr, prefix: 'a~'}", "identity.prefix: this is not a prefix"),
            ("{format: expression, expression: identity}", "expression: this expression names"),
            ("{format: expression, expression: 'claims.'}", "expression: this expression is not"),
            ("{format: uuid}", "identity.format: this is none of"),
        ] {
            assert!(wrong(identity).contains(path), "{identity}: {}", wrong(identity));
        }
        assert_eq!(wrong("{prefix: ''}"), "");
    }

    #[test]
    fn p12_a_claim_that_people_can_change_names_nobody_unless_mutable_is_said() {
        for claim in CHANGEABLE {
            for (identity, path) in [
                (format!("format: claim, claim: {claim}"), "identity.claim: a user"),
                (
                    format!("format: expression, expression: \"'x' + claims['{claim}']\""),
                    "identity.expression: this looks at",
                ),
                (
                    format!("format: expression, expression: \"has(claims.{claim}) ? 'a' : 'b'\""),
                    "identity.expression: this looks at",
                ),
            ] {
                let found = wrong(&format!("{{{identity}}}"));
                assert!(found.contains(path) && found.contains("mutable: true"), "{found}");
                assert_eq!(wrong(&format!("{{{identity}, mutable: true}}")), "");
            }
            let subject =
                |more: &str| mistakes(&format!("[{{{A}, subject: [sub, {claim}]{more}}}]"));
            let found = subject("");
            assert!(found.contains("issuers[0].subject[1]: a user or a help desk"), "{found}");
            assert_eq!(subject(", identity: {mutable: true}"), "");
        }
        let found = wrong("{format: expression, expression: \"claims['em' + 'ail']\"}");
        assert!(found.contains("identity.expression: this may look at several"), "{found}");
    }

    #[test]
    fn a_mistake_in_an_expression_has_its_line_and_column() {
        let issuers = format!(
            "\n- {{{A},\n   identity: {{format: expression,\n     expression: claims.email}}}}"
        );
        let found = mistakes(&issuers);
        assert!(found.starts_with("5:18 issuers[0].identity.expression: this"), "{found}");
    }

    #[test]
    fn the_last_day_of_adoption_counts_whole() {
        let adopt = |until: &str| {
            let (mut issuers, warnings) =
                read(&format!("[{{{A}, adopt: {{claim: email, until: {until}}}}}]"));
            (issuers.remove(0).adopt.unwrap().until, warnings.len())
        };
        assert_eq!(adopt("2027-06-30"), (Timestamp(1_814_313_600 + 86_400), 0));
        assert_eq!(adopt("2027-06-30T00:00:01Z"), (Timestamp(1_814_313_601), 0));
        // It is the morning of this day.
        assert_eq!(adopt("2026-11-23").1, 0);
        assert_eq!(adopt("2026-11-22").1, 1);
        let found = mistakes(&format!("[{{{A}, adopt: {{claim: email}}}}]"));
        assert!(found.contains("issuers[0].adopt.until: missing"), "{found}");
    }

    #[test]
    fn p12_nobody_takes_what_waits_for_somebody_else_by_renaming_themselves() {
        let adopt = |claim: &str, mutable: &str| {
            format!("[{{{A}, adopt: {{claim: {claim}, until: 2027-06-30}}{mutable}}}]")
        };
        for claim in UNVERIFIABLE {
            let found = mistakes(&adopt(claim, ""));
            assert!(found.contains("issuers[0].adopt.claim: a user or a help desk"), "{found}");
            assert!(found.contains("mutable: true"), "{found}");
            let said = adopt(claim, ", identity: {mutable: true}");
            assert_eq!((mistakes(&said), read(&said).1.len()), (String::new(), 1));
        }
        // The issuer says of these whether it has verified them, or gave them itself.
        for claim in ["email", "phone_number", "employee_id"] {
            assert_eq!(read(&adopt(claim, "")).1, Vec::<String>::new(), "{claim}");
        }
    }

    #[test]
    fn p20_issuers_that_share_a_namespace_make_identities_alike() {
        let shared = |a: &str, b: &str| {
            let yes = "namespace: corp, sharedNamespace: true";
            mistakes(&format!("[{{{A}, {yes}{a}}}, {{{B}, {yes}{b}}}]"))
        };
        let claim = ", identity: {format: claim, claim: nr}";
        assert_eq!(shared(claim, claim), "");
        assert_eq!(shared("", ", identity: {format: opaque, mutable: true}"), "");
        for other in [
            "",
            ", identity: {format: claim, claim: id}",
            ", identity: {format: claim, claim: nr, prefix: x}",
            ", identity: {format: expression, expression: claims.nr}",
        ] {
            let found = shared(claim, other);
            assert!(found.contains("issuers that share a namespace need one format"), "{found}");
            assert!(found.contains("issuers[1]."), "{found}");
        }
    }

    #[test]
    fn what_must_last_needs_a_durable_store() {
        let found = |issuer: &str, store: &str| {
            let issuers = format!("[{{{A}}}, {{{B}, {issuer}}}]");
            Fixture::new().mistakes(&yaml(&[("issuers", &issuers), ("store", store)])).join("\n")
        };
        for (issuer, path) in [
            ("identity: {format: claim, claim: nr}", "issuers[1].identity.format: this format"),
            (
                "identity: {format: expression, expression: claims.nr}",
                "issuers[1].identity.format: this format",
            ),
            ("adopt: {claim: email, until: 2027-06-30}", "issuers[1].adopt: this needs"),
        ] {
            let mistake = found(issuer, "{url: 'memory:'}");
            assert!(
                mistake.contains(path) && mistake.contains("needs a durable store"),
                "{mistake}"
            );
            assert_eq!(found(issuer, "{url: 'sqlite:usher.db'}"), "");
        }
        assert_eq!(found("identity: {format: opaque}", "{url: 'memory:'}"), "");
    }
}
