//! `issuers`: whose tokens are taken, and what else they must say.
mod addresses;
mod namespaces;
mod naming;
mod rules;
mod tenants;

pub(super) use naming::refuse_the_forgetful;

use super::{
    reader::{Reader, duration, flag, texts},
    settings::{Adopt, IdentityFormat, IssuerSettings, KeySettings, TokenTypes},
    tree::Cursor,
};
use crate::token::algorithm::Algorithm;
use std::time::Duration;

/// Reads all issuers; one with tenants becomes an issuer each. `conditional` says that no grant is given
/// without a condition.
pub(super) fn issuers(
    at: &Cursor<'_>,
    conditional: bool,
    reader: &mut Reader<'_>,
) -> Option<Vec<IssuerSettings>> {
    let entries: Vec<_> = at.items().collect();
    let read: Vec<_> = entries.iter().map(|at| entry(at, conditional, reader)).collect();
    namespaces::check(entries.iter().zip(&read), &mut reader.report);
    let all: Option<Vec<_>> = read.into_iter().collect();
    Some(all?.into_iter().flatten().collect())
}

fn entry(
    at: &Cursor<'_>,
    conditional: bool,
    reader: &mut Reader<'_>,
) -> Option<Vec<IssuerSettings>> {
    addresses::check(at, reader);
    rules::refuse_everyone(at, conditional, &mut reader.report);
    let ca = at.get("certificateAuthority").map(|at| reader.pem(&at, "CERTIFICATE-----"));
    let bearer = at.get("bearer").map(|at| bearer(&at, reader));
    let rules = rules::rules(at);
    let audit_until = rules::audit_until(at, reader);
    let keys = keys(at.get("keys").as_ref(), reader);
    let subject = subject(at, reader);
    let naming = naming::naming(at, reader);
    let clock_skew = clock_skew(at, reader);
    let tenants = tenants::tenants(at, reader)?;
    let kept = Kept {
        ca: ca.map_or(Some(None), |read| read.map(|ca| Some(ca.reveal().into())))?,
        bearer: bearer.map_or(Some(None), |read| read.map(Some))?,
        rules: rules?,
        audit_until,
        keys: keys?,
        subject,
        naming: naming?,
        clock_skew: clock_skew?,
    };
    tenants.iter().map(|tenant| one(at, tenant.as_ref(), &kept)).collect()
}

/// What all tenants of an entry have in common and is read once.
struct Kept {
    ca: Option<Box<[u8]>>,
    bearer: Option<crate::domain::secret::Secret>,
    rules: Vec<super::settings::RuleSettings>,
    audit_until: Option<crate::domain::time::Timestamp>,
    keys: KeySettings,
    subject: Vec<Box<str>>,
    naming: (IdentityFormat, Option<Adopt>),
    clock_skew: Duration,
}

fn one(
    at: &Cursor<'_>,
    tenant: Option<&tenants::Tenant<'_>>,
    kept: &Kept,
) -> Option<IssuerSettings> {
    let url = tenants::expand(at.get("url")?.text()?, tenant);
    let namespace = at.get("namespace").and_then(|at| at.text());
    let namespace = namespace.map_or_else(|| url.clone(), |text| tenants::expand(text, tenant));
    let allow = texts(at, "allow").unwrap_or_default();
    let own_rule = tenant.map(tenants::Tenant::rule);
    Some(IssuerSettings {
        keys_at: addresses::keys_at(at, &url, tenant)?,
        url: url.parse().ok()?,
        audiences: texts(at, "audiences")?,
        audience_claim: at.get("audienceClaim").map_or(Some("aud"), |at| at.text())?.into(),
        certificate_authority: kept.ca.clone(),
        bearer: kept.bearer.clone(),
        insecure_http: flag(Some(at), "insecureHttp"),
        algorithms: algorithms(at)?,
        token_types: token_types(at)?,
        allow_act: allow.iter().any(|claim| &**claim == "act"),
        allow_cnf: allow.iter().any(|claim| &**claim == "cnf"),
        namespace: namespace.parse().ok()?,
        subject: kept.subject.clone(),
        identity: kept.naming.0.clone(),
        adopt: kept.naming.1.clone(),
        rules: own_rule.into_iter().chain(kept.rules.iter().cloned()).collect(),
        audit_until: kept.audit_until,
        clock_skew: kept.clock_skew,
        keys: kept.keys,
    })
}

/// The claims that name a person.
fn subject(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Vec<Box<str>> {
    let subject = at.get("subject");
    let claims = texts(at, "subject").unwrap_or_else(|| vec!["sub".into()]);
    for (number, claim) in subject.iter().flat_map(Cursor::items).enumerate() {
        if claims.iter().take(number).any(|other| Some(&**other) == claim.text()) {
            claim
                .wrong(&mut reader.report, "this claim is here a second time (remove one of them)");
        }
    }
    claims
}

fn algorithms(at: &Cursor<'_>) -> Option<Vec<Algorithm>> {
    let Some(list) = at.get("algorithms") else { return Some(Algorithm::ALL.to_vec()) };
    list.items().map(|item| item.text()?.parse().ok()).collect()
}

fn token_types(at: &Cursor<'_>) -> Option<TokenTypes> {
    let Some(list) = texts(at, "tokenTypes") else { return Some(TokenTypes::Both) };
    let has = |kind: &str| list.iter().any(|item| &**item == kind);
    match (has("access_token"), has("id_token")) {
        (true, true) => Some(TokenTypes::Both),
        (true, false) => Some(TokenTypes::AccessToken),
        (false, true) => Some(TokenTypes::IdToken),
        (false, false) => None,
    }
}

fn bearer(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<crate::domain::secret::Secret> {
    let bearer = reader.secret(at)?;
    if !bearer.reveal().iter().all(u8::is_ascii_graphic) {
        at.unfit(
            &mut reader.report,
            "this token has spaces or line breaks in it (put the token alone into the file)",
        );
        return None;
    }
    Some(bearer)
}

fn clock_skew(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<Duration> {
    let skew = duration(Some(at), "clockSkew", Duration::from_secs(30))?;
    if let Some(at) = at.get("clockSkew").filter(|_| skew > Duration::from_hours(1)) {
        at.wrong(
            &mut reader.report,
            "this would let tokens live more than an hour too long (write at most 1h)",
        );
    }
    Some(skew)
}

fn keys(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<KeySettings> {
    for key in ["refresh", "cooldown", "fetchTimeout"] {
        let span = duration(at, key, Duration::from_secs(1))?;
        if let Some(at) = at.and_then(|at| at.get(key)).filter(|_| span.is_zero()) {
            at.wrong(&mut reader.report, "this must be longer than nothing (write at least 1s)");
        }
    }
    let keys = KeySettings {
        refresh: duration(at, "refresh", Duration::from_mins(10))?,
        cooldown: duration(at, "cooldown", Duration::from_secs(30))?,
        max_stale: duration(at, "maxStale", Duration::from_hours(24))?,
        fetch_timeout: duration(at, "fetchTimeout", Duration::from_secs(5))?,
    };
    if let Some(at) = at.filter(|_| keys.max_stale < keys.refresh) {
        let path = at.path();
        reader.report.warn(format!("{path}.maxStale is shorter than {path}.refresh: between two fetches tokens will be answered with 503"));
    }
    Some(keys)
}

#[cfg(test)]
mod tests;
