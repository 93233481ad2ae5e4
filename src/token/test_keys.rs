//! Signs tokens as an issuer does: for tests.
use super::{algorithm::Algorithm, key::KeySet};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Making an RSA key takes long, so all signers share one.
static RSA: LazyLock<Arc<RsaKeyPair>> =
    LazyLock::new(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

/// An issuer's key pair.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    Ecdsa(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl Signer {
    /// A fresh key, but for RSA, which is the same for all.
    pub(crate) fn new(algorithm: Algorithm, kid: &str) -> Self {
        let ecdsa = |alg| Pair::Ecdsa(Arc::new(EcdsaKeyPair::generate(alg).unwrap()));
        let pair = match algorithm {
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDsa => Pair::Ed25519(Arc::new(Ed25519KeyPair::generate().unwrap())),
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Pair::Rsa(Arc::clone(&RSA)),
        };
        Self { kid: Some(kid.to_owned()), algorithm, pair }
    }

    /// Its public half, with `alg`, `use` and `kid`.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                // PKCS #1 of a 2048-bit key: two headers of 4 bytes, a zero, 256 bytes, and the exponent 65537.
                let der = pair.public_key().as_ref();
                json!({"kty": "RSA", "n": encode(&der[9..265]), "e": "AQAB"})
            }
            Pair::Ecdsa(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        jwk["alg"] = self.algorithm.as_str().into();
        jwk["use"] = "sig".into();
        if let Some(kid) = &self.kid {
            jwk["kid"] = kid.as_str().into();
        }
        jwk
    }

    /// The header it writes unless told otherwise.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm.as_str(), "typ": "JWT"});
        if let Some(kid) = &self.kid {
            header["kid"] = kid.as_str().into();
        }
        header
    }

    /// A token with its own header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims.to_string().as_bytes())
    }

    /// A token with any header and payload, signed with its algorithm whatever the header says.
    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> String {
        self.sign_text(&header.to_string(), payload)
    }

    /// The same with a header that need not be JSON.
    pub(crate) fn sign_text(&self, header: &str, payload: &[u8]) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding(self.algorithm), &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn padding(algorithm: Algorithm) -> &'static dyn RsaEncoding {
    match algorithm {
        Algorithm::Rs384 => &RSA_PKCS1_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_SHA512,
        Algorithm::Ps256 => &RSA_PSS_SHA256,
        Algorithm::Ps384 => &RSA_PSS_SHA384,
        Algorithm::Ps512 => &RSA_PSS_SHA512,
        Algorithm::Rs256 | Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => {
            &RSA_PKCS1_SHA256
        }
    }
}

/// The set that publishes `keys`, each of which must be usable.
pub(crate) fn set(keys: &[Value]) -> KeySet {
    let (set, skipped) = KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(skipped, []);
    set
}

/// base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
