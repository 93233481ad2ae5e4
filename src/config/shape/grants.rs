//! The shapes of `grants` and `tokenSources`.
use super::{
    Key,
    Kind::{Either, List, Section, Text, Word},
    Words, format, key, unexplained, words,
};

/// One grant.
pub(super) const GRANT: &[Key] = &[
    key("name", Text(format::NAME), "Its name, for audit lines.").required().example("staff"),
    key(
        "when",
        Text(format::EXPRESSION),
        "CEL over `claims`, `issuer`, `identity` and `kind`; absent is always.",
    )
    .example("\"'chat' in claims.groups\""),
    key("kinds", List { of: &Word(KINDS), min: 1 }, "Whom it is for.").default("[user]"),
    key(
        "service",
        Either(&Text(format::NAME), &Section(SERVICE)),
        "One of the names in `twilio.services`; by default the first.",
    )
    .example("main"),
    key(
        "ttl",
        Text(format::DURATION),
        "The life of its tokens, where it differs from `token.ttl`.",
    )
    .example("15m"),
    key("role", Text(format::ROLE_SID), "The role it gives, `deployment_role_sid`.")
        .example("RL00000000000000000000000000000000"),
    key(
        "conversations",
        List { of: &Text(format::TEXT), min: 0 },
        "Conversations that the user is made a participant of.",
    )
    .default("[]")
    .later(),
    key("budget", Word(words!["exempt"]), "Whether the active users' budget counts.")
        .later()
        .example("exempt"),
];

const KINDS: &Words = &Words { now: &["user"], later: &["guest", "bot"], why_not: unexplained };

const SERVICE: &[Key] = &[key(
    "expression",
    Text(format::EXPRESSION),
    "CEL that gives one of the names in `twilio.services`.",
)
.required()
.example("claims.tenant")];

/// A header, or a cookie.
pub(super) const TOKEN_SOURCE: &[&[Key]] = &[
    &[key(
        "header",
        Text(format::HEADER),
        "The header that carries the token, with or without `Bearer`.",
    )
    .required()
    .example("X-Forwarded-Access-Token")],
    &[key("cookie", Text(format::HEADER), "The cookie that carries the token.")
        .required()
        .later()
        .example("access_token")],
];
