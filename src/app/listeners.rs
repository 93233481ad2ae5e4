//! Opens the listeners, and gives them new certificates at a reload.
use super::start::StartError;
use crate::{
    config::settings::{ListenAddress, ListenSettings, Listener, Settings, TlsSettings},
    inbound::server::{Access, Address, Limits, Server, Tls, TlsError, TlsFiles},
};

/// Open listeners, and how their certificates are replaced.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) public: Server,
    /// Only where the configuration has `egress`.
    pub(super) egress: Option<Server>,
    pub(super) admin: Server,
    pub(super) health: Server,
    pub(super) certificates: Certificates,
}

/// What the listeners speak TLS with, by their names.
#[derive(Debug, Default)]
pub(super) struct Certificates(Vec<(&'static str, Tls)>);

/// Every listener that is opened, by its name.
fn all(listen: &ListenSettings) -> impl Iterator<Item = (&'static str, &Listener)> {
    let always = [("public", &listen.public), ("admin", &listen.admin), ("health", &listen.health)];
    always.into_iter().chain(listen.egress.iter().map(|egress| ("egress", egress)))
}

/// What is wrong with the certificates of `settings`, before anything is opened.
pub fn certificate_mistakes(settings: &Settings) -> Vec<StartError> {
    all(&settings.listen)
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
    let (listen, mut certificates) = (&settings.listen, Certificates::default());
    let public = one("public", &listen.public, &mut certificates).await?;
    let egress = match &listen.egress {
        None => None,
        Some(egress) => Some(one("egress", egress, &mut certificates).await?),
    };
    let admin = one("admin", &listen.admin, &mut certificates).await?;
    let health = one("health", &listen.health, &mut certificates).await?;
    Ok(Open { public, egress, admin, health, certificates })
}

async fn one(
    name: &'static str,
    listener: &Listener,
    certificates: &mut Certificates,
) -> Result<Server, StartError> {
    let tls = listener
        .tls
        .as_ref()
        .map(|tls| Tls::new(files(tls)))
        .transpose()
        .map_err(|source| StartError::Tls { name, source })?;
    let access = if name == "admin" { Access::Owner } else { Access::Group };
    let address = address(&listener.address);
    let bound = Server::bind_for(access, &address, tls.clone(), Limits::default()).await;
    certificates.0.extend(tls.map(|tls| (name, tls)));
    bound.map_err(|source| StartError::Listener { name, source })
}

impl Certificates {
    /// Uses the certificates of `settings` for connections from now on.
    ///
    /// # Errors
    /// One does not fit; what was in use stays in use, at every listener.
    pub(super) fn replace(&self, settings: &Settings) -> Result<(), TlsError> {
        // Tried on the side first, so that either all change or none.
        for tls in all(&settings.listen).filter_map(|(_, listener)| listener.tls.as_ref()) {
            Tls::new(files(tls))?;
        }
        for (name, used) in &self.0 {
            let listener = all(&settings.listen).find(|(other, _)| other == name);
            if let Some(tls) = listener.and_then(|(_, listener)| listener.tls.as_ref()) {
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
