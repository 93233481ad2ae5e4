//! A connection, and the transactions on it.
use super::{
    file::{self, FileId, UnfitStore},
    tx::SqliteTx,
    worker::Work,
};
use crate::{outbound::store::sql::Fault, ports::store::StoreError};
use rusqlite::Connection;
use std::{
    error::Error,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It reads only, and waits for nobody.
    Reads,
    /// It takes the one write lock at once.
    Writes(Haste),
}

/// How a session shares the write lock with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody waits for its answer.
    Hurried,
    /// It waits long for the lock, and leaves it to others after it held it.
    Patient,
    /// The same, and what it commits is safe only once another session's commit is.
    Aside,
}

impl Mode {
    fn begin(self) -> &'static str {
        match self {
            Self::Reads => "BEGIN DEFERRED",
            Self::Writes(_) => "BEGIN IMMEDIATE",
        }
    }

    /// The longest that the lock is left to others after it was held.
    fn pause(self) -> Duration {
        match self {
            Self::Reads | Self::Writes(Haste::Hurried) => Duration::ZERO,
            Self::Writes(Haste::Patient | Haste::Aside) => Duration::from_millis(50),
        }
    }

    fn prepare(self, connection: &mut Connection) -> Result<(), UnfitStore> {
        match self {
            Self::Reads => {}
            // What others lay into the log is theirs to tidy up; they do so after 1 000 pages.
            Self::Writes(Haste::Hurried) => {
                connection.pragma_update(None, "wal_autocheckpoint", 3_000)?;
            }
            Self::Writes(Haste::Patient) => connection.busy_handler(Some(wait_long))?,
            Self::Writes(Haste::Aside) => {
                connection.busy_handler(Some(wait_long))?;
                // The write-ahead log is one: the next durable commit makes all before it durable too.
                connection.pragma_update(None, "synchronous", "NORMAL")?;
            }
        }
        Ok(())
    }
}

/// Waits up to a minute for another's lock.
fn wait_long(tried: i32) -> bool {
    std::thread::sleep(Duration::from_millis(5));
    tried < 12_000
}

/// Where a session's database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file, and whether it may be brought to this version's schema.
    File(PathBuf, bool),
    /// The process's memory.
    Memory,
}

/// A connection, and the file it belongs to.
#[derive(Debug)]
pub(super) struct Session {
    place: Place,
    mode: Mode,
    migrated: bool,
    open: Option<(Connection, Option<FileId>)>,
}

/// Why a whole transaction came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Damaged,
    Unavailable(Arc<dyn Error + Send + Sync>),
}

impl Failure {
    /// The same for each of those who shared the transaction.
    pub(super) fn as_error(&self) -> StoreError {
        match self {
            Self::Damaged => StoreError::Damaged,
            Self::Unavailable(cause) => StoreError::Unavailable(Box::new(Arc::clone(cause))),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            // There is one writer, so nobody can have been first: rows do not fit together.
            Fault::Damaged | Fault::Lost => Self::Damaged,
            Fault::Unavailable(cause) => Self::Unavailable(cause),
        }
    }
}

impl Session {
    /// Opens a connection.
    pub(super) fn open(place: &Place, mode: Mode) -> Result<Self, UnfitStore> {
        let mut session = Self { place: place.clone(), mode, migrated: false, open: None };
        session.connection()?;
        Ok(session)
    }

    /// Whether opening it brought it to this version's schema.
    pub(super) fn has_migrated(&self) -> bool {
        self.migrated
    }

    /// Runs all of `batch` in one transaction.
    pub(super) fn transact(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let (begin, pause) = (self.mode.begin(), self.mode.pause());
        let connection =
            self.connection().map_err(|unfit| Failure::Unavailable(Arc::new(unfit)))?;
        let start = now();
        let mut tx = SqliteTx { connection };
        let done = tx.execute(begin).and_then(|()| {
            batch.iter_mut().try_for_each(|work| work.run(&mut tx))?;
            tx.execute("COMMIT")
        });
        if done.is_err() && !connection.is_autocommit() {
            // Where even this fails, the connection is of no more use.
            if connection.execute_batch("ROLLBACK").is_err() {
                self.open = None;
            }
        }
        // Others wait for the lock with growing pauses of their own; one who takes it again at once starves them.
        std::thread::sleep(start.elapsed().min(pause));
        Ok(done?)
    }

    /// The connection to the file that is at the path now: SQLite would go on writing into one that was deleted, and
    /// what was acknowledged would be gone with the process.
    fn connection(&mut self) -> Result<&mut Connection, UnfitStore> {
        let (path, migrates) = match &self.place {
            Place::Memory => {
                let open = match self.open.take() {
                    Some(open) => open,
                    None => (file::open_in_memory()?, None),
                };
                return Ok(&mut self.open.insert(open).0);
            }
            Place::File(path, migrates) => (path, *migrates),
        };
        let there = FileId::at(path);
        if self.open.as_ref().is_some_and(|(_, id)| there.is_none() || *id != there) {
            self.open = None;
        }
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let (mut connection, was_behind) = file::open(path, migrates)?;
            self.mode.prepare(&mut connection)?;
            self.migrated |= was_behind;
            (connection, FileId::at(path))
        };
        Ok(&mut self.open.insert(open).0)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a lock was held, on a thread of its own; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
