//! The shapes of sections that this version checks and does not have.
use super::{
    Key,
    Kind::{Amount, Count, Flag, List, Secret, Section, Text, Word},
    format, key, words,
};

const MANY: u64 = 1_000_000_000;

/// One of `appSessions`.
pub(super) const APP_SESSION: &[Key] = &[
    key("name", Text(format::NAME), "Its name.").required().example("web"),
    key(
        "cookies",
        List { of: &Text(format::HEADER), min: 1 },
        "The cookies that carry the session.",
    )
    .required()
    .example("[sessionid]"),
    key("check", Section(CHECK), "Where the app says whose session it is.").required(),
    key("namespace", Text(format::NAMESPACE), "Where its subject ids mean something.")
        .required()
        .example("app"),
    key(
        "subject",
        List { of: &Text(format::CLAIM), min: 1 },
        "The members of the answer that name a person.",
    )
    .required()
    .example("[id]"),
];

const CHECK: &[Key] = &[
    key("url", Text(format::URL), "The address that answers 200 and a JSON object, 401 or 403.")
        .required()
        .example("http://127.0.0.1:8080/whoami"),
    key("cache", Text(format::DURATION), "How long an answer is remembered.").example("30s"),
    key("insecureHttp", Flag, "Lets the URL be plain http where it is not on loopback.")
        .default("false"),
];

/// One of `apiTokens`.
pub(super) const API_TOKEN: &[Key] = &[
    key("name", Text(format::NAME), "Its name.").required().example("bot"),
    key("sha256", Text(format::SHA256), "The token's digest.")
        .required()
        .example("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    key("subject", Text(format::TEXT), "Who has it.").required().example("bot-1"),
    key("expires", Text(format::DATE), "The day it ends.").example("2027-06-30"),
];

/// `login`.
pub(super) const LOGIN: &[Key] = &[
    key("issuer", Text(format::ISSUER), "One of the configured issuers.")
        .required()
        .example("https://login.example.com/realms/corp"),
    key("clientId", Text(format::TEXT), "usher's client there.").required().example("chat-web"),
    key("clientSecret", Secret, "That client's secret.")
        .example("{file: /run/secrets/usher/client-secret}"),
    key("scopes", List { of: &Text(format::TEXT), min: 1 }, "What is asked for.")
        .default("[openid]"),
    key("sessionKey", Secret, "The key that seals sessions.")
        .required()
        .example("{file: /run/secrets/usher/session-key}"),
    key("redirectUrl", Text(format::URL), "Where the issuer sends users back to.")
        .example("https://chat.example.com/conversations/callback"),
    key("lifetime", Text(format::DURATION), "How long a session lasts.").default("8h"),
    key("recheck", Text(format::DURATION), "How often the issuer is asked again.").default("15m"),
];

/// `guests`.
pub(super) const GUESTS: &[Key] = &[
    key("ttl", Text(format::DURATION), "How long a guest's token lives.").example("15m"),
    key("perMinute", Count { min: 1, max: MANY }, "New guests a minute from one address.")
        .example("10"),
    key("perMonth", Count { min: 1, max: MANY }, "New guests a month.").example("1000"),
];

/// `rateLimits`.
pub(super) const RATE_LIMITS: &[Key] = &[
    key("perSubject", Text(format::RATE), "For one subject.").later().example("60/m"),
    key("perAddress", Text(format::RATE), "For one address.").later().example("600/m"),
];

/// One of `denied`.
pub(super) const DENIED: &[Key] = &[
    key("namespace", Text(format::TEXT), "Where the subject id means something.")
        .required()
        .example("corp"),
    key("subject", Text(format::TEXT), "Who is refused.").required().example("mallory"),
];

/// `activeUsers`.
pub(super) const ACTIVE_USERS: &[Key] = &[
    key("budget", Count { min: 0, max: MANY }, "Active users a month.").example("5000"),
    key("onBudget", Word(words!["warn", "refuse"]), "What happens beyond it.").default("warn"),
    key("tiers", List { of: &Section(TIER), min: 1 }, "What an active user costs.")
        .example("[{upTo: 200, price: 0}, {upTo: 5000, price: 0.05}]"),
    key("notify", Section(NOTIFY), "Who is told."),
];

const TIER: &[Key] = &[
    key("upTo", Count { min: 1, max: MANY }, "The last user of this tier.")
        .required()
        .example("200"),
    key("price", Amount, "The price of each.").required().example("0.05"),
];

const NOTIFY: &[Key] = &[
    key("url", Text(format::URL), "The address that is told.")
        .required()
        .example("https://hooks.example.com/usher"),
    key(
        "at",
        List { of: &Count { min: 1, max: 1000 }, min: 1 },
        "At how many percent of the budget.",
    )
    .required()
    .example("[50, 80, 100]"),
];

/// `webhooks`.
pub(super) const WEBHOOKS: &[Key] = &[
    key("publicUrl", Text(format::URL), "The URL that Twilio signs.")
        .required()
        .example("https://chat.example.com/conversations/webhook"),
    key("forwardTo", Text(format::URL), "Where checked webhooks go.")
        .required()
        .example("http://127.0.0.1:8080/twilio"),
    key("localKey", Secret, "What the forwarded request is signed with.")
        .example("{file: /run/secrets/usher/webhook-key}"),
    key("insecureHttp", Flag, "Lets `forwardTo` be plain http where it is not on loopback.")
        .default("false"),
];

/// `upstream`.
pub(super) const UPSTREAM: &[Key] = &[
    key("url", Text(format::URL), "The app's address.").required().example("http://127.0.0.1:8080"),
    key("insecureHttp", Flag, "Lets the URL be plain http where it is not on loopback.")
        .default("false"),
];

/// `forwardAuth`.
pub(super) const FORWARD_AUTH: &[Key] = &[
    key("token", Flag, "Adds a Conversations token to the answer.").default("false").later(),
    key("guests", Flag, "Lets guests pass.").default("false").later(),
];
