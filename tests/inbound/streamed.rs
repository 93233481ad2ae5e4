//! Answers whose body is made while it is sent.
use crate::rig::{Client, Rig, SOON, generous};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use tokio::sync::Notify;
use usher::inbound::{
    answer::{self, Answer},
    contents::{BrokenOff, Contents, Pieces},
    request::Call,
    server::Handler,
};

/// Sends `one`, waits to be told to go on, and sends `two`. `/broken` breaks off there, `/short` has no body to
/// wait for.
#[derive(Debug, Default)]
struct Slow {
    go: Arc<Notify>,
}

struct Halves {
    sent: usize,
    broken: bool,
    go: Arc<Notify>,
}

impl Pieces for Halves {
    async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        self.sent += 1;
        match self.sent {
            1 => Ok(Some("one".into())),
            2 => {
                self.go.notified().await;
                let why = || BrokenOff("as the test wants".into());
                if self.broken { Err(why()) } else { Ok(Some("two".into())) }
            }
            _ => Ok(None),
        }
    }
}

impl Handler for Slow {
    async fn handle(&self, request: Request<Incoming>, _call: Call) -> Answer {
        let (head, _) = request.into_parts();
        let path = head.uri.path().to_owned();
        let mut answer = answer::text(StatusCode::OK, answer::PLAIN, Bytes::new(), head.headers);
        if path != "/short" {
            let halves = Halves { sent: 0, broken: path == "/broken", go: Arc::clone(&self.go) };
            *answer.body_mut() = Contents::streamed(halves);
        }
        answer
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

async fn begun(rig: &Rig, path: &str) -> Client<tokio::net::TcpStream> {
    let mut client = rig.client().await;
    client.send(get(path)).await;
    assert_eq!(client.reply().await.header("transfer-encoding"), "chunked");
    assert_eq!(client.take(8).await, b"3\r\none\r\n");
    client
}

#[tokio::test]
async fn a_body_that_is_still_being_made_is_no_idle_connection() {
    let mut limits = generous();
    limits.idle = SOON;
    let slow = Arc::new(Slow::default());
    let rig = Rig::start(Arc::clone(&slow), limits).await;
    let mut client = begun(&rig, "/").await;
    // Others are let go meanwhile, one after the other, which takes longer than idling and the farewell after it.
    for _ in 0..40 {
        let mut idle = rig.client().await;
        idle.send(get("/short")).await;
        assert_eq!(idle.reply().await.status, 200);
        idle.end().await;
    }
    slow.go.notify_one();
    assert_eq!(client.take(13).await, b"3\r\ntwo\r\n0\r\n\r\n");
    assert!(client.end().await.is_empty(), "it idles now");
}

#[tokio::test]
async fn a_body_that_breaks_off_has_no_end() {
    let slow = Arc::new(Slow::default());
    let rig = Rig::start(Arc::clone(&slow), generous()).await;
    let client = begun(&rig, "/broken").await;
    slow.go.notify_one();
    assert!(client.end().await.is_empty(), "no last chunk");
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_to_wait_for() {
    let rig = Rig::start(Arc::new(Slow::default()), generous()).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.head().await.status, 200);
    }
}

#[tokio::test]
async fn a_drain_waits_for_a_body_that_is_being_made() {
    let slow = Arc::new(Slow::default());
    let rig = Rig::start(Arc::clone(&slow), generous()).await;
    let mut client = begun(&rig, "/").await;
    let mut server = rig.stop();
    slow.go.notify_one();
    assert_eq!(client.take(13).await, b"3\r\ntwo\r\n0\r\n\r\n");
    drop(client);
    assert_eq!(server.join_next().await.unwrap().unwrap().cut_off, 0);
}
