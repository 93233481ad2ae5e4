//! A whole sidecar in this process, and the provider it believes.
use crate::client::{self, Reply};
use serde_json::json;
use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinSet;
use usher::{
    app::{self, Host, Options, Running},
    config::{self, Environment, Sources, settings::Settings},
    dev::provider::{AUDIENCE, Provider, Signer, User, listen},
    domain::time::Timestamp,
    inbound::server::Address,
    outbound::system::{SystemClock, SystemEntropy},
    ports::clock::Clock as _,
};

/// The identity key and the secret of every house.
pub(crate) const IDENTITY_KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const API_SECRET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// A provider that listens until it is dropped or closed.
pub(crate) struct Idp {
    pub(crate) provider: Arc<Provider>,
    pub(crate) address: SocketAddr,
    task: JoinSet<()>,
}

impl Idp {
    pub(crate) async fn open() -> Self {
        let listening = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listening.address();
        let clock = Arc::new(SystemClock::start());
        let issuer = format!("http://{address}");
        let signer = Signer::random().unwrap();
        let provider = Arc::new(Provider::new(&issuer, signer, clock, Arc::new(SystemEntropy)));
        let answering = Arc::clone(&provider);
        let mut task = JoinSet::new();
        task.spawn(listening.serve(move |request| Arc::clone(&answering).answer(request)));
        Self { provider, address, task }
    }

    /// Nobody listens at its address any more.
    pub(crate) async fn close(&mut self) {
        self.task.shutdown().await;
    }

    /// Listens again where it did.
    pub(crate) async fn reopen(&mut self) {
        let listening = listen(self.address).await.unwrap();
        let answering = Arc::clone(&self.provider);
        self.task.spawn(listening.serve(move |request| Arc::clone(&answering).answer(request)));
    }

    /// An access token of a user.
    pub(crate) fn token(&self, user: &str) -> String {
        self.provider.mint(User::of(user).unwrap(), None).unwrap().access_token
    }

    /// A token of any subject, signed under any header.
    pub(crate) fn token_of(&self, sub: &str, header: &serde_json::Value) -> String {
        self.provider.sign(header, &self.provider.claims(sub, AUDIENCE)).unwrap()
    }
}

/// A folder with the files of one sidecar.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("identity-key"), IDENTITY_KEY).unwrap();
        fs::write(folder.path().join("secret"), API_SECRET).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration that believes `issuer`; `more` goes over it, section by section.
    pub(crate) fn configure(&self, issuer: &str, more: &serde_json::Value) {
        let mut configuration = json!({
            "twilio": {
                "accountSid": format!("AC{}", "0".repeat(32)),
                "apiKey": {"sid": format!("SK{}", "1".repeat(32)), "secret": {"file": "secret"}},
                "services": {"main": {"sid": format!("IS{}", "2".repeat(32))}},
            },
            "issuers": [{
                "url": issuer, "audiences": [AUDIENCE], "insecureHttp": true, "namespace": "corp",
                "keys": {"cooldown": "1s"},
            }],
            "identity": {"key": {"file": "identity-key"}},
            "store": {"url": format!("sqlite:{}", self.path("usher.db").display())},
            "listen": {"public": "127.0.0.1:0", "admin": "127.0.0.1:0", "health": "127.0.0.1:0"},
        });
        for (section, value) in more.as_object().into_iter().flatten() {
            configuration[section] = value.clone();
        }
        fs::write(self.path("usher.yaml"), configuration.to_string()).unwrap();
    }

    pub(crate) fn sources(&self) -> Sources {
        let now: Timestamp = SystemClock::start().now();
        let state = self.path("state").display().to_string();
        let environment = Environment::from([("STATE_DIRECTORY", &*state)]);
        Sources::new(Some(self.path("usher.yaml")), environment, now)
    }

    pub(crate) fn settings(&self) -> Settings {
        config::load(&self.sources()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// Starts a sidecar that follows this place's files.
    pub(crate) async fn start(&self) -> Usher {
        let settings = self.settings();
        let host = Host::system(settings.identity_key.fingerprint());
        let sources = self.sources();
        let load = Arc::new(move || config::load(&sources));
        let options = Options { load: Some(load), ..Options::default() };
        Usher(app::start(settings, host, options).await.unwrap())
    }
}

/// A sidecar that serves.
pub(crate) struct Usher(Running);

impl Usher {
    pub(crate) fn public(&self) -> SocketAddr {
        tcp(self.0.public())
    }

    pub(crate) fn health(&self) -> SocketAddr {
        tcp(self.0.health())
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        tcp(self.0.admin())
    }

    pub(crate) fn egress(&self) -> SocketAddr {
        tcp(self.0.egress().unwrap())
    }

    pub(crate) fn has_no_egress(&self) -> bool {
        self.0.egress().is_none()
    }

    pub(crate) async fn exchange(&self, token: &str) -> Reply {
        client::exchange(self.public(), token).await
    }

    /// The identity that a token gives.
    pub(crate) async fn identity(&self, token: &str) -> String {
        let reply = self.exchange(token).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        reply.json()["identity"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }

    /// Asks until `probe` answers so, at most 10 s.
    pub(crate) async fn until(&self, probe: &str, status: u16) -> Reply {
        eventually(async || {
            let reply = client::get(self.health(), probe).await;
            (reply.status == status).then_some(reply)
        })
        .await
    }
}

fn tcp(address: &Address) -> SocketAddr {
    match address {
        Address::Tcp(address) => *address,
        Address::Unix(path) => panic!("{}", path.display()),
    }
}

/// Asks again and again until there is an answer, at most 30 s.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    // Leaves the processor to what is waited for.
    let mut turn = tokio::time::interval(Duration::from_millis(20));
    let asked = async {
        loop {
            turn.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("not within 30 s")
}
