//! When the next attempt is made that no request asks for.
use super::Timing;
use crate::ports::entropy::Entropy;
use std::{sync::Arc, time::Duration};

/// The shortest time between an attempt and its repetition.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest, before chance adds up to a quarter: a minute in all.
const LONGEST: Duration = Duration::from_secs(48);

/// Counts failures and spreads attempts, so that many replicas do not ask in step.
#[derive(Debug)]
pub(super) struct Pace {
    timing: Timing,
    entropy: Arc<dyn Entropy>,
    failures: u32,
}

/// What made an attempt fail, as far as the pace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The issuer may have seen it.
    pub(super) sent: bool,
    /// There are keys to go on with meanwhile.
    pub(super) had_keys: bool,
}

impl Pace {
    pub(super) fn new(timing: Timing, entropy: Arc<dyn Entropy>) -> Self {
        Self { timing, entropy, failures: 0 }
    }

    /// From a success to the next refresh: 80 to 95 in a hundred of `refresh`. Ahead of it, so that a key removed
    /// at the issuer is gone before it is over.
    pub(super) fn after_success(&mut self) -> Duration {
        self.failures = 0;
        let refresh = self.timing.refresh;
        (refresh * 4 / 5 + self.chance(refresh * 3 / 20)).max(SHORTEST)
    }

    /// From a failed start or refresh to its repetition: doubling from a second where the issuer was not even
    /// reached and is still awaited for the first time, else from `cooldown`, so that an issuer that answers with
    /// errors is not asked more often than unknown kids may make it. Where no keys were had yet it does not grow
    /// beyond `cooldown`: requests are waiting.
    pub(super) fn after_failure(&mut self, failure: Failure) -> Duration {
        let cooldown = self.timing.cooldown.clamp(SHORTEST, LONGEST);
        let from = if failure.sent || failure.had_keys { cooldown } else { SHORTEST };
        let to = if failure.had_keys { LONGEST } else { cooldown };
        let doubled = from.saturating_mul(1 << self.failures.min(6)).min(to);
        self.failures = self.failures.saturating_add(1);
        // No slower than if all were well.
        let base = doubled.min(self.timing.refresh.max(SHORTEST));
        base + self.chance(base / 4)
    }

    /// Anything from nothing to `most`.
    fn chance(&self, most: Duration) -> Duration {
        let mut bytes = [0; 2];
        self.entropy.fill(&mut bytes);
        most * u32::from(u16::from_be_bytes(bytes)) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy::CountedEntropy;

    const TIMING: Timing = Timing {
        refresh: Duration::from_mins(10),
        cooldown: Duration::from_secs(30),
        max_stale: Duration::from_hours(24),
        fetch_timeout: Duration::from_secs(5),
    };

    #[derive(Debug)]
    struct Always(u8);

    impl Entropy for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn seconds(failure: Failure, entropy: impl Entropy + 'static) -> Vec<u64> {
        let mut pace = Pace::new(TIMING, Arc::new(entropy));
        (0..8).map(|_| pace.after_failure(failure).as_secs()).collect()
    }

    #[test]
    fn p2_a_refresh_comes_before_the_interval_is_over_whatever_chance_says() {
        for (byte, seconds) in [(0, 480), (255, 570)] {
            let mut pace = Pace::new(TIMING, Arc::new(Always(byte)));
            assert_eq!(pace.after_success(), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn p15_an_issuer_that_is_not_up_yet_is_asked_again_soon_and_then_less_often() {
        let failure = Failure { sent: false, had_keys: false };
        assert_eq!(seconds(failure, CountedEntropy::default()), [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn p1_an_issuer_that_answers_with_errors_is_not_asked_again_within_the_cooldown() {
        for had_keys in [false, true] {
            let waits = seconds(Failure { sent: true, had_keys }, CountedEntropy::default());
            assert!(waits.iter().all(|wait| *wait >= 30), "{waits:?}");
        }
    }

    #[test]
    fn no_repetition_is_more_than_a_minute_away() {
        for (sent, had_keys) in [(true, true), (true, false), (false, true), (false, false)] {
            let waits = seconds(Failure { sent, had_keys }, Always(255));
            assert!(waits.iter().all(|wait| *wait <= 60), "{waits:?}");
        }
    }

    #[test]
    fn a_success_forgets_the_failures_before_it() {
        let mut pace = Pace::new(TIMING, Arc::new(CountedEntropy::default()));
        let failure = Failure { sent: false, had_keys: false };
        for _ in 0..5 {
            pace.after_failure(failure);
        }
        pace.after_success();
        assert_eq!(pace.after_failure(failure).as_secs(), 1);
    }
}
