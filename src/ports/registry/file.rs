//! Files of identities, as `import` takes and `export` writes them.
use crate::{
    domain::identity::{ChatIdentity, KeyFingerprint},
    ports::store::StoreError,
};

/// One row of a file that `import` takes and `export` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who has the identity, or waits for it.
    pub owner: Owner,
    /// The identity.
    pub identity: ChatIdentity,
    /// Whether it was ended.
    pub is_retired: bool,
    /// The key that derives this identity for this subject, where it was made so; no file says it.
    pub derived_with: Option<KeyFingerprint>,
}

impl Row {
    /// What files are ordered by, byte-wise: namespace, subject id or match, whether it waits, identity.
    pub fn order(&self) -> (&str, &str, bool, &str) {
        let (namespace, name, waits) = match &self.owner {
            Owner::Nobody => ("", "", false),
            Owner::Subject(namespace, name) => (&**namespace, &**name, false),
            Owner::Waiting(namespace, name) => (&**namespace, &**name, true),
        };
        (namespace, name, waits, self.identity.as_str())
    }
}

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: the identity is reserved.
    Nobody,
    /// This subject: namespace and subject id.
    Subject(Box<str>, Box<str>),
    /// Whoever first signs in with this value: namespace and match (`import --unclaimed`).
    Waiting(Box<str>, Box<str>),
}

/// Names an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImportId(pub u64);

/// What a comparison brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows that the registry does not have yet.
    pub fresh: u64,
    /// Rows that it has just so.
    pub known: u64,
    /// What stands against it, by line, at most 1 000.
    pub clashes: Vec<Clash>,
    /// Lines that something stands against, all of them.
    pub clashes_total: u64,
}

/// A row of a file against another, or against the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The line, from 1.
    pub line: u64,
    /// What stands against it.
    pub why: ClashKind,
}

/// What stands against a row of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClashKind {
    /// The registry gives this subject another identity.
    #[error("the subject already has another identity: unlink it first")]
    HasAnother,
    /// Another line of the file gives this subject another identity.
    #[error("another line gives this subject another identity")]
    TwiceInFile,
    /// Two subjects would share the identity, and links were not allowed.
    #[error("two subjects would share this identity (with --allow-links they may)")]
    Shared,
    /// The identity has the form of a derived one and is not this subject's own, and links were not allowed.
    #[error(
        "this identity has the form usher derives, and is not this subject's own (with --allow-links it may be)"
    )]
    NotOwn,
    /// The registry has retired the identity, or the subject's.
    #[error("the registry has retired this identity, and it stays so")]
    Retired,
    /// The file has the identity retired, and the registry has it in use.
    #[error("the registry has this identity in use: retire it first")]
    InUse,
    /// The identity is to wait for a first sign-in, and the registry has it in use.
    #[error("the registry has this identity in use: link the subject to it once it is known")]
    NotWaiting,
    /// The identity waits for a first sign-in, here or in the file.
    #[error("this identity waits for its user's first sign-in")]
    Waits,
    /// Two values that differ only in letter case would wait.
    #[error("another match differs from this one only in letter case")]
    LetterCase,
}

/// An import went no further.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Somebody else's import is under way.
    #[error(
        "another import is under way: wait until it has ended; if its process has died, it is cleared away 2 minutes after its last sign of life"
    )]
    Busy,
    /// Meanwhile somebody's first sight took what the file holds.
    #[error("somebody signed in meanwhile and took what the file holds")]
    Overtaken,
    /// It was cleared away, as one whose process has gone.
    #[error("the import took too long over one step and was given up: start it again")]
    Gone,
    /// The store keeps nothing beyond the process.
    #[error("this needs a durable store")]
    NotDurable,
    /// The store could not answer.
    #[error("the import was not stored")]
    Store(#[source] StoreError),
}
