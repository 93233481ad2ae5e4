//! The binary, as its users run it: exit codes and sentences (contract 1).
use crate::house::{Idp, Place};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs a command with nothing of this process's environment.
pub(crate) fn usher(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_usher"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn config(place: &Place) -> String {
    place.path("usher.yaml").display().to_string()
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    assert_eq!(usher(&["nonsense"], "").status.code(), Some(64));
    assert_eq!(usher(&["serve", "--nonsense"], "").status.code(), Some(64));
    let commands =
        "serve dev probe check explain identity migrate console schema openapi completions man";
    let registry = "list show link unlink retire erase import export rekey new-key";
    let helps = commands.split(' ').map(|command| vec![command]);
    for command in helps.chain(registry.split(' ').map(|command| vec!["identity", command])) {
        let help = usher(&[&command[..], &["--help"]].concat(), "");
        assert_eq!(help.status.code(), Some(0), "{command:?}");
        let said = text(&help.stdout);
        assert!(said.contains("Example:\n  ") && said.contains("usher"), "{command:?}");
    }
    let version = text(&usher(&["--version"], "").stdout);
    assert!(version.starts_with("usher 0.1.0 (commit "), "{version}");
}

#[test]
fn a_wrong_configuration_is_2_and_a_missing_key_file_is_69() {
    let place = Place::new();
    place.configure("https://login.example.com", &json!({"nonsense": 1}));
    let wrong = usher(&["check", "--config", &config(&place)], "");
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));
    place.configure("https://login.example.com", &json!({}));
    assert_eq!(usher(&["check", "--config", &config(&place)], "").status.code(), Some(0));
    fs::remove_file(place.path("identity-key")).unwrap();
    for command in ["check", "serve"] {
        let unfit = usher(&[command, "--config", &config(&place)], "");
        assert_eq!(unfit.status.code(), Some(69), "{command}");
        let said = text(&unfit.stderr);
        assert!(said.contains("identity.key") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn another_identity_key_than_the_stores_is_69() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = Place::new();
    runtime.block_on(async {
        let idp = Idp::open().await;
        place.configure(idp.provider.issuer(), &json!({}));
        let usher = place.start().await;
        usher.identity(&idp.token("alice")).await;
        usher.stop().await;
    });
    fs::write(place.path("identity-key"), "another key of thirty-two bytes!").unwrap();
    let refused = usher(&["serve", "--config", &config(&place)], "");
    assert_eq!(refused.status.code(), Some(69));
    assert!(
        text(&refused.stderr).contains("identity.key is not the one"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn a_port_in_use_is_69_and_names_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let listen = json!({"public": address, "admin": "127.0.0.1:0", "health": "127.0.0.1:0"});
    place.configure("https://login.example.com", &json!({"listen": listen}));
    let refused = usher(&["serve", "--config", &config(&place)], "");
    assert_eq!(refused.status.code(), Some(69));
    assert!(
        text(&refused.stderr).contains(&format!("{address} is in use")),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn an_admin_port_in_use_ends_the_start_too() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place = Place::new();
    let listen = json!({"public": "127.0.0.1:0", "admin": address, "health": "127.0.0.1:0"});
    place.configure("https://login.example.com", &json!({"listen": listen}));
    let refused = usher(&["serve", "--config", &config(&place)], "");
    assert_eq!(refused.status.code(), Some(69));
    let said = text(&refused.stderr);
    assert!(said.contains("admin listener") && said.contains(&address), "{said}");
}

/// `usher console` with the state directory of a place.
fn console(place: &Place) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
    command.args(["console", "--config", &config(place)]).env_clear();
    command.env("STATE_DIRECTORY", place.path("state")).output().unwrap()
}

#[test]
fn console_prints_its_url_with_the_token_in_the_fragment_or_says_what_is_missing() {
    let place = Place::new();
    let listen = json!({"public": "127.0.0.1:0", "admin": "127.0.0.1:4182"});
    place.configure("https://login.example.com", &json!({"listen": listen}));
    let early = console(&place);
    assert_eq!(early.status.code(), Some(69));
    assert!(text(&early.stderr).contains("usher serve makes it"), "{}", text(&early.stderr));

    fs::create_dir(place.path("state")).unwrap();
    fs::write(place.path("state/admin-token"), "usher_adm_abc\n").unwrap();
    let found = console(&place);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
    assert_eq!(text(&found.stdout), "http://127.0.0.1:4182/#token=usher_adm_abc\n");

    let token = json!([{"name": "ops", "sha256": "0".repeat(64), "role": "operator"}]);
    let admin = json!({"listen": listen, "admin": {"tokens": token}});
    place.configure("https://login.example.com", &admin);
    let configured = console(&place);
    assert_eq!(configured.status.code(), Some(69));
    let said = text(&configured.stderr);
    assert!(said.contains("admin.tokens") && said.contains("/#token="), "{said}");
    assert!(!said.contains("usher_adm_abc") && configured.stdout.is_empty(), "{said}");

    let socket = json!({"listen": {"admin": format!("unix:{}", place.path("a.sock").display())}});
    place.configure("https://login.example.com", &socket);
    assert_eq!(console(&place).status.code(), Some(69));
}

#[test]
fn a_stop_during_the_start_is_a_stop_and_a_locked_store_is_not_a_wrong_key() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen =
        json!({"public": free.to_string(), "admin": "127.0.0.1:0", "health": "127.0.0.1:0"});
    place.configure("https://login.example.com", &json!({"listen": listen}));
    let holder = rusqlite::Connection::open(place.path("usher.db")).unwrap();
    holder.execute_batch("PRAGMA journal_mode=WAL; BEGIN EXCLUSIVE").unwrap();
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
        command.args(["serve", "--config", &config(&place)]).env_clear();
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let stopped = start();
    // The listeners are open before the store is.
    while std::net::TcpStream::connect(free).is_err() {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_child(&stopped);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let stopped = stopped.wait_with_output().unwrap();
    assert_eq!(stopped.status.code(), Some(0), "{}", text(&stopped.stderr));

    let refused = start().wait_with_output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(69), "{said}");
    assert!(said.contains("locked") && !said.contains("identity.key"), "{said}");
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_found_by_check() {
    let place = Place::new();
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (one, other) = (made("one"), made("other"));
    fs::write(place.path("tls.crt"), one.cert.pem()).unwrap();
    fs::write(place.path("tls.key"), other.signing_key.serialize_pem()).unwrap();
    let tls = json!({"certificate": {"file": "tls.crt"}, "key": {"file": "tls.key"}});
    let listen = json!({"public": {"address": "127.0.0.1:0", "tls": tls}, "admin": "127.0.0.1:0"});
    place.configure("https://login.example.com", &json!({"listen": listen}));
    let refused = usher(&["check", "--config", &config(&place)], "");
    assert_eq!(refused.status.code(), Some(69));
    assert!(text(&refused.stderr).contains("listen.public.tls"), "{}", text(&refused.stderr));
}

#[test]
fn explain_says_how_an_identity_comes_about_and_what_stops_a_token() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let place = Place::new();
    let idp = runtime.block_on(Idp::open());
    place.configure(idp.provider.issuer(), &json!({}));
    let token = idp.token("alice");
    let explained = usher(&["explain", "--config", &config(&place)], &format!("{token}\n"));
    let said = text(&explained.stdout);
    assert_eq!(explained.status.code(), Some(0), "{said}{}", text(&explained.stderr));
    assert!(said.contains("derived (opaque)") && said.contains("u-"), "{said}");
    assert!(!said.contains(&token) && !said.contains("eyJ"), "{said}");
    assert!(!place.path("usher.db").exists(), "explain stores nothing");

    let stopped = usher(&["explain", "--config", &config(&place)], &token.replace('.', ".."));
    assert_eq!(stopped.status.code(), Some(3));
    assert!(text(&stopped.stdout).contains("refused  form"), "{}", text(&stopped.stdout));
}

#[test]
fn every_document_can_be_printed_and_read() {
    let schema: Value = serde_json::from_slice(&usher(&["schema"], "").stdout).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let openapi: Value = serde_json::from_slice(&usher(&["openapi"], "").stdout).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    for shell in ["bash", "zsh", "fish"] {
        let script = usher(&["completions", shell], "");
        assert!(script.status.success() && text(&script.stdout).contains("usher"), "{shell}");
    }
    let man = text(&usher(&["man"], "").stdout);
    assert!(man.contains(".SH \"EXIT STATUS\"") && man.contains(".SH USHER SERVE"), "{man}");
    assert!(man.contains(".SH USHER IDENTITY IMPORT") && man.contains("4 conflict"), "{man}");
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_usher"))
        .arg("openapi")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(!text(&ended.stderr).contains("panicked"), "{}", text(&ended.stderr));
}

#[test]
fn dev_refuses_to_run_in_a_pod_or_for_strangers() {
    let dev = |arguments: &[&str], pod: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usher"));
        command
            .arg("dev")
            .args(arguments)
            .env_clear()
            .current_dir(Path::new(env!("CARGO_TARGET_TMPDIR")));
        if pod {
            command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        }
        command.output().unwrap().status.code()
    };
    assert_eq!(dev(&[], true), Some(64));
    assert_eq!(dev(&["--listen", "0.0.0.0:0"], false), Some(64));
    assert_eq!(dev(&["--live", "--allow-remote"], false), Some(64));
    assert_eq!(
        dev(&["--live", "--listen", "127.0.0.1:0"], false),
        Some(2),
        "no TWILIO_* variables"
    );
}
