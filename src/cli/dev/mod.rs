//! `usher dev`: everything embedded, nothing to configure (contract 1).
mod settings;

use super::{
    args::DevOptions,
    exit::Exit,
    run::{Signals, block_on, observe, until_signal},
    terminal::{complain, say},
};
use crate::{
    app::{self, Host, Options, Running, StartError},
    dev::{
        page,
        provider::{CLIENT_ID, Listening, Provider, Signer, listen},
        state::{DevState, FOLDER},
    },
    inbound::server::Address,
    outbound::system::{SystemClock, SystemEntropy},
    telemetry::logs::chain,
};
use std::{io, net::SocketAddr, path::Path, sync::Arc};
use tokio::task::JoinSet;

/// Serves on embedded parts until a signal ends it.
pub(super) fn run(has_config: bool, options: &DevOptions) -> Exit {
    if let Err(why) = allowed(has_config, options) {
        complain(&format!("usher dev: {why}"));
        return Exit::Usage;
    }
    block_on(async {
        match prepare(options).await {
            Ok(prepared) => Box::pin(prepared.serve(options)).await,
            Err(exit) => exit,
        }
    })
}

/// What `usher dev` is not for.
fn allowed(has_config: bool, options: &DevOptions) -> Result<(), &'static str> {
    if std::env::vars_os().any(|(name, _)| name == "KUBERNETES_SERVICE_HOST") {
        return Err("this is a pod: anybody could sign in as anybody; run usher serve");
    }
    if has_config {
        return Err("there is nothing to configure; run usher serve --config FILE");
    }
    if !options.listen.ip().is_loopback() && !options.allow_remote {
        return Err(
            "anybody can sign in as anybody: others reach this address only with --allow-remote",
        );
    }
    Ok(())
}

struct Prepared {
    settings: crate::config::settings::Settings,
    provider: Arc<Provider>,
    listening: Listening,
}

/// The port of the provider, and of the health listener beside it.
const PROVIDER_PORT: u16 = 4184;

async fn prepare(options: &DevOptions) -> Result<Prepared, Exit> {
    let refuse = |why: String| {
        complain(&format!("usher dev: {why}"));
        Exit::Unavailable
    };
    let entropy = SystemEntropy;
    let state =
        DevState::open(Path::new(FOLDER), &entropy).map_err(|error| refuse(chain(&error)))?;
    let signer = Signer::kept(&state).map_err(|error| refuse(chain(&error)))?;
    let port = if options.listen.port() == 0 { 0 } else { PROVIDER_PORT };
    let wanted = SocketAddr::new(options.listen.ip(), port);
    let listening = listen(wanted).await.map_err(|error| {
        refuse(format!("the provider cannot listen on {wanted}: {error}; try --listen 127.0.0.1:0"))
    })?;
    let issuer = format!("http://{}", reachable(listening.address()));
    let clock = Arc::new(SystemClock::start());
    let provider = Arc::new(Provider::new(&issuer, signer, clock, Arc::new(entropy)));
    let settings = settings::settings(options, &state, &issuer)?;
    Ok(Prepared { settings, provider, listening })
}

/// Where a browser on this host finds an address that means all of them.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port())
}

impl Prepared {
    async fn serve(self, options: &DevOptions) -> Exit {
        let signals = match Signals::notice() {
            Ok(signals) => signals,
            Err(exit) => return exit,
        };
        let telemetry = match observe(&self.settings, Box::new(io::stderr())) {
            Ok(telemetry) => telemetry,
            Err(exit) => return exit,
        };
        let host = Host::system(self.settings.identity_key.fingerprint());
        let issuer = self.provider.issuer().to_owned();
        let pages = move |public: &Address| page::pages(&issuer, &home(public)).to_vec();
        let wanted = Options {
            pages: Some(Box::new(pages)),
            dev: true,
            traces: telemetry.has_traces,
            ..Options::default()
        };
        let (provider, mut embedded) = (Arc::clone(&self.provider), JoinSet::new());
        embedded.spawn(self.listening.serve(move |request| Arc::clone(&provider).answer(request)));
        let issuer = self.provider.issuer().to_owned();
        let starting = async {
            let started = Box::pin(app::start(self.settings, host, wanted)).await;
            if let Ok(running) = &started {
                say(&banner(running, &issuer, options));
            }
            started.map_err(hint)
        };
        let exit = until_signal(signals, starting).await;
        embedded.shutdown().await;
        telemetry.flush().await;
        exit
    }
}

/// A port in use is the one thing that goes wrong here, and there is a way round it.
fn hint(error: StartError) -> StartError {
    if matches!(error, StartError::Listener { .. }) {
        complain("usher dev: with --listen 127.0.0.1:0 every port is a free one");
    }
    error
}

fn home(public: &Address) -> String {
    match public {
        Address::Tcp(address) => format!("http://{}/", reachable(*address)),
        Address::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn banner(running: &Running, issuer: &str, options: &DevOptions) -> String {
    let (home, admin, health) =
        (home(running.public()), home(running.admin()), home(running.health()));
    let signs = if options.live { "your Twilio API key" } else { "throw-away credentials" };
    let also = options.issuer.as_ref().map(|url| format!("\n  accepts also  {url}"));
    format!(
        "\nusher dev: signs with {signs}; keys and store are kept in {FOLDER}\n\n\
         \x20 demo page     {home}\n\
         \x20 token         {home}conversations/token\n\
         \x20 provider      {issuer}  (alice, bob, carol; no passwords){}\n\
         \x20 admin API     {admin}api/  (its token is in {FOLDER}/admin-token)\n\
         \x20 health        {health}readyz\n\n\
         Paste this for a token of alice's:\n\n\
         curl -s -X POST {home}conversations/token -H \"Authorization: Bearer $(curl -s {issuer}/token \
         -d grant_type=password -d username=alice -d client_id={CLIENT_ID} -d scope=openid \
         | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\"\n",
        also.unwrap_or_default()
    )
}
