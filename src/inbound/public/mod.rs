//! The public surface (contract 3).
mod accept;
mod audit;
mod client;
mod exchange;
mod face;
mod metadata;
mod oauth;
mod token;

use super::{
    answer::{self, Answer},
    caught::caught,
    detail,
    origin::{self, Sharing},
    problem::{Code, Problem},
    proxies::Client,
    request::{Call, RequestId},
    route::Route,
    server::Handler,
    trace,
};
use crate::{
    ports::{clock::Clock, entropy::Entropy},
    telemetry::metrics::Metrics,
};
use arc_swap::ArcSwap;
use audit::Trail;
pub use exchange::{Ask, Decision, Exchange, Steps};
pub use face::{Face, Page, PublicConfig};
use http::{HeaderMap, Request, StatusCode, request::Parts};
use hyper::body::Incoming;
use oauth::Refused;
use std::{pin::pin, sync::Arc};
use tracing::{Instrument, Span};

/// The public listener's handler.
#[derive(Debug)]
pub struct Public<S> {
    face: ArcSwap<Face<S>>,
    surroundings: Surroundings,
}

/// What a handler needs besides its configuration.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Makes request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Takes the time of requests.
    pub clock: Arc<dyn Clock>,
}

impl<S: Steps> Public<S> {
    /// Works with `face` until it is replaced.
    pub fn new(face: Face<S>, surroundings: Surroundings) -> Self {
        Self { face: ArcSwap::from_pointee(face), surroundings }
    }

    /// Works with `face` from now on; requests under way keep what they began with.
    pub fn replace(&self, face: Face<S>) {
        self.face.store(Arc::new(face));
    }

    async fn respond(
        &self,
        face: &Face<S>,
        request: Request<Incoming>,
        call: Call,
        seen: (&RequestId, &Sharing),
    ) -> Result<Answer, Problem> {
        let (id, sharing) = seen;
        let (head, body) = request.into_parts();
        if let Some(fault) = call.fault {
            return Err(Problem::new(Code::BadRequest, fault));
        }
        let Some(route) = face.routes.find(head.uri.path()) else {
            return Err(Problem::new(Code::NotFound, detail::NOT_FOUND));
        };
        if *sharing != Sharing::Off && origin::is_preflight(&head.method, &head.headers) {
            let mut answer = answer::empty(StatusCode::NO_CONTENT, head.headers);
            face.origins.answer_preflight(route.methods(), answer.headers_mut());
            return Ok(answer);
        }
        route.check(&head.method)?;
        match route {
            Route::Token => self.token(face, (head, body), call, id).await,
            Route::Exchange => Ok(self.exchange(face, (head, body), call, id).await),
            Route::ClientScript => Ok(face.script.answer(head.headers)),
            Route::Metadata => match &face.metadata {
                Some(document) => {
                    let document = document.clone();
                    Ok(answer::text(StatusCode::OK, answer::JSON, document, head.headers))
                }
                None => Err(Problem::new(Code::NotFound, detail::NO_PUBLIC_URL)),
            },
            Route::Page(at) => face
                .page(at, head.headers)
                .ok_or_else(|| Problem::new(Code::NotFound, detail::NOT_FOUND)),
        }
    }

    async fn token(
        &self,
        face: &Face<S>,
        request: (Parts, Incoming),
        call: Call,
        id: &RequestId,
    ) -> Result<Answer, Problem> {
        let book = self.open_book(face, &request.0, call);
        let mut trail = Trail::default();
        let answer = {
            let work = pin!(token::answer(face, request, call, id, &mut trail));
            caught(work, id).await.unwrap_or_else(Err)
        };
        self.close_book(book, &trail, id, answer.as_ref().err());
        answer
    }

    async fn exchange(
        &self,
        face: &Face<S>,
        request: (Parts, Incoming),
        call: Call,
        id: &RequestId,
    ) -> Answer {
        let book = self.open_book(face, &request.0, call);
        let mut trail = Trail::default();
        let answer = {
            let work = pin!(oauth::answer(face, request, call, id, &mut trail));
            caught(work, id).await.unwrap_or_else(|problem| Err(Refused::of(problem)))
        };
        self.close_book(book, &trail, id, answer.as_ref().err().map(|refused| &refused.problem));
        answer.unwrap_or_else(|refused| refused.answer())
    }

    fn open_book(&self, face: &Face<S>, head: &Parts, call: Call) -> Book {
        Book {
            began: self.surroundings.clock.uptime(),
            client: face.proxies.client(call.peer, &head.headers),
        }
    }

    fn close_book(&self, book: Book, trail: &Trail, id: &RequestId, refused: Option<&Problem>) {
        let (outcome, code) = trail.write(id, book.client, refused);
        let took = self.surroundings.clock.uptime().saturating_sub(book.began);
        self.surroundings.metrics.token_request(outcome, code, took);
    }
}

/// What is noted of a request before its head is taken apart.
#[derive(Clone, Copy, Debug)]
struct Book {
    began: std::time::Duration,
    client: Client,
}

impl<S: Steps> Handler for Public<S> {
    async fn handle(&self, request: Request<Incoming>, call: Call) -> Answer {
        // One snapshot for the whole request: no reload can mix two configurations in it.
        let face = self.face.load_full();
        let id = RequestId::of(request.headers(), &*self.surroundings.entropy);
        let sharing = face.origins.judge(request.headers());
        let span = if face.traces {
            let route = face.routes.find(request.uri().path()).map_or("none", Route::label);
            trace::span(request.method(), route, request.headers())
        } else {
            Span::none()
        };
        let answer = {
            let work = pin!(self.respond(&face, request, call, (&id, &sharing)));
            caught(work.instrument(span), &id).await.unwrap_or_else(Err)
        };
        let mut answer = answer.unwrap_or_else(|problem| problem.answer(&id, HeaderMap::new()));
        sharing.write(answer.headers_mut());
        id.mark(answer.headers_mut(), face.dev);
        answer
    }
}
