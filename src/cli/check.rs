//! `usher check`: every mistake at once; with `--online` what only the world can tell.
use super::{
    args::CheckOptions,
    exit::Exit,
    load,
    run::block_on,
    terminal::{complain, say},
};
use crate::{
    app::{Host, certificate_mistakes, keys_config, look_at_postgres, open_store},
    config::settings::{Settings, StorePlace},
    outbound::{http::trust::Trust, oidc::source::Source as _, store::postgres::PostgresSettings},
    ports::store::BindingStore as _,
    telemetry::logs::chain,
};
use std::{path::PathBuf, time::Duration};

/// Checks the configuration.
pub(super) fn run(file: Option<PathBuf>, options: &CheckOptions) -> Exit {
    let name = file.as_deref().map_or_else(|| "environment".into(), |f| f.display().to_string());
    let settings = match load::settings(file, &[], &[]) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    for warning in &settings.warnings {
        complain(&format!("{name}: warning: {warning}"));
    }
    if let Some(exit) = unfit(&name, &settings) {
        return exit;
    }
    if options.online {
        return block_on(online(&settings));
    }
    say(&format!("{name}: ok"));
    Exit::Done
}

/// What parses and cannot be used: certificates that do not fit their key, authorities that are none.
fn unfit(name: &str, settings: &Settings) -> Option<Exit> {
    let mut mistakes: Vec<_> =
        certificate_mistakes(settings).iter().map(|error| chain(error)).collect();
    for (at, issuer) in settings.issuers.iter().enumerate() {
        if let Err(error) = keys_config(issuer, settings).remote(&Trust::of_host()) {
            mistakes.push(format!("issuers[{at}].certificateAuthority: {}", chain(&error)));
        }
    }
    for mistake in &mistakes {
        complain(&format!("{name}: {mistake}"));
    }
    (!mistakes.is_empty()).then_some(Exit::Unavailable)
}

/// Asks each issuer for its keys, and opens the store.
async fn online(settings: &Settings) -> Exit {
    let mut failed = false;
    let mut tell = |what: &str, outcome: Result<String, String>| match outcome {
        Ok(told) => say(&format!("ok      {what}: {told}")),
        Err(why) => {
            failed = true;
            say(&format!("failed  {what}: {why}"));
        }
    };
    for issuer in &settings.issuers {
        tell(&format!("issuer {}", issuer.url.as_str()), keys(settings, issuer).await);
    }
    let store = match &settings.store.place {
        StorePlace::Sqlite(path)
            if settings.store.migrate
                && !std::fs::metadata(path).is_ok_and(|file| file.len() > 0) =>
        {
            Ok("is not there yet; the first start makes it".to_owned())
        }
        StorePlace::Sqlite(_) | StorePlace::Memory => opens(settings).await,
        StorePlace::Postgres(server) => reaches(server, settings).await,
    };
    tell("store", store);
    if failed { Exit::Unavailable } else { Exit::Done }
}

async fn opens(settings: &Settings) -> Result<String, String> {
    let host = Host::system(settings.identity_key.fingerprint());
    let store = open_store(settings, &host).await.map_err(|error| chain(&error))?;
    store.bindings.ping().await.map(|()| "opens".to_owned()).map_err(|error| chain(&error))
}

async fn reaches(server: &PostgresSettings, settings: &Settings) -> Result<String, String> {
    let clock = Host::system(settings.identity_key.fingerprint()).clock;
    let held = look_at_postgres(server, settings, clock).await.map_err(|error| chain(&error))?;
    Ok(match held {
        Some(_) => "opens".to_owned(),
        None => "has not this version's schema yet; the first start makes it".to_owned(),
    })
}

async fn keys(
    settings: &Settings,
    issuer: &crate::config::settings::IssuerSettings,
) -> Result<String, String> {
    let remote = keys_config(issuer, settings).remote(&Trust::of_host()).map_err(|e| chain(&e))?;
    let deadline =
        tokio::time::Instant::now() + issuer.keys.fetch_timeout.max(Duration::from_secs(1));
    let fetched = remote.fetch(deadline).await.map_err(|error| chain(&error))?;
    Ok(format!("{} usable keys", fetched.keys.len()))
}
