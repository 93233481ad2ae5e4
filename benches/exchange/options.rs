//! The command line.
use crate::{
    Fault,
    figures::{Case, Who},
};
use std::{path::PathBuf, time::Duration};

/// What to measure, and with what.
pub(crate) struct Options {
    /// usher's binary; absent, the run does without it and judges nothing.
    pub(crate) usher: Option<PathBuf>,
    /// Where `express` and `envoy` were prepared.
    pub(crate) peers: PathBuf,
    /// The Markdown file that gets the table between its markers.
    pub(crate) write: Option<PathBuf>,
    /// How often every server has its turn.
    pub(crate) rounds: usize,
    /// How long a warm turn lasts.
    pub(crate) turn: Duration,
    /// How many new tokens a server sees in a cold turn.
    pub(crate) fresh: usize,
    /// How many subjects the memory run presents.
    pub(crate) identities: usize,
    /// How often usher is started to see how soon it is ready.
    pub(crate) starts: usize,
    /// `store.url` of the memory run is `memory:` and not a file.
    pub(crate) memory_store: bool,
    /// Which servers have turns.
    pub(crate) servers: Vec<Who>,
    /// Which cases are played.
    pub(crate) cases: Vec<Case>,
    /// The whole run ends after this, whatever it is doing.
    pub(crate) at_most: Duration,
    /// The smoke run, whose figures are worth nothing.
    pub(crate) quick: bool,
}

impl Options {
    /// Reads the arguments; `--quick` is a smoke run of a minute whose figures are worth nothing.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Fault> {
        let mut options = Self::thorough();
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--quick" => options.hurry(),
                "--usher" => options.usher = Some(value()?.into()),
                "--peers" => options.peers = value()?.into(),
                "--write" => options.write = Some(value()?.into()),
                "--rounds" => options.rounds = value()?.parse()?,
                "--identities" => options.identities = value()?.parse()?,
                "--turn" => options.turn = Duration::from_millis(value()?.parse()?),
                "--fresh" => options.fresh = value()?.parse()?,
                "--only" => options.servers = servers(value()?)?,
                "--case" => options.cases = cases(value()?)?,
                "--memory-store" => options.memory_store = true,
                unknown => return Err(format!("unknown argument {unknown}").into()),
            }
        }
        Ok(options)
    }

    /// Whether usher is weighed with many identities.
    pub(crate) fn has_crowd(&self) -> bool {
        self.usher.is_some() && self.identities > 0
    }

    fn thorough() -> Self {
        Self {
            usher: None,
            peers: PathBuf::new(),
            write: None,
            rounds: 7,
            turn: Duration::from_millis(1_200),
            fresh: 8_000,
            identities: 100_000,
            starts: 11,
            memory_store: false,
            servers: Who::ALL.to_vec(),
            cases: vec![Case::Warm, Case::Cold],
            at_most: Duration::from_mins(12),
            quick: false,
        }
    }

    fn hurry(&mut self) {
        self.rounds = 1;
        self.turn = Duration::from_millis(400);
        self.fresh = 2_000;
        self.identities = 5_000;
        self.starts = 3;
        self.at_most = Duration::from_mins(2);
        self.quick = true;
    }
}

/// Names separated by commas, as `--only` takes them.
fn servers(names: &str) -> Result<Vec<Who>, Fault> {
    let server = |name: &str| match name {
        "usher" => Ok(Who::Usher),
        "bare" => Ok(Who::Bare),
        "express" => Ok(Who::Express),
        "envoy-cached" => Ok(Who::EnvoyCached),
        "envoy" => Ok(Who::Envoy),
        other => Err(format!("no server is called {other}").into()),
    };
    names.split(',').map(server).collect()
}

fn cases(name: &str) -> Result<Vec<Case>, Fault> {
    match name {
        "warm" => Ok(vec![Case::Warm]),
        "cold" => Ok(vec![Case::Cold]),
        other => Err(format!("no case is called {other}").into()),
    }
}
