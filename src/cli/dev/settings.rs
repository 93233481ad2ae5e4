//! The configuration that `usher dev` writes for itself: the same form, the same checks as anybody's.
use crate::cli::{args::DevOptions, exit::Exit, load, terminal::complain};
use crate::{
    config::{
        self, Environment, Sources,
        settings::{AllowedOrigin, Settings},
    },
    dev::{
        provider::{AUDIENCE, CLIENT_ID},
        state::DevState,
    },
    outbound::system::SystemClock,
    ports::clock::Clock as _,
};
use serde_json::{Value, json};
use std::{ffi::OsString, fs, net::SocketAddr, os::unix::fs::OpenOptionsExt as _};

/// What the file says of itself.
const HEADER: &str =
    "# Written anew by each `usher dev`. To run on a copy of it: usher serve --config FILE\n";

/// Writes the configuration and reads it.
pub(super) fn settings(
    options: &DevOptions,
    state: &DevState,
    issuer: &str,
) -> Result<Settings, Exit> {
    let variables = variables(options.live);
    let twilio = if options.live { live(&variables)? } else { throw_away(state) };
    // With port 0 every port is a free one.
    let beside = |port| {
        let port = if options.listen.port() == 0 { 0 } else { port };
        SocketAddr::new(options.listen.ip(), port).to_string()
    };
    let configuration = json!({
        "twilio": twilio,
        "issuers": issuers(options, issuer),
        "identity": {"key": {"file": "identity-key"}},
        "store": {"url": format!("sqlite:{}", state.folder.join("usher.db").display())},
        "listen": {
            "public": options.listen.to_string(),
            // Operators come from this host, also with `--allow-remote`.
            "admin": format!("127.0.0.1:{}", if options.listen.port() == 0 { 0 } else { 4182 }),
            "health": beside(4183),
        },
        "log": {"format": "text", "level": "info"},
    });
    // JSON is YAML.
    let text = format!("{HEADER}{configuration:#}\n");
    let file = state.folder.join("usher.yaml");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut to| std::io::Write::write_all(&mut to, text.as_bytes()));
    if let Err(error) = written {
        complain(&format!("usher dev: {}: {error}", file.display()));
        return Err(Exit::Unavailable);
    }
    let sources = Sources::new(Some(file), Environment::new(variables), SystemClock::start().now());
    let mut settings = config::load(&sources).map_err(|mistakes| load::refused(&mistakes))?;
    settings.state_directory.clone_from(&state.folder);
    settings.allowed_origins = ["http://localhost", "http://127.0.0.1"]
        .map(|origin| AllowedOrigin::AnyPort(origin.into()))
        .into();
    // The embedded provider speaks plain http on loopback; that needs no warning here.
    settings.warnings.retain(|warning| !warning.starts_with("issuers[0]"));
    Ok(settings)
}

fn issuers(options: &DevOptions, embedded: &str) -> Value {
    let mut issuers = vec![json!({
        "url": embedded,
        "audiences": [AUDIENCE, CLIENT_ID],
        "insecureHttp": true,
        // Its address changes with `--listen`; the people behind it do not.
        "namespace": "usher-dev",
    })];
    if let (Some(url), Some(audience)) = (&options.issuer, &options.audience) {
        issuers.push(json!({
            "url": url,
            "audiences": [audience],
            "insecureHttp": url.starts_with("http:"),
            // Whoever tries usher with a public provider wants to see it work.
            "anyone": true,
        }));
    }
    Value::Array(issuers)
}

fn throw_away(state: &DevState) -> Value {
    json!({
        "accountSid": state.account.as_str(),
        "apiKey": {"sid": state.api_key.as_str(), "secret": {"file": "api-key-secret"}},
        "services": {"main": {"sid": state.service.as_str()}},
    })
}

/// What counts of the environment: how to reach the world, and with `--live` the account.
fn variables(live: bool) -> Vec<(OsString, OsString)> {
    const ALWAYS: [&str; 4] = ["HTTPS_PROXY", "NO_PROXY", "RUST_LOG", "SSL_CERT_FILE"];
    std::env::vars_os()
        .filter(|(name, value)| {
            let name = name.to_string_lossy();
            let counts = ALWAYS.contains(&&*name)
                || name.starts_with("OTEL_")
                || live && name.starts_with("TWILIO_");
            counts && !value.is_empty()
        })
        .collect()
}

/// The account that `TWILIO_*` names (contract 5); its secret stays where it is.
fn live(variables: &[(OsString, OsString)]) -> Result<Value, Exit> {
    let get = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned())
    };
    let need = |name: &str| {
        get(name).ok_or_else(|| {
            complain(&format!("usher dev: --live needs {name}"));
            Exit::Wrong
        })
    };
    let secret = match (get("TWILIO_API_SECRET"), get("TWILIO_API_SECRET_FILE")) {
        (Some(_), None) => json!({"env": "TWILIO_API_SECRET"}),
        // Meant from where usher was called, and not from the folder of the file that is written.
        (None, Some(file)) => {
            let file = std::path::absolute(&file).unwrap_or_else(|_| file.into());
            json!({"file": file.display().to_string()})
        }
        (Some(_), Some(_)) => {
            complain(
                "usher dev: TWILIO_API_SECRET and TWILIO_API_SECRET_FILE are both set: unset one",
            );
            return Err(Exit::Wrong);
        }
        (None, None) => {
            complain("usher dev: --live needs TWILIO_API_SECRET_FILE or TWILIO_API_SECRET");
            return Err(Exit::Wrong);
        }
    };
    Ok(json!({
        "accountSid": need("TWILIO_ACCOUNT_SID")?,
        "apiKey": {"sid": need("TWILIO_API_KEY")?, "secret": secret},
        "region": get("TWILIO_REGION").unwrap_or_else(|| "us1".to_owned()),
        "services": {"main": {"sid": need("TWILIO_CONVERSATIONS_SERVICE_SID")?}},
    }))
}
