//! Opens the listeners, and gives them new certificates at a reload.
use super::start::StartError;
use crate::{
    config::settings::{ListenAddress, Listener, Settings, TlsSettings},
    inbound::server::{Address, Limits, Server, Tls, TlsError, TlsFiles},
};

/// Open listeners, and how their certificates are replaced.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) public: Server,
    pub(super) health: Server,
    pub(super) certificates: Certificates,
}

/// What the listeners speak TLS with.
#[derive(Debug)]
pub(super) struct Certificates {
    public: Option<Tls>,
    health: Option<Tls>,
}

/// What is wrong with the certificates of `settings`, before anything is opened.
pub fn certificate_mistakes(settings: &Settings) -> Vec<StartError> {
    [("public", &settings.listen.public), ("health", &settings.listen.health)]
        .into_iter()
        .filter_map(|(name, listener)| Some((name, listener.tls.as_ref()?)))
        .filter_map(|(name, tls)| Tls::new(files(tls)).err().map(|source| (name, source)))
        .map(|(name, source)| StartError::Tls { name, source })
        .collect()
}

/// Opens every listener.
///
/// # Errors
/// [`StartError::Tls`] and [`StartError::Listener`].
pub(super) async fn open(settings: &Settings) -> Result<Open, StartError> {
    let (public, public_tls) = one("public", &settings.listen.public).await?;
    let (health, health_tls) = one("health", &settings.listen.health).await?;
    let certificates = Certificates { public: public_tls, health: health_tls };
    Ok(Open { public, health, certificates })
}

async fn one(name: &'static str, listener: &Listener) -> Result<(Server, Option<Tls>), StartError> {
    let tls = listener
        .tls
        .as_ref()
        .map(|tls| Tls::new(files(tls)))
        .transpose()
        .map_err(|source| StartError::Tls { name, source })?;
    let bound = Server::bind(&address(&listener.address), tls.clone(), Limits::default()).await;
    let server = bound.map_err(|source| StartError::Listener { name, source })?;
    Ok((server, tls))
}

impl Certificates {
    /// Uses the certificates of `settings` for connections from now on.
    ///
    /// # Errors
    /// One does not fit; what was in use stays in use, at both listeners.
    pub(super) fn replace(&self, settings: &Settings) -> Result<(), TlsError> {
        let pairs =
            [(&self.public, &settings.listen.public), (&self.health, &settings.listen.health)];
        // Tried on the side first, so that either both change or none.
        for (_, listener) in pairs {
            if let Some(tls) = &listener.tls {
                Tls::new(files(tls))?;
            }
        }
        for (used, listener) in pairs {
            if let (Some(used), Some(tls)) = (used, &listener.tls) {
                used.replace(files(tls))?;
            }
        }
        Ok(())
    }
}

fn files(tls: &TlsSettings) -> TlsFiles<'_> {
    TlsFiles {
        certificate: &tls.certificate,
        key: tls.key.reveal(),
        client_ca: tls.client_ca.as_deref(),
    }
}

fn address(address: &ListenAddress) -> Address {
    match address {
        ListenAddress::Tcp(address) => Address::Tcp(*address),
        ListenAddress::Unix(path) => Address::Unix(path.clone()),
    }
}
