//! TLS of a listener, replaceable while it listens (contract 2, hot reload).
use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use std::{fmt, sync::Arc};

/// The PEM texts of a listener's `tls` section.
#[derive(Clone, Copy)]
pub struct TlsFiles<'a> {
    /// The chain, leaf first.
    pub certificate: &'a [u8],
    /// The leaf's private key.
    pub key: &'a [u8],
    /// Whose certificates clients must show; without it they need none.
    pub client_ca: Option<&'a [u8]>,
}

impl fmt::Debug for TlsFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsFiles(..)")
    }
}

/// Why TLS cannot be set up. Says which file is wrong, and nothing of what is in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `tls.certificate`.
    #[error("the certificate file does not hold a PEM certificate chain")]
    Certificate(#[source] pem::Error),
    /// `tls.key`.
    #[error("the key file does not hold a PEM private key")]
    Key(#[source] pem::Error),
    /// `tls.certificate` and `tls.key` together.
    #[error("the certificate and the key do not fit together, or cannot be used")]
    Pair(#[source] rustls::Error),
    /// `tls.clientCa`.
    #[error("the client CA file does not hold a PEM certificate")]
    ClientCa(#[source] pem::Error),
    /// `tls.clientCa`.
    #[error("the client CA cannot be used")]
    ClientCaUnfit(#[source] rustls::Error),
    /// `tls.clientCa`.
    #[error("the client CA cannot be used")]
    Verifier(#[source] VerifierBuilderError),
}

/// What a listener speaks TLS with. Clones share it, so that a reload reaches the listener.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ArcSwap<ServerConfig>>);

impl Tls {
    /// Reads the texts.
    ///
    /// # Errors
    /// Each variant of [`TlsError`].
    pub fn new(files: TlsFiles<'_>) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::new(build(files)?))))
    }

    /// Uses `files` for every connection from now on; those that are open keep what they began with.
    ///
    /// # Errors
    /// Each variant of [`TlsError`]; what was in use stays in use.
    pub fn replace(&self, files: TlsFiles<'_>) -> Result<(), TlsError> {
        // The whole configuration goes, its session store with it, so that a client which a new CA would
        // refuse cannot resume either.
        self.0.store(build(files)?);
        Ok(())
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

fn build(files: TlsFiles<'_>) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(files.certificate).map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(files.key).map_err(TlsError::Key)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = match files.client_ca {
        None => builder.with_no_client_auth(),
        Some(text) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(text).map_err(TlsError::ClientCa)? {
                roots.add(root).map_err(TlsError::ClientCaUnfit)?;
            }
            builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(TlsError::Verifier)?,
            )
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// At least one certificate.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}
