//! `usher migrate`: brings the store to this version's schema.
use super::{
    exit::Exit,
    load,
    run::block_on,
    terminal::{complain, say},
};
use crate::{
    app, config::settings::StorePlace, outbound::system::SystemClock, telemetry::logs::chain,
};
use std::{path::PathBuf, sync::Arc};

/// Migrates, whatever `store.migrate` says.
pub(super) fn run(file: Option<PathBuf>) -> Exit {
    let mut settings = match load::settings(file, &[], &[]) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    settings.store.migrate = true;
    let place = match &settings.store.place {
        StorePlace::Sqlite(path) => path.display().to_string(),
        StorePlace::Memory => {
            complain(
                "usher: this needs a durable store: store.url is memory:, which is in the sidecar's own memory, made \
                 anew at each start, and needs no migration",
            );
            return Exit::Unavailable;
        }
        StorePlace::Postgres(server) => server.to_string(),
    };
    block_on(async {
        let opened =
            app::registry(&settings, app::Absent::Made, Arc::new(SystemClock::start())).await;
        let migrated = match opened {
            Ok(registrar) => registrar.store().migrate().await.map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        match migrated {
            Ok(true) => say(&format!("store {place}: brought to this version's schema")),
            Ok(false) => say(&format!("store {place}: nothing to do")),
            Err(why) => {
                complain(&format!("usher: {why}"));
                return Exit::Unavailable;
            }
        }
        Exit::Done
    })
}
