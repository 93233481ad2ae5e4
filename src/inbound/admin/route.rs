//! Path -> closed enum, for the admin API.
use crate::inbound::{
    detail,
    problem::{Code, Problem},
};
use http::Method;

/// What the admin listener serves. An identity is one segment of the path, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/api/identities`.
    Identities,
    /// `/api/identities/{identity}`.
    Identity(&'a str),
    /// `/api/identities/{identity}/links`.
    Link(&'a str),
    /// `/api/identities/{identity}/retire`.
    Retire(&'a str),
    /// `/api/identities/{identity}/erase`.
    Erase(&'a str),
    /// `/api/identity-unlink`.
    Unlink,
    /// `/api/identity-import`.
    Import,
    /// `/api/identity-export`.
    Export,
}

/// Whether a path is of the API, where nobody comes without a token, whether or not there is anything.
pub(super) fn is_api(path: &str) -> bool {
    path.starts_with("/api/")
}

impl<'a> Route<'a> {
    /// The route of `path`, byte for byte.
    pub(super) fn find(path: &'a str) -> Option<Self> {
        match path {
            "/api/identities" => return Some(Self::Identities),
            "/api/identity-unlink" => return Some(Self::Unlink),
            "/api/identity-import" => return Some(Self::Import),
            "/api/identity-export" => return Some(Self::Export),
            _ => {}
        }
        let rest = path.strip_prefix("/api/identities/")?;
        let (identity, what) = rest.split_once('/').map_or((rest, None), |(a, b)| (a, Some(b)));
        match what {
            _ if identity.is_empty() => None,
            None => Some(Self::Identity(identity)),
            Some("links") => Some(Self::Link(identity)),
            Some("retire") => Some(Self::Retire(identity)),
            Some("erase") => Some(Self::Erase(identity)),
            Some(_) => None,
        }
    }

    /// Whether it changes the registry, which takes an operator.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::Link(_) | Self::Retire(_) | Self::Erase(_) | Self::Unlink | Self::Import => true,
            Self::Identities | Self::Identity(_) | Self::Export => false,
        }
    }

    /// Its name in traces and audit lines.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Identities => "list",
            Self::Identity(_) => "show",
            Self::Link(_) => "link",
            Self::Retire(_) => "retire",
            Self::Erase(_) => "erase",
            Self::Unlink => "unlink",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// Refuses a method that the route does not have.
    ///
    /// # Errors
    /// `method_not_allowed`, with `Allow`.
    pub(super) fn check(self, method: &Method) -> Result<(), Problem> {
        let (fits, methods) = if self.changes() {
            (*method == Method::POST, "POST")
        } else {
            (matches!(*method, Method::GET | Method::HEAD), "GET, HEAD")
        };
        if fits {
            return Ok(());
        }
        Err(Problem::new(Code::MethodNotAllowed, detail::METHOD).allow(methods))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_exactly_one_segment() {
        assert_eq!(Route::find("/api/identities/a%2Fb"), Some(Route::Identity("a%2Fb")));
        assert_eq!(Route::find("/api/identities/a/links"), Some(Route::Link("a")));
        assert_eq!(Route::find("/api/identities/links"), Some(Route::Identity("links")));
        for path in [
            "/api/identities/",
            "/api/identities//links",
            "/api/identities/a/",
            "/api/identities/a/links/",
            "/api/identities/a/b/retire",
            "/api/identities/a/Retire",
            "/api/Identities",
            "//api/identities",
            "/api/identity-export/",
            "/api/revocations",
            "/api/",
            "/api",
            "/",
        ] {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }
}
