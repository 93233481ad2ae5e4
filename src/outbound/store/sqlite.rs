//! The embedded store: one SQLite file (contract 8).
//!
//! One thread writes, so that the first sights which wait together share one durable commit, one reads, and one more
//! does operators' work on many rows once there is any. Other processes may use the file at the same time.
mod file;
mod held;
mod schema;
mod session;
mod tx;
mod worker;

use super::sql::{Driver, Fault, Job, Pace, SqlStore, Tx};
use crate::ports::{clock::Clock, store::StoreError};
use file::Rights;
pub use file::{Unfit, UnfitStore};
use session::{Haste, Mode, Place, Session};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use worker::Worker;

/// The registry in a file. What it acknowledged survives the process and the host.
pub type SqliteStore = SqlStore<SqliteDriver>;

impl SqliteStore {
    /// Opens the file at `path`, or makes it (0600) and its directory (0700), and brings it to this release's schema;
    /// where `migrates` is `false` it does neither. Blocks while it does, a few milliseconds where nobody holds the lock and at most
    /// some seconds.
    ///
    /// A file that is lost after this is not made again: the store is unavailable until it is back.
    ///
    /// # Errors
    /// The file cannot be used; the sentence says what to do.
    pub fn open(path: &Path, migrates: bool, clock: Arc<dyn Clock>) -> Result<Self, Unfit> {
        Self::with(path, Rights { makes: true, migrates }, clock)
    }

    /// The same of a file that is there already.
    ///
    /// # Errors
    /// There is none ([`UnfitStore::Missing`], [`UnfitStore::NotMade`]) or nothing in it, or it cannot be used.
    pub fn existing(path: &Path, migrates: bool, clock: Arc<dyn Clock>) -> Result<Self, Unfit> {
        Self::with(path, Rights { makes: false, migrates }, clock)
    }

    fn with(path: &Path, rights: Rights, clock: Arc<dyn Clock>) -> Result<Self, Unfit> {
        let unfit = |fault| Unfit { path: path.to_owned(), fault };
        // SQLite gives some relative names a meaning of their own.
        let path = std::path::absolute(path).map_err(|error| unfit(error.into()))?;
        Ok(Self::new(SqliteDriver::open(&path, rights).map_err(unfit)?, clock))
    }

    /// An empty registry that is gone with the process.
    ///
    /// # Errors
    /// The host gives no memory or thread.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, Unfit> {
        let unfit = |fault| Unfit { path: "memory:".into(), fault };
        Ok(Self::new(SqliteDriver::in_memory().map_err(unfit)?, clock))
    }
}

/// Runs jobs on a SQLite database.
#[derive(Debug)]
pub struct SqliteDriver {
    place: Place,
    /// Whether opening it brought it to this version's schema.
    migrated: bool,
    writer: Worker,
    /// `None` in memory, which belongs to one connection.
    reader: Option<Worker>,
    bulk: Mutex<Option<Arc<Bulk>>>,
}

/// The threads for operators' work.
#[derive(Debug)]
struct Bulk {
    writer: Worker,
    /// Does what need not be durable at once.
    aside: Worker,
    reader: Worker,
}

impl SqliteDriver {
    fn open(path: &Path, rights: Rights) -> Result<Self, UnfitStore> {
        let (session, migrated) = Session::first(path, rights, Mode::Writes(Haste::Hurried))?;
        let place = session.place().clone();
        let reader = Session::open(&place, Mode::Reads)?;
        let writer = Worker::start("store-writer", session)?;
        let reader = Some(Worker::start("store-reader", reader)?);
        Ok(Self { place, migrated, writer, reader, bulk: Mutex::default() })
    }

    fn in_memory() -> Result<Self, UnfitStore> {
        let session = Session::open(&Place::Memory, Mode::Writes(Haste::Hurried))?;
        let writer = Worker::start("store-writer", session)?;
        let (place, bulk) = (Place::Memory, Mutex::default());
        Ok(Self { place, migrated: true, writer, reader: None, bulk })
    }

    /// The threads for operators' work, started when there is some for the first time; `None` in memory.
    async fn bulk(&self) -> Result<Option<Arc<Bulk>>, StoreError> {
        if matches!(self.place, Place::Memory) {
            return Ok(None);
        }
        if let Some(bulk) = self.lock().clone() {
            return Ok(Some(bulk));
        }
        let place = self.place.clone();
        // Opening waits for locks and for the disk.
        let started = tokio::task::spawn_blocking(move || Bulk::start(&place)).await;
        let started = started.map_err(|error| StoreError::Unavailable(error.into()))?;
        let unfit = |fault| StoreError::Unavailable(self.place.unfit(fault).into());
        let bulk = Arc::new(started.map_err(unfit)?);
        Ok(Some(Arc::clone(self.lock().get_or_insert(bulk))))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Bulk>>> {
        self.bulk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the write lock for a moment.
#[derive(Debug)]
struct Ping;

impl Job for Ping {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        tx.rows("SELECT value FROM meta WHERE key = 'edition'", &[]).await.map(drop)
    }
}

impl Bulk {
    fn start(place: &Place) -> Result<Self, UnfitStore> {
        let writer = Session::open(place, Mode::Writes(Haste::Patient))?;
        let aside = Session::open(place, Mode::Writes(Haste::Aside))?;
        let reader = Session::open(place, Mode::Reads)?;
        Ok(Self {
            writer: Worker::start("store-bulk-writer", writer)?,
            aside: Worker::start("store-aside", aside)?,
            reader: Worker::start("store-bulk-reader", reader)?,
        })
    }
}

impl Driver for SqliteDriver {
    fn is_durable(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    async fn read<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        let deadline = pace.deadline();
        let bulk = match pace {
            Pace::Bulk | Pace::Aside => self.bulk().await?,
            Pace::Request => None,
        };
        match (bulk, &self.reader) {
            (Some(bulk), _) => bulk.reader.ask(job, deadline).await,
            (None, Some(reader)) => reader.ask(job, deadline).await,
            (None, None) => self.writer.ask(job, deadline).await,
        }
    }

    async fn write<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        let deadline = pace.deadline();
        if pace == Pace::Request {
            return self.writer.ask(job, deadline).await;
        }
        match self.bulk().await? {
            Some(bulk) if pace == Pace::Aside => bulk.aside.ask(job, deadline).await,
            Some(bulk) => bulk.writer.ask(job, deadline).await,
            None => self.writer.ask(job, deadline).await,
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // Through the writer, whose lock shows that the file can be written as well.
        self.writer.ask(Ping, Pace::Request.deadline()).await
    }

    async fn migrate(&self) -> Result<bool, StoreError> {
        // It was done when the file was opened.
        Ok(self.migrated)
    }
}

#[cfg(test)]
mod losses;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        outbound::store::contract::{self, clock, identity, pin, subject},
        ports::store::{BindError, Binding, BindingStore, FirstSight, Origin, PinError},
    };

    fn open(folder: &tempfile::TempDir) -> SqliteStore {
        SqliteStore::open(&folder.path().join("usher.db"), true, clock()).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    const FIRST: &str = "63458b39";
    const SECOND: &str = "00000001";

    async fn bind(store: &SqliteStore, id: &str, text: &str) -> Result<Binding, BindError> {
        Ok(store.bind(&FirstSight::of(&subject("corp", id), identity(text))).await?.binding)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_contract_of_every_store() {
        let folders = Mutex::new(Vec::new());
        contract::holds(|| {
            let folder = folder();
            let store = Arc::new(open(&folder));
            folders.lock().unwrap().push(folder);
            store
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_registry_s_contract_in_a_file() {
        let folders = Mutex::new(Vec::new());
        contract::registry::holds(|| {
            let folder = folder();
            let store = Arc::new(open(&folder));
            folders.lock().unwrap().push(folder);
            store
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_fails_at_each_statement_in_turn_loses_and_makes_up_nothing() {
        let folders = Mutex::new(Vec::new());
        contract::faulty::holds(|| {
            let folder = folder();
            let path = folder.path().join("usher.db");
            folders.lock().unwrap().push(folder);
            SqliteDriver::open(&path, Rights { makes: true, migrates: true }).unwrap()
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_both_contracts_in_memory() {
        let open = || Arc::new(SqliteStore::in_memory(clock()).unwrap());
        contract::holds(open).await;
        contract::registry::holds(open).await;
    }

    #[tokio::test]
    async fn what_was_bound_and_pinned_is_there_after_a_restart() {
        let folder = folder();
        let store = open(&folder);
        store.pin(&pin(FIRST)).await.unwrap();
        bind(&store, "alice", "u-a").await.unwrap();
        drop(store);
        let store = open(&folder);
        let held = store.find(&subject("corp", "alice")).await.unwrap();
        assert_eq!(held, Some(Binding::Active(identity("u-a"))));
        assert!(
            matches!(store.pin(&pin(SECOND)).await, Err(PinError::OtherKey(other)) if other.to_string() == FIRST)
        );
    }

    /// The files as they lie there at the moment of the answer are what a process finds that follows a killed one.
    #[tokio::test]
    async fn an_acknowledged_binding_survives_a_kill() {
        let (folder, after) = (folder(), tempfile::tempdir().unwrap());
        let store = open(&folder);
        for n in 0..20 {
            bind(&store, &n.to_string(), &format!("u-{n}")).await.unwrap();
            for file in ["usher.db", "usher.db-wal"] {
                std::fs::copy(folder.path().join(file), after.path().join(file)).unwrap();
            }
            let survivor = open(&after);
            for m in 0..=n {
                let held = survivor.find(&subject("corp", &m.to_string())).await.unwrap();
                assert_eq!(held, Some(Binding::Active(identity(&format!("u-{m}")))));
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn p12_64_first_sights_over_8_replicas_make_one_row() {
        let folder = folder();
        let stores: Vec<_> = (0..8).map(|_| Arc::new(open(&folder))).collect();
        let mut sights = tokio::task::JoinSet::new();
        for n in 0..64 {
            let store = Arc::clone(&stores[n % 8]);
            sights.spawn(async move { bind(&store, "alice", &format!("u-{n}")).await.unwrap() });
        }
        let seen = sights.join_all().await;
        assert!(seen.iter().all(|binding| *binding == seen[0]), "{seen:?}");
        let file = rusqlite::Connection::open(folder.path().join("usher.db")).unwrap();
        let rows = |table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((rows("subjects"), rows("identities")), (1, 1));
    }

    #[tokio::test]
    async fn what_another_key_made_its_own_takes_no_identity_of_this_one() {
        let folder = folder();
        let (old, new) = (open(&folder), open(&folder));
        old.pin(&pin(FIRST)).await.unwrap();
        new.pin(&pin(SECOND)).await.unwrap();
        let origin = Origin::Derived(SECOND.parse().unwrap());
        let sight = FirstSight::of(&subject("corp", "bob"), identity("u-b"));
        new.bind(&FirstSight { origin, ..sight }).await.unwrap();
        assert!(matches!(
            bind(&old, "alice", "u-a").await,
            Err(BindError::Store(StoreError::Rekeyed(now))) if now.to_string() == SECOND
        ));
        assert_eq!(old.find(&subject("corp", "alice")).await.unwrap(), None);
        assert_eq!(bind(&old, "bob", "u-c").await.unwrap(), Binding::Active(identity("u-b")));
    }

    #[tokio::test]
    async fn a_retired_identity_is_said_to_be_retired_and_a_row_that_does_not_read_back_damaged() {
        let folder = folder();
        let store = open(&folder);
        for id in ["retired", "state", "form"] {
            bind(&store, id, &format!("u-{id}")).await.unwrap();
        }
        rusqlite::Connection::open(folder.path().join("usher.db"))
            .unwrap()
            .execute_batch(
                "UPDATE identities SET state = 'retired' WHERE identity = 'u-retired';
                 UPDATE identities SET state = 'odd' WHERE identity = 'u-state';
                 INSERT INTO identities (identity, state, created_at, origin) VALUES ('system', 'active', 1, 'derived');
                 UPDATE subjects SET identity = 'system' WHERE subject = 'form';",
            )
            .unwrap();
        let find = async |id| store.find(&subject("corp", id)).await;
        assert_eq!(find("retired").await.unwrap(), Some(Binding::Retired));
        assert!(matches!(find("state").await, Err(StoreError::Damaged)));
        assert!(matches!(find("form").await, Err(StoreError::Damaged)));
        assert!(matches!(
            bind(&store, "form", "u-x").await,
            Err(BindError::Store(StoreError::Damaged))
        ));
        assert_eq!(bind(&store, "else", "u-retired").await.unwrap(), Binding::Retired);
    }
}
