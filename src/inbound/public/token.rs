//! `/conversations/token`: a credential in, a Conversations token out (contract 3).
use super::{
    accept::{self, Form},
    audit::Trail,
    exchange::{Ask, Steps},
    face::Face,
};
use crate::{
    domain::time::Timestamp,
    flow::{issue::ChatToken, permit::Wish},
    inbound::{
        answer::{self, Answer},
        body, detail, form,
        problem::{Code, Problem},
        request::{Call, RequestId},
    },
};
use http::{HeaderMap, HeaderName, StatusCode, request::Parts};
use hyper::body::Incoming;
use std::borrow::Cow;

const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Answers the request; what is known of its sender goes into `trail`.
///
/// # Errors
/// What stopped it.
pub(super) async fn answer<S: Steps>(
    face: &Face<S>,
    (head, incoming): (Parts, Incoming),
    call: Call,
    id: &RequestId,
    trail: &mut Trail,
) -> Result<Answer, Problem> {
    // Whatever the body is, it must not be left for the next request to begin with.
    body::read(incoming, call.body).await?;
    // A page could otherwise make the user's browser show a token as a document (contract 3).
    if head.headers.get(FETCH_DEST).is_some_and(|dest| dest.as_bytes() == b"document") {
        return Err(Problem::new(Code::OriginRefused, detail::DOCUMENT));
    }
    let query = Query::read(head.uri.query().unwrap_or_default())?;
    let token = face.token_headers.find(&head.headers)?;
    let mut decision = face.steps.decide(Ask { token, declared: None, wish: query.wish() }).await;
    *trail = Trail::of(&mut decision);
    match decision.outcome {
        Ok(token) => write(&token, accept::preferred(&head.headers), head.headers),
        Err(refusal) => {
            let problem = refusal.problem();
            problem.log(id, Some(refusal.cause()));
            Err(problem)
        }
    }
}

/// The query's known parameters; others are not looked at.
#[derive(Debug, Default)]
struct Query<'a> {
    service: Option<Cow<'a, str>>,
    platform: Option<Cow<'a, str>>,
}

impl<'a> Query<'a> {
    fn read(text: &'a str) -> Result<Self, Problem> {
        let mut query = Self::default();
        for parameter in form::parameters(text.as_bytes()) {
            let (name, value) =
                parameter.map_err(|_| Problem::new(Code::BadRequest, detail::BAD_QUERY))?;
            let place = match &*name {
                "service" => &mut query.service,
                "platform" => &mut query.platform,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return Err(Problem::new(Code::BadRequest, detail::REPEATED_PARAMETER));
            }
        }
        Ok(query)
    }

    fn wish(&self) -> Wish<'_> {
        Wish { service: self.service.as_deref(), platform: self.platform.as_deref() }
    }
}

fn write(token: &ChatToken, form: Form, recycled: HeaderMap) -> Result<Answer, Problem> {
    let jwt = revealed(token)?;
    let (kind, body) = match form {
        Form::Json => (answer::JSON, json(token, jwt)),
        Form::Jwt => (answer::JWT, jwt.to_owned()),
        Form::Plain => (answer::PLAIN, jwt.to_owned()),
    };
    Ok(answer::text(StatusCode::OK, kind, body.into(), recycled))
}

/// The token as text.
///
/// # Errors
/// `internal_error`: it is not ASCII, which a JWT always is.
pub(super) fn revealed(token: &ChatToken) -> Result<&str, Problem> {
    let internal = || Problem::new(Code::InternalError, detail::INTERNAL);
    token.jwt.reveal_text().ok_or_else(internal)
}

/// Only an identity may hold what needs to be escaped, and only one that was imported does.
fn json(token: &ChatToken, jwt: &str) -> String {
    let identity = serde_json::Value::from(token.identity.as_str()).to_string();
    let seconds = |to: Timestamp| to.seconds_since(token.now).to_string();
    [
        r#"{"token":""#,
        jwt,
        r#"","identity":"#,
        &identity,
        r#","service_sid":""#,
        token.service_sid.as_str(),
        r#"","expires_in":"#,
        &seconds(token.expires),
        r#","expires_at":""#,
        &token.expires.rfc3339(),
        r#"","refresh_in":"#,
        &seconds(token.refresh),
        r#","refresh_at":""#,
        &token.refresh.rfc3339(),
        r#""}"#,
    ]
    .concat()
}
