//! Opens the store that the settings name.
use super::{host::Host, start::StartError};
use crate::{
    config::settings::{Settings, StorePlace},
    domain::subject::Namespace,
    outbound::store::{
        cached::{CachedStore, REMEMBERED},
        sqlite::SqliteStore,
    },
    ports::store::{BindingStore, MemoryStore, Pin, PinError},
};
use std::{path::PathBuf, sync::Arc};

/// Opens it, with the memory in front of it, and pins the identity key.
///
/// # Errors
/// [`StartError::Store`] and [`StartError::IdentityKey`].
pub async fn open(settings: &Settings, host: &Host) -> Result<Arc<dyn BindingStore>, StartError> {
    let store: Arc<dyn BindingStore> = match &settings.store.place {
        StorePlace::Sqlite(path) => Arc::new(sqlite(path.clone()).await?),
        // What is forgotten is derived again, so the memory in front needs no second one behind it.
        StorePlace::Memory => {
            Arc::new(MemoryStore::new(usize::try_from(REMEMBERED).unwrap_or(usize::MAX)))
        }
    };
    let cached = CachedStore::new(
        store,
        REMEMBERED,
        settings.store.stale_for,
        Arc::clone(&host.clock),
        Arc::clone(&host.metrics),
    );
    match cached.pin(&pin(settings)).await {
        Ok(()) => Ok(Arc::new(cached)),
        Err(error @ (PinError::OtherKey(_) | PinError::OtherFormat { .. })) => {
            Err(StartError::IdentityKey(error))
        }
        Err(PinError::Store(error)) => Err(StartError::StoreFailed(error)),
    }
}

/// What the configuration makes identities with.
fn pin(settings: &Settings) -> Pin {
    let mut formats: Vec<(Namespace, Box<str>)> = Vec::new();
    for issuer in &settings.issuers {
        if !formats.iter().any(|(namespace, _)| *namespace == issuer.namespace) {
            formats.push((issuer.namespace.clone(), "opaque".into()));
        }
    }
    Pin { fingerprint: settings.identity_key.fingerprint(), formats }
}

async fn sqlite(path: PathBuf) -> Result<SqliteStore, StartError> {
    // Opening waits for locks and for the disk.
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
    opened.map_err(std::io::Error::other)?.map_err(|unfit| StartError::Store(Box::new(unfit)))
}
