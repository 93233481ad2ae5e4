//! `listen`: the addresses, and the TLS they speak.
use super::{
    address,
    reader::Reader,
    settings::{ListenAddress, ListenSettings, Listener, TlsSettings},
    tree::{Cursor, Value},
};
use std::net::{Ipv4Addr, SocketAddr};

/// Reads all listeners. That of egress is opened only where the configuration has `egress`.
pub(super) fn listen(
    at: Option<&Cursor<'_>>,
    has_egress: bool,
    reader: &mut Reader<'_>,
) -> Option<ListenSettings> {
    let written = |key| at.and_then(|at: &Cursor<'_>| at.get(key));
    let mut read = |key, host: Ipv4Addr, port| match written(key) {
        Some(at) => listener(&at, reader),
        None => Some(Listener {
            address: ListenAddress::Tcp(SocketAddr::from((host, port))),
            tls: None,
        }),
    };
    let public = read("public", Ipv4Addr::LOCALHOST, 4180);
    let egress = read("egress", Ipv4Addr::LOCALHOST, 4181);
    let admin = read("admin", Ipv4Addr::LOCALHOST, 4182);
    let health = read("health", Ipv4Addr::UNSPECIFIED, 4183);
    if let (Some(at), true) = (written("admin"), admin.as_ref().is_some_and(is_exposed)) {
        at.wrong(&mut reader.report, "an address that is not loopback needs TLS here (write {address: …, tls: {certificate: {file: PATH}, key: {file: PATH}}})");
    }
    if let (Some(at), true) = (written("egress"), egress.as_ref().is_some_and(is_remote)) {
        at.wrong(&mut reader.report, "an address that is not loopback needs TLS and egress.clients, which are not in this version (write 127.0.0.1:4181 or unix:/path)");
    }
    let mut opened = vec![("public", &public), ("admin", &admin), ("health", &health)];
    if has_egress || written("egress").is_some() {
        opened.push(("egress", &egress));
    }
    apart(&opened, at, reader);
    let egress = egress?;
    let egress = has_egress.then_some(egress);
    Some(ListenSettings { public: public?, egress, admin: admin?, health: health? })
}

fn listener(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<Listener> {
    let address = match &at.node().value {
        Value::Map(_) => at.get("address")?.text()?,
        Value::Scalar { text, .. } => text,
        Value::List(_) | Value::Broken => return None,
    };
    let tls = match at.get("tls") {
        None => None,
        Some(at) => Some(tls(&at, reader)?),
    };
    Some(Listener { address: address::listener(address).ok()?, tls })
}

fn tls(at: &Cursor<'_>, reader: &mut Reader<'_>) -> Option<TlsSettings> {
    let mut pem = |key: &str, label| at.get(key).map(|at| reader.pem(&at, label));
    let certificate = pem("certificate", "CERTIFICATE-----").flatten();
    let key = pem("key", "PRIVATE KEY-----").flatten();
    let client_ca = match pem("clientCa", "CERTIFICATE-----") {
        None => None,
        Some(read) => Some(read?.reveal().into()),
    };
    Some(TlsSettings { certificate: certificate?.reveal().into(), key: key?, client_ca })
}

/// Whether others than this host's processes could reach a listener in plain text.
fn is_exposed(listener: &Listener) -> bool {
    is_remote(listener) && listener.tls.is_none()
}

/// Whether others than this host's processes could reach a listener at all.
fn is_remote(listener: &Listener) -> bool {
    match listener.address {
        ListenAddress::Tcp(address) => !address.ip().is_loopback(),
        ListenAddress::Unix(_) => false,
    }
}

/// Reports two listeners on one address.
fn apart(opened: &[(&str, &Option<Listener>)], at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) {
    for (number, (key, listener)) in opened.iter().enumerate() {
        let Some(listener) = listener else { continue };
        for (other_key, other) in opened.iter().take(number) {
            if other.as_ref().is_some_and(|other| collide(&listener.address, &other.address)) {
                let written = at.and_then(|at| at.get(key).or_else(|| at.get(other_key)));
                if let Some(written) = written {
                    let what = format!(
                        "`{other_key}` and `{key}` are the same address (give each its own)"
                    );
                    written.wrong(&mut reader.report, what);
                }
            }
        }
    }
}

fn collide(one: &ListenAddress, other: &ListenAddress) -> bool {
    match (one, other) {
        (ListenAddress::Tcp(one), ListenAddress::Tcp(other)) => {
            let every = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && (every || one.ip() == other.ip())
        }
        (one, other) => one == other,
    }
}
