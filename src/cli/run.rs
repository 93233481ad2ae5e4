//! The runtime of a command, its log, and the signals that end it.
use super::{exit::Exit, terminal::complain};
use crate::{
    app::{Running, StartError},
    config::settings::Settings,
    outbound::{http::trust::Trust, otlp::Sender, system::wall_millis},
    telemetry::{
        lines::LinesGuard,
        logs::{self, BoxedLayer, chain},
        traces::{self, TracesGuard},
    },
};
use std::{io::Write, sync::Arc};
use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{SignalKind, signal},
};

/// Runs `command` on a runtime of its own.
pub(super) fn block_on(command: impl Future<Output = Exit>) -> Exit {
    match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            complain(&format!("usher: the host gives no threads: {error}"));
            Exit::Unavailable
        }
    }
}

/// What has to be flushed at the end.
pub(super) struct Telemetry {
    _lines: LinesGuard,
    traces: Option<TracesGuard>,
    /// Whether spans are wanted.
    pub(super) has_traces: bool,
}

/// Begins to log to `sink`, and to export traces where the settings ask for them. Call it on a runtime.
pub(super) fn observe(settings: &Settings, sink: Box<dyn Write + Send>) -> Result<Telemetry, Exit> {
    let refuse = |why: String| {
        complain(&format!("usher: {why}"));
        Exit::Unavailable
    };
    let exporter = exporter(settings).map_err(refuse)?;
    let (layer, traces) =
        exporter.map_or((None, None), |(layer, guard)| (Some(layer), Some(guard)));
    let directives = settings.log.directives.as_deref().unwrap_or(&settings.log.level);
    let config = logs::Config {
        json: settings.log.json,
        directives: directives.to_owned(),
        now: wall_millis,
    };
    let lines = logs::install(&config, sink, layer).map_err(|error| refuse(error.to_string()))?;
    // What a panic says may hold anything; where it happened is enough to find it.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a part of usher panicked: please report it");
    }));
    Ok(Telemetry { _lines: lines, has_traces: traces.is_some(), traces })
}

fn exporter(settings: &Settings) -> Result<Option<(BoxedLayer, TracesGuard)>, String> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
    let trust = Trust::of_host().map_err(|error| chain(&error))?;
    let sender = Sender::new(trust, settings.proxy.clone(), Handle::current());
    let version = env!("CARGO_PKG_VERSION");
    traces::layer(endpoint.as_str(), Arc::new(sender), version).map(Some).map_err(|e| chain(&e))
}

impl Telemetry {
    /// Sends the last spans, and writes the last lines.
    pub(super) async fn flush(self) {
        if let Some(traces) = self.traces {
            let _ = tokio::task::spawn_blocking(|| traces.flush()).await;
        }
    }
}

/// Serves until SIGTERM or SIGINT, then drains.
pub(super) async fn until_signal(started: Result<Running, StartError>) -> Exit {
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "usher does not start");
            complain(&format!("usher: {}", chain(&error)));
            return Exit::Unavailable;
        }
    };
    let (terminate, interrupt) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
            (Err(error), _) | (_, Err(error)) => {
                complain(&format!("usher: the host gives no signals: {error}"));
                return Exit::Unavailable;
            }
        };
    let (mut terminate, mut interrupt) = (terminate, interrupt);
    let broken = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        part = running.broken() => Some(part),
    };
    if let Some(part) = broken {
        tracing::error!(part, "a part of usher ended that never should");
    }
    running.stop().await;
    if broken.is_some() { Exit::Unavailable } else { Exit::Done }
}
