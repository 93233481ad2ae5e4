//! Settings -> what the public listener works with. Called at start and at each reload.
use super::{host::Host, issuers::Watched, naming, policy, start::StartError};
use crate::{
    config::settings::{AllowedOrigin, Settings, TrustedProxy},
    flow::{
        bind::Binder,
        issue::{Mint, Minter},
        permit::Permitter,
        verify::{self, Remembered, Verifier},
    },
    inbound::{
        origin,
        proxies::{Proxy, TrustedProxies},
        public::{Exchange, Face, Page, PublicConfig},
    },
    outbound::store::recall::MokaRecall,
    ports::{keys::Keys, recall::Recall, store::BindingStore},
    token::write::ServiceSigner,
};
use std::sync::Arc;

/// How many verified tokens are remembered, some 2 KiB each: clients come back with the same one within minutes or
/// not at all, and whoever is forgotten costs one more signature check.
const VERIFIED: u64 = 4_096;

/// What outlives a configuration: memories and the store. Nothing in a memory is used under another configuration
/// than the one that put it there; sharing them bounds both together.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) store: Arc<dyn BindingStore>,
    pub(super) verified: Arc<dyn Recall<Arc<Remembered>>>,
    pub(super) pages: Vec<Page>,
    pub(super) dev: bool,
    pub(super) traces: bool,
}

impl Lasting {
    pub(super) fn new(store: Arc<dyn BindingStore>, pages: Vec<Page>, dev: bool) -> Self {
        Self { store, verified: Arc::new(MokaRecall::new(VERIFIED)), pages, dev, traces: false }
    }

    /// The `revision`th configuration of this process, ready to work.
    ///
    /// # Errors
    /// What the configuration's check did not see.
    pub(super) fn face(
        &self,
        settings: &Settings,
        keys: &Watched,
        host: &Host,
        revision: u64,
    ) -> Result<Face<Exchange>, StartError> {
        let exchange = self.exchange(settings, keys, host, revision)?;
        Face::new(self.public(settings), exchange)
            .map_err(|error| StartError::TokenHeader(error.into()))
    }

    /// The steps alone.
    ///
    /// # Errors
    /// What the configuration's check did not see.
    pub(super) fn exchange(
        &self,
        settings: &Settings,
        keys: &Watched,
        host: &Host,
        revision: u64,
    ) -> Result<Exchange, StartError> {
        let services: Vec<_> =
            settings.services.iter().map(|named| Arc::new(named.service.clone())).collect();
        let signers = services
            .iter()
            .zip(&settings.services)
            .map(|(service, named)| ServiceSigner::new(Arc::clone(service), &named.secret))
            .collect();
        let grants = policy::grants(&settings.grants, &services)?;
        let mint = Mint {
            clock: Arc::clone(&host.clock),
            entropy: Arc::clone(&host.entropy),
            metrics: Arc::clone(&host.metrics),
        };
        let (key, clock) = (settings.identity_key.clone(), Arc::clone(&host.clock));
        Ok(Exchange {
            verifier: self.verifier(settings, keys, host, revision)?,
            binder: Binder::new(key, Arc::clone(&self.store), clock)
                .naming(naming::first_sights(settings)?),
            permitter: Permitter::new(services, grants),
            minter: Minter::new(signers, settings.life, revision, mint),
            identity_key: settings.identity_key.clone(),
        })
    }

    fn verifier(
        &self,
        settings: &Settings,
        keys: &Watched,
        host: &Host,
        revision: u64,
    ) -> Result<Verifier, StartError> {
        let mut issuers = Vec::new();
        for (issuer, keys) in settings.issuers.iter().zip(keys.load().iter()) {
            let keys: Arc<dyn Keys> = Arc::clone(keys) as Arc<dyn Keys>;
            issuers.push((policy::issuer_rules(issuer)?, keys));
        }
        let surroundings = verify::Surroundings {
            clock: Arc::clone(&host.clock),
            memory: Arc::clone(&self.verified),
            metrics: Arc::clone(&host.metrics),
        };
        Ok(Verifier::new(revision, issuers, surroundings))
    }

    fn public(&self, settings: &Settings) -> PublicConfig {
        let url = settings.public.url.as_ref();
        PublicConfig {
            prefix: settings.public.prefix.clone(),
            url: url.map(|url| url.as_str().trim_end_matches('/').into()),
            token_headers: settings.token_headers.clone(),
            proxies: TrustedProxies::new(
                settings.public.trusted_proxies.iter().map(proxy).collect::<Vec<_>>(),
            ),
            origins: settings.allowed_origins.iter().map(allowed).collect(),
            dev: self.dev,
            traces: self.traces,
            pages: self.pages.clone(),
        }
    }
}

fn proxy(proxy: &TrustedProxy) -> Proxy {
    match proxy {
        TrustedProxy::Loopback => Proxy::Loopback,
        TrustedProxy::Network(address, bits) => Proxy::Network(*address, *bits),
    }
}

fn allowed(allowed: &AllowedOrigin) -> origin::AllowedOrigin {
    match allowed {
        AllowedOrigin::Exact(text) => origin::AllowedOrigin::Exact(text.clone()),
        AllowedOrigin::AnyPort(text) => origin::AllowedOrigin::AnyPort(text.clone()),
    }
}
