//! A thousand sidecars on one PostgreSQL: each a memory and a feed of its own, sharing few connections.
use crate::{Fault, figures::Times, key, say, subject};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use usher::{
    domain::{subject::Subject, time::Timestamp},
    outbound::{
        store::{
            cached::CachedStore,
            postgres::{Config, PostgresHost, PostgresSettings, PostgresStore, Schema},
        },
        system::{SystemClock, SystemEntropy},
    },
    ports::{
        clock::Clock,
        registry::{Author, Change, Registry},
        store::{BindingStore, FirstSight, Origin, Pin},
    },
    telemetry::metrics::Metrics,
};

/// Connections that all of them share.
const CONNECTIONS: u32 = 16;

/// How long the steady state is watched.
const STEADY: Duration = Duration::from_secs(30);

/// How often a sidecar asks what changed, as `app` has it.
const FEED: Duration = Duration::from_secs(1);

/// New users a second, over all sidecars.
const NEW: u64 = 50;

struct Fleet {
    store: Arc<PostgresStore>,
    sidecars: Vec<Arc<CachedStore>>,
    server: tokio_postgres::Client,
}

/// Measures start-up, the steady state and how quickly a change is seen, and prints a table.
pub(crate) async fn measure(url: &str, sidecars: usize) -> Result<(), Fault> {
    let mut fleet = Fleet::build(url, sidecars).await?;
    say("| what | figure |\n|---|---|")?;
    fleet.start().await?;
    fleet.steady().await?;
    fleet.change().await
}

impl Fleet {
    async fn build(url: &str, sidecars: usize) -> Result<Self, Fault> {
        let config: tokio_postgres::Config = url.parse()?;
        let place = url::Url::parse(url)?;
        let address = (place.host_str().ok_or("no host")?, place.port().unwrap_or(5432));
        let socket = tokio::net::TcpStream::connect(address).await?;
        let (server, connection) = config.connect_raw(socket, tokio_postgres::NoTls).await?;
        // Ends with the client.
        tokio::spawn(connection);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        let config =
            Config { server: settings(url)?, max_connections: CONNECTIONS, schema: Schema::Make };
        let store = PostgresStore::to(config, Arc::clone(&clock), Arc::new(SystemEntropy))?;
        store.open().await?;
        let store = Arc::new(store);
        let sidecar = |_| {
            let bindings = Arc::clone(&store) as Arc<dyn BindingStore>;
            let metrics = Arc::new(Metrics::new("0.0.0", "63458b39"));
            let hour = Duration::from_hours(1);
            let cached = CachedStore::new(bindings, 10_000, hour, Arc::clone(&clock), metrics);
            Arc::new(cached.following(Arc::clone(&store) as Arc<dyn Registry>))
        };
        let sidecars = (0..sidecars).map(sidecar).collect();
        Ok(Self { store, sidecars, server })
    }

    /// All at once: pin the key, ask for changes, and look up ten users each.
    async fn start(&mut self) -> Result<(), Fault> {
        let key = key()?;
        let formats = vec![("corp".parse()?, "opaque".into())];
        let pin = Pin { fingerprint: key.fingerprint(), formats };
        for number in 0..10 {
            bind(&*self.store, subject(number)?).await?;
        }
        let before = self.transactions().await?;
        let begun = Instant::now();
        let mut starting = JoinSet::new();
        for sidecar in &self.sidecars {
            let (sidecar, pin) = (Arc::clone(sidecar), pin.clone());
            starting.spawn(async move {
                sidecar.pin(&pin).await?;
                sidecar.follow().await?;
                for number in 0..10 {
                    sidecar.find(&subject(number)?).await?;
                }
                Ok::<Duration, Fault>(begun.elapsed())
            });
        }
        let mut times = Times::default();
        while let Some(started) = starting.join_next().await {
            times.add(started??);
        }
        let count = self.transactions().await? - before;
        let line = format!(
            "| {} sidecars start at once (key, feed and 10 users each) | all ready after {:.1} s; {count} transactions |",
            self.sidecars.len(),
            times.quantile(1.0) / 1e6,
        );
        say(&line)
    }

    /// Everybody asks for changes every second; new users come, known ones cost nothing.
    async fn steady(&mut self) -> Result<(), Fault> {
        let before = self.transactions().await?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for (number, sidecar) in self.sidecars.iter().enumerate() {
            let (sidecar, stop) = (Arc::clone(sidecar), Arc::clone(&stop));
            let late = FEED.mul_f64(number as f64 / self.sidecars.len() as f64);
            tasks.spawn(follow(sidecar, stop, late));
        }
        let (spent, begun) = (processor_time(), Instant::now());
        let sights = self.new_users(begun).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let busy = (processor_time() - spent) / seconds;
        stop.store(true, Ordering::Relaxed);
        let mut feeds = Times::default();
        while let Some(fed) = tasks.join_next().await {
            fed??.into_iter().for_each(|time| feeds.add(time));
        }
        let count = self.transactions().await? - before;
        report(count as f64 / seconds, busy, feeds, sights)
    }

    async fn new_users(&self, begun: Instant) -> Result<Times, Fault> {
        static NUMBER: AtomicU64 = AtomicU64::new(1_000_000);
        let (mut times, mut coming) = (Times::default(), JoinSet::new());
        let mut sent = 0;
        while begun.elapsed() < STEADY {
            let due = (begun.elapsed().as_secs_f64() * NEW as f64) as u64;
            while sent < due {
                sent += 1;
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let sidecar = self.sidecars.get(sent as usize % self.sidecars.len());
                let sidecar = Arc::clone(sidecar.ok_or("no sidecar")?);
                coming.spawn(async move {
                    let start = Instant::now();
                    bind(&*sidecar, subject(number)?).await?;
                    Ok::<Duration, Fault>(start.elapsed())
                });
            }
            while let Some(came) = coming.try_join_next() {
                times.add(came??);
            }
            sleep(Duration::from_millis(2)).await;
        }
        while let Some(came) = coming.join_next().await {
            times.add(came??);
        }
        Ok(times)
    }

    /// One user whom every sidecar remembers is unlinked; how long each goes on remembering.
    async fn change(&mut self) -> Result<(), Fault> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut feeds = JoinSet::new();
        for (number, sidecar) in self.sidecars.iter().enumerate() {
            let late = FEED.mul_f64(number as f64 / self.sidecars.len() as f64);
            feeds.spawn(follow(Arc::clone(sidecar), Arc::clone(&stop), late));
        }
        let known = subject(3)?;
        for sidecar in &self.sidecars {
            sidecar.find(&known).await?;
        }
        let author = Author { who: "cli:bench".into(), why: "measured".into(), at: now() };
        self.store.change(&Change::Unlink { subject: known.clone() }, &author).await?;
        let acknowledged = Instant::now();
        let mut watching = JoinSet::new();
        for sidecar in &self.sidecars {
            let (sidecar, known) = (Arc::clone(sidecar), known.clone());
            watching.spawn(async move {
                while sidecar.remembered(&known).is_some() {
                    sleep(Duration::from_millis(5)).await;
                }
                acknowledged.elapsed()
            });
        }
        let mut times = Times::default();
        while let Some(forgot) = watching.join_next().await {
            times.add(forgot?);
        }
        stop.store(true, Ordering::Relaxed);
        while feeds.join_next().await.is_some() {}
        let ms = |times: &mut Times, share| times.quantile(share) / 1e3;
        say(&format!(
            "| an unlink is seen by all | p50 {:.0} ms, p99 {:.0} ms, last {:.0} ms |",
            ms(&mut times, 0.5),
            ms(&mut times, 0.99),
            ms(&mut times, 1.0)
        ))
    }

    /// What the server has committed so far, this question included.
    async fn transactions(&self) -> Result<i64, Fault> {
        // The server's processes tell their counts once they have had nothing to do for ten seconds.
        sleep(Duration::from_secs(11)).await;
        let sql = "SELECT sum(xact_commit)::bigint FROM pg_stat_database WHERE datname = current_database()";
        Ok(self.server.query_one(sql, &[]).await?.get(0))
    }
}

async fn follow(
    sidecar: Arc<CachedStore>,
    stop: Arc<AtomicBool>,
    late: Duration,
) -> Result<Vec<Duration>, Fault> {
    sleep(late).await;
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        sidecar.follow().await?;
        times.push(start.elapsed());
        sleep(FEED).await;
    }
    Ok(times)
}

async fn bind(store: &dyn BindingStore, subject: Subject) -> Result<(), Fault> {
    let key = key()?;
    if store.find(&subject).await?.is_some() {
        return Ok(());
    }
    let sight = FirstSight {
        identity: key.derive(&subject),
        origin: Origin::Derived(key.fingerprint()),
        key: key.clone(),
        format: "opaque".into(),
        subject,
        adopt: None,
        at: now(),
    };
    store.bind(&sight).await?;
    Ok(())
}

fn now() -> Timestamp {
    SystemClock::start().now()
}

/// Seconds of processor time of every process named `postgres` on this host.
fn processor_time() -> f64 {
    let mut ticks = 0.0;
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0.0 };
    for entry in entries.flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(')') else { continue };
        if name.contains("postgres") {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let field = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
            ticks += field(11).unwrap_or_default() + field(12).unwrap_or_default();
        }
    }
    ticks / 100.0
}

fn settings(text: &str) -> Result<PostgresSettings, Fault> {
    let url = url::Url::parse(text)?;
    Ok(PostgresSettings {
        host: PostgresHost::Address(url.host_str().ok_or("no host")?.parse()?),
        port: url.port().unwrap_or(5432),
        user: url.username().into(),
        database: url.path().trim_start_matches('/').into(),
        tls: false,
        password: None,
        certificate_authority: None,
    })
}

fn report(rate: f64, busy: f64, mut feeds: Times, mut sights: Times) -> Result<(), Fault> {
    let ms = |times: &mut Times, share| times.quantile(share) / 1e3;
    say(&format!(
        "| steady state, {NEW} new users a second | {rate:.0} transactions a second; PostgreSQL uses {busy:.2} of a core |"
    ))?;
    say(&format!(
        "| asking for changes | p50 {:.1} ms, p99 {:.1} ms |",
        ms(&mut feeds, 0.5),
        ms(&mut feeds, 0.99)
    ))?;
    say(&format!(
        "| a first sight meanwhile | p50 {:.1} ms, p99 {:.1} ms |",
        ms(&mut sights, 0.5),
        ms(&mut sights, 0.99)
    ))
}
