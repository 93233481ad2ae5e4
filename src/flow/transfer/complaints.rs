//! What is to be said of a file's lines, however many there are.
use super::{Complaint, KEPT};

/// The first [`KEPT`] of a kind, and how many there were.
#[derive(Default)]
pub(super) struct Complaints {
    pub(super) kept: Vec<Complaint>,
    pub(super) total: u64,
}

impl Complaints {
    /// Counts one more, and keeps it if there is room.
    pub(super) fn add(&mut self, line: u64, what: &(impl ToString + ?Sized)) {
        self.total += 1;
        if self.kept.len() < KEPT {
            self.kept.push(Complaint { line, what: what.to_string() });
        }
    }
}
