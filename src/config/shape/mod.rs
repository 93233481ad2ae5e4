//! The shape of a configuration: every key that any version knows, with its type, meaning and default.
//!
//! There is one table, so that the check for unknown keys, the hints, "not in this version", and the JSON
//! Schema cannot drift apart.
mod check;
mod format;
mod grants;
mod issuers;
mod later;
mod local;
mod nearest;
mod process;
mod scalar;
mod schema;
mod twilio;

pub(super) use check::check;
pub(super) use nearest::nearest;
pub use schema::schema;

/// What may be written in a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number between two bounds, both included.
    Count { min: u64, max: u64 },
    /// An amount of money, 0 or more.
    Amount,
    /// A text of some format.
    Text(&'static Format),
    /// One of some words.
    Word(&'static Words),
    /// A secret, which is never written here.
    Secret,
    /// A list of at least so many items.
    List { of: &'static Kind, min: usize },
    /// A mapping with known keys.
    Section(&'static [Key]),
    /// A mapping with at least so many names that the operator chooses.
    Names { name: &'static Format, of: &'static Kind, min: usize },
    /// A text, or a mapping that says more.
    Either(&'static Kind, &'static Kind),
    /// A mapping of one of several forms; each is recognised by its first key.
    Forms(&'static [&'static [Key]]),
}

/// One key of a section. See [`key`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// One sentence for the schema.
    pub(super) doc: &'static str,
    pub(super) required: bool,
    /// Whether this version knows the key and no more.
    pub(super) later: bool,
    /// YAML.
    pub(super) default: Option<&'static str>,
    /// YAML.
    pub(super) example: Option<&'static str>,
}

/// A kind of text.
#[derive(Debug)]
pub(super) struct Format {
    /// What it is, with its article.
    pub(super) noun: &'static str,
    /// One that passes.
    pub(super) sample: &'static str,
    /// A regular expression for the schema, which may let more pass than `check` does.
    pub(super) pattern: &'static str,
    /// Says what is wrong with a text, without repeating it.
    pub(super) check: fn(&str) -> Result<(), String>,
}

/// A closed set of words.
#[derive(Debug)]
pub(super) struct Words {
    /// The words that this version takes.
    pub(super) now: &'static [&'static str],
    /// The words that it knows and no more.
    pub(super) later: &'static [&'static str],
    /// A better answer for some of the words that are not in the set.
    pub(super) why_not: fn(&str) -> Option<&'static str>,
}

/// A set of words that needs no explanation.
macro_rules! words {
    ($($word:literal),* $(,)?) => {
        &$crate::config::shape::Words {
            now: &[$($word),*],
            later: &[],
            why_not: $crate::config::shape::unexplained,
        }
    };
}
use words;

/// Words that are simply not in the set.
pub(super) fn unexplained(_: &str) -> Option<&'static str> {
    None
}

/// A key that may be left out and has no default.
pub(super) const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc, required: false, later: false, default: None, example: None }
}

impl Key {
    /// The key must be there.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Anything but the default is not in this version.
    pub(super) const fn later(mut self) -> Self {
        self.later = true;
        self
    }

    /// What holds where the key is absent, in YAML.
    pub(super) const fn default(mut self, yaml: &'static str) -> Self {
        self.default = Some(yaml);
        self
    }

    /// What could be written, in YAML.
    pub(super) const fn example(mut self, yaml: &'static str) -> Self {
        self.example = Some(yaml);
        self
    }
}

/// The two ways to name a secret.
pub(super) const SECRET: &[&[Key]] = &[
    &[key("file", Kind::Text(format::PATH), "A file that holds the secret; one newline at its end does not count. A relative path starts at the folder of the configuration file.")
        .required()
        .example("/run/secrets/usher/api-key-secret")],
    &[key("env", Kind::Text(format::VARIABLE), "An environment variable that holds the secret.")
        .required()
        .example("USHER_API_KEY_SECRET")],
];

/// `listen`, which `usher probe` reads alone.
pub(super) const LISTEN: Kind = Kind::Section(process::LISTEN);

/// The whole configuration.
pub(super) const ROOT: Kind = Kind::Section(&[
    key(
        "twilio",
        Kind::Section(twilio::TWILIO),
        "The Twilio account, its keys and Conversations services.",
    )
    .required(),
    key("public", Kind::Section(process::PUBLIC), "How clients see usher."),
    key("token", Kind::Section(process::TOKEN), "The life of Conversations tokens."),
    key(
        "issuers",
        Kind::List { of: &Kind::Section(issuers::ISSUER), min: 1 },
        "The OpenID providers whose tokens are taken.",
    )
    .required(),
    key("identity", Kind::Section(process::IDENTITY), "How identities are derived.").required(),
    key(
        "grants",
        Kind::List { of: &Kind::Section(grants::GRANT), min: 1 },
        "Who gets which service; the first match wins, none is 403. Absent: the default service for users.",
    ),
    key(
        "tokenSources",
        Kind::List { of: &Kind::Forms(grants::TOKEN_SOURCE), min: 1 },
        "Where a request carries its token, tried in order.",
    )
    .default("[{header: Authorization}]"),
    key(
        "appSessions",
        Kind::List { of: &Kind::Section(later::APP_SESSION), min: 0 },
        "The application's own sessions as credentials.",
    )
    .default("[]")
    .later(),
    key(
        "apiTokens",
        Kind::List { of: &Kind::Section(later::API_TOKEN), min: 0 },
        "Tokens for programs.",
    )
    .default("[]")
    .later(),
    key("login", Kind::Section(later::LOGIN), "Sign-in by usher itself.").later(),
    key("guests", Kind::Section(later::GUESTS), "Temporary identities for passers-by.").later(),
    key(
        "rateLimits",
        Kind::Section(later::RATE_LIMITS),
        "How often a subject or an address may ask; absent is no limit.",
    ),
    key(
        "denied",
        Kind::List { of: &Kind::Section(later::DENIED), min: 0 },
        "Subjects that are refused, whatever the store says.",
    )
    .default("[]")
    .later(),
    key("activeUsers", Kind::Section(later::ACTIVE_USERS), "The budget of monthly active users.")
        .later(),
    key(
        "egress",
        Kind::Section(local::EGRESS),
        "The app's own listener: it looks identities up there.",
    ),
    key("webhooks", Kind::Section(later::WEBHOOKS), "Twilio's webhooks, checked and handed on.")
        .later(),
    key("upstream", Kind::Section(later::UPSTREAM), "The app that usher fronts.").later(),
    key("forwardAuth", Kind::Section(later::FORWARD_AUTH), "What forward auth answers."),
    key("store", Kind::Section(process::STORE), "Where identities are kept."),
    key("admin", Kind::Section(local::ADMIN), "Who may use the admin API."),
    key("listen", Kind::Section(process::LISTEN), "The addresses that usher listens on."),
    key("cors", Kind::Section(process::CORS), "Browser origins that may read answers."),
    key("shutdown", Kind::Section(process::SHUTDOWN), "How usher ends."),
    key("log", Kind::Section(process::LOG), "What usher writes to its standard output."),
    key("telemetry", Kind::Section(process::TELEMETRY), "Where traces go."),
]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{mistake::Report, tree::Cursor, yaml};
    use serde_json::Value;

    /// As much of JSON Schema as the shape uses.
    fn valid(schema: &Value, value: &Value) -> bool {
        let each = |name: &str| schema.get(name).and_then(Value::as_array).into_iter().flatten();
        let typed = match schema.get("type").and_then(Value::as_str) {
            None => true,
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64(),
            Some("number") => value.is_number(),
            Some("string") => value.is_string(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some(other) => panic!("no type {other}"),
        };
        let reference =
            schema.get("$ref").is_none_or(|_| valid(&super::schema()["$defs"]["secret"], value));
        let one = schema.get("oneOf").is_none()
            || each("oneOf").filter(|one| valid(one, value)).count() == 1;
        let known = schema.get("enum").is_none() || each("enum").any(|known| known == value);
        typed && reference && one && known && fits(schema, value)
    }

    fn length(length: usize) -> f64 {
        u32::try_from(length).unwrap().into()
    }

    fn fits(schema: &Value, value: &Value) -> bool {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        let matches = |pattern: Option<&Value>, text: &str| {
            pattern
                .and_then(Value::as_str)
                .is_none_or(|p| regex::Regex::new(p).unwrap().is_match(text))
        };
        match value {
            Value::String(text) => matches(schema.get("pattern"), text),
            Value::Number(n) => {
                let n = n.as_f64().unwrap();
                bound("minimum").is_none_or(|min| n >= min)
                    && bound("maximum").is_none_or(|max| n <= max)
            }
            Value::Array(items) => {
                bound("minItems").is_none_or(|min| length(items.len()) >= min)
                    && items.iter().all(|item| valid(&schema["items"], item))
            }
            Value::Object(members) => {
                let required = schema.get("required").and_then(Value::as_array);
                bound("minProperties").is_none_or(|min| length(members.len()) >= min)
                    && required
                        .into_iter()
                        .flatten()
                        .all(|key| members.contains_key(key.as_str().unwrap()))
                    && members.iter().all(|(key, member)| {
                        let named = matches(
                            schema.get("propertyNames").map(|names| &names["pattern"]),
                            key,
                        );
                        let of = schema["properties"]
                            .get(key)
                            .unwrap_or(&schema["additionalProperties"]);
                        named && *of != Value::Bool(false) && valid(of, member)
                    })
            }
            Value::Null | Value::Bool(_) => true,
        }
    }

    /// Every key of the shape, with the way to it.
    fn keys(kind: &Kind, way: &str, found: &mut Vec<(String, Key)>) {
        match kind {
            Kind::Section(section) => {
                for key in *section {
                    let way = format!("{way}.{}", key.name);
                    found.push((way.clone(), *key));
                    keys(&key.kind, &way, found);
                }
            }
            Kind::Forms(forms) => {
                forms.iter().for_each(|form| keys(&Kind::Section(form), way, found));
            }
            Kind::Either(short, long) => {
                keys(short, way, found);
                keys(long, way, found);
            }
            Kind::List { of, .. } | Kind::Names { of, .. } => keys(of, &format!("{way}[]"), found),
            Kind::Secret => keys(&Kind::Forms(SECRET), way, found),
            Kind::Flag | Kind::Count { .. } | Kind::Amount | Kind::Text(_) | Kind::Word(_) => {}
        }
    }

    fn all_keys() -> Vec<(String, Key)> {
        let mut found = Vec::new();
        keys(&ROOT, "", &mut found);
        found
    }

    fn mistakes(kind: &Kind, yaml: &str) -> Vec<String> {
        let mut report = Report::default();
        let node = yaml::parse(yaml.as_bytes(), &mut report).unwrap();
        check(kind, &Cursor::root(&node), &mut report);
        report.mistakes().iter().map(ToString::to_string).collect()
    }

    /// A value of the right type and the wrong meaning, and one of the wrong type.
    fn wrong(kind: &Kind) -> &'static [&'static str] {
        match kind {
            Kind::Flag => &["\"true\"", "yes", "1", "[]"],
            Kind::Count { .. } => &["-1", "\"5\"", "1.5", "5000000000", "[]"],
            Kind::Amount => &["-0.5", "\"0.5\"", "free"],
            Kind::Text(_) => &["\"\\t\"", "5", "true", "[a]", "{a: b}"],
            Kind::Word(_) => &["\"\"", "5", "[a]"],
            Kind::Secret => &["hunter2", "{file: a, env: B}", "{}", "{files: a}"],
            Kind::List { .. } => &["a", "{}", "[[[[]]]]"],
            Kind::Section(_) => &["a", "[]", "{hunter2: a}"],
            Kind::Names { .. } => &["a", "[]", "{\"a b\": {}}"],
            Kind::Either(..) => &["\"\\t\"", "[]", "{hunter2: a}"],
            Kind::Forms(_) => &["a", "[]", "{}", "{hunter2: a}"],
        }
    }

    #[test]
    fn a_wrong_value_of_every_key_is_refused_by_the_reader_and_by_the_schema() {
        let all = all_keys();
        assert!(all.len() > 150, "{}", all.len());
        for (way, key) in all {
            for yaml in wrong(&key.kind) {
                assert!(!mistakes(&key.kind, yaml).is_empty(), "the reader takes {yaml} for {way}");
                let value = schema::json_of(yaml);
                assert!(
                    !valid(&schema::of(&key.kind), &value),
                    "the schema takes {yaml} for {way}"
                );
            }
        }
    }

    #[test]
    fn every_default_and_example_passes_the_reader_and_the_schema() {
        for (way, key) in all_keys() {
            let below =
                matches!(key.kind, Kind::Section(_) | Kind::List { .. } | Kind::Names { .. });
            assert!(below || key.default.or(key.example).is_some(), "{way} shows nothing");
            for yaml in key.default.into_iter().chain(key.example) {
                assert_eq!(mistakes(&key.kind, yaml), Vec::<String>::new(), "{way}: {yaml}");
                assert!(valid(&schema::of(&key.kind), &schema::json_of(yaml)), "{way}: {yaml}");
            }
            if let Kind::Text(format) = key.kind {
                assert_eq!((format.check)(format.sample), Ok(()), "{way}");
                assert!(valid(&schema::of(&key.kind), &Value::from(format.sample)), "{way}");
            }
            assert!(key.doc.ends_with('.'), "{way} has no sentence");
        }
    }

    #[test]
    fn a_slip_in_a_key_is_one_mistake_that_names_the_right_one() {
        let kind = Kind::Section(issuers::ISSUER);
        assert_eq!(
            mistakes(&kind, "url: https://a.example\naudience: [chat]"),
            ["configuration:2:1 audience: unknown key (did you mean `audiences`?)"]
        );
        assert!(
            mistakes(&kind, "url: https://a.example\naudiences: [chat]\ndatabase: x")[0]
                .starts_with("configuration:3:1 database: unknown key (the nearest known key is `")
        );
    }

    #[test]
    fn the_traps_of_yaml_get_a_sentence_each() {
        for (kind, yaml, wanted) in [
            (
                Kind::Text(format::TEXT),
                "no",
                "YAML readers take this for true or false (put it in quotes)",
            ),
            (
                Kind::Text(format::TEXT),
                "123",
                "YAML readers take this for a number (put it in quotes)",
            ),
            (
                Kind::Text(format::FINGERPRINT),
                "63458e39",
                "YAML readers take this for a number (put it in quotes)",
            ),
            (Kind::Text(format::DURATION), "900", "this is not a duration"),
            (Kind::Text(format::TEXT), "~", "here is no value"),
            (Kind::Flag, "on", "YAML readers disagree"),
            (Kind::Flag, "\"false\"", "in quotes this is a text"),
            (Kind::Count { min: 1, max: 9 }, "07", "this is not such a number"),
            (Kind::List { of: &Kind::Text(format::TEXT), min: 1 }, "chat", "this is a list"),
            (
                Kind::List { of: &Kind::Text(format::TEXT), min: 1 },
                "[]",
                "this list needs at least 1",
            ),
        ] {
            let found = mistakes(&kind, yaml);
            assert!(found.len() == 1 && found[0].contains(wanted), "{yaml}: {found:?}");
        }
    }

    #[test]
    fn p13_a_secret_that_was_written_inline_is_not_repeated() {
        let api_key = twilio::TWILIO.iter().find(|key| key.name == "apiKey").unwrap().kind;
        for yaml in [
            "hunter2",
            "{hunter2}",
            "{SK1: hunter2}",
            "[hunter2]",
            "{file: [hunter2]}",
            "{env: 'hunter2 '}",
            "{sid: hunter2, secret: hunter2}",
        ] {
            for kind in [Kind::Secret, api_key] {
                let found = mistakes(&kind, yaml);
                assert!(!found.is_empty(), "{yaml}");
                assert!(!found.concat().contains("hunter2"), "{found:?}");
            }
        }
    }

    #[test]
    fn algorithms_that_never_pass_are_told_why() {
        let kind = Kind::List { of: issuer_kind("algorithms"), min: 1 };
        assert!(mistakes(&kind, "[HS256]")[0].contains("never taken"));
        assert!(mistakes(&kind, "[None]")[0].contains("never taken"));
        assert!(mistakes(&kind, "[RS265]")[0].contains("did you mean RS256?"));
        assert!(mistakes(&kind, "[ES512]")[0].contains("write ES256 or ES384"));
    }

    fn issuer_kind(name: &str) -> &'static Kind {
        let key = issuers::ISSUER.iter().find(|key| key.name == name).unwrap();
        let Kind::List { of, .. } = key.kind else { panic!("no list") };
        of
    }

    #[test]
    fn a_key_that_is_not_built_passes_with_its_default_only() {
        let kind = Kind::Section(later::FORWARD_AUTH);
        assert!(mistakes(&kind, "{token: false, guests: false}").is_empty());
        assert!(mistakes(&kind, "{token: true}")[0].contains("token: not in this version"));
        let kind = Kind::Section(issuers::ISSUER);
        let found = mistakes(
            &kind,
            "{url: 'https://a', audiences: [a], introspection: {clientId: a, clientSecret: {env: A}}}",
        );
        assert!(found[0].contains("introspection: not in this version"), "{found:?}");
        let kind = Kind::Section(grants::GRANT);
        let found = mistakes(&kind, "{name: a, kinds: [bot]}");
        assert!(found[0].contains("kinds[0]: not in this version (write user)"), "{found:?}");
    }

    #[test]
    fn the_schema_is_a_draft_2020_12_schema_of_an_object() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["token"]["properties"]["ttl"]["default"], "15m");
        assert!(
            schema["properties"]["login"]["description"]
                .as_str()
                .unwrap()
                .ends_with("Not in this version.")
        );
    }
}
