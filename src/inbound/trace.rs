//! The span of a request, when traces are asked for (contract 9).
use http::{HeaderMap, Method};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// A span below the caller's, if a W3C `traceparent` came. The path is one of ours, the query stays out.
pub(super) fn span(method: &Method, route: &'static str, headers: &HeaderMap) -> Span {
    let span = info_span!("request", http.request.method = %method, http.route = route);
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // It fails where no exporter is set up, and then nobody misses the parent.
    let _ = span.set_parent(parent);
    span
}
