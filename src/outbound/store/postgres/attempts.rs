//! How something is tried on a connection, again and again while that helps and there is time.
use super::{
    PostgresDriver,
    fault::{Remedy, Trouble},
    link::Link,
    links::{Links, chance},
};
use deadpool::managed::{Object, PoolError};
use std::{future::Future, sync::atomic::Ordering, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// Requests that may wait for a connection; more are refused at once, since they would wait past their deadline.
const QUEUE: usize = 4096;

/// How often a step is run that loses against others. One whose connections break is run until its time is over.
const ATTEMPTS: u32 = 10;

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// The same while the server is away, for those who wait until it is back.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// How something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody waits for the answer of a request.
    Request,
    /// Operators' work, which leaves a connection to requests. Where the server is away it is told so at once.
    Short,
    /// One of many steps of such work: all before would be lost with it.
    Long,
}

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
        patience: Patience,
        step: &S,
    ) -> Result<S::Done, Trouble> {
        timeout_at(end, self.tried(patience, step)).await.unwrap_or(Err(Trouble::Slow))
    }

    async fn tried<S: Step>(&self, patience: Patience, step: &S) -> Result<S::Done, Trouble> {
        let mut attempts = 0;
        loop {
            let trouble = match self.once(patience, step).await {
                Ok(done) => return Ok(done),
                Err(trouble) => trouble,
            };
            attempts += 1;
            if patience == Patience::Long && self.will_be_back(&trouble) {
                self.learn(&trouble);
                let most = Duration::from_millis(100 << attempts.min(ATTEMPTS)).min(LONG_PAUSE);
                sleep(chance(&*self.entropy, most)).await;
                continue;
            }
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

    /// Whether the server is away, as it is while it is started again, and was there before in this process's time.
    fn will_be_back(&self, trouble: &Trouble) -> bool {
        let is_away = match trouble {
            Trouble::Unreachable(why) => why.may_pass(),
            Trouble::Standby => true,
            Trouble::Unfit(_)
            | Trouble::Broken
            | Trouble::Lost
            | Trouble::Forgotten(_)
            | Trouble::Slow
            | Trouble::Crowded
            | Trouble::Damaged
            | Trouble::Refused(_)
            | Trouble::Said(_) => false,
        };
        is_away && self.fitted.load(Ordering::Acquire)
    }

    async fn once<S: Step>(&self, patience: Patience, step: &S) -> Result<S::Done, Trouble> {
        let _place = match patience {
            Patience::Short | Patience::Long => {
                Some(self.bulk.acquire().await.map_err(|_| Trouble::Crowded)?)
            }
            Patience::Request => None,
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
                _ => self.doubt(),
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
