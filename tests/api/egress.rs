//! The app's look-up (contract 2, "Egress"; contract 4, last paragraph).
use crate::{
    client::{self, Reply},
    house::{Idp, Place, Usher, eventually},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, request::Builder};
use http_body_util::Full;
use serde_json::{Value, json};
use std::fs;
use usher::{
    app::{self, Host},
    domain::{identity::IdentityKey, secret::Secret, subject::Subject},
    flow::registry::Order,
    ports::registry::{Owner, Rekey, Row},
};

fn listen() -> Value {
    json!({
        "public": "127.0.0.1:0", "egress": "127.0.0.1:0", "admin": "127.0.0.1:0",
        "health": "127.0.0.1:0",
    })
}

async fn house(egress: Value) -> (Idp, Place, Usher) {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({"listen": listen(), "egress": egress}));
    let usher = place.start().await;
    (idp, place, usher)
}

async fn send(usher: &Usher, request: Builder) -> Reply {
    client::send(usher.egress(), request.body(Full::default()).unwrap()).await
}

/// Asks as an app that means it.
async fn look_up(usher: &Usher, path: &str) -> Reply {
    send(usher, Request::get(path).header("usher-egress", "1")).await
}

fn refusal(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    (reply.status.as_u16(), reply.code())
}

fn told(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn alice_can_be_given_bobs_identity_before_bob_signs_in() {
    let (idp, place, usher) = house(json!({"lookup": ["corp"]})).await;
    let alice = usher.identity(&idp.token("alice")).await;
    let path = "/usher/identities?namespace=corp&subject=bob&subject=alice&subject=bob";
    let seen = look_up(&usher, path).await;
    assert_eq!((seen.status.as_u16(), seen.header("cache-control")), (200, "no-store"));
    let seen = seen.json();
    let bob = seen[0]["identity"].as_str().unwrap().to_owned();
    assert_eq!(
        seen,
        json!([
            {"namespace": "corp", "subject": "bob", "identity": bob, "known": false},
            {"namespace": "corp", "subject": "alice", "identity": alice, "known": true},
            {"namespace": "corp", "subject": "bob", "identity": bob, "known": false},
        ])
    );
    let back = look_up(&usher, &format!("/usher/identities/{alice}")).await;
    let wanted =
        json!([{"namespace": "corp", "subject": "alice", "identity": alice, "known": true}]);
    assert_eq!(back.json(), wanted);

    // A look-up writes nothing.
    let unseen = look_up(&usher, &format!("/usher/identities/{bob}")).await;
    assert_eq!(refusal(&unseen), told(404, "not_found"));
    assert_eq!(look_up(&usher, path).await.json(), seen);
    assert_eq!(usher.identity(&idp.token("bob")).await, bob);
    assert_eq!(look_up(&usher, path).await.json()[0]["known"], true);
    drop(place);
    usher.stop().await;
}

/// Where a first sight would be refused, or give another identity.
#[tokio::test]
async fn p12_no_identity_is_foretold_that_a_sign_in_would_not_give() {
    let (idp, place, usher) = house(json!({"lookup": ["corp"]})).await;
    let settings = place.settings();
    let host = Host::system(settings.identity_key.fingerprint());
    let registrar = app::registry(&settings, app::Absent::Made, host.clock).await.unwrap();
    let order = Order { who: "cli:test".into(), why: "test".into() };
    let of = |id: &str| {
        let subject = Subject::new("corp".parse().unwrap(), id.parse().unwrap());
        let derived = registrar.key().derive(&subject);
        (subject, derived)
    };
    let told = async |id: &str| {
        let seen = look_up(&usher, &format!("/usher/identities?namespace=corp&subject={id}")).await;
        (seen.json()[0]["identity"].clone(), seen.json()[0]["known"].clone())
    };
    let nothing = (Value::Null, json!(false));

    // Erased: she is not to come back as anybody.
    let alice = usher.identity(&idp.token("alice")).await;
    registrar.erase(alice.parse().unwrap(), &order).await.unwrap();
    assert_eq!(told("alice").await, nothing);
    let refused = eventually(async || {
        let reply = usher.exchange(&idp.token("alice")).await;
        (reply.status == 403).then(|| reply.code())
    });
    assert_eq!(refused.await, "identity_retired");

    // Ended before he ever came: he is known.
    let (dave, daves) = of("dave");
    registrar.retire_subject(dave, &order).await.unwrap();
    assert_eq!(told("dave").await, (json!(daves.as_str()), json!(true)));

    // An import that holds gave it to another; its rows are still to be moved.
    let (_, bobs) = of("bob");
    let owner = Owner::Subject("corp".into(), "mallory".into());
    let row = Row { owner, identity: bobs, is_retired: false, derived_with: None };
    let (store, author) = (registrar.store(), registrar.author(&order));
    let import = store.begin_import(&author).await.unwrap();
    store.stage(import, &[(2, row)]).await.unwrap();
    store.verify(import, true).await.unwrap();
    store.apply(import, &author).await.unwrap();
    assert_eq!(told("bob").await, nothing);
    assert_eq!(usher.exchange(&idp.token("bob")).await.code(), "identity_conflict");

    // The store has another key by now, with which this sidecar cannot foretell anything.
    let (_, carols) = of("carol");
    assert_eq!(told("carol").await, (json!(carols.as_str()), json!(false)));
    let new = IdentityKey::new(&Secret::text("fedcba9876543210fedcba9876543210")).unwrap();
    let rekey = Rekey {
        old: registrar.key().clone(),
        new: Some(new),
        formats: Vec::new(),
        keep: true,
        dry_run: false,
    };
    registrar.rekey(&rekey, &order).await.unwrap();
    assert_eq!(told("carol").await, nothing);
    assert_eq!(usher.exchange(&idp.token("carol")).await.code(), "store_unavailable");
    usher.stop().await;
}

#[tokio::test]
async fn a_subject_is_decoded_strictly_and_up_to_100_are_looked_up() {
    let (_idp, _place, usher) = house(json!({"lookup": ["corp"]})).await;
    let ask = async |query: &str| look_up(&usher, &format!("/usher/identities?{query}")).await;
    let seen = ask("namespace=corp&subject=Zo%C3%AB-%E6%9D%8E%2B%26").await.json();
    assert_eq!(seen[0]["subject"], "Zoë-李+&");
    let many =
        |count| (0..count).fold("namespace=corp".to_owned(), |q, n| format!("{q}&subject=s{n}"));
    assert_eq!(ask(&many(100)).await.json().as_array().unwrap().len(), 100);
    for query in [
        &*many(101),
        "",
        "namespace=corp",
        "subject=a",
        "namespace=corp&namespace=corp&subject=a",
        "namespace=corp&subject=",
        "namespace=corp&subject=%zz",
        "namespace=corp&subject=%ff",
        "namespace=corp&subject=a%0Ab",
        "namespace=corp&subject=a&other=b",
    ] {
        assert_eq!(refusal(&ask(query).await), told(400, "bad_request"), "{query}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn p20_only_the_namespaces_of_egress_lookup_are_shown() {
    let (idp, place, usher) = house(json!({"lookup": ["other"]})).await;
    let alice = usher.identity(&idp.token("alice")).await;
    let refused = look_up(&usher, "/usher/identities?namespace=corp&subject=alice").await;
    assert_eq!(refusal(&refused), told(403, "operation_not_allowed"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("\"corp\"") && detail.contains("egress.lookup"), "{detail}");
    let refused = look_up(&usher, &format!("/usher/identities/{alice}")).await;
    assert_eq!(refusal(&refused), told(404, "not_found"));
    // Nobody derives for a namespace that no issuer has.
    let seen = look_up(&usher, "/usher/identities?namespace=other&subject=alice").await.json();
    assert_eq!(seen[0]["identity"], Value::Null);

    let more = json!({"listen": listen(), "egress": {"lookup": ["corp"]}});
    place.configure(idp.provider.issuer(), &more);
    let path = format!("/usher/identities/{alice}");
    eventually(async || (look_up(&usher, &path).await.status == 200).then_some(())).await;
    usher.stop().await;
}

#[tokio::test]
async fn p19_a_plain_request_to_egress_is_refused_whatever_it_asks_for() {
    let (_idp, _place, usher) = house(json!({"lookup": ["corp"]})).await;
    let path = "/usher/identities?namespace=corp&subject=alice";
    for path in [path, "/usher/identities/x", "/v1/Services", "/", "/nothing"] {
        let refused = send(&usher, Request::get(path)).await;
        assert_eq!(refusal(&refused), told(403, "origin_refused"), "{path}");
    }
    let account = format!("AC{}", "0".repeat(32));
    let key = format!("SK{}", "1".repeat(32));
    for user in [&account, &key] {
        let meant = Request::get(path).header("authorization", basic(user, "placeholder"));
        assert_eq!(send(&usher, meant).await.status, 200, "{user}");
    }
    for value in [basic("AC1", "x"), format!("Bearer {account}")] {
        let refused = send(&usher, Request::get(path).header("authorization", &value)).await;
        assert_eq!(refusal(&refused), told(403, "origin_refused"), "{value}");
    }
    let twice = basic(&account, "x");
    let twice = Request::get(path).header("authorization", &twice).header("authorization", &twice);
    assert_eq!(refusal(&send(&usher, twice).await), told(400, "bad_request"));
    usher.stop().await;
}

#[tokio::test]
async fn p19_where_egress_token_is_set_the_app_must_show_it() {
    let (idp, place, usher) = house(json!({"lookup": ["corp"]})).await;
    let path = "/usher/identities?namespace=corp&subject=alice";
    assert_eq!(look_up(&usher, path).await.status, 200);
    fs::write(place.path("egress-token"), "hunter2\n").unwrap();
    let egress = json!({"lookup": ["corp"], "token": {"file": "egress-token"}});
    place.configure(idp.provider.issuer(), &json!({"listen": listen(), "egress": egress}));
    eventually(async || (look_up(&usher, path).await.status == 403).then_some(())).await;
    let account = format!("AC{}", "0".repeat(32));
    let asked = Request::get(path).header("authorization", basic(&account, "x"));
    assert_eq!(refusal(&send(&usher, asked).await), told(403, "origin_refused"));
    let meant = Request::get(path).header("authorization", basic(&account, "hunter2"));
    assert_eq!(send(&usher, meant).await.status, 200);
    let meant = Request::get(path).header("usher-egress", "hunter2");
    assert_eq!(send(&usher, meant).await.status, 200);
    usher.stop().await;
}

#[tokio::test]
async fn p14_rebound_names_pages_and_proxies_are_refused_with_proof_too() {
    let (_idp, _place, usher) = house(json!({"lookup": ["corp"], "hosts": ["usher"]})).await;
    let path = "/usher/identities?namespace=corp&subject=alice";
    let asked = async |name: &str, value: &str| {
        let request = Request::get(path).header("usher-egress", "1").header(name, value);
        send(&usher, request).await
    };
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let refused = asked(name, value).await;
        assert_eq!(refusal(&refused), told(403, "origin_refused"), "{name}: {value}");
    }
    assert_eq!(asked("host", "usher:4181").await.status, 200);
    usher.stop().await;
}

#[tokio::test]
async fn nothing_else_is_at_egress_yet_and_it_is_opened_only_where_it_is_configured() {
    let (idp, place, usher) = house(json!({})).await;
    for path in [
        "/v1/Services",
        "/v1",
        "/",
        "/usher",
        "/usher/",
        "/usher/identities/",
        "/usher/identities/a/b",
        "/api/identities",
    ] {
        assert_eq!(refusal(&look_up(&usher, path).await), told(404, "not_found"), "{path}");
    }
    let posted = Request::post("/usher/identities").header("usher-egress", "1");
    let refused = send(&usher, posted).await;
    assert_eq!(refusal(&refused), told(405, "method_not_allowed"));
    assert_eq!(refused.header("allow"), "GET, HEAD");
    usher.stop().await;

    place.configure(idp.provider.issuer(), &json!({"listen": listen()}));
    let usher = place.start().await;
    assert!(usher.has_no_egress());
    usher.stop().await;
}
