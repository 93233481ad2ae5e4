//! What the parts of one connection tell each other: its socket, its service and its watchdog.
//!
//! All of them run in one task, one after the other; the atomics are there because that task may move between
//! threads, and are never contended.
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
};

/// A body whose length its head does not tell: `Transfer-Encoding: chunked`.
pub(super) const UNFRAMED: u64 = u64::MAX;

/// The state of one connection.
#[derive(Debug, Default)]
pub(super) struct Gate {
    partial: AtomicBool,
    ambiguous: AtomicBool,
    blocked: AtomicBool,
    closing: AtomicBool,
    multiplexed: AtomicBool,
    in_flight: AtomicU32,
    turn: AtomicU32,
    body: AtomicU64,
}

/// What a connection is doing, as far as time limits care. The number tells one period from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A head has begun and has not ended.
    Head(u32),
    /// A handler works; it has deadlines of its own.
    Busy,
    /// The client does not take what we write.
    Writing,
    /// Nothing is under way.
    Idle(u32),
    /// We have said all, and read what is left.
    Closing,
}

impl Gate {
    /// The connection speaks HTTP/2.
    pub(super) fn multiplex(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    /// A head has begun and not ended, or has.
    pub(super) fn head_is_partial(&self, partial: bool) {
        self.partial.store(partial, Relaxed);
    }

    /// Whether a head has begun and not ended.
    pub(super) fn has_partial_head(&self) -> bool {
        self.partial.load(Relaxed)
    }

    /// The head that goes to the service next has both `Content-Length` and `Transfer-Encoding`.
    pub(super) fn head_is_ambiguous(&self) {
        self.ambiguous.store(true, Relaxed);
    }

    /// The last write did not go through, or did.
    pub(super) fn write_is_blocked(&self, blocked: bool) {
        if self.blocked.load(Relaxed) != blocked {
            self.blocked.store(blocked, Relaxed);
        }
    }

    /// Our last byte is written.
    pub(super) fn close(&self) {
        self.closing.store(true, Relaxed);
    }

    /// How much of the request's body the socket has not yet handed on.
    pub(super) fn body(&self) -> u64 {
        self.body.load(Relaxed)
    }

    /// `bytes` of the body were handed on.
    pub(super) fn body_passed(&self, bytes: usize) {
        let left = self.body();
        if left != UNFRAMED {
            self.body.store(left.saturating_sub(bytes as u64), Relaxed);
        }
    }

    /// The service takes a request whose body is `body` bytes long. Call it before the socket is read again.
    pub(super) fn begin(self: &Arc<Self>, body: u64) -> Turn {
        self.in_flight.fetch_add(1, Relaxed);
        self.turn.fetch_add(1, Relaxed);
        if !self.multiplexed.load(Relaxed) {
            self.body.store(body, Relaxed);
        }
        Turn { gate: Arc::clone(self), ambiguous: self.ambiguous.swap(false, Relaxed) }
    }

    /// What the connection is doing now.
    pub(super) fn stage(&self) -> Stage {
        let busy = self.in_flight.load(Relaxed) > 0;
        // While one HTTP/1 request is answered nobody reads the next head, which may then take its time.
        let heads_are_read = self.multiplexed.load(Relaxed) || !busy;
        if self.closing.load(Relaxed) {
            Stage::Closing
        } else if self.blocked.load(Relaxed) {
            Stage::Writing
        } else if self.partial.load(Relaxed) && heads_are_read {
            Stage::Head(self.turn.load(Relaxed))
        } else if busy {
            Stage::Busy
        } else {
            Stage::Idle(self.turn.load(Relaxed))
        }
    }
}

/// One request in the hands of a handler, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Arc<Gate>,
    /// The request has both `Content-Length` and `Transfer-Encoding`.
    pub(super) ambiguous: bool,
}

impl Turn {
    /// Whether the client has not sent, or we have not taken, all of the request's body.
    pub(super) fn is_cut_short(&self) -> bool {
        self.gate.body() > 0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.gate.in_flight.fetch_sub(1, Relaxed);
    }
}
