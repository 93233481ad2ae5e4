//! What operators and the app ask of the registry beside first sights (contract 4).
use super::{Reply, store::StoreError};
use crate::domain::{
    identity::{ChatIdentity, IdentityKey, KeyFingerprint},
    subject::{Namespace, Subject},
    time::Timestamp,
};
use std::fmt::Debug;

/// The whole registry: identities, their subjects and their history.
///
/// Every change is durable once acknowledged, may be repeated (the second time changes nothing), and is told to every
/// replica through [`Registry::changes`].
pub trait Registry: Debug + Send + Sync {
    /// Whether what it keeps outlives the process. Where it does not, operations that must never be undone are
    /// refused (contract 8, `memory:`).
    fn is_durable(&self) -> bool;

    /// What changed since the edition `since`: asked every second by whoever remembers bindings.
    fn changes(&self, since: Edition) -> Reply<'_, Result<Changes, StoreError>>;

    /// What each of `subjects`, at most 100, is bound to; writes nothing.
    fn holders<'a>(
        &'a self,
        subjects: &'a [Subject],
    ) -> Reply<'a, Result<Vec<Option<Holding>>, StoreError>>;

    /// All about one identity.
    fn record<'a>(
        &'a self,
        identity: &'a ChatIdentity,
    ) -> Reply<'a, Result<Option<Record>, StoreError>>;

    /// Up to `limit` identities in byte order, those behind `filter.after`, without their history.
    fn list<'a>(
        &'a self,
        filter: &'a Filter,
        limit: usize,
    ) -> Reply<'a, Result<Vec<Record>, StoreError>>;

    /// Does what an operator wants.
    fn change<'a>(
        &'a self,
        change: &'a Change,
        author: &'a Author,
    ) -> Reply<'a, Result<Changed, ChangeError>>;

    /// Makes identities with another key or in other formats from now on (`usher identity rekey`), in one transaction.
    fn rekey<'a>(
        &'a self,
        rekey: &'a Rekey,
        author: &'a Author,
    ) -> Reply<'a, Result<Rekeyed, ChangeError>>;

    /// Up to `limit` rows of the registry as `export` writes them, those behind `after`: by namespace, then subject,
    /// then identity, byte-wise, those without a subject first.
    fn rows<'a>(
        &'a self,
        after: Option<&'a Row>,
        limit: usize,
    ) -> Reply<'a, Result<Vec<Row>, StoreError>>;

    /// Begins an import. There is one at a time; one whose process has gone is cleared away after a while.
    fn begin_import<'a>(&'a self, author: &'a Author) -> Reply<'a, Result<ImportId, ImportError>>;

    /// Lays rows of a file aside, each with its line; nobody sees them yet. At most 1 000 at a time.
    fn stage<'a>(
        &'a self,
        import: ImportId,
        rows: &'a [(u64, Row)],
    ) -> Reply<'a, Result<(), ImportError>>;

    /// Compares all that was laid aside with itself and with the registry. Up to 1 000 clashes, by line. From now on a
    /// first sight that takes what the file holds makes [`Registry::apply`] fail.
    fn verify(
        &self,
        import: ImportId,
        allow_links: bool,
    ) -> Reply<'_, Result<Verified, ImportError>>;

    /// Makes all of it hold at once.
    ///
    /// # Errors
    /// [`ImportError::Overtaken`]: compare again.
    fn apply<'a>(
        &'a self,
        import: ImportId,
        author: &'a Author,
    ) -> Reply<'a, Result<(), ImportError>>;

    /// Moves up to `limit` rows of an import that holds to where everything else is, and clears away up to as many of
    /// one that was given up. `true` while there are more. Harmless at any time, by any process.
    fn settle(&self, at: Timestamp, limit: usize) -> Reply<'_, Result<bool, StoreError>>;

    /// Gives an import up that does not hold yet; [`Registry::settle`] clears it away.
    fn abandon(&self, import: ImportId) -> Reply<'_, Result<(), StoreError>>;

    /// Brings the store to this version's schema (`usher migrate`). Returns whether there was anything to do.
    fn migrate(&self) -> Reply<'_, Result<bool, StoreError>>;
}

/// Numbers the states of the registry: every change of an operator's counts it up, first sights do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edition(pub u64);

/// What changed between two editions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The newest edition.
    pub edition: Edition,
    /// Whose bindings changed, as [`crate::token::digest::of`] namespace and subject id; `None`: anybody's.
    pub subjects: Option<Vec<[u8; 32]>>,
}

/// What a subject holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The identity.
    pub identity: ChatIdentity,
    /// Its state.
    pub state: State,
}

/// Where an identity's life stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It has a subject.
    Active,
    /// An operator ended it. It is never given to anyone again.
    Retired,
    /// It waits for a first sign-in whose claim matches (`import --unclaimed`).
    Unclaimed,
    /// It has lost its last subject, and stays reserved.
    Unlinked,
}

impl State {
    /// The word in files, JSON and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Unclaimed => "unclaimed",
            Self::Unlinked => "unlinked",
        }
    }
}

/// One identity, as `show` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The identity.
    pub identity: ChatIdentity,
    /// Its state.
    pub state: State,
    /// When the registry first had it.
    pub created_at: Timestamp,
    /// Who has it, byte-wise by namespace and subject.
    pub subjects: Vec<(Subject, Timestamp)>,
    /// What happened to it, oldest first.
    pub history: Vec<Event>,
}

/// One entry of an identity's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// `cli:<user>`, `api:<token name>` or `usher`.
    pub who: Box<str>,
    /// `link NAMESPACE SUBJECT`, `unlink NAMESPACE SUBJECT`, `adopt NAMESPACE SUBJECT`, `retire`, `erase`, `import` or
    /// `rekey`; after an erasure the subject is a keyed digest.
    pub what: Box<str>,
    /// The operator's reason; after an erasure a keyed digest.
    pub why: Box<str>,
}

/// Which identities are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those with a subject, or waiting for one, in this namespace.
    pub namespace: Option<Namespace>,
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those behind this one.
    pub after: Option<ChatIdentity>,
}

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
        key: IdentityKey,
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
    /// The formats from now on, as in [`super::store::Pin`].
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

/// One row of a file that `import` takes and `export` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who has the identity, or waits for it.
    pub owner: Owner,
    /// The identity.
    pub identity: ChatIdentity,
    /// Whether it was ended.
    pub is_retired: bool,
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
    #[error("another import is under way: wait until it has ended")]
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
