//! The span of a request, when traces are asked for (contract 9).
use crate::telemetry::traces::{self, REQUEST};
use http::{HeaderMap, Method};
use tracing::{Span, info_span};

/// A span below the caller's, if a W3C `traceparent` came. The path is one of ours, the query stays out.
pub(super) fn span(method: &Method, route: &'static str, headers: &HeaderMap) -> Span {
    let span =
        info_span!(target: REQUEST, "request", http.request.method = %method, http.route = route);
    if let Some(parent) = headers.get("traceparent").and_then(|value| value.to_str().ok()) {
        traces::adopt(&span, parent);
    }
    span
}
