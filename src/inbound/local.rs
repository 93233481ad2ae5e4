//! Who may come to the egress and admin listeners (contract 2): programs that mean it, and neither a page in a browser
//! nor a proxy that passes strangers on. Loopback is no wall: a name of an attacker's can resolve to it.
use super::{
    detail,
    problem::{Code, Problem},
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{FORWARDED, HOST, ORIGIN},
    request::Parts,
};
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The rules of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRules {
    hosts: Box<[Box<str>]>,
    scheme: &'static str,
}

impl LocalRules {
    /// Lets loopback's own names and `hosts` in, each with any port; `secure` tells whether the listener speaks TLS.
    pub fn new(hosts: &[Box<str>], secure: bool) -> Self {
        let hosts = hosts.iter().map(|host| bare(host).to_ascii_lowercase().into()).collect();
        Self { hosts, scheme: if secure { "https://" } else { "http://" } }
    }

    /// Looks at where a request comes from, before anything else is looked at.
    ///
    /// # Errors
    /// `origin_refused`.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), Problem> {
        let refused = |detail| Err(Problem::new(Code::OriginRefused, detail));
        // HTTP/2 has the host in `:authority`, and a request in absolute form has two: all must be ours.
        let said = head.headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
        let hosts: Vec<&[u8]> = head
            .uri
            .authority()
            .map(|host| host.as_str().as_bytes())
            .into_iter()
            .chain(said)
            .collect();
        if hosts.is_empty() || !hosts.iter().all(|host| self.is_ours(host)) {
            return refused(detail::FOREIGN_HOST);
        }
        if head.headers.contains_key(FORWARDED_FOR) || head.headers.contains_key(FORWARDED) {
            return refused(detail::FORWARDED);
        }
        let own = |origin: &HeaderValue| hosts.iter().all(|host| self.is_own(origin, host));
        if !head.headers.get_all(ORIGIN).iter().all(own) || is_from_another_site(&head.headers) {
            return refused(detail::FOREIGN_ORIGIN);
        }
        Ok(())
    }

    fn is_ours(&self, host: &[u8]) -> bool {
        let Some(name) = std::str::from_utf8(host).ok().and_then(without_port) else {
            return false;
        };
        let name = bare(name).to_ascii_lowercase();
        let loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        loopback || name == "localhost" || self.hosts.iter().any(|known| **known == *name)
    }

    /// Whether a browser that shows a page of this very listener would send this origin.
    fn is_own(&self, origin: &HeaderValue, host: &[u8]) -> bool {
        let authority = origin.as_bytes().strip_prefix(self.scheme.as_bytes());
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }
}

/// `Sec-Fetch-Site`, which browsers send and pages cannot change.
fn is_from_another_site(headers: &HeaderMap) -> bool {
    headers.get_all(FETCH_SITE).iter().any(|site| {
        let site = site.as_bytes().trim_ascii();
        site.eq_ignore_ascii_case(b"cross-site") || site.eq_ignore_ascii_case(b"same-site")
    })
}

/// The host of `host[:port]`, where a port is digits.
fn without_port(authority: &str) -> Option<&str> {
    let end_of_host = authority.rfind(']').map_or(0, |at| at + 1);
    let (head, tail) = authority.split_at_checked(end_of_host)?;
    let Some(colon) = tail.find(':') else { return Some(authority) };
    let (name, port) = tail.split_at_checked(colon)?;
    let digits = port.strip_prefix(':')?;
    let fine = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    fine.then_some(if head.is_empty() { name } else { head })
}

/// A numeric host of IPv6 without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn admitted(uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let rules = LocalRules::new(&["usher.internal".into(), "fd00::1".into()], false);
        let (head, ()) = request.body(()).unwrap().into_parts();
        match rules.admit(&head) {
            Ok(()) => true,
            Err(problem) => {
                assert_eq!(problem.code(), Code::OriginRefused);
                false
            }
        }
    }

    #[test]
    fn p14_a_host_is_loopbacks_or_configured() {
        for host in [
            "127.0.0.1:4182",
            "127.0.0.1",
            "127.8.8.8:1",
            "localhost:4182",
            "LOCALHOST",
            "[::1]:4182",
            "[::1]",
            "usher.internal:80",
            "Usher.Internal",
            "[fd00::1]:4182",
        ] {
            assert!(admitted("/", &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn p14_a_name_that_was_rebound_to_loopback_is_refused() {
        for host in [
            "",
            "evil.example",
            "evil.example:4182",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:localhost",
            "localhost:4182@evil.example",
            "localhost:80:evil",
            "localhost.",
            "10.0.0.1",
            "0.0.0.0:4182",
            "[::]:4182",
            "[::1]evil",
            "[::1",
            "[localhost",
            "2130706433",
            "127.1",
        ] {
            assert!(!admitted("/", &[("host", host)]), "{host}");
        }
        assert!(!admitted("/", &[]), "a request without a host");
        assert!(!admitted("/", &[("host", "localhost"), ("host", "evil.example")]));
        assert!(!admitted("http://evil.example/", &[("host", "localhost")]));
        assert!(!admitted("http://localhost/", &[("host", "evil.example")]));
        assert!(admitted("http://localhost/", &[("host", "localhost")]));
    }

    #[test]
    fn p14_what_a_proxy_passed_on_is_refused() {
        for name in ["x-forwarded-for", "forwarded", "X-Forwarded-For"] {
            assert!(!admitted("/", &[("host", "localhost"), (name, "127.0.0.1")]), "{name}");
            assert!(!admitted("/", &[("host", "localhost"), (name, "")]), "{name}");
        }
    }

    #[test]
    fn p14_a_page_of_another_origin_is_refused() {
        let from = |origin| admitted("/", &[("host", "localhost:4182"), ("origin", origin)]);
        assert!(from("http://localhost:4182"));
        for origin in [
            "null",
            "",
            "http://evil.example",
            "https://localhost:4182",
            "http://localhost",
            "http://localhost:4180",
            "http://127.0.0.1:4182",
            "http://localhost:4182.evil.example",
        ] {
            assert!(!from(origin), "{origin}");
        }
        let two = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "null")];
        assert!(!admitted("/", &two));
    }

    #[test]
    fn p14_a_browser_that_comes_from_another_site_is_refused() {
        for (site, passes) in [
            ("cross-site", false),
            ("same-site", false),
            ("Cross-Site", false),
            ("same-origin", true),
            ("none", true),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(admitted("/", &headers), passes, "{site}");
        }
    }

    #[test]
    fn over_tls_the_own_origin_is_https() {
        let rules = LocalRules::new(&[], true);
        let request = Request::get("/").header("host", "localhost");
        let (head, ()) =
            request.header("origin", "https://localhost").body(()).unwrap().into_parts();
        assert!(rules.admit(&head).is_ok());
    }
}
