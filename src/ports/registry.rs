//! What operators and the app ask of the registry beside first sights (contract 4).
mod change;
mod file;

use super::{
    Reply,
    store::{BindError, FirstSight, Given, StoreError},
};
use crate::domain::{
    identity::ChatIdentity,
    subject::{Namespace, Subject},
    time::Timestamp,
};
pub use change::{Author, Change, ChangeError, Changed, Conflict, Rekey, Rekeyed};
pub use file::{Clash, ClashKind, ImportError, ImportId, Owner, Row, Verified};
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

    /// What a first sight would come to now, as [`super::store::BindingStore::bind`] would answer it; writes nothing.
    fn foresee<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>>;

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

    /// The same for what nobody else is at: an import that holds is left to its own process for as long as that moves
    /// its rows.
    fn tidy(&self, at: Timestamp, limit: usize) -> Reply<'_, Result<bool, StoreError>> {
        self.settle(at, limit)
    }

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
