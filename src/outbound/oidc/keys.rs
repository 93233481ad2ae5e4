//! The keys of one issuer, kept at hand (contract 3, "Which tokens pass", last paragraphs; contract 5, `keys`).
//!
//! One task an issuer, the [`Refresher`], makes every attempt, so that there is one at a time by construction,
//! and a caller who gives up cancels nothing. Requests read what it last brought, without waiting; only those
//! with an unknown `kid` ask it for more and wait, for at most one attempt. Nothing is locked meanwhile.
//!
//! When it asks: at the start, then before each `refresh` is over, so that a key removed at the issuer is gone
//! within it; and for an unknown `kid`, unless less than `cooldown` has passed since the last attempt of that kind
//! ended. Counting from its end keeps two requests for keys apart by the whole cooldown, however long the
//! discovery document before them took.
mod absent;
mod pace;
mod refresher;
mod state;
#[cfg(test)]
mod tests;

pub use refresher::Refresher;

use super::source::{KeysAt, Remote, Source};
use crate::{
    domain::{secret::Secret, subject::Issuer},
    outbound::http::{
        HttpsClient,
        proxy::ProxySettings,
        trust::{Trust, UnusableTrust},
    },
    ports::{
        Reply,
        clock::Clock,
        entropy::Entropy,
        keys::{Keys, KeysUnavailable},
    },
    telemetry::metrics::Metrics,
    token::key::KeySet,
};
use absent::AbsentKids;
use pace::Pace;
use state::{Progress, State};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};

/// What is configured about an issuer's keys. Two equal ones keep the same keys in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `url`: what the discovery document must name, and the label of the metrics.
    pub issuer: Issuer,
    /// `discoveryUrl` or `jwksUri`.
    pub keys_at: KeysAt,
    /// `certificateAuthority`: PEM, believed besides the host's own roots.
    pub certificate_authority: Option<Box<[u8]>>,
    /// `bearer`: sent with discovery and keys, wherever the discovery document says these are.
    pub bearer: Option<Secret>,
    /// `insecureHttp`.
    pub insecure_http: bool,
    /// `keys`.
    pub timing: Timing,
    /// `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy: ProxySettings,
}

/// `issuers[].keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How old keys may get before they are fetched anew.
    pub refresh: Duration,
    /// How long after an attempt that an unknown `kid` caused no `kid` causes another.
    pub cooldown: Duration,
    /// How long keys are used that cannot be refreshed.
    pub max_stale: Duration,
    /// The deadline of one attempt, discovery and keys together.
    pub fetch_timeout: Duration,
}

impl Config {
    /// One look at the issuer, as `usher check --online` takes it.
    ///
    /// # Errors
    /// `certificateAuthority` cannot be used.
    pub fn remote(&self, host: &Trust) -> Result<Remote, UnusableTrust> {
        let trust = match &self.certificate_authority {
            Some(pem) => host.and_authority(pem)?,
            None => host.clone(),
        };
        Ok(Remote {
            issuer: self.issuer.clone(),
            keys_at: self.keys_at.clone(),
            insecure_http: self.insecure_http,
            bearer: self.bearer.clone(),
            client: HttpsClient::new(trust, self.proxy.clone()),
        })
    }

    /// The keys, and the task that fetches them. Nothing is fetched before [`Refresher::run`] is spawned, and it
    /// ends by itself when the keys are dropped.
    ///
    /// # Errors
    /// `certificateAuthority` cannot be used.
    pub fn build(
        &self,
        host: &Trust,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
    ) -> Result<(IssuerKeys, Refresher), UnusableTrust> {
        let source = Box::new(self.remote(host)?);
        let state = State::new(self.issuer.clone(), self.timing, clock, metrics);
        Ok(join(self.clone(), state, source, entropy))
    }
}

fn join(
    config: Config,
    state: State,
    source: Box<dyn Source>,
    entropy: Arc<dyn Entropy>,
) -> (IssuerKeys, Refresher) {
    // One place: asking twice while nobody has listened yet is asking once.
    let (requests, asked) = mpsc::channel(1);
    let state = Arc::new(state);
    let pace = Pace::new(config.timing, entropy);
    let refresher = Refresher::new(Arc::clone(&state), source, asked, pace);
    (IssuerKeys { config, state, requests, absent: AbsentKids::default() }, refresher)
}

/// The keys of one configured issuer.
#[derive(Debug)]
pub struct IssuerKeys {
    config: Config,
    state: Arc<State>,
    requests: mpsc::Sender<()>,
    absent: AbsentKids,
}

/// How an issuer's keys are doing, for readiness and `/readyz?verbose`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysStatus {
    /// The configured URL.
    pub issuer: Issuer,
    /// Whether there are keys that are not older than `maxStale`.
    pub usable: bool,
    /// How many keys are held.
    pub count: usize,
    /// How long ago they were fetched; none if there never were any.
    pub age: Option<Duration>,
    /// Whether the last attempt failed.
    pub last_attempt_failed: bool,
    /// Whether plain http is allowed.
    pub insecure_http: bool,
}

impl IssuerKeys {
    /// What they were built from. A reload that leads to an equal one can go on with these.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Starts with what `old` holds, its age and its cooldown included, where both ask the same issuer at the same
    /// place and believe the same authorities; tells whether it did. For a reload that changes a bearer token or
    /// the timing. Both must read the same clock.
    pub fn inherit(&self, old: &Self) -> bool {
        let (new, was) = (&self.config, &old.config);
        let same = new.issuer == was.issuer
            && new.keys_at == was.keys_at
            && new.certificate_authority == was.certificate_authority
            && new.insecure_http == was.insecure_http;
        same && self.state.inherit(&old.state)
    }

    /// Waits until there are keys for the first time; for readiness.
    pub async fn arrived(&self) {
        // The sender lives as long as this does.
        let _ = self.state.watch().wait_for(|progress| progress.had_keys).await;
    }

    /// How they are doing now.
    pub fn status(&self) -> KeysStatus {
        let held = self.state.held_whatever_age();
        KeysStatus {
            issuer: self.config.issuer.clone(),
            usable: self.held().is_ok(),
            count: held.as_ref().map_or(0, |held| held.keys.len()),
            age: self.state.age(),
            last_attempt_failed: self.state.progress().last_failed,
            insecure_http: self.config.insecure_http,
        }
    }

    /// Writes the keys' age into the metrics; to be called before they are read.
    pub fn report_age(&self) {
        self.state.report_age();
    }

    /// Waits for the end of the attempt under way, or else of the one that this asks for; no longer than an
    /// attempt may take. Tells whether one has ended since `seen`.
    async fn flight(&self, seen: Progress) -> bool {
        let mut progress = self.state.watch();
        if !seen.under_way {
            match self.requests.try_send(()) {
                // Full: somebody else has just asked the same.
                Ok(()) | Err(TrySendError::Full(())) => {}
                Err(TrySendError::Closed(())) => return false,
            }
        }
        let ended = progress.wait_for(|now| now.ended > seen.ended);
        matches!(timeout(self.config.timing.fetch_timeout, ended).await, Ok(Ok(_)))
    }

    /// Whether nothing is to be gained from an attempt for `kid`: one has just been made.
    fn is_settled(&self, kid: &str, progress: Progress) -> bool {
        let now = self.state.now();
        progress.is_cooling(now)
            || now < progress.absent_until && self.absent.holds(progress.successes, kid)
    }

    /// The answer for `kid` by what is known now.
    fn verdict(&self, kid: &str) -> Result<Arc<KeySet>, KeysUnavailable> {
        let progress = self.state.progress();
        let keys = self.held()?;
        if keys.has(kid) {
            return Ok(keys);
        }
        if progress.last_failed {
            return Err(self.state.unavailable(progress));
        }
        self.absent.note(progress.successes, kid);
        Ok(keys)
    }
}

impl Keys for IssuerKeys {
    fn held(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        self.state.held()
    }

    fn refetched<'a>(&'a self, kid: &'a str) -> Reply<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(async move {
            let progress = self.state.progress();
            let settled = match self.held() {
                Ok(keys) => keys.has(kid) || self.is_settled(kid, progress),
                // Nothing to answer with: whatever is under way is worth the wait.
                Err(_) => !progress.under_way && progress.is_cooling(self.state.now()),
            };
            if settled || self.flight(progress).await {
                return self.verdict(kid);
            }
            Err(self.state.unavailable(self.state.progress()))
        })
    }

    fn first(&self) -> Reply<'_, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(async move {
            let progress = self.state.progress();
            if progress.under_way && !progress.had_keys {
                self.flight(progress).await;
            }
            self.held()
        })
    }
}
