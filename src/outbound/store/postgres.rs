//! The shared store: one PostgreSQL for any number of sidecars (contract 8).
//!
//! Nothing here needs more of the server than plain transactions: no session outlives one, so that a pooler may stand
//! before it, and no lock but of rows, so that CockroachDB and YugabyteDB will do.
mod attempts;
mod fault;
mod link;
mod links;
mod schema;
mod server;
mod steps;
mod transaction;
mod values;

use super::sql::{Driver, Job, Pace, SqlStore};
use crate::{
    outbound::http::trust::UnusableTrust,
    ports::{clock::Clock, entropy::Entropy, store::StoreError},
};
use attempts::{Patience, left};
use deadpool::managed::{Pool, QueueMode};
use fault::Trouble;
pub use fault::{UnfitPostgres, Unreachable};
use link::Link;
use links::Links;
pub use server::{PostgresHost, PostgresSettings};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use steps::{Advance, Fit, Look, Transact};
use tokio::{sync::Semaphore, time::Instant};
use transaction::Access;

/// The registry in PostgreSQL. What it acknowledged survives this process, and the server's.
pub type PostgresStore = SqlStore<PostgresDriver>;

/// How long a start waits for the schema, which other sidecars may be making at the same time.
const OPENING: Duration = Duration::from_secs(30);

/// Runs jobs in transactions of one PostgreSQL. It connects when there is something to do, and again when it has to.
pub struct PostgresDriver {
    pool: Pool<Links>,
    /// Operators' work leaves a connection to requests, where there is more than one.
    bulk: Semaphore,
    entropy: Arc<dyn Entropy>,
    schema: Schema,
    /// Whether the schema was once found to be this release's.
    fitted: AtomicBool,
    /// Counted up when what was found on a connection may no longer be so on any.
    epoch: AtomicU64,
    /// Whether this driver brought it to that.
    migrated: AtomicBool,
    /// Whether a pooler was seen to mix up prepared statements.
    pooled: AtomicBool,
    place: Box<str>,
}

/// What a driver is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which PostgreSQL.
    pub server: PostgresSettings,
    /// `store.maxConnections`, at least 1.
    pub max_connections: u32,
    /// What may be done to its schema.
    pub schema: Schema,
}

/// What may be done to the schema by whoever finds it first. Once it was fit nothing is done to it but by
/// `usher migrate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// It is made, or brought to this version's (`store.migrate: auto`).
    Make,
    /// It is brought to this version's where there is one.
    Advance,
    /// Nothing.
    Keep,
}

/// The store cannot be used now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotOpen {
    /// It may be usable later: usher goes on without it, and tries again with every request that needs it.
    #[error("PostgreSQL at {place} cannot be used yet: {why}")]
    Later {
        /// `host:port`, or the socket.
        place: Box<str>,
        /// What was in the way.
        why: Box<str>,
    },
    /// Only an operator can help (exit 69).
    #[error("the database at {place} {unfit}")]
    Unfit {
        /// `host:port`, or the socket.
        place: Box<str>,
        /// What is wrong with it.
        unfit: UnfitPostgres,
    },
}

impl PostgresStore {
    /// Does not connect yet.
    ///
    /// # Errors
    /// The `certificateAuthority` cannot be used.
    pub fn to(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, UnusableTrust> {
        Ok(Self::new(PostgresDriver::new(config, Arc::clone(&clock), entropy)?, clock))
    }

    /// Connects and finds the schema fit, or brings it to this version's. Without this the first that is asked does.
    ///
    /// # Errors
    /// Each variant of [`NotOpen`].
    pub async fn open(&self) -> Result<(), NotOpen> {
        // Whoever starts usher holds this for long, and it is large.
        Box::pin(self.driver().open()).await
    }

    /// Uses another password, authority or address for connections from now on.
    ///
    /// # Errors
    /// The `certificateAuthority` cannot be used; nothing has changed then.
    pub fn follow(&self, server: PostgresSettings) -> Result<(), UnusableTrust> {
        self.driver().follow(server)
    }
}

impl PostgresDriver {
    fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, UnusableTrust> {
        let place = config.server.to_string().into();
        let links = Links::to(config.server, clock, Arc::clone(&entropy))?;
        let most = usize::try_from(config.max_connections).unwrap_or(usize::MAX).max(1);
        // The one that was used last comes first, so that those beyond the need grow old.
        let pool = Pool::builder(links).max_size(most).queue_mode(QueueMode::Lifo).build();
        Ok(Self {
            // Without time limits of its own there is nothing it could lack.
            pool: pool.map_err(|_| UnusableTrust::Empty)?,
            bulk: Semaphore::new(most.saturating_sub(1).max(1)),
            entropy,
            schema: config.schema,
            fitted: AtomicBool::new(false),
            epoch: AtomicU64::new(1),
            migrated: AtomicBool::new(false),
            pooled: AtomicBool::new(false),
            place,
        })
    }

    fn follow(&self, server: PostgresSettings) -> Result<(), UnusableTrust> {
        self.pool.manager().follow(server)
    }

    async fn open(&self) -> Result<(), NotOpen> {
        let end = Instant::now() + OPENING;
        self.within(end, Patience::Request, &Fit(end)).await.map_err(|trouble| match trouble {
            Trouble::Unfit(unfit) => NotOpen::Unfit { place: self.place.clone(), unfit },
            Trouble::Unreachable(why) => self.later(&why),
            Trouble::Broken
            | Trouble::Lost
            | Trouble::Forgotten(_)
            | Trouble::Standby
            | Trouble::Slow
            | Trouble::Crowded
            | Trouble::Damaged
            | Trouble::Refused(_)
            | Trouble::Said(_) => self.later(&trouble),
        })
    }

    fn later(&self, why: &dyn fmt::Display) -> NotOpen {
        NotOpen::Later { place: self.place.clone(), why: why.to_string().into() }
    }

    /// Makes sure of the schema, once for each connection: another process may have brought it to a later major
    /// version, or the same name leads to another database.
    async fn fit(&self, link: &mut Link, end: Instant) -> Result<(), Trouble> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if link.fits == epoch {
            return Ok(());
        }
        if let Err(trouble) = self.fitted_by(link, end).await {
            if matches!(trouble, Trouble::Unfit(_)) {
                // It is behind the other connections as well.
                self.doubt();
            }
            return Err(trouble);
        }
        link.fits = epoch;
        self.fitted.store(true, Ordering::Release);
        Ok(())
    }

    async fn fitted_by(&self, link: &Link, end: Instant) -> Result<(), Trouble> {
        let found = schema::look(link).await?;
        if found == schema::Found::Fit {
            return Ok(());
        }
        let unfit = match (self.schema, found) {
            // Made anew it would know nobody, and imported users would get other identities.
            _ if self.fitted.load(Ordering::Acquire) => UnfitPostgres::Gone,
            (Schema::Advance, schema::Found::Nothing) => UnfitPostgres::Missing,
            (Schema::Keep, _) => UnfitPostgres::Behind,
            (Schema::Make | Schema::Advance, _) => {
                let is_new = schema::advance(link, left(end)).await?;
                self.migrated.fetch_or(is_new, Ordering::Relaxed);
                return Ok(());
            }
        };
        Err(Trouble::Unfit(unfit))
    }

    /// Has each connection's schema looked at before it is used again.
    fn doubt(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    async fn job<J: Job>(
        &self,
        job: &J,
        access: Access,
        pace: Pace,
    ) -> Result<J::Answer, StoreError> {
        let end = Instant::now() + pace.deadline();
        let step = Transact { job, access, end };
        let patience = match pace {
            Pace::Request => Patience::Request,
            Pace::Bulk | Pace::Aside if J::PATIENT => Patience::Long,
            Pace::Bulk | Pace::Aside => Patience::Short,
        };
        self.within(end, patience, &step).await.map_err(Trouble::into_error)
    }
}

impl Driver for PostgresDriver {
    fn is_durable(&self) -> bool {
        true
    }

    async fn read<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        self.job(&job, Access::Read, pace).await
    }

    async fn write<J: Job>(&self, job: J, pace: Pace) -> Result<J::Answer, StoreError> {
        self.job(&job, Access::Write, pace).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let end = Instant::now() + Pace::Request.deadline();
        self.within(end, Patience::Request, &Look(end)).await.map_err(Trouble::into_error)
    }

    async fn migrate(&self) -> Result<bool, StoreError> {
        let end = Instant::now() + Pace::Bulk.deadline();
        let advanced = self.within(end, Patience::Request, &Advance(end)).await;
        let is_new = advanced.map_err(Trouble::into_error)?;
        Ok(is_new || self.migrated.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for PostgresDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresDriver").field("place", &self.place).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "postgres-tests")]
mod tests;
