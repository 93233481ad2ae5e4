//! Contract 2, "Limits". Each test lowers the one limit it is about.
use crate::rig::{Echo, PATIENCE, Rig, SOON, generous};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use usher::inbound::{
    body::BodyLimit,
    server::{Address, Limits},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn rig(change: impl FnOnce(&mut Limits)) -> Rig {
    let mut limits = generous();
    change(&mut limits);
    Rig::start(Arc::new(Echo::default()), limits).await
}

#[test]
fn the_limits_are_those_of_the_contract() {
    let limits = Limits::default();
    assert_eq!((limits.head_bytes, limits.body.bytes), (16 << 10, 64 << 10));
    assert_eq!((limits.head.as_secs(), limits.body.time.as_secs()), (5, 10));
    assert_eq!((limits.idle.as_secs(), limits.connections, limits.streams), (60, 10_000, 100));
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_let_go() {
    let rig = rig(|limits| limits.first_byte = SOON).await;
    assert!(rig.client().await.end().await.is_empty());
}

#[tokio::test]
async fn a_head_that_stops_halfway_is_let_go() {
    let rig = rig(|limits| limits.head = SOON).await;
    for beginning in ["G", "GET / HTTP/1.1\r\nHo", "PRI * HTT"] {
        let mut client = rig.client().await;
        client.send(beginning).await;
        assert!(client.end().await.is_empty(), "{beginning}");
    }
}

#[tokio::test]
async fn the_head_of_a_later_request_has_no_more_time_than_the_first() {
    let rig = rig(|limits| limits.head = SOON).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    client.send("GET / HTTP/1.1\r\nHo").await;
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_gains_no_time() {
    let rig = rig(|limits| limits.head = SOON).await;
    let mut client = rig.client().await;
    let dribble = async {
        client.send("GET / HTTP/1.1\r\n").await;
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        // Errs once the server has closed the connection.
        loop {
            pace.tick().await;
            if timeout(Duration::from_millis(1), client.try_reply()).await.is_ok() {
                break;
            }
            client.send("a").await;
        }
    };
    timeout(PATIENCE, dribble).await.expect("the connection stays open");
}

#[tokio::test]
async fn an_idle_connection_is_let_go() {
    let rig = rig(|limits| limits.idle = SOON).await;
    let mut client = rig.client().await;
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_connection_idles_also_after_an_answer_that_took_its_time() {
    let echo = Arc::new(Echo::default());
    let mut limits = generous();
    limits.idle = SOON;
    let rig = Rig::start(Arc::clone(&echo), limits).await;
    let mut client = rig.client().await;
    client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    echo.waiting.notified().await;
    echo.go.notify_one();
    assert_eq!(client.reply().await.status, 200);
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_slow_body_is_408() {
    let rig = rig(|limits| limits.body.time = SOON).await;
    for framing in ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nha"] {
        let reply = rig.ask(&format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}")).await;
        assert_eq!(reply.status, 408, "{framing}");
    }
}

#[tokio::test]
async fn a_large_body_is_413_and_the_answer_is_not_lost_in_a_reset() {
    let rig = rig(|limits| limits.body = BodyLimit { bytes: 64, time: PATIENCE }).await;
    for framing in ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186A0\r\n"]
    {
        let mut client = rig.client().await;
        let begun = "x".repeat(100);
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}{begun}")).await;
        client.readable().await;
        // The client goes on sending, as most do, and reads only when it is done.
        for _ in 0..10 {
            client.send(vec![b'x'; 10_000]).await;
            tokio::task::yield_now().await;
        }
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (413, "close"), "{framing}");
        client.end().await;
    }
    let fits = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 64\r\n\r\n";
    let reply = rig.ask(&format!("{fits}{}", "y".repeat(64))).await;
    assert_eq!((reply.status, reply.body), (200, "y".repeat(64)));
}

#[tokio::test]
async fn a_head_over_16_kib_is_refused_and_one_below_is_not() {
    let rig = rig(|_| {}).await;
    let head = |length| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length));
    assert_eq!(rig.ask(&head(16_000)).await.status, 200);
    assert_eq!(rig.ask(&head(17_000)).await.status, 431);
    let many = "a: b\r\n".repeat(200);
    assert_eq!(rig.ask(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await.status, 431);
}

#[tokio::test]
async fn p14_one_connection_too_many_is_refused_and_stalls_nobody() {
    let rig = rig(|limits| limits.connections = 2).await;
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    for client in [&mut one, &mut other] {
        client.send(GET).await;
        assert_eq!(client.reply().await.status, 200);
    }
    assert!(rig.client().await.end().await.is_empty());
    one.send(GET).await;
    assert_eq!(one.reply().await.status, 200);
    drop(other);
    let again = async {
        loop {
            let mut client = rig.client().await;
            client.send(GET).await;
            if client.try_reply().await.is_some() {
                break;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("the place of a closed connection stays taken");
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go() {
    let rig = rig(|limits| (limits.connections, limits.write) = (1, SOON)).await;
    let mut stubborn = rig.client().await;
    stubborn.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let freed = async {
        loop {
            let mut client = rig.client().await;
            client.send(GET).await;
            if client.try_reply().await.is_some() {
                break;
            }
        }
    };
    timeout(PATIENCE, freed).await.expect("the place of the client that never reads stays taken");
    drop(stubborn);
}

#[tokio::test]
async fn a_socket_file_carries_the_same_protocol() {
    let directory = tempfile::tempdir().unwrap();
    let address = Address::Unix(directory.path().join("usher.sock"));
    let rig = Rig::at(&address, Arc::new(Echo::default()), generous(), None).await;
    let Address::Unix(path) = &rig.address else { unreachable!() };
    let mut client = crate::rig::Client::new(tokio::net::UnixStream::connect(path).await.unwrap());
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
}
