//! The key that the provider signs with.
use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::fmt;

/// An RSA key of 2 048 bits that signs RS256.
pub struct Signer {
    kid: Box<str>,
    key: RsaKeyPair,
}

impl Signer {
    /// A key made at random.
    ///
    /// # Errors
    /// [`NoSigner`], where the host's library makes none.
    pub fn random() -> Result<Self, NoSigner> {
        RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| NoSigner).map(Self::of)
    }

    /// A key as [`Signer::pkcs8`] gave it.
    ///
    /// # Errors
    /// [`NoSigner`], where the bytes are no such key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, NoSigner> {
        RsaKeyPair::from_pkcs8(der).map_err(|_| NoSigner).map(Self::of)
    }

    fn of(key: RsaKeyPair) -> Self {
        // RFC 7638 asks for a hash of some members; any name that follows from the key will do.
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.public_key().as_ref());
        let kid = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default());
        Self { kid: kid.into(), key }
    }

    /// The private key, to be kept.
    ///
    /// # Errors
    /// [`NoSigner`], where the host's library does not give it.
    pub fn pkcs8(&self) -> Result<Vec<u8>, NoSigner> {
        let der: Pkcs8V1Der<'_> = self.key.as_der().map_err(|_| NoSigner)?;
        Ok(der.as_ref().to_vec())
    }

    /// The key's name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Value {
        let public = self.key.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// A compact JWS over `claims`, with the members of `header` beside `alg` and `kid`.
    ///
    /// # Errors
    /// [`NoSigner`], where signing fails.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, NoSigner> {
        let mut head = json!({"alg": "RS256", "kid": self.kid});
        if let (Some(head), Some(more)) = (head.as_object_mut(), header.as_object()) {
            head.extend(more.clone());
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| NoSigner)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
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
