//! Asks usher's own health listener, as a container's health check does.
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// The whole question and answer take no longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Where the listener is.
#[derive(Clone, Debug)]
pub enum Target {
    /// An address; an unspecified one (`0.0.0.0`) is asked on loopback.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// Nobody listens, or the connection broke.
    #[error("no connection")]
    Connection(#[from] std::io::Error),
    /// What came back was not HTTP.
    #[error("no answer in http")]
    Http(#[from] hyper::Error),
    /// The path is not one.
    #[error("the path is not one")]
    Path(#[from] http::Error),
    /// The configured certificate cannot be read.
    #[error("the certificate cannot be read")]
    Certificate(#[source] rustls::Error),
    /// Nothing came in time.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
}

/// Asks `target` for `path`; with `certificate` (PEM) over TLS, where the listener must show that very one.
///
/// # Errors
/// Each variant of [`Unanswered`].
pub async fn ask(
    target: &Target,
    path: &str,
    certificate: Option<&[u8]>,
) -> Result<StatusCode, Unanswered> {
    tokio::time::timeout(DEADLINE, asked(target, path, certificate))
        .await
        .unwrap_or(Err(Unanswered::Late))
}

async fn asked(target: &Target, path: &str, pem: Option<&[u8]>) -> Result<StatusCode, Unanswered> {
    match target {
        Target::Tcp(address) => {
            encrypted(TcpStream::connect(reachable(*address)).await?, path, pem).await
        }
        Target::Unix(file) => encrypted(UnixStream::connect(file).await?, path, pem).await,
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => ([127, 0, 0, 1], v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, v6.port()).into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address,
    }
}

async fn encrypted<S>(stream: S, path: &str, pem: Option<&[u8]>) -> Result<StatusCode, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(pem) = pem else { return exchanged(stream, path).await };
    let pinned = CertificateDer::pem_slice_iter(pem)
        .next()
        .and_then(Result::ok)
        .ok_or(Unanswered::Certificate(rustls::Error::NoCertificatesPresented))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Unanswered::Certificate)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pinned, provider }))
        .with_no_client_auth();
    // The name plays no part: the certificate itself is the one that was configured.
    let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    exchanged(connector.connect(name, stream).await?, path).await
}

async fn exchanged<S>(stream: S, path: &str) -> Result<StatusCode, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request);
    tokio::pin!(connection, answer);
    tokio::select! {
        answer = &mut answer => Ok(answer?.status()),
        ended = &mut connection => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

/// Accepts one certificate, whoever's name it bears.
#[derive(Debug)]
struct Pinned {
    pinned: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.pinned {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    #[tokio::test]
    async fn the_status_of_the_listener_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(([0, 0, 0, 0], listener.local_addr().unwrap().port()).into());
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 512];
            let read = stream.read(&mut head).await.unwrap();
            stream.write_all(b"HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&head[..read]).into_owned()
        };
        let (answer, head) = tokio::join!(ask(&target, "/readyz", None), served);
        assert_eq!(answer.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(head.starts_with("GET /readyz HTTP/1.1\r\n"));
    }

    #[tokio::test]
    async fn a_listener_that_is_not_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::Tcp(listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(ask(&target, "/livez", None).await, Err(Unanswered::Connection(_))));
    }
}
