//! Clients that keep their connection: each asks, waits for the answer, asks again.
use crate::{Fault, answer, figures::Sample, judge::Expect, process::Server};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// Every so many answers of a connection one is checked in full.
const EXAMINED: usize = 512;

/// Tokens to show, handed to whichever client asks next.
pub(crate) struct Tokens {
    /// All of them.
    all: Arc<Vec<Box<str>>>,
    next: AtomicUsize,
    end: usize,
}

impl Tokens {
    /// The same ones again and again.
    pub(crate) fn known(all: &Arc<Vec<Box<str>>>) -> Self {
        Self { all: Arc::clone(all), next: AtomicUsize::new(0), end: usize::MAX }
    }

    /// Those from `start` to `end`, each once.
    pub(crate) fn fresh(all: &Arc<Vec<Box<str>>>, start: usize, end: usize) -> Self {
        let end = end.min(all.len());
        Self { all: Arc::clone(all), next: AtomicUsize::new(start), end }
    }

    fn next(&self) -> Option<&str> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let wrapped = index.checked_rem(self.all.len())?;
        (index < self.end).then(|| self.all.get(wrapped).map(|token| &**token))?
    }
}

/// One turn of one server.
pub(crate) struct Load {
    /// How many connections.
    pub(crate) connections: usize,
    /// What they show.
    pub(crate) tokens: Tokens,
    /// What the answers must be.
    pub(crate) expect: Expect,
    /// The turn ends with the tokens or after this.
    pub(crate) at_most: Duration,
    /// Requests a second of an open loop; without it the clients ask as fast as they are answered.
    pub(crate) pace: Option<f64>,
}

/// A load that has begun.
struct Turn {
    load: Load,
    began: Instant,
    slots: AtomicUsize,
}

impl Load {
    /// Connects, then runs the turn and reads the server's clock on both sides of it.
    pub(crate) async fn run(self, server: &Server) -> Result<Sample, Fault> {
        let mut clients = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            clients.push(Client::connect(server.launch.address).await?);
        }
        let before = server.threads()?;
        let turn = Arc::new(Turn { load: self, began: Instant::now(), slots: AtomicUsize::new(0) });
        let mut running = JoinSet::new();
        for client in clients {
            running.spawn(client.work(Arc::clone(&turn)));
        }
        let mut awake = JoinSet::new();
        awake.spawn(stay_awake());
        let mut latencies = Vec::new();
        while let Some(done) = running.join_next().await {
            latencies.extend(done?.map_err(|fault| format!("{}: {fault}", server.launch.name))?);
        }
        let lasted = turn.began.elapsed();
        Sample::new(lasted, server.spent(&before)?, latencies)
    }
}

impl Turn {
    fn over(&self, now: Instant) -> bool {
        now.duration_since(self.began) >= self.load.at_most
    }

    /// When the next request of an open loop is due. Evenly spaced, taken by whichever client is free, and
    /// its latency counts from then: a late server does not slow its clients down.
    fn due(&self) -> Option<Instant> {
        let pace = self.load.pace?;
        let slot = self.slots.fetch_add(1, Ordering::Relaxed);
        Some(self.began + Duration::from_secs_f64(slot as f64 / pace))
    }
}

/// One connection and its buffers.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    start: usize,
    received: Vec<u8>,
    asked: usize,
}

impl Client {
    async fn connect(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "POST /conversations/token HTTP/1.1\r\nhost: {address}\r\nuser-agent: exchange\r\naccept: */*\r\n\
             content-length: 0\r\nauthorization: Bearer "
        );
        let (start, request) = (request.len(), request.into_bytes());
        Ok(Self { stream, request, start, received: Vec::with_capacity(16_384), asked: 0 })
    }

    async fn work(mut self, turn: Arc<Turn>) -> Result<Vec<u32>, Fault> {
        let mut latencies = Vec::with_capacity(1 << 16);
        let mut now = Instant::now();
        while !turn.over(now) {
            let began = match turn.due() {
                None => now,
                Some(due) => wait(due).await,
            };
            let Some(token) = turn.load.tokens.next() else { break };
            self.ask(token, &turn.load.expect).await?;
            now = Instant::now();
            latencies.push(u32::try_from((now - began).as_nanos()).unwrap_or(u32::MAX));
        }
        Ok(latencies)
    }

    async fn ask(&mut self, token: &str, expect: &Expect) -> Result<(), Fault> {
        self.request.truncate(self.start);
        self.request.extend_from_slice(token.as_bytes());
        self.request.extend_from_slice(b"\r\n\r\n");
        self.stream.write_all(&self.request).await?;
        self.received.clear();
        let span = loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err("the connection was closed before an answer".into());
            }
            if let Some(span) = answer::span(&self.received)? {
                break span;
            }
        };
        let (_, body) = self.received.split_at(span.head);
        if body.len() != span.body || !expect.glance(body) {
            return Err(format!("a wrong answer: {}", String::from_utf8_lossy(body)).into());
        }
        if self.asked.is_multiple_of(EXAMINED) {
            expect.examine(token, body)?;
        }
        self.asked += 1;
        Ok(())
    }
}

/// Keeps this thread from ever going to sleep. Waking a sleeping client on another core is paid by the server that
/// answers it, so that a slow server, whose clients sleep, would pay more for an answer than a fast one.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// Waits by polling: a timer has a millisecond's grain, and the client has its core to itself.
async fn wait(due: Instant) -> Instant {
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
    due
}
