//! What the client refuses, against a real socket.
mod tunnel;

use super::{
    FetchError, Get, HttpsClient, TlsFault,
    proxy::ProxySettings,
    reach::{ForbiddenAddress, Reach},
    site::{Reply, Site},
    trust::Trust,
};
use crate::domain::secret::Secret;
use bytes::Bytes;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};
use url::Url;

const CAP: usize = 64 * 1024;

fn host() -> Trust {
    // The host's roots take a while to load.
    static HOST: OnceLock<Trust> = OnceLock::new();
    HOST.get_or_init(Trust::of_host).clone()
}

fn get(url: &Url) -> Get<'_> {
    Get { url, reach: Reach::Configured, insecure_http: true, bearer: None, cap: CAP }
}

async fn fetch(get: Get<'_>) -> Result<Bytes, FetchError> {
    let client = HttpsClient::new(host(), ProxySettings::default());
    client.get(get, Instant::now() + Duration::from_secs(20)).await
}

/// What becomes of `reply`.
async fn fate(reply: Reply) -> Result<Bytes, FetchError> {
    let site = Site::open(move |_| reply.clone());
    fetch(get(&site.url)).await
}

#[tokio::test]
async fn a_request_says_who_asks_and_wants_nothing_compressed() {
    let site = Site::open(|_| Reply::ok("{}"));
    let bearer = Secret::text("t0ken");
    let mut url = site.at("/a/keys?v=1#part");
    url.set_username("alice").unwrap();
    let body = fetch(Get { bearer: Some(&bearer), ..get(&url) }).await.unwrap();
    assert_eq!(body, "{}");
    let head = site.heads().remove(0);
    let port = site.url.port().unwrap();
    assert!(head.starts_with("GET /a/keys?v=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("host: 127.0.0.1:{port}"),
        format!("user-agent: usher/{}", env!("CARGO_PKG_VERSION")),
        "accept-encoding: identity".to_owned(),
        "authorization: Bearer t0ken".to_owned(),
    ] {
        assert!(head.lines().any(|l| l == line), "{line} is not in\n{head}");
    }
}

#[tokio::test]
async fn p6_a_redirect_is_an_error_and_is_not_followed() {
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let site = Site::open(move |path| match path {
            "/" => Reply::with(status, "location: /there\r\n", ""),
            _ => Reply::ok("{}"),
        });
        assert!(matches!(fetch(get(&site.url)).await, Err(FetchError::Redirect(_))), "{status}");
        assert_eq!(site.heads().len(), 1);
    }
}

#[tokio::test]
async fn only_a_200_is_an_answer() {
    for status in ["201 Created", "204 No Content", "206 Partial", "404 Not Found", "500 Oh"] {
        let fate = fate(Reply::with(status, "", "{}")).await;
        assert!(matches!(fate, Err(FetchError::Status(_))), "{status}: {fate:?}");
    }
}

#[tokio::test]
async fn p6_a_compressed_answer_is_refused_before_its_body_is_read() {
    for encoding in ["gzip", "br", "identity, gzip", ""] {
        // The bomb itself never comes: whoever waited for it would end as `Deadline`.
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: 1000\r\n\r\n"
        );
        let fate = fate(Reply::Hang(head.into_bytes())).await;
        assert!(matches!(fate, Err(FetchError::Encoded)), "{encoding}: {fate:?}");
    }
    let identity = Reply::with("200 OK", "content-encoding: Identity\r\n", "{}");
    assert_eq!(fate(identity).await.unwrap(), "{}");
}

#[tokio::test]
async fn p6_a_body_that_says_it_is_over_the_cap_is_refused_unread() {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", CAP + 1);
    assert!(matches!(fate(Reply::Hang(head.into_bytes())).await, Err(FetchError::TooLong(CAP))));
}

#[tokio::test]
async fn p6_a_body_without_end_is_cut_off_at_the_cap() {
    // A real `Flood` first needs a head; chunks carry no length beforehand.
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"1000\r\n".as_slice(), &[b'a'; 0x1000], b"\r\n"].concat();
    let bytes = [chunked, chunk.repeat(CAP / 0x1000 + 1)].concat();
    assert!(matches!(fate(Reply::Hang(bytes)).await, Err(FetchError::TooLong(CAP))));
    let unframed = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; CAP + 1]].concat();
    assert!(matches!(fate(Reply::Hang(unframed)).await, Err(FetchError::TooLong(CAP))));
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_taken() {
    assert_eq!(fate(Reply::ok(vec![b'a'; CAP])).await.unwrap().len(), CAP);
}

#[tokio::test]
async fn p6_a_head_without_end_is_cut_off() {
    let fate = fate(Reply::Flood(b"HTTP/1.1 200 OK\r\nx: y\r\nx-more: ".to_vec())).await;
    assert!(matches!(fate, Err(FetchError::Exchange(_))), "{fate:?}");
}

#[tokio::test]
async fn p6_whoever_dawdles_meets_the_deadline() {
    for dawdling in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"] {
        let site = Site::open(move |_| Reply::Hang(dawdling.into()));
        let client = HttpsClient::new(host(), ProxySettings::default());
        let fate = client.get(get(&site.url), Instant::now() + Duration::from_millis(60)).await;
        assert!(matches!(fate, Err(FetchError::Deadline)), "{dawdling}: {fate:?}");
    }
}

#[tokio::test]
async fn p6_a_tls_handshake_that_never_comes_meets_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let client = HttpsClient::new(host(), ProxySettings::default());
    let fate = client.get(get(&url), Instant::now() + Duration::from_millis(60)).await;
    assert!(matches!(fate, Err(FetchError::ConnectDeadline)), "{fate:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".to_vec();
    assert!(matches!(fate(Reply::Raw(short)).await, Err(FetchError::Body)));
    assert!(matches!(
        fate(Reply::Raw(b"SSH-2.0\r\n".to_vec())).await,
        Err(FetchError::Exchange(_))
    ));
}

#[tokio::test]
async fn p6_plain_http_needs_the_operators_word() {
    let site = Site::open(|_| Reply::ok("{}"));
    let fate = fetch(Get { insecure_http: false, ..get(&site.url) }).await;
    assert!(matches!(fate, Err(FetchError::PlainHttp)), "{fate:?}");
    let other = "ftp://127.0.0.1/".parse().unwrap();
    assert!(matches!(fetch(get(&other)).await, Err(FetchError::Address)));
    assert!(site.heads().is_empty());
}

#[tokio::test]
async fn p6_a_link_local_address_is_never_connected_to() {
    for text in ["http://169.254.169.254/latest/", "http://[fe80::1]/", "http://0.0.0.0:1/"] {
        let url = text.parse().unwrap();
        let fate = fetch(get(&url)).await;
        let forbidden = FetchError::Forbidden(ForbiddenAddress::LinkLocal);
        assert_eq!(fate.unwrap_err().to_string(), forbidden.to_string(), "{text}");
    }
}

#[tokio::test]
async fn p6_a_discovered_name_that_leads_to_loopback_is_not_connected_to() {
    let site = Site::open(|_| Reply::ok("{}"));
    let port = site.url.port().unwrap();
    // By number, and by a name that has to be looked up.
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/").parse().unwrap();
        let fate = fetch(Get { reach: Reach::Discovered, ..get(&url) }).await;
        assert!(
            matches!(fate, Err(FetchError::Forbidden(ForbiddenAddress::Loopback))),
            "{host}: {fate:?}"
        );
    }
    assert!(site.heads().is_empty());
}

#[tokio::test]
async fn a_configured_authority_is_believed_and_a_strange_one_is_not() {
    let site = Site::secure(|_| Reply::ok("{}"));
    let request = Get { insecure_http: false, ..get(&site.url) };
    let strange = fetch(request).await;
    assert!(matches!(strange, Err(FetchError::Tls(TlsFault::UnknownAuthority))), "{strange:?}");
    let trust = host().and_authority(site.authority.as_bytes()).unwrap();
    let client = HttpsClient::new(trust, ProxySettings::default());
    let soon = Instant::now() + Duration::from_secs(20);
    assert_eq!(client.get(request, soon).await.unwrap(), "{}");
    let mut by_number = site.url.clone();
    by_number.set_host(Some("127.0.0.1")).unwrap();
    let other = client.get(Get { url: &by_number, ..request }, soon).await;
    assert!(matches!(other, Err(FetchError::Tls(TlsFault::OtherHost))), "{other:?}");
}

#[tokio::test]
async fn p6_no_error_repeats_what_the_other_side_wrote() {
    let mark = "SECRETMARK";
    for reply in [
        Reply::with(&format!("500 {mark}"), &format!("x-{mark}: {mark}\r\n"), mark),
        Reply::with("302 Found", &format!("location: https://{mark}/\r\n"), mark),
        Reply::Raw(format!("HTTP/1.1 2{mark}\r\n{mark}").into_bytes()),
        Reply::Raw(format!("HTTP/1.1 200 OK\r\n{mark}\r\n\r\n").into_bytes()),
        Reply::Raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {mark}\r\n\r\n").into_bytes()),
        Reply::Raw(
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{mark}\r\n").into(),
        ),
    ] {
        let error = fate(reply).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(mark), "{error:?}");
    }
}
