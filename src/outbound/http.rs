//! One bounded HTTPS client: no redirects, no decompression, a cap on every body, a deadline over everything.
//!
//! What it reaches is decided in three places, each of which can only refuse:
//!
//! * the scheme: `https`, or `http` where the caller's `insecure_http` says so;
//! * [`reach`]: never a link-local or metadata address; loopback only where the operator's own configuration
//!   leads there;
//! * [`proxy`]: what `HTTPS_PROXY` takes goes through it, and is looked up by it.
//!
//! Each request has its own connection. usher asks an issuer once in ten minutes, and a pool would outlive the
//! settings that filled it.
mod dial;
mod exchange;
mod fault;
pub mod proxy;
pub mod reach;
#[cfg(test)]
pub(crate) mod site;
pub mod trust;

pub(super) use dial::{first_of, secure};
pub use fault::{FetchError, TlsFault};

use crate::domain::secret::Secret;
use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use proxy::ProxySettings;
use reach::Reach;
use tokio::time::{Instant, timeout_at};
use trust::Trust;
use url::Url;

/// Fetches documents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpsClient {
    trust: Trust,
    proxy: ProxySettings,
}

/// A document to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// Where. Its user name, password and fragment are not sent.
    pub url: &'a Url,
    /// What the host's name may lead to.
    pub reach: Reach,
    /// Whether `http:` will do (`insecureHttp`).
    pub insecure_http: bool,
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<&'a Secret>,
    /// How many bytes the body may have.
    pub cap: usize,
}

impl HttpsClient {
    /// A client that believes the authorities of `trust`.
    pub fn new(trust: Trust, proxy: ProxySettings) -> Self {
        Self { trust, proxy }
    }

    /// The body of the answer, which is a 200 and nothing else. Look-up, connecting, TLS, head and body all have
    /// to be done by `deadline`; what is not is dropped with its connection.
    ///
    /// # Errors
    /// Each variant of [`FetchError`] says what went wrong, and none repeats what the other side wrote.
    pub async fn get(&self, get: Get<'_>, deadline: Instant) -> Result<Bytes, FetchError> {
        let request = exchange::request(&get)?;
        self.send(get, request, deadline).await
    }

    /// Sends `body`, whose content type is `kind`, to where `get` leads; the answer as with [`HttpsClient::get`].
    ///
    /// # Errors
    /// Each variant of [`FetchError`].
    pub async fn post(
        &self,
        get: Get<'_>,
        kind: HeaderValue,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, FetchError> {
        let request = exchange::post(&get, kind, body)?;
        self.send(get, request, deadline).await
    }

    async fn send(
        &self,
        get: Get<'_>,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Bytes, FetchError> {
        let connecting = dial::connect(&get, &self.trust, &self.proxy, deadline);
        let stream =
            timeout_at(deadline, connecting).await.map_err(|_| FetchError::ConnectDeadline)??;
        let exchanging = exchange::exchange(stream, request, get.cap);
        timeout_at(deadline, exchanging).await.map_err(|_| FetchError::Deadline)?
    }
}

#[cfg(test)]
mod tests;
