//! The run from its first token to its table.
use crate::{
    Fault,
    figures::{Results, Who},
    issuer::Issuer,
    judge::Expect,
    machine,
    options::Options,
    peers::Workshop,
    process::{Launch, Server, ask_once},
    rounds::{CONNECTIONS, Field, Player},
    say, singles, step, table,
    tokens::Kind,
};
use bytes::Bytes;
use std::{
    fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// Users who come back: what "known" means.
const USERS: usize = 1_000;

/// Answers of the bare server where there is no usher to copy.
const STAND_IN: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
    content-length: 24\r\n\r\n{\"token\":\"eyJ-stand-in\"}";

/// Tokens made before anything is measured.
struct Purse {
    known: Arc<Vec<Box<str>>>,
    fresh: Arc<Vec<Box<str>>>,
    crowd: Arc<Vec<Box<str>>>,
}

/// Measures everything and prints the tables; writes them too where asked.
pub(crate) async fn run(options: &Options) -> Result<(), Fault> {
    let began = Instant::now();
    let scratch = Scratch::make()?;
    let issuer = Issuer::start()?;
    step(began, "signing tokens on both cores");
    let purse = mint(options, &issuer).await?;
    machine::keep_to_core_one()?;

    let workshop = Workshop { root: &scratch.0, issuer: &issuer, options };
    let mut results = Results::default();
    let first = purse.known.first().ok_or("no known token")?;
    let answer = sample_answer(&workshop, first).await?;
    let launches = launches(&workshop, &answer)?;
    step(began, "starting each server several times");
    for (who, launch) in &launches {
        let weight = singles::weigh(*who, launch, &workshop, first).await?;
        results.weights.insert(*who, weight);
    }
    let field = Field {
        players: start(launches, first, &answer).await?,
        known: Arc::clone(&purse.known),
        fresh: Arc::clone(&purse.fresh),
        issuer: &issuer,
        options,
    };
    field.meet().await?;
    field.play(began, &mut results).await?;
    drop(field);
    if options.has_crowd() {
        step(began, "showing usher many different subjects");
        results.crowd = Some(singles::crowd(&workshop, &purse.crowd).await?);
    }
    step(began, "done");
    publish(options, &table::render(options, &results)?)
}

async fn mint(options: &Options, issuer: &Issuer) -> Result<Purse, Fault> {
    let signer = Arc::clone(&issuer.signer);
    let fresh = options.rounds * CONNECTIONS.len() * options.fresh;
    let crowd = if options.has_crowd() { options.identities } else { 0 };
    let minted = tokio::task::spawn_blocking(move || -> Result<Purse, Fault> {
        Ok(Purse {
            known: Arc::new(signer.mint(Kind::Rs256, 0..USERS, USERS)?),
            fresh: Arc::new(signer.mint(Kind::Rs256, USERS..USERS + fresh, USERS)?),
            crowd: Arc::new(signer.mint(Kind::Es256, 0..crowd, crowd.max(1))?),
        })
    });
    minted.await?
}

/// What usher answers, head and body, for the bare server to repeat.
async fn sample_answer(workshop: &Workshop<'_>, token: &str) -> Result<Vec<u8>, Fault> {
    if workshop.options.usher.is_none() {
        return Ok(STAND_IN.to_vec());
    }
    let launch = workshop.usher("sample", "memory:")?;
    let mut usher = launch.start()?;
    usher.ready(None).await?;
    let request = format!(
        "POST /conversations/token HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-length: 0\r\n\r\n",
        launch.address
    );
    ask_once(launch.address, &request).await
}

fn launches(workshop: &Workshop<'_>, answer: &[u8]) -> Result<Vec<(Who, Launch)>, Fault> {
    let options = workshop.options;
    let present = |who: &Who| {
        options.servers.contains(who) && (*who != Who::Usher || options.usher.is_some())
    };
    let launch = |who| {
        let launch = match who {
            Who::Usher => workshop.usher("usher", "sqlite:"),
            Who::Bare => workshop.bare(answer),
            Who::Express => workshop.express(),
            Who::EnvoyCached | Who::Envoy => workshop.envoy(who),
        };
        Ok((who, launch?))
    };
    Who::ALL.into_iter().filter(present).map(launch).collect()
}

async fn start(
    launches: Vec<(Who, Launch)>,
    token: &str,
    answer: &[u8],
) -> Result<Vec<Player>, Fault> {
    let mut players = Vec::new();
    for (who, launch) in launches {
        let mut server: Server = launch.start()?;
        server.ready(singles::shown(who, token)).await?;
        let expect = match who {
            Who::Usher | Who::Express => Expect::Token,
            Who::Bare => Expect::Exactly(body(answer)?),
            Who::EnvoyCached | Who::Envoy => Expect::Exactly(Bytes::from_static(b"verified")),
        };
        players.push(Player { who, server, expect });
    }
    Ok(players)
}

fn body(answer: &[u8]) -> Result<Bytes, Fault> {
    let span = crate::answer::span(answer)?.ok_or("an answer cut short")?;
    Ok(Bytes::copy_from_slice(answer.split_at(span.head).1))
}

/// Prints the tables, and puts them between the markers of the file where one is named.
fn publish(options: &Options, tables: &str) -> Result<(), Fault> {
    const BEGIN: &str = "<!-- figures: begin -->\n";
    const END: &str = "<!-- figures: end -->";
    std::io::stdout().write_all(tables.as_bytes())?;
    let Some(file) = &options.write else { return Ok(()) };
    let page = fs::read_to_string(file)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no first marker")?;
    let (_, after) = rest.split_once(END).ok_or("the page has no second marker")?;
    fs::write(file, format!("{before}{BEGIN}\n{tables}\n{END}{after}"))?;
    say("the tables are in the README");
    Ok(())
}

/// A folder of our own, gone with the run.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self, Fault> {
        let name = format!("usher-bench-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let folder: &Path = &self.0;
        // What cannot be removed is left to the system's own tidying.
        let _ = fs::remove_dir_all(folder);
    }
}
