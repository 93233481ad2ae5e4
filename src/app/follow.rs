//! Follows a changed configuration while usher serves (contract 2, "reloads").
use super::{
    doors::{self, Doors},
    face::Lasting,
    host::Host,
    issuers::Issuers,
    listeners::Certificates,
    naming, postgres,
    ready::Latches,
    reload::{self, Reader, Reread},
    running::{Load, seconds},
    start::StartError,
    tasks::Stop,
};
use crate::{
    config::{
        Mistakes,
        settings::{Listener, Settings, StorePlace},
    },
    domain::secret::Secret,
    inbound::public::{Exchange, Public},
    outbound::{files::Glance, store::postgres::PostgresStore},
    telemetry::logs::chain,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Follows a changed configuration, and owns what changes with it.
pub(super) struct Follower {
    pub(super) settings: Settings,
    pub(super) host: Host,
    pub(super) issuers: Issuers,
    pub(super) lasting: Lasting,
    pub(super) handler: Arc<Public<Exchange>>,
    pub(super) doors: Doors,
    pub(super) certificates: Certificates,
    pub(super) latches: Arc<Latches>,
    pub(super) grace: Arc<AtomicU64>,
    pub(super) load: Option<Load>,
    pub(super) revision: u64,
    /// The store, where it is PostgreSQL: its password may change.
    pub(super) postgres: Option<Arc<PostgresStore>>,
}

/// Settings that were read anew, and the admin token that usher keeps itself.
type Fresh = (Settings, Option<Secret>);

impl Reader for Follower {
    async fn reread(&mut self) -> Reread {
        let Some(load) = self.load.clone() else {
            return Reread { files: Vec::new(), accepted: true };
        };
        let entropy = Arc::clone(&self.host.entropy);
        // Reading files takes as long as their file system likes.
        let read = tokio::task::spawn_blocking(move || {
            let settings = load()?;
            let token = doors::own_token(&settings, &*entropy);
            Ok((settings, token))
        });
        self.follow(read.await.map_err(|error| error.to_string())).await
    }
}

impl Follower {
    /// Until `stop`; `seen` is how the files looked when the settings were read.
    pub(super) async fn run(self, seen: Glance, stop: Stop) {
        let (files, clock) = (self.settings.files.clone(), Arc::clone(&self.host.clock));
        if self.load.is_none() {
            // Owns the tasks that fetch keys all the same.
            return stop.requested().await;
        }
        tokio::select! {
            () = stop.requested() => {}
            ended = reload::watch((files, seen), clock, self) => {
                if let Err(error) = ended {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "changes of the configuration cannot be noticed");
                }
            }
        }
    }

    async fn follow(&mut self, read: Result<Result<Fresh, Mistakes>, String>) -> Reread {
        let mut files = self.settings.files.clone();
        let outcome = match read {
            Ok(Ok((settings, token))) => {
                files.clone_from(&settings.files);
                self.adopt(settings, token.as_ref()).await
            }
            Ok(Err(mistakes)) => {
                files = mistakes.files().to_vec();
                Err(mistakes.to_string())
            }
            Err(panicked) => Err(panicked),
        };
        let accepted = outcome.is_ok();
        match &outcome {
            Ok(()) => tracing::info!(revision = self.revision, "configuration read anew"),
            Err(why) => tracing::error!(why, "changed configuration refused; the old one serves"),
        }
        self.host.metrics.config_reload_failed(!accepted);
        self.latches.configuration(outcome.err());
        Reread { files, accepted }
    }

    /// Works with `settings` from now on, but for what only a start can change.
    async fn adopt(
        &mut self,
        mut settings: Settings,
        token: Option<&Secret>,
    ) -> Result<(), String> {
        if let Some(store) = &self.postgres {
            postgres::follow(store, &mut self.settings, &settings.store.place)
                .map_err(|error| chain(&error))?;
        }
        self.keep_what_a_start_sets(&mut settings);
        self.pin(&settings).await?;
        let said = |error: &dyn std::error::Error| chain(error);
        self.issuers.follow(&settings, &self.host).map_err(|error| said(&error))?;
        let revision = self.revision + 1;
        let keys = self.issuers.keys();
        let face = self
            .lasting
            .face(&settings, &keys, &self.host, revision)
            .map_err(|error| said(&error))?;
        self.certificates.replace(&settings).map_err(|error| said(&error))?;
        self.handler.replace(face);
        self.doors.replace(&settings, token);
        self.grace.store(seconds(settings.shutdown_grace), Ordering::Relaxed);
        self.revision = revision;
        self.settings = settings;
        Ok(())
    }

    /// Another format is refused while identities rest on the old one, as at a start (contract 4).
    async fn pin(&self, settings: &Settings) -> Result<(), String> {
        let pin = naming::pin(settings);
        if pin == naming::pin(&self.settings) {
            return Ok(());
        }
        let readable = pin.formats.iter().any(|(_, line)| &**line != "opaque");
        if readable && settings.store.place == StorePlace::Memory {
            return Err("a readable format needs a durable store: start usher again".to_owned());
        }
        let pinned = self.lasting.store.pin(&pin).await;
        pinned.map_err(|error| chain(&StartError::of_pin(error)))
    }

    fn keep_what_a_start_sets(&self, settings: &mut Settings) {
        let old = &self.settings;
        if settings.identity_key.fingerprint() != old.identity_key.fingerprint() {
            // Contract 2: never reloaded. Half the replicas would give everybody a second identity.
            tracing::warn!(
                "identity.key changed: the old one stays in use until usher is started again"
            );
        }
        let is_same = |new: &Listener, old: &Listener| {
            new.address == old.address && new.tls.is_some() == old.tls.is_some()
        };
        let same_egress = match (&settings.listen.egress, &old.listen.egress) {
            (Some(new), Some(old)) => is_same(new, old),
            (new, old) => new.is_none() && old.is_none(),
        };
        let same_places = same_egress
            && is_same(&settings.listen.public, &old.listen.public)
            && is_same(&settings.listen.admin, &old.listen.admin)
            && is_same(&settings.listen.health, &old.listen.health);
        if settings.log != old.log || settings.otlp_endpoint != old.otlp_endpoint {
            tracing::warn!(
                "log or telemetry changed: that takes effect when usher is started again"
            );
        }
        if !same_places || settings.store != old.store {
            tracing::warn!(
                "listen, store, or whether there is an egress changed: that takes effect when usher is started again"
            );
        }
        settings.identity_key = old.identity_key.clone();
        settings.store = old.store.clone();
    }
}
