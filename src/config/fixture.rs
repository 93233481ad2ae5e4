//! A configuration for tests: files of its own, and as much of a configuration as is needed.
use super::{Environment, Mistakes, Sources, load, settings::Settings};
use crate::domain::time::Timestamp;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// 2026-11-23T10:15:00Z.
pub(super) const NOW: Timestamp = Timestamp(1_795_428_900);

/// A folder with the files `secret`, `identity-key`, `cert.pem` and `key.pem`.
pub(super) struct Fixture {
    pub(super) folder: TempDir,
    pub(super) environment: Environment,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Self { folder, environment: Environment::default() };
        fixture.write("secret", "0123456789abcdef0123456789abcdef\n");
        fixture.write("identity-key", &"k".repeat(64));
        fixture.write("cert.pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
        fixture.write("key.pem", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
        fixture
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn sources(&self, yaml: &str) -> Sources {
        let file = self.write("usher.yaml", yaml);
        Sources::new(Some(file), self.environment.clone(), NOW)
    }

    pub(super) fn load(&self, yaml: &str) -> Result<Settings, Mistakes> {
        load(&self.sources(yaml))
    }

    /// The mistakes, each without the file's name.
    pub(super) fn mistakes(&self, yaml: &str) -> Vec<String> {
        lines(self.load(yaml))
    }
}

/// Each mistake without its file's folder.
pub(super) fn lines(read: Result<Settings, Mistakes>) -> Vec<String> {
    let Err(mistakes) = read else { return Vec::new() };
    mistakes
        .iter()
        .map(|mistake| {
            let line = mistake.to_string();
            line.split_once("usher.yaml:").map_or(line.clone(), |(_, rest)| rest.to_owned())
        })
        .collect()
}

/// A whole configuration, in which `replace` puts other sections in the place of these.
pub(super) fn yaml(replace: &[(&str, &str)]) -> String {
    let mut sections = vec![
        (
            "twilio",
            "{accountSid: AC0123456789abcdef0123456789abcdef, apiKey: {sid: SK0123456789abcdef0123456789abcdef, secret: {file: secret}}, services: {main: {sid: IS0123456789abcdef0123456789abcdef}}}",
        ),
        ("issuers", "[{url: 'https://login.example.com/realms/corp', audiences: [chat]}]"),
        ("identity", "{key: {file: identity-key}}"),
    ];
    for (name, value) in replace {
        match sections.iter_mut().find(|(known, _)| known == name) {
            Some(section) => section.1 = value,
            None => sections.push((name, value)),
        }
    }
    sections.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}
