//! The rounds: every server has its turn at every number of connections, then again.
use crate::{
    Fault,
    figures::{Case, Results, Sample, Who},
    issuer::Issuer,
    judge::Expect,
    load::{Load, Tokens},
    options::Options,
    process::Server,
    step,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// At how many connections.
pub(crate) const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How many RS256 checks are timed a round.
const CHECKS: usize = 4_000;

/// A server and what it must answer.
pub(crate) struct Player {
    /// Which.
    pub(crate) who: Who,
    /// Running.
    pub(crate) server: Server,
    /// Its answers.
    pub(crate) expect: Expect,
}

impl Player {
    /// Runs a turn, and forgets what the server wrote meanwhile.
    async fn turn(&self, load: Load) -> Result<Sample, Fault> {
        let sample = load.run(&self.server).await?;
        self.server.forget_output()?;
        Ok(sample)
    }

    /// A closed loop.
    fn load(&self, connections: usize, tokens: Tokens, at_most: Duration) -> Load {
        Load { connections, tokens, expect: self.expect.clone(), at_most, pace: None }
    }
}

/// All of them, and what is shown to them.
pub(crate) struct Field<'a> {
    /// In the order of their turns.
    pub(crate) players: Vec<Player>,
    /// Tokens that everyone has seen.
    pub(crate) known: Arc<Vec<Box<str>>>,
    /// Tokens that each server sees once.
    pub(crate) fresh: Arc<Vec<Box<str>>>,
    /// Whose keys are timed.
    pub(crate) issuer: &'a Issuer,
    /// How long and how often.
    pub(crate) options: &'a Options,
}

impl Field<'_> {
    /// Shows every known token to everyone, so that every user is known and every cache holds what it holds.
    pub(crate) async fn meet(&self) -> Result<(), Fault> {
        for player in &self.players {
            let tokens = Tokens::fresh(&self.known, 0, self.known.len());
            player.turn(player.load(16, tokens, Duration::from_secs(30))).await?;
        }
        Ok(())
    }

    /// Plays all rounds.
    pub(crate) async fn play(&self, began: Instant, results: &mut Results) -> Result<(), Fault> {
        for round in 0..self.options.rounds {
            step(began, &format!("round {} of {}", round + 1, self.options.rounds));
            let sample = self.fresh.get(..CHECKS.min(self.fresh.len())).unwrap_or_default();
            let check = self.issuer.signer.check_cost(sample)?;
            results.check.push(check.as_secs_f64() * 1e6);
            for connections in CONNECTIONS {
                if self.options.cases.contains(&Case::Warm) {
                    self.warm(connections, results).await?;
                }
            }
            for (index, connections) in CONNECTIONS.into_iter().enumerate() {
                let start = (round * CONNECTIONS.len() + index) * self.options.fresh;
                if self.options.cases.contains(&Case::Cold) {
                    self.cold(connections, start, results).await?;
                }
            }
        }
        for player in &self.players {
            let weight = results.weights.entry(player.who).or_default();
            weight.after = player.server.resident()?;
        }
        Ok(())
    }

    async fn warm(&self, connections: usize, results: &mut Results) -> Result<(), Fault> {
        for player in &self.players {
            let turn = |lasts| player.load(connections, Tokens::known(&self.known), lasts);
            player.turn(turn(self.options.turn / 6)).await?;
            let sample = player.turn(turn(self.options.turn)).await?;
            keep(results, Case::Warm, player.who, connections, sample);
        }
        Ok(())
    }

    /// Every server but the bare one sees the same new tokens; the bare one runs at usher's rate, right after it.
    /// A slow server is stopped by the clock, the others by the end of the tokens.
    async fn cold(
        &self,
        connections: usize,
        start: usize,
        results: &mut Results,
    ) -> Result<(), Fault> {
        let mut pace = None;
        for player in &self.players {
            if player.who == Who::Bare {
                let tokens = Tokens::known(&self.known);
                let load = Load { pace, ..player.load(connections, tokens, self.options.turn) };
                if pace.is_some() {
                    keep(results, Case::Paced, player.who, connections, player.turn(load).await?);
                }
                continue;
            }
            let tokens = Tokens::fresh(&self.fresh, start, start + self.options.fresh);
            let load = player.load(connections, tokens, self.options.turn * 2);
            let sample = player.turn(load).await?;
            keep(results, Case::Cold, player.who, connections, sample);
            if player.who == Who::Usher {
                pace = Some(sample.rate);
            }
        }
        Ok(())
    }
}

fn keep(results: &mut Results, case: Case, who: Who, connections: usize, sample: Sample) {
    results.turns.entry((case, who, connections)).or_default().push(sample);
}
