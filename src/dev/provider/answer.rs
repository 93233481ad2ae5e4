//! The provider's routes.
use super::{
    Provider, authorize, redeem,
    reply::{Answer, Fields, json_answer, oauth_error, text},
};
use crate::dev::page::{SHEET, SHEET_PATH};
use http::{HeaderValue, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// How many bytes a form may have.
const FORM: usize = 16 * 1024;
/// How long a form may take.
const FORM_DEADLINE: Duration = Duration::from_secs(5);

impl Provider {
    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path().to_owned();
        if path == "/jwks" {
            // Counted whatever comes of it: a storm is a storm on a broken provider too.
            self.jwks_requests.fetch_add(1, Ordering::Relaxed);
        }
        let delay = Duration::from_millis(self.delay_millis.load(Ordering::Relaxed));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.broken.load(Ordering::Relaxed) {
            return text(StatusCode::INTERNAL_SERVER_ERROR, "broken");
        }
        match (request.method(), path.as_str()) {
            (&Method::GET, "/.well-known/openid-configuration") => json_answer(&self.discovery()),
            (&Method::GET, "/jwks") => json_answer(&self.jwks()),
            (&Method::GET, SHEET_PATH) => sheet(),
            (&Method::GET, "/authorize") => match fields(request.uri().query().unwrap_or_default())
            {
                Some(fields) => authorize::ask(&fields),
                None => text(StatusCode::BAD_REQUEST, "a parameter is repeated"),
            },
            (&Method::POST, "/authorize") => match form(request).await {
                Some(fields) => authorize::decide(&self, &fields),
                None => text(StatusCode::BAD_REQUEST, "the form cannot be read"),
            },
            (&Method::POST, "/token") => match form(request).await {
                Some(fields) => redeem::redeem(&self, &fields),
                None => oauth_error("invalid_request"),
            },
            _ => text(StatusCode::NOT_FOUND, "not found"),
        }
    }

    fn jwks(&self) -> Value {
        if let Some(instead) = self.published.load().as_ref() {
            return Value::clone(instead);
        }
        let signers = self.signers.load();
        json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()})
    }

    fn discovery(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer());
        json!({
            "issuer": self.issuer(),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "password"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
            "token_endpoint_auth_methods_supported": ["none"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "profile"],
            "claims_supported": ["sub", "name", "groups", "auth_time"],
            "authorization_response_iss_parameter_supported": true,
        })
    }
}

fn sheet() -> Answer {
    let mut answer = text(StatusCode::OK, SHEET);
    let kind = HeaderValue::from_static("text/css; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

async fn form(request: Request<Incoming>) -> Option<Fields> {
    let kind = request.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let body = Limited::new(request.into_body(), FORM).collect();
    let bytes = timeout(FORM_DEADLINE, body).await.ok()?.ok()?.to_bytes();
    fields(std::str::from_utf8(&bytes).ok()?)
}

fn fields(encoded: &str) -> Option<Fields> {
    let mut fields = Fields::new();
    for (name, value) in url::form_urlencoded::parse(encoded.as_bytes()) {
        if fields.insert(name.into_owned(), value.into_owned()).is_some() {
            return None;
        }
    }
    Some(fields)
}
