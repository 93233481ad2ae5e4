//! The shared store: how it is opened, looked at, and given another password.
use super::{absent::Absent, start::StartError};
use crate::{
    config::settings::{Settings, StorePlace},
    outbound::{
        store::postgres::{
            Config, NotOpen, PostgresSettings, PostgresStore, Schema, UnfitPostgres,
        },
        system::SystemEntropy,
    },
    ports::clock::Clock,
};
use std::sync::Arc;

/// Opens it. One that cannot be reached is no error: it is tried again when somebody needs it.
///
/// # Errors
/// [`StartError::Postgres`] where only an operator can help, and [`StartError::Trust`].
pub(super) async fn open(
    server: &PostgresSettings,
    settings: &Settings,
    absent: Absent,
    clock: Arc<dyn Clock>,
) -> Result<PostgresStore, StartError> {
    let schema = match absent {
        _ if !settings.store.migrate => Schema::Keep,
        Absent::Made => Schema::Make,
        Absent::Refused => Schema::Advance,
    };
    let store = at(server, settings, schema, clock)?;
    match store.open().await {
        Ok(()) => {}
        Err(later @ NotOpen::Later { .. }) => {
            tracing::warn!("{later}; users who are known go on, others get 503 until it is there");
        }
        Err(unfit @ NotOpen::Unfit { .. }) => return Err(StartError::Postgres(Box::new(unfit))),
    }
    Ok(store)
}

/// Connects, changes nothing, and returns the store where it has a schema.
///
/// # Errors
/// [`StartError::Postgres`], also where it cannot be reached, and [`StartError::Trust`].
pub async fn look(
    server: &PostgresSettings,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Option<PostgresStore>, StartError> {
    let store = at(server, settings, Schema::Keep, clock)?;
    match store.open().await {
        Ok(()) => Ok(Some(store)),
        Err(NotOpen::Unfit { unfit: UnfitPostgres::Behind, .. }) if settings.store.migrate => {
            Ok(None)
        }
        Err(why) => Err(StartError::Postgres(Box::new(why))),
    }
}

fn at(
    server: &PostgresSettings,
    settings: &Settings,
    schema: Schema,
    clock: Arc<dyn Clock>,
) -> Result<PostgresStore, StartError> {
    let config =
        Config { server: server.clone(), max_connections: settings.store.max_connections, schema };
    Ok(PostgresStore::to(config, clock, Arc::new(SystemEntropy))?)
}

/// Takes over from `new` what may change while usher serves: the secrets of the same server. `settings` has what is in
/// force.
///
/// # Errors
/// [`StartError::Trust`]; nothing has changed then.
pub(super) fn follow(
    store: &PostgresStore,
    settings: &mut Settings,
    new: &StorePlace,
) -> Result<(), StartError> {
    let (StorePlace::Postgres(held), StorePlace::Postgres(new)) = (&mut settings.store.place, new)
    else {
        return Ok(());
    };
    let next = PostgresSettings {
        password: new.password.clone(),
        certificate_authority: new.certificate_authority.clone(),
        ..(**held).clone()
    };
    if next == **new && next != **held {
        store.follow(next.clone())?;
        **held = next;
    }
    Ok(())
}
