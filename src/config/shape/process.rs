//! The shapes of what concerns the process itself.
use super::{
    Key,
    Kind::{Count, Either, Flag, List, Secret, Section, Text, Word},
    format, key, words,
};

/// `public`.
pub(super) const PUBLIC: &[Key] = &[
    key("prefix", Text(format::PREFIX), "What usher's own paths begin with.")
        .default("/conversations"),
    key("url", Text(format::PUBLIC_URL), "The origin that users see.")
        .example("https://chat.example.com"),
    key(
        "trustedProxies",
        List { of: &Text(format::NETWORK), min: 0 },
        "Proxies whose X-Forwarded-For is believed: networks, or loopback.",
    )
    .default("[]"),
];

/// `token`.
pub(super) const TOKEN: &[Key] = &[
    key("ttl", Text(format::DURATION), "How long a Conversations token lives: 4 min to 1 h.")
        .default("15m"),
    key(
        "graceBeyondUpstream",
        Text(format::DURATION),
        "How much longer than the upstream token it may live, at most 1 h.",
    )
    .default("4m"),
    key("allowLongLived", Flag, "Lets `ttl` be up to 24 h.").default("false"),
];

/// `identity`.
pub(super) const IDENTITY: &[Key] = &[
    key("key", Secret, "The key that identities are derived with, at least 32 bytes. `usher identity new-key` makes one.")
        .required()
        .example("{file: /run/secrets/usher/identity-key}"),
    key("fingerprint", Text(format::FINGERPRINT), "The fingerprint that the key must have.").example("\"63458b39\""),
];

/// `store`.
pub(super) const STORE: &[Key] = &[
    key("url", Text(format::STORE), "sqlite:PATH, postgres://USER@HOST/DATABASE, or memory:. By default usher.db in the state directory.")
        .default("sqlite:/var/lib/usher/usher.db"),
    key("staleFor", Text(format::DURATION), "How long cached bindings go on while the store is down.").default("1h"),
    key("migrate", Word(words!["auto", "never"]), "Whether `serve` brings the store to its own schema.").default("auto"),
    key("maxConnections", Count { min: 1, max: 100 }, "How many connections the store may have.").default("4"),
    key("password", Secret, "The password of the PostgreSQL user.").example("{file: /run/secrets/usher/store-password}"),
    key("certificateAuthority", Secret, "PEM certificates of the authorities, and the only ones, that are believed of PostgreSQL. By default the host's.").example("{file: /etc/usher/store-ca.pem}"),
];

const TLS: &[Key] = &[
    key("certificate", Secret, "The chain in PEM, leaf first.")
        .required()
        .example("{file: /run/secrets/tls/tls.crt}"),
    key("key", Secret, "The private key in PEM.")
        .required()
        .example("{file: /run/secrets/tls/tls.key}"),
    key("clientCa", Secret, "Whose certificates clients must show, in PEM.")
        .example("{file: /run/secrets/tls/ca.crt}"),
];

const LISTENER: &[Key] = &[
    key("address", Text(format::LISTENER), "host:port with a numeric host, or unix:/path.")
        .required()
        .example("0.0.0.0:4180"),
    key("tls", Section(TLS), "TLS; absent is plain text."),
];

/// `listen`.
pub(super) const LISTEN: &[Key] = &[
    key(
        "public",
        Either(&Text(format::LISTENER), &Section(LISTENER)),
        "For the app, or the world.",
    )
    .default("127.0.0.1:4180"),
    key(
        "egress",
        Either(&Text(format::LISTENER), &Section(LISTENER)),
        "For the app's Twilio REST calls; opened only with `egress`.",
    )
    .default("127.0.0.1:4181"),
    key(
        "admin",
        Either(&Text(format::LISTENER), &Section(LISTENER)),
        "For operators; any address but loopback needs `tls`.",
    )
    .default("127.0.0.1:4182"),
    key("health", Either(&Text(format::LISTENER), &Section(LISTENER)), "For probes and metrics.")
        .default("0.0.0.0:4183"),
];

/// `cors`.
pub(super) const CORS: &[Key] = &[key(
    "allowedOrigins",
    List { of: &Text(format::ORIGIN), min: 0 },
    "Origins whose pages may read answers, as browsers write them.",
)
.default("[]")];

/// `shutdown`.
pub(super) const SHUTDOWN: &[Key] =
    &[key("grace", Text(format::DURATION), "How long requests in flight may take to finish.")
        .default("25s")];

/// `log`.
pub(super) const LOG: &[Key] = &[
    key("format", Word(words!["json", "text"]), "JSON lines, or text for a person.")
        .default("json"),
    key(
        "level",
        Word(words!["error", "warn", "info", "debug", "trace"]),
        "The least important line that is written.",
    )
    .default("info"),
];

/// `telemetry`.
pub(super) const TELEMETRY: &[Key] =
    &[key("otlpEndpoint", Text(format::URL), "Where traces go, as OTLP over HTTP.")
        .example("http://127.0.0.1:4318")];
