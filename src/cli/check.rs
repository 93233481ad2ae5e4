//! `usher check`: every mistake at once; with `--online` what only the world can tell.
use super::{
    args::CheckOptions,
    exit::Exit,
    load,
    run::block_on,
    terminal::{complain, say},
};
use crate::{
    app::{Host, keys_config, open_store},
    config::settings::Settings,
    outbound::{http::trust::Trust, oidc::source::Source as _},
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
    if options.online {
        return block_on(online(&settings));
    }
    say(&format!("{name}: ok"));
    Exit::Done
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
    let host = Host::system(settings.identity_key.fingerprint());
    let store = match open_store(settings, &host).await {
        Ok(store) => store.ping().await.map(|()| "opens".to_owned()).map_err(|e| chain(&e)),
        Err(error) => Err(chain(&error)),
    };
    tell("store", store);
    if failed { Exit::Unavailable } else { Exit::Done }
}

async fn keys(
    settings: &Settings,
    issuer: &crate::config::settings::IssuerSettings,
) -> Result<String, String> {
    let trust = Trust::of_host().map_err(|error| chain(&error))?;
    let remote = keys_config(issuer, settings).remote(&trust).map_err(|e| chain(&e))?;
    let deadline =
        tokio::time::Instant::now() + issuer.keys.fetch_timeout.max(Duration::from_secs(1));
    let fetched = remote.fetch(deadline).await.map_err(|error| chain(&error))?;
    Ok(format!("{} usable keys", fetched.keys.len()))
}
