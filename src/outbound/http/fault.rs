//! Why a document could not be fetched. Nothing here repeats a word of the other side's.
use super::reach::ForbiddenAddress;
use rustls::{CertificateError, Error as TlsError};
use std::io;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The configuration's fault, or the discovery document's: the address is neither `https` nor `http`, or
    /// does not name a host.
    #[error("address is not an https address")]
    Address,
    /// `http:` without `insecureHttp: true`.
    #[error("address is plain http, which needs insecureHttp: true")]
    PlainHttp,
    /// The bearer token cannot stand in a header.
    #[error("bearer token has characters that no header may have")]
    Bearer,
    /// The host's name could not be looked up.
    #[error("host name was not found")]
    Lookup(#[source] io::Error),
    /// The host's name leads only where usher does not go.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenAddress),
    /// No address of the host took the connection.
    #[error("connection was not taken")]
    Connect(#[source] io::Error),
    /// The proxy was reached, and did not open a tunnel.
    #[error("proxy did not open a tunnel")]
    Tunnel(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// TLS failed.
    #[error("tls failed: {0}")]
    Tls(TlsFault),
    /// The deadline passed before there was a connection.
    #[error("connecting took too long")]
    ConnectDeadline,
    /// The deadline passed while the answer was awaited.
    #[error("answer took too long")]
    Deadline,
    /// The answer was not HTTP, or the connection broke.
    #[error("answer was not readable as http")]
    Exchange(#[source] hyper::Error),
    /// A 3xx. Following it would let the host choose what is fetched.
    #[error("answer was a redirect (status {0}), which is not followed")]
    Redirect(u16),
    /// Another status than 200.
    #[error("answer had status {0}")]
    Status(u16),
    /// A `Content-Encoding`: what is small on the wire may be huge when unpacked.
    #[error("answer was compressed, which was not asked for")]
    Encoded,
    /// The body was longer than the cap, said or sent.
    #[error("answer was longer than {0} bytes")]
    TooLong(usize),
    /// The body broke off.
    #[error("answer broke off")]
    Body,
}

impl FetchError {
    /// Whether a server may have seen the request. Where none has, asking again costs nobody anything.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Address
            | Self::PlainHttp
            | Self::Bearer
            | Self::Lookup(_)
            | Self::Forbidden(_)
            | Self::Connect(_)
            | Self::Tunnel(_)
            | Self::Tls(_)
            | Self::ConnectDeadline => false,
            Self::Deadline
            | Self::Exchange(_)
            | Self::Redirect(_)
            | Self::Status(_)
            | Self::Encoded
            | Self::TooLong(_)
            | Self::Body => true,
        }
    }
}

/// What is wrong with the other side's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Neither the host's roots nor `certificateAuthority` vouch for it.
    #[error("certificate is from an authority that is not trusted (set certificateAuthority)")]
    UnknownAuthority,
    /// Past its end.
    #[error("certificate has expired")]
    Expired,
    /// Before its beginning: this host's clock, most likely.
    #[error("certificate is not valid yet (is the clock right?)")]
    NotYetValid,
    /// It names other hosts.
    #[error("certificate is for another host")]
    OtherHost,
    /// Any other fault of the certificate.
    #[error("certificate is not acceptable")]
    Certificate,
    /// This host's own authorities cannot be read.
    #[error("the host's certificate authorities cannot be read")]
    Authorities,
    /// No agreement, or no TLS at all.
    #[error("handshake failed")]
    Handshake,
}

impl TlsFault {
    /// Sorts what rustls says. Its own words may hold names from the certificate, which the other side chose.
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
        let Some(TlsError::InvalidCertificate(fault)) = inner else { return Self::Handshake };
        if *fault == CertificateError::UnknownIssuer {
            Self::UnknownAuthority
        } else if matches!(
            fault,
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ) {
            Self::Expired
        } else if matches!(
            fault,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
        ) {
            Self::NotYetValid
        } else if matches!(
            fault,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        ) {
            Self::OtherHost
        } else {
            Self::Certificate
        }
    }
}
