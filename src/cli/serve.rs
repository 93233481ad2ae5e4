//! `usher serve`: the sidecar.
use super::{
    args::ServeOptions,
    exit::Exit,
    load,
    run::{Signals, block_on, observe, until_signal},
};
use crate::{
    app::{self, Host, Options},
    config,
    outbound::system::SystemClock,
    ports::clock::Clock as _,
};
use std::{io, path::PathBuf, sync::Arc};

/// Serves until a signal ends it.
pub(super) fn run(file: Option<PathBuf>, options: &ServeOptions) -> Exit {
    let sources = load::sources(file, &options.set, &options.default);
    let settings = match config::load(&sources) {
        Ok(settings) => settings,
        Err(mistakes) => return load::refused(&mistakes),
    };
    block_on(async move {
        let signals = match Signals::notice() {
            Ok(signals) => signals,
            Err(exit) => return exit,
        };
        let telemetry = match observe(&settings, Box::new(io::stdout())) {
            Ok(telemetry) => telemetry,
            Err(exit) => return exit,
        };
        let host = Host::system(settings.identity_key.fingerprint());
        let reload = move || {
            config::load(&config::Sources { now: SystemClock::start().now(), ..sources.clone() })
        };
        let options = Options {
            load: Some(Arc::new(reload)),
            traces: telemetry.has_traces,
            ..Options::default()
        };
        let exit = until_signal(signals, app::start(settings, host, options)).await;
        telemetry.flush().await;
        exit
    })
}
