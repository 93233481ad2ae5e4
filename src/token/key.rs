//! The public keys of an issuer.
use super::{algorithm::Algorithm, jwk};
use aws_lc_rs::signature::ParsedPublicKey;
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};

/// A JWK Set of more keys is no issuer's: the rest is not read.
const MOST_KEYS: usize = 128;

/// How many keys one token may cost us to try (contract 3).
const MOST_CANDIDATES: usize = 8;

/// The usable keys of one JWK Set.
///
/// Whatever else the set holds is left out of it and reported: one bad key never poisons the others (RFC 7517 section 5).
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<VerifyingKey>>,
    by_kid: HashMap<Box<str>, Vec<Arc<VerifyingKey>>>,
}

impl KeySet {
    /// Reads a JWK Set, and says which of its keys cannot be used.
    ///
    /// # Errors
    /// The text is not a JSON object with an array `keys`. A set without a usable key is no error here.
    pub fn read(json: &[u8]) -> Result<(Self, Vec<SkippedKey>), UnreadableKeySet> {
        let set: Set = serde_json::from_slice(json).map_err(|_| UnreadableKeySet)?;
        let (mut read, mut skipped) = (Self::default(), Vec::new());
        for (at, entry) in set.keys.into_iter().enumerate() {
            let key = if at < MOST_KEYS { jwk::read(entry) } else { Err(SkipReason::TooMany) };
            match key {
                Ok(key) => read.add(Arc::new(key)),
                Err(SkipReason::TooMany) => {
                    skipped.push(SkippedKey { at, reason: SkipReason::TooMany });
                    break;
                }
                Err(reason) => skipped.push(SkippedKey { at, reason }),
            }
        }
        Ok((read, skipped))
    }

    fn add(&mut self, key: Arc<VerifyingKey>) {
        if let Some(kid) = key.kid() {
            self.by_kid.entry(kid.into()).or_default().push(Arc::clone(&key));
        }
        self.keys.push(key);
    }

    /// Whether a key is named `kid`.
    pub fn has(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// Whether there is no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many usable keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys named `kid` that fit `algorithm`, at most 8.
    pub fn named(
        &self,
        kid: &str,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Arc<VerifyingKey>> {
        let keys = self.by_kid.get(kid).map(Vec::as_slice).unwrap_or_default();
        keys.iter().filter(move |key| key.fits(algorithm)).take(MOST_CANDIDATES)
    }

    /// The keys that fit `algorithm` whatever their names, at most 8: for a token that names none.
    pub fn fitting(&self, algorithm: Algorithm) -> impl Iterator<Item = &Arc<VerifyingKey>> {
        self.keys.iter().filter(move |key| key.fits(algorithm)).take(MOST_CANDIDATES)
    }

    /// Whether this very key is among them: the same public key, of the same name, for the same algorithms.
    pub fn contains(&self, key: &VerifyingKey) -> bool {
        self.keys.iter().any(|held| held.mark == key.mark)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// A public key, parsed once, with the algorithms that its issuer and its kind allow.
#[derive(Debug)]
pub struct VerifyingKey {
    kid: Option<Box<str>>,
    verifiers: Box<[(Algorithm, ParsedPublicKey)]>,
    mark: [u8; 32],
}

impl VerifyingKey {
    /// Names a key: `mark` is a digest over the public key, its name and its algorithms.
    pub(super) fn new(
        kid: Option<Box<str>>,
        verifiers: Box<[(Algorithm, ParsedPublicKey)]>,
        mark: [u8; 32],
    ) -> Self {
        Self { kid, verifiers, mark }
    }

    /// Its `kid`, if it has one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether tokens signed with `algorithm` may be checked with it.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(fitting, _)| *fitting == algorithm)
    }

    /// Whether `signature` is this key's over `message`. Never, where the algorithm does not fit.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.verifiers.iter().any(|(fitting, key)| {
            *fitting == algorithm && key.verify_sig(message, signature).is_ok()
        })
    }
}

/// The text is not a JWK Set. It is not repeated, here or in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("text is not a JSON object with an array of keys")]
pub struct UnreadableKeySet;

/// An entry of a JWK Set that is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub at: usize,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SkipReason {
    /// A member is missing, has the wrong type or does not decode; a point is not on its curve.
    #[error("key is malformed")]
    Malformed,
    /// `oct`: whoever can check with it can sign with it.
    #[error("key is symmetric")]
    Symmetric,
    /// It has `d`: whoever read the set can sign with it.
    #[error("key is published with its private part")]
    Private,
    /// Neither RSA nor EC nor OKP.
    #[error("key type is not known")]
    UnknownType,
    /// Neither P-256 nor P-384 nor Ed25519.
    #[error("curve is not supported")]
    Curve,
    /// `use` is not `sig`, or `key_ops` lacks `verify`.
    #[error("key is not for checking signatures")]
    Use,
    /// `alg` is none that usher accepts, or is not for such a key.
    #[error("key's algorithm is not supported or does not fit its type")]
    Algorithm,
    /// RSA of fewer than 2048 or more than 8192 bits.
    #[error("rsa key does not have 2048 to 8192 bits")]
    Size,
    /// RSA with an exponent that is even, 1 or beyond 2^33; or a modulus that gives the private key away (ROCA).
    #[error("rsa key is weak")]
    Weak,
    /// Past the 128th.
    #[error("set holds too many keys")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{
        read::Jws,
        signature::{Unsigned, signer},
        test_keys::{Signer, encode, set},
    };
    use serde_json::{Value, json};

    fn reason(jwk: &Value) -> SkipReason {
        let (set, skipped) = KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        assert!(set.is_empty());
        assert_eq!(skipped.len(), 1);
        skipped[0].reason
    }

    fn with(jwk: &Value, name: &str, value: Value) -> Value {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    }

    fn without(jwk: &Value, names: &[&str]) -> Value {
        let mut jwk = jwk.clone();
        jwk.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
        jwk
    }

    #[test]
    fn p4_a_set_with_unusable_entries_keeps_serving_its_good_keys() {
        let good = Signer::new(Algorithm::Es256, "good");
        let mut nameless = Signer::new(Algorithm::EdDsa, "");
        nameless.kid = None;
        let rsa = Signer::new(Algorithm::Rs256, "rsa").jwk();
        let entries = json!({"keys": [
            {"kty": "oct", "k": "AAAA", "alg": "HS256", "kid": "good"},
            {"kty": "RSA", "alg": "none"},
            {"kty": "new", "kid": "x"},
            with(&rsa, "use", "enc".into()),
            with(&without(&rsa, &["use"]), "alg", "RSA-OAEP".into()),
            {"kty": "EC", "crv": "P-521", "alg": "ES512", "x": "AA", "y": "AA"},
            {}, 1, null, "key", [],
            good.jwk(),
            nameless.jwk(),
        ], "more": 1});
        let (keys, skipped) = KeySet::read(entries.to_string().as_bytes()).unwrap();
        assert_eq!((keys.len(), skipped.len()), (2, 11));
        let claims = json!({"a": 1});
        for signs in [good, nameless] {
            let token = signs.token(&claims);
            assert!(signer(&Jws::read(&token).unwrap(), &keys).is_ok());
        }
    }

    #[test]
    fn every_unusable_key_has_its_reason() {
        let rsa = without(&Signer::new(Algorithm::Rs256, "k").jwk(), &["alg", "use"]);
        let p256 = without(&Signer::new(Algorithm::Es256, "k").jwk(), &["alg", "use"]);
        let p384 = Signer::new(Algorithm::Es384, "k").jwk();
        let ed = Signer::new(Algorithm::EdDsa, "k").jwk();
        for (jwk, expected) in [
            (json!({"kty": "oct", "k": "AAAA"}), SkipReason::Symmetric),
            (json!({"kty": "oct"}), SkipReason::Symmetric),
            (with(&rsa, "d", "AQAB".into()), SkipReason::Private),
            (json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}), SkipReason::UnknownType),
            (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), SkipReason::Curve),
            (json!({"kty": "OKP", "crv": "Ed448", "x": "AA"}), SkipReason::Curve),
            (json!({"kty": "OKP", "crv": "X25519", "x": "AA"}), SkipReason::Curve),
            (with(&rsa, "use", "enc".into()), SkipReason::Use),
            (with(&rsa, "use", "tls".into()), SkipReason::Use),
            (with(&rsa, "key_ops", json!(["encrypt"])), SkipReason::Use),
            (with(&rsa, "key_ops", json!([])), SkipReason::Use),
            (with(&rsa, "use", 1.into()), SkipReason::Malformed),
            (with(&rsa, "alg", "none".into()), SkipReason::Algorithm),
            (with(&rsa, "alg", "HS256".into()), SkipReason::Algorithm),
            (with(&rsa, "alg", "ES256".into()), SkipReason::Algorithm),
            (with(&rsa, "alg", "RSA-OAEP".into()), SkipReason::Algorithm),
            (with(&p256, "alg", "ES384".into()), SkipReason::Algorithm),
            (with(&p384, "alg", "ES256".into()), SkipReason::Algorithm),
            (with(&ed, "alg", "ES256".into()), SkipReason::Algorithm),
            (with(&rsa, "n", encode(&[0xff; 255]).into()), SkipReason::Size),
            (with(&rsa, "n", encode(&[0xff; 1025]).into()), SkipReason::Size),
            (with(&rsa, "n", "".into()), SkipReason::Size),
            (with(&rsa, "e", "AQ".into()), SkipReason::Weak),
            (with(&rsa, "e", "AQAA".into()), SkipReason::Weak),
            (with(&rsa, "e", "".into()), SkipReason::Weak),
            (with(&rsa, "n", "=".into()), SkipReason::Malformed),
            (with(&rsa, "n", 1.into()), SkipReason::Malformed),
            (without(&rsa, &["e"]), SkipReason::Malformed),
            (without(&rsa, &["kty"]), SkipReason::Malformed),
            (with(&rsa, "kid", 1.into()), SkipReason::Malformed),
            (with(&p256, "x", "AA".into()), SkipReason::Malformed),
            (with(&p256, "x", p256["y"].clone()), SkipReason::Malformed),
            (with(&p256, "crv", "P-384".into()), SkipReason::Malformed),
            (with(&p256, "kty", "RSA".into()), SkipReason::Malformed),
            (with(&ed, "x", "AA".into()), SkipReason::Malformed),
        ] {
            assert_eq!(reason(&jwk), expected, "{jwk}");
        }
    }

    #[test]
    fn a_modulus_with_a_zero_byte_before_it_is_read() {
        let rsa = Signer::new(Algorithm::Rs256, "k");
        let modulus = rsa.jwk()["n"].as_str().unwrap().to_owned();
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, modulus);
        let padded = with(&rsa.jwk(), "n", encode(&[vec![0], bytes.unwrap()].concat()).into());
        let token = rsa.token(&json!({}));
        assert!(signer(&Jws::read(&token).unwrap(), &set(&[padded])).is_ok());
    }

    #[test]
    fn p4_a_key_is_used_with_none_but_the_algorithms_it_allows() {
        let rsa = Signer::new(Algorithm::Rs256, "k").jwk();
        let any = set(&[without(&rsa, &["alg", "use"])]);
        let one = set(&[rsa]);
        for algorithm in Algorithm::ALL {
            let mut other = Signer::new(algorithm, "k");
            let token = other.token(&json!({}));
            let read = Jws::read(&token).unwrap();
            let is_rsa = algorithm.as_str().starts_with(['R', 'P']);
            let expected = if is_rsa { Ok(()) } else { Err(Unsigned::Algorithm) };
            assert_eq!(signer(&read, &any).map(|_| ()), expected, "{algorithm:?}");
            let expected =
                if algorithm == Algorithm::Rs256 { Ok(()) } else { Err(Unsigned::Algorithm) };
            assert_eq!(signer(&read, &one).map(|_| ()), expected, "{algorithm:?}");
            // Without a kid no key fits, which is no reason to try one that does not.
            other.kid = None;
            let token = other.token(&json!({}));
            let expected = expected.map_err(|_| Unsigned::UnknownKey);
            let found = signer(&Jws::read(&token).unwrap(), &one).map(|_| ());
            assert_eq!(found, expected, "{algorithm:?}");
        }
    }

    #[test]
    fn p4_alg_none_and_hs256_under_the_public_key_are_refused() {
        let rsa = Signer::new(Algorithm::Rs256, "k");
        let keys = set(&[rsa.jwk()]);
        let secrets =
            [rsa.jwk()["n"].as_str().unwrap().as_bytes().to_vec(), rsa.jwk().to_string().into()];
        for alg in
            ["none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "ES512", "RS256 ", "rs256"]
        {
            let signed =
                format!("{}.e30", encode(json!({"alg": alg, "kid": "k"}).to_string().as_bytes()));
            for secret in &secrets {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
                let mac = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
                let token = format!("{signed}.{}", encode(mac.as_ref()));
                let jws = Jws::read(&token).unwrap();
                assert_eq!(signer(&jws, &keys).unwrap_err(), Unsigned::Algorithm, "{alg}");
            }
        }
    }

    #[test]
    fn p4_es256_under_a_p_384_key_is_refused() {
        let p384 = Signer::new(Algorithm::Es384, "k");
        let keys = set(&[p384.jwk()]);
        let token = p384.sign(&json!({"alg": "ES256", "kid": "k"}), b"{}");
        assert_eq!(signer(&Jws::read(&token).unwrap(), &keys).unwrap_err(), Unsigned::Algorithm);
    }

    #[test]
    fn p4_zero_and_oversized_ecdsa_signatures_are_refused() {
        for (algorithm, size) in [(Algorithm::Es256, 64), (Algorithm::Es384, 96)] {
            let signs = Signer::new(algorithm, "k");
            let keys = set(&[signs.jwk()]);
            let token = signs.token(&json!({}));
            let (signed, _) = token.rsplit_once('.').unwrap();
            for signature in
                [vec![0; size], vec![0xff; size], vec![0; size + 1], vec![1; 1], vec![0x30; 72]]
            {
                let forged = format!("{signed}.{}", encode(&signature));
                let jws = Jws::read(&forged).unwrap();
                assert_eq!(signer(&jws, &keys).unwrap_err(), Unsigned::BadSignature);
            }
        }
    }

    #[test]
    fn a_token_without_a_key_id_costs_at_most_8_checks() {
        let signers: Vec<_> =
            (0..10).map(|n| Signer::new(Algorithm::EdDsa, &n.to_string())).collect();
        let keys = set(&signers.iter().map(Signer::jwk).collect::<Vec<_>>());
        for (n, signs) in signers.into_iter().enumerate() {
            let token = signs.sign(&json!({"alg": "EdDSA"}), b"{}");
            let found = signer(&Jws::read(&token).unwrap(), &keys).map(|_| ());
            let expected = if n < 8 { Ok(()) } else { Err(Unsigned::BadSignature) };
            assert_eq!(found, expected, "{n}");
        }
    }

    #[test]
    fn two_keys_may_share_a_name() {
        let (one, two) = (Signer::new(Algorithm::Es256, "k"), Signer::new(Algorithm::Es256, "k"));
        let keys = set(&[one.jwk(), two.jwk()]);
        for signs in [one, two] {
            assert!(signer(&Jws::read(&signs.token(&json!({}))).unwrap(), &keys).is_ok());
        }
    }

    #[test]
    fn a_set_contains_the_very_key_and_none_that_differs_in_name_or_algorithm() {
        let rsa = Signer::new(Algorithm::Rs256, "k").jwk();
        let first = set(std::slice::from_ref(&rsa));
        let key = first.named("k", Algorithm::Rs256).next().unwrap();
        assert!(set(std::slice::from_ref(&rsa)).contains(key));
        for other in [
            with(&rsa, "kid", "other".into()),
            without(&rsa, &["kid"]),
            with(&rsa, "alg", "PS256".into()),
            without(&rsa, &["alg"]),
            Signer::new(Algorithm::Es256, "k").jwk(),
        ] {
            assert!(!set(&[other]).contains(key));
        }
    }

    #[test]
    fn a_set_of_more_than_128_keys_is_cut() {
        let jwk = Signer::new(Algorithm::EdDsa, "k").jwk();
        let entries = json!({"keys": vec![jwk; 200]});
        let (keys, skipped) = KeySet::read(entries.to_string().as_bytes()).unwrap();
        assert_eq!(keys.len(), 128);
        assert_eq!(skipped, [SkippedKey { at: 128, reason: SkipReason::TooMany }]);
    }

    #[test]
    fn what_is_no_key_set_is_unreadable() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"keys":{}}"#,
            r#"{"keys":null}"#,
            "<html>",
            r#"{"keys":[]"#,
        ] {
            assert_eq!(KeySet::read(text.as_bytes()).unwrap_err(), UnreadableKeySet, "{text}");
        }
        assert!(KeySet::read(br#"{"keys":[]}"#).unwrap().0.is_empty());
    }
}
