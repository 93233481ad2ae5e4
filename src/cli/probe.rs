//! `usher probe`: the health check of a container without a shell.
use super::{args::ProbeOptions, exit::Exit, load, run::block_on, terminal::complain};
use crate::{
    config::{self, settings::ListenAddress},
    outbound::probe::{Target, ask},
    telemetry::logs::chain,
};
use std::path::PathBuf;

/// Asks the configured health listener.
pub(super) fn run(file: Option<PathBuf>, options: &ProbeOptions) -> Exit {
    // The rest of the configuration may be half-written by now; the sidecar runs on with its last good one.
    let listener = match config::listeners(&load::sources(file, &[], &[])) {
        Ok(listeners) => listeners.health,
        Err(mistakes) => return load::refused(&mistakes),
    };
    let target = match listener.address {
        ListenAddress::Tcp(address) => Target::Tcp(address),
        ListenAddress::Unix(path) => Target::Unix(path),
    };
    let certificate = listener.tls.map(|tls| tls.certificate);
    block_on(async {
        match ask(&target, &options.path, certificate.as_deref()).await {
            Ok(status) if status.as_u16() == 200 => Exit::Done,
            Ok(status) => {
                complain(&format!("usher: {} answered {status}", options.path));
                Exit::Unavailable
            }
            Err(error) => {
                complain(&format!("usher: {}: {}", options.path, chain(&error)));
                Exit::Unavailable
            }
        }
    })
}
