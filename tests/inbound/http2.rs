//! HTTP/2 with prior knowledge, frame by frame (RFC 9113).
use crate::rig::{Client, Echo, Rig, SOON, generous};
use std::sync::Arc;
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// `GET path` on a stream, whole.
fn get(stream: u8, path: &str) -> Vec<u8> {
    // :method GET, from the static table (RFC 7541 appendix A).
    ask(stream, &[0x82], path)
}

/// `HEAD path` on a stream, whole.
fn head(stream: u8, path: &str) -> Vec<u8> {
    // :method, literal.
    ask(stream, &[0x42, 4, b'H', b'E', b'A', b'D'], path)
}

fn ask(stream: u8, method: &[u8], path: &str) -> Vec<u8> {
    // :scheme http, :authority a, :path (literal).
    let mut block = method.to_vec();
    block.extend([0x86, 0x41, 1, b'a', 0x44, u8::try_from(path.len()).unwrap()]);
    block.extend(path.as_bytes());
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), HEADERS, 5, 0, 0, 0, stream];
    frame.extend(block);
    frame
}

async fn greeted(rig: &Rig) -> Client<TcpStream> {
    let mut client = rig.client().await;
    client.send([PREFACE, SETTINGS, ACK].concat()).await;
    client
}

/// Type, stream and payload of the next frame of one of these types.
async fn next(client: &mut Client<TcpStream>, wanted: &[u8]) -> (u8, u8, Vec<u8>) {
    loop {
        let header = client.take(9).await;
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        let payload = client.take(length).await;
        if wanted.contains(&header[3]) {
            return (header[3], header[8], payload);
        }
    }
}

#[tokio::test]
async fn a_request_is_answered_and_the_connection_idles_away() {
    let mut limits = generous();
    limits.idle = SOON;
    let rig = Rig::start(Arc::new(Echo::default()), limits).await;
    let mut client = greeted(&rig).await;
    client.send(get(1, "/")).await;
    let (kind, stream, block) = next(&mut client, &[HEADERS]).await;
    // 0x88 is `:status: 200`.
    assert_eq!((kind, stream, block[0]), (HEADERS, 1, 0x88));
    next(&mut client, &[GOAWAY]).await;
    client.end().await;
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let rig = Rig::start(Arc::new(Echo::default()), generous()).await;
    let mut client = greeted(&rig).await;
    client.send([head(1, "/large"), get(3, "/large")].concat()).await;
    let mut streams_with_data = Vec::new();
    // The second answer's body comes after all of the first answer.
    while streams_with_data.last() != Some(&3) {
        let (kind, stream, _) = next(&mut client, &[HEADERS, DATA]).await;
        if kind == DATA {
            streams_with_data.push(stream);
        }
    }
    assert!(!streams_with_data.contains(&1), "{streams_with_data:?}");
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_the_others_go_on() {
    let echo = Arc::new(Echo::default());
    let mut limits = generous();
    limits.streams = 2;
    let rig = Rig::start(Arc::clone(&echo), limits).await;
    let mut client = greeted(&rig).await;
    client.send([get(1, "/wait"), get(3, "/wait"), get(5, "/wait")].concat()).await;
    let (_, stream, error) = next(&mut client, &[RST_STREAM]).await;
    assert_eq!((stream, error), (5, vec![0, 0, 0, 7]), "REFUSED_STREAM");
    echo.waiting.notified().await;
    echo.go.notify_waiters();
    let (_, one, _) = next(&mut client, &[HEADERS]).await;
    let (_, other, _) = next(&mut client, &[HEADERS]).await;
    assert_eq!(one + other, 4);
}

#[tokio::test]
async fn a_field_block_that_stops_halfway_is_let_go() {
    let mut limits = generous();
    limits.head = SOON;
    let rig = Rig::start(Arc::new(Echo::default()), limits).await;
    // Without END_HEADERS, and cut off within the frame.
    let unfinished = [0, 0, 1, HEADERS, 0, 0, 0, 0, 1, 0x82].to_vec();
    let cut = get(1, "/")[..12].to_vec();
    for beginning in [unfinished, cut] {
        let mut client = greeted(&rig).await;
        client.send(beginning).await;
        client.end().await;
    }
}

#[tokio::test]
async fn a_field_block_over_16_kib_is_refused() {
    let rig = Rig::start(Arc::new(Echo::default()), generous()).await;
    let mut client = greeted(&rig).await;
    // Four fields of 4 200 bytes: `x`, and its length as RFC 7541 section 5.1 writes it.
    let mut block = vec![0x82, 0x86, 0x41, 1, b'a', 0x84];
    for _ in 0..4 {
        block.extend([0, 1, b'x', 0x7f, 0xe9, 0x1f]);
        block.extend([b'y'; 4200]);
    }
    let (first, rest) = block.split_at(16_000);
    let mut frames = Vec::new();
    for (kind, flags, part) in [(HEADERS, 1, first), (9, 4, rest)] {
        let length = u32::try_from(part.len()).unwrap().to_be_bytes();
        frames.extend([length[1], length[2], length[3], kind, flags, 0, 0, 0, 1]);
        frames.extend(part);
    }
    client.send(frames).await;
    let (kind, _, block) = next(&mut client, &[HEADERS, RST_STREAM, GOAWAY]).await;
    // `:status: 431`, the number as Huffman's code has it (RFC 7541 appendix B).
    assert_eq!((kind, &block[..]), (HEADERS, &[0x48, 0x83, 0x69, 0x90, 0xff][..]));
}

#[tokio::test]
async fn a_drain_says_goaway_and_answers_what_is_under_way() {
    let echo = Arc::new(Echo::default());
    let rig = Rig::start(Arc::clone(&echo), generous()).await;
    let mut client = greeted(&rig).await;
    client.send(get(1, "/wait")).await;
    echo.waiting.notified().await;
    let mut server = rig.stop();
    next(&mut client, &[GOAWAY]).await;
    echo.go.notify_one();
    let (_, stream, block) = next(&mut client, &[HEADERS]).await;
    assert_eq!((stream, block[0]), (1, 0x88));
    // The client answers the ping that goes with the first GOAWAY, as RFC 9113 section 6.8 has it.
    drop(client);
    assert_eq!(server.join_next().await.unwrap().unwrap().cut_off, 0);
}

#[tokio::test]
async fn connection_headers_are_refused() {
    let rig = Rig::start(Arc::new(Echo::default()), generous()).await;
    let mut client = greeted(&rig).await;
    let mut block = vec![0x82, 0x86, 0x41, 1, b'a', 0x84, 0x40, 17];
    block.extend(b"transfer-encoding\x07chunked");
    let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), HEADERS, 5, 0, 0, 0, 1];
    frame.extend(block);
    client.send(frame).await;
    let (kind, _, _) = next(&mut client, &[RST_STREAM, HEADERS, GOAWAY]).await;
    assert_ne!(kind, HEADERS, "it was answered");
}
