//! Finds the client behind proxies that are believed (contract 5, `public.trustedProxies`).
use super::request::Peer;
use http::{HeaderMap, HeaderName};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// Addresses whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[Proxy]>);

/// One entry of `trustedProxies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Every loopback address and every Unix socket.
    Loopback,
    /// The addresses that share the first bits.
    Network(IpAddr, u8),
}

/// Where a request came from, as far as it can be known; for the audit line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// An address.
    Address(IpAddr),
    /// Somebody on this host.
    Local,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

impl TrustedProxies {
    /// Believes these.
    pub fn new(proxies: impl Into<Box<[Proxy]>>) -> Self {
        Self(proxies.into())
    }

    /// The right-most entry of `X-Forwarded-For` that is not a believed proxy's own. What stands left of it is
    /// whatever the client chose to send.
    pub fn client(&self, peer: Peer, headers: &HeaderMap) -> Client {
        let mut nearest = match peer {
            Peer::Tcp(address) => Client::Address(address.ip().to_canonical()),
            Peer::Unix => Client::Local,
        };
        if self.0.is_empty() {
            return nearest;
        }
        for value in headers.get_all(FORWARDED_FOR).iter().rev() {
            for entry in value.to_str().unwrap_or_default().rsplit(',') {
                match address(entry.trim()) {
                    Some(address) if self.trusts(nearest) => nearest = Client::Address(address),
                    Some(_) | None => return nearest,
                }
            }
        }
        nearest
    }

    fn trusts(&self, client: Client) -> bool {
        self.0.iter().any(|proxy| match (*proxy, client) {
            (Proxy::Loopback, Client::Local) => true,
            (Proxy::Loopback, Client::Address(address)) => address.is_loopback(),
            (Proxy::Network(..), Client::Local) => false,
            (Proxy::Network(network, bits), Client::Address(address)) => {
                shares(network, bits, address)
            }
        })
    }
}

/// An entry may carry a port, and an IPv6 address brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

fn shares(network: IpAddr, bits: u8, address: IpAddr) -> bool {
    let (network, address, width) = match (network.to_canonical(), address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let apart = width - u32::from(bits).min(width);
    // A shift by the whole width leaves nothing to compare.
    let above = |value: u128| value.checked_shr(apart).unwrap_or_default();
    above(network) == above(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[Proxy], peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, http::HeaderValue::from_static(value));
        }
        let peer = match peer {
            "unix" => Peer::Unix,
            address => Peer::Tcp(SocketAddr::new(address.parse().unwrap(), 1)),
        };
        TrustedProxies::new(trusted).client(peer, &headers).to_string()
    }

    #[test]
    fn p10_only_believed_proxies_are_believed() {
        let ten = Proxy::Network("10.0.0.0".parse().unwrap(), 8);
        let v6 = Proxy::Network("fd00::".parse().unwrap(), 8);
        let both = &[Proxy::Loopback, ten][..];
        for (trusted, peer, forwarded, expected) in [
            (&[][..], "10.0.0.1", &["203.0.113.9"][..], "10.0.0.1"),
            (both, "203.0.113.1", &["198.51.100.1"], "203.0.113.1"),
            (both, "10.0.0.1", &["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            (both, "10.0.0.1", &["1.1.1.1", "203.0.113.9, 10.9.9.9"], "203.0.113.9"),
            (both, "127.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            (both, "unix", &["203.0.113.9"], "203.0.113.9"),
            (both, "::ffff:10.0.0.1", &["[2001:db8::7]:80"], "2001:db8::7"),
            (both, "10.0.0.1", &["203.0.113.9, nonsense"], "10.0.0.1"),
            (both, "10.0.0.1", &[], "10.0.0.1"),
            (&[v6], "fd12::1", &["2001:db8::7"], "2001:db8::7"),
            (&[v6], "unix", &["203.0.113.9"], "unix"),
        ] {
            assert_eq!(client(trusted, peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn a_network_of_no_bits_holds_every_address_of_its_family() {
        let all = Proxy::Network("0.0.0.0".parse().unwrap(), 0);
        assert_eq!(client(&[all], "8.8.8.8", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(client(&[all], "2001:db8::1", &["203.0.113.9"]), "2001:db8::1");
    }
}
