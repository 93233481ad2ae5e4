//! The composition root.
pub mod tasks;
