//! A bounded memory for what may be forgotten.
use crate::ports::recall::{Digest, Recall};
use moka::{policy::EvictionPolicy, sync::Cache};
use std::fmt;

/// Remembers up to a number of values and forgets those first that were not asked for the longest time. By a policy
/// that admits by frequency, a token seen for the first time would not be remembered at all once it is full.
pub struct MokaRecall<T> {
    values: Cache<Digest, T>,
}

impl<T: Clone + Send + Sync + 'static> MokaRecall<T> {
    /// Remembers about `bound` values at most.
    pub fn new(bound: u64) -> Self {
        let values =
            Cache::builder().max_capacity(bound).eviction_policy(EvictionPolicy::lru()).build();
        Self { values }
    }
}

impl<T: Clone + Send + Sync + 'static> Recall<T> for MokaRecall<T> {
    fn get(&self, key: &Digest) -> Option<T> {
        self.values.get(key)
    }

    fn put(&self, key: Digest, value: T) {
        self.values.insert(key, value);
    }

    fn forget(&self, key: &Digest) {
        self.values.invalidate(key);
    }
}

impl<T> fmt::Debug for MokaRecall<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MokaRecall")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::recall::SmallRecall, token::digest};

    fn key(n: u32) -> Digest {
        digest::of(&[&n.to_be_bytes()])
    }

    fn remembers_the_last_value_until_told_to_forget(recall: &impl Recall<u32>) {
        assert_eq!(recall.get(&key(1)), None);
        recall.put(key(1), 1);
        recall.put(key(2), 2);
        recall.put(key(1), 3);
        assert_eq!((recall.get(&key(1)), recall.get(&key(2))), (Some(3), Some(2)));
        recall.forget(&key(1));
        recall.forget(&key(7));
        assert_eq!((recall.get(&key(1)), recall.get(&key(2))), (None, Some(2)));
    }

    #[test]
    fn both_memories_keep_the_same_contract() {
        remembers_the_last_value_until_told_to_forget(&MokaRecall::new(10));
        remembers_the_last_value_until_told_to_forget(&SmallRecall::new(10));
    }

    #[test]
    fn it_stays_within_its_bound_and_keeps_the_newest() {
        let recall = MokaRecall::new(100);
        for n in 0..10_000 {
            recall.put(key(n), n);
        }
        recall.values.run_pending_tasks();
        assert!(recall.values.entry_count() <= 100);
        assert_eq!(recall.get(&key(9_999)), Some(9_999));
        assert_eq!(recall.get(&key(0)), None);
    }
}
