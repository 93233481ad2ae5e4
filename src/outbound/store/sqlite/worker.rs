//! Threads that own a connection each, since SQLite blocks and requests must not.
use super::{
    file::UnfitStore,
    session::{Failure, Session},
    tx::SqliteTx,
};
use crate::{
    outbound::store::sql::{Fault, Job},
    ports::store::StoreError,
};
use futures_util::FutureExt;
use std::{thread::JoinHandle, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Jobs that may wait for a connection; more are refused at once, since they would wait past their deadline.
const QUEUE: usize = 4096;

/// Jobs that share one transaction, and so one write to the disk.
const BATCH: usize = 256;

/// A thread with a connection and a bounded queue before it. Dropping it answers what was asked, and ends it.
#[derive(Debug)]
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread. All that waits in the queue shares one transaction.
    pub(super) fn start(name: &str, mut session: Session) -> Result<Self, UnfitStore> {
        let (queue, mut asked) = mpsc::channel::<Box<dyn Work>>(QUEUE);
        let serve = move || {
            let mut batch = Vec::with_capacity(BATCH);
            while asked.blocking_recv_many(&mut batch, BATCH) > 0 {
                serve(&mut session, &mut batch);
            }
        };
        let builder = std::thread::Builder::new().name(name.to_owned());
        let thread = builder.spawn(serve).map_err(UnfitStore::NoThread)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs a job inside a transaction, and answers once that is committed. What was asked may still happen after
    /// `deadline`: to do it a second time is harmless.
    pub(super) async fn ask<J: Job>(
        &self,
        job: J,
        deadline: Duration,
    ) -> Result<J::Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Task { job, answer: None, reply });
        let queue = self.queue.as_ref().ok_or_else(|| unavailable("the store is closed"))?;
        queue.try_send(task).map_err(|_| unavailable("too many requests wait for the store"))?;
        match tokio::time::timeout(deadline, answer).await {
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

fn serve(session: &mut Session, batch: &mut Vec<Box<dyn Work>>) {
    batch.retain(|work| !work.is_forsaken());
    match session.transact(batch) {
        Ok(()) => batch.drain(..).for_each(|work| work.finish(None)),
        // What one of them came to must not be the others' end.
        Err(_) if batch.len() > 1 => {
            for mut work in batch.drain(..) {
                let failure = session.transact(std::slice::from_mut(&mut work)).err();
                work.finish(failure.as_ref());
            }
        }
        Err(failure) => batch.drain(..).for_each(|work| work.finish(Some(&failure))),
    }
}

/// One job in the queue.
pub(super) trait Work: Send {
    /// Does it, inside the transaction.
    fn run(&mut self, tx: &mut SqliteTx<'_>) -> Result<(), Fault>;

    /// Answers: with what was found out, now durable, or with the failure of the whole transaction.
    fn finish(self: Box<Self>, failure: Option<&Failure>);

    /// Whether nobody waits for it any more.
    fn is_forsaken(&self) -> bool;
}

struct Task<J: Job> {
    job: J,
    answer: Option<J::Answer>,
    reply: oneshot::Sender<Result<J::Answer, StoreError>>,
}

impl<J: Job> Work for Task<J> {
    fn run(&mut self, tx: &mut SqliteTx<'_>) -> Result<(), Fault> {
        // SQLite answers where it is asked, so nothing in the job ever waits.
        let ran = self.job.run(tx).now_or_never();
        self.answer = Some(ran.unwrap_or_else(|| Err(Fault::said("the job waited")))?);
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
