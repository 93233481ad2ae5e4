//! Providers that rotate, fail and come back (contract 3, "Which tokens pass"; contract 5, `keys`).
use crate::{
    client,
    house::{Idp, Place, eventually},
};
use serde_json::json;
use usher::dev::provider::Signer;

#[tokio::test]
async fn p15_usher_starts_with_its_issuer_down_and_recovers_by_itself() {
    let (mut idp, place) = (Idp::open().await, Place::new());
    let token = idp.token("alice");
    idp.close().await;
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    assert_eq!(client::get(usher.health(), "/livez").await.status, 200);
    assert_eq!(client::get(usher.health(), "/startupz").await.status, 200);
    let unready = client::get(usher.health(), "/readyz?verbose").await;
    assert_eq!(unready.status, 503);
    let faults = unready.json()["faults"].to_string();
    assert!(faults.contains(idp.provider.issuer()), "{faults}");
    let refused = usher.exchange(&token).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "issuer_unavailable"));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);

    idp.reopen().await;
    usher.until("/readyz", 200).await;
    assert_eq!(usher.exchange(&token).await.status, 200);
    usher.stop().await;
}

#[tokio::test]
async fn p15_an_issuer_that_answered_with_errors_at_the_start_is_found_by_whoever_asks_first() {
    let (idp, place) = (Idp::open().await, Place::new());
    idp.provider.set_broken(true);
    let issuer = json!({
        "url": idp.provider.issuer(), "audiences": ["chat"], "insecureHttp": true,
        "keys": {"cooldown": "5m"},
    });
    place.configure(idp.provider.issuer(), &json!({"issuers": [issuer]}));
    let usher = place.start().await;
    let fetches = format!(
        "usher_jwks_fetches_total{{issuer=\"{}\",outcome=\"failed\"}} 1",
        idp.provider.issuer()
    );
    eventually(async || {
        let text = client::get(usher.health(), "/metrics").await;
        String::from_utf8(text.body.to_vec()).unwrap().contains(&fetches).then_some(())
    })
    .await;
    idp.provider.set_broken(false);
    assert_eq!(usher.exchange(&idp.token("alice")).await.status, 200);
    usher.stop().await;
}

#[tokio::test]
async fn p2_with_the_provider_down_known_keys_go_on_and_unknown_ones_are_503() {
    let (mut idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    let known = idp.token("alice");
    assert_eq!(usher.exchange(&known).await.status, 200);
    let fresh = idp.token("bob");
    idp.close().await;
    idp.provider.rotate(Signer::random().unwrap(), false);
    let unknown = idp.token("alice");
    assert_eq!(usher.exchange(&known).await.status, 200);
    assert_eq!(usher.exchange(&fresh).await.status, 200, "a new token of a known key");
    let refused = usher.exchange(&unknown).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "issuer_unavailable"));
    assert_eq!(client::get(usher.health(), "/readyz").await.status, 200, "ready stays ready");
    usher.stop().await;
}

#[tokio::test]
async fn usher_notices_that_it_is_ready_though_nobody_asks_until_the_keys_are_gone_again() {
    let (mut idp, place) = (Idp::open().await, Place::new());
    let issuer = json!({
        "url": idp.provider.issuer(), "audiences": ["chat"], "insecureHttp": true,
        "keys": {"cooldown": "1s", "refresh": "1s", "maxStale": "2s", "fetchTimeout": "1s"},
    });
    place.configure(idp.provider.issuer(), &json!({"issuers": [issuer]}));
    let usher = place.start().await;
    let token = idp.token("alice");
    assert_eq!(usher.exchange(&token).await.status, 200);
    idp.close().await;
    eventually(async || (usher.exchange(&token).await.status == 503).then_some(())).await;
    let asked = client::get(usher.health(), "/readyz?verbose").await;
    let faults = asked.json()["faults"].to_string();
    assert!(faults.contains("too old to be used"), "{faults}");
    assert_eq!(asked.status, 200, "{faults}");
    usher.stop().await;
}

#[tokio::test]
async fn rotating_the_key_loses_no_request() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    for round in 0..40 {
        if round == 20 {
            idp.provider.rotate(Signer::random().unwrap(), false);
        }
        let reply = usher.exchange(&idp.token("alice")).await;
        assert_eq!(reply.status, 200, "round {round}: {:?}", reply.body);
    }
    usher.stop().await;
}

#[tokio::test]
async fn p1_a_storm_of_unknown_kids_costs_one_fetch_a_cooldown_and_does_not_hide_a_new_key() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    assert_eq!(usher.exchange(&idp.token("alice")).await.status, 200);
    let before = idp.provider.jwks_requests();
    let began = std::time::Duration::from_secs(1);
    let storm = async {
        for batch in 0..10 {
            let tokens = (0..100).map(|n| {
                let header = json!({"typ": "at+jwt", "kid": format!("storm-{batch}-{n}")});
                idp.token_of("mallory", &header)
            });
            let asked = tokens.map(|token| {
                let to = usher.public();
                async move { client::exchange(to, &token).await.status.as_u16() }
            });
            let statuses = futures_util::future::join_all(asked).await;
            assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
        }
    };
    let started = tokio::time::Instant::now();
    storm.await;
    let windows = started.elapsed().as_millis() / began.as_millis() + 1;
    let fetched = u128::from(idp.provider.jwks_requests() - before);
    assert!((1..=windows).contains(&fetched), "{fetched} fetches in {windows} cooldowns");

    idp.provider.rotate(Signer::random().unwrap(), false);
    let token = idp.token("alice");
    eventually(async || (usher.exchange(&token).await.status == 200).then_some(())).await;
    usher.stop().await;
}

#[tokio::test]
async fn p15_one_dead_issuer_does_not_block_another() {
    let (mut dead, alive, place) = (Idp::open().await, Idp::open().await, Place::new());
    let lost = dead.token("alice");
    dead.close().await;
    let issuer = |idp: &Idp| json!({"url": idp.provider.issuer(), "audiences": ["chat"], "insecureHttp": true});
    place.configure("unused", &json!({"issuers": [issuer(&dead), issuer(&alive)]}));
    let usher = place.start().await;
    assert_eq!(usher.exchange(&alive.token("alice")).await.status, 200);
    assert_eq!(usher.exchange(&lost).await.status, 503);
    usher.until("/readyz", 200).await;
    usher.stop().await;
}
