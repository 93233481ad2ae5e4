//! Which addresses a name may lead to (pitfall P6).
//!
//! * Link-local addresses (`169.254.0.0/16`, `fe80::/10`), the clouds' metadata services elsewhere and
//!   unspecified addresses: never. They give credentials to whoever asks.
//! * Loopback, which holds other containers' and the host's private listeners: only where the operator leads
//!   there. That is any address in the configuration, and an address in a discovery document whose host and port
//!   are the configured ones, or whose issuer is itself configured on a loopback host.
//! * Private networks: yes. Issuers inside a cluster live there.
//!
//! An IPv4 address written as IPv6 (mapped, compatible, NAT64, 6to4) counts as the IPv4 address. Behind a proxy
//! names are looked up by the proxy, so that only literal addresses can be judged here.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::{Host, Url};

/// Who chose an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The operator: loopback will do.
    Configured,
    /// A document from outside: loopback will not do.
    Discovered,
}

impl Reach {
    /// The reach of `found`, an address in the document at `configured`.
    pub fn of_discovered(found: &Url, configured: &Url) -> Self {
        let same_place = found.host_str() == configured.host_str()
            && found.port_or_known_default() == configured.port_or_known_default();
        if same_place || is_loopback_host(configured) { Self::Configured } else { Self::Discovered }
    }

    /// Refuses an address out of reach.
    ///
    /// # Errors
    /// The kind of the address, never the address.
    pub(super) fn check(self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let address = plain(address);
        if is_metadata(address) {
            return Err(ForbiddenAddress::LinkLocal);
        }
        match self {
            Self::Discovered if address.is_loopback() => Err(ForbiddenAddress::Loopback),
            Self::Configured | Self::Discovered => Ok(()),
        }
    }
}

/// An address that usher does not go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenAddress {
    /// Link-local, a metadata service, or unspecified.
    #[error("host is at a link-local or metadata address, which is never asked")]
    LinkLocal,
    /// Loopback, and not by the operator's choice.
    #[error("discovered host is at a loopback address, and the issuer is not")]
    Loopback,
}

/// Whether the host of `url` is loopback by its very name (RFC 6761 section 6.3) or address.
pub fn is_loopback_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => plain(address.into()).is_loopback(),
        None => false,
    }
}

fn is_metadata(address: IpAddr) -> bool {
    // Amazon's and Google's metadata services over IPv6.
    const UNIQUE_LOCAL: [Ipv6Addr; 2] = [
        Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254),
        Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254),
    ];
    match address {
        // A connection to 0.0.0.0 ends at loopback.
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.is_unspecified() || UNIQUE_LOCAL.contains(&v6)
        }
    }
}

/// The IPv4 address inside an IPv6 one, where there is one.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let bits = v6.to_bits();
    // `::` and `::1` are themselves.
    if bits <= 1 {
        return address;
    }
    let embedded = match (bits >> 32, bits >> 112) {
        (0 | 0xffff | 0x0064_ff9b_0000_0000_0000_0000, _) => bits,
        (_, 0x2002) => bits >> 80,
        (_, _) => return address,
    };
    let [.., a, b, c, d] = embedded.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn p6_link_local_and_metadata_addresses_are_refused_in_every_spelling() {
        for text in [
            "169.254.169.254",
            "0.0.0.0",
            "::",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "::169.254.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            let address = text.parse().unwrap();
            for reach in [Reach::Configured, Reach::Discovered] {
                assert_eq!(reach.check(address), Err(ForbiddenAddress::LinkLocal), "{text}");
            }
        }
    }

    #[test]
    fn p6_loopback_is_for_the_operator_to_choose() {
        for text in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            let address = text.parse().unwrap();
            assert_eq!(Reach::Configured.check(address), Ok(()), "{text}");
            assert_eq!(Reach::Discovered.check(address), Err(ForbiddenAddress::Loopback), "{text}");
        }
    }

    #[test]
    fn private_and_public_addresses_are_in_reach() {
        for text in ["10.0.0.1", "192.168.1.1", "fd12:3456::1", "203.0.113.7", "2001:db8::1"] {
            assert_eq!(Reach::Discovered.check(text.parse().unwrap()), Ok(()), "{text}");
        }
    }

    #[test]
    fn p6_only_an_issuer_on_loopback_discovers_keys_on_loopback() {
        let reach = |found, configured| Reach::of_discovered(&url(found), &url(configured));
        let public = "https://login.example.com/.well-known/openid-configuration";
        assert_eq!(reach("https://localhost:6443/keys", public), Reach::Discovered);
        assert_eq!(reach("https://login.example.com:6443/keys", public), Reach::Discovered);
        assert_eq!(reach("https://login.example.com:443/keys", public), Reach::Configured);
        for issuer in ["http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/"] {
            assert_eq!(reach("http://127.0.0.1:9000/keys", issuer), Reach::Configured, "{issuer}");
        }
        // A name that merely looks like it.
        assert_eq!(
            reach("http://127.0.0.1:9000/", "http://localhost.example.com/"),
            Reach::Discovered
        );
    }
}
