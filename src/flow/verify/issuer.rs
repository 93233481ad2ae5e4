//! The issuers that are believed, and what each asks of its tokens.
use super::{AudienceHint, IssuerHint, Malformed, TypeHint, Unverified, reading::Reading};
use crate::{
    domain::{
        claims::{Claims, TokenKind},
        policy::{Expression, Facts},
        subject::{Issuer, Namespace, Subject, SubjectId},
        time::Timestamp,
    },
    ports::keys::Keys,
    telemetry::metrics::Metrics,
    token::algorithm::Algorithm,
};
use serde_json::Value;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// What the configuration says of one issuer's tokens (contract 5, `issuers`).
#[derive(Debug)]
pub struct IssuerRules {
    /// What `iss` must equal, byte for byte.
    pub issuer: Issuer,
    /// One of these must be among the audiences, byte for byte.
    pub audiences: Vec<Box<str>>,
    /// The claim that names the audiences: `aud`, `client_id` or `azp`.
    pub audience_claim: Box<str>,
    /// What tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Which kinds of token pass.
    pub kinds: AcceptedKinds,
    /// Whether a token with `act` passes.
    pub allow_act: bool,
    /// Whether a token with `cnf` passes.
    pub allow_cnf: bool,
    /// Where the issuer's subject ids mean something.
    pub namespace: Namespace,
    /// The claims that make the subject id, one or more.
    pub subject: Vec<Box<str>>,
    /// What must hold besides, in order.
    pub rules: Vec<ClaimRule>,
    /// Until then an expression that is `false` is logged and counted, and lets pass.
    pub audit_until: Option<Timestamp>,
    /// How far the issuer's clock may be off.
    pub clock_skew: Duration,
}

/// Which kinds of token pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptedKinds {
    /// Access tokens, ID tokens, and those that do not tell.
    Both,
    /// Access tokens only.
    AccessToken,
    /// ID tokens only.
    IdToken,
}

/// One of `claimValidationRules`.
#[derive(Debug)]
pub enum ClaimRule {
    /// The claim is a string equal to the value, byte for byte.
    Required {
        /// The claim's name.
        claim: Box<str>,
        /// What it must equal.
        value: Box<str>,
    },
    /// The expression is `true`.
    Expression {
        /// Over `claims`.
        expression: Expression,
        /// What the user is told where it is not.
        message: Option<Arc<str>>,
    },
}

/// An issuer and its keys.
#[derive(Debug)]
pub(super) struct KnownIssuer {
    pub(super) rules: IssuerRules,
    pub(super) keys: Arc<dyn Keys>,
}

/// The closed map of issuers: a token's `iss` is looked up in it and used for nothing else.
#[derive(Debug)]
pub(super) struct Issuers(HashMap<Box<str>, Arc<KnownIssuer>>);

impl Issuers {
    pub(super) fn new(issuers: Vec<(IssuerRules, Arc<dyn Keys>)>) -> Self {
        let named = issuers.into_iter().map(|(rules, keys)| {
            (rules.issuer.as_str().into(), Arc::new(KnownIssuer { rules, keys }))
        });
        Self(named.collect())
    }

    /// The issuer whose URL is `iss`, byte for byte.
    pub(super) fn find(&self, iss: &str) -> Result<Arc<KnownIssuer>, Unverified> {
        self.0.get(iss).cloned().ok_or_else(|| Unverified::UnknownIssuer(self.hint(iss)))
    }

    fn hint(&self, iss: &str) -> IssuerHint {
        let resembles = |same: fn(&str, &str) -> bool| self.0.keys().any(|url| same(url, iss));
        if resembles(|a, b| trim(a) == trim(b)) {
            IssuerHint::FinalSlash
        } else if resembles(|a, b| bare(a).is_some() && bare(a) == bare(b)) {
            IssuerHint::Scheme
        } else if resembles(str::eq_ignore_ascii_case) {
            IssuerHint::Case
        } else {
            IssuerHint::None
        }
    }
}

fn trim(url: &str) -> &str {
    url.strip_suffix('/').unwrap_or(url)
}

fn bare(url: &str) -> Option<&str> {
    url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))
}

impl IssuerRules {
    /// Checks all but the signature, the subject and the claim rules; at every use of a token.
    pub(super) fn admit(
        &self,
        reading: &Reading,
        claims: &Claims,
        now: Timestamp,
    ) -> Result<(), Unverified> {
        if reading.logout {
            return Err(TypeHint::Logout.into());
        }
        if now >= reading.expires.plus(self.clock_skew) {
            return Err(Unverified::Expired);
        }
        if reading.begins.is_some_and(|begins| begins > now.plus(self.clock_skew)) {
            return Err(Unverified::NotYetValid);
        }
        self.check_audience(claims)?;
        self.check_kind(reading)
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), Unverified> {
        let audiences = match claims.get(&self.audience_claim) {
            None => return Err(Unverified::WrongAudience(AudienceHint::Missing)),
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        if !audiences.iter().all(Value::is_string) {
            return Err(Malformed::Claim.into());
        }
        let names = |wanted: &str| audiences.iter().any(|one| one.as_str() == Some(wanted));
        if self.audiences.iter().any(|wanted| names(wanted)) {
            return Ok(());
        }
        Err(Unverified::WrongAudience(if names("account") {
            AudienceHint::KeycloakAccount
        } else if GRAPH.into_iter().any(names) {
            AudienceHint::MicrosoftGraph
        } else {
            AudienceHint::None
        }))
    }

    fn check_kind(&self, reading: &Reading) -> Result<(), Unverified> {
        match (self.kinds, reading.kind) {
            (AcceptedKinds::Both, _)
            | (AcceptedKinds::AccessToken, TokenKind::AccessToken)
            | (AcceptedKinds::IdToken, TokenKind::IdToken) => {}
            (AcceptedKinds::AccessToken, TokenKind::IdToken) => {
                return Err(TypeHint::IdToken.into());
            }
            (AcceptedKinds::IdToken, TokenKind::AccessToken) => {
                return Err(TypeHint::AccessToken.into());
            }
            (AcceptedKinds::AccessToken | AcceptedKinds::IdToken, TokenKind::Unsaid) => {
                return Err(TypeHint::Unsaid.into());
            }
        }
        if reading.actor && !self.allow_act {
            return Err(TypeHint::Actor.into());
        }
        if reading.confirmation && !self.allow_cnf {
            return Err(TypeHint::Confirmation.into());
        }
        Ok(())
    }

    /// Whom the token is about.
    pub(super) fn subject_of(&self, claims: &Claims) -> Result<Subject, Unverified> {
        if self.subject.iter().any(|name| &**name == "email") && !claims.vouch_for("email") {
            // Whoever may enter an address at the provider would be whoever has it.
            return Err(Unverified::UnverifiedEmail);
        }
        let parts = self.subject.iter().map(|name| claims.get(name).and_then(Value::as_str));
        let parts = parts.collect::<Option<Vec<_>>>().ok_or(Malformed::Claim)?;
        let id = match parts.as_slice() {
            [one] => one.parse(),
            several => SubjectId::composed(several),
        };
        Ok(Subject::new(self.namespace.clone(), id.map_err(|_| Malformed::Claim)?))
    }

    /// Checks the claim rules; at every use of a token.
    pub(super) fn check_rules(
        &self,
        claims: &Claims,
        now: Timestamp,
        metrics: &Metrics,
    ) -> Result<(), Unverified> {
        for (at, rule) in self.rules.iter().enumerate() {
            match rule {
                ClaimRule::Required { claim, value } => {
                    if claims.get(claim).and_then(Value::as_str) != Some(value) {
                        return Err(Unverified::ClaimRule(None));
                    }
                }
                ClaimRule::Expression { expression, message } => {
                    // An expression without a value is one that nobody has thought about.
                    match expression.holds(&Facts::claims(claims)) {
                        Ok(true) => {}
                        Ok(false) if self.audit_until.is_some_and(|until| now < until) => {
                            let issuer = self.issuer.as_str();
                            tracing::warn!(
                                issuer,
                                rule = at,
                                "a claim rule would refuse this user"
                            );
                            metrics.claim_rule_audited(issuer);
                        }
                        Ok(false) | Err(_) => return Err(Unverified::ClaimRule(message.clone())),
                    }
                }
            }
        }
        Ok(())
    }
}

/// Microsoft Graph as Entra names it in `aud`.
const GRAPH: [&str; 2] = ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::verify::scene::*;
    use serde_json::json;

    #[test]
    fn p5_the_audience_is_enforced_as_string_and_as_array() {
        let aud = |aud: Value| judge(scene(), &with("aud", aud)).err();
        for right in [json!("chat"), json!(["chat"]), json!(["a", "chat2"])] {
            assert_eq!(aud(right), None);
        }
        let wrong = |hint| Some(Unverified::WrongAudience(hint));
        for other in [json!("Chat"), json!(""), json!("chat "), json!([]), json!(["a", "b"])] {
            assert_eq!(aud(other), wrong(AudienceHint::None));
        }
        for mistyped in
            [json!(null), json!(1), json!({"chat": 1}), json!(["chat", 1]), json!([["chat"]])]
        {
            assert_eq!(aud(mistyped), Some(MALFORMED));
        }
        assert_eq!(refusal(&without("aud")), Unverified::WrongAudience(AudienceHint::Missing));
        assert_eq!(aud(json!("account")), wrong(AudienceHint::KeycloakAccount));
        assert_eq!(
            aud(json!(["https://graph.microsoft.com"])),
            wrong(AudienceHint::MicrosoftGraph)
        );
    }

    #[test]
    fn another_claim_may_name_the_audience() {
        let mut claims = without("aud");
        claims["client_id"] = "chat".into();
        assert_eq!(refusal_by(|rules| rules.audience_claim = "client_id".into(), &claims), None);
        claims["aud"] = "chat".into();
        claims["client_id"] = "other".into();
        assert!(refusal_by(|rules| rules.audience_claim = "client_id".into(), &claims).is_some());
    }

    #[test]
    fn a_token_passes_from_its_beginning_to_its_end_and_the_skew_around() {
        let at = |seconds: i64| {
            let scene = scene();
            scene.clock.set_wall(Timestamp(NOW.checked_add_signed(seconds).unwrap()));
            judge(scene, &claims()).err()
        };
        assert_eq!(at(-31), Some(Unverified::NotYetValid));
        assert_eq!(at(-30), None);
        assert_eq!(at(300 + 29), None);
        assert_eq!(at(300 + 30), Some(Unverified::Expired));
        for later in ["nbf", "iat"] {
            assert_eq!(judge(scene(), &with(later, json!(NOW + 30))).err(), None);
            assert_eq!(refusal(&with(later, json!(NOW + 31))), Unverified::NotYetValid);
        }
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte_and_a_near_miss_is_named() {
        let unknown = |iss: &str, hint| {
            assert_eq!(refusal(&with("iss", iss.into())), Unverified::UnknownIssuer(hint), "{iss}");
        };
        unknown("https://login.example.com/realms/corp/", IssuerHint::FinalSlash);
        unknown("http://login.example.com/realms/corp", IssuerHint::Scheme);
        unknown("https://Login.example.com/realms/corp", IssuerHint::Case);
        unknown("https://login.example.com/realms/corp//", IssuerHint::None);
        unknown("https://login.example.com:443/realms/corp", IssuerHint::None);
        unknown("", IssuerHint::None);
        assert_eq!(refusal(&without("iss")), Unverified::UnknownIssuer(IssuerHint::None));
        for mistyped in [json!(null), json!([ISSUER]), json!(1), json!({})] {
            assert_eq!(refusal(&with("iss", mistyped)), MALFORMED);
        }
    }

    #[test]
    fn a_subject_is_a_string_of_1_to_1024_bytes_without_control_characters() {
        for right in ["a", "Zoë-李", &"a".repeat(1024), r#"["t","o"]"#, " "] {
            let verified = judge(scene(), &with("sub", right.into())).unwrap();
            assert_eq!(verified.upstream().subject.id().as_str(), right);
        }
        let long = json!("a".repeat(1025));
        for wrong in [
            json!(""),
            json!("a\nb"),
            json!("\u{7f}"),
            json!("\u{9f}"),
            json!(1),
            json!(null),
            json!(["a"]),
            long,
        ] {
            assert_eq!(refusal(&with("sub", wrong)), MALFORMED);
        }
        assert_eq!(refusal(&without("sub")), MALFORMED);
    }

    #[test]
    fn p20_a_literal_subject_is_never_taken_for_the_pair_it_spells() {
        let pair = |rules: &mut IssuerRules| rules.subject = vec!["tid".into(), "oid".into()];
        let mut scene = scene();
        pair(&mut scene.rules);
        let mut claims = claims();
        (claims["tid"], claims["oid"]) = ("t".into(), "o".into());
        let verified = judge(scene, &claims).unwrap();
        assert_eq!(verified.upstream().subject.id().as_str(), r#"["t","o"]"#);
        // Where the pair is asked for, nothing but the pair will do.
        claims.as_object_mut().unwrap().remove("oid");
        for literal in [json!(r#"["t","o"]"#), json!(["t", "o"]), json!("t")] {
            claims["sub"] = literal.clone();
            claims["tid"] = literal;
            assert_eq!(refusal_by(pair, &claims), Some(MALFORMED));
        }
        claims["tid"] = r#"t","o"#.into();
        claims["oid"] = "x".into();
        let mut scene = self::scene();
        pair(&mut scene.rules);
        let other = judge(scene, &claims).unwrap();
        assert_eq!(other.upstream().subject.id().as_str(), r#"["t\",\"o","x"]"#);
    }

    #[test]
    fn p9_delegated_and_bound_tokens_are_refused_unless_allowed() {
        for value in [json!({"sub": "app"}), json!(null)] {
            let (act, cnf) = (with("act", value.clone()), with("cnf", value));
            assert_eq!(refusal(&act), TypeHint::Actor.into());
            assert_eq!(refusal(&cnf), TypeHint::Confirmation.into());
            assert_eq!(refusal_by(|rules| rules.allow_act = true, &act), None);
            assert_eq!(refusal_by(|rules| rules.allow_cnf = true, &cnf), None);
            assert!(refusal_by(|rules| rules.allow_cnf = true, &act).is_some());
        }
    }

    #[test]
    fn claim_rules_hold_at_every_use() {
        let required =
            || vec![ClaimRule::Required { claim: "hd".into(), value: "example.com".into() }];
        let hd = |hd: Value| refusal_by(|rules| rules.rules = required(), &with("hd", hd));
        assert_eq!(hd("example.com".into()), None);
        for wrong in [json!("Example.com"), json!(["example.com"]), json!(null), json!(1)] {
            assert_eq!(hd(wrong), Some(Unverified::ClaimRule(None)));
        }
        let message = Some(Unverified::ClaimRule(Some("verify your e-mail first".into())));
        let verified = |claims: &Value| {
            refusal_by(
                |rules| rules.rules = vec![expression("claims.email_verified == true")],
                claims,
            )
        };
        assert_eq!(verified(&with("email_verified", true.into())), None);
        assert_eq!(verified(&with("email_verified", false.into())), message);
        assert_eq!(verified(&claims()), message);
    }

    #[test]
    fn p12_an_email_address_is_a_subject_only_where_the_issuer_vouches_for_it() {
        let subject = |rules: &mut IssuerRules| rules.subject = vec!["sub".into(), "email".into()];
        let mut claims = with("email", "alice@example.com".into());
        assert_eq!(refusal_by(subject, &claims), Some(Unverified::UnverifiedEmail));
        for verified in [json!(false), json!("true"), json!(1), json!(null)] {
            claims["email_verified"] = verified;
            assert_eq!(refusal_by(subject, &claims), Some(Unverified::UnverifiedEmail));
            assert_eq!(refusal_by(|_| {}, &claims), None);
        }
        claims["email_verified"] = true.into();
        assert_eq!(refusal_by(subject, &claims), None);
    }

    #[test]
    fn a_required_value_refuses_while_expressions_are_audited() {
        let refused = refusal_by(
            |rules| {
                rules.rules = vec![ClaimRule::Required { claim: "hd".into(), value: "x".into() }];
                rules.audit_until = Some(Timestamp(NOW + 100));
            },
            &claims(),
        );
        assert_eq!(refused, Some(Unverified::ClaimRule(None)));
    }
}
