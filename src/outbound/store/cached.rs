//! The memory in front of any store (contract 8, "Store down").
//!
//! A binding changes only where an operator changes it, and then the store's feed of changes says so: it is asked every
//! second ([`CachedStore::follow`]). While the store is silent what is remembered goes on, until `store.staleFor` after it
//! last answered anybody. Failures are never remembered.
mod feed;
mod outcome;
mod recent;

use super::sql::digest_of;
use crate::{
    domain::subject::Subject,
    ports::{
        Reply,
        clock::Clock,
        recall::Digest,
        registry::Registry,
        store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError, StoreError},
    },
    telemetry::metrics::Metrics,
};
use futures_util::FutureExt;
use moka::{future::Cache, policy::EvictionPolicy};
use outcome::{Outcome, again, outcome_of_bind};
use recent::Recent;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How many subjects are remembered where nobody says otherwise.
pub const REMEMBERED: u64 = 131_072;

/// Any store, remembered. Many requests about one subject cost the store one.
pub struct CachedStore {
    store: Arc<dyn BindingStore>,
    /// By a digest of the subject: 32 bytes for what may be 2 048, and no name in a memory dump.
    bindings: Cache<Digest, Binding>,
    stale_for: Duration,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// The uptime in milliseconds at which the store last answered.
    answered: AtomicU64,
    failing: AtomicBool,
    /// Whose feed is followed.
    registry: Option<Arc<dyn Registry>>,
    /// The registry's edition up to which that was done.
    followed: AtomicU64,
    /// Counted up whenever something that may be remembered somewhere has changed.
    edition: AtomicU64,
    recent: Recent,
}

/// Why a flight brought nothing that may be remembered.
enum Absent {
    Never,
    Failed(StoreError),
}

impl CachedStore {
    /// Remembers up to `bound` subjects of `store`; without an answer from it, for `stale_for`.
    pub fn new(
        store: Arc<dyn BindingStore>,
        bound: u64,
        stale_for: Duration,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let bindings =
            Cache::builder().max_capacity(bound).eviction_policy(EvictionPolicy::lru()).build();
        let answered = AtomicU64::new(millis(clock.uptime()));
        Self {
            store,
            bindings,
            stale_for,
            clock,
            metrics,
            answered,
            failing: AtomicBool::new(false),
            registry: None,
            followed: AtomicU64::new(0),
            edition: AtomicU64::new(0),
            recent: Recent::default(),
        }
    }

    /// The same, following the changes of `registry`, which is the store's.
    #[must_use]
    pub fn following(self, registry: Arc<dyn Registry>) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Takes note of what the store's answer shows about the store itself. A damaged row shows nothing.
    fn note(&self, operation: &'static str, outcome: Outcome) {
        match outcome {
            Outcome::Ok | Outcome::Refused => {
                self.answered.fetch_max(millis(self.clock.uptime()), Ordering::Relaxed);
                self.failing.store(false, Ordering::Relaxed);
            }
            Outcome::Unavailable => self.failing.store(true, Ordering::Relaxed),
            Outcome::Damaged => {}
        }
        self.metrics.store_operation(operation, outcome.as_str());
    }

    fn is_trusted(&self) -> bool {
        let silent =
            millis(self.clock.uptime()).saturating_sub(self.answered.load(Ordering::Relaxed));
        silent <= millis(self.stale_for)
    }

    fn recalled(&self, key: &Digest) -> Option<Binding> {
        if !self.is_trusted() || self.recent.has(key) {
            return None;
        }
        // The memory waits only when it tidies itself, and then this is a miss.
        self.bindings.get(key).now_or_never().flatten()
    }

    /// Forgets what may no longer be used, so that the store is asked.
    async fn distrust(&self, key: &Digest) {
        if !self.is_trusted() {
            self.bindings.invalidate(key).await;
        }
    }

    async fn find_once(
        &self,
        key: Digest,
        subject: &Subject,
    ) -> Result<Option<Binding>, StoreError> {
        if self.recent.has(&key) {
            return self.find_now(subject).await;
        }
        self.distrust(&key).await;
        let before = self.edition();
        let flight = self.bindings.try_get_with(key, async {
            self.find_now(subject).await.map_err(Absent::Failed)?.ok_or(Absent::Never)
        });
        let flown = flight.await;
        self.forget_if_old(&key, before).await;
        match flown {
            Ok(binding) => Ok(Some(binding)),
            Err(absent) => match &*absent {
                Absent::Never => Ok(None),
                Absent::Failed(error) => Err(again(error)),
            },
        }
    }

    async fn find_now(&self, subject: &Subject) -> Result<Option<Binding>, StoreError> {
        let found = self.store.find(subject).await;
        self.note("find", Outcome::of(found.as_ref().err()));
        found
    }

    /// What was asked before a change that came meanwhile may not be remembered.
    async fn forget_if_old(&self, key: &Digest, before: u64) {
        if self.edition() != before {
            self.bindings.invalidate(key).await;
        }
    }

    async fn bind_now(&self, sight: &FirstSight) -> Result<Given, BindError> {
        let bound = self.store.bind(sight).await;
        self.note("bind", outcome_of_bind(&bound));
        bound
    }

    async fn bind_once(&self, sight: &FirstSight) -> Result<Given, BindError> {
        let key = key_of(&sight.subject);
        if self.recent.has(&key) {
            return self.bind_now(sight).await;
        }
        self.distrust(&key).await;
        let before = self.edition();
        let adopted = AtomicBool::new(false);
        // A flight that is cancelled is taken over by one of those who wait for it; what the first of them wrote is
        // what the next is told.
        let flight = self.bindings.try_get_with(key, async {
            let given = self.bind_now(sight).await?;
            adopted.store(given.adopted, Ordering::Relaxed);
            Ok(given.binding)
        });
        let flown = flight.await;
        self.forget_if_old(&key, before).await;
        match flown {
            Ok(binding) => Ok(Given { binding, adopted: adopted.into_inner() }),
            Err(error) => Err(match &*error {
                BindError::Taken => BindError::Taken,
                BindError::Unverified => BindError::Unverified,
                BindError::Store(cause) => BindError::Store(again(cause)),
            }),
        }
    }
}

impl BindingStore for CachedStore {
    fn remembered(&self, subject: &Subject) -> Option<Binding> {
        let binding = self.recalled(&key_of(subject))?;
        self.metrics.identity_cache(true);
        Some(binding)
    }

    fn edition(&self) -> u64 {
        self.edition.load(Ordering::Acquire)
    }

    fn vouches(&self, edition: u64) -> bool {
        let vouches = edition == self.edition() && self.is_trusted();
        if vouches {
            self.metrics.identity_cache(true);
        }
        vouches
    }

    fn answers(&self) -> bool {
        !self.failing.load(Ordering::Relaxed)
    }

    fn find<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        Box::pin(async move {
            let key = key_of(subject);
            let recalled = self.recalled(&key);
            self.metrics.identity_cache(recalled.is_some());
            match recalled {
                Some(binding) => Ok(Some(binding)),
                None => self.find_once(key, subject).await,
            }
        })
    }

    fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(self.bind_once(sight))
    }

    fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        Box::pin(async move {
            let pinned = self.store.pin(pin).await;
            let outcome = match &pinned {
                Ok(()) => Outcome::Ok,
                Err(PinError::OtherKey(_) | PinError::OtherFormat { .. }) => Outcome::Refused,
                Err(PinError::Store(cause)) => Outcome::of(Some(cause)),
            };
            self.note("pin", outcome);
            pinned
        })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let answer = self.store.ping().await;
            self.note("ping", Outcome::of(answer.as_ref().err()));
            answer
        })
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CachedStore").field(&self.store).finish()
    }
}

fn key_of(subject: &Subject) -> Digest {
    digest_of(subject.namespace().as_str(), subject.id().as_str())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::time::Timestamp,
        outbound::store::{
            contract::{self, identity, subject},
            sqlite::SqliteStore,
        },
        ports::{clock::StoppedClock, store::MemoryStore},
    };
    use std::sync::{Mutex, atomic::AtomicUsize};
    use tokio::{
        sync::Semaphore,
        task::{JoinSet, yield_now},
    };

    const HOUR: Duration = Duration::from_hours(1);

    /// A store that counts, waits where it is told to, and fails where it is told to.
    #[derive(Debug)]
    struct Slow {
        inner: MemoryStore,
        asked: AtomicUsize,
        broken: AtomicBool,
        /// Taken before the answer, and after what was asked is done.
        answers: Semaphore,
    }

    impl Slow {
        async fn answer<T>(&self, done: T) -> Result<T, StoreError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.answers.acquire().await.unwrap().forget();
            if self.broken.load(Ordering::Relaxed) {
                return Err(StoreError::Unavailable("unplugged".into()));
            }
            Ok(done)
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    impl BindingStore for Slow {
        fn find<'a>(&'a self, s: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
            Box::pin(async move { self.answer(self.inner.find(s).await).await? })
        }

        fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
            Box::pin(async move {
                let bound = self.inner.bind(sight).await;
                self.answer(bound).await.map_err(BindError::Store)?
            })
        }

        fn pin<'a>(&'a self, pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
            self.inner.pin(pin)
        }

        fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
            Box::pin(self.answer(()))
        }
    }

    struct Scene {
        store: Arc<Slow>,
        cached: Arc<CachedStore>,
        clock: Arc<StoppedClock>,
        metrics: Arc<Metrics>,
    }

    fn scene(answers: usize) -> Scene {
        let store = Arc::new(Slow {
            inner: MemoryStore::new(1000),
            asked: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            answers: Semaphore::new(answers),
        });
        let clock = Arc::new(StoppedClock::at(Timestamp(1)));
        let metrics = Arc::new(Metrics::new("0.0.0", "63458b39"));
        let cached = CachedStore::new(store.clone(), 1000, HOUR, clock.clone(), metrics.clone());
        Scene { store, cached: Arc::new(cached), clock, metrics }
    }

    fn over(store: Arc<dyn BindingStore>) -> Arc<CachedStore> {
        let clock = Arc::new(StoppedClock::at(Timestamp(1)));
        Arc::new(CachedStore::new(
            store,
            1000,
            HOUR,
            clock,
            Arc::new(Metrics::new("0.0.0", "63458b39")),
        ))
    }

    fn alice() -> Subject {
        subject("corp", "alice")
    }

    async fn bind(store: &CachedStore) -> Result<Binding, BindError> {
        Ok(store.bind(&FirstSight::of(&alice(), identity("u-a"))).await?.binding)
    }

    fn bound() -> Binding {
        Binding::Active(identity("u-a"))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_keeps_the_contract_of_every_store_over_each() {
        contract::holds(|| over(Arc::new(MemoryStore::new(1000)))).await;
        let folders = Mutex::new(Vec::new());
        contract::holds(|| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("usher.db");
            let store = SqliteStore::open(&path, true, contract::clock()).unwrap();
            folders.lock().unwrap().push(folder);
            over(Arc::new(store))
        })
        .await;
    }

    #[tokio::test]
    async fn what_was_bound_or_found_is_remembered_without_asking() {
        let scene = scene(100);
        assert_eq!(scene.cached.remembered(&alice()), None);
        assert_eq!(scene.cached.find(&alice()).await.unwrap(), None);
        bind(&scene.cached).await.unwrap();
        let asked = scene.store.asked();
        assert_eq!(scene.cached.remembered(&alice()), Some(bound()));
        assert_eq!(scene.cached.find(&alice()).await.unwrap(), Some(bound()));
        assert_eq!(bind(&scene.cached).await.unwrap(), bound());
        assert_eq!(scene.store.asked(), asked);
        let text = scene.metrics.text().unwrap();
        for line in [
            "usher_identity_cache_hits_total 2",
            "usher_identity_cache_misses_total 1",
            "usher_store_operations_total{operation=\"find\",outcome=\"ok\"} 1",
            "usher_store_operations_total{operation=\"bind\",outcome=\"ok\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[tokio::test]
    async fn p12_64_who_ask_about_one_subject_ask_the_store_once() {
        let scene = scene(0);
        scene.store.inner.bind(&FirstSight::of(&alice(), identity("u-a"))).await.unwrap();
        let mut asking = JoinSet::new();
        for _ in 0..64 {
            let cached = Arc::clone(&scene.cached);
            asking.spawn(async move { cached.find(&alice()).await.unwrap() });
        }
        for _ in 0..100 {
            yield_now().await;
        }
        scene.store.answers.add_permits(100);
        assert!(asking.join_all().await.into_iter().all(|found| found == Some(bound())));
        assert_eq!(scene.store.asked(), 1);
    }

    #[tokio::test]
    async fn a_flight_that_is_cancelled_loses_nothing_that_was_written() {
        let scene = scene(0);
        let (first, second) = (Arc::clone(&scene.cached), Arc::clone(&scene.cached));
        let mut flights = JoinSet::new();
        let leader = flights.spawn(async move { bind(&first).await.ok() });
        for _ in 0..100 {
            yield_now().await;
        }
        let mut waiting = JoinSet::new();
        waiting.spawn(async move {
            second.bind(&FirstSight::of(&alice(), identity("u-b"))).await.unwrap().binding
        });
        for _ in 0..100 {
            yield_now().await;
        }
        // The row is written, and whoever wrote it goes before the answer comes.
        leader.abort();
        scene.store.answers.add_permits(100);
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), bound());
        assert_eq!(scene.cached.remembered(&alice()), Some(bound()));
    }

    #[tokio::test]
    async fn a_failure_is_told_to_all_who_waited_and_never_remembered() {
        let scene = scene(0);
        scene.store.broken.store(true, Ordering::Relaxed);
        let mut asking = JoinSet::new();
        for _ in 0..8 {
            let cached = Arc::clone(&scene.cached);
            asking.spawn(async move { cached.find(&alice()).await.is_err() });
        }
        for _ in 0..100 {
            yield_now().await;
        }
        scene.store.answers.add_permits(100);
        assert!(asking.join_all().await.into_iter().all(|failed| failed));
        assert!(bind(&scene.cached).await.is_err());
        scene.store.broken.store(false, Ordering::Relaxed);
        assert_eq!(scene.cached.find(&alice()).await.unwrap(), Some(bound()));
        let text = scene.metrics.text().unwrap();
        assert!(text.contains("operation=\"bind\",outcome=\"failed\"} 1"), "{text}");
    }

    #[tokio::test]
    async fn while_the_store_is_down_bindings_go_on_for_stale_for_and_no_longer() {
        let scene = scene(100);
        bind(&scene.cached).await.unwrap();
        scene.store.broken.store(true, Ordering::Relaxed);
        assert!(scene.cached.answers());
        assert!(scene.cached.ping().await.is_err());
        assert!(!scene.cached.answers());
        scene.clock.advance(HOUR);
        assert_eq!(scene.cached.remembered(&alice()), Some(bound()));
        assert!(scene.cached.vouches(scene.cached.edition()));
        assert!(scene.cached.find(&subject("corp", "bob")).await.is_err());
        scene.clock.advance(Duration::from_secs(1));
        assert_eq!(scene.cached.remembered(&alice()), None);
        assert!(!scene.cached.vouches(scene.cached.edition()));
        assert!(scene.cached.find(&alice()).await.is_err());
        assert!(bind(&scene.cached).await.is_err());
        scene.store.broken.store(false, Ordering::Relaxed);
        assert_eq!(scene.cached.find(&alice()).await.unwrap(), Some(bound()));
        assert!(scene.cached.answers());
        assert_eq!(scene.cached.remembered(&alice()), Some(bound()));
    }

    #[tokio::test]
    async fn any_answer_of_the_store_keeps_what_is_remembered_in_use() {
        let scene = scene(100);
        bind(&scene.cached).await.unwrap();
        for _ in 0..3 {
            scene.clock.advance(HOUR);
            scene.cached.ping().await.unwrap();
        }
        scene.clock.advance(HOUR);
        assert_eq!(scene.cached.remembered(&alice()), Some(bound()));
    }

    #[tokio::test]
    async fn the_number_of_subjects_remembered_is_bounded() {
        let clock = Arc::new(StoppedClock::at(Timestamp(1)));
        let metrics = Arc::new(Metrics::new("0.0.0", "63458b39"));
        let store = Arc::new(MemoryStore::new(10_000));
        let cached = CachedStore::new(store, 50, HOUR, clock, metrics);
        for n in 0..5000 {
            let (subject, identity) =
                (subject("corp", &n.to_string()), identity(&format!("u-{n}")));
            cached.bind(&FirstSight::of(&subject, identity)).await.unwrap();
        }
        cached.bindings.run_pending_tasks().await;
        assert!(cached.bindings.entry_count() <= 50);
    }
}
