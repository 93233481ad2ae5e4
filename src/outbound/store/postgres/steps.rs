//! What is done on a connection.
use super::{
    PostgresDriver,
    attempts::{Lease, Step, left},
    fault::Trouble,
    schema,
    transaction::{Access, PgTx},
};
use crate::outbound::store::sql::{Fault, Job, Tx};
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// Nothing. To begin a transaction that may write already fails on a standby.
struct Ping;

impl Job for Ping {
    type Answer = ();

    async fn run<T: Tx>(&self, _: &mut T) -> Result<(), Fault> {
        Ok(())
    }
}

/// Makes sure of the schema.
pub(super) struct Fit(pub(super) Instant);

impl Step for Fit {
    type Done = ();

    async fn run(&self, driver: &PostgresDriver, lease: &mut Lease) -> Result<(), Trouble> {
        driver.fit(lease.link()?, self.0).await?;
        lease.is_in_order();
        Ok(())
    }
}

/// Looks at the schema again, which others may have changed beneath connections that last, and whether it can be
/// written.
pub(super) struct Look(pub(super) Instant);

impl Step for Look {
    type Done = ();

    async fn run(&self, driver: &PostgresDriver, lease: &mut Lease) -> Result<(), Trouble> {
        lease.link()?.fits = 0;
        Transact { job: &Ping, access: Access::Write, end: self.0 }.run(driver, lease).await
    }
}

/// Brings the schema to this version's.
pub(super) struct Advance(pub(super) Instant);

impl Step for Advance {
    type Done = bool;

    async fn run(&self, _: &PostgresDriver, lease: &mut Lease) -> Result<bool, Trouble> {
        let is_new = schema::advance(lease.link()?, left(self.0)).await?;
        lease.is_in_order();
        Ok(is_new)
    }
}

/// Runs a job in a transaction.
pub(super) struct Transact<'a, J> {
    pub(super) job: &'a J,
    pub(super) access: Access,
    pub(super) end: Instant,
}

impl<J: Job> Step for Transact<'_, J> {
    type Done = J::Answer;

    async fn run(&self, driver: &PostgresDriver, lease: &mut Lease) -> Result<J::Answer, Trouble> {
        let link = lease.link()?;
        driver.fit(link, self.end).await?;
        let whole = driver.pooled.load(Ordering::Relaxed);
        let mut tx = PgTx::begin(link, self.access, left(self.end), whole).await?;
        match self.job.run(&mut tx).await {
            Ok(answer) => {
                tx.commit().await?;
                lease.is_in_order();
                Ok(answer)
            }
            Err(fault) => {
                let (trouble, in_order) = tx.abandon(fault).await;
                if in_order {
                    lease.is_in_order();
                }
                Err(trouble)
            }
        }
    }
}
