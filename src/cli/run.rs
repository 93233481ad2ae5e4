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
use std::{
    io::{self, Write},
    sync::Arc,
};
use tokio::{
    runtime::{Builder, Handle},
    signal::unix::{Signal, SignalKind, signal},
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
    let sender = Sender::new(Trust::of_host(), settings.proxy.clone(), Handle::current());
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

/// The signals that end usher, noticed from the moment this is made: a stop during the start is a stop too, and
/// the first process of a container would not even be ended by them.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    // Kept, so that a reload asked for before usher follows its files does not end it.
    _hangup: Signal,
}

impl Signals {
    /// Begins to notice. Call it on a runtime, before anything takes its time.
    pub(super) fn notice() -> Result<Self, Exit> {
        let noticed = || -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                _hangup: signal(SignalKind::hangup())?,
            })
        };
        noticed().map_err(|error| {
            complain(&format!("usher: the host gives no signals: {error}"));
            Exit::Unavailable
        })
    }

    /// Comes to pass with SIGTERM or SIGINT.
    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Starts, and serves until SIGTERM or SIGINT, then drains.
pub(super) async fn until_signal(
    mut signals: Signals,
    starting: impl Future<Output = Result<Running, StartError>>,
) -> Exit {
    let started = tokio::select! {
        started = starting => started,
        () = signals.end() => return Exit::Done,
    };
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "usher does not start");
            complain(&format!("usher: {}", chain(&error)));
            return Exit::Unavailable;
        }
    };
    let broken = tokio::select! {
        () = signals.end() => None,
        part = running.broken() => Some(part),
    };
    if let Some(part) = broken {
        tracing::error!(part, "a part of usher ended that never should");
    }
    running.stop().await;
    if broken.is_some() { Exit::Unavailable } else { Exit::Done }
}
