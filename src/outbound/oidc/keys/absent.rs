//! Key ids that the issuer is known not to have.
use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

/// How many are remembered between two fetches. Past it a kid is merely not remembered.
const MOST_KIDS: usize = 4096;

/// The kids that a fetch did not bring, until the next one succeeds.
///
/// Held as hashes under a key of this process: a kid may have 1 024 bytes, and an attacker chooses them.
#[derive(Debug, Default)]
pub(super) struct AbsentKids {
    hasher: RandomState,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    fetch: u64,
    kids: HashSet<u64>,
}

impl AbsentKids {
    /// Remembers that the `fetch`-th success did not bring `kid`.
    pub(super) fn note(&self, fetch: u64, kid: &str) {
        let kid = self.hasher.hash_one(kid);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.fetch != fetch {
            *known = Known { fetch, kids: HashSet::new() };
        }
        if known.kids.len() < MOST_KIDS {
            known.kids.insert(kid);
        }
    }

    /// Whether the `fetch`-th success is known not to have brought `kid`.
    pub(super) fn holds(&self, fetch: u64, kid: &str) -> bool {
        let kid = self.hasher.hash_one(kid);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.fetch == fetch && known.kids.contains(&kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_absent_until_the_next_fetch() {
        let absent = AbsentKids::default();
        absent.note(1, "a");
        assert!(absent.holds(1, "a"));
        assert!(!absent.holds(1, "b"));
        assert!(!absent.holds(2, "a"));
        absent.note(2, "b");
        assert!(!absent.holds(1, "a"));
    }

    #[test]
    fn p1_a_storm_of_kids_does_not_grow_it_without_end() {
        let absent = AbsentKids::default();
        for n in 0..2 * MOST_KIDS {
            absent.note(1, &n.to_string());
        }
        assert_eq!(absent.known.lock().unwrap().kids.len(), MOST_KIDS);
    }
}
