//! What a person reads: standard output and standard error.
use std::io::{self, Write};

/// Writes `text` and a newline to standard output. A reader that went away ends nothing.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes `text` and a newline to standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
