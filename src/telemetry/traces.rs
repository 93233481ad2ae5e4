//! Traces by OTLP, where the configuration asks for them (contract 9).
use super::logs::BoxedLayer;
use opentelemetry::{
    KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::TracerProvider as _,
};
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use std::sync::Arc;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer as _, filter::filter_fn};

/// The target of the one span a request has.
pub const REQUEST: &str = "usher::request";

/// Owns the exporter: what ended before [`TracesGuard::flush`] has been sent after, or given up.
#[derive(Debug)]
pub struct TracesGuard(SdkTracerProvider);

impl TracesGuard {
    /// Sends what is left. Blocks for at most the exporter's own deadline, so call it off the async threads.
    pub fn flush(self) {
        // A collector that is down must not keep the process from ending well.
        let _ = self.0.shutdown();
    }
}

/// A layer that exports request spans to `endpoint` (`…/v1/traces` is added where the path is empty), sent by
/// `client`.
///
/// # Errors
/// The exporter refuses the endpoint.
pub fn layer(
    endpoint: &str,
    client: Arc<dyn HttpClient>,
    version: &'static str,
) -> Result<(BoxedLayer, TracesGuard), opentelemetry_otlp::ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_shared_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_address(endpoint))
        .build()?;
    let resource = Resource::builder()
        .with_service_name("usher")
        .with_attribute(KeyValue::new("service.version", version))
        .build();
    let provider =
        SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("usher"))
        .with_location(false)
        .with_threads(false)
        .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target() == REQUEST));
    Ok((Box::new(layer), TracesGuard(provider)))
}

fn traces_address(endpoint: &str) -> String {
    let base = endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

/// Makes `span` a child of the caller's (W3C Trace Context, `traceparent`); a malformed one is ignored.
pub fn adopt(span: &Span, traceparent: &str) {
    if span.is_none() {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Traceparent(traceparent));
    let _ = span.set_parent(parent);
}

struct Traceparent<'a>(&'a str);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_http::{Bytes, HttpError, Request, Response};
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Debug, Default)]
    struct Collector(Mutex<Vec<(String, Bytes)>>);

    impl HttpClient for Collector {
        fn send_bytes<'a, 't>(
            &'a self,
            request: Request<Bytes>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 't>>
        where
            'a: 't,
            Self: 't,
        {
            self.0.lock().unwrap().push((request.uri().to_string(), request.into_body()));
            Box::pin(async { Ok(Response::new(Bytes::new())) })
        }
    }

    #[test]
    fn a_request_is_exported_as_a_child_of_its_caller() {
        let collector = Arc::new(Collector::default());
        let (layer, guard) = layer("http://127.0.0.1:4318", collector.clone(), "0.0.0").unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!(target: REQUEST, "POST /conversations/token");
            adopt(&span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            span.in_scope(|| tracing::info!(target: "audit", identity = "u-secret"));
        });
        guard.flush();

        let sent = collector.0.lock().unwrap();
        let (address, body) = &sent[0];
        assert_eq!(address, "http://127.0.0.1:4318/v1/traces");
        let holds = |bytes: &[u8]| body.windows(bytes.len()).any(|window| window == bytes);
        assert!(holds(b"POST /conversations/token"));
        assert!(holds(&[0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd]));
        assert!(!holds(b"u-secret"), "a log line went into the trace");
    }
}
