//! `usher identity …` and `usher migrate`, as operators and scripts run them (contract 4).
use crate::{
    commands::{config, text, usher},
    house::{IDENTITY_KEY, Idp, Place, Usher, eventually},
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use usher::{
    app::{self, Host},
    domain::{
        identity::{ChatIdentity, IdentityKey},
        secret::Secret,
        subject::Subject,
    },
    flow::registry::Order,
    ports::registry::{Owner, Row},
};

/// A place that is configured, and has no sidecar yet.
fn place() -> Place {
    let place = Place::new();
    place.configure("https://login.example.com", &json!({}));
    place
}

fn identity(place: &Place, arguments: &[&str]) -> Output {
    fed(place, arguments, "")
}

fn fed(place: &Place, arguments: &[&str], input: &str) -> Output {
    usher(&[&["identity", "--config", &config(place)], arguments].concat(), input)
}

/// What a command that succeeds prints.
fn done(place: &Place, arguments: &[&str]) -> String {
    succeeded(identity(place, arguments))
}

fn succeeded(output: impl std::borrow::Borrow<Output>) -> String {
    let output = output.borrow();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn shown(place: &Place, arguments: &[&str]) -> Value {
    let arguments = [&["show", "--output", "json"], arguments].concat();
    serde_json::from_str(&done(place, &arguments)).unwrap()
}

/// The exit code and what standard error says.
fn refused(output: &Output) -> (Option<i32>, String) {
    assert_eq!(text(&output.stdout), "");
    (output.status.code(), text(&output.stderr))
}

fn import(place: &Place, name: &str, rows: &str, options: &[&str]) -> Output {
    fs::write(place.path(name), rows).unwrap();
    let file = place.path(name).display().to_string();
    identity(place, &[&["import", &file], options].concat())
}

/// A file of so many users.
fn rows(count: usize) -> String {
    let mut text = "namespace,subject,identity\n".to_owned();
    for n in 0..count {
        writeln!(text, "corp,s{n:05},i{n:05}").unwrap();
    }
    text
}

fn derived(subject: &str) -> String {
    let key = IdentityKey::new(&Secret::text(IDENTITY_KEY)).unwrap();
    let subject = Subject::new("corp".parse().unwrap(), subject.parse().unwrap());
    key.derive(&subject).as_str().to_owned()
}

const USERS: &str = "\u{feff}identity,namespace,subject\r\n\
    alice@example.com,corp,alice\r\nbob,corp,\"bob \"\"b\"\"\"\r\n";

const OUTSIDE: &str =
    "identity has characters beyond A-Z a-z 0-9 . _ ~ - and must be escaped in every URL";

#[test]
fn a_file_is_taken_whole_and_shown_and_a_second_time_changes_nothing() {
    let place = place();
    let dry = succeeded(import(&place, "users.csv", USERS, &["--dry-run", "--output", "json"]));
    let dry: Value = serde_json::from_str(&dry).unwrap();
    let counts = |new: u64, known: u64, dry_run: bool| {
        let warnings = json!([{"line": 2, "message": OUTSIDE}]);
        json!({
            "rows": 2, "new": new, "known": known, "repeated": 0, "dry_run": dry_run,
            "warnings": warnings, "warnings_total": 1,
        })
    };
    assert_eq!(dry, counts(2, 0, true));
    assert_eq!(done(&place, &["list", "--output", "json"]), "");

    let taken = import(&place, "users.csv", USERS, &[]);
    let warned = text(&taken.stderr);
    let name = place.path("users.csv").display().to_string();
    assert!(warned.starts_with(&format!("{name}:2: warning: identity has characters")), "{warned}");
    assert!(succeeded(taken).contains("2 rows imported: 2 new, 0 known already"));
    let alice = shown(&place, &["alice@example.com"]);
    assert_eq!(alice["state"], "active");
    assert_eq!(alice["outside_alphabet"], true);
    assert_eq!(alice["subjects"][0]["subject"], "alice");
    assert_eq!(alice["history"][0]["what"], "import");
    assert!(alice["history"][0]["who"].as_str().unwrap().starts_with("cli:"));
    let bob = shown(&place, &["--namespace", "corp", "--subject", "bob \"b\""]);
    assert_eq!((&bob["identity"], &bob["outside_alphabet"]), (&json!("bob"), &Value::Null));

    let again = succeeded(import(&place, "users.csv", USERS, &["--output", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), counts(0, 2, false));
    assert_eq!(shown(&place, &["alice@example.com"]), alice);
}

#[test]
fn a_row_that_a_file_has_again_is_counted_as_repeated() {
    let place = place();
    let rows = "namespace,subject,identity\ncorp,a,a\ncorp,b,b\ncorp,a,a\ncorp,a,a\n";
    let said = succeeded(import(&place, "users.csv", rows, &[]));
    assert!(said.ends_with("4 rows imported: 2 new, 0 known already, 2 repeated\n"), "{said}");
    let rows = "namespace,subject,identity\ncorp,a,a\ncorp,c,c\ncorp,a,a\n";
    let told = succeeded(import(&place, "more.csv", rows, &["--output", "json"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    let counts = ["rows", "new", "known", "repeated"].map(|name| told[name].as_u64());
    assert_eq!(counts, [3, 1, 1, 1].map(Some), "{told}");
}

#[test]
fn an_export_goes_into_an_empty_store_and_comes_out_the_same() {
    let place = place();
    let users = "namespace,subject,identity,state\ncorp,é\u{202e},é,\ncorp,b,shared,active\n\
        corp,c,shared,active\ncorp,d@example.com,d@example.com,unclaimed\n,,gone,retired\n,,free,unlinked\n\
        corp,e,ended,retired\n";
    succeeded(import(&place, "users.csv", users, &["--allow-links"]));
    let csv = done(&place, &["export"]);
    assert_eq!(
        csv,
        "namespace,subject,identity,state\r\n,,free,unlinked\r\n,,gone,retired\r\ncorp,b,shared,active\r\n\
         corp,c,shared,active\r\ncorp,d@example.com,d@example.com,unclaimed\r\ncorp,e,ended,retired\r\n\
         corp,é\u{202e},é,active\r\n"
    );
    let lines = done(&place, &["export", "--format", "jsonl"]);
    for (format, file) in [("csv", &csv), ("jsonl", &lines)] {
        let other = self::place();
        let options = ["import", "-", "--allow-links", "--format", format];
        succeeded(fed(&other, &options, file));
        assert_eq!(done(&other, &["export"]), csv);
        assert_eq!(done(&other, &["export", "--output", "json"]), lines);
        // By its first character.
        succeeded(fed(&other, &["import", "-", "--allow-links"], file));
    }
}

#[test]
fn bad_lines_are_2_and_clashes_4_and_nothing_of_the_file_holds() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let before = done(&place, &["export"]);

    let bad = "namespace,subject,identity\ncorp,carol,carol\ncorp,alice,other\ncorp,dave\n\
        corp,\"line\nbreak\",system\ncorp,erin@example.com,g-1\n";
    let (code, said) = refused(&import(&place, "bad.csv", bad, &[]));
    let name = place.path("bad.csv").display().to_string();
    assert_eq!(code, Some(2), "{said}");
    for line in [4, 5, 7] {
        assert!(said.contains(&format!("{name}:{line}: ")), "{said}");
    }
    assert!(!said.contains("example.com") && !said.contains(&format!("{name}:3:")), "{said}");

    let clashing = format!(
        "{{\"namespace\":\"corp\",\"subject\":\"carol\",\"identity\":\"carol\"}}\n\
         {{\"namespace\":\"corp\",\"subject\":\"alice\",\"identity\":\"other\"}}\n\n\
         {{\"namespace\":\"corp\",\"subject\":\"dave\",\"identity\":\"bob\"}}\n\
         {{\"namespace\":\"corp\",\"subject\":\"erin\",\"identity\":\"{}\"}}\n",
        derived("frank")
    );
    let (code, said) = refused(&import(&place, "clash.jsonl", &clashing, &[]));
    assert_eq!(code, Some(4), "{said}");
    for line in [2, 4, 5] {
        assert!(said.contains(&format!("clash.jsonl:{line}: ")), "{said}");
    }
    assert_eq!(done(&place, &["export"]), before);
    let (code, _) = refused(&import(&place, "clash.jsonl", &clashing, &["--allow-links"]));
    assert_eq!(code, Some(4), "alice has another identity in any case");
    let missing = identity(&place, &["import", "/nonexistent.csv"]);
    assert_eq!(refused(&missing).0, Some(2));
}

#[test]
fn a_script_reads_which_lines_of_a_refused_file_are_at_fault() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let told = |name: &str, rows: &str| {
        let output = import(&place, name, rows, &["--output", "json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(text(&output.stderr).contains(told["error"].as_str().unwrap()), "{told}");
        (output.status.code(), told)
    };
    let (code, bad) = told("bad.csv", "namespace,subject,identity\ncorp,dave\ncorp,a,a\n");
    let message = "2 fields, and the first line names 3 columns";
    let expected = json!({
        "error": "the file has 1 bad line; nothing was imported",
        "lines": [{"line": 2, "message": message}], "lines_total": 1,
    });
    assert_eq!((code, bad), (Some(2), expected));

    let (code, clash) = told("clash.csv", "namespace,subject,identity\ncorp,alice,other\n");
    assert_eq!((code, &clash["lines_total"]), (Some(4), &json!(1)));
    assert_eq!(clash["lines"][0]["line"], 2);
    assert!(clash["lines"][0]["message"].as_str().unwrap().contains("unlink it first"), "{clash}");

    let many = format!("namespace,subject,identity\n{}", "corp\n".repeat(1_001));
    let (_, many) = told("many.csv", &many);
    assert_eq!(
        (many["lines"].as_array().unwrap().len(), &many["lines_total"]),
        (1_000, &json!(1_001))
    );
}

#[test]
fn a_conflict_names_the_way_out_and_the_unknown_is_not_found() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let alice = ["--namespace", "corp", "--subject", "alice"];
    let reason = ["--reason", "ticket 7"];
    let of = |start: &[&str]| identity(&place, &[start, &alice, &reason].concat());

    let (code, said) = refused(&of(&["link", "bob"]));
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("alice@example.com") && said.contains("unlink it first"), "{said}");
    let (code, said) = refused(&of(&["link", "unknown"]));
    assert_eq!((code, said.contains("does not know")), (Some(1), true), "{said}");
    let carol = ["unlink", "--namespace", "corp", "--subject", "carol", "--reason", "x"];
    assert_eq!(refused(&identity(&place, &carol)).0, Some(1));
}

#[test]
fn the_same_command_again_changes_nothing_and_what_ended_stays_so() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let alice = ["--namespace", "corp", "--subject", "alice"];
    let of =
        |start: &[&str]| identity(&place, &[start, &alice, &["--reason", "ticket 7"]].concat());
    for (what, start) in [("unlinked", &["unlink"][..]), ("linked", &["link", "bob"])] {
        let first = succeeded(of(start));
        assert!(first.starts_with(&format!("{what}: ")), "{first}");
        let again = succeeded(of(start));
        assert!(again.starts_with(&format!("{what} already; nothing was changed")), "{again}");
        assert_eq!(again.matches("ticket 7").count(), first.matches("ticket 7").count());
    }
    let bob = shown(&place, &alice);
    assert_eq!((&bob["identity"], bob["subjects"].as_array().unwrap().len()), (&json!("bob"), 2));
    assert_eq!(bob["history"].as_array().unwrap().last().unwrap()["why"], "ticket 7");

    let retired = succeeded(of(&["retire", "--output", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&retired).unwrap()["state"], "retired");
    let (code, said) = refused(&identity(
        &place,
        &["link", "bob", "--namespace", "corp", "--subject", "zed", "--reason", "x"],
    ));
    assert_eq!((code, said.contains("retired")), (Some(4), true), "{said}");
    let erased = succeeded(identity(&place, &["erase", "bob", "--reason", "asked to"]));
    assert!(!erased.contains("ticket 7") && !erased.contains("alice"), "{erased}");
    assert_eq!(refused(&identity(&place, &["retire", "nobody", "--reason", "x"])).0, Some(1));
    assert_eq!(refused(&identity(&place, &["show", "nobody"])).0, Some(1));
}

#[test]
fn a_change_needs_a_reason_that_can_be_shown() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let long = "x".repeat(1001);
    for reason in [
        &["--reason", ""][..],
        &["--reason", " "],
        &["--reason", "a\nb"],
        &["--reason", &long],
        &[],
    ] {
        for start in [
            &["link", "bob", "--namespace", "corp", "--subject", "a"][..],
            &["unlink", "--namespace", "corp", "--subject", "a"],
            &["retire", "bob"],
            &["retire", "--namespace", "corp", "--subject", "a"],
            &["erase", "bob"],
        ] {
            let output = identity(&place, &[start, reason].concat());
            assert_eq!(output.status.code(), Some(64), "{start:?} {reason:?}");
        }
    }
    for wrong in [
        &["show"][..],
        &["show", "bob", "--namespace", "corp", "--subject", "a"],
        &["show", "--namespace", "corp"],
        &["retire", "--subject", "a", "--reason", "x"],
        &["list", "--state", "odd"],
        &["list", "--limit", "0"],
        &["import"],
        &["show", "--namespace", "corp", "--subject", ""],
    ] {
        assert_eq!(identity(&place, wrong).status.code(), Some(64), "{wrong:?}");
    }
}

#[test]
fn p20_no_operator_gives_guests_or_api_tokens_an_identity() {
    let place = place();
    succeeded(import(&place, "users.csv", "namespace,subject,identity\ncorp,bob,bob\n", &[]));
    for namespace in ["urn:usher:guest", "urn:usher:api-token", "urn:usher:x"] {
        let named = ["--namespace", namespace, "--subject", "a"];
        let why = ["--reason", "x"];
        for start in [&["link", "bob"][..], &["retire"]] {
            let (code, said) = refused(&identity(&place, &[start, &named, &why].concat()));
            assert_eq!((code, said.contains("urn:usher:")), (Some(64), true), "{said}");
        }
        let unknown = identity(&place, &[&["unlink"][..], &named, &why].concat());
        assert_eq!(refused(&unknown).0, Some(1));
        assert_eq!(refused(&identity(&place, &[&["show"][..], &named].concat())).0, Some(1));
    }
    // What is there can be brought back.
    let header = "namespace,subject,identity,state\r\n";
    assert_eq!(done(&place, &["export"]), format!("{header}corp,bob,bob,active\r\n"));
}

#[test]
fn a_list_is_cut_where_it_was_told_to_and_says_how_to_go_on() {
    let place = place();
    succeeded(import(&place, "users.csv", &rows(1_203), &[]));
    let names = |output: &Output| -> Vec<String> {
        let lines = text(&output.stdout);
        let name =
            |line: &str| serde_json::from_str::<Value>(line).unwrap()["identity"].to_string();
        lines.lines().map(name).collect()
    };
    let first = identity(&place, &["list", "--output", "json", "--limit", "1200"]);
    assert_eq!(names(&first).len(), 1_200);
    assert!(text(&first.stderr).contains("--after=i01199"), "{}", text(&first.stderr));
    let rest = identity(&place, &["list", "--output", "json", "--after", "i01199"]);
    assert_eq!(names(&rest), ["\"i01200\"", "\"i01201\"", "\"i01202\""]);
    assert_eq!(text(&rest.stderr), "");
    let table = identity(&place, &["list", "--limit", "700", "--namespace", "corp"]);
    assert_eq!(text(&table.stdout).lines().count(), 701, "a heading, and a line for each");
    assert_eq!(done(&place, &["list", "--state", "retired", "--output", "json"]), "");
    assert_eq!(done(&place, &["list", "--namespace", "other", "--output", "json"]), "");
}

#[test]
fn what_a_list_says_to_go_on_with_is_taken_as_it_stands() {
    let place = place();
    let users = "namespace,subject,identity\ncorp,a,-B\ncorp,b,-C d'e\ncorp,c,-D\n";
    succeeded(import(&place, "users.csv", users, &[]));
    let mut listed = Vec::new();
    let mut go_on = String::new();
    while listed.len() < 3 {
        let program = env!("CARGO_BIN_EXE_usher");
        let line = format!(
            "'{program}' identity --config '{}' list --output json --limit 1 {go_on}",
            config(&place)
        );
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        let told = text(&output.stderr);
        go_on = told.trim().rsplit_once("go on with ").map_or("", |(_, how)| how).to_owned();
        let found: Value = serde_json::from_str(&succeeded(output)).unwrap();
        listed.push(found["identity"].as_str().unwrap().to_owned());
    }
    assert_eq!((listed, go_on.as_str()), (["-B", "-C d'e", "-D"].map(str::to_owned).into(), ""));
}

#[tokio::test]
async fn who_looks_somebody_up_moves_no_row_of_an_import() {
    let place = place();
    let settings = place.settings();
    let host = Host::system(settings.identity_key.fingerprint());
    let registrar =
        app::registry(&settings, app::Absent::Made, Arc::clone(&host.clock)).await.unwrap();
    let (store, subject) =
        (registrar.store(), |id: &str| Subject::new("corp".parse().unwrap(), id.parse().unwrap()));
    let author = registrar.author(&Order { who: "cli:test".into(), why: "users.csv".into() });
    let import = store.begin_import(&author).await.unwrap();
    let row = |n: u64| {
        let owner = Owner::Subject("corp".into(), format!("s{n}").into());
        let identity = ChatIdentity::imported(&format!("i{n}")).unwrap();
        (n, Row { owner, identity, is_retired: false, derived_with: None })
    };
    let rows: Vec<_> = (0..3).map(row).collect();
    store.stage(import, &rows).await.unwrap();
    assert_eq!(store.verify(import, false).await.unwrap().clashes, []);
    store.apply(import, &author).await.unwrap();

    let seen = registrar.look_up(&[subject("s1"), subject("s7")]).await.unwrap();
    assert_eq!(seen[0].identity.as_ref().unwrap().as_str(), "i1");
    assert_eq!((seen[0].known, seen[1].known), (true, false));
    let shown_now = registrar.show_subject(&subject("s2")).await.unwrap().unwrap();
    assert_eq!((shown_now.identity.as_str(), shown_now.history.len()), ("i2", 1));
    assert_eq!(shown(&place, &["i0"])["subjects"][0]["subject"], "s0");
    // Each row is still where the import laid it.
    let mut left = 0;
    while store.settle(author.at, 1).await.unwrap() {
        left += 1;
    }
    assert_eq!(left, 3);
    assert_eq!(registrar.show_subject(&subject("s2")).await.unwrap().unwrap(), shown_now);
}

#[test]
fn what_must_last_needs_a_durable_store() {
    let place = Place::new();
    place.configure("https://login.example.com", &json!({"store": {"url": "memory:"}}));
    let named = ["--namespace", "corp", "--subject", "a", "--reason", "x"];
    fs::write(place.path("users.csv"), USERS).unwrap();
    let file = place.path("users.csv").display().to_string();
    for command in [
        [&["link", "bob"][..], &named].concat(),
        [&["unlink"][..], &named].concat(),
        [&["retire"][..], &named].concat(),
        vec!["erase", "bob", "--reason", "x"],
        vec!["import", &file],
        vec!["import", &file, "--allow-links"],
        vec!["rekey"],
        vec!["list"],
        vec!["list", "--output", "json"],
        vec!["show", "bob"],
        vec!["export"],
    ] {
        let (code, said) = refused(&identity(&place, &command));
        assert_eq!((code, said.contains("needs a durable store")), (Some(69), true), "{said}");
    }
    let (code, said) = refused(&usher(&["migrate", "--config", &config(&place)], ""));
    assert_eq!((code, said.contains("needs a durable store")), (Some(69), true), "{said}");
    assert!(said.contains("needs no migration"), "{said}");
}

/// Waits for a sidecar to give `subject` what `is` accepts, at most 2 s from `since`.
async fn within_2_s(
    sidecars: &[&Usher; 2],
    token: &str,
    since: Instant,
    is: impl Fn(&Value) -> bool,
) {
    for sidecar in sidecars {
        eventually(async || is(&sidecar.exchange(token).await.json()).then_some(())).await;
    }
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_holds_on_two_sidecars_within_2_s() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let (one, two) = (place.start().await, place.start().await);
    let sidecars = [&one, &two];
    let (alice, bob) = (idp.token("alice"), idp.token("bob"));
    let (alices, bobs) = (one.identity(&alice).await, two.identity(&bob).await);
    assert_eq!(
        (one.identity(&bob).await, two.identity(&alice).await),
        (bobs.clone(), alices.clone())
    );
    let place = &place;
    let run = async |arguments: Vec<String>| {
        let config = config(place);
        let output = tokio::task::spawn_blocking(move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            usher(&[&["identity", "--config", &config], &arguments[..]].concat(), "")
        });
        succeeded(output.await.unwrap());
        Instant::now()
    };
    let order = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let named = "--namespace corp --subject bob --reason test";

    let since = run(order(&format!("unlink {named}"))).await;
    assert_eq!(two.identity(&alice).await, alices);
    let since_link = run(order(&format!("link {alices} {named}"))).await;
    within_2_s(&sidecars, &bob, since_link.max(since), |told| told["identity"] == *alices).await;
    let since = run(order(&format!("unlink {named}"))).await;
    within_2_s(&sidecars, &bob, since, |told| told["identity"] == *bobs).await;
    let since = run(order(&format!("retire {named}"))).await;
    within_2_s(&sidecars, &bob, since, |told| told["code"] == "identity_retired").await;
    let since = run(order(&format!("erase {alices} --reason test"))).await;
    within_2_s(&sidecars, &alice, since, |told| told["code"] == "identity_retired").await;

    fs::write(place.path("users.csv"), "namespace,subject,identity\ncorp,carol,carols\n").unwrap();
    let file = place.path("users.csv").display().to_string();
    let since = run(vec!["import".to_owned(), file]).await;
    within_2_s(&sidecars, &idp.token("carol"), since, |told| told["identity"] == "carols").await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rekey_says_how_many_change_and_gives_the_new_keys_identities_from_then_on() {
    let (idp, place) = (Idp::open().await, Place::new());
    place.configure(idp.provider.issuer(), &json!({}));
    let sidecar = place.start().await;
    let old = sidecar.identity(&idp.token("alice")).await;
    sidecar.stop().await;
    let imported = "namespace,subject,identity\ncorp,bob,bobs\n";
    succeeded(import(&place, "users.csv", imported, &[]));

    let made = usher(&["identity", "new-key"], "");
    let (key, told) = (text(&made.stdout), text(&made.stderr));
    assert!(
        key.len() == 65 && key.trim_end().bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    );
    fs::write(place.path("new-key"), &key).unwrap();
    let file = place.path("new-key").display().to_string();
    let rekey = |more: &[&str]| {
        identity(&place, &[&["rekey", "--output", "json", "--new-key", &file], more].concat())
    };
    let dry: Value = serde_json::from_str(&succeeded(rekey(&["--dry-run"]))).unwrap();
    assert_eq!(
        (&dry["changed"], &dry["kept"], &dry["dry_run"]),
        (&json!(1), &json!(1), &json!(true))
    );
    let kept: Value = serde_json::from_str(&succeeded(rekey(&["--keep", "--dry-run"]))).unwrap();
    assert_eq!((&kept["changed"], &kept["kept"]), (&json!(0), &json!(2)));
    assert_eq!(shown(&place, &[&old])["state"], "active");

    let output = rekey(&[]);
    let (fingerprint, said) = (told.trim().rsplit(' ').next().unwrap(), text(&output.stderr));
    assert!(said.contains(fingerprint) && said.contains("restart every sidecar"), "{said}");
    succeeded(output);
    assert_eq!(shown(&place, &[&old])["state"], "retired");
    // The old key is another one now, where a key is needed.
    let named = ["--namespace", "corp", "--subject", "carol", "--reason", "x"];
    for command in [
        [&["retire"][..], &named].concat(),
        vec!["erase", "bobs", "--reason", "x"],
        vec!["rekey"],
        vec!["import", place.path("users.csv").to_str().unwrap()],
    ] {
        let (code, said) = refused(&identity(&place, &command));
        assert_eq!((code, said.contains(fingerprint)), (Some(69), true), "{command:?} {said}");
    }
    succeeded(identity(&place, &[&["link", "bobs"][..], &named].concat()));

    fs::write(place.path("identity-key"), &key).unwrap();
    let sidecar = place.start().await;
    let new = sidecar.identity(&idp.token("alice")).await;
    assert_ne!(new, old);
    assert_eq!(sidecar.identity(&idp.token("bob")).await, "bobs");
    sidecar.stop().await;
    fs::write(place.path("short"), "short\n").unwrap();
    let short = place.path("short").display().to_string();
    assert_eq!(refused(&identity(&place, &["rekey", "--new-key", &short])).0, Some(2));
}

#[test]
fn a_rekey_to_the_key_in_force_says_that_nothing_changes() {
    let place = place();
    succeeded(import(&place, "users.csv", "namespace,subject,identity\ncorp,bob,bobs\n", &[]));
    let made = usher(&["identity", "new-key"], "");
    fs::write(place.path("new-key"), &made.stdout).unwrap();
    let fingerprint = text(&made.stderr).trim().rsplit(' ').next().unwrap().to_owned();
    let file = place.path("new-key").display().to_string();
    let rekey = || identity(&place, &["rekey", "--new-key", &file]);
    assert!(succeeded(rekey()).starts_with("changed: 0"));

    let nothing = format!(
        "nothing changes: identities are made with the identity key {fingerprint} already\n"
    );
    let again = rekey();
    assert!(text(&again.stderr).contains("configure the new"), "it is not configured yet");
    assert_eq!(succeeded(again), nothing);
    fs::write(place.path("identity-key"), &made.stdout).unwrap();
    let again = rekey();
    assert_eq!(text(&again.stderr), "", "it is configured");
    assert_eq!(succeeded(again), nothing);
}

/// An import that has read some rows and waits for more.
fn half_fed(place: &Place, count: usize) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_usher"))
        .args(["identity", "import", "-", "--config", &config(place)])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(rows(count).as_bytes()).unwrap();
    child.stdin = Some(input);
    child
}

/// How many rows are laid aside, as they lie in the file.
fn aside(place: &Place) -> i64 {
    let Ok(file) = rusqlite::Connection::open(place.path("usher.db")) else { return 0 };
    file.query_row("SELECT count(*) FROM staged", [], |row| row.get(0)).unwrap_or_default()
}

fn until_something_is_aside(place: &Place) {
    let patience = Instant::now();
    while aside(place) == 0 {
        assert!(patience.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
}

#[test]
fn an_import_that_is_stopped_leaves_nothing_and_one_that_is_killed_nothing_to_be_seen() {
    let place = place();
    succeeded(import(&place, "users.csv", USERS, &[]));
    let before = done(&place, &["export"]);

    let stopped = half_fed(&place, 20_000);
    until_something_is_aside(&place);
    let pid = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let stopped = stopped.wait_with_output().unwrap();
    let said = text(&stopped.stderr);
    assert_eq!((stopped.status.code(), said.contains("nothing was imported")), (Some(130), true));
    assert_eq!((done(&place, &["export"]), aside(&place)), (before.clone(), 0));

    let mut killed = half_fed(&place, 20_000);
    until_something_is_aside(&place);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(done(&place, &["export"]), before);
    assert_eq!(refused(&identity(&place, &["show", "i00000"])).0, Some(1));
    // For a while nobody can tell that it is dead.
    let (code, said) = refused(&import(&place, "users.csv", USERS, &[]));
    assert_eq!((code, said.contains("another import is under way")), (Some(69), true), "{said}");
}

#[test]
fn a_reader_that_goes_away_ends_an_export_quietly() {
    let place = place();
    succeeded(import(&place, "users.csv", &rows(5_000), &[]));
    let mut child = Command::new(env!("CARGO_BIN_EXE_usher"))
        .args(["identity", "export", "--config", &config(&place)])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "namespace,subject,identity,state\r\n");
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), text(&ended.stderr)), (Some(0), String::new()));
}

#[test]
fn migrate_brings_an_older_store_along_and_says_whether_it_did() {
    let place = Place::new();
    let store =
        json!({"url": format!("sqlite:{}", place.path("usher.db").display()), "migrate": "never"});
    place.configure("https://login.example.com", &json!({"store": store}));
    let older = rusqlite::Connection::open(place.path("usher.db")).unwrap();
    older.execute_batch(include_str!("../../src/outbound/store/sqlite/migrations/1.sql")).unwrap();
    older.pragma_update(None, "application_id", 0x7573_6872).unwrap();
    older.pragma_update(None, "user_version", 1001).unwrap();
    drop(older);
    let (code, said) = refused(&identity(&place, &["list"]));
    assert_eq!((code, said.contains("usher migrate")), (Some(69), true), "{said}");
    let migrate = || succeeded(usher(&["migrate", "--config", &config(&place)], ""));
    assert!(migrate().contains("brought to this version's schema"));
    assert!(migrate().contains("nothing to do"));
    assert_eq!(done(&place, &["list", "--output", "json"]), "");
}

#[tokio::test]
async fn where_migrate_is_never_no_start_makes_a_store_and_a_check_says_so_too() {
    let (idp, place) = (Idp::open().await, Place::new());
    let file = place.path("usher.db");
    let store = json!({"url": format!("sqlite:{}", file.display()), "migrate": "never"});
    place.configure(idp.provider.issuer(), &json!({"store": store}));
    let config = config(&place);
    let run = async |arguments: &'static [&'static str]| {
        let config = config.clone();
        let command = move || usher(&[arguments, &["--config", &config]].concat(), "");
        tokio::task::spawn_blocking(command).await.unwrap()
    };
    for arguments in [&["serve"][..], &["check", "--online"], &["identity", "list"]] {
        let ended = run(arguments).await;
        let said = text(&ended.stdout) + &text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(69), "{arguments:?}: {said}");
        let why = "is not there, and store.migrate is never";
        assert!(said.contains(why) && said.contains("`usher migrate`"), "{said}");
        assert!(!file.exists(), "{arguments:?}");
    }
    assert!(succeeded(run(&["migrate"]).await).contains("brought to this version's schema"));
    assert!(succeeded(run(&["check", "--online"]).await).contains("ok      store: opens"));
}

#[test]
fn who_only_reads_makes_no_store_and_says_that_there_is_none() {
    let place = place();
    let file = place.path("usher.db");
    let reads: [&[&str]; 6] = [
        &["list"],
        &["show", "bob"],
        &["export"],
        &["link", "bob", "--namespace", "corp", "--subject", "a", "--reason", "x"],
        &["retire", "bob", "--reason", "x"],
        &["rekey", "--dry-run"],
    ];
    let refuses = |arguments: &[&str]| {
        let (code, said) = refused(&identity(&place, arguments));
        assert_eq!(code, Some(69), "{arguments:?}: {said}");
        assert!(said.contains("is not there; check the path in store.url"), "{said}");
    };
    for arguments in reads {
        refuses(arguments);
        assert!(!file.exists(), "{arguments:?}");
    }
    fs::write(&file, "").unwrap();
    for arguments in reads {
        refuses(arguments);
        assert_eq!(fs::metadata(&file).unwrap().len(), 0, "{arguments:?}");
    }
}
