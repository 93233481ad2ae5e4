//! Starts usher, runs it, and stops it.
use super::{
    doors::{self, Doors, Frame},
    face::Lasting,
    follow::Follower,
    host::Host,
    issuers::Issuers,
    keeping,
    listeners::{self, Certificates, Open},
    ready::Latches,
    start::{StartError, check_clock},
    store::{self, Opened},
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
    ports::{registry::Registry, store::BindingStore},
};
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

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
    places: Places,
    latches: Arc<Latches>,
    listeners: Tasks,
    upkeep: Tasks,
    grace: Arc<AtomicU64>,
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
    let places = Places::of(&open)?;
    let Opened { bindings, registry, postgres } = store::open(&settings, &host).await?;
    let mut issuers = Issuers::none();
    issuers.follow(&settings, &host)?;
    let latches =
        Arc::new(Latches::new(issuers.keys(), Arc::clone(&bindings) as Arc<dyn BindingStore>));
    let frame = frame(&settings, &host, &registry, &options);
    let pages = options.pages.map(|pages| pages(&places.public)).unwrap_or_default();
    let mut lasting = Lasting::new(Arc::clone(&bindings) as _, pages, options.dev);
    lasting.traces = options.traces;
    let face = lasting.face(&settings, &issuers.keys(), &host, 0)?;
    let handler = Arc::new(Public::new(face, surroundings(&host)));
    let token = doors::found_token(&settings, &host).await;
    let doors = Doors::new(&settings, token.as_ref(), frame);
    let grace = Arc::new(AtomicU64::new(seconds(settings.shutdown_grace)));
    let (certificates, health, listeners) = open_doors(open, &handler, &doors);
    let mut upkeep = Tasks::new();
    // Answers to the end, so that everybody sees that usher drains.
    let probes = Arc::new(probes(&latches, &host, options.dev));
    upkeep.spawn("health listener", served(health, probes, upkeep.stop_signal(), Duration::ZERO));
    latches.start();
    upkeep.spawn("readiness", keeping::notice(Arc::clone(&latches), upkeep.stop_signal()));
    upkeep.spawn("store watch", keeping::watch(bindings, upkeep.stop_signal()));
    let clock = Arc::clone(&host.clock);
    upkeep.spawn("registry upkeep", keeping::settle(registry, clock, upkeep.stop_signal()));
    let follower = Follower {
        settings,
        host,
        issuers,
        lasting,
        handler,
        doors,
        certificates,
        latches: Arc::clone(&latches),
        grace: Arc::clone(&grace),
        load: options.load,
        revision: 0,
        postgres,
    };
    upkeep.spawn("reload", follower.run(seen, upkeep.stop_signal()));
    places.log();
    Ok(Running { places, latches, listeners, upkeep, grace })
}

fn frame(
    settings: &Settings,
    host: &Host,
    registry: &Arc<dyn Registry>,
    options: &Options,
) -> Frame {
    Frame {
        registry: Arc::clone(registry),
        host: host.clone(),
        dev: options.dev,
        traces: options.traces,
        listen: settings.listen.clone(),
    }
}

/// Where the listeners are.
#[derive(Debug)]
struct Places {
    public: Address,
    egress: Option<Address>,
    admin: Address,
    health: Address,
}

impl Places {
    fn of(open: &Open) -> io::Result<Self> {
        Ok(Self {
            public: open.public.address()?,
            egress: open.egress.as_ref().map(Server::address).transpose()?,
            admin: open.admin.address()?,
            health: open.health.address()?,
        })
    }

    fn log(&self) {
        let Self { public, egress, admin, health } = self;
        let egress = egress.as_ref().map(ToString::to_string);
        tracing::info!(%public, egress, %admin, %health, "usher serves");
    }
}

/// Begins to serve at every listener but the health listener, which ends last.
fn open_doors(
    open: Open,
    handler: &Arc<Public<Exchange>>,
    doors: &Doors,
) -> (Certificates, Server, Tasks) {
    let Open { public, egress, admin, health, certificates } = open;
    let mut listeners = Tasks::new();
    let stop = listeners.stop_signal();
    let serving = served(public, Arc::clone(handler), stop.clone(), PATIENCE);
    listeners.spawn("public listener", serving);
    let serving = served(admin, Arc::clone(&doors.admin), stop.clone(), PATIENCE);
    listeners.spawn("admin listener", serving);
    if let (Some(egress), Some(handler)) = (egress, &doors.egress) {
        let serving = served(egress, Arc::clone(handler), stop, PATIENCE);
        listeners.spawn("egress listener", serving);
    }
    (certificates, health, listeners)
}

fn probes(latches: &Arc<Latches>, host: &Host, dev: bool) -> Health {
    let readiness: Arc<dyn Readiness> = Arc::clone(latches) as Arc<dyn Readiness>;
    Health::new(readiness, Arc::clone(&host.metrics), Arc::clone(&host.entropy), dev)
}

/// How long a listener waits for its requests: longer than any grace, which is applied in [`Running::stop`], where
/// a reload may have changed it.
const PATIENCE: Duration = Duration::from_hours(24);

/// Whole seconds, rounded up.
pub(super) fn seconds(grace: Duration) -> u64 {
    // A grace of less than a second is one, not none.
    grace.as_secs() + u64::from(grace.subsec_nanos() > 0)
}

async fn served<H: Handler>(server: Server, handler: Arc<H>, stop: Stop, grace: Duration) {
    let drained = server.serve(handler, stop.requested(), grace).await;
    if drained.cut_off > 0 {
        tracing::warn!(connections = drained.cut_off, "connections were cut off after the grace");
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
        &self.places.public
    }

    /// Where the egress listener is, if it was opened.
    pub fn egress(&self) -> Option<&Address> {
        self.places.egress.as_ref()
    }

    /// Where the admin listener is.
    pub fn admin(&self) -> &Address {
        &self.places.admin
    }

    /// Where the health listener is.
    pub fn health(&self) -> &Address {
        &self.places.health
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
        let grace = Duration::from_secs(self.grace.load(Ordering::Relaxed));
        for name in self.listeners.stop(grace).await {
            tracing::warn!(task = name, "requests were cut off after the grace");
        }
        self.upkeep.stop(Duration::from_secs(1)).await;
        tracing::info!("usher stopped");
    }
}
