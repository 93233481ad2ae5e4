//! What operators see: metrics (contract 9). Knows nobody.
pub mod metrics;
