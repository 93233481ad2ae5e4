//! The public surface (contract 3).
use crate::{
    rig::Client,
    steps::{FAILURES, MINTED, Scripted, stage, with_token},
};
use std::fmt::Write;
use usher::inbound::{
    origin::AllowedOrigin,
    proxies::{Proxy, TrustedProxies},
    public::{Face, Page, PublicConfig},
};

const GOOD: &str = "Authorization: Bearer good.token.here\r\n";

fn request(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

#[tokio::test]
async fn the_answer_is_byte_for_byte_the_contracts() {
    let stage = stage(PublicConfig::default()).await;
    for line in ["GET /conversations/token", "POST /conversations/token"] {
        let reply = stage.rig.ask(&request(line, GOOD)).await;
        assert_eq!(
            reply.body,
            format!(
                "{{\"token\":\"{MINTED}\",\"identity\":\"u-alice\",\
                 \"service_sid\":\"IS0123456789abcdef0123456789abcdef\",\
                 \"expires_in\":900,\"expires_at\":\"2026-11-23T10:15:00Z\",\
                 \"refresh_in\":690,\"refresh_at\":\"2026-11-23T10:11:30Z\"}}"
            )
        );
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-request-id").len(), 24);
        assert_eq!(reply.header("usher-mode"), "");
        assert_eq!(reply.header("authorization"), "", "the request's headers come back");
    }
}

#[tokio::test]
async fn the_bare_token_comes_to_those_who_ask_for_it_and_head_gets_no_body() {
    let stage = stage(PublicConfig::default()).await;
    for (accept, kind) in
        [("application/jwt", "application/jwt"), ("text/plain", "text/plain; charset=utf-8")]
    {
        let headers = format!("{GOOD}Accept: {accept}\r\n");
        let reply = stage.rig.ask(&request("GET /conversations/token", &headers)).await;
        assert_eq!((&*reply.body, reply.header("content-type")), (MINTED, kind));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    let mut client = stage.rig.client().await;
    client.send(request("HEAD /conversations/token", GOOD)).await;
    assert_eq!(client.head().await.status, 200);
    client.send(request("GET /conversations/nothing", "")).await;
    assert_eq!(client.reply().await.status, 404, "the body of HEAD was sent");
}

#[tokio::test]
async fn every_refusal_of_the_flow_says_what_to_do() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    let mut told = String::new();
    for failure in FAILURES {
        client.send(with_token(failure)).await;
        let reply = client.reply().await;
        assert_eq!(reply.header("content-type"), "application/problem+json");
        assert_eq!(reply.header("cache-control"), "no-store");
        let body = reply.json();
        assert_eq!(body["request_id"], reply.header("x-request-id"));
        assert_eq!(body["type"], format!("urn:usher:problem:{}", body["code"].as_str().unwrap()));
        assert_eq!(body["status"], reply.status);
        let challenge = match reply.header("www-authenticate") {
            "" => "no challenge".to_owned(),
            given => given.to_owned(),
        };
        assert_eq!(reply.status == 401, challenge.starts_with("Bearer error=\"invalid_token\""));
        writeln!(
            told,
            "{failure}: {} {} {}\n  {}\n  {}\n  {}",
            reply.status, body["code"], body["action"], body["title"], body["detail"], challenge
        )
        .unwrap();
        if reply.status == 503 {
            writeln!(told, "  retry after {}", reply.header("retry-after")).unwrap();
        }
    }
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn a_credential_comes_in_one_header_and_never_in_the_query() {
    let stage = stage(PublicConfig::default()).await;
    for (line, headers, expected) in [
        ("GET /conversations/token", "", (401, "missing_token")),
        ("GET /conversations/token?access_token=good.token.here", "", (401, "missing_token")),
        ("GET /conversations/token?token=good.token.here", "", (401, "missing_token")),
        (
            "GET /conversations/token",
            "Cookie: access_token=good.token.here\r\n",
            (401, "missing_token"),
        ),
        (
            "GET /conversations/token",
            "X-Forwarded-Access-Token: good.token.here\r\n",
            (401, "missing_token"),
        ),
        ("GET /conversations/token", &format!("{GOOD}{GOOD}"), (400, "bad_request")),
        (
            "GET /conversations/token",
            &format!("{GOOD}{}", GOOD.to_lowercase()),
            (400, "bad_request"),
        ),
        ("GET /conversations/token", "Authorization: Bearer a, Bearer b\r\n", (400, "bad_request")),
        ("GET /conversations/token?service=a&service=a", GOOD, (400, "bad_request")),
        ("GET /conversations/token?platform=a&%70latform=b", GOOD, (400, "bad_request")),
        ("GET /conversations/token?service=%ff", GOOD, (400, "bad_request")),
    ] {
        let reply = stage.rig.ask(&request(line, headers)).await;
        assert_eq!(reply.problem(), (expected.0, expected.1.into()), "{line} {headers}");
    }
    let missing = stage.rig.ask(&request("GET /conversations/token", "")).await;
    assert_eq!(missing.header("www-authenticate"), "Bearer");
    assert!(stage.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn p18_what_is_asked_for_reaches_the_grants_as_it_was_written() {
    let stage = stage(PublicConfig::default()).await;
    for (query, service, platform) in [
        ("", None, None),
        ("?service=main&platform=ios", Some("main"), Some("ios")),
        ("?x=1&service=a%26b+c&x=2", Some("a&b c"), None),
        // An empty name is a name, and no service has it.
        ("?service=", Some(""), None),
    ] {
        stage.rig.ask(&request(&format!("GET /conversations/token{query}"), GOOD)).await;
        let asked = stage.asked.lock().unwrap().pop().unwrap();
        let expected = (
            "good.token.here".into(),
            None,
            service.map(str::to_owned),
            platform.map(str::to_owned),
        );
        assert_eq!(asked, expected, "{query}");
    }
}

#[tokio::test]
async fn a_body_is_read_before_the_token_is_written() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    for method in ["POST", "GET"] {
        let line = format!("{method} /conversations/token");
        client.send(request(&line, &format!("{GOOD}Content-Length: 8\r\n"))).await;
        client.send("half").await;
        assert!(stage.asked.lock().unwrap().is_empty(), "{method} did not wait for its body");
        client.send("half").await;
        assert_eq!(client.reply().await.status, 200);
        stage.asked.lock().unwrap().clear();
    }
    let large = format!("{GOOD}Content-Length: 65537\r\n");
    let reply = stage.rig.ask(&request("POST /conversations/token", &large)).await;
    assert_eq!(reply.problem(), (413, "body_too_large".into()));
    assert!(stage.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn p14_unknown_paths_and_methods_are_refused() {
    let stage = stage(PublicConfig::default()).await;
    for line in [
        "GET /",
        "GET /conversations/token/",
        "GET //conversations/token",
        "GET /conversations/%74oken",
        "GET /conversations/./token",
        "GET /conversations/token;x",
        "GET /conversations/auth",
        "GET /conversations/login",
        "POST /conversations/guest",
        "GET /.well-known/oauth-authorization-server",
        "GET http://other.example/",
        "OPTIONS *",
        "CONNECT other.example:443",
    ] {
        let reply = stage.rig.ask(&request(line, GOOD)).await;
        assert_eq!(reply.problem(), (404, "not_found".into()), "{line}");
    }
    for (line, allow) in [
        ("DELETE /conversations/token", "GET, HEAD, POST"),
        ("OPTIONS /conversations/token", "GET, HEAD, POST"),
        ("GET /conversations/oauth2/token", "POST"),
        ("POST /conversations/client.js", "GET, HEAD"),
    ] {
        let reply = stage.rig.ask(&request(line, GOOD)).await;
        assert_eq!(reply.problem(), (405, "method_not_allowed".into()), "{line}");
        assert_eq!(reply.header("allow"), allow);
    }
    let absolute = stage.rig.ask(&request("GET http://x.example/conversations/token", GOOD)).await;
    assert_eq!(absolute.status, 200);
}

#[tokio::test]
async fn a_token_is_not_shown_as_a_document() {
    let stage = stage(PublicConfig::default()).await;
    for line in ["GET /conversations/token", "POST /conversations/token"] {
        let headers = format!("{GOOD}Sec-Fetch-Dest: document\r\n");
        let reply = stage.rig.ask(&request(line, &headers)).await;
        assert_eq!(reply.problem(), (403, "origin_refused".into()));
    }
    let headers = format!("{GOOD}Sec-Fetch-Dest: empty\r\n");
    assert_eq!(stage.rig.ask(&request("GET /conversations/token", &headers)).await.status, 200);
}

#[tokio::test]
async fn request_ids_are_kept_or_made_and_are_on_every_answer() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    for path in ["/conversations/token", "/conversations/client.js", "/nothing"] {
        client.send(request(&format!("GET {path}"), "X-Request-Id: Ab.c_1-2\r\n")).await;
        assert_eq!(client.reply().await.header("x-request-id"), "Ab.c_1-2");
        client.send(request(&format!("GET {path}"), "X-Request-Id: a b\r\n")).await;
        assert_eq!(client.reply().await.header("x-request-id").len(), 24);
    }
}

#[tokio::test]
async fn p11_a_panic_is_500_and_the_next_request_is_answered() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    client.send(with_token("panic")).await;
    assert_eq!(client.reply().await.problem(), (500, "internal_error".into()));
    client.send(with_token("good.token.here")).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn no_other_origin_may_read_anything_unless_it_is_listed() {
    let headers = format!("{GOOD}Origin: https://app.example.com\r\n");
    let closed = stage(PublicConfig::default()).await;
    let reply = closed.rig.ask(&request("GET /conversations/token", &headers)).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ""));
    assert_eq!(reply.header("vary"), "");
    let open = stage(PublicConfig {
        origins: vec![AllowedOrigin::Exact("https://app.example.com".into())],
        token_headers: vec!["authorization".into(), "x-forwarded-access-token".into()],
        ..PublicConfig::default()
    })
    .await;
    for (line, status) in [
        ("GET /conversations/token", 200),
        ("GET /conversations/token?service=a&service=b", 400),
        ("GET /conversations/nothing", 404),
    ] {
        let reply = open.rig.ask(&request(line, &headers)).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("access-control-allow-origin"), "https://app.example.com");
        assert_eq!(reply.header("vary"), "Origin");
        assert_eq!(reply.header("access-control-allow-credentials"), "");
        let other = headers.replace("app.", "evil.");
        let reply = open.rig.ask(&request(line, &other)).await;
        assert_eq!(
            (reply.header("access-control-allow-origin"), reply.header("vary")),
            ("", "Origin")
        );
    }
    let panic = "Authorization: Bearer panic\r\nOrigin: https://app.example.com\r\n";
    let reply = open.rig.ask(&request("GET /conversations/token", panic)).await;
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example.com");
}

#[tokio::test]
async fn a_preflight_needs_no_credential() {
    let open = stage(PublicConfig {
        origins: vec![AllowedOrigin::Exact("https://app.example.com".into())],
        token_headers: vec!["authorization".into(), "x-forwarded-access-token".into()],
        ..PublicConfig::default()
    })
    .await;
    let wants =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let ours = format!("Origin: https://app.example.com\r\n{wants}");
    let reply = open.rig.ask(&request("OPTIONS /conversations/token", &ours)).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example.com");
    assert_eq!(reply.header("access-control-allow-methods"), "GET, HEAD, POST");
    let allowed = reply.header("access-control-allow-headers");
    assert!(
        allowed.starts_with("authorization, ") && allowed.ends_with("x-forwarded-access-token")
    );
    let foreign = format!("Origin: https://evil.example.com\r\n{wants}");
    let reply = open.rig.ask(&request("OPTIONS /conversations/token", &foreign)).await;
    assert_eq!(reply.header("access-control-allow-origin"), "");
    let closed = stage(PublicConfig::default()).await;
    let reply = closed.rig.ask(&request("OPTIONS /conversations/token", &ours)).await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (405, ""));
}

#[tokio::test]
async fn the_script_is_cacheable_and_for_everybody() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    client.send(request("GET /conversations/client.js", "")).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("export"));
    assert_eq!(reply.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert!(reply.header("cache-control").starts_with("public, max-age="));
    let known = format!("If-None-Match: {}\r\n", reply.header("etag"));
    client.send(request("GET /conversations/client.js", &known)).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, &*reply.body), (304, ""));
}

#[tokio::test]
async fn a_reload_changes_the_next_request_and_not_the_one_under_way() {
    let stage = stage(PublicConfig::default()).await;
    let mut client = stage.rig.client().await;
    client.send(with_token("waiting")).await;
    while stage.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let config = PublicConfig { dev: true, prefix: "/chat".into(), ..PublicConfig::default() };
    stage.public.replace(Face::new(config, Scripted::default()).unwrap());
    let moved = stage.rig.ask(&request("GET /chat/token", GOOD)).await;
    assert_eq!((moved.status, moved.header("usher-mode")), (200, "dev"));
    assert_eq!(stage.rig.ask(&with_token("good.token.here")).await.status, 404);
    stage.waiting.notify_one();
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.header("usher-mode")), (200, ""));
}

#[tokio::test]
async fn pages_of_the_demo_are_served_beside_the_rest() {
    let page = Page {
        path: "/".into(),
        content_type: "text/html; charset=utf-8",
        policy: Some("default-src 'none'".parse().unwrap()),
        body: "<!doctype html>".into(),
    };
    let config = PublicConfig { pages: vec![page], dev: true, ..PublicConfig::default() };
    let stage = stage(config).await;
    let reply = stage.rig.ask(&request("GET /", "")).await;
    assert_eq!((reply.status, &*reply.body), (200, "<!doctype html>"));
    assert_eq!((reply.header("usher-mode"), reply.header("cache-control")), ("dev", "no-store"));
    assert_eq!(reply.header("content-security-policy"), "default-src 'none'");
}

#[tokio::test]
async fn every_decision_is_counted() {
    let proxies = TrustedProxies::new([Proxy::Loopback]);
    let stage = stage(PublicConfig { proxies, ..PublicConfig::default() }).await;
    let mut client: Client<_> = stage.rig.client().await;
    for token in ["good.token.here", "good.token.here", "expired", "store", "panic"] {
        client.send(with_token(token)).await;
        client.reply().await;
    }
    let text = stage.metrics.text().unwrap();
    for line in [
        "usher_token_requests_total{outcome=\"issued\",code=\"none\"} 2",
        "usher_token_requests_total{outcome=\"refused\",code=\"token_expired\"} 1",
        "usher_token_requests_total{outcome=\"failed\",code=\"store_unavailable\"} 1",
        "usher_token_requests_total{outcome=\"failed\",code=\"internal_error\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
