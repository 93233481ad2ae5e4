//! What usher was told, once it cannot be wrong.
mod listen;
mod naming;

use crate::{
    domain::{
        grant::{Life, Service, Terms},
        identity::{IdentityKey, KeyFingerprint},
        secret::Secret,
        subject::{Issuer, Namespace},
        time::Timestamp,
    },
    outbound::{http::proxy::ProxySettings, store::postgres::PostgresSettings},
    token::algorithm::Algorithm,
};
pub use listen::{
    AdminSettings, EgressSettings, ListenAddress, ListenSettings, Listener, TlsSettings,
};
pub use naming::{Adopt, IdentityFormat, IdentitySource};
use std::{path::PathBuf, time::Duration};
use url::Url;

/// Everything, in one value that is replaced whole by a reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one; the first is the default.
    pub services: Vec<ServiceSettings>,
    /// `public`.
    pub public: PublicSettings,
    /// `token`.
    pub life: Life,
    /// At least one.
    pub issuers: Vec<IssuerSettings>,
    /// `identity.key`, already checked against `identity.fingerprint`.
    pub identity_key: IdentityKey,
    /// `identity.fingerprint`.
    pub fingerprint: Option<KeyFingerprint>,
    /// `grants`; empty means: the default service for users.
    pub grants: Vec<GrantSettings>,
    /// `tokenSources`: header names in lower case, tried in order; default `authorization`.
    pub token_headers: Vec<Box<str>>,
    /// `store`.
    pub store: StoreSettings,
    /// `listen`.
    pub listen: ListenSettings,
    /// `admin`.
    pub admin: AdminSettings,
    /// `egress`; absent means that its listener is not opened.
    pub egress: Option<EgressSettings>,
    /// `cors.allowedOrigins`.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// `shutdown.grace`.
    pub shutdown_grace: Duration,
    /// `log`.
    pub log: LogSettings,
    /// `telemetry.otlpEndpoint`, or `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub otlp_endpoint: Option<Url>,
    /// `HTTPS_PROXY` and `NO_PROXY`.
    pub proxy: ProxySettings,
    /// The state directory (contract 2, "Files").
    pub state_directory: PathBuf,
    /// Sentences that are logged at start: plain http, a missing fingerprint with `memory:`, and the like.
    pub warnings: Vec<String>,
    /// Every file that was read to make these settings: the configuration, secrets, certificates. A change of
    /// one is a reason to reload.
    pub files: Vec<PathBuf>,
}

/// One of `twilio.services`, with the secret that signs its tokens.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    /// What may be shown.
    pub service: Service,
    /// The API key's secret.
    pub secret: Secret,
}

/// `public`.
#[derive(Clone, Debug)]
pub struct PublicSettings {
    /// Without a final slash; `/conversations` unless said otherwise.
    pub prefix: Box<str>,
    /// The origin users see; its path is `/`.
    pub url: Option<Url>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<TrustedProxy>,
}

/// A network, `address/bits`; `loopback` stands for `127.0.0.0/8`, `::1/128` and Unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Every loopback address and every Unix socket.
    Loopback,
    /// The addresses that share the first bits.
    Network(std::net::IpAddr, u8),
}

/// One of `issuers`. A multi-tenant entry (`{tenantid}` with `tenants`) has become one of these a tenant.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// `url`, byte for byte: what `iss` must equal.
    pub url: Issuer,
    /// `audiences`, never empty.
    pub audiences: Vec<Box<str>>,
    /// `audienceClaim`: `aud`, `client_id` or `azp`.
    pub audience_claim: Box<str>,
    /// Where the keys are found.
    pub keys_at: KeysAt,
    /// `certificateAuthority`: PEM, believed besides the host's own roots.
    pub certificate_authority: Option<Box<[u8]>>,
    /// `bearer`: sent with discovery and keys.
    pub bearer: Option<Secret>,
    /// `insecureHttp`.
    pub insecure_http: bool,
    /// `algorithms`.
    pub algorithms: Vec<Algorithm>,
    /// `tokenTypes`.
    pub token_types: TokenTypes,
    /// `allow: [act]`.
    pub allow_act: bool,
    /// `allow: [cnf]`.
    pub allow_cnf: bool,
    /// `namespace`, by default the URL as written.
    pub namespace: Namespace,
    /// `subject`, never empty.
    pub subject: Vec<Box<str>>,
    /// `identity`: how a subject's identity is made.
    pub identity: IdentityFormat,
    /// `adopt`: whether a first sign-in may take an identity that waits for it.
    pub adopt: Option<Adopt>,
    /// `claimValidationRules`, and for a tenant `tid`.
    pub rules: Vec<RuleSettings>,
    /// `enforcement: {auditUntil: DATE}`: until then a rule's *expression* that refuses is only logged and counted.
    pub audit_until: Option<Timestamp>,
    /// `clockSkew`.
    pub clock_skew: Duration,
    /// `keys`.
    pub keys: KeySettings,
}

/// `issuers[].tokenTypes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenTypes {
    /// Access tokens, ID tokens, and those that do not tell.
    Both,
    /// Access tokens only.
    AccessToken,
    /// ID tokens only.
    IdToken,
}

/// Where an issuer's keys are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// In the document at this address, whose `issuer` must be the configured URL.
    Discovery(Url),
    /// At this address; no discovery.
    Jwks(Url),
}

/// One of `claimValidationRules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSettings {
    /// The claim is a string equal to the value, byte for byte.
    Required {
        /// The claim's name.
        claim: Box<str>,
        /// What it must equal.
        value: Box<str>,
    },
    /// The CEL expression over `claims` is `true`.
    Expression {
        /// CEL, at most 4 KiB, known to compile.
        expression: Box<str>,
        /// What the user is told where it is not.
        message: Option<Box<str>>,
    },
}

/// `issuers[].keys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// How often keys are fetched anew; 10 min.
    pub refresh: Duration,
    /// How long after an attempt that an unknown key caused no other is made; 30 s.
    pub cooldown: Duration,
    /// How long keys are used that cannot be refreshed; 24 h.
    pub max_stale: Duration,
    /// The deadline of one fetch; 5 s.
    pub fetch_timeout: Duration,
}

/// One of `grants`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantSettings {
    /// Name, ttl and role.
    pub terms: Terms,
    /// `when`: CEL over `claims`, `issuer`, `identity`, `kind`; absent is always.
    pub when: Option<Box<str>>,
    /// `kinds` names users; the only kind there is so far.
    pub users: bool,
    /// `service`.
    pub service: GrantService,
}

/// Which service a grant gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantService {
    /// One of the configured names; an index into [`Settings::services`].
    Named(usize),
    /// A CEL expression that yields one of the configured names.
    Expression(Box<str>),
}

/// `store`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// `url`.
    pub place: StorePlace,
    /// `staleFor`: how long cached bindings go on while the store is down; 1 h.
    pub stale_for: Duration,
    /// `migrate: never` leaves the schema to `usher migrate`.
    pub migrate: bool,
    /// `maxConnections`; 4.
    pub max_connections: u32,
}

/// `store.url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `memory:`.
    Memory,
    /// `postgres:`, with `password` and `certificateAuthority`.
    Postgres(Box<PostgresSettings>),
}

/// One of `cors.allowedOrigins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// `scheme://host[:port]` as a browser writes it.
    Exact(Box<str>),
    /// Any port of a loopback host; only `usher dev` makes one.
    AnyPort(Box<str>),
}

/// `log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON lines, or text for a person.
    pub json: bool,
    /// `level`, as a tracing directive: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Box<str>,
    /// `RUST_LOG`, which goes before `level`; not checked here.
    pub directives: Option<Box<str>>,
}
