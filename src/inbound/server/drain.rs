//! Tells every connection of a listener that no more are wanted.
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::{Notify, futures::Notified};

/// Off until it is on.
#[derive(Debug, Default)]
pub(super) struct Drain {
    on: AtomicBool,
    notify: Notify,
}

impl Drain {
    /// Begins to drain.
    pub(super) fn begin(&self) {
        self.on.store(true, Relaxed);
        self.notify.notify_waiters();
    }

    /// Whether it has begun: cheap enough to ask at every poll.
    pub(super) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Ready when it begins; ask [`Drain::is_on`] after making this, since it may have begun before.
    pub(super) fn begun(&self) -> Notified<'_> {
        self.notify.notified()
    }
}
