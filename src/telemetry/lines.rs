//! A writer of whole lines that costs the caller no system call.
//!
//! Lines gather in memory for a few milliseconds and go out in one write, from a thread of their own. Past a
//! bound the caller writes them itself: audit lines are slowed down, never dropped.
use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long lines may gather.
const GATHER: Duration = Duration::from_millis(2);
/// How many bytes may gather before whoever adds a line has to write.
const BOUND: usize = 1 << 20;

type Sink = Box<dyn Write + Send>;

struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
    sink: Mutex<Sink>,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    ended: bool,
}

/// Adds lines. Cheap to clone.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

/// Owns the writing thread; what was added before this is dropped has been written after.
#[derive(Debug)]
pub struct LinesGuard {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// Starts the thread that writes into `sink`.
    ///
    /// # Errors
    /// The host gives no thread.
    pub fn start(sink: Sink) -> io::Result<(Self, LinesGuard)> {
        let lines = Self(Arc::new(Shared {
            pending: Mutex::default(),
            changed: Condvar::new(),
            sink: Mutex::new(sink),
        }));
        let writer = lines.clone();
        let thread = thread::Builder::new().name("log".into()).spawn(move || writer.run())?;
        Ok((lines.clone(), LinesGuard { lines, thread: Some(thread) }))
    }

    /// Adds one line, its newline included.
    pub fn add(&self, line: &[u8]) {
        let mut pending = held(&self.0.pending);
        let first = pending.bytes.is_empty();
        pending.bytes.extend_from_slice(line);
        let full = pending.bytes.len() >= BOUND;
        drop(pending);
        if full {
            self.flush();
        } else if first {
            self.0.changed.notify_one();
        }
    }

    /// Writes what has gathered.
    fn flush(&self) {
        // The sink is taken first, so that two who flush keep the order of lines.
        let mut sink = held(&self.0.sink);
        let bytes = std::mem::take(&mut held(&self.0.pending).bytes);
        // Nobody may read any more (a closed pipe); that must not end the service.
        let _ = sink.write_all(&bytes).and_then(|()| sink.flush());
    }

    fn run(&self) {
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
            self.flush();
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
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
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
}
