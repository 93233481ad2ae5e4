//! The time limits of one connection. hyper has one timer for the head and for keep-alive together, and none
//! for a client that does not read.
use super::{
    gate::{Gate, Stage},
    limits::Limits,
};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Watches what a connection does, and for how long. Poll it after the connection, in the same task.
#[derive(Debug)]
pub(super) struct Watchdog {
    limits: Limits,
    stage: Stage,
    since: Instant,
    /// Fires at `armed`, which may be earlier than the present deadline: moving a timer costs more than
    /// looking at the clock once more when it fires.
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
    registered: bool,
}

/// What to do with a connection whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It idles: let it say goodbye.
    Finish,
    /// It stalls: drop it.
    Drop,
}

impl Watchdog {
    /// Watches a connection whose first head began at `began`.
    pub(super) fn new(limits: Limits, began: Instant) -> Self {
        let armed = began + limits.head;
        let sleep = Box::pin(sleep_until(armed));
        Self { limits, stage: Stage::Head(0), since: began, sleep, armed, registered: false }
    }

    /// Ready once the connection has been in its present stage for too long.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        gate: &Gate,
        draining: bool,
    ) -> Poll<Verdict> {
        let stage = gate.stage();
        if stage != self.stage {
            self.stage = stage;
            self.since = Instant::now();
        }
        let Some(limit) = self.limit(draining) else { return Poll::Pending };
        let deadline = self.since + limit;
        if deadline < self.armed {
            self.arm(deadline);
        }
        loop {
            if self.registered && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.registered = true;
            ready!(self.sleep.as_mut().poll(cx));
            if deadline <= self.armed {
                break;
            }
            self.arm(deadline);
        }
        Poll::Ready(match self.stage {
            Stage::Idle(_) => Verdict::Finish,
            Stage::Head(_) | Stage::Busy | Stage::Writing | Stage::Closing => Verdict::Drop,
        })
    }

    /// Gives the connection `grace` more, whatever it does; after that it is dropped.
    pub(super) fn finish_within(&mut self, grace: Duration) {
        self.limits.idle = grace;
        self.limits.first_byte = grace;
        self.limits.drain_idle = grace;
        self.since = Instant::now();
    }

    fn limit(&self, draining: bool) -> Option<Duration> {
        match self.stage {
            Stage::Head(_) => Some(self.limits.head),
            Stage::Writing => Some(self.limits.write),
            Stage::Closing => Some(self.limits.closing),
            Stage::Idle(_) if draining => Some(self.limits.drain_idle),
            Stage::Idle(0) => Some(self.limits.first_byte),
            Stage::Idle(_) => Some(self.limits.idle),
            Stage::Busy => None,
        }
    }

    fn arm(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.armed = at;
        self.registered = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, sync::Arc};

    async fn verdict(dog: &mut Watchdog, gate: &Gate, draining: bool) -> (Verdict, Duration) {
        let began = Instant::now();
        let verdict = poll_fn(|cx| dog.poll(cx, gate, draining)).await;
        (verdict, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn each_stage_has_its_own_limit() {
        let limits = Limits::default();
        let gate = Arc::new(Gate::default());
        let mut dog = Watchdog::new(limits, Instant::now());
        gate.head_is_partial(true);
        assert_eq!(verdict(&mut dog, &gate, false).await, (Verdict::Drop, limits.head));
        gate.head_is_partial(false);
        drop(gate.begin(0));
        assert_eq!(verdict(&mut dog, &gate, false).await, (Verdict::Finish, limits.idle));
        drop(gate.begin(0));
        assert_eq!(verdict(&mut dog, &gate, true).await, (Verdict::Finish, limits.drain_idle));
        gate.write_is_blocked(true);
        assert_eq!(verdict(&mut dog, &gate, false).await, (Verdict::Drop, limits.write));
    }

    #[tokio::test(start_paused = true)]
    async fn every_request_begins_the_idle_time_anew() {
        let limits = Limits::default();
        let gate = Arc::new(Gate::default());
        let mut dog = Watchdog::new(limits, Instant::now());
        for _ in 0..3 {
            drop(gate.begin(0));
            let almost = limits.idle * 9 / 10;
            let waited = tokio::time::timeout(almost, verdict(&mut dog, &gate, false)).await;
            assert!(waited.is_err());
        }
        drop(gate.begin(0));
        assert_eq!(verdict(&mut dog, &gate, false).await, (Verdict::Finish, limits.idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_the_hands_of_a_handler_is_never_cut_off() {
        let gate = Arc::new(Gate::default());
        let mut dog = Watchdog::new(Limits::default(), Instant::now());
        let turn = gate.begin(0);
        gate.head_is_partial(true);
        let hour = Duration::from_hours(1);
        let waited = tokio::time::timeout(hour, verdict(&mut dog, &gate, false)).await;
        assert!(waited.is_err());
        drop(turn);
    }
}
