//! From an address to a stream on which HTTP can be spoken.
use super::{
    Get,
    fault::{FetchError, TlsFault},
    proxy::ProxySettings,
    reach::Reach,
    trust::Trust,
};
use http::Uri;
use hyper_util::{
    client::{legacy::connect::proxy::Tunnel, proxy::matcher::Intercept},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use std::{
    future::{Ready, ready},
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;
use url::{Host, Url};

/// How many of a host's addresses are tried.
const MOST_ADDRESSES: usize = 8;

/// So that a server of another protocol at the same name is not mistaken for one of ours.
const HTTP: &[u8] = b"http/1.1";

/// Bytes both ways: TCP, TLS, or TLS in a tunnel in TLS.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream to speak HTTP/1.1 on.
pub(super) type Stream = Box<dyn Duplex>;

/// Connects to the host of `get`. `deadline` only divides the time among its addresses; the caller keeps it.
pub(super) async fn connect(
    get: &Get<'_>,
    trust: &Trust,
    proxy: &ProxySettings,
    deadline: Instant,
) -> Result<Stream, FetchError> {
    let encrypted = match get.url.scheme() {
        "https" => true,
        "http" if get.insecure_http => false,
        "http" => return Err(FetchError::PlainHttp),
        _ => return Err(FetchError::Address),
    };
    let stream = match proxy.taking(get.url) {
        Some(proxy) => tunnel(get, trust, &proxy, deadline).await?,
        None => Box::new(tcp(get.url, get.reach, deadline).await?),
    };
    if encrypted { tls(stream, get.url, trust).await } else { Ok(stream) }
}

async fn tunnel(
    get: &Get<'_>,
    trust: &Trust,
    proxy: &Intercept,
    deadline: Instant,
) -> Result<Stream, FetchError> {
    if let Some(address) = literal(get.url) {
        get.reach.check(address)?;
    }
    let proxy_url = proxy.uri().to_string().parse().map_err(|_| FetchError::Address)?;
    let mut stream: Stream = Box::new(tcp(&proxy_url, Reach::Configured, deadline).await?);
    if proxy_url.scheme() == "https" {
        stream = tls(stream, &proxy_url, trust).await?;
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), Connected(Some(stream)));
    if let Some(credentials) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(credentials.clone());
    }
    let target: Uri = get.url.as_str().parse().map_err(|_| FetchError::Address)?;
    let stream = tunnel.call(target).await.map_err(|error| FetchError::Tunnel(error.into()))?;
    Ok(stream.into_inner())
}

async fn tls(stream: Stream, url: &Url, trust: &Trust) -> Result<Stream, FetchError> {
    let name = match url.host() {
        Some(Host::Domain(name)) => {
            // A certificate never names the root's dot.
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name).map_err(|_| FetchError::Address)?
        }
        Some(Host::Ipv4(address)) => ServerName::from(IpAddr::from(address)),
        Some(Host::Ipv6(address)) => ServerName::from(IpAddr::from(address)),
        None => return Err(FetchError::Address),
    };
    Ok(Box::new(secure(stream, name, trust, HTTP).await.map_err(FetchError::Tls)?))
}

/// Speaks TLS on `stream`, and in it `protocol` (ALPN), with the one that proves to be `name`.
pub(in crate::outbound) async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    name: ServerName<'static>,
    trust: &Trust,
    protocol: &'static [u8],
) -> Result<TlsStream<S>, TlsFault> {
    // Reading the host's authorities takes a while, the first time.
    let trust = trust.clone();
    let tls = tokio::task::spawn_blocking(move || trust.tls()).await;
    let tls = tls.ok().and_then(Result::ok).ok_or(TlsFault::Authorities)?;
    let connector = TlsConnector::from(tls);
    let secured = connector.with_alpn(vec![protocol.to_vec()]).connect(name, stream).await;
    secured.map_err(|error| TlsFault::of(&error))
}

/// Connects to the first address that takes it. The addresses are judged after the look-up, and the very same
/// are connected to, so that a second answer of the DNS cannot slip past.
async fn tcp(url: &Url, reach: Reach, deadline: Instant) -> Result<TcpStream, FetchError> {
    let addresses = addresses(url, reach).await?;
    first_of(&addresses, deadline).await.map_err(FetchError::Connect)
}

/// Connects to the first of `addresses` that takes it. `deadline` only divides the time among them.
pub(in crate::outbound) async fn first_of(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for (tried, address) in addresses.iter().enumerate() {
        // One address that swallows packets must not use up the others' time.
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // One small request: nothing to gain from waiting for more.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

async fn addresses(url: &Url, reach: Reach) -> Result<Vec<SocketAddr>, FetchError> {
    let port = url.port_or_known_default().ok_or(FetchError::Address)?;
    if let Some(address) = literal(url) {
        reach.check(address)?;
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let Some(Host::Domain(name)) = url.host() else { return Err(FetchError::Address) };
    let (mut within, mut forbidden) = (Vec::new(), None);
    for found in lookup_host((name, port)).await.map_err(FetchError::Lookup)? {
        match reach.check(found.ip()) {
            Ok(()) => within.push(found),
            Err(error) => forbidden = Some(error),
        }
    }
    within.truncate(MOST_ADDRESSES);
    match forbidden {
        Some(error) if within.is_empty() => Err(error.into()),
        Some(_) | None => Ok(within),
    }
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

/// A connector that has connected already.
struct Connected(Option<Stream>);

impl Service<Uri> for Connected {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
