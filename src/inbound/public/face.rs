//! What the public listener works with: made from one configuration, and replaced whole by the next.
use super::{client::ClientScript, metadata};
use crate::inbound::{
    answer::{self, Answer},
    credential::TokenHeaders,
    origin::{AllowedOrigin, Origins},
    proxies::TrustedProxies,
    route::Routes,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, InvalidHeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};

/// The room's settings.
#[derive(Clone, Debug)]
pub struct PublicConfig {
    /// `public.prefix`, without a final slash.
    pub prefix: Box<str>,
    /// `public.url`, without a final slash.
    pub url: Option<Box<str>>,
    /// `tokenSources`: the names of headers.
    pub token_headers: Vec<Box<str>>,
    /// `public.trustedProxies`.
    pub proxies: TrustedProxies,
    /// `cors.allowedOrigins`.
    pub origins: Vec<AllowedOrigin>,
    /// Marks every answer with `Usher-Mode: dev`.
    pub dev: bool,
    /// Makes a span of every request.
    pub traces: bool,
    /// Pages beside usher's own routes: the demo of `usher dev`.
    pub pages: Vec<Page>,
}

/// A page that is always the same.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its path, byte for byte.
    pub path: Box<str>,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `Content-Security-Policy`, where it is a document.
    pub policy: Option<HeaderValue>,
    /// The page.
    pub body: Bytes,
}

impl Default for PublicConfig {
    /// The contract's defaults.
    fn default() -> Self {
        Self {
            prefix: "/conversations".into(),
            url: None,
            token_headers: vec!["authorization".into()],
            proxies: TrustedProxies::default(),
            origins: Vec::new(),
            dev: false,
            traces: false,
            pages: Vec::new(),
        }
    }
}

/// A configuration, ready to work, and the steps that belong to it.
#[derive(Debug)]
pub struct Face<S> {
    pub(super) steps: S,
    pub(super) routes: Routes,
    pub(super) token_headers: TokenHeaders,
    pub(super) proxies: TrustedProxies,
    pub(super) origins: Origins,
    pub(super) script: ClientScript,
    pub(super) metadata: Option<Bytes>,
    pub(super) dev: bool,
    pub(super) traces: bool,
    pages: Vec<Page>,
}

impl<S> Face<S> {
    /// Makes one of `config` and the steps that the same configuration gave.
    ///
    /// # Errors
    /// A name in `token_headers` cannot be a header's.
    pub fn new(config: PublicConfig, steps: S) -> Result<Self, InvalidHeaderName> {
        let names: Vec<HeaderName> =
            config.token_headers.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
        let paths = config.pages.iter().map(|page| page.path.clone());
        Ok(Self {
            steps,
            routes: Routes::new(&config.prefix, paths),
            origins: Origins::new(config.origins, &names),
            token_headers: TokenHeaders::new(names),
            proxies: config.proxies,
            script: ClientScript::new(),
            metadata: config.url.map(|url| metadata::document(&url, &config.prefix)),
            dev: config.dev,
            traces: config.traces,
            pages: config.pages,
        })
    }

    pub(super) fn page(&self, at: usize, recycled: HeaderMap) -> Option<Answer> {
        let page = self.pages.get(at)?;
        let kind = HeaderValue::from_static(page.content_type);
        let mut answer = answer::text(StatusCode::OK, kind, page.body.clone(), recycled);
        let headers = answer.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(policy) = &page.policy {
            headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
            // Its address may hold an authorization code for a moment.
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        Some(answer)
    }
}
