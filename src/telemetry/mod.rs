//! What operators see: log lines and metrics (contract 9). Knows nobody.
pub mod lines;
pub mod logs;
pub mod metrics;
