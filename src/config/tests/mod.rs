//! Whole configurations, and what is said of their mistakes.
mod files;
mod stores;
mod values;

use super::fixture::{Fixture, yaml};
use proptest::prelude::*;
use std::fs;

#[test]
fn twelve_different_mistakes_are_twelve_lines_at_the_right_place() {
    let found = Fixture::new()
        .mistakes(include_str!("../../../tests/fixtures/config/twelve-mistakes.yaml"));
    let wanted = include_str!("../../../tests/fixtures/config/twelve-mistakes.txt");
    assert_eq!(found.join("\n") + "\n", wanted);
    assert_eq!(found.len(), 12);
}

#[test]
fn every_key_of_the_contracts_example_is_known() {
    let found =
        Fixture::new().mistakes(include_str!("../../../tests/fixtures/config/contract.yaml"));
    let text = found.join("\n");
    assert!(!text.contains("unknown key"), "{text}");
    let wanted = include_str!("../../../tests/fixtures/config/contract.txt");
    assert_eq!(text + "\n", wanted);
}

#[test]
fn the_contracts_example_with_its_placeholders_filled_in_is_only_not_in_this_version() {
    let fixture = Fixture::new();
    fs::write(fixture.folder.path().join("identity-key"), (0..64).collect::<Vec<u8>>()).unwrap();
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let mut text = include_str!("../../../tests/fixtures/config/contract.yaml").to_owned();
    for kind in ["AC", "SK", "IS", "CR", "RL", "CH"] {
        text =
            text.replace(&format!("{kind}…"), &format!("{kind}0123456789abcdef0123456789abcdef"));
    }
    for (placeholder, value) in [
        ("certificateAuthority: {file: …}", "certificateAuthority: {file: cert.pem}"),
        ("identity: {key: {file: …}", "identity: {key: {file: identity-key}"),
        ("/run/secrets/usher/api-key-secret", "secret"),
        ("{file: …}", "{file: secret}"),
        ("sha256: …", &format!("sha256: {digest}")),
        ("expires: …", "expires: 2027-06-30"),
        ("when: …", "when: claims.x"),
        (
            "public: …, egress: …, admin: …, health: …",
            "public: '127.0.0.1:4180', health: '0.0.0.0:4183'",
        ),
        ("discoveryUrl: …", "discoveryUrl: https://a.example"),
        ("jwksUri: …", "jwksUri: https://a.example"),
        ("Url: …", "Url: https://a.example"),
        ("url: …", "url: https://a.example"),
        ("issuer: …", "issuer: https://a.example"),
        ("otlpEndpoint: …", "otlpEndpoint: https://a.example"),
    ] {
        text = text.replace(placeholder, value);
    }
    let found = fixture.mistakes(&text);
    assert_eq!(found.len(), 18, "{found:#?}");
    assert!(found.iter().all(|line| line.contains(": not in this version")), "{found:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_damage_to_a_configuration_makes_the_reader_panic(
        from in 0_usize..6000, length in 0_usize..40, insert in "[-a-zA-Z0-9{}\\[\\]:,. \n'\"*&!~…]{0,8}",
    ) {
        let text: Vec<char> = include_str!("../../../tests/fixtures/config/contract.yaml").chars().collect();
        let damaged: String = text.iter().take(from).copied()
            .chain(insert.chars())
            .chain(text.iter().skip(from + length).copied())
            .collect();
        let fixture = Fixture::new();
        prop_assert!(fixture.load(&damaged).is_err());
        prop_assert!(fixture.mistakes(&damaged).iter().all(|line| !line.contains("please report")));
    }
}

#[test]
fn what_is_not_built_is_refused_and_its_mistakes_are_named() {
    let found =
        Fixture::new().mistakes(&yaml(&[("guests", "{perMinute: many}"), ("rateLimits", "{}")]));
    assert_eq!(
        found,
        [
            "4:1 guests: not in this version (remove it)",
            "4:21 guests.perMinute: this is not such a number (write a whole number from 1 to 1000000000)",
        ]
    );
    for (section, value) in [
        (
            "login",
            "{issuer: 'https://login.example.com/realms/corp', clientId: a, sessionKey: {file: a}}",
        ),
        (
            "appSessions",
            "[{name: web, cookies: [s], check: {url: 'http://127.0.0.1/whoami'}, namespace: app, subject: [id]}]",
        ),
        (
            "apiTokens",
            "[{name: bot, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, subject: bot-1}]",
        ),
        ("guests", "{}"),
        ("rateLimits", "{perSubject: 60/m}"),
        ("denied", "[{namespace: corp, subject: x}]"),
        ("activeUsers", "{budget: 5000}"),
        ("egress", "{allow: []}"),
        ("egress", "{lookup: [corp], allow: [read]}"),
        (
            "egress",
            "{clients: [{issuer: 'https://a.example', subject: 'system:serviceaccount:a:b'}]}",
        ),
        ("admin", "{oidc: [{issuer: 'https://a.example', audience: a, role: reader}]}"),
        ("webhooks", "{publicUrl: 'https://a/b', forwardTo: 'http://127.0.0.1/c'}"),
        ("upstream", "{url: 'http://127.0.0.1:8080'}"),
        ("forwardAuth", "{token: true}"),
        ("tokenSources", "[{cookie: a}]"),
        ("grants", "[{name: a, kinds: [guest]}]"),
        ("grants", "[{name: a, budget: exempt}]"),
        ("grants", "[{name: a, conversations: [CH0123456789abcdef0123456789abcdef]}]"),
    ] {
        let found = Fixture::new().mistakes(&yaml(&[(section, value)]));
        assert!(
            found.len() == 1 && found[0].contains("not in this version"),
            "{section}: {found:?}"
        );
    }
}

#[test]
fn p13_no_mistake_shows_a_value() {
    let text = include_str!("../../../tests/fixtures/config/twelve-mistakes.yaml")
        .replace("0123456789abcdef0123456789abcdef}", "hunter2}")
        .replace("main:", "main: {accountSid: hunter2, apiKey: hunter2, region: hunter2}\n    b:")
        .replace("[chat]", "[[hunter2]]")
        .replace("mian", "hunter2")
        .replace("memory:", "postgres://u:hunter2@h/d");
    let found = Fixture::new().mistakes(&text);
    assert!(found.len() > 10);
    assert!(!found.concat().contains("hunter2"), "{found:#?}");
}
