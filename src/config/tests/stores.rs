//! What a configured store becomes.
use crate::config::{
    fixture::{Fixture, yaml},
    settings::StorePlace,
};

#[test]
fn a_database_has_its_secrets_beside_its_url() {
    let fixture = Fixture::new();
    fixture.write("password", "hunter2\n");
    let store = "{url: 'postgres://usher@db.example.com:6432/chat', password: {file: password}, certificateAuthority: {file: cert.pem}, maxConnections: 8}";
    let settings = fixture.load(&yaml(&[("store", store)])).unwrap();
    let StorePlace::Postgres(server) = &settings.store.place else { panic!("no database") };
    assert_eq!(server.to_string(), "db.example.com:6432");
    assert!(server.password.is_some() && server.certificate_authority.is_some() && server.tls);
    assert_eq!(settings.store.max_connections, 8);
    assert!(settings.files.iter().any(|file| file.ends_with("password")));
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn secrets_that_no_store_needs_are_warned_of_and_missing_ones_are_mistakes() {
    for (url, warnings) in [
        ("memory:", 3),
        ("sqlite:a.db", 2),
        ("postgres://usher@127.0.0.1/chat", 1),
        ("postgres://usher@db/chat?sslmode=disable", 1),
    ] {
        let store = format!(
            "{{url: '{url}', password: {{file: secret}}, certificateAuthority: {{file: cert.pem}}}}"
        );
        let settings = Fixture::new().load(&yaml(&[("store", &store)])).unwrap();
        assert_eq!(settings.warnings.len(), warnings, "{url}: {:?}", settings.warnings);
    }
    let missing = "{url: 'postgres://usher@db/chat', password: {file: nowhere}, certificateAuthority: {file: secret}}";
    let found = Fixture::new().mistakes(&yaml(&[("store", missing)]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("store.password.file: this file does not exist"), "{found:?}");
    assert!(
        found[1].contains("store.certificateAuthority: this holds no certificate"),
        "{found:?}"
    );
}
