//! Files that are lost, emptied, exchanged or changed beneath a process that has them open.
use super::{Rights, SqliteDriver, SqliteStore, Unfit, UnfitStore};
use crate::{
    outbound::store::{
        contract::{clock, identity, pin, subject},
        sql::{Driver as _, Fault, Job, Pace, Tx},
    },
    ports::{
        registry::{Edition, Filter, Registry as _},
        store::{BindError, Binding, BindingStore as _, FirstSight, StoreError},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const ALL: [&str; 3] = ["usher.db", "usher.db-wal", "usher.db-shm"];

struct Scene {
    folder: tempfile::TempDir,
    path: PathBuf,
    store: SqliteStore,
}

/// A store in a folder of its own, in which alice is bound.
async fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    fs::create_dir(folder.path().join("aside")).unwrap();
    let path = folder.path().join("store/usher.db");
    let store = SqliteStore::open(&path, true, clock()).unwrap();
    store.pin(&pin("63458b39")).await.unwrap();
    let scene = Scene { folder, path, store };
    scene.bind("alice").await.unwrap();
    scene
}

fn sight(id: &str) -> FirstSight {
    FirstSight::of(&subject("corp", id), identity(&format!("u-{id}")))
}

fn said(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(cause) => cause.to_string(),
        StoreError::Rekeyed(_) | StoreError::Reformatted | StoreError::Damaged => panic!("{error}"),
    }
}

impl Scene {
    async fn bind(&self, id: &str) -> Result<Binding, StoreError> {
        match self.store.bind(&sight(id)).await {
            Ok(given) => Ok(given.binding),
            Err(BindError::Store(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// Every call of another kind says so, and nothing is made.
    async fn is_unavailable(&self, because: &str) {
        let filter = Filter::default();
        let errors = [
            self.bind("bob").await.unwrap_err(),
            self.store.ping().await.unwrap_err(),
            self.store.find(&subject("corp", "alice")).await.unwrap_err(),
            self.store.changes(Edition(0)).await.unwrap_err(),
            self.store.list(&filter, 10).await.unwrap_err(),
            self.store.rows(None, 10).await.unwrap_err(),
        ];
        for error in errors {
            let text = said(&error);
            assert!(text.contains(because) && text.contains("usher.db: "), "{text}");
        }
    }

    async fn knows_alice_and_takes(&self, id: &str) {
        let held = self.store.find(&subject("corp", "alice")).await.unwrap();
        assert_eq!(held, Some(Binding::Active(identity("u-alice"))));
        self.bind(id).await.unwrap();
        self.store.list(&Filter::default(), 10).await.unwrap();
    }

    fn aside(&self, name: &str) -> PathBuf {
        self.folder.path().join("aside").join(name)
    }

    fn mv(&self, names: &[&str]) {
        for name in names {
            fs::rename(self.path.with_file_name(name), self.aside(name)).unwrap();
        }
    }

    fn back(&self, names: &[&str]) {
        for name in names {
            fs::rename(self.aside(name), self.path.with_file_name(name)).unwrap();
        }
    }

    /// What a process finds that starts after this one was killed.
    async fn after_a_kill(&self) -> Vec<&'static str> {
        let copy = tempfile::tempdir().unwrap();
        for name in ALL {
            // The third is of those only who are running.
            if name != "usher.db-shm" && self.path.with_file_name(name).exists() {
                fs::copy(self.path.with_file_name(name), copy.path().join(name)).unwrap();
            }
        }
        let next = SqliteStore::open(&copy.path().join("usher.db"), true, clock()).unwrap();
        let mut known = Vec::new();
        for id in ["alice", "bob"] {
            if next.find(&subject("corp", id)).await.unwrap().is_some() {
                known.push(id);
            }
        }
        known
    }
}

fn other(path: &Path) {
    drop(SqliteStore::open(path, true, clock()).unwrap());
}

const GONE: &str = "usher does not make a new one while it runs";

#[tokio::test]
async fn a_file_that_is_deleted_makes_the_store_unavailable_and_is_not_made_again() {
    let scene = scene().await;
    scene.store.list(&Filter::default(), 1).await.unwrap();
    for name in ALL {
        fs::remove_file(scene.path.with_file_name(name)).unwrap();
    }
    scene.is_unavailable(GONE).await;
    assert!(!scene.path.exists());
    // Nor by the threads that are started when they are needed, nor once the place itself is gone.
    let late = self::scene().await;
    fs::remove_dir_all(late.path.parent().unwrap()).unwrap();
    late.is_unavailable(GONE).await;
    fs::write(late.path.parent().unwrap(), "a file is in the way").unwrap();
    late.is_unavailable(GONE).await;
    // A start makes one.
    drop(scene.store);
    let store = SqliteStore::open(&scene.path, true, clock()).unwrap();
    assert_eq!(store.find(&subject("corp", "alice")).await.unwrap(), None);
}

/// Writes, and has the file deleted before that is committed.
struct Unlucky(PathBuf);

impl Job for Unlucky {
    type Answer = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<u64, Fault> {
        fs::remove_file(&self.0).unwrap();
        tx.run("INSERT INTO meta (key, value) VALUES ('a', 'b')", &[]).await
    }
}

#[tokio::test]
async fn what_was_committed_into_a_file_that_was_deleted_meanwhile_is_not_acknowledged() {
    for pace in [Pace::Request, Pace::Bulk, Pace::Aside] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usher.db");
        let driver = SqliteDriver::open(&path, Rights { makes: true, migrates: true }).unwrap();
        let text = said(&driver.write(Unlucky(path), pace).await.unwrap_err());
        assert!(text.contains(GONE), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_back_is_used_again() {
    let scene = scene().await;
    for names in [&ALL[..], &ALL[..1]] {
        scene.mv(names);
        scene.is_unavailable(GONE).await;
        scene.back(names);
        scene.knows_alice_and_takes(&names.len().to_string()).await;
    }
}

#[tokio::test]
async fn another_file_in_its_place_is_not_used() {
    let scene = scene().await;
    scene.mv(&ALL);
    // An empty volume in which somebody made a new store, or a copy from yesterday.
    other(&scene.path);
    scene.is_unavailable(GONE).await;
    let next = SqliteStore::open(&scene.path, true, clock()).unwrap();
    assert_eq!(next.find(&subject("corp", "bob")).await.unwrap(), None);
    drop(next);
    fs::remove_file(&scene.path).unwrap();
    scene.back(&ALL);
    scene.knows_alice_and_takes("carol").await;
}

#[tokio::test]
async fn a_file_that_was_emptied_is_a_lost_one_and_at_a_start_a_new_one() {
    let scene = scene().await;
    fs::File::create(&scene.path).unwrap();
    scene.is_unavailable(GONE).await;
    assert_eq!(fs::metadata(&scene.path).unwrap().len(), 0);
    let path = scene.folder.path().join("first.db");
    fs::write(&path, "").unwrap();
    let store = SqliteStore::open(&path, true, clock()).unwrap();
    store.bind(&sight("alice")).await.unwrap();
}

#[tokio::test]
async fn another_database_that_was_written_over_it_is_not_used() {
    let scene = scene().await;
    let empty = scene.aside("empty.db");
    rusqlite::Connection::open(&empty)
        .unwrap()
        .execute_batch("PRAGMA user_version = 0; VACUUM")
        .unwrap();
    // Everything into the file, and over that the other one, as `cp` does.
    let beside = rusqlite::Connection::open(&scene.path).unwrap();
    beside.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    fs::copy(&empty, &scene.path).unwrap();
    let error = scene.bind("bob").await.unwrap_err();
    assert!(!matches!(error, StoreError::Rekeyed(_)), "{error}");
    assert!(scene.store.find(&subject("corp", "alice")).await.is_err());
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_another_file_and_its_log_is_beside_the_file() {
    let scene = scene().await;
    let link = scene.folder.path().join("link.db");
    std::os::unix::fs::symlink(&scene.path, &link).unwrap();
    let linked = Scene {
        store: SqliteStore::open(&link, true, clock()).unwrap(),
        path: link.clone(),
        folder: tempfile::tempdir().unwrap(),
    };
    linked.knows_alice_and_takes("carol").await;
    let elsewhere = scene.aside("other.db");
    other(&elsewhere);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let text = said(&linked.bind("bob").await.unwrap_err());
    assert!(text.contains(GONE), "{text}");
    // Under its own name it is there.
    scene.knows_alice_and_takes("dave").await;
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_file_where_its_log_was_deleted() {
    for name in ["usher.db-wal", "usher.db-shm"] {
        let scene = scene().await;
        scene.store.list(&Filter::default(), 1).await.unwrap();
        fs::remove_file(scene.path.with_file_name(name)).unwrap();
        scene.is_unavailable("usher writes nothing more to it").await;
        assert_eq!(scene.after_a_kill().await, ["alice"], "{name}");
    }
}

#[tokio::test]
async fn a_later_major_schema_is_refused_also_beneath_a_process_that_runs() {
    let scene = scene().await;
    let beside = rusqlite::Connection::open(&scene.path).unwrap();
    beside.pragma_update(None, "user_version", 1_007).unwrap();
    scene.knows_alice_and_takes("carol").await;
    beside.pragma_update(None, "user_version", 2_001).unwrap();
    scene.is_unavailable("has a schema of version 2 and this usher knows 1").await;
    let rows: i64 =
        beside.query_row("SELECT count(*) FROM subjects", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn who_waits_in_vain_for_another_s_lock_is_told_what_to_do() {
    let scene = scene().await;
    let beside = rusqlite::Connection::open(&scene.path).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let text = said(&scene.bind("bob").await.unwrap_err());
    assert!(text.contains("writing to it for longer than 4 s; try again"), "{text}");
    beside.execute_batch("COMMIT").unwrap();
    scene.bind("bob").await.unwrap();
}

#[tokio::test]
async fn who_only_reads_makes_no_store() {
    let scene = scene().await;
    let wrong = scene.folder.path().join("typo/usher.db");
    let missing = |path: &Path| {
        matches!(
            SqliteStore::existing(path, true, clock()),
            Err(Unfit { fault: UnfitStore::Missing, .. })
        )
    };
    assert!(missing(&wrong));
    assert!(!wrong.parent().unwrap().exists());
    let empty = scene.folder.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert!(missing(&empty));
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
    let beside = SqliteStore::existing(&scene.path, true, clock()).unwrap();
    assert!(beside.find(&subject("corp", "alice")).await.unwrap().is_some());
}
