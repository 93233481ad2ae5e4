//! `HTTPS_PROXY` and `NO_PROXY`.
use super::{
    reader::Reader,
    settings::{ProxyAddress, ProxySettings},
};
use crate::domain::secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

const VARIABLE: &str = "HTTPS_PROXY";

/// Reads both variables.
pub(super) fn proxy(reader: &mut Reader<'_>) -> Option<ProxySettings> {
    let except = reader.variable_text("NO_PROXY").unwrap_or_default();
    let except = except.split(',').map(str::trim).filter(|host| !host.is_empty());
    let except = except.map(|host| host.to_ascii_lowercase().into()).collect();
    let https = match reader.variable_text(VARIABLE) {
        None => None,
        Some(text) => {
            Some(address(text).map_err(|what| reader.variable_wrong(VARIABLE, what)).ok()?)
        }
    };
    Some(ProxySettings { https, except })
}

/// `http://[user:password@]host[:port]`, of which the scheme may be left out.
fn address(text: &str) -> Result<ProxyAddress, &'static str> {
    const WANTED: &str = "this is not the address of a proxy (write http://host:port)";
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|_| WANTED)?;
    if url.scheme() != "http" {
        return Err("only proxies that speak plain http: are known (write http://host:port)");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(WANTED);
    }
    let decoded = |part| percent_decode_str(part).collect::<Vec<u8>>();
    let credentials = (!url.username().is_empty()).then(|| {
        let password = url.password().unwrap_or_default();
        Secret::new([decoded(url.username()), decoded(password)].join(&b':'))
    });
    Ok(ProxyAddress {
        host: url.host_str().ok_or(WANTED)?.into(),
        port: url.port_or_known_default().ok_or(WANTED)?,
        credentials,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_has_a_host_a_port_and_perhaps_credentials() {
        let proxy = address("http://user:p%40ss@proxy.example:3128/").unwrap();
        assert_eq!((&*proxy.host, proxy.port), ("proxy.example", 3128));
        assert_eq!(proxy.credentials, Some(Secret::text("user:p@ss")));
        assert_eq!(address("proxy:3128").unwrap().port, 3128);
        assert_eq!(address("http://[::1]:1").unwrap().host, "[::1]".into());
        assert_eq!(address("http://proxy").unwrap().port, 80);
        for text in ["socks5://proxy:1", "https://proxy", "http://", "http://proxy/path"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
