//! The commands (contract 1), one file each.
mod args;
mod check;
mod console;
mod dev;
mod documents;
mod exit;
mod explain;
mod identity;
mod load;
mod migrate;
mod probe;
mod run;
mod serve;
mod terminal;

use args::{Args, Command};
use clap::Parser as _;
use exit::Exit;
use std::{ffi::OsString, process::ExitCode};

/// Runs the command that `arguments` name, the program's own name first.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return parsed(&error).into(),
    };
    let exit = match args.command {
        Command::Serve(options) => serve::run(args.config, &options),
        Command::Dev(options) => dev::run(args.config.is_some(), &options),
        Command::Probe(options) => probe::run(args.config, &options),
        Command::Check(options) => check::run(args.config, &options),
        Command::Explain => explain::run(args.config),
        Command::Console => console::run(args.config),
        Command::Identity(options) => identity::run(args.config, options),
        Command::Migrate => migrate::run(args.config),
        Command::Schema => documents::schema(),
        Command::Openapi => documents::openapi(),
        Command::Completions(options) => documents::completions(&options),
        Command::Man => documents::man(),
    };
    exit.into()
}

/// Help and version are no mistakes; everything else is.
fn parsed(error: &clap::Error) -> Exit {
    // A reader that went away (`usher --help | head -1`) is none either.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}
