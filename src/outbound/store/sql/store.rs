//! The registry over any driver.
use super::{
    Driver,
    Pace::{Aside, Bulk, Request},
    binding::{Bind, Find},
    changing::Alter,
    comparing::Compare,
    foreseeing::Foresee,
    imported::Mark,
    importing::{Abandon, Apply, Begin, Check, IsUnsettled, LayAside, Settle, Whose},
    pinning::{ANOTHER, IsPinned, IsTheSame, PinDown},
    reading::{FileRows, Holders, List, Since},
    rekeying::RekeyAll,
    showing::About,
};
use crate::{
    domain::{identity::ChatIdentity, subject::Subject, time::Timestamp},
    ports::{
        Reply,
        clock::Clock,
        registry::{
            Author, Change, ChangeError, Changed, Changes, Edition, Filter, Holding, ImportError,
            ImportId, Record, Registry, Rekey, Rekeyed, Row, Verified,
        },
        store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError, StoreError},
    },
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The registry in a database.
#[derive(Debug)]
pub struct SqlStore<D> {
    driver: D,
    clock: Arc<dyn Clock>,
    /// Which store the key was pinned in.
    known: OnceLock<Box<str>>,
    /// Where settling an import has come to.
    mark: Mutex<Option<Mark>>,
}

impl<D: Driver> SqlStore<D> {
    /// Keeps the registry with `driver`; `clock` says when an import last did something.
    pub fn new(driver: D, clock: Arc<dyn Clock>) -> Self {
        Self { driver, clock, known: OnceLock::new(), mark: Mutex::default() }
    }

    /// What runs its jobs.
    pub(in crate::outbound::store) fn driver(&self) -> &D {
        &self.driver
    }

    async fn settle_for(
        &self,
        whose: Whose,
        at: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        if !self.driver.read(IsUnsettled { whose, at }, Request).await? {
            return Ok(false);
        }
        let after = self.mark.lock().unwrap_or_else(PoisonError::into_inner).take();
        let settled = self.driver.write(Settle { whose, at, limit, after }, Aside).await?;
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = settled.mark;
        Ok(settled.is_more)
    }

    /// Takes note of the store that was pinned in. It stays that one for as long as this process runs.
    fn is_known(&self, store: &str) -> Result<(), PinError> {
        if **self.known.get_or_init(|| store.into()) == *store {
            return Ok(());
        }
        Err(PinError::Store(StoreError::Unavailable(ANOTHER.into())))
    }

    fn needs_durable<E>(&self, refusal: E) -> Result<(), E> {
        if self.driver.is_durable() { Ok(()) } else { Err(refusal) }
    }
}

impl<D: Driver> BindingStore for SqlStore<D> {
    fn find<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        Box::pin(self.driver.read(Find(subject.clone()), Request))
    }

    fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(async move {
            let bind = Bind { sight: sight.clone(), store: self.known.get().cloned() };
            let given = self.driver.write(bind, Request).await;
            given.map_err(BindError::Store)?
        })
    }

    fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        Box::pin(async move {
            // Of a thousand sidecars that start at once, the first one writes.
            let pinned = self.driver.read(IsPinned(pin.clone()), Request).await;
            if let Some(store) = pinned.map_err(PinError::Store)? {
                return self.is_known(&store);
            }
            let down = PinDown { pin: pin.clone(), store: self.known.get().cloned() };
            let store = self.driver.write(down, Request).await.map_err(PinError::Store)??;
            self.is_known(&store)
        })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.driver.ping().await?;
            match self.known.get() {
                Some(known) => self.driver.read(IsTheSame(known.clone()), Request).await,
                None => Ok(()),
            }
        })
    }
}

impl<D: Driver> Registry for SqlStore<D> {
    fn is_durable(&self) -> bool {
        self.driver.is_durable()
    }

    fn changes(&self, since: Edition) -> Reply<'_, Result<Changes, StoreError>> {
        Box::pin(self.driver.read(Since(since), Request))
    }

    fn holders<'a>(
        &'a self,
        subjects: &'a [Subject],
    ) -> Reply<'a, Result<Vec<Option<Holding>>, StoreError>> {
        Box::pin(self.driver.read(Holders(subjects.to_vec()), Request))
    }

    fn record<'a>(
        &'a self,
        identity: &'a ChatIdentity,
    ) -> Reply<'a, Result<Option<Record>, StoreError>> {
        Box::pin(self.driver.read(About(identity.clone()), Request))
    }

    fn list<'a>(
        &'a self,
        filter: &'a Filter,
        limit: usize,
    ) -> Reply<'a, Result<Vec<Record>, StoreError>> {
        let list = List { filter: filter.clone(), limit };
        Box::pin(self.driver.read(list, Bulk))
    }

    fn foresee<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(async move {
            let foreseen = self.driver.read(Foresee(sight.clone()), Request).await;
            foreseen.map_err(BindError::Store)?
        })
    }

    fn change<'a>(
        &'a self,
        change: &'a Change,
        author: &'a Author,
    ) -> Reply<'a, Result<Changed, ChangeError>> {
        Box::pin(async move {
            self.needs_durable(ChangeError::NotDurable)?;
            let alter = Alter { change: change.clone(), author: author.clone() };
            self.driver.write(alter, Request).await.map_err(ChangeError::Store)?
        })
    }

    fn rekey<'a>(
        &'a self,
        rekey: &'a Rekey,
        author: &'a Author,
    ) -> Reply<'a, Result<Rekeyed, ChangeError>> {
        Box::pin(async move {
            self.needs_durable(ChangeError::NotDurable)?;
            let all = RekeyAll { rekey: rekey.clone(), author: author.clone() };
            self.driver.write(all, Bulk).await.map_err(ChangeError::Store)?
        })
    }

    fn rows<'a>(
        &'a self,
        after: Option<&'a Row>,
        limit: usize,
    ) -> Reply<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(self.driver.read(FileRows { after: after.cloned(), limit }, Bulk))
    }

    fn begin_import<'a>(&'a self, author: &'a Author) -> Reply<'a, Result<ImportId, ImportError>> {
        Box::pin(async move {
            self.needs_durable(ImportError::NotDurable)?;
            self.driver.write(Begin(author.clone()), Bulk).await.map_err(ImportError::Store)?
        })
    }

    fn stage<'a>(
        &'a self,
        import: ImportId,
        rows: &'a [(u64, Row)],
    ) -> Reply<'a, Result<(), ImportError>> {
        Box::pin(async move {
            let aside = LayAside { import, rows: rows.to_vec(), at: self.clock.now() };
            self.driver.write(aside, Aside).await.map_err(ImportError::Store)?
        })
    }

    fn verify(
        &self,
        import: ImportId,
        allow_links: bool,
    ) -> Reply<'_, Result<Verified, ImportError>> {
        Box::pin(async move {
            let check = Check { import, at: self.clock.now() };
            self.driver.write(check, Bulk).await.map_err(ImportError::Store)??;
            let compare = Compare { import, allow_links };
            self.driver.read(compare, Bulk).await.map_err(ImportError::Store)
        })
    }

    fn apply<'a>(
        &'a self,
        import: ImportId,
        author: &'a Author,
    ) -> Reply<'a, Result<(), ImportError>> {
        Box::pin(async move {
            let apply = Apply { import, at: author.at };
            self.driver.write(apply, Bulk).await.map_err(ImportError::Store)?
        })
    }

    fn settle(&self, at: Timestamp, limit: usize) -> Reply<'_, Result<bool, StoreError>> {
        Box::pin(self.settle_for(Whose::Anybodys, at, limit))
    }

    fn tidy(&self, at: Timestamp, limit: usize) -> Reply<'_, Result<bool, StoreError>> {
        Box::pin(self.settle_for(Whose::Nobodys, at, limit))
    }

    fn abandon(&self, import: ImportId) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(self.driver.write(Abandon(import), Bulk))
    }

    fn migrate(&self) -> Reply<'_, Result<bool, StoreError>> {
        Box::pin(self.driver.migrate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::store::{
        contract::{clock, identity, pin, subject},
        sqlite::SqliteStore,
    };

    #[tokio::test]
    async fn p15_another_store_in_its_place_gives_nobody_an_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usher.db");
        let store = SqliteStore::open(&path, true, clock()).unwrap();
        store.pin(&pin("63458b39")).await.unwrap();
        let (alice, bob) = (subject("corp", "alice"), subject("corp", "bob"));
        store.bind(&FirstSight::of(&alice, identity("u-a"))).await.unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        let put = |id: &str| {
            other.execute("UPDATE meta SET value = ?1 WHERE key = 'store'", [id]).unwrap();
        };
        let before: String = other
            .query_row("SELECT value FROM meta WHERE key = 'store'", [], |row| row.get(0))
            .unwrap();
        put("another");
        let given = store.bind(&FirstSight::of(&bob, identity("u-b"))).await;
        assert!(matches!(given, Err(BindError::Store(StoreError::Unavailable(_)))), "{given:?}");
        assert!(store.ping().await.is_err());
        let pinned = store.pin(&pin("63458b39")).await;
        assert!(matches!(pinned, Err(PinError::Store(StoreError::Unavailable(_)))), "{pinned:?}");
        let changed = store.pin(&pin("00000001")).await;
        assert!(matches!(changed, Err(PinError::Store(_) | PinError::OtherKey(_))), "{changed:?}");
        // The one it began with comes back.
        put(&before);
        store.ping().await.unwrap();
        store.bind(&FirstSight::of(&bob, identity("u-b"))).await.unwrap();
    }
}
