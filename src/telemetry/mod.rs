//! What operators see: log lines, metrics and traces (contract 9). Knows nobody.
pub mod lines;
pub mod logs;
pub mod metrics;
mod process;
pub mod traces;
