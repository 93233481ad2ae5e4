//! Reads the configuration for a command, and says what is wrong with it.
use super::{exit::Exit, terminal::complain};
use crate::{
    config::{self, Environment, Fault, Mistakes, Sources, settings::Settings},
    outbound::system::SystemClock,
    ports::clock::Clock as _,
};
use std::path::PathBuf;

/// The sources of a command: `--config`, or the environment.
pub(super) fn sources(file: Option<PathBuf>, set: &[String], default: &[String]) -> Sources {
    let environment = Environment::new(std::env::vars_os());
    Sources {
        set: set.to_vec(),
        default: default.to_vec(),
        ..Sources::new(file, environment, SystemClock::start().now())
    }
}

/// The settings; what is wrong goes to standard error, a line a mistake.
pub(super) fn settings(
    file: Option<PathBuf>,
    set: &[String],
    default: &[String],
) -> Result<Settings, Exit> {
    config::load(&sources(file, set, default)).map_err(|mistakes| refused(&mistakes))
}

/// Says every mistake; the exit code tells whose fault they are.
pub(super) fn refused(mistakes: &Mistakes) -> Exit {
    complain(&mistakes.to_string());
    match mistakes.fault() {
        Fault::Wrong => Exit::Wrong,
        Fault::Unfit => Exit::Unavailable,
    }
}
