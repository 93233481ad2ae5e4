//! Threads that own a connection each, since SQLite blocks and requests must not.
use super::file::{self, FileId, UnfitStore};
use crate::ports::store::StoreError;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for a connection; more are refused at once, since they would wait past their deadline.
const QUEUE: usize = 4096;

/// Requests that share one transaction, and so one write to the disk.
const BATCH: usize = 256;

/// How long a request waits for its answer. What was asked may still happen: to bind a second time is harmless.
const DEADLINE: Duration = Duration::from_secs(5);

/// A thread with a connection and a bounded queue before it. Dropping it answers what was asked, and ends it.
#[derive(Debug)]
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Opens the file and starts the thread. All that waits in the queue shares one transaction of `behavior`.
    pub(super) fn start(
        name: &str,
        path: &Path,
        behavior: TransactionBehavior,
    ) -> Result<Self, UnfitStore> {
        let mut session = Session::open(path, behavior)?;
        let (queue, mut asked) = mpsc::channel::<Box<dyn Work>>(QUEUE);
        let serve = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while asked.blocking_recv_many(&mut batch, BATCH) > 0 {
                session.serve(&mut batch);
            }
        };
        let builder = std::thread::Builder::new().name(name.to_owned());
        let thread = builder.spawn(serve).map_err(UnfitStore::NoThread)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `step` inside a transaction, and answers once that is committed.
    pub(super) async fn ask<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Task { step, answer: None, reply });
        let queue = self.queue.as_ref().ok_or_else(|| unavailable("the store is closed"))?;
        queue.try_send(task).map_err(|_| unavailable("too many requests wait for the store"))?;
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) => Err(unavailable("the store's thread has ended")),
            Err(_) => Err(unavailable("the store did not answer in time")),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // It cannot be told from here that the thread panicked, and nothing is left to do.
            let _ = thread.join();
        }
    }
}

fn unavailable(reason: &'static str) -> StoreError {
    StoreError::Unavailable(reason.into())
}

/// One request in the queue.
trait Work: Send {
    /// Does it, inside the transaction.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// Answers: with what was found out, now durable, or with the failure of the whole transaction.
    fn finish(self: Box<Self>, failure: Option<&Failure>);

    /// Whether nobody waits for it any more.
    fn is_forsaken(&self) -> bool;
}

struct Task<T, F> {
    step: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.answer = Some((self.step)(connection)?);
        Ok(())
    }

    fn finish(self: Box<Self>, failure: Option<&Failure>) {
        let answer = match (failure, self.answer) {
            (None, Some(answer)) => Ok(answer),
            (Some(failure), _) => Err(failure.as_error()),
            (None, None) => Err(unavailable("the request was not run")),
        };
        // Whoever asked may have gone.
        let _ = self.reply.send(answer);
    }

    fn is_forsaken(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Why a whole transaction came to nothing.
enum Failure {
    Damaged,
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    fn as_error(&self) -> StoreError {
        match self {
            Self::Damaged => StoreError::Damaged,
            Self::Unavailable(cause) => StoreError::Unavailable(Box::new(Arc::clone(cause))),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged,
            Some(_) | None => Self::Unavailable(Arc::new(error)),
        }
    }
}

/// A connection, and the file it belongs to.
struct Session {
    path: PathBuf,
    behavior: TransactionBehavior,
    open: Option<(Connection, Option<FileId>)>,
}

impl Session {
    fn open(path: &Path, behavior: TransactionBehavior) -> Result<Self, UnfitStore> {
        let mut session = Self { path: path.to_owned(), behavior, open: None };
        session.connection()?;
        Ok(session)
    }

    fn serve(&mut self, batch: &mut Vec<Box<dyn Work>>) {
        batch.retain(|work| !work.is_forsaken());
        let failure = self.transact(batch).err();
        for work in batch.drain(..) {
            work.finish(failure.as_ref());
        }
    }

    fn transact(&mut self, batch: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let behavior = self.behavior;
        let connection =
            self.connection().map_err(|unfit| Failure::Unavailable(Arc::new(unfit)))?;
        let transaction = Transaction::new(connection, behavior)?;
        for work in batch {
            work.run(&transaction)?;
        }
        Ok(transaction.commit()?)
    }

    /// The connection to the file that is at the path now: SQLite would go on writing into one that was deleted, and
    /// what was acknowledged would be gone with the process.
    fn connection(&mut self) -> Result<&mut Connection, UnfitStore> {
        let there = FileId::at(&self.path);
        if self.open.as_ref().is_some_and(|(_, id)| there.is_none() || *id != there) {
            self.open = None;
        }
        let (connection, _) = match self.open.take() {
            Some(open) => self.open.insert(open),
            None => self.open.insert((file::open(&self.path)?, FileId::at(&self.path))),
        };
        Ok(connection)
    }
}
