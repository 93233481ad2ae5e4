//! Which files a running process has, so that it notices when they are no longer those at their place.
//!
//! SQLite goes on with a file that was deleted, and what it writes there is gone with the process. A new one in its place
//! would know nobody, and users whose identities were imported would get others. So it is neither: whoever needs the
//! store waits until the file is back.
use super::file::UnfitStore;
use rusqlite::Connection;
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// One file, whatever it is called. As long as somebody has it open no other gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// The database, and the two files beside it through which its users know of each other.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    file: FileId,
    log: (PathBuf, FileId),
    memory: (PathBuf, FileId),
}

impl Held {
    /// What `connection`, which was just opened at `path`, has.
    ///
    /// # Errors
    /// The files are not there any more.
    pub(super) fn by(connection: &Connection, path: &Path) -> Result<Self, UnfitStore> {
        // Links are followed: SQLite puts the two beside the file itself.
        let file = connection.path().ok_or(UnfitStore::Gone)?;
        let beside = |ending: &str| {
            let path = PathBuf::from(format!("{file}{ending}"));
            let id = at(&path)?.ok_or(UnfitStore::LogGone)?;
            Ok::<_, UnfitStore>((path, id))
        };
        Ok(Self {
            path: path.to_owned(),
            file: database(path)?,
            log: beside("-wal")?,
            memory: beside("-shm")?,
        })
    }

    /// Whether all three are what is at their places now.
    ///
    /// # Errors
    /// [`UnfitStore::Gone`], [`UnfitStore::LogGone`], or their directory may not be looked into any more.
    pub(super) fn check(&self) -> Result<(), UnfitStore> {
        if database(&self.path)? != self.file {
            return Err(UnfitStore::Gone);
        }
        for (path, id) in [&self.log, &self.memory] {
            if at(path)? != Some(*id) {
                return Err(UnfitStore::LogGone);
            }
        }
        Ok(())
    }

    /// Whether nothing is where the log was.
    pub(super) fn has_no_log(&self) -> bool {
        matches!(at(&self.log.0), Ok(None))
    }
}

/// The database at `path`.
///
/// # Errors
/// [`UnfitStore::Gone`]: there is none, or nothing in it, or the path is all that is left of it, as where a single file
/// was mounted into a container and deleted outside.
pub(super) fn database(path: &Path) -> Result<FileId, UnfitStore> {
    let Some(found) = metadata(path)? else { return Err(UnfitStore::Gone) };
    if found.len() == 0 || found.nlink() == 0 {
        return Err(UnfitStore::Gone);
    }
    Ok(FileId { device: found.dev(), inode: found.ino() })
}

fn at(path: &Path) -> Result<Option<FileId>, UnfitStore> {
    let found = metadata(path)?;
    Ok(found.map(|found| FileId { device: found.dev(), inode: found.ino() }))
}

fn metadata(path: &Path) -> Result<Option<std::fs::Metadata>, UnfitStore> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(found)),
        // A parent that is a file now is as much of an absence.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
