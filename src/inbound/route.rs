//! Path -> closed enum.
use super::problem::{Code, Problem};
use crate::inbound::detail;
use http::Method;

/// What the public listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/conversations/token`.
    Token,
    /// `/conversations/oauth2/token` (RFC 8693).
    Exchange,
    /// `/conversations/client.js`.
    ClientScript,
    /// `/.well-known/oauth-authorization-server`, with and without the prefix (RFC 8414).
    Metadata,
    /// A page that the configuration brings along, by its number.
    Page(usize),
}

impl Route {
    /// The methods of the route, as `Allow` lists them.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Token => "GET, HEAD, POST",
            Self::Exchange => "POST",
            Self::ClientScript | Self::Metadata | Self::Page(_) => "GET, HEAD",
        }
    }

    /// Its name in traces.
    pub fn label(self) -> &'static str {
        match self {
            Self::Token => "/token",
            Self::Exchange => "/oauth2/token",
            Self::ClientScript => "/client.js",
            Self::Metadata => "/.well-known/oauth-authorization-server",
            Self::Page(_) => "page",
        }
    }

    /// Refuses a method that the route does not have.
    ///
    /// # Errors
    /// `method_not_allowed`, with `Allow`.
    pub fn check(self, method: &Method) -> Result<(), Problem> {
        // Method names are compared whole: `GE` is no method, and none holds a comma.
        if self.methods().split(", ").any(|allowed| allowed == method.as_str()) {
            return Ok(());
        }
        Err(Problem::new(Code::MethodNotAllowed, detail::METHOD).allow(self.methods()))
    }
}

/// The paths of the public listener.
#[derive(Clone, Debug)]
pub struct Routes {
    prefix: Box<str>,
    pages: Box<[Box<str>]>,
}

impl Routes {
    /// Serves usher's own routes below `prefix`, and pages at paths of their own.
    pub fn new(prefix: &str, pages: impl IntoIterator<Item = Box<str>>) -> Self {
        Self { prefix: prefix.into(), pages: pages.into_iter().collect() }
    }

    /// The route of `path`, byte for byte as it was sent: nothing is decoded, folded or normalised, so that no
    /// other spelling of a path means the same.
    pub fn find(&self, path: &str) -> Option<Route> {
        match path.strip_prefix(&*self.prefix) {
            Some("/token") => return Some(Route::Token),
            Some("/oauth2/token") => return Some(Route::Exchange),
            Some("/client.js") => return Some(Route::ClientScript),
            Some(_) | None => {}
        }
        if let Some(rest) = path.strip_prefix("/.well-known/oauth-authorization-server") {
            return (rest.is_empty() || rest == &*self.prefix).then_some(Route::Metadata);
        }
        self.pages.iter().position(|page| **page == *path).map(Route::Page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        Routes::new("/conversations", ["/".into()])
    }

    #[test]
    fn each_path_has_one_route() {
        for (path, route) in [
            ("/conversations/token", Route::Token),
            ("/conversations/oauth2/token", Route::Exchange),
            ("/conversations/client.js", Route::ClientScript),
            ("/.well-known/oauth-authorization-server/conversations", Route::Metadata),
            ("/.well-known/oauth-authorization-server", Route::Metadata),
            ("/", Route::Page(0)),
        ] {
            assert_eq!(routes().find(path), Some(route), "{path}");
        }
    }

    #[test]
    fn p14_no_other_spelling_finds_a_route() {
        for path in [
            "",
            "*",
            "//conversations/token",
            "/conversations//token",
            "/conversations/token/",
            "/conversations/./token",
            "/conversations/x/../token",
            "/conversations/%74oken",
            "/conversations%2ftoken",
            "/conversations/token;a=b",
            "/Conversations/token",
            "/conversations/token%00",
            "/conversations",
            "/conversations/auth",
            "/.well-known/oauth-authorization-server/",
            "/.well-known/oauth-authorization-serverx",
        ] {
            assert_eq!(routes().find(path), None, "{path}");
        }
    }

    #[test]
    fn a_method_is_allowed_only_whole() {
        assert!(Route::Token.check(&Method::HEAD).is_ok());
        for method in ["GE", "get", "DELETE", "POST,", "CONNECT"] {
            let method = Method::from_bytes(method.as_bytes());
            assert!(method.is_err() || Route::Token.check(&method.unwrap()).is_err());
        }
        assert!(Route::Exchange.check(&Method::GET).is_err());
    }
}
