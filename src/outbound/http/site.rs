//! A web site on loopback that answers what a test tells it to, byte by byte.
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer};
use std::{
    fmt,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

/// What is answered to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// These bytes, then nothing, forever.
    Hang(Vec<u8>),
    /// These bytes again and again, until the other side has enough.
    Flood(Vec<u8>),
}

impl Reply {
    /// A 200 with `body`.
    pub(crate) fn ok(body: impl AsRef<[u8]>) -> Self {
        Self::with("200 OK", "", body)
    }

    /// An answer with `status`, more `headers` (each with its CRLF) and `body`.
    pub(crate) fn with(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::Raw([head.as_bytes(), body].concat())
    }
}

/// A running site. Ends when dropped.
pub(crate) struct Site {
    /// Its root, `http://127.0.0.1:PORT/` or `https://localhost:PORT/`.
    pub(crate) url: Url,
    /// The authority of its certificate, PEM.
    pub(crate) authority: String,
    heads: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

type Script = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

impl Site {
    /// Opens a plain site. `script` gets the path of each request.
    pub(crate) fn open(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(loopback(), script)
    }

    /// Opens a plain site where somebody already listens, so that `script` can know its address.
    pub(crate) fn on(
        listening: std::net::TcpListener,
        script: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(listening, Arc::new(script), None)
    }

    /// Opens a site with a certificate for `localhost` and `issuer.test`.
    pub(crate) fn secure(script: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let (acceptor, authority) = certificate();
        Self { authority, ..Self::start(loopback(), Arc::new(script), Some(acceptor)) }
    }

    fn start(listening: std::net::TcpListener, script: Script, tls: Option<TlsAcceptor>) -> Self {
        listening.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listening).unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = match tls {
            Some(_) => format!("https://localhost:{port}/"),
            None => format!("http://127.0.0.1:{port}/"),
        };
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, script, tls, Arc::clone(&heads)));
        Self { url: root.parse().unwrap(), authority: String::new(), heads, _task: task }
    }

    /// An address on it.
    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({})", self.url)
    }
}

fn loopback() -> std::net::TcpListener {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap()
}

async fn accept(
    listener: TcpListener,
    script: Script,
    tls: Option<TlsAcceptor>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, tls, heads) = (Arc::clone(&script), tls.clone(), Arc::clone(&heads));
        connections.spawn(async move {
            match tls {
                None => serve(stream, script, heads).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, script, heads).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    heads.lock().unwrap().push(head);
    match script(&path) {
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Reply::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            std::future::pending::<()>().await;
        }
        Reply::Flood(bytes) => while stream.write_all(&bytes).await.is_ok() {},
    }
}

fn certificate() -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "issuer.test".to_owned()];
    let leaf = CertificateParams::new(names).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority)
}
