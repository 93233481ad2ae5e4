//! The registry for operators (contract 2, "Admin"; contract 4, "Admin API").
use crate::{
    client::{self, Reply},
    house::{Idp, Place, Usher, eventually},
};
use http::{Method, Request, request::Builder};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr};
use usher::{
    app::{self, Host},
    domain::{identity::IdentityKey, secret::Secret},
    flow::registry::Order,
    ports::registry::Rekey,
};

/// An operator with the token that usher keeps itself.
struct Operator {
    to: SocketAddr,
    token: String,
}

impl Operator {
    fn of(place: &Place, usher: &Usher) -> Self {
        let token = fs::read_to_string(place.path("state/admin-token")).unwrap();
        Self { to: usher.admin(), token: token.trim_end().to_owned() }
    }

    fn with(&self, token: &str) -> Self {
        Self { to: self.to, token: token.to_owned() }
    }

    async fn send(&self, request: Builder, body: impl Into<Bytes>) -> Reply {
        let request = request.header("authorization", format!("Bearer {}", self.token));
        client::send(self.to, request.body(Full::new(body.into())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path), "").await
    }

    async fn post(&self, path: &str, order: &Value) -> Reply {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request, order.to_string()).await
    }

    async fn import(&self, query: &str, file: &str) -> Reply {
        let request = Request::post(format!("/api/identity-import{query}"));
        self.send(request, file.to_owned()).await
    }
}

async fn house() -> (Idp, Place, Usher) {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    (idp, place, usher)
}

fn refusal(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert_eq!(reply.header("cache-control"), "no-store");
    (reply.status.as_u16(), reply.code())
}

fn told(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn an_operator_links_unlinks_retires_and_erases_and_history_tells_who_and_why() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let identity = usher.identity(&idp.token("alice")).await;
    let path = format!("/api/identities/{identity}");
    let alias = json!({"namespace": "corp", "subject": "alias", "reason": "two accounts"});

    let linked = ops.post(&format!("{path}/links"), &alias).await;
    assert_eq!(linked.status, 200, "{:?}", linked.body);
    let shown = linked.json();
    assert_eq!((&shown["identity"], &shown["state"]), (&json!(identity), &json!("active")));
    let names: Vec<_> =
        shown["subjects"].as_array().unwrap().iter().map(|s| s["subject"].clone()).collect();
    assert_eq!(names, ["alias", "alice"]);
    let last = shown["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["who"], &last["why"]), (&json!("api:admin-token"), &json!("two accounts")));
    assert!(last["what"].as_str().unwrap().starts_with("link"), "{last}");
    assert!(last["at"].as_str().unwrap().ends_with('Z'), "{last}");
    assert_eq!(shown.get("outside_alphabet"), None);
    assert_eq!(ops.get(&path).await.json(), shown);

    let again = ops.post(&format!("{path}/links"), &alias).await;
    assert_eq!(again.json(), shown, "the second time changes nothing");
    let unlinked = ops.post("/api/identity-unlink", &alias).await;
    assert_eq!(unlinked.json()["subjects"].as_array().unwrap().len(), 1);

    let retired = ops.post(&format!("{path}/retire"), &json!({"reason": "left"})).await;
    assert_eq!(retired.json()["state"], "retired");
    let code = eventually(async || {
        let refused = usher.exchange(&idp.token("alice")).await;
        (refused.status == 403).then(|| refused.code())
    });
    assert_eq!(code.await, "identity_retired");

    let erased = ops.post(&format!("{path}/erase"), &json!({"reason": "GDPR 17"})).await;
    assert_eq!(erased.status, 200);
    let text = String::from_utf8(erased.body.to_vec()).unwrap();
    assert!(!text.contains("alias") && !text.contains("two accounts"), "{text}");
    usher.stop().await;
}

#[tokio::test]
async fn conflicts_are_409_with_the_way_out_and_the_unknown_is_404() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let alice = usher.identity(&idp.token("alice")).await;
    let bob = usher.identity(&idp.token("bob")).await;
    let link = |subject: &str| json!({"namespace": "corp", "subject": subject, "reason": "r"});
    let why = json!({"reason": "r"});

    let conflict = ops.post(&format!("/api/identities/{bob}/links"), &link("alice")).await;
    assert_eq!(refusal(&conflict), told(409, "identity_conflict"));
    let detail = conflict.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("unlink it first") && detail.contains(&alice), "{detail}");

    ops.post(&format!("/api/identities/{bob}/retire"), &why).await;
    let conflict = ops.post(&format!("/api/identities/{bob}/links"), &link("new")).await;
    assert_eq!(refusal(&conflict), told(409, "identity_conflict"));
    for (path, order) in [
        ("/api/identities/u-nobody/links", link("x")),
        ("/api/identity-unlink", link("nobody")),
        ("/api/identities/u-nobody/retire", why.clone()),
        ("/api/identities/u-nobody/erase", why),
    ] {
        assert_eq!(refusal(&ops.post(path, &order).await), told(404, "not_found"), "{path}");
    }
    let guest = json!({"namespace": "urn:usher:guest", "subject": "x", "reason": "r"});
    let refused = ops.post(&format!("/api/identities/{alice}/links"), &guest).await;
    assert_eq!(refusal(&refused), told(400, "bad_request"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("urn:usher: are usher's own"), "{detail}");
    assert_eq!(refusal(&ops.post("/api/identity-unlink", &guest).await), told(404, "not_found"));
    assert_eq!(refusal(&ops.get("/api/identities/u-nobody").await), told(404, "not_found"));
    usher.stop().await;
}

#[tokio::test]
async fn an_order_that_needs_the_stores_new_key_waits_for_a_restart() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let alice = usher.identity(&idp.token("alice")).await;
    let settings = place.settings();
    let host = Host::system(settings.identity_key.fingerprint());
    let registrar = app::registry(&settings, app::Absent::Made, host.clock).await.unwrap();
    let rekey = Rekey {
        old: registrar.key().clone(),
        new: Some(IdentityKey::new(&Secret::text("fedcba9876543210fedcba9876543210")).unwrap()),
        formats: Vec::new(),
        keep: true,
        dry_run: false,
    };
    let order = Order { who: "cli:test".into(), why: "test".into() };
    registrar.rekey(&rekey, &order).await.unwrap();
    let why = json!({"reason": "r"});
    let refused = ops.post(&format!("/api/identities/{alice}/erase"), &why).await;
    assert_eq!(refusal(&refused), told(503, "store_unavailable"));
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("restarts usher with the new key"), "{detail}");
    usher.stop().await;
}

#[tokio::test]
async fn the_registry_is_listed_page_by_page_and_found_by_subject() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let mut all = Vec::new();
    for user in ["alice", "bob", "carol"] {
        all.push(usher.identity(&idp.token(user)).await);
    }
    let alice = all[0].clone();
    all.sort();
    let names = async |query: &str| -> Vec<String> {
        let reply = ops.get(&format!("/api/identities{query}")).await;
        assert_eq!(reply.status, 200, "{query}: {:?}", reply.body);
        let listed = reply.json();
        let listed = listed.as_array().unwrap().iter();
        listed.map(|one| one["identity"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, all);
    assert_eq!(names("?limit=2").await, all[..2]);
    assert_eq!(names(&format!("?limit=2&after={}", all[1])).await, all[2..]);
    assert_eq!(names("?namespace=corp&state=active").await, all);
    assert!(names("?namespace=other").await.is_empty());
    assert!(names("?state=retired").await.is_empty());
    assert_eq!(names("?namespace=corp&subject=alice").await, [alice]);
    assert!(names("?namespace=corp&subject=nobody").await.is_empty());
    assert!(names("?namespace=corp&subject=alice&state=retired").await.is_empty());
    let first = ops.get("/api/identities?limit=1").await.json();
    assert_eq!(first[0].get("history"), None, "a list has no history");

    for query in [
        "?limit=0",
        "?limit=1001",
        "?limit=%2B5",
        "?state=Active",
        "?subject=alice",
        "?namespace=",
        "?namespace=a&namespace=b",
        "?nonsense=1",
        "?after=",
        "?namespace=%ff",
        "?namespace=100%",
    ] {
        let refused = ops.get(&format!("/api/identities{query}")).await;
        assert_eq!(refusal(&refused), told(400, "bad_request"), "{query}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn an_identity_is_one_segment_strictly_decoded() {
    let (_idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let file = "namespace,subject,identity\r\ncorp,z,Zoë/li+%@example.com\r\n";
    let imported = ops.import("", file).await;
    assert_eq!(imported.status, 200, "{:?}", imported.body);
    let warnings = imported.json()["warnings"].clone();
    assert_eq!((&warnings[0]["line"], warnings[0].as_object().unwrap().len()), (&json!(2), 2));
    assert!(warnings[0]["message"].as_str().unwrap().contains("escaped in every URL"));
    let shown = ops.get("/api/identities/Zo%C3%AB%2Fli+%25%40example.com").await;
    assert_eq!(shown.json()["identity"], "Zoë/li+%@example.com");
    assert_eq!(shown.json()["outside_alphabet"], true);
    for path in ["Zo%C3%2Fli", "Zo%EB", "a%", "a%2", "a%zz"] {
        let refused = ops.get(&format!("/api/identities/{path}")).await;
        assert_eq!(refusal(&refused), told(400, "bad_request"), "{path}");
    }
    for path in ["Zo%C3%AB/li+%25%40example.com", "%2E%2E", "system", "", "%0A", "a/b"] {
        let refused = ops.get(&format!("/api/identities/{path}")).await;
        assert_eq!(refusal(&refused), told(404, "not_found"), "{path}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn a_user_whose_identity_was_imported_is_given_it_whatever_characters_it_has() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let file =
        json!({"namespace": "corp", "subject": "alice", "identity": "a\"l\\i,ce@example.com"});
    assert_eq!(ops.import("?format=jsonl", &file.to_string()).await.status, 200);
    assert_eq!(usher.identity(&idp.token("alice")).await, "a\"l\\i,ce@example.com");
    usher.stop().await;
}

#[tokio::test]
async fn an_export_is_imported_elsewhere_to_the_same_bytes() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let alice = usher.identity(&idp.token("alice")).await;
    let bring = "{\"namespace\":\"corp\",\"subject\":\"zoë\",\"identity\":\"zoe@example.com\"}\n";
    let dry = ops.import("?format=jsonl&dryRun", bring).await;
    assert_eq!((&dry.json()["new"], &dry.json()["dry_run"]), (&json!(1), &json!(true)));
    assert_eq!(ops.get("/api/identities/zoe%40example.com").await.status, 404);
    let done = ops.import("?format=jsonl&dryRun=false", bring).await;
    assert_eq!((&done.json()["new"], &done.json()["rows"]), (&json!(1), &json!(1)));
    assert_eq!(ops.import("?format=jsonl", bring).await.json()["known"], 1);

    let csv = ops.get("/api/identity-export").await;
    assert!(csv.header("content-type").starts_with("text/csv"), "{:?}", csv.headers);
    assert_eq!(csv.header("cache-control"), "no-store");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert!(text.contains(&alice) && text.contains("zoe@example.com,active\r\n"), "{text}");
    let lines = ops.get("/api/identity-export?format=jsonl").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    usher.stop().await;

    let (_idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let taken = ops.import("?allowLinks=true", &text).await;
    assert_eq!(taken.status, 200, "{:?}", taken.body);
    assert_eq!(ops.get("/api/identity-export?format=csv").await.body, csv.body);
    usher.stop().await;
}

#[tokio::test]
async fn a_file_with_bad_or_clashing_lines_is_refused_whole_and_its_lines_are_named() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let alice = usher.identity(&idp.token("alice")).await;
    let bad = ops.import("", "namespace,subject,identity\ncorp,a,x\ncorp,,y\ncorp,b\n").await;
    assert_eq!(refusal(&bad), told(400, "bad_request"));
    let lines: Vec<_> =
        bad.json()["lines"].as_array().unwrap().iter().map(|l| l["line"].clone()).collect();
    assert_eq!(lines, [3, 4]);
    let clash = ops.import("", "namespace,subject,identity\ncorp,alice,other\n").await;
    assert_eq!(refusal(&clash), told(409, "identity_conflict"));
    assert_eq!(
        (&clash.json()["lines"][0]["line"], &clash.json()["lines_total"]),
        (&json!(2), &json!(1))
    );
    let shared = format!("namespace,subject,identity\ncorp,a,{alice}\n");
    assert_eq!(refusal(&ops.import("", &shared).await), told(409, "identity_conflict"));
    assert_eq!(ops.import("?allowLinks", &shared).await.status, 200);
    for query in ["?dryrun", "?dryRun=yes", "?format=xml", "?dryRun&dryRun"] {
        let refused = ops.import(query, "namespace,subject,identity\ncorp,q,q\n").await;
        assert_eq!(refusal(&refused), told(400, "bad_request"), "{query}");
    }
    assert_eq!(ops.get("/api/identities/q").await.status, 404);
    let path = format!("/api/identities/{alice}");
    assert_eq!(ops.get(&path).await.status, 200);
    for query in ["?x=1", "?state=active", "?%"] {
        let refused = ops.get(&format!("{path}{query}")).await;
        assert_eq!(refusal(&refused), told(400, "bad_request"), "{query}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_import_and_the_next_one_need_not_wait() {
    use tokio::io::AsyncWriteExt as _;
    let (_idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let head = format!(
        "POST /api/identity-import HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n\
         namespace,subject,identity\ncorp,half,half\n",
        ops.token
    );
    let whole = "namespace,subject,identity\ncorp,whole,whole\n";
    // Until it is the first that is under way and the second that has to wait.
    let stream = eventually(async || {
        let mut stream = tokio::net::TcpStream::connect(ops.to).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let second = ops.import("", "namespace,subject,identity\n").await;
        let waits = second.status == 429 && !second.header("retry-after").is_empty();
        let goes_on = stream.try_read(&mut [0]).is_err();
        (waits && goes_on).then_some(stream)
    })
    .await;
    drop(stream);
    eventually(async || (ops.import("", whole).await.status == 200).then_some(())).await;
    assert_eq!(ops.get("/api/identities/half").await.status, 404);
    assert_eq!(ops.get("/api/identities/whole").await.status, 200);
    usher.stop().await;
}

/// Every route.
pub(crate) const ROUTES: &[(&str, &str)] = &[
    ("GET", "/api/identities"),
    ("GET", "/api/identities/x"),
    ("POST", "/api/identities/x/links"),
    ("POST", "/api/identities/x/retire"),
    ("POST", "/api/identities/x/erase"),
    ("POST", "/api/identity-unlink"),
    ("POST", "/api/identity-import"),
    ("GET", "/api/identity-export"),
];

fn request(method: &str, path: &str) -> Builder {
    Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path)
}

#[tokio::test]
async fn p19_a_process_without_the_admin_token_reads_and_changes_nothing() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let identity = usher.identity(&idp.token("alice")).await;
    let before = ops.get("/api/identity-export").await.body;
    let paths =
        ROUTES.iter().map(|(method, path)| (*method, path.replace("/x", &format!("/{identity}"))));
    for (method, path) in paths.chain([("GET", "/api/nothing".to_owned())]) {
        let order = json!({"namespace": "corp", "subject": "alice", "reason": "r"}).to_string();
        let bare = request(method, &path).header("content-type", "application/json");
        let refused = client::send(ops.to, bare.body(Full::from(order.clone())).unwrap()).await;
        assert_eq!(refusal(&refused), told(401, "missing_token"), "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        for token in ["guess", "", &idp.token("alice"), &format!("{}x", ops.token)] {
            let asked = request(method, &path).header("content-type", "application/json");
            let refused = ops.with(token).send(asked, order.clone()).await;
            assert_eq!(refused.status, 401, "{method} {path} with {token}");
        }
    }
    assert_eq!(ops.get("/api/identity-export").await.body, before);
    assert_eq!(usher.identity(&idp.token("alice")).await, identity);
    usher.stop().await;
}

#[tokio::test]
async fn p14_rebound_names_pages_and_proxies_are_refused_before_anything_else() {
    let (_idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let own = format!("http://{}", ops.to);
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "evil.example:4182"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in ROUTES.iter().chain(&[
            ("GET", "/"),
            ("GET", "/nothing"),
            ("OPTIONS", "/api/identities"),
        ]) {
            // With the token as well as without: where a request comes from is looked at first.
            let refused = ops.send(request(method, path).header(name, value), "").await;
            assert_eq!(refusal(&refused), told(403, "origin_refused"), "{name}: {value} {path}");
        }
        let bare = Request::get("/api/identities").header(name, value);
        let refused = client::send(ops.to, bare.body(Full::default()).unwrap()).await;
        assert_eq!(refusal(&refused), told(403, "origin_refused"), "{name}: {value}");
    }
    for (name, value) in [
        ("host", "localhost"),
        ("host", "[::1]:9"),
        ("origin", &*own),
        ("sec-fetch-site", "same-origin"),
    ] {
        let fine = ops.send(Request::get("/api/identities").header(name, value), "").await;
        assert_eq!(fine.status, 200, "{name}: {value}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn p14_a_form_of_another_page_changes_nothing() {
    let (idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    let identity = usher.identity(&idp.token("alice")).await;
    let path = format!("/api/identities/{identity}/retire");
    let form = || Request::post(&path).header("content-type", "text/plain");
    let order = r#"{"reason":"a form with one field"}"#;
    let foreign = form().header("origin", "https://evil.example").body(Full::from(order)).unwrap();
    assert_eq!(refusal(&client::send(ops.to, foreign).await), told(403, "origin_refused"));
    let bare = form().body(Full::from(order)).unwrap();
    assert_eq!(refusal(&client::send(ops.to, bare).await), told(401, "missing_token"));
    assert_eq!(refusal(&ops.send(form(), order).await), told(415, "unsupported_media_type"));
    assert_eq!(ops.get(&format!("/api/identities/{identity}")).await.json()["state"], "active");
    usher.stop().await;
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405() {
    let (_idp, place, usher) = house().await;
    let ops = Operator::of(&place, &usher);
    for path in ["/", "/api", "/api/", "/api/revocations", "/conversations/token", "/livez"] {
        assert_eq!(refusal(&ops.get(path).await), told(404, "not_found"), "{path}");
    }
    let order = json!({"reason": "r"});
    assert_eq!(refusal(&ops.post("/api/revocations", &order).await), told(404, "not_found"));
    for (method, path) in ROUTES {
        let other = if *method == "GET" { "DELETE" } else { "GET" };
        let refused = ops.send(request(other, path), "").await;
        assert_eq!(refusal(&refused), told(405, "method_not_allowed"), "{other} {path}");
        let allow = if *method == "GET" { "GET, HEAD" } else { "POST" };
        assert_eq!(refused.header("allow"), allow);
    }
    for path in ["/api/identities", "/api/identity-export"] {
        let head = ops.send(Request::head(path), "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
    }
    usher.stop().await;
}

#[tokio::test]
async fn configured_tokens_have_names_and_roles_and_a_reload_changes_them() {
    let sha256 = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let (idp, place) = (Idp::open().await, Place::new());
    let admin = |role: &str| {
        json!({"admin": {
            "tokens": [
                {"name": "eye", "sha256": sha256("reads"), "role": "reader"},
                {"name": "hand", "sha256": sha256("writes"), "role": role},
            ],
            "hosts": ["usher.internal"],
        }})
    };
    place.configure(idp.provider.issuer(), &admin("operator"));
    let usher = place.start().await;
    assert!(!place.path("state/admin-token").exists(), "nobody needs one");
    let identity = usher.identity(&idp.token("alice")).await;
    let nobody = Operator { to: usher.admin(), token: "other".into() };
    let (eye, hand) = (nobody.with("reads"), nobody.with("writes"));
    let path = format!("/api/identities/{identity}");
    let link = json!({"namespace": "corp", "subject": "x", "reason": "r"});

    assert_eq!(eye.get(&path).await.status, 200);
    for (method, path) in ROUTES.iter().filter(|(method, _)| *method == "POST") {
        let refused = eye.send(request(method, path), "").await;
        assert_eq!(refusal(&refused), told(403, "operation_not_allowed"), "{path}");
    }
    let linked = hand.post(&format!("{path}/links"), &link).await.json();
    assert_eq!(linked["history"].as_array().unwrap().last().unwrap()["who"], "api:hand");
    let named = Request::get(&path).header("host", "usher.internal:8443");
    assert_eq!(eye.send(named, "").await.status, 200);

    place.configure(idp.provider.issuer(), &admin("reader"));
    eventually(async || {
        (hand.post("/api/identity-unlink", &link).await.status == 403).then_some(())
    })
    .await;
    // Without any, the one that usher keeps itself.
    place.configure(idp.provider.issuer(), &json!({}));
    eventually(async || (eye.get(&path).await.status == 401).then_some(())).await;
    let own = Operator::of(&place, &usher);
    assert_eq!(own.get(&path).await.status, 200);
    let named = Request::get(&path).header("host", "usher.internal:8443");
    assert_eq!(own.send(named, "").await.status, 403);
    usher.stop().await;
}

#[tokio::test]
async fn two_sidecars_on_one_volume_have_one_token_and_a_restart_keeps_it() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let (one, other) = tokio::join!(place.start(), place.start());
    let ops = Operator::of(&place, &one);
    assert_eq!(ops.get("/api/identities").await.status, 200);
    assert_eq!(Operator::of(&place, &other).get("/api/identities").await.status, 200);
    one.stop().await;
    other.stop().await;
    let again = place.start().await;
    let same = Operator { to: again.admin(), token: ops.token };
    assert_eq!(same.get("/api/identities").await.status, 200);
    again.stop().await;
}

#[tokio::test]
async fn where_no_token_can_be_written_usher_serves_and_the_api_is_401() {
    let (idp, place) = (Idp::open().await, Place::new());
    // A file where the state directory should be.
    fs::write(place.path("state"), "").unwrap();
    place.configure(idp.provider.issuer(), &json!({}));
    let usher = place.start().await;
    usher.identity(&idp.token("alice")).await;
    let guess = Operator { to: usher.admin(), token: "usher_adm_".into() };
    assert_eq!(refusal(&guess.get("/api/identities").await), told(401, "invalid_credential"));
    let bare = client::get(usher.admin(), "/api/identities").await;
    assert_eq!(refusal(&bare), told(401, "missing_token"));
    usher.stop().await;
}

#[tokio::test]
async fn the_memory_store_takes_no_change() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({"store": {"url": "memory:"}}));
    let usher = place.start().await;
    let ops = Operator::of(&place, &usher);
    let identity = usher.identity(&idp.token("alice")).await;
    let order = json!({"reason": "r"});
    for path in
        [format!("/api/identities/{identity}/retire"), format!("/api/identities/{identity}/erase")]
    {
        let refused = ops.post(&path, &order).await;
        assert_eq!(refusal(&refused), told(403, "operation_not_allowed"), "{path}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("needs a durable store"));
    }
    let refused = ops.import("", "namespace,subject,identity\ncorp,a,a\n").await;
    assert_eq!(refusal(&refused), told(403, "operation_not_allowed"));
    assert_eq!(ops.get(&format!("/api/identities/{identity}")).await.status, 200);
    usher.stop().await;
}

#[tokio::test]
async fn a_socket_of_the_admin_listener_is_its_owners_alone_and_keeps_the_same_rules() {
    use std::os::unix::fs::PermissionsExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (idp, place) = (Idp::open().await, Place::new());
    let socket = |name: &str| format!("unix:{}", place.path(name).display());
    let listen = json!({
        "public": "127.0.0.1:0", "health": "127.0.0.1:0",
        "admin": socket("admin.sock"), "egress": socket("egress.sock"),
    });
    place.configure(idp.provider.issuer(), &json!({"listen": listen, "egress": {}}));
    let usher = place.start().await;
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("admin.sock"), mode("egress.sock")), (0o600, 0o660));
    for (host, status) in [("localhost", "401"), ("evil.example", "403")] {
        let mut stream = tokio::net::UnixStream::connect(place.path("admin.sock")).await.unwrap();
        let asked =
            format!("GET /api/identities HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
    }
    usher.stop().await;
}
