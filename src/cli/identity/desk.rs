//! What every command about the registry has: the registry itself, who asks, and how failures are told.
use super::{Output, table::shown, user};
use crate::{
    app,
    cli::{exit::Exit, terminal::complain},
    config::settings::Settings,
    flow::registry::{Order, Registrar},
    outbound::system::SystemClock,
    ports::{
        clock::Clock,
        registry::{ChangeError, Conflict},
        store::StoreError,
    },
    telemetry::logs::chain,
};
use std::sync::Arc;

/// An operator before the registry of the configured store.
pub(super) struct Desk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) registrar: Registrar,
    pub(super) output: Output,
    pub(super) clock: Arc<dyn Clock>,
}

impl<'a> Desk<'a> {
    /// Opens the store. It pins nothing: whose key is the wrong one learns so where the key matters.
    pub(super) async fn open(
        settings: &'a Settings,
        absent: app::Absent,
        output: Output,
    ) -> Result<Self, Exit> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
        match app::registry(settings, absent, Arc::clone(&clock)).await {
            Ok(registrar) => Ok(Self { settings, registrar, output, clock }),
            Err(error) => {
                complain(&format!("usher: {}", chain(&error)));
                Err(Exit::Unavailable)
            }
        }
    }

    /// An order of this operator's.
    pub(super) fn order(why: impl Into<Box<str>>) -> Order {
        Order { who: format!("cli:{}", user::name()).into(), why: why.into() }
    }
}

/// Says that what a sidecar holds in its own memory is not to be seen from here.
pub(super) fn unseen() -> Exit {
    complain(
        "usher: this needs a durable store: store.url is memory:, which is in the sidecar's own memory, and this \
         command sees none of it (ask the sidecar's admin listener)",
    );
    Exit::Unavailable
}

/// Says that the store failed.
pub(super) fn store_failed(error: &StoreError) -> Exit {
    match error {
        StoreError::Rekeyed(held) => complain(&format!("usher: {}", Conflict::OtherKey(*held))),
        StoreError::Reformatted | StoreError::Unavailable(_) | StoreError::Damaged => {
            complain(&format!("usher: {}", chain(error)));
        }
    }
    Exit::Unavailable
}

/// Says why nothing was changed.
pub(super) fn not_changed(error: &ChangeError) -> Exit {
    match error {
        ChangeError::Store(cause) => return store_failed(cause),
        ChangeError::NotFound
        | ChangeError::NotDurable
        | ChangeError::Conflict(
            Conflict::HasAnother(_) | Conflict::Retired | Conflict::Taken | Conflict::OtherKey(_),
        ) => complain(&format!("usher: {}", shown(&chain(error)))),
    }
    match error {
        ChangeError::NotFound => Exit::NotFound,
        ChangeError::Conflict(Conflict::HasAnother(_) | Conflict::Retired | Conflict::Taken) => {
            Exit::Conflict
        }
        ChangeError::Conflict(Conflict::OtherKey(_))
        | ChangeError::NotDurable
        | ChangeError::Store(_) => Exit::Unavailable,
    }
}
