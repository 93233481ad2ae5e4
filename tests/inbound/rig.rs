//! A listener on a free port, and a client that writes what it is told to.
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, oneshot},
    task::JoinSet,
    time::timeout,
};
use usher::inbound::{
    answer::{self, Answer},
    body,
    request::{Call, Peer},
    server::{Address, Drained, Handler, Limits, Server, Tls},
};

/// Longer than anything takes that works, and shorter than anyone waits for a test.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A limit that is soon over.
pub const SOON: Duration = Duration::from_millis(60);

/// Limits that no test reaches unless it lowers one.
pub fn generous() -> Limits {
    let long = Duration::from_mins(10);
    let mut limits = Limits::default();
    (limits.handshake, limits.first_byte, limits.head, limits.idle) = (long, long, long, long);
    (limits.write, limits.drain_idle, limits.body.time) = (long, long, long);
    limits
}

/// A running listener.
pub struct Rig {
    pub address: Address,
    stop: oneshot::Sender<()>,
    server: JoinSet<Drained>,
}

impl Rig {
    pub async fn start<H: Handler>(handler: Arc<H>, limits: Limits) -> Self {
        Self::secured(handler, limits, None).await
    }

    pub async fn secured<H: Handler>(handler: Arc<H>, limits: Limits, tls: Option<Tls>) -> Self {
        let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
        Self::at(&any, handler, limits, tls).await
    }

    pub async fn at<H: Handler>(
        address: &Address,
        handler: Arc<H>,
        limits: Limits,
        tls: Option<Tls>,
    ) -> Self {
        let server = Server::bind(address, tls, limits).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let mut set = JoinSet::new();
        set.spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            server.serve(handler, stopped, PATIENCE).await
        });
        Self { address, stop, server: set }
    }

    pub async fn tcp(&self) -> TcpStream {
        let Address::Tcp(address) = self.address else { unreachable!() };
        TcpStream::connect(address).await.unwrap()
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::new(self.tcp().await)
    }

    /// Sends one request on a connection of its own.
    pub async fn ask(&self, request: &str) -> Reply {
        let mut client = self.client().await;
        client.send(request).await;
        client.reply().await
    }

    /// Begins to drain; the returned set ends with the listener.
    pub fn stop(self) -> JoinSet<Drained> {
        self.stop.send(()).unwrap();
        self.server
    }
}

/// Writes bytes, reads answers.
pub struct Client<S> {
    stream: S,
    unread: Vec<u8>,
}

/// An HTTP/1 answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// The value of a header, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        let value = self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        value.unwrap_or_default()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and code of a problem.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next answer.
    pub async fn reply(&mut self) -> Reply {
        let reply = timeout(PATIENCE, self.try_reply()).await.unwrap();
        reply.expect("the connection was closed without an answer")
    }

    /// The next answer to a HEAD request.
    pub async fn head(&mut self) -> Reply {
        let reply = timeout(PATIENCE, self.read_reply(true)).await.unwrap();
        reply.expect("the connection was closed without an answer")
    }

    /// The next answer, or `None` where the connection ends instead.
    pub async fn try_reply(&mut self) -> Option<Reply> {
        self.read_reply(false).await
    }

    async fn read_reply(&mut self, bare: bool) -> Option<Reply> {
        loop {
            let found = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = found else {
                self.more().await?;
                continue;
            };
            let head = String::from_utf8(self.unread.drain(..end + 4).collect()).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let mut reply = Reply { status, head, body: String::new() };
            let length = reply.header("content-length").parse().unwrap_or(0);
            while !bare && self.unread.len() < length {
                self.more().await?;
            }
            let body = self.unread.drain(..if bare { 0 } else { length });
            reply.body = String::from_utf8(body.collect()).unwrap();
            return Some(reply);
        }
    }

    async fn more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Waits until `length` more bytes have come, and takes them.
    pub async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            timeout(PATIENCE, self.more()).await.unwrap().expect("the connection was closed");
        }
        self.unread.drain(..length).collect()
    }

    /// Waits for the end of the connection. Returns what came before it.
    pub async fn end(mut self) -> Vec<u8> {
        let end = async { while self.more().await.is_some() {} };
        timeout(PATIENCE, end).await.expect("the connection stays open");
        self.unread
    }
}

/// Answers what it was sent. `/wait` is answered only after [`Echo::go`]; `/large` with 16 MiB.
#[derive(Debug, Default)]
pub struct Echo {
    /// Tells that a request for `/wait` has come.
    pub waiting: Notify,
    /// Lets requests for `/wait` go on.
    pub go: Notify,
    /// Every path, in order.
    pub seen: Mutex<Vec<String>>,
}

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>, call: Call) -> Answer {
        let (head, body) = request.into_parts();
        assert!(matches!(call.peer, Peer::Tcp(_) | Peer::Unix));
        self.seen.lock().unwrap().push(head.uri.path().to_owned());
        if call.fault.is_some() {
            return answer::empty(StatusCode::BAD_REQUEST, head.headers);
        }
        let large = head.uri.path() == "/large";
        if head.uri.path() == "/wait" {
            self.waiting.notify_one();
            self.go.notified().await;
        }
        let (status, text) = match body::read(body, call.body).await {
            Ok(_) if large => (StatusCode::OK, Bytes::from(vec![b'x'; 16 << 20])),
            Ok(text) => (StatusCode::OK, text),
            Err(problem) => (problem.code().status(), Bytes::new()),
        };
        answer::text(status, answer::PLAIN, text, head.headers)
    }
}
