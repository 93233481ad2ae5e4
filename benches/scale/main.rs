//! What the registry costs as it grows, and what one PostgreSQL carries.
//!
//! ```text
//! scale lookups FOLDER ROWS…      first sights and cold look-ups in SQLite files of so many rows, in turns
//! scale fleet URL SIDECARS        so many sidecars' worth of start-up, feed and invalidation on one PostgreSQL
//! ```
//!
//! `benches/scale/run` builds and calls it; the method is in `benches/scale/README.md`.
#![expect(
    clippy::disallowed_methods,
    reason = "a load generator reads the clock itself and owns the tasks it joins; the house's ports are usher's"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times of a run of minutes are far from the edges of f64"
)]

mod figures;
mod fill;
mod fleet;
mod lookups;

use std::{error::Error, io::Write, path::Path, process::ExitCode};
use usher::domain::{identity::IdentityKey, secret::Secret, subject::Subject};

/// usher's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any fault ends the run: there is nobody to answer but the person who started it.
type Fault = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "scale: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &[String]) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments {
        [what, folder, rows @ ..] if what == "lookups" => {
            let rows = rows.iter().map(|text| text.parse()).collect::<Result<Vec<u64>, _>>()?;
            runtime.block_on(lookups::measure(Path::new(folder), &rows))
        }
        [what, url, sidecars] if what == "fleet" => {
            runtime.block_on(fleet::measure(url, sidecars.parse()?))
        }
        _ => Err("usage: scale lookups FOLDER ROWS… | scale fleet URL SIDECARS".into()),
    }
}

/// The key of the contract's vectors.
fn key() -> Result<IdentityKey, Fault> {
    Ok(IdentityKey::new(&Secret::new((0..64).collect::<Vec<u8>>()))?)
}

/// The `number`th user: an id as providers write them, whose order says nothing.
fn subject(number: u64) -> Result<Subject, Fault> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Ok(Subject::new("corp".parse()?, format!("{mixed:016x}-{number}").parse()?))
}

fn say(line: &str) -> Result<(), Fault> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}
