//! Token exchange (RFC 8693) and its metadata (RFC 8414).
use crate::{
    rig::Reply,
    steps::{FAILURES, MINTED, Stage, stage},
};
use std::fmt::Write;
use usher::{domain::claims::TokenKind, inbound::public::PublicConfig};

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
const TYPE: &str = "subject_token_type=urn:ietf:params:oauth:token-type";

async fn post(stage: &Stage, kind: &str, form: &str) -> Reply {
    let length = form.len();
    stage
        .rig
        .ask(&format!(
            "POST /conversations/oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{form}"
        ))
        .await
}

async fn exchange(stage: &Stage, form: &str) -> Reply {
    post(stage, "application/x-www-form-urlencoded", form).await
}

#[tokio::test]
async fn a_good_token_is_exchanged() {
    let stage = stage(PublicConfig::default()).await;
    for (kind, declared) in [
        ("jwt", None),
        ("id_token", Some(TokenKind::IdToken)),
        ("access_token", Some(TokenKind::AccessToken)),
    ] {
        let form = format!(
            "{GRANT}&subject_token=good.token.here&{TYPE}:{kind}&audience=main&scope=&client_id=x\
             &requested_token_type=urn:ietf:params:oauth:token-type:jwt"
        );
        let reply = post(&stage, "Application/X-WWW-Form-Urlencoded; charset=utf-8", &form).await;
        assert_eq!(
            reply.body,
            format!(
                "{{\"access_token\":\"{MINTED}\",\
                 \"issued_token_type\":\"urn:ietf:params:oauth:token-type:jwt\",\
                 \"token_type\":\"N_A\",\"expires_in\":900}}"
            )
        );
        assert_eq!(reply.status, 200);
        assert_eq!(
            (reply.header("cache-control"), reply.header("pragma")),
            ("no-store", "no-cache")
        );
        let asked = stage.asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked, ("good.token.here".into(), declared, Some("main".into()), None));
    }
}

#[tokio::test]
async fn a_form_that_is_not_an_exchange_is_refused_in_oauths_words() {
    let stage = stage(PublicConfig::default()).await;
    let good = format!("{GRANT}&subject_token=good.token.here&{TYPE}:jwt");
    for (form, error) in [
        (String::new(), "invalid_request"),
        (good.replace(GRANT, "grant_type=client_credentials"), "unsupported_grant_type"),
        (good.replace(GRANT, "grant_type="), "invalid_request"),
        (good.replace("subject_token=good.token.here", "subject_token="), "invalid_request"),
        (good.replace(":jwt", ":saml2"), "invalid_request"),
        (good.replace(&format!("&{TYPE}:jwt"), ""), "invalid_request"),
        (format!("{good}&subject_token=good.token.here"), "invalid_request"),
        (format!("{good}&x=1&%78=2"), "invalid_request"),
        (format!("{good}&actor_token=a"), "invalid_request"),
        (format!("{good}&resource=https://a.example"), "invalid_target"),
        (format!("{good}&scope=openid"), "invalid_scope"),
        (
            format!("{good}&requested_token_type=urn:ietf:params:oauth:token-type:saml2"),
            "invalid_request",
        ),
        (format!("{good}&audience=%ff"), "invalid_request"),
        (
            format!("{good}{}", (0..40).fold(String::new(), |all, n| format!("{all}&p{n}=1"))),
            "invalid_request",
        ),
    ] {
        let reply = exchange(&stage, &form).await;
        assert_eq!((reply.status, &reply.json()["error"]), (400, &error.into()), "{form}");
        let description = reply.json()["error_description"].as_str().unwrap().to_owned();
        assert!(description.starts_with("bad_request: "), "{description}");
    }
    for kind in ["application/json", "text/plain", "multipart/form-data", ""] {
        let reply = post(&stage, kind, &good).await;
        assert_eq!((reply.status, &reply.json()["error"]), (400, &"invalid_request".into()));
    }
    assert!(stage.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_in_oauths_words_and_a_wrong_method_as_a_problem() {
    let stage = stage(PublicConfig::default()).await;
    let head = "/conversations/oauth2/token HTTP/1.1\r\nHost: a\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let large = format!("POST {head}Content-Length: 1000000000\r\n\r\n");
    let large = stage.rig.ask(&large).await;
    assert_eq!((large.status, large.header("content-type")), (413, "application/json"));
    assert_eq!(large.json()["error"], "invalid_request");
    assert!(large.json()["error_description"].as_str().unwrap().starts_with("body_too_large: "));
    let got = stage.rig.ask(&format!("GET {head}\r\n")).await;
    assert_eq!(got.problem(), (405, "method_not_allowed".into()));
}

#[tokio::test]
async fn every_refusal_of_the_flow_has_the_contracts_oauth_error() {
    let stage = stage(PublicConfig::default()).await;
    let mut told = String::new();
    for failure in FAILURES {
        let reply = exchange(&stage, &format!("{GRANT}&subject_token={failure}&{TYPE}:jwt")).await;
        let body = reply.json();
        writeln!(
            told,
            "{failure}: {} {} {}",
            reply.status, body["error"], body["error_description"]
        )
        .unwrap();
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.status == 503, !reply.header("retry-after").is_empty());
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn the_metadata_are_where_rfc_8414_looks_for_them() {
    let stage = stage(PublicConfig {
        url: Some("https://chat.example.com".into()),
        ..PublicConfig::default()
    })
    .await;
    for path in [
        "/.well-known/oauth-authorization-server/conversations",
        "/.well-known/oauth-authorization-server",
    ] {
        let reply =
            stage.rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        assert_eq!(
            reply.json(),
            serde_json::json!({
                "issuer": "https://chat.example.com/conversations",
                "token_endpoint": "https://chat.example.com/conversations/oauth2/token",
                "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
                "token_endpoint_auth_methods_supported": ["none"],
                "response_types_supported": [],
            })
        );
    }
}
