//! The admin listener: the registry for operators (contract 2, "Admin"; contract 4, "Admin API").
//!
//! Nobody comes here by a name that was rebound, from a page, or through a proxy ([`LocalRules`]), and nobody reads or
//! changes anything without a token: every container of a pod shares its loopback.
mod audit;
mod change;
mod imports;
mod orders;
mod read;
mod route;
mod shown;
mod tokens;
mod transfer;

use super::{
    answer::Answer,
    body::{self, Inflow},
    caught::{caught, finished},
    desk::Desk,
    detail,
    local::LocalRules,
    problem::{Code, Problem},
    proxies::TrustedProxies,
    request::{Call, RequestId},
    server::Handler,
    trace,
};
use crate::{flow::registry::Registrar, ports::entropy::Entropy};
use arc_swap::ArcSwap;
use audit::Trail;
use change::Wanted;
use http::{Request, request::Parts};
use hyper::body::Incoming;
use imports::Imports;
use route::Route;
pub use shown::Shown;
use std::{pin::pin, sync::Arc};
use tokens::AdminTokens;
pub use tokens::{AdminToken, Role};
use tracing::{Instrument, Span};
pub use transfer::{Complained, Told};

/// The room's settings.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `admin.tokens`, or the one that usher keeps itself; without any, every `/api/*` is 401.
    pub tokens: Vec<AdminToken>,
    /// Who may come.
    pub rules: LocalRules,
    /// Marks every answer with `Usher-Mode: dev`.
    pub dev: bool,
    /// Makes a span of every request.
    pub traces: bool,
}

/// The admin listener's handler.
#[derive(Debug)]
pub struct Admin {
    face: ArcSwap<Face>,
    imports: Imports,
    entropy: Arc<dyn Entropy>,
}

/// One configuration, and the registry as it has it.
#[derive(Debug)]
struct Face {
    tokens: AdminTokens,
    rules: LocalRules,
    dev: bool,
    traces: bool,
    registrar: Registrar,
}

impl Face {
    fn new(config: AdminConfig, registrar: Registrar) -> Self {
        let AdminConfig { tokens, rules, dev, traces } = config;
        Self { tokens: AdminTokens::new(tokens), rules, dev, traces, registrar }
    }
}

impl Admin {
    /// Works with `config` on `registrar` until they are replaced.
    pub fn new(config: AdminConfig, registrar: Registrar, entropy: Arc<dyn Entropy>) -> Self {
        let face = ArcSwap::from_pointee(Face::new(config, registrar));
        Self { face, imports: Imports::default(), entropy }
    }

    /// Works with `config` on `registrar` from now on; requests under way keep what they began with.
    pub fn replace(&self, config: AdminConfig, registrar: Registrar) {
        self.face.store(Arc::new(Face::new(config, registrar)));
    }

    async fn answer<B: Inflow>(&self, request: Request<B>, call: Call) -> Answer {
        let face = self.face.load_full();
        let id = RequestId::of(request.headers(), &*self.entropy);
        let span = if face.traces {
            let route = Route::find(request.uri().path()).map_or("none", Route::label);
            trace::span(request.method(), route, request.headers())
        } else {
            Span::none()
        };
        let work = pin!(self.respond(&face, request, call, &id));
        finished(work.instrument(span), id.clone(), face.dev).await
    }

    async fn respond<B: Inflow>(
        &self,
        face: &Face,
        request: Request<B>,
        call: Call,
        id: &RequestId,
    ) -> Result<Answer, Problem> {
        let (head, body) = request.into_parts();
        let path = head.uri.clone();
        let route = Route::find(path.path());
        let client = TrustedProxies::default().client(call.peer, &head.headers);
        let is_change = head.method == http::Method::POST;
        let mut trail = Trail::default();
        let outcome = {
            let work = pin!(self.work(face, (route, head, body), (call, id), &mut trail));
            caught(work, id).await.unwrap_or_else(Err)
        };
        if let Some(route) = route.filter(|route| is_change && route.changes()) {
            trail.write(route.label(), id, client, outcome.as_ref().err());
        }
        outcome
    }

    async fn work<B: Inflow>(
        &self,
        face: &Face,
        (route, head, body): (Option<Route<'_>>, Parts, B),
        (call, id): (Call, &RequestId),
        trail: &mut Trail,
    ) -> Result<Answer, Problem> {
        let route = admitted(face, route, &head, call, trail)?;
        let desk = Desk { registrar: &face.registrar, id };
        let query = head.uri.query().unwrap_or_default();
        if let Some(wanted) = Wanted::of(route)? {
            return change::make(&desk, wanted, (head.headers, body), call.body, trail).await;
        }
        match route {
            Route::Import => {
                let who = trail.who.clone().unwrap_or_default();
                self.imports.take(&desk, query, body, who).await
            }
            Route::Identities => {
                body::read(body, call.body).await?;
                read::list(&desk, query, head.headers).await
            }
            Route::Identity(identity) => {
                body::read(body, call.body).await?;
                read::show(&desk, identity, query, head.headers).await
            }
            Route::Export => {
                body::read(body, call.body).await?;
                transfer::export(&desk, query, head.headers).await
            }
            // `Wanted` has them.
            Route::Link(_) | Route::Retire(_) | Route::Erase(_) | Route::Unlink => {
                Err(Problem::new(Code::InternalError, detail::INTERNAL))
            }
        }
    }
}

/// The route, if whoever asks may have it.
fn admitted<'r>(
    face: &Face,
    route: Option<Route<'r>>,
    head: &Parts,
    call: Call,
    trail: &mut Trail,
) -> Result<Route<'r>, Problem> {
    face.rules.admit(head)?;
    if let Some(fault) = call.fault {
        return Err(Problem::new(Code::BadRequest, fault));
    }
    let nothing = || Problem::new(Code::NotFound, detail::NOT_FOUND);
    if !route::is_api(head.uri.path()) {
        return Err(nothing());
    }
    let token = face.tokens.recognise(&head.headers)?;
    trail.who = Some(format!("api:{}", token.name).into());
    let route = route.ok_or_else(nothing)?;
    route.check(&head.method)?;
    match token.role {
        Role::Reader if route.changes() => {
            Err(Problem::new(Code::OperationNotAllowed, detail::READER))
        }
        Role::Reader | Role::Operator => Ok(route),
    }
}

impl Handler for Admin {
    async fn handle(&self, request: Request<Incoming>, call: Call) -> Answer {
        self.answer(request, call).await
    }
}
