//! How something is tried on a connection, again and again while that helps and there is time.
use super::{
    PostgresDriver,
    fault::{Remedy, Trouble},
    link::Link,
    links::{Links, chance},
};
use crate::outbound::store::sql::Pace;
use deadpool::managed::{Object, PoolError};
use std::{future::Future, sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Requests that may wait for a connection; more are refused at once, since they would wait past their deadline.
const QUEUE: usize = 4096;

/// How often a step is run that loses against others. One whose connections break is run until its time is over.
const ATTEMPTS: u32 = 10;

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// What is tried. It comes to the same when it happened before.
pub(super) trait Step: Sync {
    /// What it finds out.
    type Done: Send;

    /// Does it, and says where the connection is in order afterwards.
    fn run(
        &self,
        driver: &PostgresDriver,
        lease: &mut Lease,
    ) -> impl Future<Output = Result<Self::Done, Trouble>> + Send;
}

impl PostgresDriver {
    /// Runs `step` until it succeeds, fails for good, or `end`.
    pub(super) async fn within<S: Step>(
        &self,
        end: Instant,
        pace: Pace,
        step: &S,
    ) -> Result<S::Done, Trouble> {
        timeout_at(end, self.tried(pace, step)).await.unwrap_or(Err(Trouble::Slow))
    }

    async fn tried<S: Step>(&self, pace: Pace, step: &S) -> Result<S::Done, Trouble> {
        let mut attempts = 0;
        loop {
            let trouble = match self.once(pace, step).await {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            attempts += 1;
            let is_broken = matches!(trouble, Trouble::Broken);
            if trouble.remedy() == Remedy::Nothing || (attempts >= ATTEMPTS && !is_broken) {
                return Err(trouble);
            }
            self.learn(&trouble);
            // Full jitter: those that were in each other's way must not meet again.
            let most = Duration::from_millis(5 << attempts.min(ATTEMPTS)).min(PAUSE);
            sleep(chance(&*self.entropy, most)).await;
        }
    }

    async fn once<S: Step>(&self, pace: Pace, step: &S) -> Result<S::Done, Trouble> {
        let _place = match pace {
            Pace::Bulk | Pace::Aside => {
                Some(self.bulk.acquire().await.map_err(|_| Trouble::Crowded)?)
            }
            Pace::Request => None,
        };
        if self.pool.status().waiting >= QUEUE {
            return Err(Trouble::Crowded);
        }
        let object = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(why) => Trouble::Unreachable(why),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Trouble::Crowded,
        })?;
        let mut lease = Lease { object: Some(object), in_order: false };
        step.run(self, &mut lease).await
    }

    /// What must be done differently next time.
    fn learn(&self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Broken | Trouble::Standby) {
            // The others that wait in the pool lead to the same server.
            self.pool.retain(|_, _| false);
        }
        if let Trouble::Forgotten(code) = trouble {
            match &**code {
                // No such prepared statement, or one already: it is another connection behind the pooler.
                "26000" | "42P05" => self.pooled.store(true, Ordering::Relaxed),
                _ => self.fits.store(false, Ordering::Release),
            }
        }
    }
}

/// The time that is left.
pub(super) fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// A connection that is lent. It is closed unless it was said to be in order: whoever was interrupted in the midst of
/// a transaction must not leave it to the next.
#[derive(Debug)]
pub(super) struct Lease {
    object: Option<Object<Links>>,
    in_order: bool,
}

impl Lease {
    pub(super) fn link(&mut self) -> Result<&mut Link, Trouble> {
        self.object.as_deref_mut().ok_or(Trouble::Broken)
    }

    /// There is no transaction on it.
    pub(super) fn is_in_order(&mut self) {
        self.in_order = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take().filter(|_| !self.in_order) {
            drop(Object::take(object));
        }
    }
}
