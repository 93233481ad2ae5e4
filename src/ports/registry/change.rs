//! What operators change, and what stands against it.
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey, KeyFingerprint},
        subject::{Namespace, Subject},
        time::Timestamp,
    },
    ports::store::StoreError,
};

/// Who changes something, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// `cli:<user>`, `api:<token name>` or `usher`.
    pub who: Box<str>,
    /// The reason they gave; for an import the file's name.
    pub why: Box<str>,
    /// When.
    pub at: Timestamp,
}

/// What an operator wants.
#[derive(Clone, Debug)]
pub enum Change {
    /// The subject shall have this identity as well.
    Link {
        /// One that the registry knows.
        identity: ChatIdentity,
        /// Who.
        subject: Subject,
    },
    /// The subject shall be as if it had never been seen.
    Unlink {
        /// Who.
        subject: Subject,
    },
    /// The identity shall be given to nobody any more.
    Retire {
        /// One that the registry knows.
        identity: ChatIdentity,
    },
    /// The subject's identity shall be given to nobody any more, also where the subject was never seen.
    RetireSubject {
        /// Who.
        subject: Subject,
        /// What its tombstone is where it was never seen: its derived identity, and the key's fingerprint.
        derived: (ChatIdentity, KeyFingerprint),
    },
    /// Names and history shall be forgotten; the identity stays reserved.
    Erase {
        /// One that the registry knows.
        identity: ChatIdentity,
        /// What makes the digests that remain.
        key: Box<IdentityKey>,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The identity that was meant.
    pub identity: ChatIdentity,
    /// Whether anything changed; `false` the second time.
    pub is_new: bool,
}

/// Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The registry does not know the identity or subject.
    #[error("the registry does not know it")]
    NotFound,
    /// It goes against what the registry holds.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store keeps nothing beyond the process.
    #[error("this needs a durable store")]
    NotDurable,
    /// The store could not answer.
    #[error("the change was not stored")]
    Store(#[source] StoreError),
}

/// What stands against a change, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The subject has another identity.
    #[error(
        "the subject has the identity {held}: unlink it first, or retire that identity if it shall never be used again",
        held = .0.as_str()
    )]
    HasAnother(ChatIdentity),
    /// The identity was retired.
    #[error("the identity is retired, and stays so: choose another")]
    Retired,
    /// The identity that would be the subject's own is somebody else's.
    #[error(
        "another subject has the identity that would be this subject's own: link this subject to one first"
    )]
    Taken,
    /// The key that is given is not the one the store's identities were made with.
    #[error("the store's identities were made with the identity key {0}: configure that one")]
    OtherKey(KeyFingerprint),
}

/// What `rekey` shall do.
#[derive(Clone, Debug)]
pub struct Rekey {
    /// The configured key, which must be the store's.
    pub old: IdentityKey,
    /// The key from now on; `None` keeps the old one.
    pub new: Option<IdentityKey>,
    /// The formats from now on, as in [`crate::ports::store::Pin`].
    pub formats: Vec<(Namespace, Box<str>)>,
    /// Nobody's identity changes; only subjects not yet seen use the new key.
    pub keep: bool,
    /// Only counts.
    pub dry_run: bool,
}

/// What `rekey` did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rekeyed {
    /// Subjects that get another identity.
    pub changed: u64,
    /// Subjects that keep theirs.
    pub kept: u64,
}
