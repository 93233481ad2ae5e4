//! Settings -> the rules and grants of the flow: expressions are compiled here.
use crate::{
    config::settings::{GrantService, GrantSettings, IssuerSettings, RuleSettings, TokenTypes},
    domain::{
        grant::Service,
        policy::{Expression, InvalidExpression, Place},
    },
    flow::{
        permit::{Given, Grant},
        verify::{AcceptedKinds, ClaimRule, IssuerRules},
    },
};
use std::sync::Arc;

/// What the verifier asks of an issuer's tokens.
///
/// # Errors
/// An expression does not compile, though the configuration was checked.
pub(super) fn issuer_rules(issuer: &IssuerSettings) -> Result<IssuerRules, InvalidExpression> {
    Ok(IssuerRules {
        issuer: issuer.url.clone(),
        audiences: issuer.audiences.clone(),
        audience_claim: issuer.audience_claim.clone(),
        algorithms: issuer.algorithms.clone(),
        kinds: match issuer.token_types {
            TokenTypes::Both => AcceptedKinds::Both,
            TokenTypes::AccessToken => AcceptedKinds::AccessToken,
            TokenTypes::IdToken => AcceptedKinds::IdToken,
        },
        allow_act: issuer.allow_act,
        allow_cnf: issuer.allow_cnf,
        namespace: issuer.namespace.clone(),
        subject: issuer.subject.clone(),
        rules: issuer.rules.iter().map(claim_rule).collect::<Result<_, _>>()?,
        audit_until: issuer.audit_until,
        clock_skew: issuer.clock_skew,
    })
}

fn claim_rule(rule: &RuleSettings) -> Result<ClaimRule, InvalidExpression> {
    Ok(match rule {
        RuleSettings::Required { claim, value } => {
            ClaimRule::Required { claim: claim.clone(), value: value.clone() }
        }
        RuleSettings::Expression { expression, message } => ClaimRule::Expression {
            expression: Expression::compile(expression, Place::ClaimRule)?,
            message: message.as_deref().map(Arc::from),
        },
    })
}

/// The grants, over the services in the order of the settings.
///
/// # Errors
/// An expression does not compile, though the configuration was checked.
pub(super) fn grants(
    grants: &[GrantSettings],
    services: &[Arc<Service>],
) -> Result<Vec<Grant>, InvalidExpression> {
    grants.iter().filter_map(|grant| one(grant, services).transpose()).collect()
}

fn one(
    grant: &GrantSettings,
    services: &[Arc<Service>],
) -> Result<Option<Grant>, InvalidExpression> {
    let service = match &grant.service {
        // The settings name only services that are there; a grant without one gives nothing.
        GrantService::Named(at) => services.get(*at).cloned().map(Given::Named),
        GrantService::Expression(text) => {
            Some(Given::Expression(Expression::compile(text, Place::Grant)?))
        }
    };
    let when = grant.when.as_deref().map(|text| Expression::compile(text, Place::Grant));
    let (terms, when) = (Arc::new(grant.terms.clone()), when.transpose()?);
    Ok(service.map(|service| Grant { terms, when, users: grant.users, service }))
}
