//! What goes through a proxy.
use super::*;

/// A proxy that writes down the head of a CONNECT, then tunnels to `target` whatever was asked for.
async fn proxy(
    target: u16,
    answer: &'static str,
) -> (u16, Arc<std::sync::Mutex<String>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let (mut tasks, noted) = (JoinSet::new(), Arc::clone(&seen));
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        *noted.lock().unwrap() = String::from_utf8(head).unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut onward = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut onward).await;
    });
    (port, seen, tasks)
}

/// Fetches `url`, whose name only the proxy knows; the site there is `issuer.test`.
async fn through_proxy(url: &str, answer: &'static str) -> (Result<Bytes, FetchError>, String) {
    let site = Site::secure(|_| Reply::ok("{}"));
    let (port, seen, _tasks) = proxy(site.url.port().unwrap(), answer).await;
    let trust = host().and_authority(site.authority.as_bytes()).unwrap();
    let settings = format!("http://us%65r:p%40ss@127.0.0.1:{port}");
    let client = HttpsClient::new(trust, ProxySettings::new(Some(&settings), None).unwrap());
    let url = url.parse().unwrap();
    let request = Get { insecure_http: false, ..get(&url) };
    let fate = client.get(request, Instant::now() + Duration::from_secs(20)).await;
    let head = seen.lock().unwrap().clone();
    (fate, head)
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

#[tokio::test]
async fn https_goes_through_a_tunnel_that_the_proxy_opens() {
    let (fate, head) = through_proxy("https://issuer.test/keys", ESTABLISHED).await;
    assert_eq!(fate.unwrap(), "{}");
    assert!(head.starts_with("CONNECT issuer.test:443 HTTP/1.1\r\n"), "{head}");
    // user:p@ss
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_cannot_stand_in_for_an_issuer() {
    let (fate, _) = through_proxy("https://other.test/keys", ESTABLISHED).await;
    assert!(matches!(fate, Err(FetchError::Tls(TlsFault::OtherHost))), "{fate:?}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_as_the_one_at_fault() {
    for answer in [
        "HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Elsewhere\r\nlocation: /\r\n\r\n",
    ] {
        let (fate, _) = through_proxy("https://issuer.test/keys", answer).await;
        assert!(matches!(fate, Err(FetchError::Tunnel(_))), "{fate:?}");
    }
}

#[tokio::test]
async fn p6_a_metadata_address_is_not_asked_for_through_a_proxy_either() {
    let settings = ProxySettings::new(Some("http://127.0.0.1:1"), None).unwrap();
    let url = "https://169.254.169.254/".parse().unwrap();
    let soon = Instant::now() + Duration::from_secs(20);
    let fate = HttpsClient::new(host(), settings).get(get(&url), soon).await;
    assert!(matches!(fate, Err(FetchError::Forbidden(_))), "{fate:?}");
}
