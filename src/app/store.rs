//! Opens the store that the settings name.
use super::{
    host::Host,
    naming::{namings, pin},
    start::StartError,
};
use crate::{
    config::settings::{Settings, StorePlace},
    flow::registry::Registrar,
    outbound::store::{
        cached::{CachedStore, REMEMBERED},
        sqlite::SqliteStore,
    },
    ports::{clock::Clock, registry::Registry, store::BindingStore},
};
use std::{path::PathBuf, sync::Arc};

/// The store as those see it who serve requests, and as operators do.
#[derive(Clone, Debug)]
pub struct Opened {
    /// With the memory in front of it.
    pub bindings: Arc<CachedStore>,
    /// Without.
    pub registry: Arc<dyn Registry>,
}

/// Opens it, with the memory in front of it, and pins what identities are made with.
///
/// # Errors
/// [`StartError::Store`], [`StartError::IdentityKey`] and [`StartError::IdentityFormat`].
pub async fn open(settings: &Settings, host: &Host) -> Result<Opened, StartError> {
    let (store, registry) = bare(settings, Arc::clone(&host.clock)).await?;
    let cached = CachedStore::new(
        store,
        REMEMBERED,
        settings.store.stale_for,
        Arc::clone(&host.clock),
        Arc::clone(&host.metrics),
    );
    let bindings = Arc::new(cached.following(Arc::clone(&registry)));
    match bindings.pin(&pin(settings)).await {
        Ok(()) => Ok(Opened { bindings, registry }),
        Err(error) => Err(StartError::of_pin(error)),
    }
}

/// The registry alone, for a command beside a running sidecar or without one. Pins nothing.
///
/// # Errors
/// [`StartError::Store`].
pub async fn registry(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Registrar, StartError> {
    let (_, store) = bare(settings, Arc::clone(&clock)).await?;
    Ok(Registrar::new(store, settings.identity_key.clone(), namings(settings), clock))
}

type Bare = (Arc<dyn BindingStore>, Arc<dyn Registry>);

async fn bare(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Bare, StartError> {
    let store = match &settings.store.place {
        StorePlace::Sqlite(path) => {
            Arc::new(sqlite(path.clone(), settings.store.migrate, clock).await?)
        }
        StorePlace::Memory => Arc::new(
            SqliteStore::in_memory(clock).map_err(|unfit| StartError::Store(Box::new(unfit)))?,
        ),
    };
    Ok((Arc::clone(&store) as Arc<dyn BindingStore>, store))
}

/// Opens the file.
///
/// # Errors
/// [`StartError::Store`].
pub(super) async fn sqlite(
    path: PathBuf,
    migrates: bool,
    clock: Arc<dyn Clock>,
) -> Result<SqliteStore, StartError> {
    // Opening waits for locks and for the disk.
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, migrates, clock));
    let opened = opened.await.map_err(std::io::Error::other)?;
    opened.map_err(|unfit| StartError::Store(Box::new(unfit)))
}
