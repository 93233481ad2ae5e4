//! Short memories: bounded maps that may forget anything at any time.
use std::{collections::HashMap, fmt::Debug, sync::Mutex};

/// A digest that names what is remembered. Nothing of what was digested can be read back from it.
pub type Digest = [u8; 32];

/// Remembers values under digests. Bounded, and free to forget: whoever asks must be able to do without, and
/// must check for itself, against a clock, whether what it gets may still be used.
pub trait Recall<T>: Debug + Send + Sync {
    /// What was put there last, unless forgotten.
    fn get(&self, key: &Digest) -> Option<T>;

    /// Puts `value` there.
    fn put(&self, key: Digest, value: T);

    /// Forgets the value there.
    fn forget(&self, key: &Digest);
}

/// Remembers up to a number of values, then forgets all: for tests.
#[derive(Debug)]
pub struct SmallRecall<T>(Mutex<HashMap<Digest, T>>, usize);

impl<T> SmallRecall<T> {
    /// Remembers at most `bound` values.
    pub fn new(bound: usize) -> Self {
        Self(Mutex::default(), bound)
    }
}

impl<T: Clone + Debug + Send> Recall<T> for SmallRecall<T> {
    fn get(&self, key: &Digest) -> Option<T> {
        self.0.lock().ok()?.get(key).cloned()
    }

    fn put(&self, key: Digest, value: T) {
        let Ok(mut values) = self.0.lock() else { return };
        if values.len() >= self.1 {
            values.clear();
        }
        values.insert(key, value);
    }

    fn forget(&self, key: &Digest) {
        if let Ok(mut values) = self.0.lock() {
            values.remove(key);
        }
    }
}
