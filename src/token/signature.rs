//! Finds the key that signed a token. Only the signature is judged here: the payload may be any bytes.
use super::{
    key::{KeySet, VerifyingKey},
    read::Jws,
};
use std::sync::Arc;

/// The key among `keys` that signed `jws`.
///
/// # Errors
/// Each variant of [`Unsigned`].
pub fn signer<'k>(jws: &Jws<'_>, keys: &'k KeySet) -> Result<&'k Arc<VerifyingKey>, Unsigned> {
    let algorithm = jws.algorithm().ok_or(Unsigned::Algorithm)?;
    let signed = |key: &&Arc<VerifyingKey>| jws.is_signed_by(key);
    let Some(kid) = jws.kid() else {
        let mut fitting = keys.fitting(algorithm).peekable();
        fitting.peek().ok_or(Unsigned::UnknownKey)?;
        return fitting.find(signed).ok_or(Unsigned::BadSignature);
    };
    if !keys.has(kid) {
        return Err(Unsigned::UnknownKey);
    }
    let mut named = keys.named(kid, algorithm).peekable();
    named.peek().ok_or(Unsigned::Algorithm)?;
    named.find(signed).ok_or(Unsigned::BadSignature)
}

/// Why no key is known to have signed a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// `alg` is none that usher accepts, or does not fit the key that `kid` names.
    #[error("algorithm is not accepted, or does not fit the key")]
    Algorithm,
    /// No key is named `kid`; or, without one, no key fits `alg`.
    #[error("key is not in the set")]
    UnknownKey,
    /// The keys there are did not sign it.
    #[error("signature does not verify")]
    BadSignature,
}
