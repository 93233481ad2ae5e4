//! An OpenID provider with three users and no passwords: authorization code with PKCE for the demo page, and a
//! password grant without a password for a `curl` line.
//!
//! It is a stand-in for a real one, strict where a client relies on it (OpenID Connect Core 1.0, Discovery 1.0,
//! RFC 7636, RFC 9068, RFC 9207), and it asks nobody who they are.
mod answer;
mod authorize;
mod codes;
mod listen;
mod mint;
mod redeem;
mod signer;
mod users;

pub use listen::{Listening, listen};
pub use mint::Minting;
pub use signer::{NoSigner, Signer};
pub use users::{USERS, User};

use crate::ports::{clock::Clock, entropy::Entropy};
use arc_swap::ArcSwap;
use codes::Codes;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// The only client: public, with PKCE.
pub const CLIENT_ID: &str = "usher-demo";
/// The audience of access tokens.
pub const AUDIENCE: &str = "chat";

/// The provider. Its issuer is the address it listens on.
#[derive(Debug)]
pub struct Provider {
    issuer: Box<str>,
    signers: ArcSwap<Vec<Arc<Signer>>>,
    codes: Codes,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    jwks_requests: AtomicU64,
    broken: AtomicBool,
}

impl Provider {
    /// A provider that calls itself `issuer` and signs with `signer`.
    pub fn new(
        issuer: &str,
        signer: Signer,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            signers: ArcSwap::from_pointee(vec![Arc::new(signer)]),
            codes: Codes::default(),
            clock,
            entropy,
            jwks_requests: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// What `iss` says.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs with `signer` from now on; the keys before it stay published, unless `forget` drops them.
    pub fn rotate(&self, signer: Signer, forget: bool) {
        let mut signers = vec![Arc::new(signer)];
        if !forget {
            signers.extend(self.signers.load().iter().cloned());
        }
        self.signers.store(Arc::new(signers));
    }

    /// Answers every request with 500 from now on, or no longer.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// How often the keys were asked for.
    pub fn jwks_requests(&self) -> u64 {
        self.jwks_requests.load(Ordering::Relaxed)
    }

    fn random(&self) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let mut bytes = [0; 24];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.issuer)
    }
}
