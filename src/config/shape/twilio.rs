//! The shape of `twilio`.
use super::{
    Key,
    Kind::{Flag, Forms, List, Names, Secret, Section, Text},
    format, key,
};

/// `apiKey` and `restKey`: the SID and where the secret is, or where both are.
const API_KEY: &[&[Key]] = &[
    &[
        key("sid", Text(format::API_KEY_SID), "The API key's SID.")
            .required()
            .example("SK00000000000000000000000000000000"),
        key("secret", Secret, "The API key's secret.")
            .required()
            .example("{file: /run/secrets/usher/api-key-secret}"),
    ],
    &[key("file", Text(format::PATH), "A file that holds `SK…:secret`.")
        .required()
        .example("/run/secrets/usher/api-key")],
    &[key("env", Text(format::VARIABLE), "An environment variable that holds `SK…:secret`.")
        .required()
        .example("USHER_API_KEY")],
];

const ACCOUNT: Key = key("accountSid", Text(format::ACCOUNT_SID), "The account's SID.")
    .example("AC00000000000000000000000000000000");
const SIGNING_KEY: Key = key(
    "apiKey",
    Forms(API_KEY),
    "The API key that signs tokens; a Main or Standard key of the account and the region.",
)
.example(
    "{sid: SK00000000000000000000000000000000, secret: {file: /run/secrets/usher/api-key-secret}}",
);
const REST_KEY: Key =
    key("restKey", Forms(API_KEY), "A second API key for REST; `apiKey` by default.")
        .later()
        .example("{file: /run/secrets/usher/rest-key}");
const WEBHOOK_SECRETS: Key = key(
    "webhookSecrets",
    List { of: &Secret, min: 0 },
    "Auth tokens or shared keys that sign Twilio's webhooks.",
)
.default("[]")
.later();
const REGION: Key =
    key("region", Text(format::REGION), "Twilio's home region; ie1 is dublin, au1 sydney.");

/// The section.
pub(super) const TWILIO: &[Key] = &[
    ACCOUNT,
    SIGNING_KEY,
    REST_KEY,
    WEBHOOK_SECRETS,
    REGION.default("us1"),
    key(
        "services",
        Names { name: format::NAME, of: &Section(SERVICE), min: 1 },
        "The Conversations services by names of your choice; the first is the default.",
    )
    .required(),
    key("apiBase", Text(format::URL), "Where Twilio's REST API is, for tests and private links.")
        .default("https://conversations.twilio.com")
        .later(),
    key("insecureHttp", Flag, "Lets `apiBase` be plain http.").default("false").later(),
];

const SERVICE: &[Key] = &[
    key("sid", Text(format::SERVICE_SID), "The service's SID.")
        .required()
        .example("IS00000000000000000000000000000000"),
    key(
        "pushCredentials",
        Names { name: format::NAME, of: &Text(format::PUSH_CREDENTIAL_SID), min: 0 },
        "Push credentials by platform, for `?platform=`.",
    )
    .default("{}"),
    ACCOUNT,
    SIGNING_KEY,
    REST_KEY,
    WEBHOOK_SECRETS,
    REGION.example("ie1"),
];
