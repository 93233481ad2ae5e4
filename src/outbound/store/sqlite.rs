//! The embedded store: one SQLite file (contract 8).
//!
//! One thread writes, so that the first sights which wait together share one durable commit, and one reads. Other
//! processes may use the file at the same time.
mod file;
mod rows;
mod schema;
mod worker;

use crate::{
    domain::{
        identity::{ChatIdentity, KeyFingerprint},
        subject::Subject,
        time::Timestamp,
    },
    ports::{
        Reply,
        store::{BindError, Binding, BindingStore, PinError, StoreError},
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

    fn bind<'a>(
        &'a self,
        subject: &'a Subject,
        identity: ChatIdentity,
        at: Timestamp,
    ) -> Reply<'a, Result<Binding, BindError>> {
        let subject = subject.clone();
        let wanted = rows::Wanted { subject, identity, at, fingerprint: self.fingerprint() };
        Box::pin(async move {
            let answer = self.writer.ask(move |connection| rows::bind(connection, &wanted)).await;
            answer.map_err(BindError::Store)?
        })
    }

    fn pin(&self, fingerprint: KeyFingerprint) -> Reply<'_, Result<(), PinError>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::store::contract::{self, identity, subject};
    use std::sync::Arc;

    fn open(folder: &tempfile::TempDir) -> SqliteStore {
        SqliteStore::open(&folder.path().join("usher.db")).unwrap()
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn first() -> KeyFingerprint {
        "63458b39".parse().unwrap()
    }

    fn second() -> KeyFingerprint {
        "00000001".parse().unwrap()
    }

    async fn bind(store: &SqliteStore, id: &str, text: &str) -> Result<Binding, BindError> {
        store.bind(&subject("corp", id), identity(text), Timestamp(7)).await
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

    #[tokio::test]
    async fn what_was_bound_and_pinned_is_there_after_a_restart() {
        let folder = folder();
        let store = open(&folder);
        store.pin(first()).await.unwrap();
        bind(&store, "alice", "u-a").await.unwrap();
        drop(store);
        let store = open(&folder);
        let held = store.find(&subject("corp", "alice")).await.unwrap();
        assert_eq!(held, Some(Binding::Active(identity("u-a"))));
        assert!(
            matches!(store.pin(second()).await, Err(PinError::Other(other)) if other == first())
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
    async fn after_the_file_is_deleted_bindings_go_into_a_new_one() {
        let folder = folder();
        let path = folder.path().join("usher.db");
        let store = open(&folder);
        store.pin(first()).await.unwrap();
        bind(&store, "alice", "u-a").await.unwrap();
        for file in ["usher.db", "usher.db-wal", "usher.db-shm"] {
            std::fs::remove_file(path.with_file_name(file)).unwrap();
        }
        assert_eq!(store.find(&subject("corp", "alice")).await.unwrap(), None);
        bind(&store, "alice", "u-a").await.unwrap();
        drop(store);
        let store = open(&folder);
        assert!(store.find(&subject("corp", "alice")).await.unwrap().is_some());
        assert!(matches!(store.pin(second()).await, Err(PinError::Other(_))));
    }

    #[tokio::test]
    async fn what_another_key_made_its_own_takes_no_identity_of_this_one() {
        let folder = folder();
        let (old, new) = (open(&folder), open(&folder));
        old.pin(first()).await.unwrap();
        new.pin(second()).await.unwrap();
        bind(&new, "bob", "u-b").await.unwrap();
        assert!(matches!(
            bind(&old, "alice", "u-a").await,
            Err(BindError::Store(StoreError::Unavailable(_)))
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
                 INSERT INTO identities VALUES ('a/b', 'active', 1, 'derived', NULL);
                 UPDATE subjects SET identity = 'a/b' WHERE subject = 'form';",
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
        assert!(matches!(bind(&store, "else", "u-retired").await, Err(BindError::Taken)));
    }

    #[tokio::test]
    async fn a_place_that_is_gone_is_an_unavailable_store_and_no_end() {
        let folder = folder();
        let path = folder.path().join("deep/usher.db");
        let store = SqliteStore::open(&path).unwrap();
        std::fs::remove_dir_all(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep"), "a file is in the way").unwrap();
        assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(
            bind(&store, "alice", "u-a").await,
            Err(BindError::Store(StoreError::Unavailable(_)))
        ));
        std::fs::remove_file(folder.path().join("deep")).unwrap();
        store.ping().await.unwrap();
        bind(&store, "alice", "u-a").await.unwrap();
    }
}
