//! The key sources of all issuers, kept over a reload where nothing about them changed.
use super::host::Host;
use crate::{
    config::settings::{IssuerSettings, KeysAt, Settings},
    outbound::{
        http::trust::{Trust, UnusableTrust},
        oidc::{
            keys::{Config, IssuerKeys, Timing},
            source,
        },
    },
};
use arc_swap::ArcSwap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What readiness and `/metrics` look at: the sources in force.
pub(super) type Watched = Arc<ArcSwap<Vec<Arc<IssuerKeys>>>>;

/// Owns the tasks that fetch keys; they end with it.
#[derive(Debug)]
pub(super) struct Issuers {
    keys: Watched,
    refreshers: JoinSet<()>,
}

impl Issuers {
    /// None yet.
    pub(super) fn none() -> Self {
        Self { keys: Arc::default(), refreshers: JoinSet::new() }
    }

    /// One source an issuer, in the order of `settings`. What is held goes on where its settings are equal, and
    /// hands its keys over where only the timing or a bearer token changed.
    ///
    /// # Errors
    /// A `certificateAuthority`, or the host's own authorities, cannot be used; nothing has changed then.
    pub(super) fn follow(&mut self, settings: &Settings, host: &Host) -> Result<(), UnusableTrust> {
        let trust = Trust::of_host();
        let held = self.keys.load_full();
        let (mut next, mut starting) = (Vec::new(), Vec::new());
        for issuer in &settings.issuers {
            let config = keys_config(issuer, settings);
            if let Some(kept) = held.iter().find(|keys| *keys.config() == config) {
                next.push(Arc::clone(kept));
                continue;
            }
            let (clock, entropy) = (Arc::clone(&host.clock), Arc::clone(&host.entropy));
            let (keys, refresher) =
                config.build(&trust, clock, entropy, Arc::clone(&host.metrics))?;
            for old in &*held {
                keys.inherit(old);
            }
            next.push(Arc::new(keys));
            starting.push(refresher);
        }
        self.keys.store(Arc::new(next));
        // Those whose keys were dropped end by themselves, once the last request that reads them is done.
        while self.refreshers.try_join_next().is_some() {}
        for refresher in starting {
            self.refreshers.spawn(refresher.run());
        }
        Ok(())
    }

    /// The sources in force, in the order of the settings.
    pub(super) fn keys(&self) -> Watched {
        Arc::clone(&self.keys)
    }
}

/// What an issuer's key source is built from.
pub fn keys_config(issuer: &IssuerSettings, settings: &Settings) -> Config {
    Config {
        issuer: issuer.url.clone(),
        keys_at: match &issuer.keys_at {
            KeysAt::Discovery(url) => source::KeysAt::Discovery(url.clone()),
            KeysAt::Jwks(url) => source::KeysAt::Jwks(url.clone()),
        },
        certificate_authority: issuer.certificate_authority.clone(),
        bearer: issuer.bearer.clone(),
        insecure_http: issuer.insecure_http,
        timing: Timing {
            refresh: issuer.keys.refresh,
            cooldown: issuer.keys.cooldown,
            max_stale: issuer.keys.max_stale,
            fetch_timeout: issuer.keys.fetch_timeout,
        },
        proxy: settings.proxy.clone(),
    }
}
