//! `usher identity …`: the registry, beside a running sidecar or without one (contract 4).
mod args;
mod change;
mod desk;
mod export;
mod import;
mod input;
mod list;
mod new_key;
mod progress;
mod record;
mod rekey;
mod show;
mod table;
mod user;

use super::{exit::Exit, load, run::block_on};
use crate::app::Absent;
pub(super) use args::IdentityOptions;
use args::{IdentityCommand, Output};
use desk::Desk;
use std::path::PathBuf;

/// Does what the operator wants with the registry of the configured store.
pub(super) fn run(file: Option<PathBuf>, options: IdentityOptions) -> Exit {
    if matches!(options.command, IdentityCommand::NewKey) {
        return new_key::run();
    }
    let settings = match load::settings(file, &[], &[]) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    block_on(async {
        match Desk::open(&settings, absent(&options.command), options.output).await {
            Ok(desk) => Box::pin(serve(&desk, options.command)).await,
            Err(exit) => exit,
        }
    })
}

async fn serve(desk: &Desk<'_>, command: IdentityCommand) -> Exit {
    let done = match command {
        IdentityCommand::List(_) | IdentityCommand::Show(_) | IdentityCommand::Export(_)
            if !desk.registrar.store().is_durable() =>
        {
            Err(desk::unseen())
        }
        IdentityCommand::List(options) => list::run(desk, options).await,
        IdentityCommand::Show(chosen) => show::run(desk, chosen).await,
        IdentityCommand::Link(options) => change::link(desk, options).await,
        IdentityCommand::Unlink(options) => change::unlink(desk, options).await,
        IdentityCommand::Retire(options) => change::retire(desk, options).await,
        IdentityCommand::Erase(options) => change::erase(desk, options).await,
        IdentityCommand::Import(options) => import::run(desk, options).await,
        IdentityCommand::Export(options) => export::run(desk, &options).await,
        IdentityCommand::Rekey(options) => rekey::run(desk, options).await,
        IdentityCommand::NewKey => return new_key::run(),
    };
    done.unwrap_or_else(|exit| exit)
}

/// Whether a store that is not there yet is made: for those who may put something into an empty one.
fn absent(command: &IdentityCommand) -> Absent {
    match command {
        IdentityCommand::Import(_) => Absent::Made,
        IdentityCommand::Retire(options) if options.chosen.identity.is_none() => Absent::Made,
        IdentityCommand::List(_)
        | IdentityCommand::Show(_)
        | IdentityCommand::Link(_)
        | IdentityCommand::Unlink(_)
        | IdentityCommand::Retire(_)
        | IdentityCommand::Erase(_)
        | IdentityCommand::Export(_)
        | IdentityCommand::Rekey(_)
        | IdentityCommand::NewKey => Absent::Refused,
    }
}
