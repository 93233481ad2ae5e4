//! Figures of turns, and what the middle of several is.
use crate::Fault;
use std::{collections::BTreeMap, time::Duration};

/// What one turn showed.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// Requests a second.
    pub(crate) rate: f64,
    /// The median latency in microseconds.
    pub(crate) p50: f64,
    /// The 99th percentile in microseconds.
    pub(crate) p99: f64,
    /// The server's processor time for one request in microseconds, kernel included.
    pub(crate) cost: f64,
    /// Which part of its core the server used.
    pub(crate) busy: f64,
    /// How many requests.
    pub(crate) count: usize,
}

impl Sample {
    /// Fails where nothing was answered.
    pub(crate) fn new(
        lasted: Duration,
        spent: Duration,
        mut latencies: Vec<u32>,
    ) -> Result<Self, Fault> {
        latencies.sort_unstable();
        let count = latencies.len();
        let at = |part: f64| {
            let index = (count as f64 * part) as usize;
            latencies.get(index).map(|nanoseconds| f64::from(*nanoseconds) / 1_000.0)
        };
        let (p50, p99) = at(0.5).zip(at(0.99)).ok_or("a turn without a request")?;
        Ok(Self {
            rate: count as f64 / lasted.as_secs_f64(),
            p50,
            p99,
            cost: spent.as_secs_f64() * 1e6 / count as f64,
            busy: spent.as_secs_f64() / lasted.as_secs_f64(),
            count,
        })
    }
}

/// What a server was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    /// Tokens it knows.
    Warm,
    /// Each token for the first time.
    Cold,
    /// At the rate of usher's cold turn just before.
    Paced,
}

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// usher.
    Usher,
    /// The bare hyper server.
    Bare,
    /// Express, jose and twilio.
    Express,
    /// Envoy with its token cache.
    EnvoyCached,
    /// Envoy without it.
    Envoy,
}

impl Who {
    /// In the order of their turns.
    pub(crate) const ALL: [Self; 5] =
        [Self::Usher, Self::Bare, Self::Express, Self::EnvoyCached, Self::Envoy];

    /// What the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Usher => "usher",
            Self::Bare => "bare hyper",
            Self::Express => "Express + jose + twilio",
            Self::EnvoyCached => "Envoy, token cache",
            Self::Envoy => "Envoy, no cache",
        }
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Results {
    /// By case, server and connections; a sample a round.
    pub(crate) turns: BTreeMap<(Case, Who, usize), Vec<Sample>>,
    /// One RS256 check in microseconds, a figure a round.
    pub(crate) check: Vec<f64>,
    /// What each process weighs and how soon it answers.
    pub(crate) weights: BTreeMap<Who, Weight>,
    /// usher with many identities.
    pub(crate) crowd: Option<Crowd>,
}

/// A process by itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weight {
    /// From exec to the first 200, in milliseconds.
    pub(crate) ready: f64,
    /// The slowest of those starts.
    pub(crate) ready_worst: f64,
    /// Resident before any load, in KiB.
    pub(crate) idle: u64,
    /// Resident after all turns, in KiB.
    pub(crate) after: u64,
    /// The binary, in bytes.
    pub(crate) binary: u64,
}

/// usher after many different subjects.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    /// How many.
    pub(crate) identities: usize,
    /// Resident afterwards, in KiB.
    pub(crate) resident: u64,
    /// First sights a second, each written to the store before its answer.
    pub(crate) rate: f64,
}

impl Results {
    /// The median over the rounds.
    pub(crate) fn middle(&self, case: Case, who: Who, connections: usize) -> Option<Sample> {
        let samples = self.turns.get(&(case, who, connections))?;
        let of = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure).collect());
        Some(Sample {
            rate: of(|sample| sample.rate)?,
            p50: of(|sample| sample.p50)?,
            p99: of(|sample| sample.p99)?,
            cost: of(|sample| sample.cost)?,
            busy: of(|sample| sample.busy)?,
            count: samples.iter().map(|sample| sample.count).sum(),
        })
    }

    /// The median of the rounds' own ratios, usher over another: what they share of a round cancels.
    pub(crate) fn ratio(&self, case: Case, other: Who, connections: usize) -> Option<f64> {
        let usher = self.turns.get(&(case, Who::Usher, connections))?;
        let other = self.turns.get(&(case, other, connections))?;
        median(usher.iter().zip(other).map(|(usher, other)| usher.rate / other.rate).collect())
    }

    /// The median over the rounds of usher's cold cost over the floor: the bare server's cost at that rate and
    /// one RS256 check.
    pub(crate) fn over_floor(&self, connections: usize) -> Option<f64> {
        let usher = self.turns.get(&(Case::Cold, Who::Usher, connections))?;
        let bare = self.turns.get(&(Case::Paced, Who::Bare, connections))?;
        let rounds = usher.iter().zip(bare).zip(&self.check);
        median(rounds.map(|((usher, bare), check)| usher.cost / (bare.cost + check)).collect())
    }
}

/// The middle value, or the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get(values.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}
