//! Proves who sent a token (contract 3, "Which tokens pass").
//!
//! A token is taken apart before anything in it is believed, and its `iss` only chooses among the configured issuers: no
//! address found in a token is ever fetched. What was proven is remembered under a digest; a memory saves reading and the
//! signature, and every other check is made again.
mod issuer;
mod memory;
mod reading;
mod refusal;

use super::memo::Memo;
use crate::{
    domain::{
        claims::{Claims, TokenKind, UserKind},
        identity::IdentityKey,
        sid::ApiKeySid,
        subject::{Issuer, Subject},
        time::Timestamp,
    },
    ports::{
        clock::Clock,
        keys::Keys,
        recall::{Digest, Recall},
    },
    telemetry::metrics::Metrics,
    token::{
        digest,
        key::VerifyingKey,
        read::{Jws, LONGEST, MediaType},
        signature::{Unsigned, signer},
    },
};
pub use issuer::{AcceptedKinds, ClaimRule, IssuerRules};
use issuer::{Issuers, KnownIssuer};
pub use memory::Remembered;
use reading::Reading;
pub use refusal::{AudienceHint, IssuerHint, Malformed, TypeHint, Unverified};
use std::sync::Arc;

/// Proof that an issuer we believe vouches for this subject, now. Only [`verify`](self) makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    proof: Arc<Proof>,
}

/// A verified token and what later steps keep with it.
#[derive(Debug)]
struct Proof {
    upstream: Upstream,
    memo: Memo,
}

/// What a verified upstream token says.
#[derive(Debug)]
pub struct Upstream {
    /// Names the very token under one configuration (SHA-256 over both), for what is remembered about it.
    pub digest: Digest,
    /// The issuer as configured.
    pub issuer: Issuer,
    /// Whom it is about.
    pub subject: Subject,
    /// What kind of token it was.
    pub kind: TokenKind,
    /// Who stands behind it.
    pub user: UserKind,
    /// When it ends. It passes for the clock skew longer.
    pub expires: Timestamp,
    /// All it says, for policy.
    pub claims: Claims,
}

impl Verified {
    /// What the token says.
    pub fn upstream(&self) -> &Upstream {
        &self.proof.upstream
    }

    /// What later steps keep with it.
    pub(super) fn memo(&self) -> &Memo {
        &self.proof.memo
    }

    /// The subject's hash for audit lines (contract 9). There is one identity key a process.
    pub fn subject_hash(&self, key: &IdentityKey) -> Arc<str> {
        self.memo().subject_hash(|| key.subject_hash(&self.upstream().subject))
    }
}

/// Verifies tokens of the configured issuers.
#[derive(Clone, Debug)]
pub struct Verifier {
    revision: u64,
    issuers: Arc<Issuers>,
    surroundings: Surroundings,
}

/// What a [`Verifier`] needs besides the issuers.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Remembers what was proven. May be shared by the verifiers of several configurations.
    pub memory: Arc<dyn Recall<Arc<Remembered>>>,
    /// Counts hits and misses.
    pub metrics: Arc<Metrics>,
}

impl Verifier {
    /// Verifies tokens of these issuers, each with the keys of its own; of two with one URL the last counts.
    ///
    /// `revision` differs for every configuration of the process, so that nothing is remembered beyond the one that
    /// verified it.
    pub fn new(
        revision: u64,
        issuers: Vec<(IssuerRules, Arc<dyn Keys>)>,
        surroundings: Surroundings,
    ) -> Self {
        Self { revision, issuers: Arc::new(Issuers::new(issuers)), surroundings }
    }

    /// Proves `token`, a compact JWS, now.
    ///
    /// # Errors
    /// Each variant of [`Unverified`] says which check stopped it.
    pub async fn verify(&self, token: &str) -> Result<Verified, Unverified> {
        if token.len() > LONGEST {
            return Err(Malformed::Length.into());
        }
        let name = digest::of(&[&self.revision.to_be_bytes(), token.as_bytes()]);
        let known = self.recall(&name)?;
        self.surroundings.metrics.verify_cache(known.is_some());
        let proof = match known {
            Some(known) => self.check_again(&known)?,
            None => self.prove(token, name).await?,
        };
        Ok(Verified { proof })
    }

    /// What is remembered about the token, as long as its key is one of the issuer's.
    fn recall(&self, name: &Digest) -> Result<Option<Arc<Remembered>>, Unverified> {
        let memory = &self.surroundings.memory;
        let Some(known) = memory.get(name) else { return Ok(None) };
        if known.issuer.keys.held()?.contains(&known.key) {
            return Ok(Some(known));
        }
        memory.forget(name);
        Ok(None)
    }

    fn check_again(&self, known: &Remembered) -> Result<Arc<Proof>, Unverified> {
        let (rules, claims) = (&known.issuer.rules, &known.proof.upstream.claims);
        let now = self.surroundings.clock.now();
        rules.admit(&known.reading, claims, now)?;
        rules.check_rules(claims, now, &self.surroundings.metrics)?;
        Ok(Arc::clone(&known.proof))
    }

    async fn prove(&self, token: &str, name: Digest) -> Result<Arc<Proof>, Unverified> {
        let jws = Jws::read(token)?;
        let claims = jws.claims()?;
        let issuer = self.issuer_of(&jws, &claims)?;
        let key = find_signer(&jws, issuer.keys.as_ref()).await?;
        // The wait for keys may have been long.
        let (rules, now) = (&issuer.rules, self.surroundings.clock.now());
        let reading = Reading::of(&claims, jws.media_type())?;
        rules.admit(&reading, &claims, now)?;
        let subject = rules.subject_of(&claims)?;
        rules.check_rules(&claims, now, &self.surroundings.metrics)?;
        let upstream = Upstream {
            digest: name,
            issuer: rules.issuer.clone(),
            subject,
            kind: reading.kind,
            user: UserKind::User,
            expires: reading.expires,
            claims,
        };
        let proof = Arc::new(Proof { upstream, memo: Memo::default() });
        let known = Remembered { proof: Arc::clone(&proof), issuer, key, reading };
        self.surroundings.memory.put(name, Arc::new(known));
        Ok(proof)
    }

    /// The configured issuer that the token names, if the token's form is one that it may have.
    fn issuer_of(&self, jws: &Jws<'_>, claims: &Claims) -> Result<Arc<KnownIssuer>, Unverified> {
        let named = reading::issuer(claims)?;
        // Before its algorithm is looked at, which would be refused with less to say.
        if jws.is_for_twilio() || named.is_some_and(|iss| iss.parse::<ApiKeySid>().is_ok()) {
            return Err(TypeHint::Conversations.into());
        }
        let algorithm = jws.algorithm().ok_or(Unverified::UnsupportedAlgorithm)?;
        match jws.media_type() {
            MediaType::Jwt | MediaType::AccessToken => {}
            MediaType::Logout => return Err(TypeHint::Logout.into()),
            MediaType::Other => return Err(TypeHint::Header.into()),
        }
        let issuer = self.issuers.find(named.unwrap_or_default())?;
        if !issuer.rules.algorithms.contains(&algorithm) {
            return Err(Unverified::UnsupportedAlgorithm);
        }
        Ok(issuer)
    }
}

/// Finds the key that signed the token; asks the issuer once where it has a `kid` that is not known.
async fn find_signer(jws: &Jws<'_>, keys: &dyn Keys) -> Result<Arc<VerifyingKey>, Unverified> {
    let set = match (keys.held(), jws.kid()) {
        (Ok(held), Some(kid)) if held.has(kid) => held,
        (Ok(held), None) => held,
        // Without any keys too: an issuer that came up after a failed start is found by whoever asks first.
        (Ok(_) | Err(_), Some(kid)) => keys.refetched(kid).await?,
        (Err(_), None) => keys.first().await?,
    };
    signer(jws, &set).cloned().map_err(|unsigned| match unsigned {
        Unsigned::Algorithm => Unverified::UnsupportedAlgorithm,
        Unsigned::UnknownKey => Unverified::UnknownKey,
        Unsigned::BadSignature => Unverified::BadSignature,
    })
}

#[cfg(test)]
mod scene;

#[cfg(test)]
impl Verified {
    /// Vouches for anybody: for the tests of the steps after this one.
    pub(crate) fn vouched(upstream: Upstream) -> Self {
        Self { proof: Arc::new(Proof { upstream, memo: Memo::default() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::{scene::*, *};
    use crate::{
        ports::keys::KeysUnavailable,
        token::{
            algorithm::Algorithm,
            test_keys::{Signer, encode},
        },
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    #[test]
    fn a_good_token_proves_its_subject() {
        for algorithm in Algorithm::ALL {
            let scene = Scene { signer: Signer::new(algorithm, "k"), ..scene() };
            let verified = judge(scene, &claims()).unwrap();
            let upstream = verified.upstream();
            assert_eq!(upstream.issuer.as_str(), ISSUER);
            assert_eq!(upstream.subject.namespace().as_str(), "corp");
            assert_eq!(upstream.subject.id().as_str(), "alice");
            assert_eq!(upstream.expires, Timestamp(NOW + 300));
            assert_eq!(upstream.user, UserKind::User);
            assert_eq!(upstream.claims.get("aud"), Some(&json!("chat")));
        }
    }

    #[test]
    fn p5_an_exponent_that_overflows_is_refused() {
        let scene = scene();
        let payload = claims().to_string().replace(&(NOW + 300).to_string(), "1e400");
        let token = scene.signer.sign(&scene.signer.header(), payload.as_bytes());
        let refused = verify(&scene.verifier(), &token).unwrap_err();
        assert_eq!(refused, Unverified::Malformed(Malformed::Json));
    }

    #[test]
    fn p5_a_duplicate_claim_is_refused() {
        let scene = scene();
        let payload = claims().to_string().replace('{', r#"{"sub":"root","#);
        let token = scene.signer.sign(&scene.signer.header(), payload.as_bytes());
        let refused = verify(&scene.verifier(), &token).unwrap_err();
        assert_eq!(refused, Unverified::Malformed(Malformed::Json));
    }

    #[test]
    fn p9_a_token_that_twilio_or_usher_issued_is_never_accepted() {
        let own: Unverified = TypeHint::Conversations.into();
        let sid = "SK0123456789abcdef0123456789abcdef";
        // As usher writes it: HS256, which alone would be another refusal.
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"secret");
        let token = |header: Value, claims: &Value| {
            let text = [header.to_string(), claims.to_string()].map(|part| encode(part.as_bytes()));
            let mac = aws_lc_rs::hmac::sign(&key, text.join(".").as_bytes());
            format!("{}.{}", text.join("."), encode(mac.as_ref()))
        };
        let fpa = json!({"typ": "JWT", "alg": "HS256", "cty": "twilio-fpa;v=1"});
        let verifier = scene().verifier();
        let plain = json!({"typ": "JWT", "alg": "HS256"});
        for token in [
            token(fpa.clone(), &with("iss", sid.into())),
            token(fpa, &claims()),
            token(plain, &with("iss", sid.into())),
        ] {
            assert_eq!(verify(&verifier, &token).unwrap_err(), own);
        }
        // Nor one that a configured issuer was talked into signing.
        let scene = scene();
        let mut header = scene.signer.header();
        header["cty"] = "Twilio-FPA;v=2".into();
        let token = scene.signer.sign(&header, claims().to_string().as_bytes());
        assert_eq!(verify(&scene.verifier(), &token).unwrap_err(), own);
        assert_eq!(refusal(&with("iss", sid.into())), own);
    }

    #[test]
    fn p4_an_algorithm_that_the_issuer_may_not_use_is_refused() {
        let refused = refusal_by(|rules| rules.algorithms = vec![Algorithm::Rs256], &claims());
        assert_eq!(refused, Some(Unverified::UnsupportedAlgorithm));
    }

    #[test]
    fn p3_without_keys_no_token_verifies() {
        let scene = scene();
        let signer = scene.signer.clone();
        let verifier = scene.verifier_with(1, keyless());
        let jwk = signer.jwk();
        for (name, value) in [
            ("other", json!(1)),
            ("jwk", jwk.clone()),
            ("jku", json!("https://evil.example/keys")),
            ("x5u", json!("https://evil.example/x5u")),
            ("x5c", json!(["AAAA"])),
        ] {
            for kid in [Some("k"), None] {
                let mut header = json!({"alg": "ES256", name: value});
                if let Some(kid) = kid {
                    header["kid"] = kid.into();
                }
                let token = signer.sign(&header, claims().to_string().as_bytes());
                let refused = verify(&verifier, &token).unwrap_err();
                assert!(matches!(refused, Unverified::IssuerUnavailable(_)), "{header}");
            }
        }
        let secretless = format!(
            "{}.{}.AA",
            encode(br#"{"alg":"HS256"}"#),
            encode(claims().to_string().as_bytes())
        );
        assert_eq!(verify(&verifier, &secretless).unwrap_err(), Unverified::UnsupportedAlgorithm);
    }

    #[test]
    fn p3_a_key_that_the_token_brings_along_is_not_used() {
        let scene = scene();
        let stranger = Signer::new(Algorithm::Es256, "k");
        let header = json!({"alg": "ES256", "kid": "k", "jwk": stranger.jwk()});
        let token = stranger.sign(&header, claims().to_string().as_bytes());
        let verifier = scene.verifier();
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::BadSignature);
        let header = json!({"alg": "ES256", "jwk": stranger.jwk()});
        let token = stranger.sign(&header, claims().to_string().as_bytes());
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::BadSignature);
        let header = json!({"alg": "ES256", "kid": "s", "jwk": stranger.jwk()});
        let token = stranger.sign(&header, claims().to_string().as_bytes());
        assert_eq!(verify(&verifier, &token).unwrap_err(), Unverified::UnknownKey);
    }

    #[test]
    fn a_new_key_is_asked_for_once_and_a_known_one_never() {
        let (scene, new) = (scene(), Signer::new(Algorithm::Es256, "new"));
        let old = scene.signer.clone();
        let keys = ScriptedKeys::new(keys_of(&[&old]), keys_of(&[&old, &new]));
        let verifier = scene.verifier_with(1, Arc::clone(&keys) as Arc<dyn Keys>);
        assert!(verify(&verifier, &old.token(&claims())).is_ok());
        assert_eq!(keys.asked(), 0);
        assert!(verify(&verifier, &new.token(&claims())).is_ok());
        assert_eq!(keys.asked(), 1);
        let unknown = Signer::new(Algorithm::Es256, "unknown").token(&claims());
        assert_eq!(verify(&verifier, &unknown).unwrap_err(), Unverified::UnknownKey);
        *keys.published.lock().unwrap() = Err(KeysUnavailable { retry_after: Duration::ZERO });
        assert!(matches!(verify(&verifier, &unknown), Err(Unverified::IssuerUnavailable(_))));
    }

    #[test]
    fn p1_a_token_without_a_key_id_fetches_nothing() {
        let (scene, stranger) = (scene(), Signer::new(Algorithm::Es256, "k"));
        let keys = ScriptedKeys::new(keys_of(&[&scene.signer]), keys_of(&[]));
        let own = scene.signer.clone();
        let verifier = scene.verifier_with(1, Arc::clone(&keys) as Arc<dyn Keys>);
        let nameless = |signer: &Signer| {
            signer.sign(&json!({"alg": "ES256"}), claims().to_string().as_bytes())
        };
        assert!(verify(&verifier, &nameless(&own)).is_ok());
        assert_eq!(verify(&verifier, &nameless(&stranger)).unwrap_err(), Unverified::BadSignature);
        let other = Signer::new(Algorithm::EdDsa, "k")
            .sign(&json!({"alg": "EdDSA"}), claims().to_string().as_bytes());
        assert_eq!(verify(&verifier, &other).unwrap_err(), Unverified::UnknownKey);
        assert_eq!(keys.asked(), 0);
    }

    #[test]
    fn p6_a_token_of_an_issuer_that_is_not_configured_asks_nobody() {
        let scene = scene();
        let signer = scene.signer.clone();
        let gone = Err(KeysUnavailable { retry_after: Duration::ZERO });
        let keys = ScriptedKeys::new(gone.clone(), gone);
        let verifier = scene.verifier_with(1, Arc::clone(&keys) as Arc<dyn Keys>);
        let token = signer.token(&with("iss", "https://evil.example".into()));
        assert_eq!(
            verify(&verifier, &token).unwrap_err(),
            Unverified::UnknownIssuer(IssuerHint::None)
        );
        assert_eq!(keys.asked(), 0);
    }

    #[test]
    fn before_the_first_keys_a_token_waits_for_them() {
        let scene = scene();
        let token = scene.signer.token(&claims());
        let none = Err(KeysUnavailable { retry_after: Duration::ZERO });
        let keys = ScriptedKeys::new(none, keys_of(&[&scene.signer]));
        let verifier = scene.verifier_with(1, Arc::clone(&keys) as Arc<dyn Keys>);
        assert!(verify(&verifier, &token).is_ok());
        assert_eq!(keys.asked(), 1);
    }

    #[test]
    fn p3_no_token_of_the_fixtures_verifies() {
        let verifier = scene().verifier();
        let fixture = include_str!("../../tests/fixtures/wycheproof/json_web_signature_test.json");
        let mut tried = 0;
        for token in fixture.split('"').filter(|text| text.starts_with("eyJ")) {
            assert!(verify(&verifier, token).is_err());
            tried += 1;
        }
        assert!(tried > 300);
    }

    proptest! {
        #[test]
        fn p11_a_changed_token_never_verifies_and_never_panics(
            at in any::<prop::sample::Index>(), put in "[-_=.A-Za-z0-9 ]{0,3}", take in 0..3_usize,
        ) {
            let scene = scene();
            let token = scene.signer.token(&claims());
            let verifier = scene.verifier();
            verify(&verifier, &token).unwrap();
            let at = at.index(token.len());
            let mut changed = token.clone();
            changed.replace_range(at..(at + take).min(token.len()), &put);
            prop_assert_eq!(verify(&verifier, &changed).is_ok(), changed == token);
        }

        #[test]
        fn p11_any_header_and_claims_never_panic(header in json_text(), payload in json_text()) {
            let scene = scene();
            let token = scene.signer.sign_text(&header, payload.as_bytes());
            prop_assert!(verify(&scene.verifier(), &token).is_err());
        }
    }

    /// Objects of the names that matter and values of every type.
    fn json_text() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec![
            "alg", "kid", "typ", "cty", "crit", "iss", "aud", "sub", "exp", "nbf", "iat", "events",
            "act",
        ]);
        let value = prop::sample::select(vec![
            "null",
            "true",
            "0",
            "-1",
            "1e999",
            "1795429000",
            "\"ES256\"",
            "\"k\"",
            "\"JWT\"",
            "[]",
            "{}",
            "\"\"",
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
            "\"\\ud800\"",
            "{\"a\":{\"a\":1}}",
            "\"https://login.example.com/realms/corp\"",
        ]);
        prop::collection::vec((name, value), 0..8).prop_map(|members| {
            let members: Vec<_> =
                members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    }
}
