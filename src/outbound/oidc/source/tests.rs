//! Issuers that misbehave, on a real socket.
use super::{Fetched, KeysAt, NotFetched, Source};
use crate::{
    domain::secret::Secret,
    outbound::{
        http::{
            FetchError, TlsFault,
            proxy::ProxySettings,
            reach::ForbiddenAddress,
            site::{Reply, Site},
            trust::Trust,
        },
        oidc::{
            discovery::{UnusableDiscovery, default_address},
            jwks::UnusableKeys,
            keys::{Config, Timing},
        },
    },
};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// An issuer at `url` as it is configured for a test.
fn config(url: &Url) -> Config {
    let issuer = url.as_str().parse().unwrap();
    Config {
        keys_at: KeysAt::Discovery(default_address(&issuer).unwrap()),
        issuer,
        certificate_authority: None,
        bearer: None,
        insecure_http: true,
        timing: Timing {
            refresh: Duration::from_mins(10),
            cooldown: Duration::from_secs(30),
            max_stale: Duration::from_hours(24),
            fetch_timeout: Duration::from_secs(5),
        },
        proxy: ProxySettings::default(),
    }
}

async fn fetch(config: &Config) -> Result<Fetched, NotFetched> {
    let remote = config.remote(&Trust::of_host()).unwrap();
    remote.fetch(Instant::now() + Duration::from_secs(20)).await
}

fn document(issuer: &str, jwks_uri: &str) -> Reply {
    Reply::ok(format!(r#"{{"issuer":"{issuer}","jwks_uri":"{jwks_uri}"}}"#))
}

/// A site whose document names itself as issuer and `jwks_uri` on itself, and whose keys are `keys`.
fn site(keys: Reply) -> Site {
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let root = format!("http://{}/", listening.local_addr().unwrap());
    let named = root.clone();
    Site::on(listening, move |path| match path {
        "/.well-known/openid-configuration" => document(&named, &format!("{named}keys")),
        _ => keys.clone(),
    })
}

#[tokio::test]
async fn keys_are_found_through_the_discovery_document() {
    let site = site(Reply::ok(KEYS));
    let bearer = Some(Secret::text("t0ken"));
    let fetched = fetch(&Config { bearer, ..config(&site.url) }).await.unwrap();
    assert!(fetched.keys.has("k1"));
    let heads = site.heads();
    assert!(heads[0].starts_with("GET /.well-known/openid-configuration HTTP/1.1\r\n"));
    assert!(heads[1].starts_with("GET /keys HTTP/1.1\r\n"));
    assert!(heads.iter().all(|head| head.contains("authorization: Bearer t0ken\r\n")), "{heads:?}");
}

#[tokio::test]
async fn a_configured_address_of_the_keys_skips_discovery() {
    let site = site(Reply::ok(KEYS));
    let keys_at = KeysAt::Jwks(site.at("/keys"));
    assert!(fetch(&Config { keys_at, ..config(&site.url) }).await.is_ok());
    assert_eq!(site.heads().len(), 1);
}

#[tokio::test]
async fn an_issuer_with_a_private_authority_is_believed_where_that_is_configured() {
    let site = Site::secure(|_| Reply::ok(KEYS));
    let keys_at = KeysAt::Jwks(site.at("/keys"));
    let plain = Config { keys_at, insecure_http: false, ..config(&site.url) };
    let error = fetch(&plain).await.unwrap_err();
    assert!(
        matches!(error, NotFetched::Keys(FetchError::Tls(TlsFault::UnknownAuthority))),
        "{error:?}"
    );
    let pem = site.authority.clone().into_bytes().into_boxed_slice();
    let believing = Config { certificate_authority: Some(pem), ..plain };
    assert!(fetch(&believing).await.unwrap().keys.has("k1"));
}

#[tokio::test]
async fn p6_a_document_that_names_another_issuer_ends_the_attempt_before_the_keys() {
    let site = Site::open(|_| document("https://other.test", "http://127.0.0.1:1/"));
    let error = fetch(&config(&site.url)).await.unwrap_err();
    assert!(matches!(error, NotFetched::Document(UnusableDiscovery::OtherIssuer)), "{error:?}");
}

#[tokio::test]
async fn p6_a_document_cannot_lead_to_the_clouds_metadata() {
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let root = format!("http://{}/", listening.local_addr().unwrap());
    let named = root.clone();
    let site = Site::on(listening, move |_| document(&named, "http://169.254.169.254/keys"));
    let error = fetch(&config(&site.url)).await.unwrap_err();
    assert!(
        matches!(error, NotFetched::Keys(FetchError::Forbidden(ForbiddenAddress::LinkLocal))),
        "{error:?}"
    );
}

#[tokio::test]
async fn p6_keys_that_are_none_fail_the_attempt_and_are_not_repeated() {
    for body in ["<html>SECRETMARK", "", "[]", r#"{"keys":"SECRETMARK"}"#, r#"{"keys":[]}"#] {
        let site = site(Reply::ok(body));
        let error = fetch(&config(&site.url)).await.unwrap_err();
        assert!(
            matches!(
                error,
                NotFetched::KeySet(UnusableKeys::Unreadable(_) | UnusableKeys::None { .. })
            ),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("SECRETMARK"));
    }
}

#[tokio::test]
async fn p6_keys_behind_a_redirect_are_not_fetched() {
    let site = site(Reply::with("302 Found", "location: /elsewhere\r\n", ""));
    let error = fetch(&config(&site.url)).await.unwrap_err();
    assert!(matches!(error, NotFetched::Keys(FetchError::Redirect(302))), "{error:?}");
    assert_eq!(site.heads().len(), 2);
}

#[tokio::test]
async fn p6_keys_of_more_than_half_a_mebibyte_are_not_read() {
    let site = site(Reply::ok(" ".repeat(512 * 1024 + 1)));
    let error = fetch(&config(&site.url)).await.unwrap_err();
    assert!(matches!(error, NotFetched::Keys(FetchError::TooLong(_))), "{error:?}");
}

#[tokio::test]
async fn p6_discovery_and_keys_share_one_deadline() {
    let site = site(Reply::Hang(Vec::new()));
    let remote = config(&site.url).remote(&Trust::of_host()).unwrap();
    let fetching = remote.fetch(Instant::now() + Duration::from_millis(80));
    // Far less than a deadline of its own would be.
    let fetched = tokio::time::timeout(Duration::from_secs(3), fetching).await;
    let error = fetched.expect("the keys have a deadline of their own").unwrap_err();
    assert!(matches!(error, NotFetched::Keys(FetchError::Deadline)), "{error:?}");
}
