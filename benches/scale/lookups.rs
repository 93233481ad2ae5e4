//! First sights and cold look-ups, in files of different sizes, in turns.
use crate::{Fault, figures::Times, fill::fill, key, say, subject};
use std::{path::Path, sync::Arc, time::Instant};
use usher::{
    domain::time::Timestamp,
    outbound::{store::sqlite::SqliteStore, system::SystemClock},
    ports::store::{BindingStore, FirstSight, Origin, Pin},
};

/// Turns; each store has every one.
const TURNS: u64 = 40;

/// Operations of a kind a turn.
const A_TURN: u64 = 250;

struct Sized {
    rows: u64,
    store: SqliteStore,
    sights: Times,
    looks: Times,
    mib: f64,
}

/// Measures files of so many rows, and prints a row of a table for each.
pub(crate) async fn measure(folder: &Path, rows: &[u64]) -> Result<(), Fault> {
    let mut stores = Vec::new();
    for rows in rows {
        stores.push(open(folder, *rows).await?);
    }
    for turn in 0..TURNS {
        for sized in &mut stores {
            sized.look(turn).await?;
            sized.sight(turn).await?;
        }
    }
    say(
        "| rows | file | first sight p50 | p99 | cold look-up p50 | p99 |\n|---|---|---|---|---|---|",
    )?;
    for sized in &mut stores {
        let row = format!(
            "| {} | {:.0} MiB | {:.0} µs | {:.0} µs | {:.0} µs | {:.0} µs |",
            sized.rows,
            sized.mib,
            sized.sights.quantile(0.5),
            sized.sights.quantile(0.99),
            sized.looks.quantile(0.5),
            sized.looks.quantile(0.99),
        );
        say(&row)?;
    }
    Ok(())
}

async fn open(folder: &Path, rows: u64) -> Result<Sized, Fault> {
    let path = folder.join(format!("{rows}.db"));
    let clock = Arc::new(SystemClock::start());
    drop(SqliteStore::open(&path, true, Arc::clone(&clock) as _)?);
    fill(&path, rows)?;
    let mib = std::fs::metadata(&path)?.len() as f64 / 1_048_576.0;
    let store = SqliteStore::open(&path, true, clock)?;
    let pin = Pin {
        fingerprint: key()?.fingerprint(),
        formats: vec![("corp".parse()?, "opaque".into())],
    };
    store.pin(&pin).await?;
    let (sights, looks) = (Times::default(), Times::default());
    Ok(Sized { rows, store, sights, looks, mib })
}

impl Sized {
    /// Users the store has, in an order that says nothing; where it has none, users it does not have.
    async fn look(&mut self, turn: u64) -> Result<(), Fault> {
        for at in 0..A_TURN {
            let number =
                (turn * A_TURN + at).wrapping_mul(0x2545_f491_4f6c_dd1d) % self.rows.max(1);
            let subject = subject(number)?;
            let start = Instant::now();
            let found = self.store.find(&subject).await?;
            self.looks.add(start.elapsed());
            if found.is_some() != (self.rows > 0) {
                return Err("a user is missing, or made up".into());
            }
        }
        Ok(())
    }

    async fn sight(&mut self, turn: u64) -> Result<(), Fault> {
        let key = key()?;
        for at in 0..A_TURN {
            // Ids of their own at every run.
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
            let subject = subject(now.as_nanos() as u64 + turn + at)?;
            let sight = FirstSight {
                identity: key.derive(&subject),
                origin: Origin::Derived(key.fingerprint()),
                key: key.clone(),
                format: "opaque".into(),
                subject,
                adopt: None,
                at: Timestamp(now.as_secs()),
            };
            let start = Instant::now();
            // As a request does: it looks first.
            self.store.find(&sight.subject).await?;
            self.store.bind(&sight).await?;
            self.sights.add(start.elapsed());
        }
        Ok(())
    }
}
