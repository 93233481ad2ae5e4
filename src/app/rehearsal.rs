//! The steps of a request, with nothing behind them that could change: for `usher explain`.
use super::{
    absent::Absent, face::Lasting, host::Host, issuers::Issuers, postgres, start::StartError, store,
};
use crate::{
    config::settings::{Settings, StorePlace},
    domain::subject::Subject,
    inbound::public::Exchange,
    ports::{
        Reply,
        registry::Registry,
        store::{BindError, Binding, BindingStore, FirstSight, Given, Pin, PinError, StoreError},
    },
};
use std::sync::Arc;

/// The steps, and what keeps them going.
#[derive(Debug)]
pub struct Rehearsal {
    /// The steps. They find what the store holds, and keep nothing in it.
    pub exchange: Exchange,
    /// What the store holds.
    pub store: Arc<dyn BindingStore>,
    _issuers: Issuers,
}

/// Builds the steps of `settings`. A store that does not exist yet is not made.
///
/// # Errors
/// Each variant of [`StartError`].
pub async fn rehearse(settings: &Settings, host: &Host) -> Result<Rehearsal, StartError> {
    let held = match &settings.store.place {
        StorePlace::Memory => None,
        StorePlace::Sqlite(path) if !path.exists() => None,
        StorePlace::Sqlite(path) => {
            let (migrates, clock) = (settings.store.migrate, Arc::clone(&host.clock));
            let absent = Absent::Refused;
            Some(both(store::sqlite(path.clone(), absent, migrates, clock).await?))
        }
        StorePlace::Postgres(server) => {
            postgres::look(server, settings, Arc::clone(&host.clock)).await?.map(both)
        }
    };
    let store: Arc<dyn BindingStore> = Arc::new(Untouched(held));
    let mut issuers = Issuers::none();
    issuers.follow(settings, host)?;
    let lasting = Lasting::new(Arc::clone(&store), Vec::new(), false);
    let exchange = lasting.exchange(settings, &issuers.keys(), host, 0)?;
    Ok(Rehearsal { exchange, store, _issuers: issuers })
}

/// One store, as those see it who bind and as operators do.
fn both(
    store: impl BindingStore + Registry + 'static,
) -> (Arc<dyn BindingStore>, Arc<dyn Registry>) {
    let store = Arc::new(store);
    (Arc::clone(&store) as Arc<dyn BindingStore>, store)
}

/// Reads a store, where there is one, and says of what would be bound that it is.
#[derive(Debug)]
struct Untouched(Option<(Arc<dyn BindingStore>, Arc<dyn Registry>)>);

impl BindingStore for Untouched {
    fn find<'a>(&'a self, subject: &'a Subject) -> Reply<'a, Result<Option<Binding>, StoreError>> {
        match &self.0 {
            Some((store, _)) => store.find(subject),
            None => Box::pin(async { Ok(None) }),
        }
    }

    fn bind<'a>(&'a self, sight: &'a FirstSight) -> Reply<'a, Result<Given, BindError>> {
        Box::pin(async move {
            match &self.0 {
                Some((_, registry)) => registry.foresee(sight).await,
                None => Ok(Binding::Active(sight.identity.clone()).into()),
            }
        })
    }

    fn pin<'a>(&'a self, _pin: &'a Pin) -> Reply<'a, Result<(), PinError>> {
        Box::pin(async { Ok(()) })
    }

    fn ping(&self) -> Reply<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
