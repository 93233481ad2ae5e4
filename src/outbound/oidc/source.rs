//! One attempt to get an issuer's keys.
use super::{
    discovery::{self, KeysAddress, UnusableDiscovery},
    jwks::{self, UnusableKeys},
};
use crate::{
    domain::{secret::Secret, subject::Issuer},
    outbound::http::{FetchError, Get, HttpsClient, reach::Reach},
    ports::Reply,
    token::key::{KeySet, SkippedKey},
};
use std::fmt::Debug;
use tokio::time::Instant;
use url::Url;

/// Gives an issuer's keys, from wherever they are.
pub trait Source: Debug + Send + Sync {
    /// Gets them anew, or fails, by `deadline`.
    ///
    /// # Errors
    /// Each variant of [`NotFetched`] says at which step.
    fn fetch(&self, deadline: Instant) -> Reply<'_, Result<Fetched, NotFetched>>;
}

/// What an attempt brought.
#[derive(Debug)]
pub struct Fetched {
    /// At least one usable key.
    pub keys: KeySet,
    /// What the issuer publishes and usher does not use.
    pub skipped: Vec<SkippedKey>,
}

/// Where an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum NotFetched {
    /// The discovery document did not come.
    #[error("discovery document was not fetched")]
    Discovery(#[source] FetchError),
    /// The discovery document came and is of no use.
    #[error(transparent)]
    Document(#[from] UnusableDiscovery),
    /// The keys did not come.
    #[error("keys were not fetched")]
    Keys(#[source] FetchError),
    /// The keys came and are of no use.
    #[error(transparent)]
    KeySet(#[from] UnusableKeys),
}

impl NotFetched {
    /// Whether the issuer may have seen the request that failed. Where it has not, asking again soon does it no
    /// harm.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Discovery(error) | Self::Keys(error) => error.was_sent(),
            Self::Document(_) | Self::KeySet(_) => true,
        }
    }
}

/// Where an issuer's keys are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// In the document at this address, whose `issuer` must be the configured URL.
    Discovery(Url),
    /// At this address; no discovery.
    Jwks(Url),
}

/// An issuer on the network.
#[derive(Debug)]
pub struct Remote {
    pub(super) issuer: Issuer,
    pub(super) keys_at: KeysAt,
    pub(super) insecure_http: bool,
    pub(super) bearer: Option<Secret>,
    pub(super) client: HttpsClient,
}

impl Remote {
    async fn keys_address(&self, deadline: Instant) -> Result<KeysAddress, NotFetched> {
        match &self.keys_at {
            KeysAt::Jwks(url) => Ok(KeysAddress { url: url.clone(), reach: Reach::Configured }),
            KeysAt::Discovery(url) => {
                let get = self.get(url, Reach::Configured, discovery::CAP);
                let document =
                    self.client.get(get, deadline).await.map_err(NotFetched::Discovery)?;
                Ok(discovery::read(&document, &self.issuer, url, self.insecure_http)?)
            }
        }
    }

    fn get<'a>(&'a self, url: &'a Url, reach: Reach, cap: usize) -> Get<'a> {
        Get { url, reach, insecure_http: self.insecure_http, bearer: self.bearer.as_ref(), cap }
    }
}

impl Source for Remote {
    fn fetch(&self, deadline: Instant) -> Reply<'_, Result<Fetched, NotFetched>> {
        Box::pin(async move {
            let address = self.keys_address(deadline).await?;
            let get = self.get(&address.url, address.reach, jwks::CAP);
            let document = self.client.get(get, deadline).await.map_err(NotFetched::Keys)?;
            let (keys, skipped) = jwks::read(&document)?;
            Ok(Fetched { keys, skipped })
        })
    }
}

#[cfg(test)]
mod tests;
