//! What requests read and the refresher writes.
use super::Timing;
use crate::{
    domain::subject::Issuer,
    ports::{clock::Clock, keys::KeysUnavailable},
    telemetry::metrics::Metrics,
    token::key::KeySet,
};
use arc_swap::ArcSwapOption;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// No caller is told to come back sooner.
const SOONEST: Duration = Duration::from_secs(1);

/// The keys held, and how the attempts go. Times are uptimes of `clock`.
#[derive(Debug)]
pub(super) struct State {
    pub(super) issuer: Issuer,
    pub(super) metrics: Arc<Metrics>,
    pub(super) timing: Timing,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    progress: watch::Sender<Progress>,
}

/// Keys, and when they came.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) keys: Arc<KeySet>,
    fetched_at: Duration,
}

/// How the attempts go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// An attempt is being made. The first is as good as under way from the beginning.
    pub(super) under_way: bool,
    /// How many attempts have ended.
    pub(super) ended: u64,
    /// How many of them succeeded.
    pub(super) successes: u64,
    /// Whether the last that ended failed.
    pub(super) last_failed: bool,
    /// Whether there ever were keys.
    pub(super) had_keys: bool,
    /// Until when no unknown kid causes an attempt.
    cooling_until: Duration,
    /// Until when a kid that the last success did not bring is not asked for.
    pub(super) absent_until: Duration,
    /// When the next attempt is made that nobody asks for.
    next_at: Duration,
}

impl Progress {
    /// Whether an unknown kid causes no attempt at `now`.
    pub(super) fn is_cooling(&self, now: Duration) -> bool {
        now < self.cooling_until
    }
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The start, a refresh, or the repetition of one that failed. Does not start the cooldown.
    Schedule,
    /// A kid that is not among the keys held.
    UnknownKid,
}

impl State {
    pub(super) fn new(
        issuer: Issuer,
        timing: Timing,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let progress = Progress { under_way: true, ..Progress::default() };
        let (progress, _) = watch::channel(progress);
        Self { issuer, metrics, timing, clock, held: ArcSwapOption::empty(), progress }
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.uptime()
    }

    pub(super) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The keys, unless they are older than `maxStale`. Never waits.
    pub(super) fn held(&self) -> Result<Arc<KeySet>, KeysUnavailable> {
        match &*self.held.load() {
            Some(held) if self.now().saturating_sub(held.fetched_at) <= self.timing.max_stale => {
                Ok(Arc::clone(&held.keys))
            }
            Some(_) | None => Err(self.unavailable(self.progress())),
        }
    }

    pub(super) fn held_whatever_age(&self) -> Option<Arc<Held>> {
        self.held.load_full()
    }

    pub(super) fn age(&self) -> Option<Duration> {
        let held = self.held.load_full()?;
        Some(self.now().saturating_sub(held.fetched_at))
    }

    pub(super) fn report_age(&self) {
        if let Some(age) = self.age() {
            self.metrics.jwks_age(self.issuer.as_str(), age);
        }
    }

    /// No keys for this caller: it is worth coming back when the next attempt is made, by whatever cause.
    pub(super) fn unavailable(&self, progress: Progress) -> KeysUnavailable {
        let next = if progress.under_way {
            Duration::ZERO
        } else {
            progress.next_at.min(progress.cooling_until)
        };
        KeysUnavailable { retry_after: next.saturating_sub(self.now()).max(SOONEST) }
    }

    /// An attempt begins.
    pub(super) fn begin(&self) {
        self.progress.send_modify(|progress| progress.under_way = true);
    }

    /// An attempt brought `keys`. They stand before anybody is told.
    pub(super) fn replace(&self, keys: KeySet) {
        let fetched_at = self.now();
        self.held.store(Some(Arc::new(Held { keys: Arc::new(keys), fetched_at })));
        self.report_age();
    }

    /// The attempt that began has ended; the next is `pause` away unless somebody asks.
    pub(super) fn end(&self, cause: Cause, failed: bool, pause: Duration) {
        let now = self.now();
        self.progress.send_modify(|progress| {
            progress.under_way = false;
            progress.ended += 1;
            progress.last_failed = failed;
            progress.next_at = now + pause;
            if !failed {
                progress.had_keys = true;
                progress.successes += 1;
                progress.absent_until = now + self.timing.cooldown;
            }
            match cause {
                Cause::UnknownKid => progress.cooling_until = now + self.timing.cooldown,
                Cause::Schedule => {}
            }
        });
    }

    /// Nobody makes attempts any more: whoever waits need not.
    pub(super) fn stop(&self) {
        self.progress.send_modify(|progress| {
            progress.under_way = false;
            progress.ended += 1;
            progress.last_failed = true;
        });
    }

    /// Takes what `old` holds, unless there is something already.
    pub(super) fn inherit(&self, old: &Self) -> bool {
        let Some(held) = old.held.load_full() else { return false };
        // In one step, lest it put older keys in the place of those that a first attempt has just brought.
        let before = self.held.rcu(|now| now.clone().or_else(|| Some(Arc::clone(&held))));
        if before.is_some() {
            return false;
        }
        let was = old.progress();
        self.progress.send_modify(|progress| {
            progress.had_keys = true;
            progress.last_failed = was.last_failed;
            progress.cooling_until = was.cooling_until;
        });
        true
    }
}
