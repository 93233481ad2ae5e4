//! What an exchange costs: usher, a bare hyper server, Express and Envoy under the same load, in one run.
//!
//! ```text
//! core 1: this program   tokens -> load ────────────┐        issuer (discovery, keys)
//! core 0: one server at a time   usher · bare · Express · Envoy ──┘
//! results -> verdict -> table -> README.md
//! ```
//!
//! `benches/run` builds and calls it; `exchange bare …` is the bare server itself, so that it is compiled as
//! usher is. The method is in `benches/README.md`.
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator reads the clock itself and owns the tasks it joins; the house's ports are usher's"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and nanoseconds of a run of minutes are far from the edges of f64 and u32"
)]

mod answer;
mod bare;
mod figures;
mod issuer;
mod judge;
mod load;
mod machine;
mod options;
mod peers;
mod plan;
mod process;
mod rounds;
mod singles;
mod table;
mod tokens;
mod verdict;

use std::{
    error::Error,
    io::Write,
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// usher's allocator, for the bare server's sake.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any fault ends the run: there is nobody to answer but the person who started it.
type Fault = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == "bare" => bare::serve(rest),
        _ => options::Options::parse(&arguments).and_then(|options| measure(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&format!("exchange: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the plan until it is done, interrupted, or out of time. Whichever it is, dropping the run ends every
/// server it started.
fn measure(options: &options::Options) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::select! {
            outcome = plan::run(options) => outcome,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
            _ = terminate.recv() => Err("terminated".into()),
            _ = hang_up.recv() => Err("hung up".into()),
            () = tokio::time::sleep(options.at_most) => Err("out of time".into()),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Progress, for a person: to stderr, since the table is what stdout is for.
fn say(text: &str) {
    // Nobody listening is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The wall clock in seconds, as tokens write it.
fn unix_seconds() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Says what is being done and how long the run has gone on.
fn step(began: Instant, text: &str) {
    say(&format!("[{:>5.1} s] {text}", began.elapsed().as_secs_f64()));
}
