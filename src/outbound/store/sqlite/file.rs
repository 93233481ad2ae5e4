//! The file that holds the registry: how it is made, opened and found fit.
use super::{
    held::{Held, database},
    schema,
};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use rustix::fs::Access;
use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many statements a connection remembers: more than there are.
const STATEMENTS: usize = 128;

/// Up to this many pages (4 MiB) the whole file is read through at start; above, only what is used.
const QUICKLY_CHECKED: i64 = 1024;

/// Why a store cannot be used. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
#[error("store {}: {fault}", path.display())]
pub struct Unfit {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it; it says its cause itself.
    pub fault: UnfitStore,
}

/// What makes a store unfit (exit 69, contract 1).
#[derive(Debug, thiserror::Error)]
pub enum UnfitStore {
    /// Missing rights.
    #[error(
        "may not be read and written by this user; give the file and its directory to the user usher runs as (in Kubernetes: securityContext.fsGroup)"
    )]
    Denied(#[source] io::Error),
    /// A read-only file system, as a container's root often is.
    #[error(
        "lies on a read-only file system; mount a writable volume there, or set store.url to another place"
    )]
    ReadOnly,
    /// A parent is a file, or something else is in the way.
    #[error("cannot be made there; check the path in store.url")]
    Place(#[source] io::Error),
    /// The disk or a quota is full.
    #[error("has no space left on its disk, or the disk fails; make room")]
    Full,
    /// Other bytes than SQLite's.
    #[error("is not a SQLite database; check the path in store.url, or move the file away")]
    NotDatabase,
    /// Another program's tables, or a later mark.
    #[error("is a database of another program; check the path in store.url")]
    Foreign,
    /// Pages that do not fit together.
    #[error(
        "is damaged; restore a copy, or move it away together with its -wal and -shm files (derived identities come back the same)"
    )]
    Damaged,
    /// Written by a later major version.
    #[error(
        "has a schema of version {found} and this usher knows {known}; run the usher that wrote it, or a newer one"
    )]
    Newer {
        /// The file's major version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// It was there, and this process runs on.
    #[error(
        "is gone, or emptied, or another file is in its place; usher does not make a new one while it runs: put the file back with its -wal and -shm files, or start usher again"
    )]
    Gone,
    /// The same of the files beside it.
    #[error(
        "has lost the -wal or -shm file beside it, or others are in their place; usher writes nothing more to it: start usher again"
    )]
    LogGone,
    /// Nobody has made it yet, or the path is wrong.
    #[error(
        "is not there; check the path in store.url (the first usher serve makes it, or usher migrate, or usher identity import)"
    )]
    Missing,
    /// The same where no start makes it.
    #[error(
        "is not there, and store.migrate is never; check the path in store.url, or run `usher migrate`, which makes it"
    )]
    NotMade,
    /// Written by an earlier release, and not to be changed here.
    #[error(
        "has the schema of an earlier release, and store.migrate is never; run `usher migrate`"
    )]
    NeedsMigration,
    /// Somebody else holds the lock.
    #[error(
        "is locked: another process has been writing to it for longer than {seconds} s; try again, and if it stays so, end the one that holds it (fuser or lsof name it)"
    )]
    Locked {
        /// How long its lock was waited for.
        seconds: u64,
    },
    /// WAL needs shared memory, which network file systems do not have.
    #[error(
        "lies on a file system without shared memory, such as NFS; use a local disk or block volume"
    )]
    NoSharedMemory,
    /// Anything else that SQLite says.
    #[error("could not be opened: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// The host gives no thread.
    #[error("could not be served for want of a thread")]
    NoThread(#[source] io::Error),
}

impl From<rusqlite::Error> for UnfitStore {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotDatabase,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Locked { seconds: WAIT.as_secs() }
            }
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            // SQLite reports most of a full disk as an input/output error.
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::Full,
            Some(_) | None => Self::Sqlite(error),
        }
    }
}

impl From<io::Error> for UnfitStore {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if kind == io::ErrorKind::PermissionDenied {
            Self::Denied(error)
        } else if kind == io::ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly
        } else if matches!(kind, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::Full
        } else {
            Self::Place(error)
        }
    }
}

/// What a process may do to the file when it opens it for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rights {
    /// Make it where it is missing, if it may give it a schema.
    pub(super) makes: bool,
    /// Bring it to this release's schema where it has an earlier one, or none.
    pub(super) migrates: bool,
}

impl Rights {
    /// What the absence of a file means to who may not make it.
    fn absence(self, fault: UnfitStore) -> UnfitStore {
        match (fault, self.migrates) {
            (UnfitStore::Gone, true) => UnfitStore::Missing,
            (UnfitStore::Gone, false) => UnfitStore::NotMade,
            (fault, _) => fault,
        }
    }
}

/// A file that was opened for the first time.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) held: Held,
    /// Whether it was brought to this release's schema.
    pub(super) migrated: bool,
}

/// Opens the file, making it and its directory where they are missing, and brings it to this release's schema, as far
/// as it may.
pub(super) fn open(path: &Path, rights: Rights) -> Result<Opened, UnfitStore> {
    let makes = rights.makes && rights.migrates;
    if makes {
        make(path)?;
    } else {
        // One with nothing in it is what an interrupted first start leaves.
        database(path).map_err(|fault| rights.absence(fault))?;
        usable(path)?;
    }
    let mut connection = connect(path)?;
    // So is one without tables.
    if !makes && schema::is_blank(&connection)? {
        return Err(rights.absence(UnfitStore::Gone));
    }
    let migrated = schema::migrate(&mut connection, rights.migrates)?;
    check(&connection)?;
    let held = Held::by(&connection, path)?;
    Ok(Opened { connection, held, migrated })
}

/// Opens the file once more. It is never another one, and neither made nor migrated.
pub(super) fn open_again(held: &Held) -> Result<Connection, UnfitStore> {
    held.check()?;
    usable(&held.path)?;
    let connection = connect(&held.path)?;
    schema::fits(&connection)?;
    held.check()?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, UnfitStore> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_handler(Some(wait))?;
    schema::recognise(&connection)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(UnfitStore::NoSharedMemory);
    }
    // What was acknowledged is on the disk.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // KiB, where negative. What was read once is remembered in front of the store.
    connection.pragma_update(None, "cache_size", -512)?;
    // What was erased is gone from the pages too.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_size_limit", 16 * 1024 * 1024)?;
    // A file that was tampered with must not run code of its own.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(connection)
}

/// A database in memory, with this release's schema.
pub(super) fn open_in_memory() -> Result<Connection, UnfitStore> {
    let mut connection = Connection::open_in_memory()?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::migrate(&mut connection, true)?;
    Ok(connection)
}

/// How long another's lock is waited for: less than those wait who asked.
const WAIT: Duration = Duration::from_secs(4);

/// Waits for another's lock. SQLite's own handler sleeps longer each time, so that whoever comes back at once goes first
/// again and again.
fn wait(tried: i32) -> bool {
    const PAUSE: Duration = Duration::from_millis(2);
    std::thread::sleep(PAUSE);
    u128::try_from(tried).is_ok_and(|tried| tried < WAIT.as_millis() / PAUSE.as_millis())
}

/// SQLite would make the file readable to everyone; the others it makes beside it get this one's mode.
///
/// A file that is there is never opened here: closing it, anywhere in the process, would take the locks of every
/// connection to it away (POSIX), and the next command to end beside this process would think itself the last one and
/// delete the log that is still being written.
///
/// One with nothing in it is as good as none: SQLite leaves it where it is killed between this and its first write. Only
/// a start gets here; under a process that runs it is a file that was lost.
fn make(path: &Path) -> Result<(), UnfitStore> {
    // Nobody else in the process opens the new file before it is closed.
    static MAKING: Mutex<()> = Mutex::new(());
    let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => usable(path),
        made => made.map(drop).map_err(UnfitStore::from),
    }
}

/// Whether what is there is a file that may be read and written.
fn usable(path: &Path) -> Result<(), UnfitStore> {
    if path.is_dir() {
        return Err(UnfitStore::Place(io::ErrorKind::IsADirectory.into()));
    }
    let access = rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK);
    access.map_err(|error| io::Error::from(error).into())
}

fn check(connection: &Connection) -> Result<(), UnfitStore> {
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if pages > QUICKLY_CHECKED {
        return Ok(());
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(UnfitStore::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const ALL: Rights = Rights { makes: true, migrates: true };

    fn open(path: &Path) -> Result<Connection, UnfitStore> {
        Ok(super::open(path, ALL)?.connection)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn the_file_is_0600_and_a_directory_made_for_it_0700() {
        let folder = folder();
        let path = folder.path().join("new/deeper/usher.db");
        let connection = open(&path).unwrap();
        connection.execute("INSERT INTO meta VALUES ('a', 'b')", []).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("new/deeper/usher.db-wal")), 0o600);
        assert_eq!(mode(&folder.path().join("new/deeper")), 0o700);
        assert_eq!(mode(&folder.path().join("new")), 0o700);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_that_is_opened_later_leaves_the_others_their_locks() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        let _first = open(&path).unwrap();
        let inode = format!(":{} ", std::fs::metadata(&path).unwrap().ino());
        let held = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            locks.lines().filter(|line| line.contains(&inode)).count()
        };
        let before = held();
        assert!(before > 0);
        let _second = open(&path).unwrap();
        assert!(held() >= before);
    }

    #[test]
    fn a_directory_that_was_there_keeps_its_mode() {
        let folder = folder();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o775)).unwrap();
        open(&folder.path().join("usher.db")).unwrap();
        assert_eq!(mode(folder.path()), 0o775);
    }

    #[test]
    fn other_bytes_than_sqlite_s_are_refused_and_kept() {
        let folder = folder();
        for (at, bytes) in [b"hello".to_vec(), b"- url: https://a\n".repeat(500)].iter().enumerate()
        {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(open(&path), Err(UnfitStore::NotDatabase)), "{at}");
            assert_eq!(&std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn another_program_s_database_is_refused_and_not_touched() {
        let folder = folder();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(open(&path), Err(UnfitStore::Foreign)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        let connection = open(&path).unwrap();
        connection
            .execute_batch(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000)
                 INSERT INTO meta SELECT i, 'some text to fill pages' FROM n",
            )
            .unwrap();
        drop(connection);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 8192].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(open(&path), Err(UnfitStore::Damaged)));
    }

    #[test]
    fn a_later_major_schema_is_refused_and_a_later_minor_one_is_not() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        open(&path).unwrap().pragma_update(None, "user_version", 1_007).unwrap();
        open(&path).unwrap().pragma_update(None, "user_version", 2_001).unwrap();
        assert!(matches!(open(&path), Err(UnfitStore::Newer { found: 2, known: 1 })));
    }

    #[test]
    fn an_earlier_schema_is_left_alone_where_it_must_not_be_changed() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        let never = Rights { makes: true, migrates: false };
        let older = Connection::open(&path).unwrap();
        older.execute_batch(include_str!("migrations/1.sql")).unwrap();
        older.pragma_update(None, "application_id", 0x7573_6872).unwrap();
        older.pragma_update(None, "user_version", 1_001).unwrap();
        drop(older);
        assert!(matches!(super::open(&path, never), Err(UnfitStore::NeedsMigration)));
        assert!(super::open(&path, ALL).unwrap().migrated);
        assert!(!super::open(&path, ALL).unwrap().migrated);
        super::open(&path, never).unwrap();
    }

    #[test]
    fn nothing_is_made_by_who_may_not_make_it_or_may_not_give_it_a_schema() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        let refused = || {
            let reads = Rights { makes: false, migrates: true };
            assert!(matches!(super::open(&path, reads), Err(UnfitStore::Missing)));
            let never = Rights { makes: true, migrates: false };
            assert!(matches!(super::open(&path, never), Err(UnfitStore::NotMade)));
            std::fs::read(&path).ok()
        };
        assert_eq!(refused(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(refused().as_deref(), Some(&[][..]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // A first start that was killed before it made the tables.
        Connection::open(&path).unwrap().pragma_update(None, "journal_mode", "WAL").unwrap();
        let blank = std::fs::read(&path).unwrap();
        assert!(!blank.is_empty());
        assert_eq!(refused(), Some(blank));
        assert!(super::open(&path, ALL).unwrap().migrated);
    }

    #[test]
    fn a_parent_that_is_a_file_is_named_as_a_wrong_place() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(open(&file.join("usher.db")), Err(UnfitStore::Place(_))));
        assert!(matches!(open(folder.path()), Err(UnfitStore::Place(_))));
    }

    #[test]
    fn every_sentence_says_what_to_do() {
        let io = |kind: io::ErrorKind| UnfitStore::from(io::Error::from(kind));
        for (fault, wanted) in [
            (io(io::ErrorKind::PermissionDenied), "fsGroup"),
            (io(io::ErrorKind::ReadOnlyFilesystem), "mount a writable volume"),
            (io(io::ErrorKind::StorageFull), "make room"),
            (UnfitStore::Damaged, "restore a copy"),
            (UnfitStore::NotMade, "run `usher migrate`, which makes it"),
            (UnfitStore::Newer { found: 2, known: 1 }, "run the usher that wrote it"),
        ] {
            let unfit = Unfit { path: "/var/lib/usher/usher.db".into(), fault };
            let text = unfit.to_string();
            assert!(text.starts_with("store /var/lib/usher/usher.db: "), "{text}");
            assert!(text.contains(wanted), "{text}");
        }
    }
}
