//! Where usher listens, and who may come to the listeners that are not for everybody.
use crate::{
    domain::{secret::Secret, subject::Namespace},
    inbound::admin::AdminToken,
};
use std::{net::SocketAddr, path::PathBuf};

/// `listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenSettings {
    /// `127.0.0.1:4180` unless said otherwise.
    pub public: Listener,
    /// `127.0.0.1:4181` unless said otherwise; `None` where the configuration has no `egress`.
    pub egress: Option<Listener>,
    /// `127.0.0.1:4182` unless said otherwise.
    pub admin: Listener,
    /// `0.0.0.0:4183` unless said otherwise.
    pub health: Listener,
}

/// An address, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: ListenAddress,
    /// `tls`, absent for plain text.
    pub tls: Option<TlsSettings>,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port` with a numeric host.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// PEM texts, read from their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The chain, leaf first.
    pub certificate: Box<[u8]>,
    /// The private key.
    pub key: Secret,
    /// Whose certificates clients must show.
    pub client_ca: Option<Box<[u8]>>,
}

/// `admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// `tokens`; empty means the one in `admin-token` of the state directory.
    pub tokens: Vec<AdminToken>,
    /// `hosts`, without ports.
    pub hosts: Vec<Box<str>>,
}

/// `egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressSettings {
    /// `lookup`: whose identities the app may ask for.
    pub lookup: Vec<Namespace>,
    /// `token`: what the app has to show.
    pub token: Option<Secret>,
    /// `hosts`, without ports.
    pub hosts: Vec<Box<str>>,
}
