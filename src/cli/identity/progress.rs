//! How far an import is, on one line of a terminal.
use crate::{
    flow::transfer::{Phase, Progress},
    ports::clock::Clock,
};
use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

/// A line that is drawn anew as the import goes on, at most five times a second.
pub(super) struct Bar {
    clock: Arc<dyn Clock>,
    begun: Duration,
    drawn: Option<Duration>,
    is_shown: bool,
    size: Option<u64>,
}

const PAUSE: Duration = Duration::from_millis(200);

impl Bar {
    /// One for a file of `size` bytes; nothing is drawn where nobody would see it, or nobody wants it.
    pub(super) fn new(clock: Arc<dyn Clock>, size: Option<u64>, is_wanted: bool) -> Self {
        let is_shown = is_wanted && io::stderr().is_terminal();
        Self { begun: clock.uptime(), clock, drawn: None, is_shown, size }
    }

    /// Draws the line, unless that was just done.
    pub(super) fn draw(&mut self, progress: Progress) {
        let now = self.clock.uptime();
        if !self.is_shown || self.drawn.is_some_and(|drawn| now.saturating_sub(drawn) < PAUSE) {
            return;
        }
        self.drawn = Some(now);
        let line = line(progress, self.size, now.saturating_sub(self.begun));
        let mut out = io::stderr().lock();
        let _ = write!(out, "\r{line}\x1b[K").and_then(|()| out.flush());
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(progress: Progress, size: Option<u64>, since: Duration) -> String {
    let Progress { read_bytes, rows, phase } = progress;
    let percent = |part: u64, whole: u64| (part * 100).checked_div(whole).unwrap_or(100).min(100);
    match phase {
        Phase::Reading => {
            let share = size.map_or_else(
                || format!("{} MiB", read_bytes >> 20),
                |size| format!("{:>3} %", percent(read_bytes, size)),
            );
            let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = rows.saturating_mul(1000) / millis;
            format!("reading    {share}  {rows} rows  {rate} rows/s")
        }
        Phase::Comparing => format!("comparing  {rows} rows with the registry"),
        Phase::Settling { moved } => {
            let share = percent(moved, rows);
            format!("settling   {share:>3} %  all {rows} rows hold already")
        }
        Phase::Clearing => "clearing   what was laid aside".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let now = |phase, size| {
            let progress = Progress { read_bytes: 5 << 20, rows: 50_000, phase };
            line(progress, size, Duration::from_millis(2_500))
        };
        assert_eq!(
            now(Phase::Reading, Some(20 << 20)),
            "reading     25 %  50000 rows  20000 rows/s"
        );
        assert_eq!(now(Phase::Reading, None), "reading    5 MiB  50000 rows  20000 rows/s");
        assert_eq!(now(Phase::Comparing, None), "comparing  50000 rows with the registry");
        let settling = now(Phase::Settling { moved: 50_500 }, None);
        assert_eq!(settling, "settling   100 %  all 50000 rows hold already");
        let empty = Progress { read_bytes: 0, rows: 0, phase: Phase::Reading };
        assert!(line(empty, Some(0), Duration::ZERO).contains("100 %"));
    }
}
