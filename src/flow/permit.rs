//! Decides what a bound user is given (contract 5, `grants`).
use super::bind::Bound;
use crate::domain::{
    claims::UserKind,
    grant::{Service, Terms},
    policy::{Expression, Facts, Unevaluated},
    sid::PushCredentialSid,
};
use std::sync::Arc;

/// What the caller asks for. Asking for less never gives more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish<'a> {
    /// `?service=` or `audience`: only grants that name this service are tried.
    pub service: Option<&'a str>,
    /// `?platform=`: a key of the service's `pushCredentials`.
    pub platform: Option<&'a str>,
}

/// Proof that a bound user may have a token of a service. Only [`Permitter`] makes one.
#[derive(Clone, Debug)]
pub struct Permitted {
    bound: Bound,
    service: Arc<Service>,
    terms: Arc<Terms>,
    push_credential: Option<PushCredentialSid>,
}

impl Permitted {
    /// The proof it rests on.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The service to issue for.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The grant's name, ttl and role.
    pub fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    /// The push credential of the platform that was asked for.
    pub fn push_credential(&self) -> Option<&PushCredentialSid> {
        self.push_credential.as_ref()
    }
}

/// Why nothing is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    /// No grant matches (`not_entitled`).
    #[error("no grant matches the user")]
    NoGrant,
    /// No grant gives the service that was asked for, or there is none of that name (`not_entitled`;
    /// `invalid_target` at the RFC 8693 endpoint). The two are not told apart to the caller.
    #[error("no grant gives the service that was asked for")]
    Service,
    /// The service has no push credential for the platform (`bad_request`).
    #[error("the service has no push credential for the platform")]
    Platform,
}

/// One of `grants`, ready to be tried.
#[derive(Debug)]
pub struct Grant {
    /// Its name, ttl and role.
    pub terms: Arc<Terms>,
    /// `when`; absent is always.
    pub when: Option<Expression>,
    /// `kinds` names users.
    pub users: bool,
    /// `service`.
    pub service: Given,
}

/// Which service a grant gives.
#[derive(Debug)]
pub enum Given {
    /// Always this one.
    Named(Arc<Service>),
    /// The configured one whose name the expression yields.
    Expression(Expression),
}

/// Applies the grants.
#[derive(Debug)]
pub struct Permitter {
    services: Box<[Arc<Service>]>,
    grants: Box<[Grant]>,
}

impl Permitter {
    /// Tries `grants` in their order; where there are none, every user gets the default service, the first of
    /// `services`.
    pub fn new(services: Vec<Arc<Service>>, mut grants: Vec<Grant>) -> Self {
        if grants.is_empty()
            && let Some(default) = services.first()
        {
            grants.push(Grant {
                terms: Arc::new(Terms { name: "default".into(), ttl: None, role: None }),
                when: None,
                users: true,
                service: Given::Named(Arc::clone(default)),
            });
        }
        Self { services: services.into(), grants: grants.into() }
    }

    /// Finds the first grant that matches; evaluation errors do not match.
    ///
    /// # Errors
    /// Each variant of [`NotPermitted`].
    pub fn permit(&self, bound: Bound, wish: Wish<'_>) -> Result<Permitted, NotPermitted> {
        let upstream = bound.verified().upstream();
        let facts = Facts {
            claims: &upstream.claims,
            issuer: upstream.issuer.as_str(),
            identity: bound.identity().as_str(),
            kind: upstream.user,
        };
        let (grant, service) = self
            .grants
            .iter()
            .find_map(|grant| Some((grant, self.given(grant, &facts, wish.service)?)))
            .ok_or(match wish.service {
                Some(_) => NotPermitted::Service,
                None => NotPermitted::NoGrant,
            })?;
        let push_credential = match wish.platform {
            Some(name) => {
                Some(service.push_credentials.get(name).ok_or(NotPermitted::Platform)?.clone())
            }
            None => None,
        };
        let (service, terms) = (Arc::clone(service), Arc::clone(&grant.terms));
        Ok(Permitted { bound, service, terms, push_credential })
    }

    /// The service `grant` gives to this user, if it matches and is the one that was wished for.
    fn given<'a>(
        &'a self,
        grant: &'a Grant,
        facts: &Facts<'_>,
        wished: Option<&str>,
    ) -> Option<&'a Arc<Service>> {
        let meant = match facts.kind {
            UserKind::User => grant.users,
            UserKind::Guest | UserKind::Bot => false,
        };
        let named = |service: &&Arc<Service>| wished.is_none_or(|name| *service.name == *name);
        // The name before the policy, where it is known: it is the cheaper question.
        if let Given::Named(service) = &grant.service
            && !named(&service)
        {
            return None;
        }
        if !meant || !holds(grant, facts) {
            return None;
        }
        match &grant.service {
            Given::Named(service) => Some(service),
            Given::Expression(expression) => {
                self.chosen(grant, expression.text(facts)).filter(named)
            }
        }
    }

    fn chosen(&self, grant: &Grant, name: Result<String, Unevaluated>) -> Option<&Arc<Service>> {
        let name = name.inspect_err(|error| unevaluated(grant, *error)).ok()?;
        self.services.iter().find(|service| *service.name == *name)
    }
}

fn holds(grant: &Grant, facts: &Facts<'_>) -> bool {
    grant.when.as_ref().is_none_or(|when| {
        when.holds(facts).inspect_err(|error| unevaluated(grant, *error)).unwrap_or(false)
    })
}

/// Tells the operator that a grant could not be evaluated. At debug, since a claim that only some tokens have is
/// common, and whoever sends tokens must not fill the log.
fn unevaluated(grant: &Grant, error: Unevaluated) {
    tracing::debug!(grant = %grant.terms.name, %error, "grant does not match");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{claims::Claims, policy::Place},
        flow::{scene, verify::Upstream},
    };
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn expression(source: &str) -> Expression {
        Expression::compile(source, Place::Grant).unwrap()
    }

    fn grant(name: &str, when: Option<&str>, service: Given) -> Grant {
        let terms = Arc::new(Terms { name: name.into(), ttl: None, role: None });
        Grant { terms, when: when.map(expression), users: true, service }
    }

    fn user(claims: &Value) -> Bound {
        let claims = Claims::new(claims.as_object().unwrap().clone());
        scene::bound(Upstream { claims, ..scene::upstream("corp", "alice") })
    }

    fn services() -> Vec<Arc<Service>> {
        vec![scene::service("main", '1'), scene::service("shop", '2'), scene::service("hr", '3')]
    }

    /// Staff may use `hr`; everybody with a tenant its service; chatters `main`.
    fn permitter() -> Permitter {
        let all = services();
        let named = |at: usize| Given::Named(Arc::clone(&all[at]));
        let grants = vec![
            grant("staff", Some("'staff' in claims.groups"), named(2)),
            grant("tenant", None, Given::Expression(expression("claims.tenant"))),
            grant("chat", Some("claims.chat"), named(0)),
        ];
        Permitter::new(all, grants)
    }

    fn given(
        grants: &Permitter,
        claims: &Value,
        wish: Option<&str>,
    ) -> Result<String, NotPermitted> {
        let wish = Wish { service: wish, platform: None };
        let permitted = grants.permit(user(claims), wish)?;
        Ok(format!("{}:{}", permitted.terms().name, permitted.service().name))
    }

    #[test]
    fn without_grants_users_get_the_default_service_and_no_other() {
        let permitter = Permitter::new(services(), Vec::new());
        assert_eq!(given(&permitter, &json!({}), None).unwrap(), "default:main");
        assert_eq!(given(&permitter, &json!({}), Some("main")).unwrap(), "default:main");
        assert_eq!(given(&permitter, &json!({}), Some("shop")), Err(NotPermitted::Service));
    }

    #[test]
    fn the_first_grant_that_matches_wins() {
        let both = json!({"groups": ["staff"], "chat": true});
        assert_eq!(given(&permitter(), &both, None).unwrap(), "staff:hr");
        assert_eq!(given(&permitter(), &json!({"chat": true}), None).unwrap(), "chat:main");
        assert_eq!(given(&permitter(), &json!({"groups": []}), None), Err(NotPermitted::NoGrant));
    }

    #[test]
    fn p18_a_service_asked_for_narrows_to_the_grants_that_give_it() {
        let both = json!({"groups": ["staff"], "chat": true, "tenant": "shop"});
        assert_eq!(given(&permitter(), &both, Some("main")).unwrap(), "chat:main");
        assert_eq!(given(&permitter(), &both, Some("shop")).unwrap(), "tenant:shop");
        for absent in ["", "Main", "main ", "none"] {
            assert_eq!(given(&permitter(), &both, Some(absent)), Err(NotPermitted::Service));
        }
        let chatter = json!({"chat": true});
        assert_eq!(given(&permitter(), &chatter, Some("hr")), Err(NotPermitted::Service));
    }

    #[test]
    fn p11_a_grant_that_cannot_be_evaluated_does_not_match() {
        for claims in [
            json!({"chat": "true"}),
            json!({"chat": 1}),
            json!({"chat": null}),
            json!({"tenant": 7}),
        ] {
            assert_eq!(given(&permitter(), &claims, None), Err(NotPermitted::NoGrant), "{claims}");
        }
        assert_eq!(
            given(&permitter(), &json!({"groups": 1, "chat": true}), None).unwrap(),
            "chat:main"
        );
    }

    #[test]
    fn an_expression_yields_only_a_configured_service() {
        assert_eq!(
            given(&permitter(), &json!({"tenant": "none", "chat": true}), None).unwrap(),
            "chat:main"
        );
        assert_eq!(given(&permitter(), &json!({"tenant": "shop"}), None).unwrap(), "tenant:shop");
    }

    #[test]
    fn guests_and_bots_get_nothing_that_is_meant_for_users() {
        for kind in [UserKind::Guest, UserKind::Bot] {
            let upstream = Upstream { user: kind, ..scene::upstream("corp", "alice") };
            let permitter = Permitter::new(services(), Vec::new());
            assert_eq!(
                permitter.permit(scene::bound(upstream), Wish::default()).unwrap_err(),
                NotPermitted::NoGrant
            );
        }
    }

    #[test]
    fn a_grant_that_names_no_kind_of_today_matches_nobody() {
        let all = services();
        let service = Given::Named(Arc::clone(&all[0]));
        let grants = vec![Grant { users: false, ..grant("guests", None, service) }];
        assert_eq!(
            given(&Permitter::new(all, grants), &json!({}), None),
            Err(NotPermitted::NoGrant)
        );
    }

    #[test]
    fn a_platform_gives_the_push_credential_of_the_service_that_was_found() {
        let permitter = permitter();
        let with = |platform| {
            let wish = Wish { service: Some("main"), platform };
            permitter.permit(user(&json!({"chat": true})), wish)
        };
        let ios = with(Some("ios")).unwrap();
        assert_eq!(ios.push_credential(), Some(&scene::sid('1')));
        assert_eq!(with(None).unwrap().push_credential(), None);
        assert_eq!(with(Some("android")).unwrap_err(), NotPermitted::Platform);
    }

    proptest! {
        #[test]
        fn p18_asking_for_a_service_never_gives_one_that_no_grant_gives(
            staff in any::<bool>(), chat in any::<bool>(),
            tenant in prop_oneof!["main", "shop", "hr", "none"],
            wish in prop_oneof!["main", "shop", "hr", "none"],
        ) {
            let groups = if staff { json!(["staff"]) } else { json!([]) };
            let claims = json!({"groups": groups, "chat": chat, "tenant": tenant});
            let may = (staff && wish == "hr") || (chat && wish == "main") || tenant == wish;
            match given(&permitter(), &claims, Some(&wish)) {
                Ok(found) => {
                    prop_assert!(may && wish != "none");
                    prop_assert_eq!(found.split_once(':').unwrap().1, wish);
                }
                Err(error) => {
                    prop_assert_eq!(error, NotPermitted::Service);
                    prop_assert!(!may || wish == "none");
                }
            }
        }
    }
}
