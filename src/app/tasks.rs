//! The only spawner: every background task has a name and an owner, and ends with it, softly, then hard.
use std::{future::Future, time::Duration};
use tokio::{
    sync::watch,
    task::{Id, JoinSet},
    time::{Instant, timeout_at},
};

/// Owns every task of the process. Dropping it aborts them all.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
    stop: watch::Sender<bool>,
}

/// Tells a task that it should come to an end by itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns once the stop was asked for, or the owner is gone; at once if that has happened already.
    pub async fn requested(mut self) {
        // An error means that the sender is gone, which is as good a reason to stop.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// Owns nothing yet.
    pub fn new() -> Self {
        Self { set: JoinSet::new(), names: Vec::new(), stop: watch::Sender::new(false) }
    }

    /// The signal that [`Tasks::stop`] gives.
    pub fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Runs `task` beside the others until it ends or is stopped. `name` is for logs.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.push((id, name));
    }

    /// The next task that ends before it was asked to: its name, and whether it panicked. `None` once there is
    /// none left. Whether an early end matters is for the caller to say.
    pub async fn ended(&mut self) -> Option<(&'static str, Ending)> {
        let (id, ending) = match self.set.join_next_with_id().await? {
            Ok((id, ())) => (id, Ending::Done),
            Err(error) => (error.id(), Ending::of(&error)),
        };
        Some((self.forget(id), ending))
    }

    /// Asks every task to stop, waits for them at most `grace`, and aborts the rest.
    ///
    /// Returns the names of those that had to be aborted, or that panicked on their way out.
    pub async fn stop(mut self, grace: Duration) -> Vec<&'static str> {
        self.stop.send_replace(true);
        let deadline = Instant::now() + grace;
        let mut unwell = Vec::new();
        while let Ok(Some((name, ending))) = timeout_at(deadline, self.ended()).await {
            if ending == Ending::Panicked {
                unwell.push(name);
            }
        }
        unwell.extend(self.names.iter().map(|(_, name)| *name));
        self.set.shutdown().await;
        unwell
    }

    fn forget(&mut self, id: Id) -> &'static str {
        match self.names.iter().position(|(known, _)| *known == id) {
            Some(at) => self.names.swap_remove(at).1,
            None => "unnamed",
        }
    }
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It returned.
    Done,
    /// It panicked: a fault of usher's.
    Panicked,
    /// It was aborted.
    Aborted,
}

impl Ending {
    fn of(error: &tokio::task::JoinError) -> Self {
        if error.is_panic() { Self::Panicked } else { Self::Aborted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_heeds_the_stop_ends_by_itself() {
        let mut tasks = Tasks::new();
        let stop = tasks.stop_signal();
        tasks.spawn("polite", stop.requested());
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, Vec::<&str>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_is_aborted_after_the_grace_and_named() {
        let mut tasks = Tasks::new();
        tasks.spawn("deaf", pending());
        let began = Instant::now();
        assert_eq!(tasks.stop(Duration::from_secs(5)).await, ["deaf"]);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_panic_is_told_with_the_name_of_its_task() {
        let mut tasks = Tasks::new();
        tasks.spawn("clumsy", async { panic!("as the test wants") });
        assert_eq!(tasks.ended().await, Some(("clumsy", Ending::Panicked)));
        assert_eq!(tasks.ended().await, None);
    }
}
