//! Where an issuer's keys are, and whether plain http may fetch them.
use super::tenants::{Tenant, expand};
use crate::config::{
    address,
    reader::{Reader, flag},
    settings::KeysAt,
    tree::Cursor,
};

/// Refuses plain http without `insecureHttp` beside it, loopback included (contract 5).
pub(super) fn check(at: &Cursor<'_>, reader: &mut Reader<'_>) {
    let insecure = flag(Some(at), "insecureHttp");
    for key in ["url", "discoveryUrl", "jwksUri"] {
        let Some(at) = at.get(key).filter(|at| at.text().is_some_and(is_plain)) else { continue };
        if insecure {
            let path = at.path();
            reader
                .report
                .warn(format!("{path} is plain http: whoever is on the way can forge keys"));
        } else {
            at.wrong(
                &mut reader.report,
                "this is plain http (write https:, or insecureHttp: true beside it)",
            );
        }
    }
    if let (true, Some(at)) = (at.has("discoveryUrl"), at.get("jwksUri")) {
        at.wrong(
            &mut reader.report,
            "`jwksUri` skips discovery, and `discoveryUrl` says where it is (remove one of them)",
        );
    }
}

fn is_plain(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"))
}

/// The keys' address for one tenant, or for the issuer that has none.
pub(super) fn keys_at(at: &Cursor<'_>, url: &str, tenant: Option<&Tenant<'_>>) -> Option<KeysAt> {
    let parsed = |text: &str| address::http_url(&expand(text, tenant)).ok();
    if let Some(keys) = at.get("jwksUri") {
        return parsed(keys.text()?).map(KeysAt::Jwks);
    }
    if let Some(document) = at.get("discoveryUrl") {
        return parsed(document.text()?).map(KeysAt::Discovery);
    }
    // OpenID Connect Discovery 1.0 section 4: a slash at the end is dropped first.
    let base = url.strip_suffix('/').unwrap_or(url);
    parsed(&format!("{base}/.well-known/openid-configuration")).map(KeysAt::Discovery)
}
