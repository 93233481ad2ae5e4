//! Upstream tokens as a provider would sign them, made before the clock runs.
use crate::{Fault, process, unix_seconds};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use std::{ops::Range, time::Duration};

/// The audience every token is for.
pub(crate) const AUDIENCE: &str = "chat";

/// How a token is signed.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// 2048 bits: what most providers use, and dear to sign.
    Rs256,
    /// Cheap to sign: for the run that needs a hundred thousand subjects.
    Es256,
}

/// A provider's keys.
pub(crate) struct Signer {
    issuer: String,
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
}

impl Signer {
    /// New keys for a provider at this address.
    pub(crate) fn generate(issuer: &str) -> Result<Self, Fault> {
        Ok(Self {
            issuer: issuer.to_owned(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048)?,
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
        })
    }

    /// The key set as the provider publishes it.
    pub(crate) fn key_set(&self) -> Result<String, Fault> {
        // RSAPublicKey of a 2048-bit key with exponent 65537 has one shape: 30 82 01 0a 02 82 01 01 00 n 02 03 e.
        let rsa = self.rsa.public_key().as_ref();
        let modulus = rsa.get(9..265).ok_or("an RSA key of an odd shape")?;
        let point = self.ec.public_key().as_ref();
        let (x, y) = (point.get(1..33), point.get(33..65));
        let (x, y) = x.zip(y).ok_or("a P-256 key of an odd shape")?;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let set = json!({"keys": [
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench-rsa", "n": text(modulus), "e": "AQAB"},
            {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "bench-ec", "crv": "P-256", "x": text(x), "y": text(y)},
        ]});
        Ok(set.to_string())
    }

    /// One access token (RFC 9068) of the size that providers give.
    fn token(&self, kind: Kind, subject: usize, serial: usize) -> Result<Box<str>, Fault> {
        let header = match kind {
            Kind::Rs256 => json!({"alg": "RS256", "typ": "at+jwt", "kid": "bench-rsa"}),
            Kind::Es256 => json!({"alg": "ES256", "typ": "at+jwt", "kid": "bench-ec"}),
        };
        let now = unix_seconds();
        let claims = json!({
            "iss": self.issuer, "aud": AUDIENCE, "sub": format!("5f0c1a52-0000-4000-8000-{subject:012}"),
            "iat": now, "exp": now + 7_200, "jti": format!("bench-{serial:08}"),
            "client_id": "web", "scope": "openid profile chat", "groups": ["chat", "staff"],
        });
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encode(header), encode(claims));
        let signature = self.sign(kind, token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token.into())
    }

    fn sign(&self, kind: Kind, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let random = SystemRandom::new();
        match kind {
            Kind::Rs256 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
            Kind::Es256 => Ok(self.ec.sign(&random, message)?.as_ref().to_vec()),
        }
    }

    /// One token for each serial number, for `subjects` users in turn, signed on two threads.
    pub(crate) fn mint(
        &self,
        kind: Kind,
        serials: Range<usize>,
        subjects: usize,
    ) -> Result<Vec<Box<str>>, Fault> {
        let middle = usize::midpoint(serials.start, serials.end);
        let part = |serials: Range<usize>| -> Result<Vec<Box<str>>, Fault> {
            serials.map(|serial| self.token(kind, serial % subjects, serial)).collect()
        };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| part(middle..serials.end));
            let mut tokens = part(serials.start..middle)?;
            tokens.extend(second.join().map_err(|_| "a minting thread panicked")??);
            Ok(tokens)
        })
    }

    /// What one RS256 check costs on this core, the digest included and nothing else: the key is parsed and
    /// the signatures are decoded beforehand. It is this thread's processor time, as the servers' costs are.
    pub(crate) fn check_cost(&self, tokens: &[Box<str>]) -> Result<Duration, Fault> {
        let key =
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.rsa.public_key()).parse()?;
        let mut signed = Vec::with_capacity(tokens.len());
        for token in tokens {
            let (message, signature) = token.rsplit_once('.').ok_or("a token without parts")?;
            signed.push((message.as_bytes(), URL_SAFE_NO_PAD.decode(signature)?));
        }
        let before = process::time_of_this_thread()?;
        for (message, signature) in &signed {
            key.verify_sig(message, signature)?;
        }
        let spent = process::time_of_this_thread()? - before;
        Ok(Duration::from_nanos(spent / signed.len().max(1) as u64))
    }
}
