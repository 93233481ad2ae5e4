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
