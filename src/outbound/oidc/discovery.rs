//! The discovery document (OpenID Connect Discovery 1.0 section 4).
//!
//! Only `issuer` and `jwks_uri` are read: Kubernetes' document lacks members that the specification demands and
//! that nobody needs to check a token.
use crate::{domain::subject::Issuer, outbound::http::reach::Reach};
use serde::Deserialize;
use url::Url;

/// How many bytes a discovery document may have.
pub const CAP: usize = 512 * 1024;

/// Where `issuer` keeps its document unless told otherwise: its URL without one trailing slash, then
/// `/.well-known/openid-configuration` (contract 5, `discoveryUrl`).
///
/// # Errors
/// None for an [`Issuer`], which is a URL without query and fragment.
pub fn default_address(issuer: &Issuer) -> Result<Url, url::ParseError> {
    let base = issuer.as_str();
    let base = base.strip_suffix('/').unwrap_or(base);
    format!("{base}/.well-known/openid-configuration").parse()
}

/// Where an issuer's keys are, and what may be reached to get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysAddress {
    /// `jwks_uri`.
    pub url: Url,
    /// Loopback only where the operator leads there.
    pub reach: Reach,
}

/// Reads the document that `address` gave for `issuer`.
///
/// `jwks_uri` may be on another host, as Google's and Entra's are.
///
/// # Errors
/// Each variant of [`UnusableDiscovery`] names the member at fault.
pub fn read(
    document: &[u8],
    issuer: &Issuer,
    address: &Url,
    insecure_http: bool,
) -> Result<KeysAddress, UnusableDiscovery> {
    let document: Document =
        serde_json::from_slice(document).map_err(|_| UnusableDiscovery::Unreadable)?;
    // Byte for byte: whoever can answer for one issuer must not speak for another (OpenID Connect Discovery 1.0
    // section 4.3).
    if document.issuer != issuer.as_str() {
        return Err(UnusableDiscovery::OtherIssuer);
    }
    let url: Url = document.jwks_uri.parse().map_err(|_| UnusableDiscovery::KeysAddress)?;
    match url.scheme() {
        "https" => {}
        "http" if insecure_http => {}
        "http" => return Err(UnusableDiscovery::PlainHttp),
        _ => return Err(UnusableDiscovery::KeysAddress),
    }
    let reach = Reach::of_discovered(&url, address);
    Ok(KeysAddress { url, reach })
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// Why a discovery document is of no use. The document is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableDiscovery {
    /// Not a JSON object with the strings `issuer` and `jwks_uri`, each once.
    #[error("discovery document is not JSON with the strings issuer and jwks_uri")]
    Unreadable,
    /// `issuer` is not the configured URL.
    #[error("discovery document names another issuer (issuers[].url must equal it byte for byte)")]
    OtherIssuer,
    /// `jwks_uri` is no `https` address.
    #[error("discovery document's jwks_uri is not an https address")]
    KeysAddress,
    /// `jwks_uri` is plain http, without `insecureHttp`.
    #[error("discovery document's jwks_uri is plain http, which needs insecureHttp: true")]
    PlainHttp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(issuer: &str, document: &str) -> Result<KeysAddress, UnusableDiscovery> {
        let issuer: Issuer = issuer.parse().unwrap();
        let address = default_address(&issuer).unwrap();
        read(document.as_bytes(), &issuer, &address, false)
    }

    #[test]
    fn one_trailing_slash_is_dropped_from_the_address_and_none_from_the_issuer() {
        for (issuer, address) in [
            ("https://a.test", "https://a.test/.well-known/openid-configuration"),
            ("https://a.test/", "https://a.test/.well-known/openid-configuration"),
            ("https://a.test/r//", "https://a.test/r//.well-known/openid-configuration"),
            ("https://a.test/r/v2.0", "https://a.test/r/v2.0/.well-known/openid-configuration"),
        ] {
            let parsed: Issuer = issuer.parse().unwrap();
            assert_eq!(default_address(&parsed).unwrap().as_str(), address);
            let document = format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://b.test/k"}}"#);
            assert!(read_for(issuer, &document).is_ok(), "{issuer}");
        }
    }

    #[test]
    fn a_document_as_bare_as_kubernetes_is_enough_and_keys_may_be_elsewhere() {
        let document = r#"{"issuer":"https://a.test","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks",
            "response_types_supported":["id_token"]}"#;
        let keys = read_for("https://a.test", document).unwrap();
        assert_eq!(keys.url.as_str(), "https://10.0.0.1:6443/openid/v1/jwks");
        assert_eq!(keys.reach, Reach::Discovered);
    }

    #[test]
    fn p6_a_document_of_another_issuer_is_refused() {
        for other in
            ["https://a.test/", "https://A.test", "http://a.test", "https://a.test:443", ""]
        {
            let document = format!(r#"{{"issuer":"{other}","jwks_uri":"https://a.test/k"}}"#);
            assert_eq!(
                read_for("https://a.test", &document),
                Err(UnusableDiscovery::OtherIssuer),
                "{other}"
            );
        }
    }

    #[test]
    fn p6_a_downgrade_to_plain_http_is_refused() {
        for (jwks_uri, error) in [
            ("http://a.test/k", UnusableDiscovery::PlainHttp),
            ("file:///etc/passwd", UnusableDiscovery::KeysAddress),
            ("/k", UnusableDiscovery::KeysAddress),
        ] {
            let document = format!(r#"{{"issuer":"https://a.test","jwks_uri":"{jwks_uri}"}}"#);
            assert_eq!(read_for("https://a.test", &document), Err(error), "{jwks_uri}");
        }
    }

    #[test]
    fn p6_what_is_not_such_a_document_is_refused() {
        for text in [
            "",
            "<html>",
            "[]",
            r#"{"issuer":"https://a.test"}"#,
            r#"{"issuer":"https://a.test","jwks_uri":null}"#,
            r#"{"issuer":"https://b.test","issuer":"https://a.test","jwks_uri":"https://a.test/k"}"#,
        ] {
            assert_eq!(
                read_for("https://a.test", text),
                Err(UnusableDiscovery::Unreadable),
                "{text}"
            );
        }
    }
}
