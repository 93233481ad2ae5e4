//! P13: nothing secret in logs and answers.
use crate::steps::{FAILURES, MINTED, stage};
use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::layer::SubscriberExt as _;
use usher::{
    inbound::public::PublicConfig,
    telemetry::{
        lines::LinesGuard,
        logs::{Config, layer},
    },
};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log as operators get it, with `RUST_LOG=trace`.
struct Log {
    paper: Paper,
    lines: LinesGuard,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn listen() -> Self {
        let paper = Paper::default();
        let config = Config { json: true, directives: "trace".into(), now: || 0 };
        let (layer, lines) = layer(&config, Box::new(paper.clone())).unwrap();
        let subscriber = tracing_subscriber::registry().with(layer);
        Self { paper, lines, _subscriber: tracing::subscriber::set_default(subscriber) }
    }

    fn text(self) -> String {
        drop(self.lines);
        String::from_utf8(self.paper.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn p13_neither_token_is_in_a_log_an_error_or_a_metric() {
    let log = Log::listen();
    let stage = stage(PublicConfig { traces: true, ..PublicConfig::default() }).await;
    let marked = "good.token.here";
    let form = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={marked}\
         &subject_token_type=urn:ietf:params:oauth:token-type:jwt"
    );
    let exchange = format!(
        "POST /conversations/oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}",
        form.len()
    );
    let bearer = format!("Authorization: Bearer {marked}\r\n");
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    for (headers, path) in [
        (bearer.clone(), "/conversations/token"),
        (format!("{bearer}{parent}"), "/conversations/token"),
        (format!("{bearer}{bearer}"), "/conversations/token"),
        (bearer.clone(), "/conversations/nothing"),
        (String::new(), "/conversations/token?access_token=good.token.here"),
        (bearer, "/conversations/token?service=good.token.here&service=a"),
    ] {
        let reply =
            stage.rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).await;
        assert!(!reply.head.contains(marked) && !reply.body.contains(marked), "{path}");
    }
    assert_eq!(stage.rig.ask(&exchange).await.status, 200);
    for failure in FAILURES {
        stage.rig.ask(&crate::steps::with_token(failure)).await;
    }
    let (text, metrics) = (log.text(), stage.metrics.text().unwrap());
    for secret in [marked, MINTED] {
        assert!(!text.contains(secret), "{secret} is in the log");
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
    assert!(text.contains("\"target\":\"audit\""), "the log was listened to");
}

#[tokio::test]
async fn a_decision_is_one_audit_line_with_the_contracts_fields() {
    let log = Log::listen();
    let stage = stage(PublicConfig::default()).await;
    stage
        .rig
        .ask(
            "GET /conversations/token HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\
             Authorization: Bearer good.token.here\r\n\r\n",
        )
        .await;
    stage.rig.ask(&crate::steps::with_token("expired")).await;
    stage.rig.ask(&crate::steps::with_token("store")).await;
    stage.rig.ask(&crate::steps::with_token("panic")).await;
    let text = log.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["target"] == "audit")
        .collect();
    assert_eq!(
        lines[0],
        serde_json::json!({
            "time": "1970-01-01T00:00:00.000Z", "level": "INFO", "target": "audit", "request_id": "r1", "outcome": "issued", "code": "none", "subject_hash": "0123456789abcdef",
            "identity": "u-alice", "grant": "staff", "jti": "SK0-1-a", "client": "127.0.0.1",
        })
    );
    let codes: Vec<_> = lines.iter().map(|line| (&line["outcome"], &line["code"])).collect();
    assert_eq!(
        codes[1..],
        [
            (&"refused".into(), &"token_expired".into()),
            (&"failed".into(), &"store_unavailable".into()),
            (&"failed".into(), &"internal_error".into()),
        ]
    );
    // The cause is told once, and a refusal does not alarm anybody.
    let causes = text.lines().filter(|line| line.contains("binding store holds a damaged row"));
    assert_eq!(causes.count(), 1);
    assert!(
        text.lines().any(|line| line.contains("\"ERROR\"") && line.contains("store_unavailable"))
    );
    assert!(!text.lines().any(|line| line.contains("\"ERROR\"") && line.contains("token_expired")));
}

#[tokio::test]
async fn an_identity_that_was_taken_on_the_way_has_an_audit_line_of_its_own() {
    let log = Log::listen();
    let stage = stage(PublicConfig::default()).await;
    stage.rig.ask(&crate::steps::with_token("adopted")).await;
    let text = log.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["target"] == "audit")
        .collect();
    let [taken, decided] = lines.as_slice() else { panic!("{text}") };
    assert_eq!(taken["request_id"], decided["request_id"]);
    assert_eq!(
        *taken,
        serde_json::json!({
            "time": taken["time"], "level": "INFO", "target": "audit",
            "request_id": taken["request_id"], "outcome": "adopted", "code": "none",
            "subject_hash": "0123456789abcdef", "identity": "u-alice", "client": "127.0.0.1",
        })
    );
    assert_eq!((&decided["outcome"], &decided["jti"]), (&"issued".into(), &"SK0-1-a".into()));
}
