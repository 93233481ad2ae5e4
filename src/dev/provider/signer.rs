//! The keys that the provider signs with.
use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::fmt;

/// A key that signs: RS256 for `usher dev`, and for tests others too.
pub struct Signer {
    kid: Box<str>,
    key: Key,
}

enum Key {
    /// 2 048 bits.
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// An RSA key of 2 048 bits made at random, that signs RS256.
    ///
    /// # Errors
    /// [`NoSigner`], where the host's library makes none.
    pub fn random() -> Result<Self, NoSigner> {
        RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| NoSigner).map(Self::rsa)
    }

    /// A P-256 key made at random, that signs ES256.
    ///
    /// # Errors
    /// [`NoSigner`], where the host's library makes none.
    pub fn random_es256() -> Result<Self, NoSigner> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        key.map_err(|_| NoSigner).map(|key| Self::of(Key::P256(key)))
    }

    /// An Ed25519 key made at random, that signs `EdDSA`.
    ///
    /// # Errors
    /// [`NoSigner`], where the host's library makes none.
    pub fn random_eddsa() -> Result<Self, NoSigner> {
        Ed25519KeyPair::generate().map_err(|_| NoSigner).map(|key| Self::of(Key::Ed25519(key)))
    }

    /// An RSA key as [`Signer::pkcs8`] gave it.
    ///
    /// # Errors
    /// [`NoSigner`], where the bytes are no such key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, NoSigner> {
        RsaKeyPair::from_pkcs8(der).map_err(|_| NoSigner).map(Self::rsa)
    }

    fn rsa(key: RsaKeyPair) -> Self {
        Self::of(Key::Rsa(Box::new(key)))
    }

    fn of(key: Key) -> Self {
        let public = match &key {
            Key::Rsa(key) => key.public_key().as_ref(),
            Key::P256(key) => key.public_key().as_ref(),
            Key::Ed25519(key) => key.public_key().as_ref(),
        };
        // RFC 7638 asks for a hash of some members; any name that follows from the key will do.
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public);
        let kid = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default());
        Self { kid: kid.into(), key }
    }

    /// The private key, to be kept.
    ///
    /// # Errors
    /// [`NoSigner`], where the key is not RSA, or the host's library does not give it.
    pub fn pkcs8(&self) -> Result<Vec<u8>, NoSigner> {
        let Key::Rsa(key) = &self.key else { return Err(NoSigner) };
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(|_| NoSigner)?;
        Ok(der.as_ref().to_vec())
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that it signs with (RFC 7518 section 3.1, RFC 8037).
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rsa(_) => "RS256",
            Key::P256(_) => "ES256",
            Key::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.key {
            Key::Rsa(key) => {
                let public = key.public_key();
                json!({
                    "kty": "RSA",
                    "n": text(public.modulus().big_endian_without_leading_zero()),
                    "e": text(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Key::P256(key) => {
                // An uncompressed point: 04, x, y.
                let point = key.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at_checked(32).unwrap_or_default();
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Key::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())})
            }
        };
        let names = json!({"use": "sig", "alg": self.algorithm(), "kid": self.kid});
        if let (Some(jwk), Value::Object(names)) = (jwk.as_object_mut(), names) {
            jwk.extend(names);
        }
        jwk
    }

    /// A compact JWS over `claims`, with the members of `header` beside, or in place of, `alg` and `kid`.
    ///
    /// # Errors
    /// [`NoSigner`], where signing fails.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, NoSigner> {
        let mut head = json!({"alg": self.algorithm(), "kid": self.kid});
        if let (Some(head), Some(more)) = (head.as_object_mut(), header.as_object()) {
            head.extend(more.clone());
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(claims));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, NoSigner> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| NoSigner)?;
                Ok(signature)
            }
            Key::P256(key) => {
                key.sign(&random, message).map(|made| made.as_ref().to_vec()).map_err(|_| NoSigner)
            }
            Key::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.kid)
    }
}

/// There is no key to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's key cannot be made, read or used")]
pub struct NoSigner;

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, jwk::Jwk};

    #[test]
    fn each_key_signs_what_its_published_half_verifies() {
        for (signer, algorithm) in [
            (Signer::random(), Algorithm::RS256),
            (Signer::random_es256(), Algorithm::ES256),
            (Signer::random_eddsa(), Algorithm::EdDSA),
        ] {
            let signer = signer.unwrap();
            let claims = json!({"sub": "alice", "exp": 4_102_444_800_u64});
            let token = signer.sign(&json!({"typ": "at+jwt"}), &claims).unwrap();
            let jwk: Jwk = serde_json::from_value(signer.jwk()).unwrap();
            let key = DecodingKey::from_jwk(&jwk).unwrap();
            let read = decode::<Value>(&token, &key, &Validation::new(algorithm)).unwrap();
            assert_eq!(read.claims, claims);
            assert_eq!(read.header.typ.as_deref(), Some("at+jwt"));
            assert_eq!(read.header.kid.as_deref(), Some(signer.kid()));
        }
    }

    #[test]
    fn a_header_can_be_made_to_lie() {
        let signer = Signer::random_eddsa().unwrap();
        let token = signer.sign(&json!({"alg": "none", "kid": 7}), &json!({})).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({"alg": "none", "kid": 7}));
    }
}
