//! When an issuer is asked, and what is answered meanwhile.
//!
//! The issuer here is a fake without a network, so that time can stand still; `source/tests.rs` has the real one.
mod life;
mod outage;
mod unknown;

use super::{Config, IssuerKeys, Refresher, State, Timing, join};
use crate::{
    domain::time::Timestamp,
    outbound::{
        http::{FetchError, proxy::ProxySettings},
        oidc::{
            jwks,
            source::{Fetched, KeysAt, NotFetched, Source},
        },
    },
    ports::{
        Reply,
        clock::StoppedClock,
        entropy::CountedEntropy,
        keys::{Keys, KeysUnavailable},
    },
    telemetry::metrics::Metrics,
    token::key::KeySet,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep_until},
};

const COOLDOWN: Duration = Duration::from_secs(30);
const NEARLY_COOLDOWN: Duration = Duration::from_secs(29);
const REFRESH: Duration = Duration::from_mins(10);
const MAX_STALE: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// What the fake issuer does.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Publishes keys of these names.
    Keys(&'static [&'static str]),
    /// Answers 500.
    Error,
    /// Answers `{"keys":[]}`.
    NoKeys,
    /// Takes no connection.
    Down,
    /// Takes it and says nothing.
    Silent,
}

#[derive(Clone, Debug)]
struct FakeIssuer {
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    /// One permit an attempt; plenty unless a test holds attempts up.
    gate: Arc<Semaphore>,
}

impl Source for FakeIssuer {
    fn fetch(&self, deadline: Instant) -> Reply<'_, Result<Fetched, NotFetched>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.gate.acquire().await.unwrap().forget();
            let answer = *self.answer.lock().unwrap();
            let text = match answer {
                Answer::Keys(kids) => key_set(kids),
                Answer::NoKeys => key_set(&[]),
                Answer::Error => return Err(NotFetched::Keys(FetchError::Status(500))),
                Answer::Down => {
                    let refused = std::io::ErrorKind::ConnectionRefused.into();
                    return Err(NotFetched::Keys(FetchError::Connect(refused)));
                }
                Answer::Silent => {
                    sleep_until(deadline).await;
                    return Err(NotFetched::Keys(FetchError::Deadline));
                }
            };
            let (keys, skipped) = jwks::read(text.as_bytes())?;
            Ok(Fetched { keys, skipped })
        })
    }
}

fn key_set(kids: &[&str]) -> String {
    let keys: Vec<_> = kids
        .iter()
        .map(|kid| {
            let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#)
        })
        .collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// An issuer, its keys, and the clock.
struct Scene {
    issuer: FakeIssuer,
    clock: Arc<StoppedClock>,
    metrics: Arc<Metrics>,
    keys: Arc<IssuerKeys>,
    tasks: JoinSet<()>,
}

impl Scene {
    /// Nothing has been asked yet.
    fn before_start(answer: Answer) -> (Self, Refresher) {
        let issuer = FakeIssuer {
            answer: Arc::new(Mutex::new(answer)),
            asked: Arc::default(),
            gate: Arc::new(Semaphore::new(100_000)),
        };
        let clock = Arc::new(StoppedClock::at(Timestamp(1_795_428_900)));
        let metrics = Arc::new(Metrics::new("0.0.0", "63458b39"));
        let config = config();
        let state =
            State::new(config.issuer.clone(), config.timing, clock.clone(), metrics.clone());
        let entropy = Arc::new(CountedEntropy::default());
        let (keys, refresher) = join(config, state, Box::new(issuer.clone()), entropy);
        let tasks = JoinSet::new();
        (Self { issuer, clock, metrics, keys: Arc::new(keys), tasks }, refresher)
    }

    /// The first attempt is over.
    async fn new(answer: Answer) -> Self {
        let (mut scene, refresher) = Self::before_start(answer);
        scene.tasks.spawn(refresher.run());
        settle().await;
        assert_eq!(scene.asked(), 1);
        scene
    }

    fn will(&self, answer: Answer) {
        *self.issuer.answer.lock().unwrap() = answer;
    }

    /// From now on attempts wait for [`Scene::let_through`].
    fn hold_up(&self) {
        let gate = &self.issuer.gate;
        gate.forget_permits(gate.available_permits());
    }

    fn let_through(&self) {
        self.issuer.gate.add_permits(1);
    }

    /// How often the issuer was asked.
    fn asked(&self) -> usize {
        self.issuer.asked.load(Ordering::Relaxed)
    }

    /// Lets time pass in steps, so that what is due happens when it is.
    async fn pass(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let now = left.min(SECOND);
            self.clock.advance(now);
            tokio::time::advance(now).await;
            settle().await;
            left -= now;
        }
    }

    async fn ask(&self, kid: &str) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.keys.refetched(kid).await
    }

    /// Asks for `count` kids that nobody has, all at once; what they were answered.
    async fn storm(&self, count: usize) -> Vec<Result<Arc<KeySet>, KeysUnavailable>> {
        let mut callers = JoinSet::new();
        for _ in 0..count {
            let keys = Arc::clone(&self.keys);
            callers.spawn(async move { keys.refetched(&random_kid()).await });
        }
        callers.join_all().await
    }
}

fn random_kid() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("storm-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn config() -> Config {
    Config {
        issuer: "https://issuer.test".parse().unwrap(),
        keys_at: KeysAt::Jwks("https://issuer.test/keys".parse().unwrap()),
        certificate_authority: None,
        bearer: None,
        insecure_http: false,
        timing: Timing {
            refresh: REFRESH,
            cooldown: COOLDOWN,
            max_stale: MAX_STALE,
            fetch_timeout: TIMEOUT,
        },
        proxy: ProxySettings::default(),
    }
}

/// Lets every task that can go on do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn seconds(unavailable: Result<Arc<KeySet>, KeysUnavailable>) -> u64 {
    unavailable.unwrap_err().retry_after.as_secs()
}

/// Starts `future` beside the test.
fn beside<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinSet<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn(future);
    tasks
}

/// What `future` gives without waiting.
fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    futures_util::FutureExt::now_or_never(future)
}
