//! Reload and stop (contract 2).
use crate::{
    client,
    house::{Idp, Place, eventually},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};

/// Checks a Conversations token's signature with a secret.
fn is_signed_with(jwt: &str, secret: &str) -> bool {
    let (signed, signature) = jwt.rsplit_once('.').unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn p8_after_a_swap_of_the_data_link_the_new_secret_signs_the_very_next_token() {
    let (idp, place) = (Idp::open().await, Place::new());
    let new_secret = "VUTSRQPONMLKJIHGFEDCBA9876543210";
    for (version, secret) in [("..1", crate::house::API_SECRET), ("..2", new_secret)] {
        fs::create_dir(place.path(version)).unwrap();
        fs::write(place.path(version).join("secret"), secret).unwrap();
    }
    fs::remove_file(place.path("secret")).unwrap();
    symlink("..1", place.path("..data")).unwrap();
    symlink("..data/secret", place.path("secret")).unwrap();
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    let token = idp.token("alice");
    let jwt = async || usher.exchange(&token).await.json()["token"].as_str().unwrap().to_owned();
    let first = jwt().await;
    assert!(is_signed_with(&first, crate::house::API_SECRET));
    assert_eq!(jwt().await, first, "a fresh token is handed out again");

    symlink("..2", place.path("..new")).unwrap();
    fs::rename(place.path("..new"), place.path("..data")).unwrap();

    let next = eventually(async || {
        let next = jwt().await;
        (next != first).then_some(next)
    })
    .await;
    assert!(is_signed_with(&next, new_secret));
    usher.stop().await;
}

#[tokio::test]
async fn p15_a_half_written_configuration_keeps_the_last_good_one_and_raises_a_metric() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let whole = fs::read_to_string(place.path("usher.yaml")).unwrap();
    let usher = place.start().await;
    let metric = async |value: &str| {
        let line = format!("usher_config_reload_failed {value}");
        eventually(async || {
            let text = client::get(usher.health(), "/metrics").await;
            let text = String::from_utf8(text.body.to_vec()).unwrap();
            text.lines().any(|l| l == line).then_some(())
        })
        .await;
    };
    for half in ["", "twilio:\n  accountSid: [", whole.split_at(whole.len() / 2).0] {
        fs::write(place.path("usher.yaml"), half).unwrap();
        metric("1").await;
        assert_eq!(usher.exchange(&idp.token("alice")).await.status, 200);
        fs::write(place.path("usher.yaml"), &whole).unwrap();
        metric("0").await;
    }
    usher.stop().await;
}

#[tokio::test]
async fn the_metrics_name_what_the_contract_names() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    usher.exchange(&idp.token("alice")).await;
    usher.exchange("nonsense").await;
    let text = client::get(usher.health(), "/metrics").await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    let issuer = idp.provider.issuer();
    for line in [
        "usher_token_requests_total{outcome=\"issued\",code=\"none\"} 1",
        "usher_token_requests_total{outcome=\"refused\",code=\"malformed_token\"} 1",
        "usher_identity_cache_misses_total 1",
        &format!("usher_jwks_fetches_total{{issuer=\"{issuer}\",outcome=\"ok\"}} 1"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    assert!(text.contains(&format!("usher_jwks_age_seconds{{issuer=\"{issuer}\"}}")));
    usher.stop().await;
}

#[tokio::test]
async fn a_reload_changes_the_grace_too() {
    use tokio::io::AsyncWriteExt as _;
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({"shutdown": {"grace": "5m"}}));
    let usher = place.start().await;
    place.configure(
        idp.provider.issuer(),
        &json!({"shutdown": {"grace": "1s"}, "public": {"prefix": "/chat"}}),
    );
    eventually(async || {
        (client::get(usher.public(), "/chat/client.js").await.status == 200).then_some(())
    })
    .await;
    // A request that never ends.
    let mut stream = tokio::net::TcpStream::connect(usher.public()).await.unwrap();
    stream
        .write_all(b"POST /chat/token HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        .await
        .unwrap();
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(9), usher.stop()).await;
    assert!(stopped.is_ok(), "the first configuration's grace is in force");
}
