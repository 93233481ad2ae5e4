//! The public listener with steps that do what the token says.
use crate::rig::{Rig, generous};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use usher::{
    domain::{
        claims::TokenKind, identity::NotNamed, policy::Unevaluated, secret::Secret, time::Timestamp,
    },
    flow::{
        bind::{Unbound, Unnamed},
        issue::{ChatToken, NotIssued},
        permit::NotPermitted,
        verify::{AudienceHint, IssuerHint, Malformed, TypeHint, Unverified},
    },
    inbound::{
        public::{Ask, Decision, Face, Public, PublicConfig, Steps, Surroundings},
        refusal::Refusal,
    },
    ports::{
        clock::StoppedClock, entropy::CountedEntropy, keys::KeysUnavailable, store::StoreError,
    },
    telemetry::metrics::Metrics,
};

/// What the steps were asked: token, declared kind, service, platform.
pub type Asked = (String, Option<TokenKind>, Option<String>, Option<String>);

/// Issues `minted.for.<token>` for the token `good.token.here`; every other token is the name of what goes
/// wrong with it.
#[derive(Debug, Default)]
pub struct Scripted {
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub waiting: Arc<Notify>,
}

pub const MINTED: &str = "minted.chat.token";

impl Steps for Scripted {
    async fn decide(&self, ask: Ask<'_>) -> Decision {
        self.asked.lock().unwrap().push((
            ask.token.to_owned(),
            ask.declared,
            ask.wish.service.map(str::to_owned),
            ask.wish.platform.map(str::to_owned),
        ));
        if ask.token == "waiting" {
            self.waiting.notified().await;
        }
        let identity = "u-alice".parse().unwrap();
        match refusal(ask.token) {
            Some(why) => Decision::refused(why),
            None => Decision {
                outcome: Ok(token()),
                verified: None,
                subject_hash: Some("0123456789abcdef".into()),
                identity: Some(identity),
                adopted: ask.token == "adopted",
            },
        }
    }
}

fn token() -> ChatToken {
    let now = Timestamp(1_795_428_000);
    ChatToken {
        jwt: Arc::new(Secret::text(MINTED)),
        identity: "u-alice".parse().unwrap(),
        service_sid: "IS0123456789abcdef0123456789abcdef".parse().unwrap(),
        grant: "staff".into(),
        jti: "SK0-1-a".into(),
        now,
        expires: Timestamp(now.0 + 900),
        refresh: Timestamp(now.0 + 690),
    }
}

/// Every way in which the steps can fail, by a name.
pub const FAILURES: &[&str] = &[
    "encrypted",
    "parts",
    "encoding",
    "json",
    "critical",
    "header",
    "claim",
    "length",
    "algorithm",
    "issuer",
    "issuer-slash",
    "issuer-scheme",
    "issuer-case",
    "key",
    "signature",
    "expired",
    "not-yet",
    "audience",
    "audience-account",
    "audience-graph",
    "audience-missing",
    "type-header",
    "type-logout",
    "type-id",
    "type-access",
    "type-unsaid",
    "type-act",
    "type-cnf",
    "type-conversations",
    "rule",
    "rule-message",
    "email",
    "issuer-down",
    "declared",
    "retired",
    "conflict",
    "unnamed-claim",
    "unnamed-expression",
    "unnamed-email",
    "unnamed-empty",
    "unnamed-control",
    "unnamed-long",
    "unnamed-reserved",
    "unnamed-kind",
    "waits",
    "store",
    "rekeyed",
    "no-grant",
    "service",
    "platform",
    "expiring",
    "unsigned",
];

fn refusal(token: &str) -> Option<Refusal> {
    let unverified = match token {
        "good.token.here" | "waiting" | "adopted" => return None,
        "panic" => panic!("as the test wants"),
        "encrypted" => Unverified::Malformed(Malformed::Encrypted),
        "parts" => Unverified::Malformed(Malformed::Parts),
        "encoding" => Unverified::Malformed(Malformed::Encoding),
        "json" => Unverified::Malformed(Malformed::Json),
        "critical" => Unverified::Malformed(Malformed::Critical),
        "header" => Unverified::Malformed(Malformed::Header),
        "claim" => Unverified::Malformed(Malformed::Claim),
        "length" => Unverified::Malformed(Malformed::Length),
        "algorithm" => Unverified::UnsupportedAlgorithm,
        "issuer" => Unverified::UnknownIssuer(IssuerHint::None),
        "issuer-slash" => Unverified::UnknownIssuer(IssuerHint::FinalSlash),
        "issuer-scheme" => Unverified::UnknownIssuer(IssuerHint::Scheme),
        "issuer-case" => Unverified::UnknownIssuer(IssuerHint::Case),
        "key" => Unverified::UnknownKey,
        "signature" => Unverified::BadSignature,
        "expired" => Unverified::Expired,
        "not-yet" => Unverified::NotYetValid,
        "audience" => Unverified::WrongAudience(AudienceHint::None),
        "audience-account" => Unverified::WrongAudience(AudienceHint::KeycloakAccount),
        "audience-graph" => Unverified::WrongAudience(AudienceHint::MicrosoftGraph),
        "audience-missing" => Unverified::WrongAudience(AudienceHint::Missing),
        "type-header" => Unverified::WrongTokenType(TypeHint::Header),
        "type-logout" => Unverified::WrongTokenType(TypeHint::Logout),
        "type-id" => Unverified::WrongTokenType(TypeHint::IdToken),
        "type-access" => Unverified::WrongTokenType(TypeHint::AccessToken),
        "type-unsaid" => Unverified::WrongTokenType(TypeHint::Unsaid),
        "type-act" => Unverified::WrongTokenType(TypeHint::Actor),
        "type-cnf" => Unverified::WrongTokenType(TypeHint::Confirmation),
        "type-conversations" => Unverified::WrongTokenType(TypeHint::Conversations),
        "rule" => Unverified::ClaimRule(None),
        "email" => Unverified::UnverifiedEmail,
        "rule-message" => Unverified::ClaimRule(Some("verify your \"e-mail\" first".into())),
        "issuer-down" => Unverified::IssuerUnavailable(KeysUnavailable {
            retry_after: std::time::Duration::from_millis(6_400),
        }),
        later => return Some(later_refusal(later)),
    };
    Some(unverified.into())
}

fn later_refusal(token: &str) -> Refusal {
    if let Some(why) = token.strip_prefix("unnamed-") {
        return Unbound::Unnamed(unnamed(why)).into();
    }
    match token {
        "declared" => Refusal::DeclaredType,
        "retired" => Unbound::Retired.into(),
        "conflict" => Unbound::Conflict.into(),
        "waits" => Unbound::Unverified.into(),
        "rekeyed" => Unbound::Store(StoreError::Rekeyed("63458b39".parse().unwrap())).into(),
        "store" => Unbound::Store(StoreError::Damaged).into(),
        "no-grant" => NotPermitted::NoGrant.into(),
        "service" => NotPermitted::Service.into(),
        "platform" => NotPermitted::Platform.into(),
        "expiring" => NotIssued::Expiring.into(),
        "unsigned" => NotIssued::Unsigned.into(),
        unknown => panic!("no script for {unknown}"),
    }
}

/// The public listener, and what its steps were asked.
pub struct Stage {
    pub rig: Rig,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub waiting: Arc<Notify>,
    pub public: Arc<Public<Scripted>>,
    pub metrics: Arc<Metrics>,
}

pub async fn stage(config: PublicConfig) -> Stage {
    let steps = Scripted::default();
    let (asked, waiting) = (Arc::clone(&steps.asked), Arc::clone(&steps.waiting));
    let metrics = Arc::new(Metrics::new("0", "63458b39"));
    let surroundings = Surroundings {
        metrics: Arc::clone(&metrics),
        entropy: Arc::new(CountedEntropy::default()),
        clock: Arc::new(StoppedClock::at(Timestamp(1))),
    };
    let public = Arc::new(Public::new(Face::new(config, steps).unwrap(), surroundings));
    let rig = Rig::start(Arc::clone(&public), generous()).await;
    Stage { rig, asked, waiting, public, metrics }
}

/// `GET /conversations/token` with this token.
fn unnamed(why: &str) -> Unnamed {
    match why {
        "claim" => Unnamed::Claim,
        "expression" => Unnamed::Expression(Unevaluated::NoValue),
        "email" => Unnamed::Email,
        "empty" => Unnamed::Value(NotNamed::Empty),
        "control" => Unnamed::Value(NotNamed::Control),
        "long" => Unnamed::Value(NotNamed::TooLong),
        "reserved" => Unnamed::Value(NotNamed::Reserved),
        "kind" => Unnamed::Value(NotNamed::Kind),
        other => panic!("{other}"),
    }
}

pub fn with_token(token: &str) -> String {
    format!("GET /conversations/token HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")
}
