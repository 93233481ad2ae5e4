//! A small listener for what `usher dev` embeds: loopback HTTP/1.1, bounded in number, size and time.
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};

/// How many connections may be open.
const CONNECTIONS: usize = 256;
/// How long a head may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may stay, idle or not.
const LIFE: Duration = Duration::from_mins(2);

/// A bound listener that nobody serves yet.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds `address`.
///
/// # Errors
/// The host refuses, or the port is in use.
pub async fn listen(address: SocketAddr) -> io::Result<Listening> {
    let listener = TcpListener::bind(address).await?;
    Ok(Listening { address: listener.local_addr()?, listener })
}

impl Listening {
    /// The address with its real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers with `answer` until dropped; its connections go with it.
    pub async fn serve<F, A>(self, answer: F)
    where
        F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Full<Bytes>>> + Send,
    {
        let answer = Arc::new(answer);
        let mut open = JoinSet::new();
        loop {
            while open.len() >= CONNECTIONS {
                open.join_next().await;
            }
            let stream = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(_) = open.join_next() => continue,
            };
            let Ok((stream, _)) = stream else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let answer = Arc::clone(&answer);
            open.spawn(async move {
                let service = service_fn(|request| {
                    let answered = answer(request);
                    async { Ok::<_, Infallible>(answered.await) }
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(16 * 1024);
                // Whatever ends a connection concerns that client alone.
                let _ = timeout(LIFE, http.serve_connection(TokioIo::new(stream), service)).await;
            });
        }
    }
}
