//! What a person reads: standard output and standard error.
use super::exit::Exit;
use std::io::{self, Write};

/// Writes `text` and a newline to standard output. A reader that went away ends nothing.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes a document to standard output, whole.
pub(super) fn print(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("usher: standard output: {error}"));
            Exit::Unavailable
        }
        Ok(()) | Err(_) => Exit::Done,
    }
}

/// Writes `text` and a newline to standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
