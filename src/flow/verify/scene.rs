//! A place to verify tokens in: one issuer, one key, one clock. For tests.
use super::*;
use crate::{
    domain::policy::{Expression, Place},
    ports::{
        Reply,
        clock::StoppedClock,
        keys::{FixedKeys, KeysUnavailable},
        recall::SmallRecall,
    },
    token::{
        algorithm::Algorithm,
        key::KeySet,
        test_keys::{Signer, set},
    },
};
use futures_util::FutureExt;
use serde_json::{Value, json};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

pub(super) const NOW: u64 = 1_795_428_900;
pub(super) const ISSUER: &str = "https://login.example.com/realms/corp";

/// One issuer, one key, one clock.
pub(super) struct Scene {
    pub(super) signer: Signer,
    pub(super) rules: IssuerRules,
    pub(super) clock: Arc<StoppedClock>,
    pub(super) memory: Arc<SmallRecall<Arc<Remembered>>>,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) fn scene() -> Scene {
    Scene {
        signer: Signer::new(Algorithm::Es256, "k"),
        rules: rules(),
        clock: Arc::new(StoppedClock::at(Timestamp(NOW))),
        memory: Arc::new(SmallRecall::new(100)),
        metrics: Arc::new(Metrics::new("test", "63458b39")),
    }
}

pub(super) fn rules() -> IssuerRules {
    IssuerRules {
        issuer: ISSUER.parse().unwrap(),
        audiences: vec!["chat".into(), "chat2".into()],
        audience_claim: "aud".into(),
        algorithms: Algorithm::ALL.to_vec(),
        kinds: AcceptedKinds::Both,
        allow_act: false,
        allow_cnf: false,
        namespace: "corp".parse().unwrap(),
        subject: vec!["sub".into()],
        rules: vec![],
        audit_until: None,
        clock_skew: Duration::from_secs(30),
    }
}

impl Scene {
    pub(super) fn verifier(self) -> Verifier {
        let keys = FixedKeys(Ok(Arc::new(set(&[self.signer.jwk()]))));
        self.verifier_with(1, Arc::new(keys))
    }

    pub(super) fn verifier_with(self, revision: u64, keys: Arc<dyn Keys>) -> Verifier {
        let Self { rules, clock, memory, metrics, .. } = self;
        let surroundings = Surroundings { clock, memory, metrics };
        Verifier::new(revision, vec![(rules, keys)], surroundings)
    }

    /// The same place, seen once more.
    pub(super) fn again(&self) -> Self {
        let Self { signer, clock, memory, metrics, .. } = self;
        Self {
            signer: signer.clone(),
            rules: rules(),
            clock: Arc::clone(clock),
            memory: Arc::clone(memory),
            metrics: Arc::clone(metrics),
        }
    }
}

pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "chat", "sub": "alice", "exp": NOW + 300, "iat": NOW, "nbf": NOW})
}

pub(super) fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

pub(super) fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

/// The fakes never wait.
pub(super) fn verify(verifier: &Verifier, token: &str) -> Result<Verified, Unverified> {
    verifier.verify(token).now_or_never().unwrap()
}

pub(super) fn judge(scene: Scene, claims: &Value) -> Result<Verified, Unverified> {
    let token = scene.signer.token(claims);
    verify(&scene.verifier(), &token)
}

pub(super) fn refusal(claims: &Value) -> Unverified {
    judge(scene(), claims).unwrap_err()
}

pub(super) fn refusal_by(
    change: impl FnOnce(&mut IssuerRules),
    claims: &Value,
) -> Option<Unverified> {
    let mut scene = scene();
    change(&mut scene.rules);
    judge(scene, claims).err()
}

pub(super) const MALFORMED: Unverified = Unverified::Malformed(Malformed::Claim);

pub(super) fn expression(source: &str) -> ClaimRule {
    let expression = Expression::compile(source, Place::ClaimRule).unwrap();
    ClaimRule::Expression { expression, message: Some("verify your e-mail first".into()) }
}

pub(super) fn keyless() -> Arc<dyn Keys> {
    Arc::new(FixedKeys(Err(KeysUnavailable { retry_after: Duration::from_secs(1) })))
}

/// Keys that can change, and count what is asked.
#[derive(Debug)]
pub(super) struct ScriptedKeys {
    pub(super) held: Mutex<Result<Arc<KeySet>, KeysUnavailable>>,
    pub(super) published: Mutex<Result<Arc<KeySet>, KeysUnavailable>>,
    asked: AtomicUsize,
}

impl ScriptedKeys {
    pub(super) fn new(
        held: Result<Arc<KeySet>, KeysUnavailable>,
        published: Result<Arc<KeySet>, KeysUnavailable>,
    ) -> Arc<Self> {
        let [held, published] = [held, published].map(Mutex::new);
        Arc::new(Self { held, published, asked: AtomicUsize::new(0) })
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Keys for ScriptedKeys {
    fn held(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.held.lock().unwrap().clone()
    }

    fn refetched<'a>(&'a self, _kid: &'a str) -> Reply<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let keys = self.published.lock().unwrap().clone();
        Box::pin(async { keys })
    }

    fn first(&self) -> Reply<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        self.refetched("")
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it stands where keys may be unavailable")]
pub(super) fn keys_of(signers: &[&Signer]) -> Result<Arc<KeySet>, KeysUnavailable> {
    Ok(Arc::new(set(&signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>())))
}
