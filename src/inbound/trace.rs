//! The span of a request, where traces are asked for (contract 9).
use crate::telemetry::traces;
use http::{HeaderMap, Method};
use tracing::{Span, info_span};

/// A span below the caller's, if a W3C `traceparent` came. It names one of our routes; path and query stay out,
/// since a caller may have put anything there.
pub(super) fn span(method: &Method, route: &'static str, headers: &HeaderMap) -> Span {
    let name = format!("{method} {route}");
    let span =
        info_span!(target: traces::REQUEST, "request", otel.name = name, otel.kind = "server");
    if let Some(parent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        traces::adopt(&span, parent);
    }
    span
}
