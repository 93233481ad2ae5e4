//! Files of identities: brought in whole or not at all, and written out as a backup (contract 4, `import`, `export`).
//!
//! ```text
//! bytes -> csv | json_lines -> Fields -> row::of -> Row -> Registry::{stage, verify, apply, settle}
//! bytes <- write            <-            Row           <- Registry::rows
//! ```
//!
//! Both ways hold some thousand rows at a time, however long the file is.
mod complaints;
mod csv;
mod export;
mod fields;
mod import;
mod json_lines;
mod ownership;
mod parser;
mod row;
#[cfg(test)]
mod scene;
mod write;

use crate::ports::store::StoreError;
use bytes::Bytes;
pub use export::Exporter;
pub use import::import;
use std::{future::Future, io};

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with a header line.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

/// Where the bytes of a file come from.
pub trait Source: Send {
    /// The next bytes, of any number; `None` at the end.
    ///
    /// # Errors
    /// They cannot be read; the import is given up.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;

    /// Comes to pass once nobody wants the import any more: it is given up then unless it holds already.
    fn stopped(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// How a file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What it is written in.
    pub format: Format,
    /// Whether subjects may share an identity, and have one of derived form that is not their own.
    pub allow_links: bool,
    /// Whether it has the columns `namespace,match,identity`, for users whose subjects are not known yet.
    pub unclaimed: bool,
    /// Only compares it with the registry.
    pub dry_run: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that were read.
    pub read_bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// What is being done.
    pub phase: Phase,
}

/// A part of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The file is read and laid aside; nobody sees it yet.
    Reading,
    /// All of it is compared with itself and with the registry.
    Comparing,
    /// It holds, and is moved to where everything else is.
    Settling {
        /// About so many rows were moved.
        moved: u64,
    },
    /// It does not hold, and is cleared away.
    Clearing,
}

/// An import that holds, or could (`--dry-run`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Rows of the file.
    pub rows: u64,
    /// Those the registry did not have.
    pub new: u64,
    /// Those it had just so.
    pub known: u64,
    /// Those that an earlier line of the file had just so.
    pub repeated: u64,
    /// What a person should know, by line; the first [`KEPT`].
    pub warnings: Vec<Complaint>,
    /// How many there were in all.
    pub warnings_total: u64,
}

/// So many complaints of a kind are kept; the others are counted.
pub const KEPT: usize = 1_000;

/// What is to be said of a line. It repeats nothing of what the line holds, which may be an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The line, from 1; a row that goes over several has the first.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Nothing of the file holds.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// Lines that cannot be read. The rest of the file was read to find them all, and compared with nothing.
    #[error("the file has {total} bad {}", if *total == 1 { "line" } else { "lines" })]
    BadLines {
        /// The first [`KEPT`], by line.
        complaints: Vec<Complaint>,
        /// How many there are.
        total: u64,
    },
    /// Lines against each other, or against the registry.
    #[error(
        "{total} {} or against the registry",
        if *total == 1 {
            "line of the file stands against another"
        } else {
            "lines of the file stand against each other"
        }
    )]
    Clashes {
        /// The first [`KEPT`], by line.
        complaints: Vec<Complaint>,
        /// How many there are.
        total: u64,
    },
    /// The store could not answer.
    #[error("the file was not imported")]
    Store(#[source] StoreError),
    /// Somebody else's import is under way.
    #[error(
        "another import is under way: wait until it has ended; if its process has died, it is cleared away 2 minutes after its last sign of life"
    )]
    Busy,
    /// First sights took what the file holds each time it was compared.
    #[error("people who sign in took what the file holds, again and again: start the import again")]
    Overtaken,
    /// The store keeps nothing beyond the process.
    #[error("import needs a durable store")]
    NotDurable,
    /// The import was cleared away as one whose process has gone.
    #[error("the import took too long over one step and was given up: start it again")]
    Gone,
    /// The file could not be read to its end.
    #[error("the file could not be read")]
    Source(#[source] io::Error),
}
