//! Files and variables that a configuration names.
use crate::config::{
    Environment, Fault, Sources,
    fixture::{Fixture, NOW, yaml},
    listeners, load,
    settings::{ListenAddress, StorePlace},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

#[test]
fn a_secret_that_cannot_be_used_is_unfit_and_not_wrong() {
    let fixture = Fixture::new();
    fixture.write("empty", "");
    fixture.write("newline", "\n");
    fixture.write("short", "0123456789\n");
    fixture.write("spaced", "0123456789abcdef 0123456789abcdef");
    fixture.write("sid", "SK0123456789abcdef0123456789abcdef\n");
    for (file, wanted) in [
        ("none", "does not exist"),
        (".", "is a folder"),
        ("empty", "is empty"),
        ("newline", "nothing but a newline"),
        ("short", "too short"),
        ("spaced", "spaces or line breaks"),
        ("sid", "API key's SID and not its secret"),
    ] {
        let twilio = format!(
            "{{accountSid: AC0123456789abcdef0123456789abcdef, apiKey: {{sid: SK0123456789abcdef0123456789abcdef, secret: {{file: {file}}}}}, services: {{main: {{sid: IS0123456789abcdef0123456789abcdef}}}}}}"
        );
        let mistakes = fixture.load(&yaml(&[("twilio", &twilio)])).unwrap_err();
        assert_eq!(mistakes.fault(), Fault::Unfit, "{file}");
        assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
        assert!(mistakes.to_string().contains(wanted), "{mistakes}");
        assert!(mistakes.files().contains(&fixture.folder.path().join(file)));
    }
    let short = fixture.load(&yaml(&[("identity", "{key: {file: short}}")])).unwrap_err();
    assert!(short.to_string().contains("identity key has 10 bytes and needs 32"), "{short}");
    assert_eq!(short.fault(), Fault::Unfit);
    let pair = yaml(&[]).replace(
        "{sid: SK0123456789abcdef0123456789abcdef, secret: {file: secret}}",
        "{file: secret}",
    );
    assert!(fixture.load(&pair).unwrap_err().to_string().contains("SK…:secret"));
}

#[test]
fn another_identity_key_than_the_pinned_one_is_unfit() {
    let fixture = Fixture::new();
    let found = fixture
        .load(&yaml(&[("identity", "{key: {file: identity-key}, fingerprint: \"63458b39\"}")]));
    let mistakes = found.unwrap_err();
    assert_eq!(mistakes.fault(), Fault::Unfit);
    assert!(mistakes.to_string().contains("the identity key is another one"), "{mistakes}");
    let bytes: Vec<u8> = (0..64).collect();
    fs::write(fixture.folder.path().join("identity-key"), bytes).unwrap();
    let found = fixture
        .load(&yaml(&[("identity", "{key: {file: identity-key}, fingerprint: \"63458b39\"}")]));
    assert_eq!(found.unwrap().fingerprint.unwrap().to_string(), "63458b39");
}

#[test]
fn an_environment_variable_may_hold_a_secret() {
    let mut fixture = Fixture::new();
    let with_env = yaml(&[("identity", "{key: {env: IDENTITY_KEY}}")]);
    assert!(fixture.mistakes(&with_env)[0].contains("this environment variable is not set"));
    let long = "k".repeat(32);
    fixture.environment = Environment::from([("IDENTITY_KEY", long.as_str())]);
    assert!(fixture.load(&with_env).is_ok());
}

#[test]
fn a_folder_that_others_may_write_is_refused_unless_its_mount_is_read_only() {
    let fixture = Fixture::new();
    let open = fixture.folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::write(open.join("key"), "k".repeat(64)).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let mut sources = fixture.sources(&yaml(&[("identity", "{key: {file: open/key}}")]));
    let mistakes = load(&sources).unwrap_err();
    assert!(mistakes.to_string().contains("identity.key.file: others may write"), "{mistakes}");
    assert_eq!(mistakes.fault(), Fault::Unfit);
    sources.is_read_only = |_| true;
    assert!(load(&sources).is_ok());
    // A link does not hide the folder behind it.
    symlink(open.join("key"), fixture.folder.path().join("link")).unwrap();
    let linked = fixture.mistakes(&yaml(&[("identity", "{key: {file: link}}")]));
    assert!(linked[0].contains("others may write"), "{linked:?}");
    fs::set_permissions(fixture.folder.path(), fs::Permissions::from_mode(0o707)).unwrap();
    let all = fixture.load(&yaml(&[])).unwrap_err();
    assert!(all.to_string().contains("usher.yaml: others may write"), "{all}");
}

#[test]
fn a_file_that_is_not_there_is_watched_for_all_the_same() {
    let fixture = Fixture::new();
    let missing = fixture.folder.path().join("missing.yaml");
    let mistakes =
        load(&Sources::new(Some(missing.clone()), Environment::default(), NOW)).unwrap_err();
    assert_eq!(mistakes.files(), [missing]);
    assert_eq!(mistakes.fault(), Fault::Wrong);
    assert!(fixture.load("").unwrap_err().to_string().contains("the configuration is empty"));
}

#[test]
fn tls_files_that_are_swapped_are_named() {
    let listen = "{public: {address: '0.0.0.0:4180', tls: {certificate: {file: key.pem}, key: {file: cert.pem}}}}";
    let found = Fixture::new().mistakes(&yaml(&[("listen", listen)]));
    assert!(
        found[0].contains("listen.public.tls.certificate: this holds no certificate"),
        "{found:?}"
    );
    assert!(found[1].contains("listen.public.tls.key: this holds no private key"), "{found:?}");
}

#[test]
fn a_mount_that_kubernetes_swaps_is_read_through_its_links() {
    let fixture = Fixture::new();
    let at = |name: &str| fixture.folder.path().join(name);
    fs::create_dir(at("..1")).unwrap();
    fs::write(at("..1/key"), "k".repeat(64)).unwrap();
    symlink("..1", at("..data")).unwrap();
    symlink("..data/key", at("key")).unwrap();
    let settings = fixture.load(&yaml(&[("identity", "{key: {file: key}}")])).unwrap();
    assert!(settings.files.contains(&at("key")));
}

#[test]
fn rust_log_the_state_directory_and_otel_are_read_beside_a_file_and_nothing_else_is() {
    let mut fixture = Fixture::new();
    fixture.environment = Environment::from([
        ("RUST_LOG", "usher=debug"),
        ("STATE_DIRECTORY", "/state/a:/state/b"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
        ("USHER_LISTEN", "0.0.0.0:1"),
        ("TWILIO_REGION", "ie1"),
    ]);
    let settings = fixture.load(&yaml(&[])).unwrap();
    assert_eq!(settings.log.directives.as_deref(), Some("usher=debug"));
    assert_eq!(settings.store.place, StorePlace::Sqlite("/state/a/usher.db".into()));
    assert!(settings.otlp_endpoint.is_some());
    assert_eq!(&*settings.services[0].service.region, "us1");
    assert_eq!(
        settings.listen.public.address,
        ListenAddress::Tcp("127.0.0.1:4180".parse().unwrap())
    );
    assert_eq!(settings.warnings, ["USHER_LISTEN is not read, since a file configures"]);
    fixture.environment = Environment::from([
        ("HTTPS_PROXY", "socks5://u:hunter2@h:1"),
        ("STATE_DIRECTORY", "state"),
    ]);
    let found = fixture.mistakes(&yaml(&[])).join("\n");
    assert!(found.contains("HTTPS_PROXY: this is not the address of a proxy"), "{found}");
    assert!(found.contains("STATE_DIRECTORY: this is not an absolute path"), "{found}");
    assert!(!found.contains("hunter2"));
}

#[test]
fn the_listeners_are_found_where_another_section_is_wrong() {
    let fixture = Fixture::new();
    let wrong = yaml(&[("listen", "{health: '127.0.0.1:5000'}"), ("twilio", "{}"), ("log", "[]")]);
    let sources = fixture.sources(&wrong);
    assert!(load(&sources).is_err());
    let health = listeners(&sources).unwrap().health;
    assert_eq!(health.address, ListenAddress::Tcp("127.0.0.1:5000".parse().unwrap()));
    let sources = fixture.sources(&yaml(&[("listen", "{health: 5000}")]));
    assert_eq!(listeners(&sources).unwrap_err().iter().count(), 1);
    let nothing = Sources::new(None, Environment::default(), NOW);
    assert!(listeners(&nothing).is_ok());
}
