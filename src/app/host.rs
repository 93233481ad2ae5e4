//! What the process has once, whatever the configuration says.
use crate::{
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
    /// The operating system's, and counters at zero.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::start()),
            entropy: Arc::new(SystemEntropy),
            metrics: Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))),
        }
    }
}
