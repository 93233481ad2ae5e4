//! The token endpoint (OpenID Connect Core 1.0 section 3.1.3).
use super::{
    CLIENT_ID, Provider,
    reply::{Answer, Fields, json_answer, oauth_error, text},
    users::User,
};
use http::StatusCode;
use serde_json::json;

/// Turns a code into tokens; or a user's mere name, which no real provider does.
pub(super) fn redeem(provider: &Provider, fields: &Fields) -> Answer {
    let of = |name: &str| fields.get(name).map(String::as_str);
    if of("client_id") != Some(CLIENT_ID) {
        return oauth_error("invalid_client");
    }
    let (user, nonce) = match of("grant_type") {
        Some("authorization_code") => {
            let (Some(code), Some(uri), Some(verifier)) =
                (of("code"), of("redirect_uri"), of("code_verifier"))
            else {
                return oauth_error("invalid_request");
            };
            match provider.codes.redeem(code, uri, verifier, provider.clock.now()) {
                Some(grant) => (User::of(grant.sub), grant.nonce),
                None => return oauth_error("invalid_grant"),
            }
        }
        Some("password") => (of("username").and_then(User::of), None),
        Some(_) => return oauth_error("unsupported_grant_type"),
        None => return oauth_error("invalid_request"),
    };
    let Some(user) = user else { return oauth_error("invalid_grant") };
    match provider.mint(user, nonce.as_deref()) {
        Ok(minting) => json_answer(&json!({
            "access_token": minting.access_token, "id_token": minting.id_token,
            "token_type": "Bearer", "expires_in": minting.expires_in, "scope": "openid profile",
        })),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "Token was not signed");
            text(StatusCode::INTERNAL_SERVER_ERROR, "no token")
        }
    }
}
