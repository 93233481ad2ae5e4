//! What becomes of a store that is not there.

/// What is done where there is no store at the configured place yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is made.
    Made,
    /// It is an error: who only reads learns from it that the place is a wrong one.
    Refused,
}
