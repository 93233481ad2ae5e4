//! The connections that are shared, and when a new one is tried.
use super::{fault::Unreachable, link::Link, server::PostgresSettings};
use crate::{
    outbound::http::trust::{Trust, UnusableTrust},
    ports::{clock::Clock, entropy::Entropy},
};
use arc_swap::ArcSwap;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// From a failed attempt to the next, at least and at most. usher must be back within 5 s of the server's return, and
/// an attempt takes up to 2 s itself.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Makes connections.
#[derive(Debug)]
pub(super) struct Links {
    target: ArcSwap<Target>,
    pace: Pace,
}

/// Where to, and whom to believe there.
#[derive(Debug)]
struct Target {
    server: PostgresSettings,
    trust: Trust,
}

impl Target {
    fn of(server: PostgresSettings) -> Result<Self, UnusableTrust> {
        let trust = match &server.certificate_authority {
            Some(pem) => Trust::only(pem)?,
            None => Trust::of_host(),
        };
        Ok(Self { server, trust })
    }
}

impl Links {
    pub(super) fn to(
        server: PostgresSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, UnusableTrust> {
        let pace = Pace { clock, entropy, failed: Mutex::default() };
        Ok(Self { target: ArcSwap::from_pointee(Target::of(server)?), pace })
    }

    /// Uses these settings for connections from now on.
    pub(super) fn follow(&self, server: PostgresSettings) -> Result<(), UnusableTrust> {
        self.target.store(Arc::new(Target::of(server)?));
        self.pace.succeeded();
        Ok(())
    }
}

impl Manager for Links {
    type Type = Link;
    type Error = Unreachable;

    async fn create(&self) -> Result<Link, Unreachable> {
        self.pace.may_try()?;
        let target = self.target.load_full();
        let opened = Link::open(&target.server, &target.trust).await;
        match &opened {
            Ok(_) => self.pace.succeeded(),
            Err(why) => self.pace.failed(why.clone()),
        }
        opened
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<Unreachable> {
        if link.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

/// Spreads attempts, so that a thousand sidecars do not storm a server that comes back.
#[derive(Debug)]
struct Pace {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    failed: Mutex<Option<Failed>>,
}

#[derive(Debug)]
struct Failed {
    why: Unreachable,
    times: u32,
    /// By the clock's uptime.
    until: Duration,
}

impl Pace {
    /// # Errors
    /// The last failure, until it is time again.
    fn may_try(&self) -> Result<(), Unreachable> {
        match &*self.held() {
            Some(failed) if self.clock.uptime() < failed.until => Err(failed.why.clone()),
            Some(_) | None => Ok(()),
        }
    }

    fn succeeded(&self) {
        *self.held() = None;
    }

    fn failed(&self, why: Unreachable) {
        let now = self.clock.uptime();
        let mut held = self.held();
        // Several attempts that were under way at the same time failed once.
        let times = match &*held {
            Some(failed) if now < failed.until => failed.times,
            Some(failed) => failed.times.saturating_add(1),
            None => 0,
        };
        let most = SHORTEST.saturating_mul(2 << times.min(5)).min(LONGEST);
        let until = now + SHORTEST + chance(&*self.entropy, most.saturating_sub(SHORTEST));
        *held = Some(Failed { why, times, until });
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anything from nothing to `most`.
pub(super) fn chance(entropy: &dyn Entropy, most: Duration) -> Duration {
    let mut bytes = [0; 2];
    entropy.fill(&mut bytes);
    most * u32::from(u16::from_be_bytes(bytes)) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::time::Timestamp, ports::clock::StoppedClock};

    #[derive(Debug)]
    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn pace(byte: u8) -> (Arc<StoppedClock>, Pace) {
        let clock = Arc::new(StoppedClock::at(Timestamp(1)));
        let handed = Arc::clone(&clock) as Arc<dyn Clock>;
        (clock, Pace { clock: handed, entropy: Arc::new(Always(byte)), failed: Mutex::default() })
    }

    /// How long each of some failures in a row keeps the next attempt away.
    fn rests(byte: u8) -> Vec<Duration> {
        let (clock, pace) = pace(byte);
        let mut rests = Vec::new();
        for _ in 0..8 {
            pace.failed(Unreachable::Silent);
            let began = clock.uptime();
            while pace.may_try().is_err() {
                clock.advance(Duration::from_millis(10));
            }
            rests.push(clock.uptime().saturating_sub(began));
        }
        rests
    }

    #[test]
    fn p15_a_server_that_is_away_is_tried_again_within_2_s_and_not_before_100_ms() {
        let (soonest, latest) = (rests(0), rests(255));
        assert!(soonest.iter().all(|rest| *rest == Duration::from_millis(100)), "{soonest:?}");
        assert_eq!(latest.first(), Some(&Duration::from_millis(200)));
        assert_eq!(latest.last(), Some(&Duration::from_secs(2)), "{latest:?}");
        assert!(latest.is_sorted());
    }

    #[test]
    fn whoever_comes_before_that_is_told_why_at_once() {
        let (_, pace) = pace(0);
        assert!(pace.may_try().is_ok());
        pace.failed(Unreachable::NoTls);
        assert!(matches!(pace.may_try(), Err(Unreachable::NoTls)));
        pace.succeeded();
        assert!(pace.may_try().is_ok());
    }

    #[test]
    fn attempts_that_fail_together_count_once() {
        let (clock, pace) = pace(255);
        for _ in 0..4 {
            pace.failed(Unreachable::Silent);
        }
        clock.advance(Duration::from_millis(200));
        assert!(pace.may_try().is_ok());
    }
}
