//! The shape of one of `issuers`, after Kubernetes' `AuthenticationConfiguration`.
use super::{
    Key,
    Kind::{Either, Flag, Forms, List, Secret, Section, Text, Word},
    Words, format, key, words,
};

/// One entry.
pub(super) const ISSUER: &[Key] = &[
    key("url", Text(format::ISSUER), "What a token's `iss` equals, byte for byte. `{tenantid}` stands for each of `tenants`.")
        .required()
        .example("https://login.example.com/realms/corp"),
    key("tenants", List { of: &Text(format::TENANT), min: 1 }, "The tenants of a multi-tenant issuer; a token's `tid` must agree with its `iss`.")
        .example("[9122040d-6c67-4c5b-b112-36a304b66dad]"),
    key("audiences", List { of: &Text(format::TEXT), min: 1 }, "A token is for usher if its audience is one of these.")
        .required()
        .example("[chat]"),
    key("audienceMatchPolicy", Word(words!["MatchAny"]), "How `audiences` are compared.").default("MatchAny"),
    key("audienceClaim", Word(words!["aud", "client_id", "azp"]), "The claim that holds the audience; client_id for Cognito.").default("aud"),
    key("discoveryUrl", Text(format::TENANT_URL), "Where the discovery document is; by default the URL and /.well-known/openid-configuration.")
        .example("https://login.internal/realms/corp/.well-known/openid-configuration"),
    key("jwksUri", Text(format::TENANT_URL), "Where the keys are; skips discovery.")
        .example("https://login.example.com/realms/corp/certs"),
    key("certificateAuthority", Secret, "PEM certificates that are believed besides the host's own.")
        .example("{file: /etc/usher/ca.pem}"),
    key("bearer", Secret, "A bearer token for discovery and keys, as Kubernetes' API server wants one.")
        .example("{file: /var/run/secrets/kubernetes.io/serviceaccount/token}"),
    key("insecureHttp", Flag, "Lets the URLs be plain http.").default("false"),
    key("algorithms", List { of: &Word(ALGORITHMS), min: 1 }, "The signature algorithms that are taken.")
        .default("[RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]"),
    key("tokenTypes", List { of: &Word(words!["access_token", "id_token"]), min: 1 }, "The kinds of token that are taken.")
        .default("[access_token, id_token]"),
    key("allow", List { of: &Word(words!["act", "cnf"]), min: 0 }, "Claims that would otherwise refuse a token.").default("[]"),
    key("introspection", Section(INTROSPECTION), "Opaque tokens (RFC 7662).").later(),
    key("namespace", Text(format::NAMESPACE), "Where this issuer's subject ids mean something; by default its URL.").example("corp"),
    key("sharedNamespace", Flag, "Lets other issuers name the same namespace: their subjects are then the same people.").default("false"),
    key("subject", List { of: &Text(format::CLAIM), min: 1 }, "The claims that name a person, for ever.").default("[sub]"),
    key("identity", Section(IDENTITY), "How an identity is made of a subject."),
    key("adopt", Section(ADOPT), "Lets a first sign-in take an identity that waits for it (`usher identity import --unclaimed`)."),
    key("claimValidationRules", List { of: &Forms(RULE), min: 0 }, "What else a token must say.").default("[]"),
    key("enforcement", Either(&Word(words!["enforce"]), &Section(AUDIT)), "Whether a rule's expression refuses, or until when it is only logged.").default("enforce"),
    key("anyone", Flag, "Says that anybody who can get a token of this issuer, which serves the public, may come in.").default("false"),
    key("clockSkew", Text(format::DURATION), "How far the issuer's clock may be off, at most 1 h.").default("30s"),
    key("keys", Section(KEYS), "How the keys are fetched."),
];

const ALGORITHMS: &Words = &Words {
    now: &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
    later: &[],
    why_not: |word| {
        let upper = word.to_ascii_uppercase();
        if upper.starts_with("HS") {
            Some(
                "an HS algorithm would make the issuer's secret usher's too, and is never taken (write RS256 or ES256, and let the issuer sign with it)",
            )
        } else if upper == "NONE" {
            Some("`none` is no signature, and is never taken (write RS256 or ES256)")
        } else if upper.starts_with("ES") {
            Some("of the ECDSA algorithms only two are taken (write ES256 or ES384)")
        } else {
            None
        }
    },
};

const INTROSPECTION: &[Key] = &[
    key("clientId", Text(format::TEXT), "Who asks.").required().example("usher"),
    key("clientSecret", Secret, "The secret of who asks.")
        .required()
        .example("{file: /run/secrets/usher/client-secret}"),
    key("tokenPrefix", Text(format::TEXT), "What this issuer's opaque tokens begin with.")
        .example("corp_"),
];

const IDENTITY: &[Key] = &[
    key("format", Word(words!["opaque", "claim", "expression"]), "How an identity is made of a subject that has none yet. opaque derives it with the identity key.")
        .default("opaque"),
    key("claim", Text(format::CLAIM), "The claim that is the identity, a string; for `format: claim`. Bytes outside A-Z a-z 0-9 - . _ become ~XX.")
        .example("employee_id"),
    key("expression", Text(format::IDENTITY_EXPRESSION), "CEL over `claims` and `issuer` that gives the identity, a string; for `format: expression`.")
        .example("\"claims.employee_id\""),
    key("prefix", Text(format::IDENTITY_PREFIX), "What readable identities begin with.")
        .default("''"),
    key("mutable", Flag, "Lets claims that a user or a help desk can change (email, preferred_username, upn, name, nickname, phone_number) stand in `subject` and here; `email` then needs `email_verified: true` in the token.")
        .default("false"),
];

const ADOPT: &[Key] = &[
    key("claim", Text(format::CLAIM), "The claim that is compared, byte for byte, with the match that an identity waits under; of `email` and `phone_number` the token must say that they are verified.")
        .required()
        .example("email"),
    key("until", Text(format::DATE), "The last day, in UTC and to its end, or the moment it ends.")
        .required()
        .example("2027-06-30"),
];

/// A claim's value, or an expression.
const RULE: &[&[Key]] = &[
    &[
        key("claim", Text(format::CLAIM), "The claim.").required().example("hd"),
        key("requiredValue", Text(format::TEXT), "What it must equal.")
            .required()
            .example("example.com"),
    ],
    &[
        key("expression", Text(format::CLAIMS_EXPRESSION), "CEL over `claims` that must be true.")
            .required()
            .example("claims.email_verified == true"),
        key("message", Text(format::TEXT), "What the user is told where it is not.")
            .example("verify your e-mail first"),
    ],
];

const AUDIT: &[Key] = &[key("auditUntil", Text(format::DATE), "Until this day, at most 30 days ahead, an expression that would refuse is logged, counted, and lets pass.")
    .required()
    .example("2027-06-30")];

const KEYS: &[Key] = &[
    key("refresh", Text(format::DURATION), "How often they are fetched anew.").default("10m"),
    key(
        "cooldown",
        Text(format::DURATION),
        "How long after an attempt that an unknown key caused no other is made.",
    )
    .default("30s"),
    key("maxStale", Text(format::DURATION), "How long they are used that cannot be fetched anew.")
        .default("24h"),
    key("fetchTimeout", Text(format::DURATION), "The deadline of a fetch.").default("5s"),
];
