//! What the process has once, whatever the configuration says.
use crate::{
    domain::identity::KeyFingerprint,
    outbound::system::{SystemClock, SystemEntropy},
    ports::{clock::Clock, entropy::Entropy},
    telemetry::metrics::Metrics,
};
use std::sync::Arc;

/// Time, chance and counters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Host {
    /// The operating system's, and counters at zero that name the identity key.
    pub fn system(identity_key: KeyFingerprint) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self {
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(SystemEntropy),
            metrics: Arc::new(Metrics::new(version, &identity_key.to_string())),
        }
    }
}
