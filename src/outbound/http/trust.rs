//! Whom to believe over TLS.
use rustls::{
    ClientConfig, Error as TlsError,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
use std::{fmt, sync::Arc};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The authorities that are believed, loaded once: the host's own (`SSL_CERT_FILE` and `SSL_CERT_DIR` name
/// others), or the well-known public ones on a host that has none, as an image made from scratch. Load it anew
/// to see changed files. Cheap to clone.
#[derive(Clone)]
pub struct Trust {
    tls: Arc<ClientConfig>,
    bare_host: bool,
}

impl Trust {
    /// The host's authorities.
    ///
    /// # Errors
    /// The TLS library refuses even the well-known ones, which it never does.
    pub fn of_host() -> Result<Self, UnusableTrust> {
        Self::over(Verifier::new_with_extra_roots)
    }

    fn over(load: Loader) -> Result<Self, UnusableTrust> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        if let Ok(verifier) = load(Vec::new(), Arc::clone(&provider)) {
            return Self::with(verifier, provider, false);
        }
        let verifier = load(TLS_SERVER_ROOT_CERTS.to_vec(), Arc::clone(&provider))
            .map_err(UnusableTrust::Refused)?;
        Self::with(verifier, provider, true)
    }

    /// The same, and the authorities in `pem` (`certificateAuthority`).
    ///
    /// # Errors
    /// `pem` holds no certificate, or one that cannot be read.
    pub fn and_authority(&self, pem: &[u8]) -> Result<Self, UnusableTrust> {
        let mut extra = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| UnusableTrust::Pem)?;
        if extra.is_empty() {
            return Err(UnusableTrust::Empty);
        }
        if self.bare_host {
            extra.extend_from_slice(TLS_SERVER_ROOT_CERTS);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
            .map_err(UnusableTrust::Refused)?;
        Self::with(verifier, provider, self.bare_host)
    }

    fn with(
        verifier: Verifier,
        provider: Arc<CryptoProvider>,
        bare_host: bool,
    ) -> Result<Self, UnusableTrust> {
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(UnusableTrust::Refused)?
            .dangerous()
            // Not a weaker check: it is rustls' own, over the host's roots.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // So that a server of another protocol at the same name is not mistaken for one of ours.
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), bare_host })
    }

    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }
}

type Loader = fn(Vec<CertificateDer<'static>>, Arc<CryptoProvider>) -> Result<Verifier, TlsError>;

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("bare_host", &self.bare_host).finish_non_exhaustive()
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
        let bare = Trust::over(|extra, provider| {
            if extra.is_empty() {
                return Err(TlsError::General("no roots".into()));
            }
            Verifier::new_with_extra_roots(extra, provider)
        });
        assert!(bare.unwrap().bare_host);
    }

    #[test]
    fn a_file_without_a_certificate_is_an_error() {
        let host = Trust::of_host().unwrap();
        assert!(matches!(host.and_authority(b""), Err(UnusableTrust::Empty)));
        let key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(host.and_authority(key), Err(UnusableTrust::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(matches!(host.and_authority(broken), Err(UnusableTrust::Pem)));
        let junk = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(host.and_authority(junk), Err(UnusableTrust::Refused(_))));
    }
}
