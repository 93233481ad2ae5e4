//! What never leaves usher, and what never comes back into it.
use crate::{
    client,
    house::{API_SECRET, IDENTITY_KEY, Idp, Place},
};
use serde_json::json;
use std::process::{Command, Stdio};

/// `POST /conversations/oauth2/token` (RFC 8693).
async fn exchange_form(to: std::net::SocketAddr, token: &str) -> client::Reply {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
    );
    let request = http::Request::post("/conversations/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(http_body_util::Full::from(form));
    client::send(to, request.unwrap()).await
}

#[tokio::test]
async fn p9_ushers_own_token_is_no_subject_token() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    let good = exchange_form(usher.public(), &idp.token("alice")).await;
    assert_eq!(good.status, 200);
    let own = good.json()["access_token"].as_str().unwrap().to_owned();
    let refused = exchange_form(usher.public(), &own).await;
    let error = refused.json()["error"].clone();
    assert_eq!((refused.status.as_u16(), error), (400, "invalid_request".into()));
    let refused = usher.exchange(&own).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "wrong_token_type"));
    usher.stop().await;
}

#[test]
fn p13_at_trace_the_process_writes_no_token_and_no_secret() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (idp, place) = (runtime.block_on(Idp::open()), Place::new());
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (public, health) = (free(), free());
    let listen = json!({
        "public": public.to_string(), "admin": "127.0.0.1:0", "health": health.to_string(),
    });
    place.configure(idp.provider.issuer(), &json!({"listen": listen}));
    let log = std::fs::File::create(place.path("log")).unwrap();
    let mut usher = Command::new(env!("CARGO_BIN_EXE_usher"))
        .args(["serve", "--config"])
        .arg(place.path("usher.yaml"))
        .env_clear()
        .env("RUST_LOG", "trace,hyper=trace,h2=trace,rustls=trace")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let (upstream, bad) = (idp.token("alice"), idp.token_of("mallory", &json!({"kid": "k\r\nx"})));
    let minted = runtime.block_on(async {
        crate::house::eventually(async || tokio::net::TcpStream::connect(health).await.ok()).await;
        let reply = client::exchange(public, &upstream).await;
        assert_eq!(reply.status, 200);
        let minted = reply.json()["token"].as_str().unwrap().to_owned();
        for token in [bad.as_str(), "nonsense", minted.as_str()] {
            assert_eq!(client::exchange(public, token).await.status, 401);
        }
        client::get(health, "/metrics").await;
        minted
    });
    let pid = rustix::process::Pid::from_child(&usher);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(usher.wait().unwrap().code(), Some(0), "after a drained stop");

    let written = std::fs::read_to_string(place.path("log")).unwrap();
    assert!(written.contains("\"target\":\"audit\""), "{written}");
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let mut secrets = vec![API_SECRET.to_owned(), IDENTITY_KEY.to_owned()];
    for token in [&upstream, &bad, &minted] {
        // The signature and the payload; a header is the same for everybody.
        secrets.extend(parts(token).split_off(1));
    }
    for secret in secrets {
        assert!(!written.contains(&secret), "{secret} is in the log");
    }
    for line in written.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "not JSON: {line}");
    }
}
