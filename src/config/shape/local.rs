//! The shapes of the sections for the listeners that are not for everybody.
use super::{
    Key,
    Kind::{List, Secret, Section, Text, Word},
    format, key, words,
};

/// `egress`.
pub(super) const EGRESS: &[Key] = &[
    key(
        "allow",
        List { of: &Text(format::OPERATION), min: 0 },
        "Operations, groups of them, or METHOD PATH; where it is absent, [read].",
    )
    // No default, since nothing is allowed yet: whoever writes even that one expects what is not there.
    .later(),
    key(
        "lookup",
        List { of: &Text(format::TEXT), min: 0 },
        "Namespaces whose identities the app may look up.",
    )
    .default("[]"),
    key("token", Secret, "What the app has to show.")
        .example("{file: /run/secrets/usher/egress-token}"),
    key("hosts", List { of: &Text(format::HOST), min: 0 }, "Host names besides loopback's.")
        .default("[]"),
    key("clients", List { of: &Section(CLIENT), min: 0 }, "Who may come over TLS.")
        .default("[]")
        .later(),
];

const CLIENT: &[Key] = &[
    key("issuer", Text(format::ISSUER), "One of the configured issuers.")
        .required()
        .example("https://kubernetes.default.svc"),
    key("subject", Text(format::TEXT), "Whose token it is.")
        .required()
        .example("\"system:serviceaccount:shop:web\""),
    key(
        "allow",
        List { of: &Text(format::OPERATION), min: 0 },
        "Operations, groups of them, or METHOD PATH.",
    )
    .default("[read]"),
];

/// `admin`.
pub(super) const ADMIN: &[Key] = &[
    key("tokens", List { of: &Section(ADMIN_TOKEN), min: 0 }, "Admin tokens by their digests; without any it is the one in `admin-token` of the state directory.")
        .default("[]"),
    key(
        "oidc",
        List { of: &Section(ADMIN_OIDC), min: 0 },
        "Issuers whose tokens administrators show.",
    )
    .default("[]")
    .later(),
    key("hosts", List { of: &Text(format::HOST), min: 0 }, "Host names besides loopback's.")
        .default("[]"),
];

const ADMIN_TOKEN: &[Key] = &[
    key("name", Text(format::NAME), "Its name.").required().example("ops"),
    key("sha256", Text(format::SHA256), "The token's digest.")
        .required()
        .example("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    key("role", Word(words!["reader", "operator"]), "What it may do.")
        .required()
        .example("operator"),
];

const ADMIN_OIDC: &[Key] = &[
    key("issuer", Text(format::ISSUER), "One of the configured issuers.")
        .required()
        .example("https://login.example.com/realms/corp"),
    key("audience", Text(format::TEXT), "The audience of an administrator's token.")
        .required()
        .example("usher-admin"),
    key("role", Word(words!["reader", "operator"]), "What it may do.").required().example("reader"),
    key("when", Text(format::CLAIMS_EXPRESSION), "CEL over `claims`; absent is always.")
        .example("\"'ops' in claims.groups\""),
];
