//! The embedded store: one SQLite file (contract 8).
//!
//! One thread writes, so that the first sights which wait together share one durable commit, and one reads. Other
//! processes may use the file at the same time.
mod file;
mod rows;
mod schema;
mod worker;

use crate::{
    domain::{identity::KeyFingerprint, subject::Subject},
    ports::{
        Reply,
        store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError, StoreError},
    },
};
pub use file::{Unfit, UnfitStore};
use rusqlite::TransactionBehavior;
use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};
use worker::Worker;

/// The registry in a file. What it acknowledged survives the process and the host.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Worker,
    reader: Worker,
    /// What [`BindingStore::pin`] was told, and so what is bound here was derived with.
    fingerprint: Mutex<Option<KeyFingerprint>>,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it (0600) and its directory (0700), and brings it to this release's schema.
    /// Blocks while it does, a few milliseconds where nobody holds the lock and at most some seconds.
    ///
    /// # Errors
    /// The file cannot be used; the sentence says what to do.
    pub fn open(path: &Path) -> Result<Self, Unfit> {
        let unfit = |fault| Unfit { path: path.to_owned(), fault };
        // SQLite gives some relative names a meaning of their own.
        let path = std::path::absolute(path).map_err(|error| unfit(error.into()))?;
        let writer =
            Worker::start("store-writer", &path, TransactionBehavior::Immediate).map_err(unfit)?;
        let reader =
            Worker::start("store-reader", &path, TransactionBehavior::Deferred).map_err(unfit)?;
        Ok(Self { writer, reader, fingerprint: Mutex::default() })
    }

    fn fingerprint(&self) -> Option<KeyFingerprint> {
        *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BindingStore for SqliteStore {
    fn find<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        let subject = subject.clone();
        Box::pin(async move {
            self.reader.ask(move |connection| rows::find(connection, &subject)).await?
        })
    }

    fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        let wanted = rows::Wanted {
            subject: sight.subject.clone(),
            identity: sight.identity.clone(),
            at: sight.at,
            fingerprint: self.fingerprint(),
        };
        Box::pin(async move {
            let answer = self.writer.ask(move |connection| rows::bind(connection, &wanted)).await;
            answer.map_err(BindError::Store)?.map(Given::from)
        })
    }

    fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        let fingerprint = pin.fingerprint;
        Box::pin(async move {
            let pinned =
                self.writer.ask(move |connection| rows::pin(connection, fingerprint)).await;
            pinned.map_err(PinError::Store)??;
            *self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
            Ok(())
        })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async move {
            // Through the writer, whose lock shows that the file can be written as well.
            let count = |connection: &rusqlite::Connection| {
                connection.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))
            };
            self.writer.ask(count).await.map(|_| ())
        })
    }
}
