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
        match self.environment.get(name) {
            Ok(text) => text.map(str::to_owned),
            Err(NotText) => {
                self.report.wrong(&place(name), "", "this is not UTF-8");
                None
            }
        }
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
