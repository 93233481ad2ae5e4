//! `/conversations/oauth2/token`: token exchange as RFC 8693 has it.
use super::{
    audit::Trail,
    exchange::{Ask, Steps},
    face::Face,
    token,
};
use crate::{
    domain::claims::TokenKind,
    flow::{issue::ChatToken, permit::Wish},
    inbound::{
        answer::{self, Answer},
        body, form,
        problem::{Code, Problem},
        request::{Call, RequestId},
    },
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, PRAGMA},
    request::Parts,
};
use hyper::body::Incoming;
use std::borrow::Cow;

/// RFC 8693 section 2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How many parameters a form may have: they are compared with each other.
const MOST_PARAMETERS: usize = 32;

/// A refusal in OAuth's words (RFC 6749 section 5.2), with usher's own behind it.
#[derive(Debug)]
pub(super) struct Refused {
    error: &'static str,
    pub(super) problem: Problem,
}

impl Refused {
    fn because(error: &'static str, detail: &'static str) -> Self {
        Self { error, problem: Problem::new(Code::BadRequest, detail) }
    }

    /// RFC 8693 section 2.2.2: whatever is wrong with the subject token is the request's fault.
    pub(super) fn of(problem: Problem) -> Self {
        let status = problem.code().status();
        let later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        Self { error: if later { "temporarily_unavailable" } else { "invalid_request" }, problem }
    }

    /// Writes the answer. No `WWW-Authenticate`: the token did not come as this request's own credential.
    pub(super) fn answer(&self) -> Answer {
        let code = self.problem.code();
        let status = match code.status() {
            kept if kept.is_server_error() => kept,
            kept @ (StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE) => kept,
            _ => StatusCode::BAD_REQUEST,
        };
        // An operator's message may hold what JSON escapes, and what RFC 6749 does not allow.
        let description: String = format!("{}: {}", code.as_str(), self.problem.detail())
            .chars()
            .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '?' })
            .collect();
        let body = format!(r#"{{"error":"{}","error_description":"{description}"}}"#, self.error);
        let mut answer = answer::text(status, answer::JSON, body.into(), HeaderMap::new());
        self.problem.decorate(answer.headers_mut());
        answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
        answer
    }
}

/// Answers the request; what is known of its subject goes into `trail`.
///
/// # Errors
/// What stopped it.
pub(super) async fn answer<S: Steps>(
    face: &Face<S>,
    (head, incoming): (Parts, Incoming),
    call: Call,
    id: &RequestId,
    trail: &mut Trail,
) -> Result<Answer, Refused> {
    let text = body::read(incoming, call.body).await.map_err(Refused::of)?;
    if !is_form(&head.headers) {
        let problem = Problem::new(Code::UnsupportedMediaType, FORM_WANTED);
        return Err(Refused { error: "invalid_request", problem });
    }
    let form = Form::read(&text)?;
    let (subject_token, declared) = form.check()?;
    let wish = Wish { service: form.audience.as_deref(), platform: None };
    let mut decision = face.steps.decide(Ask { token: subject_token, declared, wish }).await;
    *trail = Trail::of(&mut decision);
    match decision.outcome {
        Ok(token) => write(&token, head.headers).map_err(Refused::of),
        Err(refusal) => {
            let mut refused = Refused::of(refusal.problem());
            refused.problem.log(id, Some(refusal.cause()));
            if refusal.is_about_target() {
                refused.error = "invalid_target";
            }
            Err(refused)
        }
    }
}

const FORM_WANTED: &str = "send application/x-www-form-urlencoded";

fn is_form(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else { return false };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The parameters that mean something here. One without a value counts as left out (RFC 6749 section 3.2).
#[derive(Debug, Default)]
struct Form<'a> {
    grant_type: Option<Cow<'a, str>>,
    subject_token: Option<Cow<'a, str>>,
    subject_token_type: Option<Cow<'a, str>>,
    requested_token_type: Option<Cow<'a, str>>,
    audience: Option<Cow<'a, str>>,
    resource: Option<Cow<'a, str>>,
    scope: Option<Cow<'a, str>>,
    actor: bool,
}

impl<'a> Form<'a> {
    fn read(text: &'a [u8]) -> Result<Self, Refused> {
        let invalid = |detail| Refused::because("invalid_request", detail);
        let mut form = Self::default();
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for parameter in form::parameters(text) {
            let (name, value) =
                parameter.map_err(|_| invalid("percent-encode the form as UTF-8"))?;
            if seen.contains(&name) {
                return Err(invalid("send each parameter at most once"));
            }
            if seen.len() == MOST_PARAMETERS {
                return Err(invalid("send fewer parameters"));
            }
            let place = match &*name {
                "grant_type" => Some(&mut form.grant_type),
                "subject_token" => Some(&mut form.subject_token),
                "subject_token_type" => Some(&mut form.subject_token_type),
                "requested_token_type" => Some(&mut form.requested_token_type),
                "audience" => Some(&mut form.audience),
                "resource" => Some(&mut form.resource),
                "scope" => Some(&mut form.scope),
                "actor_token" | "actor_token_type" => {
                    // RFC 6749 section 3.2: without a value it counts as left out.
                    form.actor |= !value.is_empty();
                    None
                }
                _ => None,
            };
            if let Some(place) = place.filter(|_| !value.is_empty()) {
                *place = Some(value);
            }
            seen.push(name);
        }
        Ok(form)
    }

    /// The subject token and the kind it is said to be.
    fn check(&self) -> Result<(&str, Option<TokenKind>), Refused> {
        let invalid = |detail| Err(Refused::because("invalid_request", detail));
        match self.grant_type.as_deref() {
            Some(GRANT_TYPE) => {}
            Some(_) => {
                return Err(Refused::because("unsupported_grant_type", GRANT_WANTED));
            }
            None => return invalid(GRANT_WANTED),
        }
        if self.actor {
            return invalid("actor_token: delegation is not supported");
        }
        if !matches!(self.requested_token_type.as_deref(), None | Some(JWT)) {
            return invalid(
                "requested_token_type is urn:ietf:params:oauth:token-type:jwt, or absent",
            );
        }
        if self.resource.is_some() {
            return Err(Refused::because(
                "invalid_target",
                "name a service as audience, not a resource",
            ));
        }
        if self.scope.is_some() {
            return Err(Refused::because(
                "invalid_scope",
                "there are no scopes here: grants decide",
            ));
        }
        let declared = match self.subject_token_type.as_deref() {
            Some(JWT) => None,
            Some(ID_TOKEN) => Some(TokenKind::IdToken),
            Some(ACCESS_TOKEN) => Some(TokenKind::AccessToken),
            Some(_) | None => {
                return invalid(
                    "subject_token_type is urn:ietf:params:oauth:token-type: and jwt, id_token or access_token",
                );
            }
        };
        match self.subject_token.as_deref() {
            Some(token) => Ok((token, declared)),
            None => invalid("send the token as subject_token"),
        }
    }
}

const GRANT_WANTED: &str = "grant_type is urn:ietf:params:oauth:grant-type:token-exchange";

fn write(issued: &ChatToken, recycled: HeaderMap) -> Result<Answer, Problem> {
    let jwt = token::revealed(issued)?;
    let expires_in = issued.expires.seconds_since(issued.now);
    let body = format!(
        r#"{{"access_token":"{jwt}","issued_token_type":"{JWT}","token_type":"N_A","expires_in":{expires_in}}}"#
    );
    let mut answer = answer::text(StatusCode::OK, answer::JSON, body.into(), recycled);
    answer.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    Ok(answer)
}
