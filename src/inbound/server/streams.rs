//! Runs the streams of one HTTP/2 connection inside the connection's own task, so that they end with it.
use futures_util::stream::{FuturesUnordered, Stream};
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Takes hyper's stream tasks. hyper calls it only while its connection is polled.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Task>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Inbox {
    fn execute(&self, task: F) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::pin(task));
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// The streams that run.
#[derive(Debug, Default)]
pub(super) struct Streams {
    inbox: Inbox,
    running: FuturesUnordered<Task>,
}

impl Streams {
    /// Where hyper puts new ones.
    pub(super) fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Lets each stream that can go on do so.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let fresh =
            std::mem::take(&mut *self.inbox.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.running.extend(fresh);
        while let Poll::Ready(Some(())) = Pin::new(&mut self.running).poll_next(cx) {}
    }
}
