//! A writer of whole lines that costs the caller no system call.
//!
//! Lines gather in memory for a few milliseconds and go out in one write, from a thread of their own. Where nobody
//! reads them any more, they gather up to a bound; what comes then is lost, counted, and the loss is the first
//! thing that is written when somebody reads again. Callers never wait: a stuck reader of the log must stop
//! neither requests nor probes nor a drain.
use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// How long lines may gather.
const GATHER: Duration = Duration::from_millis(2);
/// How many bytes may gather: what a busy sidecar writes in some seconds.
const BOUND: usize = 8 << 20;
/// How long the end of the process waits for the last lines.
const LAST: Duration = Duration::from_secs(2);

type Sink = Box<dyn Write + Send>;

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lost: u64,
    ended: bool,
}

/// Adds lines. Cheap to clone.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

/// Owns the writing thread; what was added before this is dropped has been written after, unless nobody reads it.
#[derive(Debug)]
pub struct LinesGuard {
    lines: Lines,
    ended: mpsc::Receiver<()>,
}

impl Lines {
    /// Starts the thread that writes into `sink`.
    ///
    /// # Errors
    /// The host gives no thread.
    pub fn start(sink: Sink) -> io::Result<(Self, LinesGuard)> {
        let lines = Self(Arc::new(Shared { pending: Mutex::default(), changed: Condvar::new() }));
        let writer = lines.clone();
        let (last, ended) = mpsc::channel();
        thread::Builder::new().name("log".into()).spawn(move || {
            writer.run(sink);
            // Where the guard has given up waiting, nobody minds.
            let _ = last.send(());
        })?;
        Ok((lines.clone(), LinesGuard { lines, ended }))
    }

    /// Adds one line, its newline included.
    pub fn add(&self, line: &[u8]) {
        let mut pending = held(&self.0.pending);
        if pending.bytes.len() + line.len() > BOUND {
            pending.lost += 1;
            return;
        }
        let first = pending.bytes.is_empty();
        pending.bytes.extend_from_slice(line);
        drop(pending);
        if first {
            self.0.changed.notify_one();
        }
    }

    /// Writes what has gathered into `sink`, after what was lost before it.
    fn flush(&self, sink: &mut Sink) {
        let mut pending = held(&self.0.pending);
        let (bytes, lost) = (std::mem::take(&mut pending.bytes), std::mem::take(&mut pending.lost));
        drop(pending);
        // Nobody may read any more (a closed pipe); that must not end the service.
        let _ = sink.write_all(&bytes).and_then(|()| match lost {
            0 => sink.flush(),
            lost => writeln!(sink, "{{\"level\":\"ERROR\",\"message\":\"nobody read the log: {lost} lines were lost here\"}}"),
        });
    }

    fn run(&self, mut sink: Sink) {
        loop {
            let mut pending = held(&self.0.pending);
            while pending.bytes.is_empty() && !pending.ended {
                pending = self.0.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
            }
            let ended = pending.ended;
            drop(pending);
            if !ended {
                thread::sleep(GATHER);
            }
            self.flush(&mut sink);
            if ended {
                return;
            }
        }
    }
}

impl Drop for LinesGuard {
    fn drop(&mut self) {
        held(&self.lines.0.pending).ended = true;
        self.lines.0.changed.notify_one();
        let _ = self.ended.recv_timeout(LAST);
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lines")
    }
}

/// A panic while a line was added leaves bytes that are still lines.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_in_order_before_the_guard_is_gone() {
        let kept = Kept::default();
        let (lines, guard) = Lines::start(Box::new(kept.clone())).unwrap();
        let line = |n: u32| format!("{n} {}\n", "x".repeat(500));
        for n in 0..5_000 {
            lines.add(line(n).as_bytes());
        }
        drop(guard);
        let expected: String = (0..5_000).map(line).collect();
        assert_eq!(String::from_utf8(kept.0.lock().unwrap().clone()).unwrap(), expected);
    }

    /// Reads nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>, Kept);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn p15_a_reader_that_is_stuck_stops_nobody_and_the_loss_is_told() {
        let (go, wait) = mpsc::channel();
        let kept = Kept::default();
        let (lines, guard) = Lines::start(Box::new(Stuck(wait, kept.clone()))).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            lines.add(&line);
        }
        drop(go);
        drop(guard);
        let written = kept.0.lock().unwrap();
        assert!(written.len() < 40 << 20, "memory is bounded");
        assert!(String::from_utf8_lossy(&written).contains("lines were lost here"));
    }
}
