//! What never leaves usher, and what never comes back into it.
use crate::{
    client,
    house::{API_SECRET, IDENTITY_KEY, Idp, Place},
};
use http_body_util::Full;
use serde_json::json;
use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// `POST /conversations/oauth2/token` (RFC 8693).
async fn exchange_form(to: SocketAddr, token: &str) -> client::Reply {
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token={token}\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
    );
    let request = http::Request::post("/conversations/oauth2/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form));
    client::send(to, request.unwrap()).await
}

const EGRESS_TOKEN: &str = "egress-token-of-this-test";

fn admin_token(place: &Place) -> String {
    std::fs::read_to_string(place.path("state/admin-token")).unwrap().trim_end().to_owned()
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

/// As the app does, as an operator, and as somebody who guesses.
async fn ask_the_other_listeners(
    place: &Place,
    (admin, egress): (SocketAddr, SocketAddr),
    identity: &str,
) {
    let asked = http::Request::get("/usher/identities?namespace=corp&subject=alice")
        .header("usher-egress", EGRESS_TOKEN);
    let seen = client::send(egress, asked.body(Full::default()).unwrap()).await;
    assert_eq!(seen.json()[0]["identity"], identity);
    let order = json!({"namespace": "corp", "subject": "mallory", "reason": "as asked"});
    for (token, status) in [(&*admin_token(place), 200), ("usher_adm_guess", 401)] {
        let order = http::Request::post(format!("/api/identities/{identity}/links"))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(order.to_string().into());
        assert_eq!(client::send(admin, order.unwrap()).await.status, status);
    }
}

fn assert_each_change_is_audited(written: &str) {
    let audited: Vec<serde_json::Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .filter(|line: &serde_json::Value| line["target"] == "audit" && line["operation"] == "link")
        .collect();
    let told = |at: usize, name: &str| audited[at][name].as_str().unwrap_or("none").to_owned();
    assert_eq!(audited.len(), 2, "one line for each change that is asked for: {written}");
    assert_eq!([told(0, "outcome"), told(0, "who")], ["changed", "api:admin-token"]);
    assert_eq!([told(1, "outcome"), told(1, "code")], ["refused", "invalid_credential"]);
    assert_eq!((told(0, "subject_hash").len(), told(1, "who")), (16, "none".into()));
}

/// A process that logs all it can into the file `log`.
fn traced(place: &Place) -> Child {
    let log = std::fs::File::create(place.path("log")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_usher"))
        .args(["serve", "--config"])
        .arg(place.path("usher.yaml"))
        .env_clear()
        .env("STATE_DIRECTORY", place.path("state"))
        .env("RUST_LOG", "trace,hyper=trace,h2=trace,rustls=trace")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

#[test]
fn p13_at_trace_the_process_writes_no_token_and_no_secret() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (idp, place) = (runtime.block_on(Idp::open()), Place::new());
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (public, health, admin, egress) = (free(), free(), free(), free());
    let listen = json!({
        "public": public.to_string(), "egress": egress.to_string(), "admin": admin.to_string(),
        "health": health.to_string(),
    });
    std::fs::write(place.path("egress-token"), EGRESS_TOKEN).unwrap();
    let app = json!({"lookup": ["corp"], "token": {"file": "egress-token"}});
    place.configure(idp.provider.issuer(), &json!({"listen": listen, "egress": app}));
    let mut usher = traced(&place);
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
        let identity = reply.json()["identity"].as_str().unwrap().to_owned();
        ask_the_other_listeners(&place, (admin, egress), &identity).await;
        minted
    });
    let pid = rustix::process::Pid::from_child(&usher);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(usher.wait().unwrap().code(), Some(0), "after a drained stop");

    let written = std::fs::read_to_string(place.path("log")).unwrap();
    assert_each_change_is_audited(&written);
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let mut secrets = vec![API_SECRET.to_owned(), IDENTITY_KEY.to_owned(), admin_token(&place)];
    secrets.extend([EGRESS_TOKEN.to_owned(), "usher_adm_guess".to_owned()]);
    for token in [&upstream, &bad, &minted] {
        // The signature and the payload; a header is the same for everybody.
        secrets.extend(parts(token).split_off(1));
    }
    for secret in secrets {
        assert!(!written.contains(&secret), "{secret} is in the log");
    }
}
