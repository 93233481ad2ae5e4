//! The small sections: `public`, `token`, `cors`, `shutdown`, `log`, `telemetry`.
use super::{
    address,
    reader::{Reader, duration, flag},
    settings::{AllowedOrigin, LogSettings, PublicSettings},
    tree::Cursor,
};
use crate::domain::grant::Life;
use std::time::Duration;
use url::Url;

const HOUR: Duration = Duration::from_hours(1);

/// Reads `public`.
pub(super) fn public(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<PublicSettings> {
    let get = |key| at.and_then(|at| at.get(key));
    let url = match get("url") {
        None => None,
        Some(at) => Some(address::public_url(at.text()?).ok()?),
    };
    let plain = url.as_ref().is_some_and(|url| {
        url.scheme() == "http" && !url.host().is_some_and(|host| address::is_loopback(&host))
    });
    if plain {
        reader.report.warn("public.url is plain http: tokens cross the network unprotected".into());
    }
    let proxies = get("trustedProxies");
    let proxies = proxies.iter().flat_map(Cursor::items);
    Some(PublicSettings {
        prefix: get("prefix").map_or(Some("/conversations"), |at| at.text())?.into(),
        url,
        trusted_proxies: proxies
            .map(|at| address::network(at.text()?).ok())
            .collect::<Option<_>>()?,
    })
}

/// Reads `token`, and how long a grant's tokens may live.
pub(super) fn life(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<(Life, Bounds)> {
    let bounds = Bounds { long_lived: flag(at, "allowLongLived") };
    let ttl = bounds.ttl(at, reader).unwrap_or(Duration::from_mins(15));
    let grace = duration(at, "graceBeyondUpstream", Duration::from_mins(4))?;
    if let Some(at) = at.and_then(|at| at.get("graceBeyondUpstream")).filter(|_| grace > HOUR) {
        at.wrong(&mut reader.report, "this is longer than 1 h (write at most 1h)");
    }
    Some((Life { ttl, grace_beyond_upstream: grace }, bounds))
}

/// How long a Conversations token may live (contract 3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    long_lived: bool,
}

impl Bounds {
    /// Reads `ttl`, which may be absent.
    pub(super) fn ttl(self, at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<Duration> {
        let written = at.and_then(|at| at.get("ttl"))?;
        let ttl = duration(at, "ttl", Duration::ZERO)?;
        let what = if ttl < Duration::from_mins(4) {
            "this is shorter than 240 s, and the client SDK is told of expiry only 3 minutes before it (write at least 4m)"
        } else if ttl > HOUR * 24 {
            "this is longer than 24 h, which no Conversations token may live (write at most 24h)"
        } else if ttl > HOUR && !self.long_lived {
            "this is longer than 1 h (write at most 1h, or token.allowLongLived: true)"
        } else {
            return Some(ttl);
        };
        written.wrong(&mut reader.report, what);
        None
    }
}

/// Reads `cors`.
pub(super) fn origins(at: Option<&Cursor<'_>>) -> Option<Vec<AllowedOrigin>> {
    let list = at.and_then(|at| at.get("allowedOrigins"));
    list.iter().flat_map(Cursor::items).map(|at| address::origin(at.text()?).ok()).collect()
}

/// Reads `shutdown`.
pub(super) fn grace(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<Duration> {
    let grace = duration(at, "grace", Duration::from_secs(25))?;
    if let Some(at) = at.and_then(|at| at.get("grace")).filter(|_| grace > HOUR) {
        at.wrong(&mut reader.report, "this is longer than 1 h (write at most 1h)");
    }
    Some(grace)
}

/// Reads `log`, and `RUST_LOG` which goes before it.
pub(super) fn log(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> LogSettings {
    let text = |key| at.and_then(|at| at.get(key)).and_then(|at| at.text());
    LogSettings {
        json: text("format") != Some("text"),
        level: text("level").unwrap_or("info").into(),
        directives: reader.variable_text("RUST_LOG").map(Box::from),
    }
}

/// Reads `telemetry`, and where it is silent `OTEL_EXPORTER_OTLP_ENDPOINT`.
pub(super) fn otlp_endpoint(at: Option<&Cursor<'_>>, reader: &mut Reader<'_>) -> Option<Url> {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    if let Some(at) = at.and_then(|at| at.get("otlpEndpoint")) {
        return address::http_url(at.text()?).ok();
    }
    let text = reader.variable_text(VARIABLE)?;
    match address::http_url(text) {
        Ok(url) => Some(url),
        Err(what) => {
            reader.variable_wrong(VARIABLE, what);
            None
        }
    }
}
