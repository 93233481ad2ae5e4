//! Starts usher, runs it, and stops it.
use super::{
    face::Lasting,
    host::Host,
    issuers::Issuers,
    listeners::{self, Certificates},
    ready::Latches,
    reload::{self, Reader, Reread},
    start::{StartError, check_clock},
    store,
    tasks::{Stop, Tasks},
};
use crate::{
    config::{Mistakes, settings::Settings},
    inbound::{
        health::{Health, Readiness},
        public::{Exchange, Page, Public, Surroundings},
        server::{Address, Handler, Server},
    },
    outbound::files::Glance,
    ports::store::BindingStore,
    telemetry::logs::chain,
};
use std::{fmt, sync::Arc, time::Duration};

/// Reads the configuration anew.
pub type Load = Arc<dyn Fn() -> Result<Settings, Mistakes> + Send + Sync>;

/// Makes pages for the address of the public listener.
pub type Pages = Box<dyn FnOnce(&Address) -> Vec<Page> + Send>;

/// What `serve` and `dev` want differently.
#[derive(Default)]
pub struct Options {
    /// How to read the configuration anew; absent means that it never changes.
    pub load: Option<Load>,
    /// Pages beside usher's own routes, made once the public listener's address is known.
    pub pages: Option<Pages>,
    /// Marks every answer with `Usher-Mode: dev`.
    pub dev: bool,
    /// Makes a span of every request.
    pub traces: bool,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("dev", &self.dev).finish_non_exhaustive()
    }
}

/// usher, serving.
#[derive(Debug)]
pub struct Running {
    public: Address,
    health: Address,
    latches: Arc<Latches>,
    listeners: Tasks,
    upkeep: Tasks,
    grace: Duration,
}

/// Opens the store and the listeners and serves. Issuers are asked for their keys meanwhile; none needs to answer.
///
/// # Errors
/// Each variant of [`StartError`]; nothing is left open then.
pub async fn start(
    settings: Settings,
    host: Host,
    options: Options,
) -> Result<Running, StartError> {
    // Before anything takes its time: a change from here on is noticed.
    let seen = Glance::at(&settings.files);
    check_clock(&*host.clock)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let open = listeners::open(&settings).await?;
    let (public, health) = (open.public.address()?, open.health.address()?);
    let bindings = store::open(&settings, &host).await?;
    let pinged = Arc::clone(&bindings);
    let mut issuers = Issuers::none();
    issuers.follow(&settings, &host)?;
    let latches = Arc::new(Latches::new(issuers.keys(), Arc::clone(&bindings)));
    let pages = options.pages.map(|pages| pages(&public)).unwrap_or_default();
    let mut lasting = Lasting::new(bindings, pages, options.dev);
    lasting.traces = options.traces;
    let face = lasting.face(&settings, &issuers.keys(), &host, 0)?;
    let handler = Arc::new(Public::new(face, surroundings(&host)));
    let (metrics, entropy) = (Arc::clone(&host.metrics), Arc::clone(&host.entropy));
    let readiness: Arc<dyn Readiness> = Arc::clone(&latches) as Arc<dyn Readiness>;
    let probes = Arc::new(Health::new(readiness, metrics, entropy, options.dev));
    let grace = settings.shutdown_grace;
    let (mut listeners, mut upkeep) = (Tasks::new(), Tasks::new());
    let stop = listeners.stop_signal();
    listeners.spawn("public listener", served(open.public, Arc::clone(&handler), stop, grace));
    // Answers to the end, so that everybody sees that usher drains.
    let stop = upkeep.stop_signal();
    upkeep.spawn("health listener", served(open.health, probes, stop, Duration::ZERO));
    latches.start();
    let follower = Follower {
        settings,
        host,
        issuers,
        lasting,
        handler,
        certificates: open.certificates,
        latches: Arc::clone(&latches),
        load: options.load,
        revision: 0,
    };
    upkeep.spawn("reload", follower.run(seen, upkeep.stop_signal()));
    upkeep.spawn("store watch", watch(pinged, upkeep.stop_signal()));
    tracing::info!(public = %public, health = %health, "usher serves");
    Ok(Running { public, health, latches, listeners, upkeep, grace })
}

async fn served<H: Handler>(server: Server, handler: Arc<H>, stop: Stop, grace: Duration) {
    let drained = server.serve(handler, stop.requested(), grace).await;
    if drained.cut_off > 0 {
        tracing::warn!(connections = drained.cut_off, "connections were cut off after the grace");
    }
}

/// How often the store is asked whether it is there. `store.staleFor` counts from its last answer, and users who
/// are all remembered would never ask it.
const PING: Duration = Duration::from_secs(10);

async fn watch(store: Arc<dyn BindingStore>, stop: Stop) {
    let mut stop = std::pin::pin!(stop.requested());
    loop {
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(PING) => {
                // What it says is noted where it is remembered, and logged there at each change.
                let _ = store.ping().await;
            }
        }
    }
}

fn surroundings(host: &Host) -> Surroundings {
    Surroundings {
        metrics: Arc::clone(&host.metrics),
        entropy: Arc::clone(&host.entropy),
        clock: Arc::clone(&host.clock),
    }
}

impl Running {
    /// Where the public listener is.
    pub fn public(&self) -> &Address {
        &self.public
    }

    /// Where the health listener is.
    pub fn health(&self) -> &Address {
        &self.health
    }

    /// Returns when a part of usher ended that never should, with its name.
    pub async fn broken(&mut self) -> &'static str {
        let ended = tokio::select! {
            ended = self.listeners.ended() => ended,
            ended = self.upkeep.ended() => ended,
        };
        ended.map_or("all", |(name, _)| name)
    }

    /// Drains and stops (contract 2): readiness goes first, requests under way finish within the grace.
    pub async fn stop(self) {
        self.latches.drain();
        tracing::info!("usher drains");
        // A little more than the listener's own grace, so that it can say what it cut off.
        let patience = self.grace.saturating_add(Duration::from_secs(2));
        for name in self.listeners.stop(patience).await {
            tracing::error!(task = name, "a task did not end well");
        }
        self.upkeep.stop(Duration::from_secs(1)).await;
        tracing::info!("usher stopped");
    }
}

/// Follows a changed configuration, and owns what changes with it.
struct Follower {
    settings: Settings,
    host: Host,
    issuers: Issuers,
    lasting: Lasting,
    handler: Arc<Public<Exchange>>,
    certificates: Certificates,
    latches: Arc<Latches>,
    load: Option<Load>,
    revision: u64,
}

impl Reader for Follower {
    async fn reread(&mut self) -> Reread {
        let Some(load) = self.load.clone() else {
            return Reread { files: Vec::new(), accepted: true };
        };
        // Reading files takes as long as their file system likes.
        let read = tokio::task::spawn_blocking(move || load()).await;
        self.follow(read.map_err(|error| error.to_string()))
    }
}

impl Follower {
    async fn run(self, seen: Glance, stop: Stop) {
        let (files, clock) = (self.settings.files.clone(), Arc::clone(&self.host.clock));
        if self.load.is_none() {
            // Owns the tasks that fetch keys all the same.
            return stop.requested().await;
        }
        tokio::select! {
            () = stop.requested() => {}
            ended = reload::watch((files, seen), clock, self) => {
                if let Err(error) = ended {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "changes of the configuration cannot be noticed");
                }
            }
        }
    }

    fn follow(&mut self, read: Result<Result<Settings, Mistakes>, String>) -> Reread {
        let mut files = self.settings.files.clone();
        let outcome = match read {
            Ok(Ok(settings)) => {
                files.clone_from(&settings.files);
                self.adopt(settings)
            }
            Ok(Err(mistakes)) => {
                files = mistakes.files().to_vec();
                Err(mistakes.to_string())
            }
            Err(panicked) => Err(panicked),
        };
        let accepted = outcome.is_ok();
        match &outcome {
            Ok(()) => tracing::info!(revision = self.revision, "configuration read anew"),
            Err(why) => tracing::error!(why, "changed configuration refused; the old one serves"),
        }
        self.host.metrics.config_reload_failed(!accepted);
        self.latches.configuration(outcome.err());
        Reread { files, accepted }
    }

    /// Works with `settings` from now on, but for what only a start can change.
    fn adopt(&mut self, mut settings: Settings) -> Result<(), String> {
        self.keep_what_a_start_sets(&mut settings);
        let said = |error: &dyn std::error::Error| chain(error);
        self.certificates.replace(&settings).map_err(|error| said(&error))?;
        self.issuers.follow(&settings, &self.host).map_err(|error| said(&error))?;
        let revision = self.revision + 1;
        let keys = self.issuers.keys();
        let face = self
            .lasting
            .face(&settings, &keys, &self.host, revision)
            .map_err(|error| said(&error))?;
        self.handler.replace(face);
        self.revision = revision;
        self.settings = settings;
        Ok(())
    }

    fn keep_what_a_start_sets(&self, settings: &mut Settings) {
        let old = &self.settings;
        if settings.identity_key.fingerprint() != old.identity_key.fingerprint() {
            // Contract 2: never reloaded. Half the replicas would give everybody a second identity.
            tracing::warn!(
                "identity.key changed: the old one stays in use until usher is started again"
            );
        }
        let same_places = settings.listen.public.address == old.listen.public.address
            && settings.listen.health.address == old.listen.health.address;
        if !same_places || settings.store != old.store {
            tracing::warn!(
                "listen or store changed: that takes effect when usher is started again"
            );
        }
        settings.identity_key = old.identity_key.clone();
        settings.store = old.store.clone();
    }
}
