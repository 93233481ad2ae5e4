//! `usher identity new-key`: 32 bytes of chance as 64 digits, which are the key (contract 4).
use crate::{
    cli::{
        exit::Exit,
        terminal::{complain, print},
    },
    domain::{identity::IdentityKey, secret::Secret},
    outbound::system::SystemEntropy,
    ports::entropy::Entropy as _,
};
use std::fmt::Write as _;
use zeroize::Zeroizing;

/// Prints a key, and its fingerprint on standard error.
pub(super) fn run() -> Exit {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemEntropy.fill(bytes.as_mut());
    let mut digits = Zeroizing::new(String::with_capacity(64));
    for byte in bytes.iter() {
        let _ = write!(digits, "{byte:02x}");
    }
    match IdentityKey::new(&Secret::text(digits.as_str())) {
        Ok(key) => {
            complain(&format!("fingerprint {}", key.fingerprint()));
            print(&digits)
        }
        // 64 digits are no short key.
        Err(short) => {
            complain(&format!("usher: {short}"));
            Exit::Unavailable
        }
    }
}
