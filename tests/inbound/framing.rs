//! Where one request ends and the next begins (RFC 9112 sections 6 and 11.2).
use crate::rig::{Echo, Rig, generous};
use std::sync::Arc;

async fn rig() -> (Rig, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    (Rig::start(Arc::clone(&echo), generous()).await, echo)
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn p10_length_and_coding_together_never_get_a_2xx_and_nothing_behind_them_is_read() {
    let (rig, echo) = rig().await;
    for framing in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "content-length: 5\r\ntransfer-encoding: CHUNKED\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: nonsense\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: identity\r\n",
        "Content-Length: 5\r\nTransfer-Encoding:\x0bchunked\r\n",
        "Content-Length: 5\nTransfer-Encoding: chunked\n",
    ] {
        let mut client = rig.client().await;
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n0\r\n\r\n{SMUGGLED}");
        client.send(request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{framing}");
        assert!(client.end().await.is_empty(), "{framing}");
    }
    assert!(!echo.seen.lock().unwrap().contains(&"/smuggled".to_owned()));
}

#[tokio::test]
async fn p10_the_same_holds_for_a_later_request_and_for_one_sent_ahead() {
    let (rig, _) = rig().await;
    let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    for before in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\ncontent-length: 4\r\n\r\n",
    ] {
        let mut client = rig.client().await;
        client.send(format!("{before}{both}")).await;
        assert_eq!(client.reply().await.status, 200);
        assert_eq!(client.reply().await.status, 400);
        let mut client = rig.client().await;
        client.send(before).await;
        assert_eq!(client.reply().await.status, 200);
        client.send(both).await;
        assert_eq!(client.reply().await.status, 400);
    }
}

#[tokio::test]
async fn other_ambiguous_framings_are_refused() {
    let (rig, _) = rig().await;
    for framing in [
        "HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "HTTP/1.1\r\nContent-Length: +5\r\n",
        "HTTP/1.1\r\nContent-Length: 5, 5\r\n",
        "HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n",
        "HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n",
        "HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n",
    ] {
        let reply = rig.ask(&format!("POST / {framing}Host: a\r\n\r\n0\r\n\r\nmore")).await;
        assert_eq!(reply.status, 400, "{framing}");
    }
}

#[tokio::test]
async fn there_is_one_host() {
    let (rig, _) = rig().await;
    for (head, status) in [
        ("GET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n", 400),
        ("GET / HTTP/1.1\r\nHost:\r\n", 200),
        ("GET / HTTP/1.0\r\n", 200),
    ] {
        assert_eq!(rig.ask(&format!("{head}\r\n")).await.status, status, "{head}");
    }
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let (rig, echo) = rig().await;
    let mut client = rig.client().await;
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let last = "GET /last HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("{wait}{post}{last}")).await;
    echo.waiting.notified().await;
    echo.go.notify_one();
    let bodies = [client.reply().await.body, client.reply().await.body, client.reply().await.body];
    assert_eq!(bodies, ["", "body", ""]);
    assert_eq!(*echo.seen.lock().unwrap(), ["/wait", "/post", "/last"]);
}

#[tokio::test]
async fn a_chunked_body_is_read_and_its_connection_closed() {
    let (rig, _) = rig().await;
    let mut client = rig.client().await;
    let chunks = "4\r\nchun\r\n3\r\nked\r\n0\r\n\r\n";
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
        .await;
    let reply = client.reply().await;
    assert_eq!((reply.status, &*reply.body), (200, "chunked"));
    assert_eq!(reply.header("connection"), "close");
    assert!(client.end().await.is_empty());
}

#[tokio::test]
async fn a_body_in_pieces_and_a_continue_are_what_they_should_be() {
    let (rig, _) = rig().await;
    let mut client = rig.client().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.reply().await.status, 100);
    client.send("abc").await;
    client.send("defGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.reply().await.body, "abcdef");
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_client_that_closes_its_half_still_gets_its_answer() {
    let (rig, echo) = rig().await;
    let mut stream = rig.tcp().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
    echo.waiting.notified().await;
    echo.go.notify_one();
    assert_eq!(crate::rig::Client::new(stream).reply().await.status, 200);
}
