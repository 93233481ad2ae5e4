//! One user, one identity (contract 4).
use crate::house::{IDENTITY_KEY, Idp, Place};
use serde_json::json;
use std::fs;
use usher::domain::{identity::IdentityKey, secret::Secret, subject::Subject};

#[tokio::test]
async fn the_same_user_has_the_same_identity_after_a_restart_and_after_the_store_is_gone() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), json!({}));
    let usher = place.start().await;
    let (alice, bob) =
        (usher.identity(&idp.token("alice")).await, usher.identity(&idp.token("bob")).await);
    assert_ne!(alice, bob);
    usher.stop().await;

    let usher = place.start().await;
    assert_eq!(usher.identity(&idp.token("alice")).await, alice);
    usher.stop().await;

    for name in ["usher.db", "usher.db-wal", "usher.db-shm"] {
        let _ = fs::remove_file(place.path(name));
    }
    let usher = place.start().await;
    assert_eq!(usher.identity(&idp.token("alice")).await, alice);
    usher.stop().await;

    let key = IdentityKey::new(&Secret::text(IDENTITY_KEY)).unwrap();
    let subject = Subject::new("corp".parse().unwrap(), "alice".parse().unwrap());
    assert_eq!(key.derive(&subject).as_str(), alice);
}

#[tokio::test]
async fn p20_two_issuers_give_one_subject_two_identities_unless_both_say_that_they_share() {
    let (one, two, place) = (Idp::open().await, Idp::open().await, Place::new());
    let issuer = |idp: &Idp, more: serde_json::Value| {
        let mut issuer = json!({
            "url": idp.provider.issuer(), "audiences": ["chat"], "insecureHttp": true,
        });
        for (key, value) in more.as_object().unwrap() {
            issuer[key] = value.clone();
        }
        issuer
    };
    let apart = json!({"issuers": [issuer(&one, json!({})), issuer(&two, json!({}))]});
    place.configure(one.provider.issuer(), apart);
    let usher = place.start().await;
    let first = usher.identity(&one.token("alice")).await;
    assert_ne!(first, usher.identity(&two.token("alice")).await);
    usher.stop().await;

    let shared = json!({"namespace": "corp", "sharedNamespace": true});
    let together = json!({"issuers": [issuer(&one, shared.clone()), issuer(&two, shared)]});
    place.configure(one.provider.issuer(), together);
    let usher = place.start().await;
    let first = usher.identity(&one.token("alice")).await;
    assert_eq!(first, usher.identity(&two.token("alice")).await);
    usher.stop().await;
}

#[tokio::test]
async fn p18_asking_for_a_service_that_no_grant_gives_is_refused() {
    let (idp, place) = (Idp::open().await, Place::new());
    let twilio = json!({
        "accountSid": format!("AC{}", "0".repeat(32)),
        "apiKey": {"sid": format!("SK{}", "1".repeat(32)), "secret": {"file": "secret"}},
        "services": {
            "main": {"sid": format!("IS{}", "2".repeat(32))},
            "other": {"sid": format!("IS{}", "3".repeat(32))},
        },
    });
    let grants = json!([
        {"name": "staff", "when": "'staff' in claims.groups", "service": "other"},
        {"name": "all", "service": "main"},
    ]);
    place.configure(idp.provider.issuer(), json!({"twilio": twilio, "grants": grants}));
    let usher = place.start().await;
    let ask = async |user: &str, query: &str| {
        let path = format!("/conversations/token{query}");
        let request = http::Request::get(path)
            .header("authorization", format!("Bearer {}", idp.token(user)))
            .body(http_body_util::Full::default());
        crate::client::send(usher.public(), request.unwrap()).await
    };
    let sid = |reply: &crate::client::Reply| reply.json()["service_sid"].as_str().map(str::to_owned);
    let (main, other) = (format!("IS{}", "2".repeat(32)), format!("IS{}", "3".repeat(32)));
    assert_eq!(sid(&ask("alice", "").await), Some(other));
    assert_eq!(sid(&ask("alice", "?service=main").await), Some(main.clone()));
    assert_eq!(sid(&ask("bob", "").await), Some(main));
    for query in ["?service=other", "?service=nothing"] {
        let refused = ask("bob", query).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "not_entitled"));
    }
    usher.stop().await;
}
