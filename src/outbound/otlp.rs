//! Sends traces to the collector that the operator named, with the one bounded client.
use super::http::{Get, HttpsClient, proxy::ProxySettings, reach::Reach, trust::Trust};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use opentelemetry_http::{HttpClient, HttpError};
use std::{fmt, future::Future, pin::Pin, time::Duration};
use tokio::{runtime::Handle, time::Instant};
use url::Url;

/// Sending one batch takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// A collector's answer is a few bytes.
const CAP: usize = 64 * 1024;

/// The client that the exporter is given.
pub struct Sender {
    client: HttpsClient,
    runtime: Handle,
}

impl Sender {
    /// A sender that works on `runtime`, whatever thread the exporter runs on.
    pub fn new(trust: Trust, proxy: ProxySettings, runtime: Handle) -> Self {
        Self { client: HttpsClient::new(trust, proxy), runtime }
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Sender {
    fn send_bytes<'a, 't>(&'a self, request: Request<Bytes>) -> Sending<'t>
    where
        'a: 't,
        Self: 't,
    {
        let client = self.client.clone();
        // The exporter has a thread of its own, which knows nothing of the runtime that sockets need.
        let sent = self.runtime.spawn(async move { send(&client, request).await });
        Box::pin(async move { sent.await? })
    }
}

async fn send(client: &HttpsClient, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let url = Url::parse(&request.uri().to_string())?;
    let kind = request.headers().get(CONTENT_TYPE).cloned().ok_or("no content type")?;
    let deadline = Instant::now() + DEADLINE;
    let get = Get {
        url: &url,
        // The operator's own configuration names the collector: it may be on this host, in plain text.
        reach: Reach::Configured,
        insecure_http: true,
        bearer: None,
        cap: CAP,
    };
    let body = client.post(get, kind, request.into_body(), deadline).await?;
    Ok(Response::new(body))
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}
