//! The registry in SQL, once for every database (contract 4 and 8).
//!
//! What `SQLite` and `PostgreSQL` do differently is behind [`Driver`] and [`Tx`]; statements are plain SQL that both take.
//! A [`Job`] decides before it writes: its answer, also a refusal, is committed.
mod adopting;
mod binding;
mod changing;
mod comparing;
mod feed;
mod foreseeing;
mod gate;
mod history;
mod imported;
mod importing;
mod moving;
mod pinning;
mod reading;
mod rekeying;
mod showing;
mod store;
mod tx;

use crate::ports::store::StoreError;
pub(super) use feed::digest_of;
use std::{fmt::Debug, future::Future, time::Duration};
pub use store::SqlStore;
pub use tx::{Cell, Fault, Row, Tx, Value};

/// Runs jobs in transactions of one database.
pub trait Driver: Debug + Send + Sync + 'static {
    /// Whether what is written outlives the process.
    fn is_durable(&self) -> bool;

    /// Runs a job that only reads; it sees one state of the database.
    fn read<J: Job>(
        &self,
        job: J,
        pace: Pace,
    ) -> impl Future<Output = Result<J::Answer, StoreError>> + Send;

    /// Runs a job that may write, and answers once what it wrote is durable. A job that lost against another, or whose
    /// connection broke, is run again while its pace allows.
    fn write<J: Job>(
        &self,
        job: J,
        pace: Pace,
    ) -> impl Future<Output = Result<J::Answer, StoreError>> + Send;

    /// Whether the database can be read and written now.
    fn ping(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Brings the database to this version's schema; whether there was anything to do.
    fn migrate(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// What happens in one transaction. It may be run more than once, so it must come to the same when it did it before.
pub trait Job: Send + Sync + 'static {
    /// What it finds out.
    type Answer: Send + 'static;

    /// Whether it waits, within its pace, for a database that is away for a while: one of many steps, with which all
    /// before it would be lost.
    const PATIENT: bool = false;

    /// Does it.
    fn run<T: Tx>(&self, tx: &mut T) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// How long a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Somebody waits for the answer of a request.
    Request,
    /// An operator's work on many rows. It must not stand in the way of requests.
    Bulk,
    /// One of many steps of such work that count for nothing until a later job of another pace is done: they need not
    /// be durable before that.
    Aside,
}

impl Pace {
    /// The deadline, with all that is tried again.
    pub fn deadline(self) -> Duration {
        match self {
            Self::Request => Duration::from_secs(5),
            Self::Bulk | Self::Aside => Duration::from_mins(15),
        }
    }
}
