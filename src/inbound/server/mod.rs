//! Takes connections, keeps the limits of contract 2, and drains.
mod connection;
mod drain;
mod gate;
mod head;
mod limits;
mod listener;
mod streams;
mod tls;
mod watchdog;
mod wire;

use crate::inbound::{
    answer::Answer,
    request::{Call, Peer},
};
use connection::Shared;
use drain::Drain;
use http::Request;
use hyper::body::Incoming;
pub use limits::Limits;
use listener::{Accepted, Listener};
pub use listener::{Access, Address, BindError};
use std::{io, pin::pin, sync::Arc, time::Duration};
pub use tls::{Tls, TlsError, TlsFiles};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsAcceptor;
use wire::Version;

/// Answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request, a fault of its own included: it does not panic. Everything it waits for has a
    /// deadline.
    fn handle(&self, request: Request<Incoming>, call: Call)
    -> impl Future<Output = Answer> + Send;
}

/// A listener that is open and not served yet.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    tls: Option<Tls>,
    limits: Limits,
}

/// How a listener ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because the grace was over.
    pub cut_off: usize,
}

impl Server {
    /// Opens `address`.
    ///
    /// # Errors
    /// Each variant of [`BindError`].
    pub async fn bind(
        address: &Address,
        tls: Option<Tls>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        Self::bind_for(Access::Group, address, tls, limits).await
    }

    /// Opens `address`; where that is a socket file, for those whom `access` names.
    ///
    /// # Errors
    /// Each variant of [`BindError`].
    pub async fn bind_for(
        access: Access,
        address: &Address,
        tls: Option<Tls>,
        limits: Limits,
    ) -> Result<Self, BindError> {
        Ok(Self { listener: Listener::bind(address, access).await?, tls, limits })
    }

    /// Where it listens: the port that was chosen, where port 0 was asked for.
    ///
    /// # Errors
    /// The host does not say.
    pub fn address(&self) -> io::Result<Address> {
        self.listener.address()
    }

    /// Serves until `stop` is ready, then drains: accepts nothing new, lets requests under way finish within
    /// `grace`, and answers those that still come on open connections, each with `Connection: close`.
    pub async fn serve<H: Handler>(
        self,
        handler: Arc<H>,
        stop: impl Future<Output = ()> + Send,
        grace: Duration,
    ) -> Drained {
        let shared = Arc::new(Shared { handler, limits: self.limits, drain: Drain::default() });
        let mut connections = JoinSet::new();
        {
            let mut stop = pin!(stop);
            loop {
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    Some(_) = connections.join_next() => {}
                    accepted = self.listener.accept() => self.take(accepted, &mut connections, &shared).await,
                }
            }
        }
        let deadline = Instant::now() + grace;
        shared.drain.begin();
        // Whoever is through the handshake with the kernel believes to be connected to us.
        for _ in 0..BACKLOG {
            let accepted = timeout(Duration::ZERO, self.listener.accept()).await;
            let Ok(accepted @ Ok(_)) = accepted else { break };
            self.take(accepted, &mut connections, &shared).await;
        }
        drop(self.listener);
        while let Ok(Some(_)) = timeout_at(deadline, connections.join_next()).await {}
        let cut_off = connections.len();
        connections.shutdown().await;
        Drained { cut_off }
    }

    async fn take<H: Handler>(
        &self,
        accepted: io::Result<Accepted>,
        connections: &mut JoinSet<()>,
        shared: &Arc<Shared<H>>,
    ) {
        match accepted {
            // Dropping it closes it.
            Ok(_) if connections.len() >= self.limits.connections => {
                tracing::debug!("connection refused: there are as many as the limit allows");
            }
            Ok(Accepted::Tcp(stream, peer)) => {
                let shared = Arc::clone(shared);
                connections.spawn(greet(stream, Peer::Tcp(peer), self.tls.clone(), shared));
            }
            Ok(Accepted::Unix(stream)) => {
                let shared = Arc::clone(shared);
                connections.spawn(greet(stream, Peer::Unix, self.tls.clone(), shared));
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

/// How many connections the kernel keeps for us to accept, as tokio asks it to.
const BACKLOG: usize = 1024;

/// Waits a little where accepting would only fail again.
async fn rest_after(error: &io::Error) {
    let theirs = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
    );
    if !theirs {
        // Out of file descriptors, most likely: the socket stays readable, and trying at once would spin.
        tracing::warn!(%error, "cannot accept connections for the moment");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Shakes hands where the listener speaks TLS, then serves.
async fn greet<S, H>(stream: S, peer: Peer, tls: Option<Tls>, shared: Arc<Shared<H>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let Some(tls) = tls else { return connection::serve(stream, None, peer, shared).await };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    match timeout(shared.limits.handshake, handshake).await {
        Ok(Ok(stream)) => {
            let version = match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Some(Version::Http2),
                Some(_) => Some(Version::Http1),
                None => None,
            };
            connection::serve(stream, version, peer, shared).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn accepting_rests_where_it_would_only_fail_again() {
        const EMFILE: i32 = 24;
        let rested = async |error: &io::Error| {
            let began = Instant::now();
            rest_after(error).await;
            began.elapsed()
        };
        assert!(rested(&io::Error::from_raw_os_error(EMFILE)).await >= Duration::from_millis(100));
        assert!(rested(&io::ErrorKind::ConnectionAborted.into()).await.is_zero());
    }
}
