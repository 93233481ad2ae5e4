//! Whom to believe over TLS.
use rustls::{
    ClientConfig, Error as TlsError, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The authorities that are believed: the host's own (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), or the
/// well-known public ones on a host that has none, as an image made from scratch.
///
/// The host's are read once, when the first connection needs them: some 150 files that a sidecar with issuers on
/// loopback never looks at. Make another to see changed files. Cheap to clone; clones share what was read.
#[derive(Clone)]
pub struct Trust(Arc<OnceLock<Arc<ClientConfig>>>);

impl Trust {
    /// The host's authorities.
    pub fn of_host() -> Self {
        Self(Arc::default())
    }

    /// The same, and the authorities in `pem` (`certificateAuthority`). Reads the host's at once.
    ///
    /// # Errors
    /// `pem` holds no certificate, or one that cannot be read.
    pub fn and_authority(&self, pem: &[u8]) -> Result<Self, UnusableTrust> {
        Ok(Self(Arc::new(OnceLock::from(build(authorities(pem)?, load)?))))
    }

    /// The authorities in `pem`, and nobody else.
    ///
    /// # Errors
    /// `pem` holds no certificate, or one that cannot be read.
    pub fn only(pem: &[u8]) -> Result<Self, UnusableTrust> {
        let mut roots = RootCertStore::empty();
        for authority in authorities(pem)? {
            roots.add(authority).map_err(UnusableTrust::Refused)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(UnusableTrust::Refused)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(OnceLock::from(Arc::new(tls)))))
    }

    /// What to speak TLS with. Blocks for some milliseconds where nothing has been read yet.
    ///
    /// # Errors
    /// The TLS library refuses even the well-known authorities, which it never does.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, UnusableTrust> {
        if let Some(read) = self.0.get() {
            return Ok(Arc::clone(read));
        }
        let read = build(Vec::new(), load)?;
        // Of two who read at once, the first counts.
        Ok(Arc::clone(self.0.get_or_init(|| read)))
    }
}

fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, UnusableTrust> {
    let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let read = read.map_err(|_| UnusableTrust::Pem)?;
    if read.is_empty() { Err(UnusableTrust::Empty) } else { Ok(read) }
}

/// The host's authorities and `extra`; where the host has none, the well-known ones and `extra`.
fn build(
    extra: Vec<CertificateDer<'static>>,
    load: Loader,
) -> Result<Arc<ClientConfig>, UnusableTrust> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let host = load(Vec::new(), Arc::clone(&provider));
    let verifier = match host {
        Ok(host) if extra.is_empty() => host,
        Ok(_) => load(extra, Arc::clone(&provider)).map_err(UnusableTrust::Refused)?,
        Err(_) => load([extra, TLS_SERVER_ROOT_CERTS.to_vec()].concat(), Arc::clone(&provider))
            .map_err(UnusableTrust::Refused)?,
    };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UnusableTrust::Refused)?
        .dangerous()
        // Not a weaker check: it is rustls' own, over the host's roots.
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(tls))
}

fn load(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifier, TlsError> {
    Verifier::new_with_extra_roots(extra, provider)
}

type Loader = fn(Vec<CertificateDer<'static>>, Arc<CryptoProvider>) -> Result<Verifier, TlsError>;

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("read", &self.0.get().is_some()).finish()
    }
}

/// Certificates that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum UnusableTrust {
    /// A block of the file is not PEM.
    #[error("certificateAuthority is not readable as PEM")]
    Pem,
    /// No `BEGIN CERTIFICATE` in it.
    #[error("certificateAuthority holds no certificate")]
    Empty,
    /// Not an X.509 certificate, or not one of an authority.
    #[error("certificate is not usable as an authority")]
    Refused(#[source] TlsError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_certificates_believes_the_well_known_ones() {
        let bare: Loader = |extra, provider| {
            if extra.len() < TLS_SERVER_ROOT_CERTS.len() {
                return Err(TlsError::General("no roots".into()));
            }
            Verifier::new_with_extra_roots(extra, provider)
        };
        assert!(build(Vec::new(), bare).is_ok());
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error() {
        let host = Trust::of_host();
        assert!(matches!(host.and_authority(b""), Err(UnusableTrust::Empty)));
        let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(host.and_authority(key), Err(UnusableTrust::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(host.and_authority(broken), Err(UnusableTrust::Pem)));
        for broken in [&key[..], broken] {
            assert!(Trust::only(broken).is_err());
        }
        let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(host.and_authority(junk), Err(UnusableTrust::Refused(_))));
        assert!(matches!(Trust::only(junk), Err(UnusableTrust::Refused(_))));
    }
}
