//! Identities that the token names, and those that wait for their users (contract 4).
use crate::{
    commands::{config, text, usher},
    house::{Idp, Place, eventually},
};
use serde_json::{Value, json};
use std::fs;
use usher::{
    app::{self, Host},
    domain::{identity::ChatIdentity, subject::Subject},
    flow::registry::{Order, Registrar},
    ports::registry::{Owner, Row},
};

/// One issuer, `more` over it.
fn issuers(idp: &Idp, more: &Value) -> Value {
    let mut issuer = json!({
        "url": idp.provider.issuer(), "audiences": ["chat"], "insecureHttp": true,
        "namespace": "corp",
    });
    for (key, value) in more.as_object().unwrap() {
        issuer[key] = value.clone();
    }
    json!({"issuers": [issuer]})
}

fn token(idp: &Idp, sub: &str, more: &Value) -> String {
    let mut claims = idp.provider.claims(sub, "chat");
    for (key, value) in more.as_object().unwrap() {
        claims[key] = value.clone();
    }
    idp.provider.sign(&json!({"typ": "at+jwt"}), &claims).unwrap()
}

/// The registry as a command beside the sidecar has it.
async fn registrar(place: &Place) -> Registrar {
    let settings = place.settings();
    let host = Host::system(settings.identity_key.fingerprint());
    app::registry(&settings, app::Absent::Made, host.clock).await.unwrap()
}

fn order() -> Order {
    Order { who: "cli:test".into(), why: "test".into() }
}

fn subject(id: &str) -> Subject {
    Subject::new("corp".parse().unwrap(), id.parse().unwrap())
}

/// `usher identity import --unclaimed`.
async fn import_unclaimed(place: &Place, value: &str, identity: &ChatIdentity) {
    let registrar = registrar(place).await;
    let (store, author) = (registrar.store(), registrar.author(&order()));
    let import = store.begin_import(&author).await.unwrap();
    let owner = Owner::Waiting("corp".into(), value.into());
    let row = Row { owner, identity: identity.clone(), is_retired: false, derived_with: None };
    store.stage(import, &[(1, row)]).await.unwrap();
    assert_eq!(store.verify(import, false).await.unwrap().clashes, []);
    store.apply(import, &author).await.unwrap();
    registrar.settle().await.unwrap();
}

#[tokio::test]
async fn p12_a_claim_names_its_users_and_one_that_fails_makes_and_stores_nothing() {
    let (idp, place) = (Idp::open().await, Place::new());
    let format = json!({"identity": {"format": "claim", "claim": "nr", "prefix": "emp-"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &format));
    let usher = place.start().await;
    let ask = async |sub: &str, claims: Value| usher.exchange(&token(&idp, sub, &claims)).await;
    let named = ask("alice", json!({"nr": "08/15"})).await;
    assert_eq!((named.status.as_u16(), &named.json()["identity"]), (200, &"emp-08~2F15".into()));
    // The registry has it now, whatever her token says.
    for claims in [json!({"nr": "4711"}), json!({})] {
        assert_eq!(ask("alice", claims).await.json()["identity"], "emp-08~2F15");
    }
    for claims in [json!({}), json!({"nr": 815}), json!({"nr": ""}), json!({"nr": "a\u{7f}"})] {
        let refused = ask("bob", claims).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (403, "claim_rule_failed"));
    }
    // Hers is not his.
    let conflict = ask("bob", json!({"nr": "08/15"})).await;
    assert_eq!((conflict.status.as_u16(), &*conflict.code()), (409, "identity_conflict"));
    let detail = conflict.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("usher identity link"), "{detail}");
    let registrar = registrar(&place).await;
    assert_eq!(registrar.show_subject(&subject("bob")).await.unwrap(), None);
    assert!(registrar.show_subject(&subject("alice")).await.unwrap().is_some());
    usher.stop().await;
}

#[tokio::test]
async fn p12_who_was_imported_unclaimed_signs_in_and_keeps_the_old_identity() {
    let (idp, place) = (Idp::open().await, Place::new());
    let adopt = json!({"adopt": {"claim": "email", "until": "2999-12-31"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &adopt));
    let usher = place.start().await;
    let raw = ChatIdentity::imported("alice@example.com").unwrap();
    import_unclaimed(&place, "alice@example.com", &raw).await;
    let ask = async |sub: &str, email: &str, verified: Value| {
        let claims = json!({"email": email, "email_verified": verified});
        usher.exchange(&token(&idp, sub, &claims)).await
    };
    for (email, verified, status, code) in [
        ("alice@example.com", json!(false), 403, "claim_rule_failed"),
        ("alice@example.com", json!("true"), 403, "claim_rule_failed"),
        ("Alice@example.com", json!(true), 409, "identity_conflict"),
    ] {
        let refused = ask("mallory", email, verified).await;
        assert_eq!((refused.status.as_u16(), &*refused.code()), (status, code), "{email}");
    }
    let taken = ask("alice", "alice@example.com", json!(true)).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["identity"]), (200, &raw.as_str().into()));
    let later = ask("alice", "changed@example.com", json!(false)).await;
    assert_eq!(later.json()["identity"], raw.as_str());
    // Once: whoever has the address next is somebody else.
    let next = ask("bob", "alice@example.com", json!(true)).await;
    assert!(next.json()["identity"].as_str().unwrap().starts_with("u-"), "{:?}", next.body);
    let record = registrar(&place).await.show(&raw).await.unwrap().unwrap();
    assert_eq!(record.subjects.len(), 1);
    assert!(record.history.iter().any(|event| event.what.starts_with("adopt ")), "{record:?}");
    usher.stop().await;
}

/// `usher identity …` beside the sidecar, which must end with 0.
fn identity(place: &Place, arguments: &[&str]) -> String {
    let output = usher(&[&["identity", "--config", &config(place)], arguments].concat(), "");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// `usher identity import --unclaimed`; how many were new.
fn import_waiting(place: &Place, rows: &str, options: &[&str]) -> Value {
    fs::write(place.path("waiting.csv"), format!("namespace,match,identity\n{rows}")).unwrap();
    let file = place.path("waiting.csv").display().to_string();
    let import = ["import", &file, "--unclaimed", "--output", "json"];
    let done = identity(place, &[&import, options].concat());
    serde_json::from_str::<Value>(&done).unwrap()["new"].clone()
}

fn verified(email: &str) -> Value {
    json!({"email": email, "email_verified": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_another_letter_case_is_settled_by_link_beside_the_sidecar() {
    let (idp, place) = (Idp::open().await, Place::new());
    let adopt = json!({"adopt": {"claim": "email", "until": "2999-12-31"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &adopt));
    let rows = "corp,Dora@example.com,Dora@example.com\ncorp,eve@example.com,eve\n";
    assert_eq!(import_waiting(&place, rows, &[]), 2);
    let usher = place.start().await;
    let dora = token(&idp, "d-1", &verified("dora@example.com"));
    let conflict = usher.exchange(&dora).await;
    assert_eq!((conflict.status.as_u16(), &*conflict.code()), (409, "identity_conflict"));
    let named = ["--namespace", "corp", "--subject", "d-1", "--reason", "spelt otherwise"];
    identity(&place, &[&["link", "Dora@example.com"][..], &named].concat());
    let given = async || Some(usher.exchange(&dora).await.json()["identity"].clone());
    let given = eventually(async || given().await.filter(|given| !given.is_null())).await;
    assert_eq!(given, "Dora@example.com");
    // She has come: the value she waited under is nobody's any more.
    let other = token(&idp, "d-2", &verified("Dora@example.com"));
    assert!(usher.identity(&other).await.starts_with("u-"));
    let waiting = identity(&place, &["list", "--state", "unclaimed", "--output", "json"]);
    assert_eq!(waiting.lines().count(), 1, "{waiting}");
    assert!(waiting.contains("\"eve\""), "{waiting}");
    let before = identity(&place, &["export"]);
    assert_eq!(import_waiting(&place, rows, &[]), 0);
    assert_eq!(identity(&place, &["export"]), before);
    usher.stop().await;
}

/// An issuer with `more` over it.
fn issuer(idp: &Idp, more: &Value) -> Value {
    issuers(idp, more)["issuers"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_provider_in_one_namespace_by_a_claim_keeps_adopted_and_derived_identities() {
    let (old, new, place) = (Idp::open().await, Idp::open().await, Place::new());
    let mut more = json!({"subject": ["nr"], "adopt": {"claim": "email", "until": "2999-12-31"}});
    place.configure(old.provider.issuer(), &issuers(&old, &more));
    assert_eq!(import_waiting(&place, "corp,bob@example.com,bob@example.com\n", &[]), 1);
    let usher = place.start().await;
    let of = |idp: &Idp, sub: &str, nr: &str, email: Value| {
        let mut claims = email;
        claims["nr"] = nr.into();
        token(idp, sub, &claims)
    };
    let bobs = usher.identity(&of(&old, "b-old", "7", verified("bob@example.com"))).await;
    assert_eq!(bobs, "bob@example.com");
    let alices = usher.identity(&of(&old, "a-old", "8", json!({}))).await;

    // The second provider joins while usher serves.
    more["sharedNamespace"] = true.into();
    let both = json!({"issuers": [issuer(&old, &more), issuer(&new, &more)]});
    place.configure(old.provider.issuer(), &both);
    let bob = of(&new, "b-new", "7", verified("bob@elsewhere.example"));
    eventually(async || (usher.exchange(&bob).await.status == 200).then_some(())).await;
    assert_eq!(usher.identity(&bob).await, bobs);
    assert_eq!(usher.identity(&of(&new, "a-new", "8", json!({}))).await, alices);
    usher.stop().await;

    // The first one goes.
    place.configure(new.provider.issuer(), &json!({"issuers": [issuer(&new, &more)]}));
    let usher = place.start().await;
    assert_eq!(usher.identity(&bob).await, bobs);
    assert_eq!(usher.identity(&of(&new, "a-new", "8", json!({}))).await, alices);
    usher.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_may_wait_at_two_providers_for_one_user() {
    let (old, new, place) = (Idp::open().await, Idp::open().await, Place::new());
    let mut more = json!({"adopt": {"claim": "email", "until": "2999-12-31"}});
    let first = issuer(&old, &more);
    more["namespace"] = "next".into();
    let both = json!({"issuers": [first, issuer(&new, &more)]});
    place.configure(old.provider.issuer(), &both);
    assert_eq!(import_waiting(&place, "corp,bob@example.com,bob\n", &[]), 1);
    assert_eq!(import_waiting(&place, "next,bob@example.com,bob\n", &["--allow-links"]), 1);
    let usher = place.start().await;
    for (idp, sub) in [(&new, "b-new"), (&old, "b-old")] {
        assert_eq!(usher.identity(&token(idp, sub, &verified("bob@example.com"))).await, "bob");
    }
    let export = identity(&place, &["export"]);
    assert!(export.contains("corp,b-old,bob,active\r\nnext,b-new,bob,active"), "{export}");
    usher.stop().await;
}

#[tokio::test]
async fn p18_after_an_unlink_the_token_of_before_is_not_handed_out_again() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    let upstream = idp.token("alice");
    let ask = async || usher.exchange(&upstream).await.json()["token"].clone();
    let before = ask().await;
    assert_eq!(ask().await, before);
    let registrar = registrar(&place).await;
    registrar.unlink(subject("alice"), &order()).await.unwrap();
    // The identity is her own, and comes back; the token does not.
    let after = eventually(async || Some(ask().await).filter(|token| *token != before)).await;
    assert_eq!(ask().await, after);
    usher.stop().await;
}

#[tokio::test]
async fn another_format_is_refused_while_identities_rest_on_the_old_one() {
    let (idp, place) = (Idp::open().await, Place::new());
    let claim = json!({"identity": {"format": "claim", "claim": "nr"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &claim));
    let usher = place.start().await;
    let alice = token(&idp, "alice", &json!({"nr": "7"}));
    assert_eq!(usher.identity(&alice).await, "7");

    // While it serves, the old configuration goes on.
    place.configure(idp.provider.issuer(), &issuers(&idp, &json!({})));
    eventually(async || {
        let reply = crate::client::get(usher.health(), "/metrics").await;
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        text.contains("usher_config_reload_failed 1").then_some(())
    })
    .await;
    let bob = token(&idp, "bob", &json!({"nr": "8"}));
    assert_eq!(usher.identity(&bob).await, "8");
    usher.stop().await;

    let serve = move || self::usher(&["serve", "--config", &config(&place)], "");
    let output = tokio::task::spawn_blocking(serve).await.unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("usher identity rekey") && said.contains("claim nr"), "{said}");
}

/// The exit code of `usher explain`, and the code of what stops the token at its identity.
fn explained(place: &Place, token: &str) -> (i32, Option<String>) {
    let output = usher(&["explain", "--config", &config(place)], token);
    let said = text(&output.stdout);
    let refused = said.lines().find_map(|line| line.strip_prefix("refused  identity   "));
    let code = refused.and_then(|why| why.split(':').next()).map(str::to_owned);
    (output.status.code().unwrap(), code)
}

fn refused(code: &str) -> (i32, Option<String>) {
    (3, Some(code.to_owned()))
}

#[test]
fn p12_explain_says_of_a_first_sight_what_the_sidecar_would() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (idp, place) = (runtime.block_on(Idp::open()), Place::new());
    let adopt = json!({"adopt": {"claim": "email", "until": "2999-12-31"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &adopt));
    let verified = |email: &str| json!({"email": email, "email_verified": true});
    let key = place.settings().identity_key;
    let derived = |id: &str| key.derive(&subject(id)).as_str().to_owned();
    let asked = [
        ("erased", json!({}), refused("identity_retired")),
        ("imported", json!({}), (0, None)),
        ("reserved", json!({}), refused("identity_conflict")),
        ("case", verified("Waits@b.c"), refused("identity_conflict")),
        ("unseen", verified("nobody@b.c"), (0, None)),
    ];
    runtime.block_on(async {
        let waiting = ChatIdentity::imported("waits@b.c").unwrap();
        import_unclaimed(&place, "waits@b.c", &waiting).await;
        let sidecar = place.start().await;
        sidecar.identity(&token(&idp, "erased", &json!({}))).await;
        sidecar.stop().await;
    });
    identity(&place, &["erase", &derived("erased"), "--reason", "asked to"]);
    let rows = format!("corp,imported,other\ncorp,another,{}\n", derived("reserved"));
    fs::write(place.path("users.csv"), format!("namespace,subject,identity\n{rows}")).unwrap();
    let file = place.path("users.csv").display().to_string();
    identity(&place, &["import", &file, "--allow-links"]);
    for (sub, claims, wanted) in &asked {
        assert_eq!(explained(&place, &token(&idp, sub, claims)), *wanted, "{sub}");
    }
    // Just that becomes of them.
    runtime.block_on(async {
        let sidecar = place.start().await;
        for (sub, claims, (_, wanted)) in &asked {
            let reply = sidecar.exchange(&token(&idp, sub, claims)).await;
            let code = (reply.status != 200).then(|| reply.code());
            assert_eq!(code, *wanted, "{sub}");
        }
        sidecar.stop().await;
    });
}

#[test]
fn p12_explain_foresees_no_identity_by_another_key_or_format_than_the_stores() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (idp, place) = (runtime.block_on(Idp::open()), Place::new());
    place.configure(idp.provider.issuer(), &issuers(&idp, &json!({})));
    runtime.block_on(async {
        let sidecar = place.start().await;
        sidecar.identity(&idp.token("alice")).await;
        sidecar.stop().await;
    });
    let bob = token(&idp, "bob", &json!({"nr": "7"}));
    assert_eq!(explained(&place, &bob), (0, None));
    let format = json!({"identity": {"format": "claim", "claim": "nr"}});
    place.configure(idp.provider.issuer(), &issuers(&idp, &format));
    assert_eq!(explained(&place, &bob), refused("store_unavailable"));
    place.configure(idp.provider.issuer(), &issuers(&idp, &json!({})));
    fs::write(place.path("identity-key"), "fedcba9876543210fedcba9876543210").unwrap();
    assert_eq!(explained(&place, &bob), refused("store_unavailable"));
    // Whom the store knows already keeps what they have.
    assert_eq!(explained(&place, &idp.token("alice")), (0, None));
}

#[test]
fn explain_foresees_a_first_sight_and_writes_nothing() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (idp, place) = (runtime.block_on(Idp::open()), Place::new());
    let more = json!({
        "identity": {"format": "claim", "claim": "nr", "prefix": "emp-"},
        "adopt": {"claim": "email", "until": "2999-12-31"},
    });
    place.configure(idp.provider.issuer(), &issuers(&idp, &more));
    let explain = |sub: &str, claims: Value, code: i32| {
        let token = token(&idp, sub, &claims);
        let output = usher(&["explain", "--config", &config(&place)], &token);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{said}{}", text(&output.stderr));
        said
    };
    let said = explain("alice", json!({"nr": "7"}), 0);
    let first =
        "emp-7: would be given on first sight, read from the claim \"nr\" behind the prefix";
    assert!(said.contains(first), "{said}");
    assert!(!place.path("usher.db").exists(), "explain makes no store");

    let raw = ChatIdentity::imported("al@b.c").unwrap();
    runtime.block_on(async {
        import_unclaimed(&place, "al@b.c", &raw).await;
        let usher = place.start().await;
        assert_eq!(usher.identity(&token(&idp, "alice", &json!({"nr": "7"}))).await, "emp-7");
        usher.stop().await;
    });
    let said = explain("alice", json!({"nr": "8"}), 0);
    assert!(said.contains("emp-7: kept by the store") && said.contains("knows the"), "{said}");
    let said = explain("bob", json!({"nr": "7"}), 3);
    assert!(said.contains("refused  identity   identity_conflict"), "{said}");
    let said = explain("bob", json!({}), 3);
    assert!(said.contains("refused  identity   claim_rule_failed"), "{said}");
    for _ in 0..2 {
        let verified = json!({"nr": "9", "email": "al@b.c", "email_verified": true});
        let said = explain("bob", verified, 0);
        assert!(said.contains("al@b.c: waits for this user, and would be taken"), "{said}");
    }
    let unverified = json!({"nr": "9", "email": "al@b.c"});
    assert!(explain("bob", unverified, 3).contains("claim_rule_failed"));
    identity(&place, &["retire", "al@b.c", "--reason", "left"]);
    let verified = json!({"nr": "9", "email": "al@b.c", "email_verified": true});
    assert!(explain("bob", verified, 3).contains("identity_retired"));
}
