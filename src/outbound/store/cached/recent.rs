//! Subjects whose bindings changed a moment ago.
//!
//! A look-up that began before a change may end after it was told of, and would then be remembered although it is old. So
//! for as long as a look-up may take, what concerns such a subject is asked each time and not remembered.
use crate::ports::recall::Digest;
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Longer than any look-up lasts, in milliseconds.
const LOOK_UP: u64 = 6_000;

/// Bounded by what the feed of changes tells one by one.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Whether there are any, so that nobody needs to lock who wants to know of one.
    any: AtomicBool,
    until: Mutex<HashMap<Digest, u64>>,
}

impl Recent {
    /// These changed at the uptime `now`, in milliseconds.
    pub(super) fn add(&self, subjects: &[Digest], now: u64) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.extend(subjects.iter().map(|subject| (*subject, now.saturating_add(LOOK_UP))));
        self.any.store(!until.is_empty(), Ordering::Release);
    }

    /// Whether a subject changed a moment ago.
    pub(super) fn has(&self, subject: &Digest) -> bool {
        self.any.load(Ordering::Acquire)
            && self.until.lock().unwrap_or_else(PoisonError::into_inner).contains_key(subject)
    }

    /// Takes those out whose moment has passed.
    pub(super) fn over(&self, now: u64) -> Vec<Digest> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<Digest> =
            until.iter().filter(|(_, until)| **until <= now).map(|(subject, _)| *subject).collect();
        for subject in &over {
            until.remove(subject);
        }
        self.any.store(!until.is_empty(), Ordering::Release);
        over
    }
}
