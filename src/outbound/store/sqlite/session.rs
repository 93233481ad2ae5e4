//! A connection, and the transactions on it.
use super::{
    file::{self, Opened, Rights, Unfit, UnfitStore},
    held::Held,
    schema,
    tx::SqliteTx,
    worker::Work,
};
use crate::{outbound::store::sql::Fault, ports::store::StoreError};
use rusqlite::{Connection, config::DbConfig};
use std::{
    error::Error,
    path::Path,
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

    /// Says how long this one waited, where it was for another's lock.
    fn waited(self, fault: UnfitStore) -> UnfitStore {
        match (self, fault) {
            (Self::Writes(Haste::Patient | Haste::Aside), UnfitStore::Locked { .. }) => {
                UnfitStore::Locked { seconds: LONG.as_secs() }
            }
            (_, fault) => fault,
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

/// How long one waits for another's lock who is in no hurry.
const LONG: Duration = Duration::from_mins(1);

fn wait_long(tried: i32) -> bool {
    const PAUSE: Duration = Duration::from_millis(5);
    std::thread::sleep(PAUSE);
    u128::try_from(tried).is_ok_and(|tried| tried < LONG.as_millis() / PAUSE.as_millis())
}

/// Where a session's database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file that was opened.
    File(Held),
    /// The process's memory.
    Memory,
}

impl Place {
    /// What is wrong with it, and where it is.
    pub(super) fn unfit(&self, fault: UnfitStore) -> Unfit {
        let path = match self {
            Self::File(held) => held.path.clone(),
            Self::Memory => "memory:".into(),
        };
        Unfit { path, fault }
    }

    /// Whether what was opened is what is there.
    fn check(&self) -> Result<(), UnfitStore> {
        match self {
            Self::File(held) => held.check(),
            Self::Memory => Ok(()),
        }
    }
}

/// A connection to the place.
#[derive(Debug)]
pub(super) struct Session {
    place: Place,
    mode: Mode,
    /// It stays open where the file was lost: another file could get its number otherwise, and it may come back.
    open: Option<Connection>,
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
    /// Opens the file at `path` for the first time. Says whether it was brought to this version's schema.
    pub(super) fn first(
        path: &Path,
        rights: Rights,
        mode: Mode,
    ) -> Result<(Self, bool), UnfitStore> {
        let Opened { mut connection, held, migrated } = file::open(path, rights)?;
        mode.prepare(&mut connection)?;
        Ok((Self { place: Place::File(held), mode, open: Some(connection) }, migrated))
    }

    /// Opens one more connection to `place`; an empty database in memory.
    pub(super) fn open(place: &Place, mode: Mode) -> Result<Self, UnfitStore> {
        let mut session = Self { place: place.clone(), mode, open: None };
        session.connection()?;
        Ok(session)
    }

    /// Where its database is.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Runs all of `batch` in one transaction.
    pub(super) fn transact(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let start = now();
        let done = self.transacted(batch);
        // Others wait for the lock with growing pauses of their own; one who takes it again at once starves them.
        std::thread::sleep(start.elapsed().min(self.mode.pause()));
        done
    }

    fn transacted(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        self.same()?;
        let mode = self.mode;
        let connection = match self.connection() {
            Ok(connection) => connection,
            Err(fault) => return Err(self.failure(fault)),
        };
        let done = ran(connection, mode, batch);
        if done.is_err() && !connection.is_autocommit() {
            // Where even this fails, the connection is of no more use.
            if connection.execute_batch("ROLLBACK").is_err() {
                self.open = None;
            }
        }
        match done {
            // What went into a file that was lost meanwhile must not be acknowledged.
            Ok(()) => match mode {
                Mode::Reads => Ok(()),
                Mode::Writes(_) => self.same(),
            },
            Err(Undone::Job(fault)) => Err(fault.into()),
            Err(Undone::Place(fault)) => Err(self.failure(fault)),
        }
    }

    /// Whether the connection's files are those that are there.
    fn same(&mut self) -> Result<(), Failure> {
        let Err(fault) = self.place.check() else { return Ok(()) };
        if let (Place::File(held), Some(connection), UnfitStore::LogGone) =
            (&self.place, &self.open, &fault)
        {
            save(connection, held, self.mode);
        }
        Err(self.failure(fault))
    }

    fn failure(&self, fault: UnfitStore) -> Failure {
        if matches!(fault, UnfitStore::Damaged | UnfitStore::NotDatabase) {
            Failure::Damaged
        } else {
            Failure::Unavailable(Arc::new(self.place.unfit(fault)))
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, UnfitStore> {
        let open = if let Some(open) = self.open.take() {
            open
        } else {
            let mut connection = match &self.place {
                Place::File(held) => file::open_again(held)?,
                Place::Memory => file::open_in_memory()?,
            };
            self.mode.prepare(&mut connection)?;
            connection
        };
        Ok(self.open.insert(open))
    }
}

/// Why a transaction was not done.
enum Undone {
    Place(UnfitStore),
    Job(Fault),
}

fn ran(connection: &mut Connection, mode: Mode, batch: &mut [Box<dyn Work>]) -> Result<(), Undone> {
    let begun = connection.execute_batch(mode.begin());
    begun.map_err(|error| Undone::Place(mode.waited(error.into())))?;
    schema::fits(connection).map_err(Undone::Place)?;
    let mut tx = SqliteTx { connection };
    let done = batch.iter_mut().try_for_each(|work| work.run(&mut tx));
    done.and_then(|()| tx.execute("COMMIT")).map_err(Undone::Job)
}

/// Brings what was acknowledged into the file itself, where it was in a log that is lost with this process. Whoever
/// opened the file meanwhile made a log of his own, and what is in ours must not be laid over his.
fn save(connection: &Connection, held: &Held, mode: Mode) {
    if !held.has_no_log() {
        // Closing would do it as well.
        let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    } else if matches!(mode, Mode::Writes(_)) {
        // Nothing is left to do where it fails.
        let _ = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "measures how long a lock was held, on a thread of its own; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
