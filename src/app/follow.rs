//! Follows a changed configuration while usher serves (contract 2, "reloads").
use super::{
    face::Lasting,
    host::Host,
    issuers::Issuers,
    listeners::Certificates,
    postgres,
    ready::Latches,
    reload::{self, Reader, Reread},
    running::{Load, seconds},
    tasks::Stop,
};
use crate::{
    config::{
        Mistakes,
        settings::{Listener, Settings},
    },
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
    pub(super) certificates: Certificates,
    pub(super) latches: Arc<Latches>,
    pub(super) grace: Arc<AtomicU64>,
    pub(super) load: Option<Load>,
    pub(super) revision: u64,
    /// The store, where it is PostgreSQL: its password may change.
    pub(super) postgres: Option<Arc<PostgresStore>>,
}

impl Reader for Follower {
    async fn reread(&mut self) -> Reread {
        let Some(load) = self.load.clone() else {
            return Reread { files: Vec::new(), accepted: true };
        };
        // Reading files takes as long as their file system likes.
        let read = tokio::task::spawn_blocking(move || load()).await;
        self.follow(read.map_err(|error| error.to_string()))
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

    fn follow(&mut self, read: Result<Result<Settings, Mistakes>, String>) -> Reread {
        let mut files = self.settings.files.clone();
        let outcome = match read {
            Ok(Ok(settings)) => {
                files.clone_from(&settings.files);
                self.adopt(settings)
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
    fn adopt(&mut self, mut settings: Settings) -> Result<(), String> {
        let said = |error: &dyn std::error::Error| chain(error);
        if let Some(store) = &self.postgres {
            postgres::follow(store, &mut self.settings, &settings.store.place)
                .map_err(|error| said(&error))?;
        }
        self.keep_what_a_start_sets(&mut settings);
        self.issuers.follow(&settings, &self.host).map_err(|error| said(&error))?;
        let revision = self.revision + 1;
        let keys = self.issuers.keys();
        let face = self
            .lasting
            .face(&settings, &keys, &self.host, revision)
            .map_err(|error| said(&error))?;
        self.certificates.replace(&settings).map_err(|error| said(&error))?;
        self.handler.replace(face);
        self.grace.store(seconds(settings.shutdown_grace), Ordering::Relaxed);
        self.revision = revision;
        self.settings = settings;
        Ok(())
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
        let same_places = is_same(&settings.listen.public, &old.listen.public)
            && is_same(&settings.listen.health, &old.listen.health);
        if settings.log != old.log || settings.otlp_endpoint != old.otlp_endpoint {
            tracing::warn!(
                "log or telemetry changed: that takes effect when usher is started again"
            );
        }
        if !same_places || settings.store != old.store {
            tracing::warn!(
                "listen or store changed: that takes effect when usher is started again"
            );
        }
        settings.identity_key = old.identity_key.clone();
        settings.store = old.store.clone();
    }
}
