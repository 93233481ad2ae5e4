//! The closed set of sentences that a problem's `detail` is taken from (contract 3, "Errors").
//!
//! Each says what to do. None holds anything from a token, a secret or an upstream. They go into
//! `WWW-Authenticate` and into OAuth's `error_description` too, so they hold no quotation mark and no
//! backslash (RFC 6749 section 5.2).
mod registry;

use crate::{
    domain::identity::NotNamed,
    flow::{
        bind::Unnamed,
        issue::NotIssued,
        permit::NotPermitted,
        verify::{AudienceHint, IssuerHint, Malformed, TypeHint},
    },
};
pub use registry::*;

/// No credential came.
pub const MISSING: &str = "send the token as Authorization: Bearer; one in the query is never read";
/// A credential header came twice.
pub const REPEATED_CREDENTIAL: &str =
    "send exactly one credential: a header is repeated, or holds two values";
/// A query parameter came twice.
pub const REPEATED_PARAMETER: &str = "send each query parameter at most once";
/// The query does not decode.
pub const BAD_QUERY: &str = "percent-encode the query as UTF-8";
/// Request smuggling.
pub const AMBIGUOUS: &str = "send Content-Length or Transfer-Encoding, not both";
/// Routing confusion.
pub const HOST: &str = "send exactly one Host header";
/// The platform is not configured.
pub const PLATFORM: &str = "the service has no push credential for this platform: ask for a key of its pushCredentials, or none";
/// A navigation to the token.
pub const DOCUMENT: &str = "a token is fetched by a script, not opened as a page";
/// Nothing is here.
pub const NOT_FOUND: &str = "there is nothing at this path: paths are compared byte for byte";
/// `public.url` is missing.
pub const NO_PUBLIC_URL: &str = "the metadata needs public.url in the configuration";
/// Not with this method.
pub const METHOD: &str = "use one of the methods in Allow";
/// The body is too large.
pub const BODY_TOO_LARGE: &str = "send a body of at most 64 KiB";
/// The body did not come in time.
pub const BODY_SLOW: &str = "send the whole body within 10 seconds";
/// The body broke off.
pub const BODY_BROKEN: &str = "send the body as its headers announce it";
/// A fault of usher's.
pub const INTERNAL: &str = "this is a fault of usher's: its log tells more under this request id";
/// The issuer's keys cannot be had.
pub const ISSUER_UNAVAILABLE: &str =
    "the issuer's keys cannot be fetched at the moment: try again later";
/// The store does not answer.
pub const STORE_UNAVAILABLE: &str =
    "the identity store does not answer at the moment: try again later";
/// The store's identity key is another one than this process's.
pub const REKEYED: &str = "the identity key was changed (usher identity rekey): an operator restarts usher with the new key";
/// The store's format for the namespace was changed.
pub const REFORMATTED: &str = "the format of this namespace's identities was changed (usher identity rekey): an operator restarts usher with the new one";
/// The identity is retired.
pub const RETIRED: &str =
    "an operator retired this identity: usher identity show tells when and why";
/// The identity is somebody else's.
pub const CONFLICT: &str =
    "this identity belongs to another subject: an operator settles it with usher identity link";
/// A rule refuses the token.
pub const CLAIM_RULE: &str = "the token does not satisfy one of the issuer's claimValidationRules";
/// An e-mail address names a person or an identity, and may be anybody's.
pub const EMAIL_UNVERIFIED: &str =
    "the token must say that the e-mail address is verified: email_verified is not true in it";
/// Somebody's identity waits under a claim that proves nothing.
pub const WAITS_UNVERIFIED: &str = "an identity waits for this user, and the token does not say that the claim it waits under is verified: verify it at the provider, or let an operator settle it with usher identity link";
/// The token's kind is not the one that was declared.
pub const DECLARED_TYPE: &str = "subject_token_type does not agree with the token's kind";

/// `claim_rule_failed`, where the identity is made of what the token says.
pub fn unnamed(why: Unnamed) -> &'static str {
    match why {
        Unnamed::Claim => {
            "the identity is a claim of the token, and that claim is missing or not a string: issuers[].identity.claim"
        }
        Unnamed::Expression(_) => {
            "the identity is made by an expression, and it yields no string for this token: issuers[].identity.expression"
        }
        Unnamed::Email => EMAIL_UNVERIFIED,
        Unnamed::Value(NotNamed::Empty) => {
            "the claim or expression that makes the identity is an empty text"
        }
        Unnamed::Value(NotNamed::Control) => {
            "the claim or expression that makes the identity has control characters in it"
        }
        Unnamed::Value(NotNamed::TooLong) => {
            "the claim or expression makes an identity of more than 256 characters"
        }
        Unnamed::Value(NotNamed::Reserved) => {
            "the claim or expression makes an identity that Twilio reserves: issuers[].identity.prefix helps"
        }
        Unnamed::Value(NotNamed::Kind) => {
            "the claim or expression makes an identity that begins with u- or g-, as derived and guest identities do: issuers[].identity.prefix helps"
        }
    }
}

/// `malformed_token`.
pub fn malformed(what: Malformed) -> &'static str {
    match what {
        Malformed::Encrypted => "this is a JWE: at Auth0, request an audience",
        Malformed::Parts => {
            "this is not a JWT: where the provider gives opaque access tokens, request an audience or send the ID token"
        }
        Malformed::Encoding => {
            "a part of the token is not canonical base64url: send the token unchanged"
        }
        Malformed::Json => {
            "the token's header or payload is not one JSON object without duplicate members"
        }
        Malformed::Critical => {
            "the token's header demands an extension (crit, b64) that usher does not have"
        }
        Malformed::Header => "a member of the token's header has the wrong type",
        Malformed::Claim => {
            "a claim of the token is missing or has the wrong type: exp, iat, nbf, iss, aud and the subject are checked"
        }
        Malformed::Length => "the token is too long: take claims out of it at the provider",
    }
}

/// `unsupported_algorithm`.
pub const ALGORITHM: &str = "the token's algorithm is not in issuers[].algorithms, or does not fit its key: HS256 and none never do";
/// `unknown_key`.
pub const UNKNOWN_KEY: &str = "the issuer publishes no usable key of this name: is the token from another environment, or the key of another use?";
/// `bad_signature`.
pub const BAD_SIGNATURE: &str =
    "the token was changed, or signed with another key than its issuer publishes";
/// `token_expired`.
pub const EXPIRED: &str = "the token has expired: get a fresh one from the issuer";
/// `token_not_yet_valid`.
pub const NOT_YET_VALID: &str =
    "the token is not valid yet: check the clocks of the issuer and of this host";

/// `unknown_issuer`.
pub fn issuer(hint: IssuerHint) -> &'static str {
    match hint {
        IssuerHint::None => "the token's iss is not among the configured issuers",
        IssuerHint::FinalSlash => {
            "issuer differs only by a final slash: write issuers[].url exactly as the token's iss"
        }
        IssuerHint::Scheme => {
            "issuer differs only by http and https: write issuers[].url exactly as the token's iss"
        }
        IssuerHint::Case => {
            "issuer differs only in letter case: write issuers[].url exactly as the token's iss"
        }
    }
}

/// `wrong_audience`.
pub fn audience(hint: AudienceHint) -> &'static str {
    match hint {
        AudienceHint::None => "the token's audience is not in issuers[].audiences",
        AudienceHint::KeycloakAccount => {
            "audience is `account`: add an audience mapper in Keycloak"
        }
        AudienceHint::MicrosoftGraph => {
            "audience is Microsoft Graph: at Entra, request a scope of your own API"
        }
        AudienceHint::Missing => {
            "the token has no audience: configure one for the client at the provider"
        }
    }
}

/// `wrong_token_type`.
pub fn token_type(hint: TypeHint) -> &'static str {
    match hint {
        TypeHint::Header => "the token's typ is neither JWT nor at+jwt",
        TypeHint::Logout => "this is a logout token",
        TypeHint::IdToken => "this is an ID token, and issuers[].tokenTypes wants access tokens",
        TypeHint::AccessToken => {
            "this is an access token, and issuers[].tokenTypes wants ID tokens"
        }
        TypeHint::Unsaid => {
            "nothing in the token tells its kind, and issuers[].tokenTypes wants one kind"
        }
        TypeHint::Actor => "the token was delegated (act): issuers[].allow must say act",
        TypeHint::Confirmation => {
            "the token is bound to a key (cnf), which usher does not check: issuers[].allow must say cnf"
        }
        TypeHint::Conversations => "this is a Conversations token: send the provider's token",
    }
}

/// `not_entitled`, `bad_request`.
pub fn not_permitted(why: NotPermitted) -> &'static str {
    match why {
        NotPermitted::NoGrant => "no entry of grants matches this user",
        NotPermitted::Service => {
            "no entry of grants gives this user the service that was asked for"
        }
        NotPermitted::Platform => PLATFORM,
    }
}

/// `token_expiring`, `internal_error`.
pub fn not_issued(why: NotIssued) -> &'static str {
    match why {
        NotIssued::Expiring => "the token ends within 240 seconds: get a fresh one from the issuer",
        NotIssued::Unsigned => INTERNAL,
    }
}
