//! A plain HTTP/1.1 client: one connection a request, everything bounded by the test's own patience.
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no json: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem's code, where it is one.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends one request and reads the whole answer.
pub(crate) async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    timeout(Duration::from_secs(30), sent(to, request)).await.expect("no answer within 30 s")
}

async fn sent(to: SocketAddr, mut request: Request<Full<Bytes>>) -> Reply {
    let host = to.to_string().parse().unwrap();
    request.headers_mut().entry("host").or_insert(host);
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let exchange = async {
        let answer = sender.send_request(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: head.status, headers: head.headers, body }
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        reply = &mut exchange => reply,
        _ = &mut connection => exchange.await,
    }
}

/// `POST /conversations/token` with a bearer token.
pub(crate) async fn exchange(to: SocketAddr, token: &str) -> Reply {
    let request =
        Request::post("/conversations/token").header("authorization", format!("Bearer {token}"));
    send(to, request.body(Full::default()).unwrap()).await
}

/// `GET` of a path.
pub(crate) async fn get(to: SocketAddr, path: &str) -> Reply {
    send(to, Request::get(path).body(Full::default()).unwrap()).await
}
