//! The feed of changes that keeps the memory true.
use super::{CachedStore, millis, outcome::Outcome};
use crate::ports::{
    registry::{Changes, Edition},
    store::StoreError,
};
use std::sync::atomic::Ordering;

impl CachedStore {
    /// Asks what changed since it was last asked, and forgets that. Call it at least every second.
    ///
    /// # Errors
    /// The store cannot answer; nothing is forgotten then.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let Some(registry) = &self.registry else { return Ok(()) };
        let since = Edition(self.followed.load(Ordering::Relaxed));
        let changes = registry.changes(since).await;
        self.note("changes", Outcome::of(changes.as_ref().err()));
        let Changes { edition, subjects } = changes?;
        let now = millis(self.clock.uptime());
        for key in self.recent.over(now) {
            self.bindings.invalidate(&key).await;
        }
        match subjects {
            Some(subjects) if subjects.is_empty() => {}
            Some(subjects) => {
                self.recent.add(&subjects, now);
                for key in &subjects {
                    self.bindings.invalidate(key).await;
                }
                self.edition.fetch_add(1, Ordering::Release);
            }
            None => {
                self.bindings.invalidate_all();
                self.edition.fetch_add(1, Ordering::Release);
            }
        }
        self.followed.store(edition.0, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{identity::ChatIdentity, subject::Subject, time::Timestamp},
        outbound::store::{
            contract::{clock, identity, subject},
            sqlite::SqliteStore,
        },
        ports::{
            Reply,
            clock::StoppedClock,
            registry::{Author, Change, Registry},
            store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError},
        },
        telemetry::metrics::Metrics,
    };
    use std::{sync::Arc, time::Duration};
    use tokio::sync::Semaphore;

    /// Answers a `find` only when it is let, with what it found when it was asked.
    #[derive(Debug)]
    struct Slow {
        inner: Arc<SqliteStore>,
        finds: Semaphore,
        asked: Semaphore,
    }

    impl BindingStore for Slow {
        fn find<'a>(
            &'a self,
            subject: &'a Subject,
        ) -> Reply<'a, Result<Option<Binding>, StoreError>> {
            Box::pin(async move {
                let found = self.inner.find(subject).await;
                self.asked.add_permits(1);
                self.finds.acquire().await.unwrap().forget();
                found
            })
        }

        fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
            self.inner.bind(sight)
        }

        fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
            self.inner.pin(pin)
        }

        fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
            self.inner.ping()
        }
    }

    struct Scene {
        _folder: tempfile::TempDir,
        store: Arc<SqliteStore>,
        slow: Arc<Slow>,
        cached: Arc<CachedStore>,
        clock: Arc<StoppedClock>,
    }

    fn scene(finds: usize) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("usher.db");
        let store = Arc::new(SqliteStore::open(&path, true, clock()).unwrap());
        let (finds, asked) = (Semaphore::new(finds), Semaphore::new(0));
        let slow = Arc::new(Slow { inner: Arc::clone(&store), finds, asked });
        let clock = Arc::new(StoppedClock::at(Timestamp(1_795_428_900)));
        let metrics = Arc::new(Metrics::new("0.0.0", "63458b39"));
        let cached = CachedStore::new(
            Arc::clone(&slow) as Arc<dyn BindingStore>,
            100,
            Duration::from_hours(1),
            Arc::clone(&clock) as Arc<dyn crate::ports::clock::Clock>,
            metrics,
        );
        let cached = Arc::new(cached.following(Arc::clone(&store) as Arc<dyn Registry>));
        Scene { _folder: folder, store, slow, cached, clock }
    }

    fn alice() -> Subject {
        subject("corp", "alice")
    }

    fn old() -> ChatIdentity {
        identity("u-old")
    }

    impl Scene {
        async fn change(&self, change: Change) {
            let author = Author { who: "cli:ops".into(), why: "x".into(), at: Timestamp(2) };
            self.store.change(&change, &author).await.unwrap();
        }

        async fn found(&self) -> Option<Binding> {
            self.cached.find(&alice()).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_an_operator_changed_is_forgotten_at_the_next_look_and_the_rest_is_not() {
        let scene = scene(100);
        scene.cached.bind(&FirstSight::of(&alice(), old())).await.unwrap();
        let bob = subject("corp", "bob");
        scene.cached.bind(&FirstSight::of(&bob, identity("u-bob"))).await.unwrap();
        scene.cached.follow().await.unwrap();
        let edition = scene.cached.edition();
        scene.change(Change::Retire { identity: old() }).await;
        assert_eq!(scene.cached.remembered(&alice()), Some(Binding::Active(old())));
        scene.cached.follow().await.unwrap();
        assert_eq!(scene.cached.remembered(&alice()), None);
        assert_eq!(scene.found().await, Some(Binding::Retired));
        assert!(!scene.cached.vouches(edition), "what was kept beside a token is asked for again");
        assert!(scene.cached.remembered(&bob).is_some());
        // With no change nothing is forgotten.
        let edition = scene.cached.edition();
        scene.cached.follow().await.unwrap();
        assert!(scene.cached.vouches(edition));
    }

    #[tokio::test]
    async fn a_look_up_that_began_before_a_change_is_not_remembered_after_it() {
        let scene = scene(0);
        scene.store.bind(&FirstSight::of(&alice(), old())).await.unwrap();
        scene.cached.follow().await.unwrap();
        let cached = Arc::clone(&scene.cached);
        let mut looking = tokio::task::JoinSet::new();
        looking.spawn(async move { cached.find(&alice()).await.unwrap() });
        // It has found the old state, and its answer is on the way.
        scene.slow.asked.acquire().await.unwrap().forget();
        scene.change(Change::Retire { identity: old() }).await;
        scene.cached.follow().await.unwrap();
        scene.slow.finds.add_permits(100);
        assert_eq!(looking.join_next().await.unwrap().unwrap(), Some(Binding::Active(old())));
        assert_eq!(scene.found().await, Some(Binding::Retired));
        // Also once such a look-up can no longer be on the way, and it is remembered again.
        scene.clock.advance(Duration::from_mins(1));
        scene.cached.follow().await.unwrap();
        assert_eq!(scene.found().await, Some(Binding::Retired));
        assert_eq!(scene.cached.remembered(&alice()), Some(Binding::Retired));
    }

    #[tokio::test]
    async fn a_look_up_that_ends_before_the_change_is_told_and_is_remembered_is_forgotten_then() {
        let scene = scene(1);
        scene.store.bind(&FirstSight::of(&alice(), old())).await.unwrap();
        scene.cached.follow().await.unwrap();
        assert_eq!(scene.found().await, Some(Binding::Active(old())));
        scene.change(Change::Unlink { subject: alice() }).await;
        scene.cached.follow().await.unwrap();
        scene.slow.finds.add_permits(1);
        assert_eq!(scene.found().await, None);
    }
}
