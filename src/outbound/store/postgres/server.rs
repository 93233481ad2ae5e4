//! Which PostgreSQL, and how it is spoken to.
use crate::domain::secret::Secret;
use std::{fmt, net::IpAddr, path::PathBuf};

/// What `store.url` with `postgres:` says, and the secrets beside it. `Debug` shows no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// Where it is.
    pub host: PostgresHost,
    /// Its TCP port, or what the name of its socket ends with.
    pub port: u16,
    /// The role.
    pub user: Box<str>,
    /// The database.
    pub database: Box<str>,
    /// `sslmode`: TLS with the host's name verified (`verify-full`), or none (`disable`).
    pub tls: bool,
    /// `store.password`.
    pub password: Option<Secret>,
    /// `store.certificateAuthority`: PEM of the only authorities that are believed. Absent: the host's.
    pub certificate_authority: Option<Box<[u8]>>,
}

/// Where PostgreSQL is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostgresHost {
    /// A host's name, looked up at each connection.
    Name(Box<str>),
    /// A host's number.
    Address(IpAddr),
    /// The directory of its Unix socket.
    Socket(PathBuf),
}

impl PostgresSettings {
    /// The Unix socket in `directory`.
    pub(super) fn socket(&self, directory: &std::path::Path) -> PathBuf {
        directory.join(format!(".s.PGSQL.{}", self.port))
    }
}

impl fmt::Display for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            PostgresHost::Name(name) => write!(f, "{name}:{}", self.port),
            PostgresHost::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            PostgresHost::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            PostgresHost::Socket(directory) => write!(f, "{}", self.socket(directory).display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_a_server_prints_its_place_and_no_password() {
        let mut server = PostgresSettings {
            host: PostgresHost::Name("db.example.com".into()),
            port: 5432,
            user: "usher".into(),
            database: "usher".into(),
            tls: true,
            password: Some(Secret::text("hunter2")),
            certificate_authority: None,
        };
        assert!(!format!("{server:?}").contains("hunter2"));
        assert_eq!(server.to_string(), "db.example.com:5432");
        server.host = PostgresHost::Address("::1".parse().unwrap());
        assert_eq!(server.to_string(), "[::1]:5432");
        server.host = PostgresHost::Socket("/run/postgresql".into());
        assert_eq!(server.to_string(), "/run/postgresql/.s.PGSQL.5432");
    }
}
