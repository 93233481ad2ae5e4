//! How each server is called, and the files it is called with.
use crate::{
    Fault,
    figures::Who,
    issuer::Issuer,
    judge::{ACCOUNT, API_KEY, API_SECRET, IDENTITY_KEY, NAMESPACE, SERVICE},
    options::Options,
    process::Launch,
    tokens::AUDIENCE,
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

const EXCHANGE: &str = "/conversations/token";
const ENVOY: &str = include_str!("../peers/envoy.yaml");

/// Writes each server's files into a folder of its own below `root`.
pub(crate) struct Workshop<'a> {
    /// Removed with everything in it when the run ends.
    pub(crate) root: &'a Path,
    /// Whose tokens they take.
    pub(crate) issuer: &'a Issuer,
    /// Where they are.
    pub(crate) options: &'a Options,
}

impl Workshop<'_> {
    /// usher in a fresh folder, with a fresh store.
    pub(crate) fn usher(&self, folder: &str, store: &str) -> Result<Launch, Fault> {
        let program = self.options.usher.clone().ok_or("no usher to measure")?;
        let folder = self.folder(folder)?;
        let (public, health) = (free()?, free()?);
        fs::write(folder.join("secret"), API_SECRET)?;
        fs::write(folder.join("key"), IDENTITY_KEY)?;
        let url = if store == "memory:" {
            store.to_owned()
        } else {
            format!("sqlite:{}/usher.db", folder.display())
        };
        let configuration = format!(
            "twilio:\n  accountSid: {ACCOUNT}\n  apiKey: {{sid: {API_KEY}, secret: {{file: {0}/secret}}}}\n  \
               services: {{main: {{sid: {SERVICE}}}}}\n\
             issuers:\n  - {{url: \"{1}\", audiences: [{AUDIENCE}], namespace: {NAMESPACE}, insecureHttp: true}}\n\
             identity: {{key: {{file: {0}/key}}}}\n\
             store: {{url: \"{url}\"}}\n\
             listen: {{public: \"{public}\", admin: \"127.0.0.1:0\", health: \"{health}\"}}\n",
            folder.display(),
            self.issuer.url,
        );
        let file = folder.join("usher.yaml");
        fs::write(&file, configuration)?;
        Ok(Launch {
            name: Who::Usher.name(),
            program,
            arguments: vec!["serve".into(), "--config".into(), file.into()],
            environment: vec![("STATE_DIRECTORY", folder.clone().into())],
            address: public,
            ready: (health, "/readyz"),
            output: folder.join("output"),
        })
    }

    /// The bare server, which repeats an answer of usher's.
    pub(crate) fn bare(&self, answer: &[u8]) -> Result<Launch, Fault> {
        let folder = self.folder("bare")?;
        let (address, file) = (free()?, folder.join("answer"));
        fs::write(&file, answer)?;
        Ok(Launch {
            name: Who::Bare.name(),
            program: std::env::current_exe()?,
            arguments: vec!["bare".into(), address.to_string().into(), file.into()],
            environment: vec![],
            address,
            ready: (address, EXCHANGE),
            output: folder.join("output"),
        })
    }

    /// Express as one would write it; ready once it has exchanged a token.
    pub(crate) fn express(&self) -> Result<Launch, Fault> {
        let folder = self.folder("express")?;
        let address = free()?;
        fs::write(folder.join("secret"), API_SECRET)?;
        fs::write(folder.join("key"), IDENTITY_KEY)?;
        Ok(Launch {
            name: Who::Express.name(),
            program: which("node")?,
            arguments: vec![self.options.peers.join("express/express.mjs").into()],
            environment: vec![
                ("NODE_ENV", "production".into()),
                ("PORT", address.port().to_string().into()),
                ("ISSUER", self.issuer.url.clone().into()),
                ("AUDIENCE", AUDIENCE.into()),
                ("NAMESPACE", NAMESPACE.into()),
                ("IDENTITY_KEY_FILE", folder.join("key").into()),
                ("API_SECRET_FILE", folder.join("secret").into()),
                ("ACCOUNT_SID", ACCOUNT.into()),
                ("API_KEY_SID", API_KEY.into()),
                ("SERVICE_SID", SERVICE.into()),
            ],
            address,
            ready: (address, EXCHANGE),
            output: folder.join("output"),
        })
    }

    /// Envoy with one worker, with or without its cache of verified tokens.
    pub(crate) fn envoy(&self, who: Who) -> Result<Launch, Fault> {
        let cached = who == Who::EnvoyCached;
        let folder = self.folder(if cached { "envoy-cached" } else { "envoy" })?;
        let address = free()?;
        let cache = if cached { "jwt_cache_config: {jwt_cache_size: 10000}" } else { "" };
        let configuration = ENVOY
            .replace("@PORT@", &address.port().to_string())
            .replace("@ISSUER_PORT@", &self.issuer.port.to_string())
            .replace("@ISSUER@", &self.issuer.url)
            .replace("@AUDIENCE@", AUDIENCE)
            .replace("@CACHE@", cache);
        let file = folder.join("envoy.yaml");
        fs::write(&file, configuration)?;
        let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "-c"];
        let mut arguments: Vec<_> = flags.iter().map(Into::into).collect();
        arguments.push(file.into());
        Ok(Launch {
            name: who.name(),
            program: self.options.peers.join("envoy/envoy/_bin/envoy"),
            arguments,
            environment: vec![],
            address,
            ready: (address, EXCHANGE),
            output: folder.join("output"),
        })
    }

    /// 0700: usher refuses a configuration directory that others may write.
    fn folder(&self, name: &str) -> Result<PathBuf, Fault> {
        let folder = self.root.join(name);
        fs::create_dir(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        Ok(folder)
    }
}

/// A loopback address that is free now. Another program may take it before the server does; then the server
/// says so and the run ends.
fn free() -> Result<SocketAddr, Fault> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The program's full path, since the servers are started with next to no environment.
pub(crate) fn which(program: &str) -> Result<PathBuf, Fault> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(program));
    candidates
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program} is not installed").into())
}
