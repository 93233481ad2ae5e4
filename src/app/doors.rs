//! The admin and egress listeners' handlers: made of the settings, and made anew at each reload.
use super::{host::Host, naming};
use crate::{
    config::settings::{EgressSettings, ListenSettings, Listener, Settings},
    domain::secret::Secret,
    flow::registry::Registrar,
    inbound::{
        admin::{Admin, AdminConfig, AdminToken, Role},
        egress::{Egress, EgressConfig, Proof},
        local::LocalRules,
    },
    outbound::admin_token,
    ports::{entropy::Entropy, registry::Registry},
    telemetry::logs::chain,
};
use std::sync::Arc;

/// What both listeners have over every configuration.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) admin: Arc<Admin>,
    /// Absent where its listener was not opened.
    pub(super) egress: Option<Arc<Egress>>,
    frame: Frame,
}

/// What no configuration changes.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) host: Host,
    pub(super) dev: bool,
    pub(super) traces: bool,
    /// Where the listeners are, and whether they speak TLS, only a start can change.
    pub(super) listen: ListenSettings,
}

impl Doors {
    /// Both as `settings` say, with the token that [`own_token`] found.
    pub(super) fn new(settings: &Settings, token: Option<&Secret>, frame: Frame) -> Self {
        let entropy = || Arc::clone(&frame.host.entropy);
        let admin = Admin::new(frame.admin(settings, token), frame.registrar(settings), entropy());
        let egress = settings.egress.as_ref().map(|egress| {
            let config = frame.egress(settings, Some(egress));
            Arc::new(Egress::new(config, frame.registrar(settings), entropy()))
        });
        Self { admin: Arc::new(admin), egress, frame }
    }

    /// Works as `settings` say from now on.
    pub(super) fn replace(&self, settings: &Settings, token: Option<&Secret>) {
        let frame = &self.frame;
        self.admin.replace(frame.admin(settings, token), frame.registrar(settings));
        if let Some(egress) = &self.egress {
            let config = frame.egress(settings, settings.egress.as_ref());
            egress.replace(config, frame.registrar(settings));
        }
    }
}

impl Frame {
    fn registrar(&self, settings: &Settings) -> Registrar {
        let (registry, clock) = (Arc::clone(&self.registry), Arc::clone(&self.host.clock));
        Registrar::new(registry, settings.identity_key.clone(), naming::namings(settings), clock)
    }

    fn admin(&self, settings: &Settings, token: Option<&Secret>) -> AdminConfig {
        let mut tokens = settings.admin.tokens.clone();
        if let (true, Some(token)) = (tokens.is_empty(), token) {
            tokens.push(AdminToken::known("admin-token", token, Role::Operator));
        }
        let rules = rules(&settings.admin.hosts, &self.listen.admin);
        AdminConfig { tokens, rules, dev: self.dev, traces: self.traces }
    }

    /// Where `egress` is gone from the configuration its listener stays open, and gives nothing.
    fn egress(&self, settings: &Settings, egress: Option<&EgressSettings>) -> EgressConfig {
        let services = settings.services.iter().map(|named| &named.service);
        let sids = services
            .flat_map(|service| [service.account.as_str().into(), service.api_key.as_str().into()]);
        let hosts = egress.map(|egress| &*egress.hosts).unwrap_or_default();
        EgressConfig {
            lookup: egress.map(|egress| egress.lookup.clone()).unwrap_or_default(),
            proof: Proof::new(
                sids.collect::<Vec<_>>(),
                egress.and_then(|egress| egress.token.clone()),
            ),
            rules: rules(hosts, self.listen.egress.as_ref().unwrap_or(&self.listen.admin)),
            dev: self.dev,
            traces: self.traces,
        }
    }
}

fn rules(hosts: &[Box<str>], listener: &Listener) -> LocalRules {
    LocalRules::new(hosts, listener.tls.is_some())
}

/// As [`own_token`], off the threads that serve.
pub(super) async fn found_token(settings: &Settings, host: &Host) -> Option<Secret> {
    let (settings, entropy) = (settings.clone(), Arc::clone(&host.entropy));
    let found = tokio::task::spawn_blocking(move || own_token(&settings, &*entropy)).await;
    found.ok().flatten()
}

/// The admin token that usher keeps itself, where none is configured. Reads or writes a file.
pub(super) fn own_token(settings: &Settings, entropy: &dyn Entropy) -> Option<Secret> {
    if !settings.admin.tokens.is_empty() {
        return None;
    }
    match admin_token::keep(&settings.state_directory, entropy) {
        Ok(token) => Some(token),
        Err(error) => {
            let path = admin_token::path(&settings.state_directory);
            let (path, why) = (path.display().to_string(), chain(&error));
            tracing::warn!(
                path,
                why,
                "the admin token can be neither read nor written: nobody can use the admin API; \
                 set STATE_DIRECTORY to a directory usher may write, or configure admin.tokens"
            );
            None
        }
    }
}
