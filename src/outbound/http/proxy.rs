//! `HTTPS_PROXY` and `NO_PROXY`.
//!
//! The values come from the configuration, which alone reads the environment. `http_proxy` is not used: plain
//! http is asked for on loopback and in tests only. Loopback hosts are never asked for through a proxy, as in
//! Go and in browsers.
use super::reach::is_loopback_host;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::{fmt, sync::Arc};
use url::Url;

/// Which addresses are asked for through a proxy.
#[derive(Clone, Default)]
pub struct ProxySettings(Option<Arc<Rules>>);

struct Rules {
    matcher: Matcher,
    // Compared to see whether settings changed; holds a password, so never shown.
    https_proxy: Box<str>,
    no_proxy: Box<str>,
}

impl ProxySettings {
    /// Takes the values of `HTTPS_PROXY` and `NO_PROXY`. An empty or absent proxy is none. `NO_PROXY` is a list
    /// of host names (which stand for their subdomains as well), addresses, networks as `ADDRESS/BITS`, or `*`.
    ///
    /// # Errors
    /// The proxy is not an `http` or `https` address (one without a scheme is `http`). It is not repeated: it
    /// may hold a password.
    pub fn new(https_proxy: Option<&str>, no_proxy: Option<&str>) -> Result<Self, UnusableProxy> {
        let proxy = https_proxy.unwrap_or_default().trim();
        let no_proxy = no_proxy.unwrap_or_default();
        if proxy.is_empty() || no_proxy.split(',').any(|entry| entry.trim() == "*") {
            return Ok(Self::default());
        }
        let anything = Uri::from_static("https://host.invalid/");
        let usable = Matcher::builder().https(proxy).build().intercept(&anything);
        if !usable.is_some_and(|taken| matches!(taken.uri().scheme_str(), Some("http" | "https"))) {
            return Err(UnusableProxy);
        }
        let matcher = Matcher::builder().https(proxy).no(no_proxy).build();
        let rules = Rules { matcher, https_proxy: proxy.into(), no_proxy: no_proxy.into() };
        Ok(Self(Some(Arc::new(rules))))
    }

    /// The proxy that takes `url`, if one does.
    pub(super) fn taking(&self, url: &Url) -> Option<Intercept> {
        if is_loopback_host(url) {
            return None;
        }
        self.0.as_ref()?.matcher.intercept(&url.as_str().parse().ok()?)
    }
}

impl PartialEq for ProxySettings {
    fn eq(&self, other: &Self) -> bool {
        let values = |of: &Self| of.0.as_ref().map(|r| (r.https_proxy.clone(), r.no_proxy.clone()));
        values(self) == values(other)
    }
}

impl Eq for ProxySettings {}

impl fmt::Debug for ProxySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProxySettings").field(&self.0.as_ref().map(|_| "..")).finish()
    }
}

/// `HTTPS_PROXY` is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("HTTPS_PROXY is not an http or https address")]
pub struct UnusableProxy;

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(no_proxy: &str, url: &str) -> bool {
        let settings = ProxySettings::new(Some("http://proxy:3128"), Some(no_proxy)).unwrap();
        settings.taking(&url.parse().unwrap()).is_some()
    }

    #[test]
    fn only_https_beyond_loopback_goes_through_the_proxy() {
        assert!(taken("", "https://login.example.com/keys"));
        assert!(taken("", "https://203.0.113.7/keys"));
        for url in [
            "http://login.example.com/",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://[::1]/",
        ] {
            assert!(!taken("", url), "{url}");
        }
    }

    #[test]
    fn no_proxy_names_hosts_their_subdomains_and_networks() {
        for (no_proxy, url, through) in [
            ("example.com", "https://login.example.com/", false),
            (".example.com", "https://login.example.com/", false),
            ("example.com", "https://notexample.com/", true),
            ("10.0.0.0/8, .svc", "https://10.2.3.4/", false),
            ("10.0.0.0/8, .svc", "https://kubernetes.default.svc/", false),
            ("10.0.0.0/8", "https://11.2.3.4/", true),
            ("a, *", "https://203.0.113.7/", false),
        ] {
            assert_eq!(taken(no_proxy, url), through, "{no_proxy} {url}");
        }
    }

    #[test]
    fn a_proxy_of_another_kind_is_an_error() {
        for wrong in ["socks5://proxy:1080", "ftp://proxy", "http://"] {
            assert_eq!(ProxySettings::new(Some(wrong), None), Err(UnusableProxy), "{wrong}");
        }
        assert_eq!(ProxySettings::new(Some(" "), None), Ok(ProxySettings::default()));
    }

    #[test]
    fn p13_a_proxys_password_does_not_print_itself() {
        let settings = ProxySettings::new(Some("http://u:hunter2@proxy"), Some("a")).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
