//! Texts that say where something is: URLs, origins, listeners, networks, stores.
use super::{
    settings::{AllowedOrigin, ListenAddress, TrustedProxy},
    text::Complaint,
};
use crate::outbound::store::postgres::PostgresSettings;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use url::{Host, Url};

/// A `https:` or `http:` URL without credentials or fragment.
pub(super) fn http_url(text: &str) -> Result<Url, Complaint> {
    let url = Url::parse(text).map_err(|_| "this is not a URL (write https://host/path)")?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err("this URL is neither https: nor http: (write https://host/path)".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password has no place in a URL (remove what is before the @)".into());
    }
    if url.fragment().is_some() {
        return Err("this URL has a fragment (remove what follows the #)".to_owned());
    }
    if text.contains(char::is_whitespace) || text.contains(char::is_control) {
        return Err("this URL has spaces or line breaks in it (remove them)".to_owned());
    }
    Ok(url)
}

/// An issuer's URL: its `{tenantid}` stands for a tenant each.
pub(super) fn issuer(text: &str) -> Result<(), Complaint> {
    let url = http_url(&text.replace(TENANT, "tenant"))?;
    if url.query().is_some() {
        return Err("an issuer has no query (remove what follows the ?)".to_owned());
    }
    Ok(())
}

/// What stands for the tenant in a multi-tenant issuer's URLs.
pub(super) const TENANT: &str = "{tenantid}";

/// A URL that may hold `{tenantid}`.
pub(super) fn tenant_url(text: &str) -> Result<(), Complaint> {
    http_url(&text.replace(TENANT, "tenant")).map(drop)
}

/// The address users see: an origin, whose one slash may be left out.
pub(super) fn public_url(text: &str) -> Result<Url, Complaint> {
    let url = http_url(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("this is more than an origin (write https://host, without a path)".to_owned());
    }
    Ok(url)
}

/// `scheme://host[:port]`, as a browser writes it in `Origin`.
pub(super) fn origin(text: &str) -> Result<AllowedOrigin, Complaint> {
    if text == "*" || text == "null" {
        return Err(
            "this would let every page read tokens (list the origins one by one)".to_owned()
        );
    }
    let url = http_url(text).map_err(|_| "this is not an origin (write https://host[:port])")?;
    let written = url.origin().ascii_serialization();
    if written != text {
        return Err("a browser does not write an origin so (write scheme://host in lower case, a port only where it is not the scheme's, no slash at the end)".to_owned());
    }
    Ok(AllowedOrigin::Exact(written.into()))
}

/// `host:port` with a numeric host, or `unix:/path`.
pub(super) fn listener(text: &str) -> Result<ListenAddress, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        // The kernel takes 107 bytes and a terminating NUL.
        if !path.starts_with('/') || path.len() > 107 || path.contains(char::is_control) {
            return Err("a socket is unix: and an absolute path of at most 107 bytes".to_owned());
        }
        return Ok(ListenAddress::Unix(PathBuf::from(path)));
    }
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = numeric.as_deref().unwrap_or(text).parse::<SocketAddr>();
    address.map(ListenAddress::Tcp).map_err(|_| {
        "this is not an address to listen on (write 127.0.0.1:4180, [::1]:4180 or unix:/path)"
            .into()
    })
}

/// A host without scheme and port, as it stands in `Host`.
pub(super) fn host(text: &str) -> Result<(), Complaint> {
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let numeric = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fine = match numeric {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !text.is_empty() && text.len() <= 253 && text.bytes().all(name),
    };
    let complaint = "this is not a host (write a name or an address, without scheme and port)";
    if fine { Ok(()) } else { Err(complaint.to_owned()) }
}

/// A network, an address, or `loopback`.
pub(super) fn network(text: &str) -> Result<TrustedProxy, Complaint> {
    if text == "loopback" {
        return Ok(TrustedProxy::Loopback);
    }
    let complaint =
        || "this is not a network (write 10.0.0.0/8, an address, or loopback)".to_owned();
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().map_err(|_| complaint())?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => all,
        Some(bits) => {
            let digits = bits.bytes().all(|b| b.is_ascii_digit());
            bits.parse().ok().filter(|bits| digits && *bits <= all).ok_or_else(complaint)?
        }
    };
    Ok(TrustedProxy::Network(address, bits))
}

/// Where `public.prefix` puts usher's paths.
pub(super) fn prefix(text: &str) -> Result<(), Complaint> {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let segment = |part: &str| !matches!(part, "" | "." | "..") && part.bytes().all(unreserved);
    let fine = text.len() <= 128
        && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if !fine {
        return Err(
            "this is not a prefix (write a path such as /conversations, no slash at its end)"
                .into(),
        );
    }
    Ok(())
}

/// What kind of store a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreUrl {
    Sqlite(PathBuf),
    Memory,
    /// Without its secrets.
    Postgres(Box<PostgresSettings>),
}

/// `sqlite:PATH`, `memory:` or `postgres://…`.
pub(super) fn store(text: &str) -> Result<StoreUrl, Complaint> {
    if text == "memory:" {
        return Ok(StoreUrl::Memory);
    }
    if let Some(path) = text.strip_prefix("sqlite:") {
        // A URL's authority would become a relative path with two slashes before it.
        let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let plain = super::text::path(path).is_ok() && !path.starts_with("//");
        if plain && !path.ends_with('/') && !path.contains('?') {
            return Ok(StoreUrl::Sqlite(PathBuf::from(path)));
        }
        return Err("this is not the path of a file (write sqlite:/var/lib/usher/usher.db)".into());
    }
    if text.starts_with("postgres:") || text.starts_with("postgresql:") {
        return super::postgres::server(text).map(Box::new).map(StoreUrl::Postgres);
    }
    Err("this is not a store (write sqlite:PATH, postgres://USER@HOST/DATABASE or memory:)".into())
}

/// Whether a host is this one, as far as its name or number tells.
pub(super) fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_a_password_in_a_url_is_refused_and_not_repeated() {
        for complaint in [
            http_url("https://u:hunter2@host").unwrap_err(),
            store("postgres://u:hunter2@host/db").unwrap_err(),
            store("postgres://host/db?password=hunter2").unwrap_err(),
        ] {
            assert!(complaint.contains("password") && !complaint.contains("hunter2"));
        }
    }

    #[test]
    fn a_store_is_a_file_the_memory_or_a_database() {
        assert_eq!(store("sqlite:/a/b.db"), Ok(StoreUrl::Sqlite("/a/b.db".into())));
        assert_eq!(store("sqlite:///a/b.db"), Ok(StoreUrl::Sqlite("/a/b.db".into())));
        assert_eq!(store("sqlite:b.db"), Ok(StoreUrl::Sqlite("b.db".into())));
        assert_eq!(store("memory:"), Ok(StoreUrl::Memory));
        assert!(matches!(store("postgres://usher@db/usher"), Ok(StoreUrl::Postgres(_))));
        assert!(matches!(store("postgresql://usher@db/usher"), Ok(StoreUrl::Postgres(_))));
        for text in ["sqlite:", "sqlite://host/a.db", "sqlite:/a/", "memory", "mysql://x", "/a.db"]
        {
            assert!(store(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_has_a_number_or_a_path() {
        assert!(matches!(listener("127.0.0.1:0"), Ok(ListenAddress::Tcp(_))));
        assert!(matches!(listener("localhost:4180"), Ok(ListenAddress::Tcp(_))));
        assert!(matches!(listener("[::]:4183"), Ok(ListenAddress::Tcp(_))));
        assert_eq!(listener("unix:/run/u.sock"), Ok(ListenAddress::Unix("/run/u.sock".into())));
        for text in ["4180", ":4180", "example.com:4180", "unix:u.sock", "127.0.0.1:99999", ""] {
            assert!(listener(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_has_no_scheme_and_no_port() {
        for text in ["usher", "usher.shop.svc", "10.0.0.1", "[fd00::1]"] {
            assert_eq!(host(text), Ok(()), "{text}");
        }
        for text in ["", "usher:4182", "http://usher", "a/b", "*", "[::1", "[usher]", "ü", "a@b"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_has_no_more_bits_than_its_address() {
        let ten = "10.0.0.0".parse().unwrap();
        assert_eq!(network("10.0.0.0/8"), Ok(TrustedProxy::Network(ten, 8)));
        assert_eq!(network("10.0.0.0"), Ok(TrustedProxy::Network(ten, 32)));
        assert_eq!(network("loopback"), Ok(TrustedProxy::Loopback));
        assert!(matches!(network("fd00::/8"), Ok(TrustedProxy::Network(_, 8))));
        for text in ["10.0.0.0/33", "fd00::/129", "10.0.0.0/+8", "10/8", "host", "10.0.0.0/"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        assert!(origin("https://app.example.com").is_ok());
        assert!(origin("http://localhost:3000").is_ok());
        for text in ["*", "null", "https://a/", "https://A.example", "https://a:443", "a.example"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_is_a_path_without_an_end() {
        assert!(prefix("/conversations").is_ok() && prefix("/a/b").is_ok());
        for text in ["", "/", "a", "/a/", "//a", "/a/../b", "/a?b", "/a%2fb", "/ä"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }
}
