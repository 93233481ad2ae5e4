//! `claimValidationRules`, `enforcement` and `anyone`: who of an issuer's users may come in.
use crate::{
    config::{
        mistake::Report,
        reader::{Reader, flag},
        settings::RuleSettings,
        text,
        tree::Cursor,
    },
    domain::time::Timestamp,
};
use std::time::Duration;

/// The longest trial of a rule.
const LONGEST_AUDIT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Hosts whose issuers give a token to whoever asks, and the part of the path that makes them so.
const PUBLIC: &[(&str, &str)] = &[
    ("accounts.google.com", ""),
    ("appleid.apple.com", ""),
    ("login.microsoftonline.com", "/common/"),
    ("login.microsoftonline.com", "/consumers/"),
    ("login.microsoftonline.com", "/organizations/"),
    // The tenant of personal Microsoft accounts.
    ("login.microsoftonline.com", "/9188040d-6c67-4c5b-b112-36a304b66dad/"),
    ("access.line.me", ""),
    ("api.login.yahoo.com", ""),
    ("github.com", ""),
    ("gitlab.com", ""),
    ("id.twitch.tv", ""),
    ("kauth.kakao.com", ""),
    ("limited.facebook.com", ""),
    ("slack.com", ""),
    ("token.actions.githubusercontent.com", ""),
    ("www.facebook.com", ""),
    ("www.linkedin.com", ""),
    ("www.paypal.com", ""),
];

/// Refuses an issuer that serves the public where nothing narrows whom it lets in.
pub(super) fn refuse_everyone(at: &Cursor<'_>, conditional: bool, report: &mut Report) {
    let Some(url) = at.get("url") else { return };
    let narrowed = at.get("claimValidationRules").is_some_and(|rules| rules.items().count() > 0);
    let public = url.text().is_some_and(serves_the_public);
    if public && !narrowed && !conditional && !flag(Some(at), "anyone") {
        url.wrong(report, "this issuer serves the public, so that anybody could come in (write claimValidationRules, or `when` in each of the grants, or anyone: true)");
    }
}

fn serves_the_public(url: &str) -> bool {
    let Ok(url) = crate::config::address::http_url(url) else { return false };
    let path = format!("{}/", url.path());
    PUBLIC.iter().any(|(host, begins)| url.host_str() == Some(host) && path.starts_with(begins))
}

/// Reads `claimValidationRules`.
pub(super) fn rules(at: &Cursor<'_>) -> Option<Vec<RuleSettings>> {
    let list = at.get("claimValidationRules");
    list.iter().flat_map(Cursor::items).map(|at| rule(&at)).collect()
}

fn rule(at: &Cursor<'_>) -> Option<RuleSettings> {
    let text = |key| at.get(key).and_then(|at| at.text()).map(Box::from);
    match text("expression") {
        Some(expression) => Some(RuleSettings::Expression { expression, message: text("message") }),
        None => {
            Some(RuleSettings::Required { claim: text("claim")?, value: text("requiredValue")? })
        }
    }
}

/// Reads `enforcement`: `None` within is "enforce".
pub(super) fn audit_until(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<Option<Timestamp>> {
    let Some(at) = at.get("enforcement").and_then(|at| at.get("auditUntil")) else {
        return Some(None);
    };
    let until = text::date(at.text()?).ok()?;
    let now = reader.sources.now;
    if until > now.plus(LONGEST_AUDIT) {
        at.wrong(&mut reader.report, "this is more than 30 days ahead (write a nearer day)");
        return None;
    }
    if until <= now {
        // Not a mistake: a restart after the day must not fail where none before it did.
        let path = at.path();
        reader.report.warn(format!("{path} has passed: the rules are enforced"));
    }
    Some(Some(until))
}
