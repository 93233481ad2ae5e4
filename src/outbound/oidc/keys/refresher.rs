//! The one task that asks an issuer for its keys.
use super::{
    pace::{Failure, Pace},
    state::{Cause, State},
};
use crate::{
    outbound::oidc::source::{Fetched, NotFetched, Source},
    telemetry::logs::chain,
    token::key::SkippedKey,
};
use std::sync::Arc;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

/// Fetches an issuer's keys for as long as somebody holds them.
#[derive(Debug)]
pub struct Refresher {
    state: Arc<State>,
    source: Box<dyn Source>,
    asked: mpsc::Receiver<()>,
    pace: Pace,
    due: Instant,
    failing: bool,
    skipped: Vec<SkippedKey>,
}

impl Refresher {
    pub(super) fn new(
        state: Arc<State>,
        source: Box<dyn Source>,
        asked: mpsc::Receiver<()>,
        pace: Pace,
    ) -> Self {
        let due = Instant::now();
        Self { state, source, asked, pace, due, failing: false, skipped: Vec::new() }
    }

    /// Fetches at once, then again and again. Returns when the keys are dropped; may be aborted at any time.
    pub async fn run(mut self) {
        let mut next = Some(Cause::Schedule);
        while let Some(cause) = next {
            self.attempt(cause).await;
            next = self.next().await;
        }
    }

    async fn attempt(&mut self, cause: Cause) {
        self.state.begin();
        let deadline = Instant::now() + self.state.timing.fetch_timeout;
        let result = self.source.fetch(deadline).await;
        // Whoever asked meanwhile is answered by this attempt.
        while self.asked.try_recv().is_ok() {}
        let failure = match result {
            Ok(fetched) => {
                self.succeeded(fetched);
                None
            }
            Err(error) => Some(self.failed(&error)),
        };
        let now = Instant::now();
        self.due = match (failure, cause) {
            // Whatever it was made for, it was a refresh.
            (None, Cause::Schedule | Cause::UnknownKid) => now + self.pace.after_success(),
            (Some(failure), Cause::Schedule) => now + self.pace.after_failure(failure),
            // A failure that the issuer saw keeps the schedule away from it as well, and a little longer than the
            // cooldown: while unknown kids keep coming, they alone make the attempts.
            (Some(failure), Cause::UnknownKid) if failure.sent => {
                let cooldown = self.state.timing.cooldown;
                self.due.max(now + cooldown + cooldown / 4)
            }
            (Some(_), Cause::UnknownKid) => self.due,
        };
        self.state.end(cause, failure.is_some(), self.due.saturating_duration_since(now));
    }

    /// Waits for a reason to make an attempt; none when the keys are dropped.
    async fn next(&mut self) -> Option<Cause> {
        loop {
            tokio::select! {
                () = sleep_until(self.due) => return Some(Cause::Schedule),
                asked = self.asked.recv() => {
                    asked?;
                    // Asked for before the last attempt ended.
                    if !self.state.progress().is_cooling(self.state.now()) {
                        return Some(Cause::UnknownKid);
                    }
                }
            }
        }
    }

    fn succeeded(&mut self, fetched: Fetched) {
        let issuer = self.state.issuer.as_str();
        let count = fetched.keys.len();
        self.state.replace(fetched.keys);
        self.state.metrics.jwks_fetch(issuer, "ok");
        if self.failing {
            self.failing = false;
            info!(issuer, count, "the issuer's keys can be fetched again");
        }
        if self.skipped != fetched.skipped {
            self.skipped = fetched.skipped;
            let reasons = reasons(&self.skipped);
            info!(issuer, count, skipped = self.skipped.len(), reasons, "some keys are not used");
        }
    }

    fn failed(&mut self, error: &NotFetched) -> Failure {
        let issuer = self.state.issuer.as_str();
        self.state.metrics.jwks_fetch(issuer, "failed");
        let had_keys = self.state.progress().had_keys;
        if !self.failing {
            self.failing = true;
            let reason = chain(error);
            warn!(issuer, reason, had_keys, "the issuer's keys cannot be fetched");
        }
        Failure { sent: error.was_sent(), had_keys }
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.state.stop();
    }
}

/// The first few keys that are not used, by their places: their names are the issuer's words.
fn reasons(skipped: &[SkippedKey]) -> String {
    let first: Vec<_> =
        skipped.iter().take(8).map(|key| format!("{}: {}", key.at, key.reason)).collect();
    first.join("; ")
}
