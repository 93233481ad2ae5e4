//! The environment as a configuration of its own: one issuer and one service (contract 5).
//!
//! It becomes the same tree that a file becomes, each value with its variable for a place, so that everything
//! behind is the same for both.
use super::{
    mistake::{Place, Report},
    reader::Reader,
    sources::{Environment, NotText},
    tree::{Node, Value},
};

/// The name of the one service.
const SERVICE: &str = "main";

/// Makes the tree. What is missing is reported and marked as broken.
pub(super) fn tree(environment: &Environment, report: &mut Report) -> Node {
    let mut variables = Variables { environment, report };
    let issuer = Node::map(
        Place::Environment,
        present([
            (
                "url",
                Some(variables.needed("USHER_ISSUER", "https://login.example.com/realms/corp")),
            ),
            ("audiences", Some(variables.audiences())),
            ("insecureHttp", variables.insecure_http()),
        ]),
    );
    let issuers = Node { place: Place::Environment, value: Value::List(vec![issuer]) };
    let root = present([
        ("twilio", Some(variables.twilio())),
        ("issuers", Some(issuers)),
        ("identity", Some(variables.identity())),
        ("listen", variables.listen()),
        ("store", variables.store()),
    ]);
    Node::map(Place::Environment, root)
}

/// Warns of variables that look like a slip. They cannot be mistakes: Kubernetes sets `USHER_PORT` and the
/// like in every container beside a Service named `usher`.
pub(super) fn warn_of_slips(reader: &mut Reader<'_>) {
    let named: Vec<_> = reader.sources.environment.names().collect();
    for name in named.into_iter().filter(|name| name.starts_with("USHER_")) {
        let known = NAMES.contains(&name);
        if reader.sources.file.is_some() && known {
            reader.report.warn(format!("{name} is not read, since a file configures"));
        }
        let near = NAMES.iter().find(|known| strsim::osa_distance(known, name) <= 2);
        if let (None, false, Some(near)) = (&reader.sources.file, known, near) {
            reader
                .report
                .warn(format!("{} is not read (did you mean {near}?)", super::tree::shown(name)));
        }
    }
}

const NAMES: &[&str] = &[
    "USHER_ISSUER",
    "USHER_AUDIENCE",
    "USHER_IDENTITY_KEY_FILE",
    "USHER_IDENTITY_KEY",
    "USHER_LISTEN",
    "USHER_STORE_URL",
    "USHER_STORE_PASSWORD_FILE",
    "USHER_STORE_PASSWORD",
    "USHER_INSECURE_HTTP",
];

struct Variables<'a> {
    environment: &'a Environment,
    report: &'a mut Report,
}

impl Variables<'_> {
    fn text(&mut self, name: &str) -> Option<String> {
        let text = self.environment.get(name);
        if text.is_err() {
            self.report.wrong(&place(name), "", "this is not UTF-8 (write text)");
        }
        text.ok()?.map(str::to_owned)
    }

    /// The value of a variable.
    fn optional(&mut self, name: &str) -> Option<Node> {
        self.text(name).map(|text| Node::text(place(name), &text))
    }

    /// The value of a variable that must be set.
    fn needed(&mut self, name: &str, sample: &str) -> Node {
        self.optional(name).unwrap_or_else(|| self.missing(name, sample))
    }

    fn missing(&mut self, name: &str, sample: &str) -> Node {
        let what =
            format!("not set (set it, as in {name}={sample}, or give a file with --config FILE)");
        self.report.wrong(&place(name), "", what);
        Node::broken(place(name))
    }

    fn audiences(&mut self) -> Node {
        const NAME: &str = "USHER_AUDIENCE";
        let Some(text) = self.text(NAME) else { return self.missing(NAME, "chat") };
        let items = text.split(',').map(|item| Node::text(place(NAME), item.trim()));
        Node { place: place(NAME), value: Value::List(items.collect()) }
    }

    fn insecure_http(&mut self) -> Option<Node> {
        const NAME: &str = "USHER_INSECURE_HTTP";
        match self.text(NAME)?.as_str() {
            "1" | "true" => Some(Node::plain(place(NAME), "true")),
            "0" | "false" => None,
            _ => {
                self.report.wrong(
                    &place(NAME),
                    "",
                    "this is neither 1 nor 0 (write 1, or unset it)",
                );
                None
            }
        }
    }

    /// What `{file}` or `{env}` would be: the name of a file in one variable, or the secret itself in another.
    fn secret(&mut self, file: &str, env: &str) -> Option<Node> {
        match (self.text(file), self.environment.get(env)) {
            (Some(_), Ok(Some(_)) | Err(NotText)) => {
                let what = format!("{file} and {env} are both set (unset one of them)");
                self.report.wrong(&place(file), "", what);
                Some(Node::broken(place(file)))
            }
            (Some(path), Ok(None)) => {
                Some(Node::map(place(file), vec![("file", Node::text(place(file), &path))]))
            }
            (None, Ok(Some(_)) | Err(NotText)) => {
                Some(Node::map(place(env), vec![("env", Node::text(place(env), env))]))
            }
            (None, Ok(None)) => None,
        }
    }

    fn needed_secret(&mut self, file: &str, env: &str, sample: &str) -> Node {
        self.secret(file, env).unwrap_or_else(|| self.missing(file, sample))
    }

    fn twilio(&mut self) -> Node {
        let account = self.needed("TWILIO_ACCOUNT_SID", "AC…");
        let sid = self.needed("TWILIO_API_KEY", "SK…");
        let secret = self.needed_secret(
            "TWILIO_API_SECRET_FILE",
            "TWILIO_API_SECRET",
            "/run/secrets/usher/api-key-secret",
        );
        let service = self.needed("TWILIO_CONVERSATIONS_SERVICE_SID", "IS…");
        let service = Node::map(Place::Environment, vec![("sid", service)]);
        let api_key = Node::map(Place::Environment, vec![("sid", sid), ("secret", secret)]);
        let twilio = present([
            ("accountSid", Some(account)),
            ("apiKey", Some(api_key)),
            ("region", self.optional("TWILIO_REGION")),
            ("services", Some(Node::map(Place::Environment, vec![(SERVICE, service)]))),
        ]);
        Node::map(Place::Environment, twilio)
    }

    fn identity(&mut self) -> Node {
        let key = self.needed_secret(
            "USHER_IDENTITY_KEY_FILE",
            "USHER_IDENTITY_KEY",
            "/run/secrets/usher/identity-key",
        );
        Node::map(Place::Environment, vec![("key", key)])
    }

    fn store(&mut self) -> Option<Node> {
        let url = self.optional("USHER_STORE_URL");
        let password = self.secret("USHER_STORE_PASSWORD_FILE", "USHER_STORE_PASSWORD");
        let store = present([("url", url), ("password", password)]);
        (!store.is_empty()).then(|| Node::map(Place::Environment, store))
    }

    fn listen(&mut self) -> Option<Node> {
        let public = self.optional("USHER_LISTEN")?;
        Some(Node::map(Place::Environment, vec![("public", public)]))
    }
}

fn place(name: &str) -> Place {
    Place::Variable(name.into())
}

fn present<const N: usize>(
    entries: [(&'static str, Option<Node>); N],
) -> Vec<(&'static str, Node)> {
    entries.into_iter().filter_map(|(key, node)| Some((key, node?))).collect()
}

#[cfg(test)]
mod tests {
    use crate::config::{
        Environment, Fault, Sources,
        fixture::{Fixture, NOW, lines},
        load,
        settings::{ListenAddress, StorePlace},
    };

    const ALL: [(&str, &str); 7] = [
        ("USHER_ISSUER", "https://login.example.com/realms/corp"),
        ("USHER_AUDIENCE", "chat, web"),
        ("USHER_IDENTITY_KEY", "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"),
        ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
        ("TWILIO_API_KEY", "SK0123456789abcdef0123456789abcdef"),
        ("TWILIO_API_SECRET", "0123456789abcdef0123456789abcdef"),
        ("TWILIO_CONVERSATIONS_SERVICE_SID", "IS0123456789abcdef0123456789abcdef"),
    ];

    /// The variables of `ALL`, with others beside or in the place of them; an empty value unsets.
    fn sources(more: &[(&str, &str)]) -> Sources {
        let all = ALL.iter().chain(more).map(|(name, value)| ((*name).into(), (*value).into()));
        Sources::new(None, Environment::new(all), NOW)
    }

    #[test]
    fn the_environment_alone_serves_one_issuer_and_one_service() {
        let settings = load(&sources(&[
            ("USHER_LISTEN", "0.0.0.0:80"),
            ("USHER_STORE_URL", "memory:"),
            ("TWILIO_REGION", "ie1"),
            ("STATE_DIRECTORY", "/state"),
        ]))
        .unwrap();
        assert_eq!(settings.issuers[0].audiences, ["chat".into(), "web".into()]);
        assert_eq!(&*settings.services[0].service.region, "ie1");
        assert_eq!(
            settings.listen.public.address,
            ListenAddress::Tcp("0.0.0.0:80".parse().unwrap())
        );
        assert_eq!(settings.store.place, StorePlace::Memory);
        assert_eq!(settings.state_directory.to_str(), Some("/state"));
        assert!(settings.files.is_empty());
    }

    #[test]
    fn a_database_and_its_password_are_variables_too() {
        let url = ("USHER_STORE_URL", "postgres://usher@db.example.com/chat");
        let settings = load(&sources(&[url, ("USHER_STORE_PASSWORD", "hunter2")])).unwrap();
        let StorePlace::Postgres(server) = &settings.store.place else { panic!("no database") };
        assert_eq!((&*server.user, &*server.database, server.tls), ("usher", "chat", true));
        assert_eq!(server.password, Some(crate::domain::secret::Secret::text("hunter2")));
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);

        let wrong = lines(load(&sources(&[(
            "USHER_STORE_URL",
            "postgres://usher:hunter2@db.example.com/chat",
        )])));
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("USHER_STORE_URL: a password has no place"), "{wrong:?}");
        assert!(!wrong[0].contains("hunter2"));
        let both = [url, ("USHER_STORE_PASSWORD", "a"), ("USHER_STORE_PASSWORD_FILE", "/b")];
        assert!(lines(load(&sources(&both)))[0].contains("are both set"));
    }

    #[test]
    fn a_mistake_is_named_by_its_variable() {
        let mistakes = load(&sources(&[
            ("USHER_ISSUER", "http://127.0.0.1:1"),
            ("USHER_AUDIENCE", ""),
            ("TWILIO_CONVERSATIONS_SERVICE_SID", "MG0123456789abcdef0123456789abcdef"),
            ("USHER_INSECURE_HTTP", "maybe"),
            ("USHER_IDENTITY_KEY", "hunter2"),
        ]))
        .unwrap_err();
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        let begins = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
        assert_eq!(lines.len(), 5, "{lines:#?}");
        for name in [
            "USHER_AUDIENCE: not set",
            "USHER_ISSUER: this is plain http",
            "TWILIO_CONVERSATIONS_SERVICE_SID: this is the SID of a Messaging service",
            "USHER_INSECURE_HTTP: this is neither",
            "USHER_IDENTITY_KEY: this identity key has 7 bytes",
        ] {
            assert_eq!(begins(name), 1, "{name}: {lines:#?}");
        }
        assert!(!lines.concat().contains("hunter2"));
    }

    #[test]
    fn nothing_at_all_names_every_variable_that_is_needed() {
        let mistakes = load(&Sources::new(None, Environment::default(), NOW)).unwrap_err();
        assert_eq!(mistakes.iter().count(), 7, "{mistakes}");
        assert!(mistakes.iter().all(|mistake| mistake.what().starts_with("not set (set it")));
        assert_eq!(mistakes.fault(), Fault::Wrong);
    }

    #[test]
    fn both_forms_of_one_secret_are_a_mistake() {
        let fixture = Fixture::new();
        let file = fixture.folder.path().join("secret");
        let file = ("TWILIO_API_SECRET_FILE", file.to_str().unwrap());
        let both = lines(load(&sources(&[file])));
        assert!(
            both.len() == 1 && both[0].contains("are both set (unset one of them)"),
            "{both:?}"
        );
        assert!(load(&sources(&[file, ("TWILIO_API_SECRET", "")])).is_ok());
    }

    #[test]
    fn insecure_http_allows_a_plain_issuer() {
        let plain = ("USHER_ISSUER", "http://127.0.0.1:8080");
        assert!(load(&sources(&[plain, ("USHER_INSECURE_HTTP", "0")])).is_err());
        let settings = load(&sources(&[plain, ("USHER_INSECURE_HTTP", "1")])).unwrap();
        assert!(settings.issuers[0].insecure_http && settings.warnings.len() == 1);
    }

    #[test]
    fn a_slip_in_a_variables_name_is_a_warning_and_what_kubernetes_sets_is_not() {
        let more = [("USHER_LISTEM", "x"), ("USHER_PORT_4180_TCP", "tcp://x"), ("USHER_PORT", "x")];
        let settings = load(&sources(&more)).unwrap();
        assert_eq!(settings.warnings, ["USHER_LISTEM is not read (did you mean USHER_LISTEN?)"]);
    }
}
