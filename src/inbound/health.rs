//! The health listener: what the kubelet and Prometheus ask (contract 2, contract 9).
use super::{
    answer::{self, Answer},
    body,
    caught::finished,
    detail,
    problem::{Code, Problem},
    request::{Call, RequestId},
    server::Handler,
};
use crate::{ports::entropy::Entropy, telemetry::metrics::Metrics};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use std::{
    fmt::{Debug, Write},
    pin::pin,
    sync::Arc,
};

/// Whether usher can work. Answers at once, from what is known.
pub trait Readiness: Debug + Send + Sync {
    /// Whether every listener is open.
    fn started(&self) -> bool;

    /// Whether usher takes requests: from the first time that configuration, store and an issuer's keys are
    /// there, until it drains.
    fn ready(&self) -> bool;

    /// What is not as it should be now, whether or not usher is ready; nothing secret.
    fn faults(&self) -> Vec<Fault>;

    /// Writes into the metrics what is measured only when somebody looks.
    fn measure(&self) {}
}

/// Something an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is concerned: `issuer`, `store`, `configuration`, `insecure_http`, …
    pub part: &'static str,
    /// Which one, where there are several: an issuer's URL; else empty.
    pub name: String,
    /// What is wrong with it, in a sentence.
    pub message: String,
}

/// Answers `/livez`, `/readyz`, `/startupz` and `/metrics`.
#[derive(Debug)]
pub struct Health {
    readiness: Arc<dyn Readiness>,
    metrics: Arc<Metrics>,
    entropy: Arc<dyn Entropy>,
    dev: bool,
}

impl Health {
    /// Tells what `readiness` and `metrics` know; `dev` marks every answer with `Usher-Mode: dev`.
    pub fn new(
        readiness: Arc<dyn Readiness>,
        metrics: Arc<Metrics>,
        entropy: Arc<dyn Entropy>,
        dev: bool,
    ) -> Self {
        Self { readiness, metrics, entropy, dev }
    }

    async fn respond(&self, request: Request<Incoming>, call: Call) -> Result<Answer, Problem> {
        let (head, body) = request.into_parts();
        if let Some(fault) = call.fault {
            return Err(Problem::new(Code::BadRequest, fault));
        }
        let probe = match head.uri.path() {
            "/livez" => Probe::Live,
            "/readyz" => Probe::Ready,
            "/startupz" => Probe::Started,
            "/metrics" => Probe::Metrics,
            _ => return Err(Problem::new(Code::NotFound, detail::NOT_FOUND)),
        };
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Problem::new(Code::MethodNotAllowed, detail::METHOD).allow("GET, HEAD"));
        }
        body::read(body, call.body).await?;
        let verbose = head.uri.query().is_some_and(|query| {
            query.split('&').any(|part| part.split('=').next() == Some("verbose"))
        });
        let well = match probe {
            Probe::Live => true,
            Probe::Ready => self.readiness.ready(),
            Probe::Started => self.readiness.started(),
            Probe::Metrics => return self.expose(head.headers),
        };
        let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let word = if well { "ok" } else { "unavailable" };
        Ok(if verbose {
            let text = verbose_json(word, &self.readiness.faults());
            answer::text(status, answer::JSON, text.into(), head.headers)
        } else {
            answer::text(status, answer::PLAIN, Bytes::from_static(word.as_bytes()), head.headers)
        })
    }

    fn expose(&self, recycled: HeaderMap) -> Result<Answer, Problem> {
        const OPENMETRICS: HeaderValue =
            HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        self.readiness.measure();
        let text =
            self.metrics.text().map_err(|_| Problem::new(Code::InternalError, detail::INTERNAL))?;
        let mut answer = answer::text(StatusCode::OK, answer::PLAIN, text.into(), recycled);
        answer.headers_mut().insert(CONTENT_TYPE, OPENMETRICS);
        Ok(answer)
    }
}

#[derive(Clone, Copy, Debug)]
enum Probe {
    Live,
    Ready,
    Started,
    Metrics,
}

/// `{"status", "faults": [{"part", "name", "message"}]}`.
fn verbose_json(status: &str, faults: &[Fault]) -> String {
    let mut text = format!(r#"{{"status":"{status}","faults":["#);
    for (at, fault) in faults.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let (name, message) = (json(&fault.name), json(&fault.message));
        // Writing to a String does not fail.
        let _ =
            write!(text, r#"{comma}{{"part":"{}","name":{name},"message":{message}}}"#, fault.part);
    }
    text.push_str("]}");
    text
}

fn json(text: &str) -> serde_json::Value {
    serde_json::Value::from(text)
}

impl Handler for Health {
    async fn handle(&self, request: Request<Incoming>, call: Call) -> Answer {
        let id = RequestId::of(request.headers(), &*self.entropy);
        let work = pin!(self.respond(request, call));
        finished(work, id, self.dev).await
    }
}
