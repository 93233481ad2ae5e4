//! What stands for erased names (contract 4, `erase`), and how it outlives the identity key.
//!
//! The digests are made with a key of their own, derived from the identity key of the time. Names that are gone cannot be
//! digested again: so at a rekey that key goes on, sealed under the new identity key (AES-256-GCM, RFC 5116).
use super::{IdentityKey, hex};
use crate::domain::secret::Secret;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
use std::fmt;

const PURPOSE: &[u8] = b"usher erasure key";

/// The key of the digests.
#[derive(Clone)]
pub struct ErasureKey(Secret);

impl ErasureKey {
    /// What stands for `parts`: 64 hexadecimal digits that only the key's holder can make again.
    pub fn digest(&self, parts: &[&str]) -> String {
        let mut context =
            hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.0.reveal()));
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        text_of(context.sign().as_ref())
    }
}

impl fmt::Debug for ErasureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErasureKey(..)")
    }
}

impl IdentityKey {
    /// The key of the digests, where no key came before this one.
    pub fn erasure(&self) -> ErasureKey {
        ErasureKey(self.for_purpose(&[PURPOSE]))
    }

    /// Seals the key of the digests for a store whose identity key this is.
    ///
    /// # Errors
    /// [`Unsealed`]: the cipher failed.
    pub fn seal(&self, erasure: &ErasureKey) -> Result<String, Unsealed> {
        let mut bytes = erasure.0.reveal().to_vec();
        let cipher = self.cipher()?;
        let sealed = cipher.seal_in_place_append_tag(Aad::from(PURPOSE), &mut bytes);
        Ok(text_of(sealed.map_err(|_| Unsealed)?.as_ref()) + &text_of(&bytes))
    }

    /// Opens what [`IdentityKey::seal`] made.
    ///
    /// # Errors
    /// [`Unsealed`]: another key sealed it, or the text is damaged.
    pub fn unseal(&self, text: &str) -> Result<ErasureKey, Unsealed> {
        let mut bytes = bytes_of(text).ok_or(Unsealed)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(Unsealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealed)?;
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(PURPOSE), sealed);
        Ok(ErasureKey(Secret::new(&*opened.map_err(|_| Unsealed)?)))
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Unsealed> {
        let key = self.for_purpose(&[PURPOSE, b" sealed"]);
        RandomizedNonceKey::new(&AES_256_GCM, key.reveal()).map_err(|_| Unsealed)
    }

    fn for_purpose(&self, parts: &[&[u8]]) -> Secret {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        Secret::new(context.sign().as_ref())
    }
}

/// A sealed key could not be opened, or none sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of erased names is sealed under another identity key, or damaged")]
pub struct Unsealed;

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex(*byte)).collect()
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pairs = digits?;
    let bytes = pairs.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high << 4 | low).ok(),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> IdentityKey {
        IdentityKey::new(&Secret::new(vec![byte; 32])).unwrap()
    }

    #[test]
    fn a_digest_tells_its_parts_apart_and_needs_the_key() {
        let digest = |parts: &[&str]| key(1).erasure().digest(parts);
        assert_eq!(digest(&["corp", "alice"]), digest(&["corp", "alice"]));
        assert_eq!(digest(&["corp", "alice"]).len(), 64);
        assert_ne!(digest(&["corp", "alice"]), digest(&["corpa", "lice"]));
        assert_ne!(digest(&["corp", "alice"]), key(2).erasure().digest(&["corp", "alice"]));
    }

    #[test]
    fn a_sealed_key_makes_the_same_digests_and_opens_only_for_whom_it_was_sealed() {
        let sealed = key(2).seal(&key(1).erasure()).unwrap();
        let opened = key(2).unseal(&sealed).unwrap();
        assert_eq!(opened.digest(&["a"]), key(1).erasure().digest(&["a"]));
        assert_eq!(key(1).unseal(&sealed).unwrap_err(), Unsealed);
        let cut: String = sealed.chars().take(40).collect();
        let shifted: String = sealed.chars().skip(1).collect();
        let turned: String = sealed.chars().rev().collect();
        for damaged in ["", "0", "zz", &cut, &shifted, &turned] {
            assert_eq!(key(2).unseal(damaged).unwrap_err(), Unsealed, "{damaged}");
        }
        assert_ne!(sealed, key(2).seal(&key(1).erasure()).unwrap());
    }

    #[test]
    fn p13_the_key_does_not_print_itself() {
        assert_eq!(format!("{:?}", key(1).erasure()), "ErasureKey(..)");
    }
}
