//! The formats of texts.
use super::Format;
use crate::{
    config::{address, expression, text},
    domain::{
        identity::KeyFingerprint,
        sid::{AccountSid, ApiKeySid, InvalidSid, PushCredentialSid, RoleSid, ServiceSid},
    },
};

/// A pattern that every text without control characters matches.
const ANY: &str = "^[^\\u0000-\\u001f\\u007f]+$";
const NAMED: &str = "^[A-Za-z0-9._-]{1,64}$";
const HTTP: &str = "^[Hh][Tt][Tt][Pp][Ss]?://[^\\s#]+$";

macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident $noun:literal $sample:literal $pattern:expr, $check:expr;)*) => {$(
        $(#[$doc])*
        pub(super) const $name: &Format =
            &Format { noun: $noun, sample: $sample, pattern: $pattern, check: $check };
    )*};
}

formats! {
    /// Any text.
    TEXT "a text" "chat" ANY, text::any;
    /// A name that the operator chooses.
    NAME "a name" "main" NAMED, text::name;
    /// A claim's name.
    CLAIM "the name of a claim" "sub" ANY, text::any;
    /// A namespace.
    NAMESPACE "a namespace" "corp" ANY, text::namespace;
    /// A tenant.
    TENANT "a tenant id" "9122040d-6c67-4c5b-b112-36a304b66dad" NAMED, text::tenant;
    /// The beginning of readable identities.
    IDENTITY_PREFIX "a prefix" "staff." "^[A-Za-z0-9._-]{0,64}$", text::identity_prefix;
    /// A duration.
    DURATION "a duration" "15m" "^([0-9]+(h|ms|m|s))+$",
        |text| text::duration(text).map(drop);
    /// A date.
    DATE "a date" "2027-06-30" "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9:]+))?$",
        |text| text::date(text).map(drop);
    /// A rate.
    RATE "a rate" "60/m" "^[0-9]+/[smh]$", |text| text::rate(text).map(drop);
    /// The path of a file.
    PATH "the path of a file" "/run/secrets/usher/key" ANY, text::path;
    /// An environment variable.
    VARIABLE "the name of an environment variable" "USHER_SECRET" "^[A-Za-z_][A-Za-z0-9_]*$",
        text::variable;
    /// A digest.
    SHA256 "a SHA-256 digest"
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" "^[0-9a-f]{64}$",
        text::sha256;
    /// The fingerprint of an identity key.
    FINGERPRINT "a fingerprint" "63458b39" "^[0-9a-f]{8}$", |text| {
        let parsed = text.parse::<KeyFingerprint>();
        parsed.map(drop).map_err(|error| format!("{error} (`usher serve` logs it where it is wrong)"))
    };
    /// A home region of Twilio.
    REGION "a region" "us1" "^[a-z]{2}[0-9]$", text::region;
    /// A header.
    HEADER "the name of a header" "Authorization" "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", text::header;
    /// An expression over `claims`.
    CLAIMS_EXPRESSION "a CEL expression" "claims.email_verified == true" "\\S",
        expression::over_claims;
    /// An expression over `claims` and `issuer`.
    IDENTITY_EXPRESSION "a CEL expression" "claims.employee_id" "\\S", expression::over_identity;
    /// An expression over `claims`, `issuer`, `identity` and `kind`.
    GRANT_EXPRESSION "a CEL expression" "'chat' in claims.groups" "\\S", expression::over_grant;
    /// A path, `METHOD PATH`, an operation or a group of them.
    OPERATION "an operation" "read" ANY, text::any;
    /// The account.
    ACCOUNT_SID "the SID of an account" "AC00000000000000000000000000000000"
        "^AC[0-9a-fA-F]{32}$", |text| sid::<AccountSid>(text);
    /// An API key.
    API_KEY_SID "the SID of an API key" "SK00000000000000000000000000000000"
        "^SK[0-9a-fA-F]{32}$", |text| sid::<ApiKeySid>(text);
    /// A Conversations service.
    SERVICE_SID "the SID of a Conversations service" "IS00000000000000000000000000000000"
        "^IS[0-9a-fA-F]{32}$", |text| sid::<ServiceSid>(text);
    /// A push credential.
    PUSH_CREDENTIAL_SID "the SID of a push credential" "CR00000000000000000000000000000000"
        "^CR[0-9a-fA-F]{32}$", |text| sid::<PushCredentialSid>(text);
    /// A role.
    ROLE_SID "the SID of a role" "RL00000000000000000000000000000000"
        "^RL[0-9a-fA-F]{32}$", |text| sid::<RoleSid>(text);
    /// A URL.
    URL "a URL" "https://login.example.com" HTTP, |text| address::http_url(text).map(drop);
    /// An issuer.
    ISSUER "the URL of an issuer" "https://login.example.com/realms/corp" HTTP, address::issuer;
    /// A URL in which `{tenantid}` may stand.
    TENANT_URL "a URL" "https://login.example.com/realms/corp/keys" HTTP, address::tenant_url;
    /// The address users see.
    PUBLIC_URL "an origin" "https://chat.example.com" HTTP, |text| address::public_url(text).map(drop);
    /// An origin as browsers write it.
    ORIGIN "an origin" "https://app.example.com" HTTP, |text| address::origin(text).map(drop);
    /// An address to listen on.
    LISTENER "an address to listen on" "127.0.0.1:4180"
        "^(unix:/.+|localhost:[0-9]{1,5}|[0-9.]+:[0-9]{1,5}|\\[[0-9a-fA-F:.]+\\]:[0-9]{1,5})$",
        |text| address::listener(text).map(drop);
    /// A host as a client writes it in `Host`.
    HOST "a host" "usher.shop.svc" "^(\\[[0-9a-fA-F:.]+\\]|[A-Za-z0-9._-]+)$", address::host;
    /// A network of proxies.
    NETWORK "a network" "10.0.0.0/8" "^(loopback|[0-9a-fA-F:.]+(/[0-9]{1,3})?)$",
        |text| address::network(text).map(drop);
    /// What usher's own paths begin with.
    PREFIX "a path" "/conversations" "^(/[A-Za-z0-9._~-]+)+$", address::prefix;
    /// A store.
    STORE "a store" "sqlite:/var/lib/usher/usher.db" "^(sqlite:.+|memory:|postgres(ql)?:.+)$",
        |text| address::store(text).map(drop);
}

fn sid<S: std::str::FromStr<Err = InvalidSid>>(text: &str) -> Result<(), String> {
    text.parse::<S>().map(drop).map_err(|error| match error {
        InvalidSid::Other { found, prefix, wanted } => format!(
            "this is the SID of {found} (write that of {wanted}: {prefix} and 32 hexadecimal digits)"
        ),
        InvalidSid::Shape { prefix, wanted } => format!(
            "this is not the SID of {wanted} (write {prefix} and 32 hexadecimal digits)"
        ),
    })
}
