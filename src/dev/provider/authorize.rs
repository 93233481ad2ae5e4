//! The authorization endpoint (OpenID Connect Core 1.0 section 3.1.2): asks who you would like to be.
use super::{
    CLIENT_ID, Provider,
    codes::Grant,
    reply::{Answer, Fields, text},
    users::User,
};
use crate::dev::page::PICKER;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION},
};
use std::fmt::Write as _;
use url::{Host, Url};

/// The parameters that go through the picker unchanged.
const CARRIED: [&str; 8] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];

/// Where the picker's form takes its hidden fields.
const PLACE: &str = "<!-- fields -->";

/// The page's own sheet; no script. The form's answer redirects to the application, which browsers count as a
/// target of the form.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; \
    frame-ancestors 'none'; form-action 'self' http://127.0.0.1:* http://localhost:*";

/// Shows the picker.
pub(super) fn ask(fields: &Fields) -> Answer {
    let redirect = match redirect(fields) {
        Ok(redirect) => redirect,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    if let Err(error) = wanted(fields) {
        return back(redirect, fields, &[("error", error)]);
    }
    let mut hidden = String::new();
    for name in CARRIED {
        if let Some(value) = fields.get(name) {
            let value = escaped(value);
            // Writing to a `String` does not fail.
            let _ = write!(hidden, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
        }
    }
    let mut page = text(StatusCode::OK, PICKER.replace(PLACE, &hidden));
    let headers = page.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    page
}

/// Gives a code to whoever was picked.
pub(super) fn decide(provider: &Provider, fields: &Fields) -> Answer {
    let redirect = match redirect(fields) {
        Ok(redirect) => redirect,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    if let Err(error) = wanted(fields) {
        return back(redirect, fields, &[("error", error)]);
    }
    let Some(user) = fields.get("user").and_then(|sub| User::of(sub)) else {
        return back(redirect, fields, &[("error", "access_denied")]);
    };
    let code = provider.random();
    let grant = Grant {
        sub: user.sub,
        redirect_uri: fields.get("redirect_uri").cloned().unwrap_or_default(),
        code_challenge: fields.get("code_challenge").cloned().unwrap_or_default(),
        nonce: fields.get("nonce").cloned(),
        given: provider.clock.now(),
    };
    if provider.codes.give(code.clone(), grant) {
        // RFC 9207: the client can tell which provider answered.
        back(redirect, fields, &[("code", &code), ("iss", provider.issuer())])
    } else {
        back(redirect, fields, &[("error", "temporarily_unavailable")])
    }
}

/// The client and its address must be right before anything is sent to that address (RFC 6749 section 4.1.2.1).
fn redirect(fields: &Fields) -> Result<Url, &'static str> {
    if fields.get("client_id").is_none_or(|id| id != CLIENT_ID) {
        return Err("client_id must be usher-demo");
    }
    // RFC 8252 section 7.3: any port of a loopback address.
    fields
        .get("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| uri.scheme() == "http" && uri.fragment().is_none() && is_loopback(uri))
        .ok_or("redirect_uri must be a loopback http address without a fragment")
}

fn is_loopback(uri: &Url) -> bool {
    match uri.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// What the client asks for must be what this provider does; PKCE included.
fn wanted(fields: &Fields) -> Result<(), &'static str> {
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|given| given == value);
    if !is("response_type", "code") {
        return Err("unsupported_response_type");
    }
    if !fields.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
        return Err("invalid_scope");
    }
    // OpenID Connect Core 1.0 section 3.1.2.6: nobody is signed in here without being asked.
    if fields.get("prompt").is_some_and(|prompt| prompt.split(' ').any(|one| one == "none")) {
        return Err("login_required");
    }
    // RFC 7636 section 4.2: the challenge is 43 characters of base64url for S256.
    let challenge = fields.get("code_challenge").map_or(0, String::len);
    if !is("code_challenge_method", "S256") || challenge != 43 {
        return Err("invalid_request");
    }
    Ok(())
}

fn back(mut redirect: Url, fields: &Fields, answer: &[(&str, &str)]) -> Answer {
    redirect.query_pairs_mut().extend_pairs(answer);
    if let Some(state) = fields.get("state") {
        redirect.query_pairs_mut().append_pair("state", state);
    }
    let mut sent = text(StatusCode::SEE_OTHER, "");
    if let Ok(location) = HeaderValue::from_str(redirect.as_str()) {
        sent.headers_mut().insert(LOCATION, location);
    }
    sent
}

fn escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(change: (&str, &str)) -> Fields {
        let mut fields: Fields = [
            ("client_id", CLIENT_ID),
            ("redirect_uri", "http://127.0.0.1:1234/?x=1"),
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("state", "s&\"<t>"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        fields.insert(change.0.to_owned(), change.1.to_owned());
        fields
    }

    #[test]
    fn nothing_is_sent_to_an_address_that_is_not_loopback() {
        for uri in [
            "https://evil.example/",
            "http://evil.example/",
            "javascript:1",
            "http://localhost.evil/",
        ] {
            let answer = ask(&fields(("redirect_uri", uri)));
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{uri}");
            assert!(answer.headers().get(LOCATION).is_none());
        }
    }

    #[test]
    fn a_request_without_pkce_goes_back_as_an_error() {
        let answer = ask(&fields(("code_challenge_method", "plain")));
        let location = answer.headers()[LOCATION].to_str().unwrap();
        assert!(location.starts_with("http://127.0.0.1:1234/?x=1&error=invalid_request&state="));
    }

    #[test]
    fn a_request_that_wants_no_picker_goes_back_as_an_error() {
        let answer = ask(&fields(("prompt", "none")));
        let location = answer.headers()[LOCATION].to_str().unwrap();
        assert!(location.starts_with("http://127.0.0.1:1234/?x=1&error=login_required&state="));
    }

    #[tokio::test]
    async fn what_the_client_sent_cannot_leave_its_attribute() {
        use http_body_util::BodyExt as _;
        let page = ask(&fields(("nonce", "n"))).into_body().collect().await.unwrap().to_bytes();
        let page = std::str::from_utf8(&page).unwrap();
        assert!(page.contains("name=\"state\" value=\"s&amp;&quot;&lt;t&gt;\""), "{page}");
        assert!(!page.contains(PLACE));
    }
}
