//! What a token's registered claims say, read once and judged at every use.
use super::Malformed;
use crate::{
    domain::{
        claims::{Claims, TokenKind},
        time::Timestamp,
    },
    token::{json::seconds, read::MediaType},
};
use serde_json::Value;

/// The member of `events` that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims that only an ID token has.
const OF_ID_TOKENS: [&str; 3] = ["nonce", "at_hash", "c_hash"];

/// The claims that only an access token has.
const OF_ACCESS_TOKENS: [&str; 3] = ["scope", "scp", "client_id"];

/// What a token says about its time and kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// `exp`.
    pub(super) expires: Timestamp,
    /// The later of `nbf` and `iat`.
    pub(super) begins: Option<Timestamp>,
    pub(super) kind: TokenKind,
    /// It has `act`: somebody acts for the subject (RFC 8693 section 4.1).
    pub(super) actor: bool,
    /// It has `cnf`: only the holder of a key may use it (RFC 7800).
    pub(super) confirmation: bool,
    /// It is a logout token, whatever its header says.
    pub(super) logout: bool,
}

impl Reading {
    /// Reads `claims` of a token whose header says `media_type`.
    pub(super) fn of(claims: &Claims, media_type: MediaType) -> Result<Self, Malformed> {
        let has = |name| claims.get(name).is_some();
        let logout = is_logout(claims);
        // A logout token has no `exp` in some providers: its kind is what is wrong with it.
        let expires = match moment(claims, "exp")? {
            Some(expires) => expires,
            None if logout => Timestamp(0),
            None => return Err(Malformed::Claim),
        };
        Ok(Self {
            expires,
            begins: moment(claims, "nbf")?.max(moment(claims, "iat")?),
            kind: kind(claims, media_type),
            actor: has("act"),
            confirmation: has("cnf"),
            logout,
        })
    }
}

/// `iss`, a string if there is one.
pub(super) fn issuer(claims: &Claims) -> Result<Option<&str>, Malformed> {
    claims.get("iss").map(|iss| iss.as_str().ok_or(Malformed::Claim)).transpose()
}

/// A claim that is a moment if it is there: one of the wrong type is never taken for an absent one.
fn moment(claims: &Claims, name: &str) -> Result<Option<Timestamp>, Malformed> {
    claims.get(name).map(|value| seconds(value).ok_or(Malformed::Claim)).transpose()
}

fn is_logout(claims: &Claims) -> bool {
    let events = claims.get("events").and_then(Value::as_object);
    events.is_some_and(|events| events.contains_key(LOGOUT_EVENT)) || says_typ(claims, "Logout")
}

fn kind(claims: &Claims, media_type: MediaType) -> TokenKind {
    let any = |names: [&str; 3]| names.iter().any(|name| claims.get(name).is_some());
    if media_type == MediaType::AccessToken {
        TokenKind::AccessToken
    } else if says_typ(claims, "ID") || any(OF_ID_TOKENS) {
        TokenKind::IdToken
    } else if says_typ(claims, "Bearer") || any(OF_ACCESS_TOKENS) {
        TokenKind::AccessToken
    } else {
        TokenKind::Unsaid
    }
}

/// Keycloak writes the kind into a claim `typ`.
fn says_typ(claims: &Claims, typ: &str) -> bool {
    claims.get("typ").and_then(Value::as_str) == Some(typ)
}

#[cfg(test)]
mod tests {
    use crate::flow::verify::{scene::*, *};
    use serde_json::{Value, json};

    #[test]
    fn p5_a_moment_of_the_wrong_type_is_never_taken_for_an_absent_one() {
        for name in ["exp", "nbf", "iat"] {
            let wrong = [
                json!(null),
                json!("1795428900"),
                json!([NOW]),
                json!({}),
                json!(true),
                json!(-1),
                json!(9_007_199_254_740_992_u64),
                json!(1e300),
                json!(-0.5),
            ];
            for value in wrong {
                assert_eq!(refusal(&with(name, value.clone())), MALFORMED, "{name}: {value}");
            }
        }
        assert_eq!(refusal(&without("exp")), MALFORMED);
        assert!(judge(scene(), &without("nbf")).is_ok());
        assert!(judge(scene(), &without("iat")).is_ok());
        assert!(judge(scene(), &with("exp", json!(9_007_199_254_740_991_u64))).is_ok());
        assert_eq!(
            judge(scene(), &with("exp", json!(1_795_429_000.9))).unwrap().upstream().expires,
            Timestamp(1_795_429_000)
        );
    }

    #[test]
    fn p5_the_kind_of_token_is_enforced_where_it_is_configured() {
        let hint = |kinds, name: &str, value: Value| match refusal_by(
            |rules| rules.kinds = kinds,
            &with(name, value),
        ) {
            Some(Unverified::WrongTokenType(hint)) => Some(hint),
            None => None,
            other => panic!("{name}: {other:?}"),
        };
        for (name, value) in [
            ("typ", json!("ID")),
            ("nonce", json!("n")),
            ("at_hash", json!("h")),
            ("c_hash", json!(null)),
        ] {
            assert_eq!(hint(AcceptedKinds::Both, name, value.clone()), None);
            assert_eq!(hint(AcceptedKinds::IdToken, name, value.clone()), None);
            assert_eq!(hint(AcceptedKinds::AccessToken, name, value), Some(TypeHint::IdToken));
        }
        for (name, value) in [
            ("typ", json!("Bearer")),
            ("scope", json!("")),
            ("scp", json!([])),
            ("client_id", json!("c")),
        ] {
            assert_eq!(hint(AcceptedKinds::Both, name, value.clone()), None);
            assert_eq!(hint(AcceptedKinds::AccessToken, name, value.clone()), None);
            assert_eq!(hint(AcceptedKinds::IdToken, name, value), Some(TypeHint::AccessToken));
        }
        for kinds in [AcceptedKinds::AccessToken, AcceptedKinds::IdToken] {
            assert_eq!(hint(kinds, "other", json!(1)), Some(TypeHint::Unsaid));
        }
        assert_eq!(hint(AcceptedKinds::Both, "other", json!(1)), None);
    }

    fn judge_header(
        typ: Value,
        claims: &Value,
        kinds: AcceptedKinds,
    ) -> Result<TokenKind, Unverified> {
        let mut scene = scene();
        scene.rules.kinds = kinds;
        let mut header = scene.signer.header();
        header["typ"] = typ;
        let token = scene.signer.sign(&header, claims.to_string().as_bytes());
        verify(&scene.verifier(), &token).map(|verified| verified.upstream().kind)
    }

    #[test]
    fn p5_a_header_of_at_jwt_makes_an_access_token_whatever_its_claims() {
        let nonce = with("nonce", "n".into());
        for typ in ["at+jwt", "application/AT+jwt"] {
            let kind = judge_header(typ.into(), &nonce, AcceptedKinds::AccessToken);
            assert_eq!(kind, Ok(TokenKind::AccessToken));
            let refused = judge_header(typ.into(), &nonce, AcceptedKinds::IdToken);
            assert_eq!(refused, Err(TypeHint::AccessToken.into()));
        }
        assert_eq!(judge_header("jwt".into(), &nonce, AcceptedKinds::Both), Ok(TokenKind::IdToken));
        for typ in [json!("dpop+jwt"), json!("secevent+jwt"), json!(""), json!(null)] {
            let refused = judge_header(typ, &nonce, AcceptedKinds::Both);
            assert_eq!(refused, Err(TypeHint::Header.into()));
        }
    }

    #[test]
    fn a_logout_token_is_refused_however_typed() {
        let logout: Unverified = TypeHint::Logout.into();
        let refused = judge_header("logout+jwt".into(), &claims(), AcceptedKinds::Both);
        assert_eq!(refused, Err(logout.clone()));
        let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        assert_eq!(refusal(&with("events", event.clone())), logout);
        assert_eq!(refusal(&with("typ", "Logout".into())), logout);
        // It names a session instead of a subject, and may have no end.
        let bare = json!({"iss": ISSUER, "aud": "other", "sid": "s", "iat": NOW, "events": event});
        assert_eq!(refusal(&bare), logout);
        assert!(judge(scene(), &with("events", json!({"other": {}}))).is_ok());
    }
}
