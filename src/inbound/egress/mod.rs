//! The egress listener, of which this version has the look-up alone (contract 2, "Egress"; contract 4, last paragraph).
//!
//! Only the app comes here, and it must say that it means it ([`Proof`]).
mod lookup;
mod proof;

use super::{
    answer::Answer,
    body::{self, Inflow},
    caught::finished,
    desk::Desk,
    detail,
    local::LocalRules,
    problem::{Code, Problem},
    request::{Call, RequestId},
    server::Handler,
    trace,
};
use crate::{domain::subject::Namespace, flow::registry::Registrar, ports::entropy::Entropy};
use arc_swap::ArcSwap;
use http::{Method, Request};
use hyper::body::Incoming;
pub use proof::Proof;
use std::{pin::pin, sync::Arc};
use tracing::{Instrument, Span};

/// The room's settings.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// `egress.lookup`.
    pub lookup: Vec<Namespace>,
    /// What proves that a request is meant.
    pub proof: Proof,
    /// Who may come.
    pub rules: LocalRules,
    /// Marks every answer with `Usher-Mode: dev`.
    pub dev: bool,
    /// Makes a span of every request.
    pub traces: bool,
}

/// The egress listener's handler.
#[derive(Debug)]
pub struct Egress {
    face: ArcSwap<(EgressConfig, Registrar)>,
    entropy: Arc<dyn Entropy>,
}

/// What the listener serves.
#[derive(Clone, Copy, Debug)]
enum Route<'a> {
    Subjects,
    Identity(&'a str),
}

impl<'a> Route<'a> {
    /// The route of `path`, byte for byte.
    fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/usher/identities")?;
        if rest.is_empty() {
            return Some(Self::Subjects);
        }
        let identity = rest.strip_prefix('/')?;
        (!identity.is_empty() && !identity.contains('/')).then_some(Self::Identity(identity))
    }

    fn label(self) -> &'static str {
        match self {
            Self::Subjects => "/usher/identities",
            Self::Identity(_) => "/usher/identities/{identity}",
        }
    }
}

impl Egress {
    /// Works with `config` on `registrar` until they are replaced.
    pub fn new(config: EgressConfig, registrar: Registrar, entropy: Arc<dyn Entropy>) -> Self {
        Self { face: ArcSwap::from_pointee((config, registrar)), entropy }
    }

    /// Works with `config` on `registrar` from now on; requests under way keep what they began with.
    pub fn replace(&self, config: EgressConfig, registrar: Registrar) {
        self.face.store(Arc::new((config, registrar)));
    }

    async fn answer<B: Inflow>(&self, request: Request<B>, call: Call) -> Answer {
        let face = self.face.load_full();
        let (config, registrar) = &*face;
        let id = RequestId::of(request.headers(), &*self.entropy);
        let span = if config.traces {
            let route = Route::find(request.uri().path()).map_or("none", Route::label);
            trace::span(request.method(), route, request.headers())
        } else {
            Span::none()
        };
        let work = pin!(respond(config, Desk { registrar, id: &id }, request, call));
        finished(work.instrument(span), id.clone(), config.dev).await
    }
}

async fn respond<B: Inflow>(
    config: &EgressConfig,
    desk: Desk<'_>,
    request: Request<B>,
    call: Call,
) -> Result<Answer, Problem> {
    let (head, body) = request.into_parts();
    config.rules.admit(&head)?;
    if let Some(fault) = call.fault {
        return Err(Problem::new(Code::BadRequest, fault));
    }
    config.proof.check(&head.headers)?;
    let nothing = || Problem::new(Code::NotFound, detail::NOT_FOUND);
    let route = Route::find(head.uri.path()).ok_or_else(nothing)?;
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Problem::new(Code::MethodNotAllowed, detail::METHOD).allow("GET, HEAD"));
    }
    body::read(body, call.body).await?;
    let query = head.uri.query().unwrap_or_default();
    match route {
        Route::Subjects => lookup::of_subjects(&desk, &config.lookup, query, head.headers).await,
        Route::Identity(segment) => {
            lookup::of_identity(&desk, &config.lookup, segment, head.headers).await
        }
    }
}

impl Handler for Egress {
    async fn handle(&self, request: Request<Incoming>, call: Call) -> Answer {
        self.answer(request, call).await
    }
}
