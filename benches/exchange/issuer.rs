//! A provider that only publishes: discovery and keys, over plain HTTP on loopback.
use crate::{Fault, tokens::Signer};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{convert::Infallible, net::TcpListener, sync::Arc};

/// The provider, alive as long as the program: its thread waits on the socket and dies with it.
pub(crate) struct Issuer {
    /// Its address, as tokens name it.
    pub(crate) url: String,
    /// Its port.
    pub(crate) port: u16,
    /// Its keys.
    pub(crate) signer: Arc<Signer>,
}

/// The two documents.
struct Documents {
    discovery: Bytes,
    keys: Bytes,
}

impl Issuer {
    /// Makes keys and publishes them on a free port, from a thread of its own so that a busy load does not
    /// keep usher waiting for keys.
    pub(crate) fn start() -> Result<Self, Fault> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let signer = Arc::new(Signer::generate(&url)?);
        let discovery = json!({
            "issuer": url, "jwks_uri": format!("{url}/jwks"),
            "authorization_endpoint": format!("{url}/auth"), "token_endpoint": format!("{url}/token"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        });
        let documents = Arc::new(Documents {
            discovery: discovery.to_string().into(),
            keys: signer.key_set()?.into(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || runtime.block_on(publish(listener, documents)));
        Ok(Self { url, port, signer })
    }
}

async fn publish(listener: TcpListener, documents: Arc<Documents>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let documents = Arc::clone(&documents);
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = document(&documents, request.uri().path());
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn document(documents: &Documents, path: &str) -> Response<Full<Bytes>> {
    let body = match path {
        "/.well-known/openid-configuration" => Some(documents.discovery.clone()),
        "/jwks" => Some(documents.keys.clone()),
        _ => None,
    };
    let mut answer = Response::new(Full::new(body.clone().unwrap_or_default()));
    if body.is_none() {
        *answer.status_mut() = StatusCode::NOT_FOUND;
    }
    let json = hyper::header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    answer
}
