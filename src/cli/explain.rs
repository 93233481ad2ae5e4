//! `usher explain`: why a token gets what it gets, or which check stops it. Issues and stores nothing.
use super::{
    exit::Exit,
    load,
    run::block_on,
    terminal::{complain, say},
};
use crate::{
    app::{Host, Rehearsal, rehearse},
    config::settings::{IdentitySource, Settings},
    flow::{
        bind::Bound,
        permit::Wish,
        verify::{TypeHint, Unverified, Upstream, Verified},
    },
    inbound::refusal::Refusal,
    ports::store::Binding,
    telemetry::logs::chain,
};
use std::{
    io::{self, Read as _},
    path::PathBuf,
};

/// No token is longer.
const CAP: u64 = 64 * 1024;

/// The checks of a token, in their order, and what each has seen when it passed.
const CHECKS: [(&str, &str); 8] = [
    ("form", "three parts of base64url, each one JSON object"),
    ("algorithm", "one that the issuer may use"),
    ("issuer", "one that is configured"),
    ("key", "published by the issuer, and it fits the algorithm"),
    ("signature", "verifies"),
    ("times", "valid now"),
    ("audience", "one of the issuer's audiences"),
    ("kind", "accepted"),
];

/// Reads a token from standard input and explains it.
pub(super) fn run(file: Option<PathBuf>) -> Exit {
    let settings = match load::settings(file, &[], &[]) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    let mut text = String::new();
    if let Err(error) = io::stdin().lock().take(CAP).read_to_string(&mut text) {
        complain(&format!("usher: standard input: {error}"));
        return Exit::Wrong;
    }
    let text = text.trim();
    let token = text.strip_prefix("Bearer ").unwrap_or(text).trim();
    if token.is_empty() {
        complain("usher: standard input is empty: usher explain < token");
        return Exit::Wrong;
    }
    block_on(explain(&settings, token))
}

async fn explain(settings: &Settings, token: &str) -> Exit {
    let host = Host::system(settings.identity_key.fingerprint());
    let steps = match rehearse(settings, &host).await {
        Ok(steps) => steps,
        Err(error) => {
            complain(&format!("usher: {}", chain(&error)));
            return Exit::Unavailable;
        }
    };
    let verified = match steps.exchange.verifier.verify(token).await {
        Ok(verified) => verified,
        Err(why) => return stopped(&why),
    };
    for (check, seen) in CHECKS {
        passed(check, seen);
    }
    passed("rules", "every claimValidationRule holds");
    match granted(settings, &steps, verified).await {
        Ok(()) => Exit::Done,
        Err(refusal) => refused(step(&refusal), &refusal),
    }
}

/// From the proof to the grant.
async fn granted(
    settings: &Settings,
    steps: &Rehearsal,
    verified: Verified,
) -> Result<(), Refusal> {
    let upstream = verified.upstream();
    let (namespace, id) = (upstream.subject.namespace(), upstream.subject.id());
    passed("subject", &format!("{:?} in the namespace {:?}", id.as_str(), namespace.as_str()));
    let known = steps.store.find(&upstream.subject).await;
    let made = made(settings, upstream);
    let derived = settings.identity_key.derive(&upstream.subject);
    let bound = steps.exchange.binder.bind(verified).await?;
    let (how, seen) = match known {
        Ok(Some(Binding::Active(_) | Binding::Retired)) => (
            if *bound.identity() == derived {
                opaque(settings)
            } else {
                format!("kept by the store; one that it does not know would be {made}")
            },
            "it knows the subject",
        ),
        Ok(None) if bound.adopted() => (
            "waits for this user, and would be taken on first sight".to_owned(),
            "the subject is new to it; the first token would be its first sight",
        ),
        Ok(None) => (
            format!("would be given on first sight, {made}"),
            "the subject is new to it; the first token would be its first sight",
        ),
        Err(_) => (made, "it could not be read"),
    };
    passed("identity", &format!("{}: {how}", bound.identity().as_str()));
    passed("store", seen);
    entitled(settings, steps, bound)
}

/// How the issuer's subjects get their identities.
fn made(settings: &Settings, upstream: &Upstream) -> String {
    let issuer = settings.issuers.iter().find(|issuer| issuer.url == upstream.issuer);
    let format = issuer.map(|issuer| &issuer.identity);
    let behind = match format.map_or("", |format| format.prefix.as_str()) {
        "" => String::new(),
        prefix => format!(" behind the prefix {prefix}"),
    };
    match format.map(|format| &format.source) {
        None | Some(IdentitySource::Opaque) => opaque(settings),
        Some(IdentitySource::Claim(claim)) => format!("read from the claim {claim:?}{behind}"),
        Some(IdentitySource::Expression(_)) => {
            format!("made by the expression in issuers[].identity{behind}")
        }
    }
}

fn opaque(settings: &Settings) -> String {
    let fingerprint = settings.identity_key.fingerprint();
    format!("derived (opaque) from namespace and subject with the identity key {fingerprint}")
}

fn entitled(settings: &Settings, steps: &Rehearsal, bound: Bound) -> Result<(), Refusal> {
    let permitted = steps.exchange.permitter.permit(bound, Wish::default())?;
    let (service, terms) = (permitted.service(), permitted.terms());
    passed("grant", &format!("{}: service {} ({})", terms.name, service.name, service.sid));
    // Signed to know its life, and dropped: it is neither handed out nor kept.
    let token = steps.exchange.minter.issue(&permitted)?;
    let life = token.expires.seconds_since(token.now);
    let ttl = terms.ttl.unwrap_or(settings.life.ttl).as_secs();
    let why = if life < ttl { "shortened by the end of the upstream token" } else { "its ttl" };
    passed("token", &format!("would live {life} s ({why})"));
    Ok(())
}

/// Where a verified token was stopped.
fn step(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Unverified(_) | Refusal::DeclaredType => "",
        Refusal::Unbound(_) => "identity",
        Refusal::NotPermitted(_) => "grant",
        Refusal::NotIssued(_) => "token",
    }
}

/// Says which check stopped the token, and those before it.
fn stopped(why: &Unverified) -> Exit {
    let at = match why {
        Unverified::Malformed(_)
        | Unverified::WrongTokenType(
            TypeHint::Header | TypeHint::Logout | TypeHint::Conversations,
        ) => "form",
        Unverified::UnsupportedAlgorithm => "algorithm",
        Unverified::UnknownIssuer(_) => "issuer",
        Unverified::UnknownKey | Unverified::IssuerUnavailable(_) => "key",
        Unverified::BadSignature => "signature",
        Unverified::Expired | Unverified::NotYetValid => "times",
        Unverified::WrongAudience(_) => "audience",
        Unverified::WrongTokenType(
            TypeHint::IdToken
            | TypeHint::AccessToken
            | TypeHint::Unsaid
            | TypeHint::Actor
            | TypeHint::Confirmation,
        ) => "kind",
        Unverified::ClaimRule(_) | Unverified::UnverifiedEmail => "rules",
    };
    for (check, seen) in CHECKS.iter().take_while(|(check, _)| *check != at) {
        passed(check, seen);
    }
    let exit = refused(at, &Refusal::from(why.clone()));
    // Nobody can tell what would become of it.
    if matches!(why, Unverified::IssuerUnavailable(_)) { Exit::Unavailable } else { exit }
}

fn passed(check: &str, seen: &str) {
    say(&format!("ok       {check:<10} {seen}"));
}

fn refused(check: &str, refusal: &Refusal) -> Exit {
    let problem = refusal.problem();
    let code = problem.code().as_str();
    say(&format!("refused  {check:<10} {code}: {}", problem.detail()));
    Exit::Refused
}
