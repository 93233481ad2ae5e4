//! The health listener (contract 9).
use crate::rig::{Rig, generous};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use usher::{
    inbound::health::{Fault, Health, Readiness},
    ports::entropy::CountedEntropy,
    telemetry::metrics::Metrics,
};

#[derive(Debug, Default)]
struct Latches {
    started: AtomicBool,
    ready: AtomicBool,
}

impl Readiness for Latches {
    fn started(&self) -> bool {
        self.started.load(Relaxed)
    }

    fn ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    fn faults(&self) -> Vec<Fault> {
        let fault = |part, name: &str| Fault {
            part,
            name: name.into(),
            message: "its \"keys\" cannot be fetched".into(),
        };
        vec![fault("issuer", "https://login.example.com"), fault("store", "")]
    }
}

async fn rig() -> (Rig, Arc<Latches>) {
    let latches = Arc::new(Latches::default());
    let metrics = Arc::new(Metrics::new("1.2.3", "63458b39"));
    let health =
        Health::new(Arc::clone(&latches) as _, metrics, Arc::new(CountedEntropy::default()), false);
    (Rig::start(Arc::new(health), generous()).await, latches)
}

async fn get(rig: &Rig, path: &str) -> crate::rig::Reply {
    rig.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
}

#[tokio::test]
async fn each_probe_tells_its_own_latch() {
    let (rig, latches) = rig().await;
    let statuses = async || {
        [
            get(&rig, "/livez").await.status,
            get(&rig, "/startupz").await.status,
            get(&rig, "/readyz").await.status,
        ]
    };
    assert_eq!(statuses().await, [200, 503, 503]);
    latches.started.store(true, Relaxed);
    assert_eq!(statuses().await, [200, 200, 503]);
    latches.ready.store(true, Relaxed);
    assert_eq!(statuses().await, [200, 200, 200]);
    latches.ready.store(false, Relaxed);
    assert_eq!(statuses().await, [200, 200, 503]);
}

#[tokio::test]
async fn verbose_tells_the_faults_in_json() {
    let (rig, latches) = rig().await;
    latches.ready.store(true, Relaxed);
    for path in ["/readyz?verbose", "/readyz?verbose=1", "/readyz?exclude=a&verbose"] {
        let reply = get(&rig, path).await;
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(
            reply.json(),
            serde_json::json!({"status": "ok", "faults": [
                {"part": "issuer", "name": "https://login.example.com", "message": "its \"keys\" cannot be fetched"},
                {"part": "store", "name": "", "message": "its \"keys\" cannot be fetched"},
            ]})
        );
    }
    assert_eq!(get(&rig, "/startupz?verbose").await.json()["status"], "unavailable");
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let (rig, _) = rig().await;
    let reply = get(&rig, "/metrics").await;
    assert_eq!(
        reply.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(reply.body.contains("usher_build_info{version=\"1.2.3\"} 1"));
    assert!(reply.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn p14_nothing_else_is_here() {
    let (rig, _) = rig().await;
    for path in ["/", "/livez/", "/readyz/x", "/conversations/token", "/debug"] {
        assert_eq!(get(&rig, path).await.problem(), (404, "not_found".into()), "{path}");
    }
    let reply = rig.ask("POST /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reply.problem(), (405, "method_not_allowed".into()));
    assert_eq!(reply.header("allow"), "GET, HEAD");
}
