//! What an issuer's format makes of a subject (contract 4: `opaque`, `claim`, `expression`).
use crate::{
    domain::{
        claims::Claims,
        identity::{ChatIdentity, IdentityKey, IdentityPrefix, NotNamed},
        policy::{Expression, Facts, Unevaluated},
        time::Timestamp,
    },
    flow::verify::Upstream,
    ports::store::{Match, Origin},
};
use serde_json::Value;

/// How the subjects of one issuer get their identities at first sight.
#[derive(Debug)]
pub struct Naming {
    /// What makes an identity of a subject.
    pub format: Format,
    /// The same in one line, as the store keeps it ([`crate::ports::store::Pin::formats`]).
    pub line: Box<str>,
    /// `issuers[].adopt`.
    pub adoption: Option<Adoption>,
}

/// What makes an identity of a subject.
#[derive(Debug)]
pub enum Format {
    /// The identity key, of namespace and subject.
    Opaque,
    /// A claim, which must be a string.
    Claim {
        /// Its name.
        claim: Box<str>,
        /// What goes before it.
        prefix: IdentityPrefix,
    },
    /// An expression, which must yield a string.
    Expression {
        /// Over `claims` and `issuer`.
        expression: Expression,
        /// What goes before what it yields.
        prefix: IdentityPrefix,
    },
}

/// Lets first sign-ins take an identity that waits for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The claim that is compared with what the identity waits under.
    pub claim: Box<str>,
    /// The first moment at which nothing is taken any more.
    pub until: Timestamp,
}

/// Why the format makes no identity of a token (`claim_rule_failed`). Tells nothing of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unnamed {
    /// The claim is missing, or no string.
    #[error("the claim that names the identity is missing or not a string")]
    Claim,
    /// The expression has no value, or yields no string.
    #[error("the expression that makes the identity yields no string")]
    Expression(#[source] Unevaluated),
    /// It is made of an e-mail address that the issuer does not vouch for.
    #[error("the identity is made of an e-mail address that is not verified")]
    Email,
    /// What the claim or expression says may be nobody's identity.
    #[error("the claim or expression makes no identity")]
    Value(#[source] NotNamed),
}

impl Format {
    /// The identity of the token's subject.
    pub(super) fn identity(
        &self,
        upstream: &Upstream,
        key: &IdentityKey,
    ) -> Result<(ChatIdentity, Origin), Unnamed> {
        let (prefix, value) = match self {
            // So that a second replica, or a store that was lost, gives the same answer.
            Self::Opaque => {
                return Ok((key.derive(&upstream.subject), Origin::Derived(key.fingerprint())));
            }
            Self::Claim { claim, prefix } => {
                refuse_unverified(&upstream.claims, &**claim == "email")?;
                let value = upstream.claims.get(claim).and_then(Value::as_str);
                (prefix, value.ok_or(Unnamed::Claim)?.to_owned())
            }
            Self::Expression { expression, prefix } => {
                refuse_unverified(&upstream.claims, expression.reads("email"))?;
                let facts = Facts::unnamed(&upstream.claims, upstream.issuer.as_str());
                (prefix, expression.text(&facts).map_err(Unnamed::Expression)?)
            }
        };
        let identity = ChatIdentity::readable(prefix, &value).map_err(Unnamed::Value)?;
        Ok((identity, Origin::Named))
    }
}

fn refuse_unverified(claims: &Claims, reads_email: bool) -> Result<(), Unnamed> {
    if reads_email && !claims.vouch_for("email") { Err(Unnamed::Email) } else { Ok(()) }
}

impl Adoption {
    /// What the token says for itself, while anything is taken.
    pub(super) fn claimed(&self, claims: &Claims, now: Timestamp) -> Option<Match> {
        if now >= self.until {
            return None;
        }
        // Nothing waits under a text that no import takes, and some stores cannot even be asked about it.
        let fits = |text: &&str| {
            !text.is_empty() && text.len() <= 1024 && !text.contains(char::is_control)
        };
        let value = claims.get(&self.claim)?.as_str().filter(fits)?;
        Some(Match { value: value.into(), verified: claims.vouch_for(&self.claim) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::policy::Place, flow::scene};
    use serde_json::json;

    fn upstream(claims: &Value) -> Upstream {
        Upstream {
            claims: Claims::new(claims.as_object().unwrap().clone()),
            ..scene::upstream("corp", "alice")
        }
    }

    fn named(format: &Format, claims: &Value) -> Result<String, Unnamed> {
        let named = format.identity(&upstream(claims), &scene::identity_key());
        named.map(|(identity, origin)| {
            assert_eq!(origin, Origin::Named);
            identity.as_str().to_owned()
        })
    }

    fn claim(claim: &str, prefix: &str) -> Format {
        Format::Claim { claim: claim.into(), prefix: prefix.parse().unwrap() }
    }

    fn expression(source: &str) -> Format {
        let expression = Expression::compile(source, Place::Identity).unwrap();
        Format::Expression { expression, prefix: "x.".parse().unwrap() }
    }

    #[test]
    fn a_claim_is_the_identity_behind_the_prefix() {
        let claims = json!({"employee_id": "0815", "https://ns/id": "a b"});
        assert_eq!(named(&claim("employee_id", "emp-"), &claims).as_deref(), Ok("emp-0815"));
        assert_eq!(named(&claim("https://ns/id", ""), &claims).as_deref(), Ok("a~20b"));
    }

    #[test]
    fn only_a_string_names_anybody() {
        for value in [json!(815), json!(null), json!(true), json!(["0815"]), json!({"id": "0815"})]
        {
            let claims = json!({"employee_id": value});
            assert_eq!(named(&claim("employee_id", ""), &claims), Err(Unnamed::Claim), "{claims}");
            let wrong = Unnamed::Expression(Unevaluated::WrongType);
            assert_eq!(named(&expression("claims.employee_id"), &claims), Err(wrong), "{claims}");
        }
        assert_eq!(named(&claim("employee_id", ""), &json!({})), Err(Unnamed::Claim));
        let absent = Unnamed::Expression(Unevaluated::NoValue);
        assert_eq!(named(&expression("claims.employee_id"), &json!({})), Err(absent));
        let empty = json!({"employee_id": ""});
        assert_eq!(named(&claim("employee_id", ""), &empty), Err(Unnamed::Value(NotNamed::Empty)));
    }

    #[test]
    fn an_expression_knows_claims_and_issuer() {
        let source = "issuer.endsWith('/corp') ? claims.dept + '-' + claims.nr : 'nobody'";
        let claims = json!({"dept": "it", "nr": "7"});
        assert_eq!(named(&expression(source), &claims).as_deref(), Ok("x.it-7"));
    }

    #[test]
    fn p12_an_email_address_names_nobody_unless_the_issuer_vouches_for_it() {
        let readers =
            [claim("email", "x."), expression("claims['email']"), expression("claims['em'+'ail']")];
        for format in readers {
            let email = |verified: Value| {
                named(&format, &json!({"email": "a@b.c", "email_verified": verified}))
            };
            assert_eq!(email(json!(true)).as_deref(), Ok("x.a~40b.c"));
            for verified in [json!(false), json!("true"), json!(1), json!(null), json!([true])] {
                assert_eq!(email(verified), Err(Unnamed::Email));
            }
            assert_eq!(named(&format, &json!({"email": "a@b.c"})), Err(Unnamed::Email));
        }
    }

    #[test]
    fn a_waiting_identity_is_claimed_until_the_last_moment_and_by_plain_text_only() {
        let adoption = Adoption { claim: "email".into(), until: Timestamp(100) };
        let claimed = |claims: Value, now| {
            let claims = Claims::new(claims.as_object().unwrap().clone());
            adoption.claimed(&claims, Timestamp(now)).map(|it| (it.value.to_string(), it.verified))
        };
        let verified = json!({"email": "a@b.c", "email_verified": true});
        assert_eq!(claimed(verified.clone(), 99), Some(("a@b.c".to_owned(), true)));
        assert_eq!(claimed(verified, 100), None);
        assert_eq!(claimed(json!({"email": "a@b.c"}), 1), Some(("a@b.c".to_owned(), false)));
        let long = "a".repeat(1025);
        for value in [json!(""), json!("a\u{0}"), json!(7), json!(["a@b.c"]), json!(long)] {
            assert_eq!(claimed(json!({"email": value, "email_verified": true}), 1), None);
        }
        assert_eq!(claimed(json!({}), 1), None);
    }

    #[test]
    fn a_claim_that_nobody_verifies_is_taken_at_the_issuer_s_word() {
        let of = |name: &str, claims: Value| {
            let adoption = Adoption { claim: name.into(), until: Timestamp(9) };
            let claims = Claims::new(claims.as_object().unwrap().clone());
            adoption.claimed(&claims, Timestamp(1)).unwrap().verified
        };
        assert!(of("employee_id", json!({"employee_id": "7"})));
        assert!(!of("phone_number", json!({"phone_number": "+1", "email_verified": true})));
        assert!(of("phone_number", json!({"phone_number": "+1", "phone_number_verified": true})));
    }
}
