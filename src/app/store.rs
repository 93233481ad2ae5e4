//! Opens the store that the settings name.
use super::{
    absent::Absent,
    host::Host,
    naming::{namings, pin},
    postgres,
    start::StartError,
};
use crate::{
    config::settings::{Settings, StorePlace},
    flow::registry::Registrar,
    outbound::store::{
        cached::{CachedStore, REMEMBERED},
        pinned::PinnedStore,
        postgres::PostgresStore,
        sqlite::SqliteStore,
    },
    ports::{
        clock::Clock,
        registry::Registry,
        store::{BindingStore, PinError},
    },
};
use std::{path::PathBuf, sync::Arc};

/// The store as those see it who serve requests, and as operators do.
#[derive(Clone, Debug)]
pub struct Opened {
    /// With the memory in front of it.
    pub bindings: Arc<CachedStore>,
    /// Without.
    pub registry: Arc<dyn Registry>,
    /// The store itself, where it is PostgreSQL.
    pub(super) postgres: Option<Arc<PostgresStore>>,
}

/// Opens it, with the memory in front of it, and pins what identities are made with.
///
/// # Errors
/// [`StartError::Store`], [`StartError::IdentityKey`] and [`StartError::IdentityFormat`].
pub async fn open(settings: &Settings, host: &Host) -> Result<Opened, StartError> {
    let Bare { bindings, registry, postgres } =
        bare(settings, Absent::Made, Arc::clone(&host.clock)).await?;
    let cached = CachedStore::new(
        bindings,
        REMEMBERED,
        settings.store.stale_for,
        Arc::clone(&host.clock),
        Arc::clone(&host.metrics),
    );
    let bindings = Arc::new(cached.following(Arc::clone(&registry)));
    match bindings.pin(&pin(settings)).await {
        Ok(()) => Ok(Opened { bindings, registry, postgres }),
        // One that cannot be reached does not end usher (contract 1): it is pinned once it is there.
        Err(PinError::Store(_)) if postgres.is_some() => {
            Ok(Opened { bindings, registry, postgres })
        }
        Err(error) => Err(StartError::of_pin(error)),
    }
}

/// The registry alone, for a command beside a running sidecar or without one. Pins nothing.
///
/// # Errors
/// [`StartError::Store`], and [`StartError::Postgres`] where only an operator can help.
pub async fn registry(
    settings: &Settings,
    absent: Absent,
    clock: Arc<dyn Clock>,
) -> Result<Registrar, StartError> {
    let Bare { registry, .. } = bare(settings, absent, Arc::clone(&clock)).await?;
    Ok(Registrar::new(registry, settings.identity_key.clone(), namings(settings), clock))
}

/// A store without the memory.
struct Bare {
    bindings: Arc<dyn BindingStore>,
    registry: Arc<dyn Registry>,
    postgres: Option<Arc<PostgresStore>>,
}

async fn bare(
    settings: &Settings,
    absent: Absent,
    clock: Arc<dyn Clock>,
) -> Result<Bare, StartError> {
    let store = match &settings.store.place {
        StorePlace::Sqlite(path) => {
            sqlite(path.clone(), absent, settings.store.migrate, clock).await?
        }
        StorePlace::Memory => {
            SqliteStore::in_memory(clock).map_err(|unfit| StartError::Store(Box::new(unfit)))?
        }
        StorePlace::Postgres(server) => {
            let store = Arc::new(postgres::open(server, settings, absent, clock).await?);
            let bindings = PinnedStore::new(Arc::clone(&store) as Arc<dyn BindingStore>);
            let registry = Arc::clone(&store) as Arc<dyn Registry>;
            return Ok(Bare { bindings: Arc::new(bindings), registry, postgres: Some(store) });
        }
    };
    let store = Arc::new(store);
    let bindings = Arc::clone(&store) as Arc<dyn BindingStore>;
    Ok(Bare { bindings, registry: store, postgres: None })
}

/// Opens the file.
///
/// # Errors
/// [`StartError::Store`].
pub(super) async fn sqlite(
    path: PathBuf,
    absent: Absent,
    migrates: bool,
    clock: Arc<dyn Clock>,
) -> Result<SqliteStore, StartError> {
    // Opening waits for locks and for the disk.
    let opened = tokio::task::spawn_blocking(move || match absent {
        Absent::Made => SqliteStore::open(&path, migrates, clock),
        Absent::Refused => SqliteStore::existing(&path, migrates, clock),
    });
    let opened = opened.await.map_err(std::io::Error::other)?;
    opened.map_err(|unfit| StartError::Store(Box::new(unfit)))
}
