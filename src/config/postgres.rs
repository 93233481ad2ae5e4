//! `store.url` where it begins with `postgres:` (contract 8), written as libpq takes it.
use super::text::Complaint;
use crate::outbound::store::postgres::{PostgresHost, PostgresSettings};
use percent_encoding::percent_decode_str;
use std::{net::IpAddr, path::Path};
use url::Host;

const PORT: u16 = 5432;

/// What may stand behind the `?`.
const PARAMETERS: [&str; 4] = ["sslmode", "host", "port", "user"];

/// Reads it; the secrets are not in it.
pub(super) fn server(text: &str) -> Result<PostgresSettings, Complaint> {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    let Some(rest) = rest.strip_prefix("//") else {
        return Err("this is not a URL (write postgres://USER@HOST/DATABASE)".into());
    };
    if rest.contains('#') {
        return Err("this URL has a fragment (write %23 for a # in a name)".into());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    // Before anything else is complained of: what is wrong may be the password.
    if user.contains(':') || pairs(query).any(|(key, _)| key == "password") {
        return Err(
            "a password has no place in a URL (write it as store.password: {file: PATH})".into()
        );
    }
    let query = Query::read(query)?;
    let (host, port) = place_of(place, &query)?;
    let user = one_of(decoded(user)?, query.user, "user")?;
    let Some(user) = user else {
        return Err("this names no user (write postgres://USER@HOST/DATABASE)".into());
    };
    let database = decoded(database)?;
    if database.contains('/') {
        return Err("this names more than a database (write postgres://USER@HOST/DATABASE)".into());
    }
    let tls = tls(&host, query.sslmode.as_deref())?;
    let database = if database.is_empty() { user.clone() } else { database.into() };
    Ok(PostgresSettings {
        host,
        port,
        user,
        database,
        tls,
        password: None,
        certificate_authority: None,
    })
}

/// What stands behind the `?`.
#[derive(Default)]
struct Query {
    sslmode: Option<Box<str>>,
    host: Option<Box<str>>,
    port: Option<Box<str>>,
    user: Option<Box<str>>,
}

impl Query {
    fn read(text: &str) -> Result<Self, Complaint> {
        let mut query = Self::default();
        for (key, value) in pairs(text) {
            let place = match key {
                "sslmode" => &mut query.sslmode,
                "host" => &mut query.host,
                "port" => &mut query.port,
                "user" => &mut query.user,
                _ => return Err(unknown(key)),
            };
            if place.replace(decoded(value)?.into()).is_some() {
                return Err(format!("this has {key} twice (remove one of them)"));
            }
        }
        Ok(query)
    }
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Does not repeat the name: it is none, and may be anything.
fn unknown(key: &str) -> Complaint {
    if key == "sslrootcert" {
        return "usher has another place for sslrootcert (write store.certificateAuthority: {file: PATH})".into();
    }
    let near = super::shape::nearest(key, PARAMETERS);
    let hint = match near {
        Some((near, true)) => format!("did you mean {near}?"),
        Some((near, false)) => format!("remove it; the nearest known one is {near}"),
        None => "remove it".into(),
    };
    format!("this URL has a parameter that usher does not know ({hint})")
}

fn place_of(place: &str, query: &Query) -> Result<(PostgresHost, u16), Complaint> {
    // The colons of an IPv6 address are inside brackets.
    let numeric = place.rfind(']').map_or(0, |end| end + 1);
    let colon = place.get(numeric..).and_then(|rest| rest.rfind(':')).map(|at| numeric + at);
    let (host, port) = colon.and_then(|at| place.split_at_checked(at)).unwrap_or((place, ""));
    let port = one_of(decoded(port.trim_start_matches(':'))?, query.port.clone(), "port")?;
    let port = match port {
        None => PORT,
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            let number = port.parse().ok().filter(|port| digits && *port != 0);
            number.ok_or("this port is none (write a number from 1 to 65535)")?
        }
    };
    let Some(host) = one_of(decoded(host)?, query.host.clone(), "host")? else {
        return Err("this names no host (write postgres://USER@HOST/DATABASE, or ?host=/run/postgresql for a socket)".into());
    };
    Ok((host_of(&host)?, port))
}

fn host_of(text: &str) -> Result<PostgresHost, Complaint> {
    if text.starts_with('/') {
        // The kernel takes 107 bytes, the socket's own name included.
        if text.len() > 80 || !Path::new(text).is_absolute() {
            return Err("the directory of a socket has at most 80 bytes".into());
        }
        return Ok(PostgresHost::Socket(text.into()));
    }
    if text.contains(',') {
        return Err(
            "this names several hosts (write one; a name may have several addresses)".into()
        );
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(PostgresHost::Address(address));
    }
    match Host::parse(text) {
        Ok(Host::Domain(name)) => Ok(PostgresHost::Name(name.into())),
        Ok(Host::Ipv4(address)) => Ok(PostgresHost::Address(address.into())),
        Ok(Host::Ipv6(address)) => Ok(PostgresHost::Address(address.into())),
        Err(_) => {
            Err("this host is none (write a name, an address, or /DIRECTORY of a socket as ?host=)"
                .into())
        }
    }
}

/// Contract 8: without a word only where nobody can listen.
fn tls(host: &PostgresHost, mode: Option<&str>) -> Result<bool, Complaint> {
    let (is_socket, is_local) = match host {
        PostgresHost::Socket(_) => (true, true),
        PostgresHost::Address(address) => (false, address.is_loopback()),
        PostgresHost::Name(name) => (false, &**name == "localhost"),
    };
    match mode {
        None => Ok(!is_local),
        Some("disable") => Ok(false),
        Some("verify-full") if is_socket => {
            Err("a socket has no host name to verify (remove sslmode)".into())
        }
        Some("verify-full") => Ok(true),
        Some(_) if is_socket => Err("a socket takes no sslmode but disable (remove it)".into()),
        Some(_) => Err("this sslmode does not make sure whose server it is (write sslmode=verify-full, or sslmode=disable for no TLS at all)".into()),
    }
}

/// What was said in one of two places.
fn one_of(
    first: String,
    second: Option<Box<str>>,
    name: &str,
) -> Result<Option<Box<str>>, Complaint> {
    let first = Some(first).filter(|text| !text.is_empty());
    let second = second.filter(|text| !text.is_empty());
    match (first, second) {
        (Some(_), Some(_)) => Err(format!("this has {name} twice (remove one of them)")),
        (Some(first), None) => Ok(Some(first.into())),
        (None, second) => Ok(second),
    }
}

fn decoded(text: &str) -> Result<String, Complaint> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "this is not UTF-8 once decoded (correct the %XX in it)")?;
    if decoded.contains(char::is_control) || text.contains(char::is_whitespace) {
        return Err("this URL has spaces or control characters in it (remove them)".into());
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        server(text).expect_err(text)
    }

    fn read(text: &str) -> (PostgresHost, u16, String, String, bool) {
        let server = server(text).unwrap();
        (server.host, server.port, server.user.into(), server.database.into(), server.tls)
    }

    fn name(name: &str) -> PostgresHost {
        PostgresHost::Name(name.into())
    }

    fn address(text: &str) -> PostgresHost {
        PostgresHost::Address(text.parse().unwrap())
    }

    fn socket(directory: &str) -> PostgresHost {
        PostgresHost::Socket(directory.into())
    }

    #[test]
    fn a_server_is_named_as_libpq_names_it() {
        let of = |host, port, user: &str, database: &str, tls| {
            (host, port, user.to_owned(), database.to_owned(), tls)
        };
        for (text, wanted) in [
            ("postgres://u@db.example.com/d", of(name("db.example.com"), 5432, "u", "d", true)),
            ("postgresql://u@DB:6432/d", of(name("db"), 6432, "u", "d", true)),
            ("postgres://u@db", of(name("db"), 5432, "u", "u", true)),
            ("postgres://a%40b@db/d%2d1", of(name("db"), 5432, "a@b", "d-1", true)),
            ("postgres://u@10.0.0.1/d", of(address("10.0.0.1"), 5432, "u", "d", true)),
            ("postgres://u@[fd00::1]:1/d", of(address("fd00::1"), 1, "u", "d", true)),
            ("postgres://u@localhost/d", of(name("localhost"), 5432, "u", "d", false)),
            ("postgres://u@127.0.0.2/d", of(address("127.0.0.2"), 5432, "u", "d", false)),
            ("postgres://u@[::1]/d", of(address("::1"), 5432, "u", "d", false)),
            ("postgres:///d?host=/run/pg&user=u", of(socket("/run/pg"), 5432, "u", "d", false)),
            ("postgres://u@/d?host=/run/pg&port=1", of(socket("/run/pg"), 1, "u", "d", false)),
            ("postgres://u@%2Frun%2Fpg/d", of(socket("/run/pg"), 5432, "u", "d", false)),
            ("postgres://u@%2Frun%2Fpg:7/d", of(socket("/run/pg"), 7, "u", "d", false)),
            ("postgres:///d?host=db&user=u", of(name("db"), 5432, "u", "d", true)),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn tls_is_left_out_only_on_loopback_on_a_socket_or_where_it_is_written_out() {
        for (text, wanted) in [
            ("postgres://u@db/d?sslmode=disable", false),
            ("postgres://u@db/d?sslmode=verify-full", true),
            ("postgres://u@127.0.0.1/d?sslmode=verify-full", true),
            ("postgres://u@localhost.example.com/d", true),
            ("postgres://u@127.0.0.1.example.com/d", true),
            ("postgres:///d?host=/run/pg&user=u&sslmode=disable", false),
        ] {
            assert_eq!(server(text).unwrap().tls, wanted, "{text}");
        }
        for mode in ["require", "prefer", "allow", "verify-ca", "VERIFY-FULL", ""] {
            for host in ["db", "127.0.0.1"] {
                let complaint = complaint(&format!("postgres://u@{host}/d?sslmode={mode}"));
                assert!(complaint.contains("write sslmode=verify-full"), "{mode}: {complaint}");
            }
        }
        for mode in ["verify-full", "require"] {
            let complaint = complaint(&format!("postgres://u@%2Frun/d?sslmode={mode}"));
            assert!(complaint.contains("a socket"), "{complaint}");
        }
    }

    #[test]
    fn p13_a_password_is_refused_wherever_it_stands_and_not_repeated() {
        for text in [
            "postgres://u:hunter2@db/d",
            "postgres://u:hunter2@@db/d?nonsense",
            "postgres://:hunter2@db/d",
            "postgres://u@db/d?password=hunter2",
            "postgres://u@db/d?sslmode=x&password=hunter2",
        ] {
            let complaint = complaint(text);
            assert!(complaint.contains("store.password"), "{complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }

    #[test]
    fn what_is_not_known_is_named_by_what_is() {
        for (query, wanted) in [
            ("sslmod=disable", "did you mean sslmode?"),
            ("hots=a", "did you mean host?"),
            ("sslrootcert=/a", "store.certificateAuthority"),
            ("connect_timeout=5", "the nearest known one is"),
            ("hunter2", "the nearest known one is"),
        ] {
            let complaint = complaint(&format!("postgres://u@db/d?{query}"));
            assert!(complaint.contains(wanted), "{query}: {complaint}");
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for text in [
            "postgres:db",
            "postgres:/db",
            "postgres://",
            "postgres:///d",
            "postgres://db/d",
            "postgres://u@/d",
            "postgres://u@db:0/d",
            "postgres://u@db:65536/d",
            "postgres://u@db:+1/d",
            "postgres://u@db/d/e",
            "postgres://u@db/d#e",
            "postgres://u@a,b/d",
            "postgres://u@a b/d",
            "postgres://u@db/d%00",
            "postgres://u@db/%ff",
            "postgres://u@db/d?host=other",
            "postgres://u@db/d?sslmode=disable&sslmode=disable",
            "postgres://u@[::1/d",
            "postgres://u@::1/d",
        ] {
            complaint(text);
        }
    }
}
