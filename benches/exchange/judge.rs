//! Is the answer right? A look at every one, and a full check of some.
use crate::{Fault, unix_seconds};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::Value;

/// The namespace of the benchmark's issuer.
pub(crate) const NAMESPACE: &str = "bench";
/// Twilio's identifiers, none of them real.
pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";
/// The API key that signs.
pub(crate) const API_KEY: &str = "SK00000000000000000000000000000002";
/// The Conversations service.
pub(crate) const SERVICE: &str = "IS00000000000000000000000000000003";
/// The API key's secret.
pub(crate) const API_SECRET: &str = "bench-secret-that-opens-nothing!";
/// The identity key.
pub(crate) const IDENTITY_KEY: &str =
    "6265 6e63 6820 6964 656e 7469 7479 206b 6579 2c20 6f6e 6c79 2066 6f72 206d 6561";

/// What an answer must be.
#[derive(Clone)]
pub(crate) enum Expect {
    /// A Conversations token for the subject of the token that was shown.
    Token,
    /// These bytes, head excluded.
    Exactly(Bytes),
}

impl Expect {
    /// The look that every answer gets.
    pub(crate) fn glance(&self, body: &[u8]) -> bool {
        match self {
            Self::Token => body.starts_with(br#"{"token":"eyJ"#) && body.ends_with(b"}"),
            Self::Exactly(bytes) => body == bytes,
        }
    }

    /// The full check: signature, key, account, service, expiry, and the identity contract 4 derives.
    pub(crate) fn examine(&self, shown: &str, body: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Token => examine(shown, body),
            Self::Exactly(_) => Ok(()),
        }
    }
}

fn examine(shown: &str, body: &[u8]) -> Result<(), Fault> {
    let answer: Value = serde_json::from_slice(body)?;
    let token = text(&answer, "/token")?;
    let (message, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, API_SECRET.as_bytes());
    hmac::verify(&key, message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature)?)
        .map_err(|_| "a token with a bad signature")?;
    let claims = claims(token)?;
    let identity = identity(text(&self::claims(shown)?, "/sub")?)?;
    let expected = [
        ("/iss", API_KEY),
        ("/sub", ACCOUNT),
        ("/grants/chat/service_sid", SERVICE),
        ("/grants/identity", &identity),
    ];
    for (pointer, value) in expected {
        if text(&claims, pointer)? != value {
            return Err(format!("a token whose {pointer} is not {value}").into());
        }
    }
    let expiry = claims.get("exp").and_then(Value::as_u64).ok_or("a token without exp")?;
    if expiry <= unix_seconds() || text(&answer, "/identity")? != identity {
        return Err("an expired token, or an answer that contradicts its token".into());
    }
    Ok(())
}

fn claims(token: &str) -> Result<Value, Fault> {
    let payload = token.split('.').nth(1).ok_or("a token without a payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Result<&'a str, Fault> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("no {pointer} in an answer").into())
}

/// Contract 4, `opaque`, written once more so that usher is not checked against itself.
fn identity(subject: &str) -> Result<String, Fault> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, IDENTITY_KEY.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [NAMESPACE, subject] {
        context.update(&u32::try_from(part.len())?.to_be_bytes());
        context.update(part.as_bytes());
    }
    let digest = context.sign();
    let bits = digest.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u8> = bits.take(26 * 5).collect();
    let letters = bits.chunks(5).map(|five| {
        let index = five.iter().fold(0, |index, bit| index << 1 | usize::from(*bit));
        char::from(*b"abcdefghijklmnopqrstuvwxyz234567".get(index).unwrap_or(&b'?'))
    });
    Ok(format!("u-{}", letters.collect::<String>()))
}
