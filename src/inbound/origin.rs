//! Cross-origin requests (the Fetch standard's CORS; contract 3).
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
        ORIGIN, VARY,
    },
};

/// One of `cors.allowedOrigins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `scheme://host[:port]`, as a browser writes it.
    Exact(Box<str>),
    /// `scheme://host` with any port, or none.
    AnyPort(Box<str>),
}

impl AllowedOrigin {
    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Exact(allowed) => **allowed == *origin,
            Self::AnyPort(host) => origin.strip_prefix(&**host).is_some_and(|rest| {
                let digits = rest.strip_prefix(':');
                rest.is_empty()
                    || digits.is_some_and(|port| {
                        !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
                    })
            }),
        }
    }
}

/// The origins whose scripts may read usher's answers; none is the default.
#[derive(Clone, Debug)]
pub struct Origins {
    allowed: Box<[AllowedOrigin]>,
    request_headers: HeaderValue,
}

impl Origins {
    /// Allows these to send a credential in any of `token_headers`.
    pub fn new(allowed: impl Into<Box<[AllowedOrigin]>>, token_headers: &[HeaderName]) -> Self {
        let mut names = String::from("authorization, content-type, x-request-id, traceparent");
        for name in token_headers.iter().filter(|name| **name != http::header::AUTHORIZATION) {
            names.push_str(", ");
            names.push_str(name.as_str());
        }
        let request_headers = HeaderValue::from_maybe_shared(bytes::Bytes::from(names))
            .unwrap_or(HeaderValue::from_static("authorization"));
        Self { allowed: allowed.into(), request_headers }
    }

    /// Looks at who asks, before anything else is looked at.
    pub fn judge(&self, headers: &HeaderMap) -> Sharing {
        if self.allowed.is_empty() {
            return Sharing::Off;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(origin), None) if self.allows(origin) => Sharing::With(origin.clone()),
            (Some(_) | None, _) => Sharing::Nobody,
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        origin.to_str().is_ok_and(|origin| self.allowed.iter().any(|allowed| allowed.is(origin)))
    }

    /// Says what a preflight wants to know.
    pub fn answer_preflight(&self, methods: &'static str, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.request_headers.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

/// Whether a preflight asks, before a browser sends the request itself.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// With whom an answer is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// No origin is allowed at all.
    Off,
    /// Not with whoever asks, if a browser asks.
    Nobody,
    /// With scripts of this origin.
    With(HeaderValue),
}

impl Sharing {
    /// Writes the answer's headers, unless it is for everybody already.
    pub fn write(self, headers: &mut HeaderMap) {
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        match self {
            Self::Off => {}
            Self::Nobody => {
                headers.insert(VARY, HeaderValue::from_static("Origin"));
            }
            Self::With(origin) => {
                headers.insert(VARY, HeaderValue::from_static("Origin"));
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(
                    ACCESS_CONTROL_EXPOSE_HEADERS,
                    HeaderValue::from_static("retry-after, www-authenticate, x-request-id"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared_with(origins: &[&'static str]) -> Sharing {
        let allowed = [
            AllowedOrigin::Exact("https://app.example.com".into()),
            AllowedOrigin::AnyPort("http://localhost".into()),
        ];
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        Origins::new(allowed, &[]).judge(&headers)
    }

    #[test]
    fn an_origin_is_compared_whole() {
        for origin in ["https://app.example.com", "http://localhost", "http://localhost:5173"] {
            assert_eq!(shared_with(&[origin]), Sharing::With(HeaderValue::from_static(origin)));
        }
        for origin in [
            "null",
            "*",
            "https://app.example.com.evil.test",
            "https://app.example.com:444",
            "http://app.example.com",
            "https://APP.example.com",
            "http://localhost.evil.test",
            "http://localhost:",
            "http://localhost:1@evil.test",
            "",
        ] {
            assert_eq!(shared_with(&[origin]), Sharing::Nobody, "{origin}");
        }
        assert_eq!(shared_with(&["https://app.example.com", "https://b.test"]), Sharing::Nobody);
    }
}
