//! A server under test: its own process on core 0, ended by its pid whatever happens.
use crate::{Fault, answer};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A program and how to call it.
#[derive(Clone)]
pub(crate) struct Launch {
    /// What the tables call it.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Its whole environment, but for `PATH`.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// An address and a path that answer 200 once it is ready.
    pub(crate) ready: (SocketAddr, &'static str),
    /// Where its stdout and stderr go: a real file, so that audit lines are really written.
    pub(crate) output: PathBuf,
}

/// A running server.
pub(crate) struct Server {
    /// How it was started.
    pub(crate) launch: Launch,
    child: Child,
    began: Instant,
}

impl Launch {
    /// Starts it on core 0. `setpriv` sees to it that the kernel ends it with us, and both `setpriv` and
    /// `taskset` become the program, so that the pid is the program's.
    pub(crate) fn start(&self) -> Result<Server, Fault> {
        let output = OpenOptions::new().create(true).append(true).open(&self.output)?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "taskset", "-c", "0"])
            .arg(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let began = Instant::now();
        let child = command.spawn().map_err(|fault| format!("{}: {fault}", self.name))?;
        Ok(Server { launch: self.clone(), child, began })
    }
}

impl Server {
    /// Waits for the first 200 at `address` and says how long after the exec it came.
    pub(crate) async fn ready(&mut self, token: Option<&str>) -> Result<Duration, Fault> {
        let (address, path) = self.launch.ready;
        self.answers(address, path, token).await
    }

    /// The same for any path.
    pub(crate) async fn answers(
        &mut self,
        address: SocketAddr,
        path: &str,
        token: Option<&str>,
    ) -> Result<Duration, Fault> {
        let method = if token.is_some() { "POST" } else { "GET" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
            token.unwrap_or("none")
        );
        while self.began.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait()? {
                return Err(
                    format!("{} ended with {status}: {}", self.launch.name, self.tail()).into()
                );
            }
            let ask = tokio::time::timeout(Duration::from_secs(5), ask_once(address, &request));
            if ask.await?.is_ok() {
                return Ok(self.began.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(format!("{} is not ready after 20 s: {}", self.launch.name, self.tail()).into())
    }

    /// The processor time each thread has had, to the nanosecond. `/proc/PID/stat` counts the same in steps
    /// of 10 ms, too coarse for a turn of half a second.
    pub(crate) fn threads(&self) -> Result<BTreeMap<OsString, u64>, Fault> {
        let mut threads = BTreeMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?;
            // A thread may end while we look.
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            threads.insert(task.file_name(), time_on_processor(&text)?);
        }
        Ok(threads)
    }

    /// The processor time spent since `before`.
    pub(crate) fn spent(&self, before: &BTreeMap<OsString, u64>) -> Result<Duration, Fault> {
        let since = |(thread, time): (OsString, u64)| {
            time.saturating_sub(before.get(&thread).copied().unwrap_or_default())
        };
        Ok(Duration::from_nanos(self.threads()?.into_iter().map(since).sum()))
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> Result<u64, Fault> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Empties the output file, so that a run of minutes does not fill the disk.
    pub(crate) fn forget_output(&self) -> Result<(), Fault> {
        Ok(File::options().write(true).open(&self.launch.output)?.set_len(0)?)
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.launch.output).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time this thread has had, in nanoseconds.
pub(crate) fn time_of_this_thread() -> Result<u64, Fault> {
    time_on_processor(&std::fs::read_to_string("/proc/thread-self/schedstat")?)
}

/// The first of a thread's scheduler statistics.
fn time_on_processor(statistics: &str) -> Result<u64, Fault> {
    let time = statistics.split_whitespace().next().ok_or("no scheduler statistics")?;
    Ok(time.parse()?)
}

/// One request on a connection of its own, up to its 200; gives the answer's bytes.
pub(crate) async fn ask_once(address: SocketAddr, request: &str) -> Result<Vec<u8>, Fault> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(4_096);
    while stream.read_buf(&mut buffer).await? > 0 {
        if let Some(span) = answer::span(&buffer)? {
            buffer.truncate(span.head + span.body);
            return Ok(buffer);
        }
    }
    Err("the connection was closed before an answer".into())
}
