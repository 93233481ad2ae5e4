//! The provider's key between two runs, so that tokens and identities go on.
use super::{NoSigner, Signer};
use crate::dev::state::{DevState, DevStateError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};

/// The file in the directory: PKCS#8 in PEM (RFC 7468 section 10), 0600.
const FILE: &str = "provider-key.pem";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum NoKeptSigner {
    /// The directory cannot be used.
    #[error("the provider's key cannot be kept")]
    State(#[from] DevStateError),
    /// The file holds no such key.
    #[error("{FILE} does not hold what usher wrote; remove the directory to begin anew")]
    Damaged(#[source] NoSigner),
}

impl Signer {
    /// The key that `state` keeps, made at random where there is none.
    ///
    /// # Errors
    /// Each variant of [`NoKeptSigner`].
    pub fn kept(state: &DevState) -> Result<Self, NoKeptSigner> {
        // A host without a working generator leaves an empty file, which the next line names.
        let made = || Self::random().and_then(|signer| signer.pkcs8()).map(|der| pem(&der));
        let text = state.keep(FILE, || made().unwrap_or_default())?;
        PrivatePkcs8KeyDer::from_pem_slice(text.reveal())
            .map_err(|_| NoSigner)
            .and_then(|der| Self::from_pkcs8(der.secret_pkcs8_der()))
            .map_err(NoKeptSigner::Damaged)
    }
}

fn pem(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in der.chunks(48) {
        text.push_str(&STANDARD.encode(line));
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy::CountedEntropy;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn the_next_run_signs_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = DevState::open(folder.path(), &CountedEntropy::default()).unwrap();
        let first = Signer::kept(&state).unwrap();
        assert_eq!(first.jwk(), Signer::kept(&state).unwrap().jwk());
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_not_replaced_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        let state = DevState::open(folder.path(), &CountedEntropy::default()).unwrap();
        fs::write(folder.path().join(FILE), "-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
        let error = Signer::kept(&state).unwrap_err();
        assert!(error.to_string().starts_with("provider-key.pem does not hold"), "{error}");
    }
}
