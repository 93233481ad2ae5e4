//! Chance, as something that can be handed in.
use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
};

/// Gives bytes that nobody can guess.
pub trait Entropy: Debug + Send + Sync {
    /// Fills `bytes`. The host's source does not fail once the process runs; where it does, the process ends.
    fn fill(&self, bytes: &mut [u8]);
}

/// Bytes that everybody can guess, none of them twice in a row: for tests.
#[derive(Debug, Default)]
pub struct CountedEntropy(AtomicU64);

impl Entropy for CountedEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, value) in
            bytes.iter_mut().rev().zip(count.iter().rev().chain(std::iter::repeat(&0)))
        {
            *byte = *value;
        }
    }
}
