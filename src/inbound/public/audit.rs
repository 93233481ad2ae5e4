//! One line per decision on target `audit`, and the request's metrics (contract 9). Never a token.
use super::exchange::Decision;
use crate::{
    domain::identity::ChatIdentity,
    flow::verify::Verified,
    inbound::{problem::Problem, proxies::Client, request::RequestId},
};
use std::sync::Arc;

/// Whom a decision is about and what was given, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Trail {
    verified: Option<Verified>,
    subject_hash: Option<Arc<str>>,
    identity: Option<ChatIdentity>,
    adopted: bool,
    grant: Option<Arc<str>>,
    jti: Option<Arc<str>>,
}

impl Trail {
    pub(super) fn of(decision: &mut Decision) -> Self {
        let token = decision.outcome.as_ref().ok();
        Self {
            grant: token.map(|token| Arc::clone(&token.grant)),
            jti: token.map(|token| Arc::clone(&token.jti)),
            verified: decision.verified.take(),
            subject_hash: decision.subject_hash.take(),
            identity: decision.identity.take(),
            adopted: decision.adopted,
        }
    }

    /// Writes the line, behind one of its own for an identity that was taken on the way (contract 4, `adopt`): it
    /// stays taken whatever became of the request. Returns outcome and code, for the metrics.
    pub(super) fn write(
        &self,
        id: &RequestId,
        client: Client,
        refused: Option<&Problem>,
    ) -> (&'static str, &'static str) {
        let (outcome, code) = match refused {
            None => ("issued", "none"),
            Some(problem) => (problem.outcome(), problem.code().as_str()),
        };
        if self.adopted {
            let taken = Self {
                verified: self.verified.clone(),
                subject_hash: self.subject_hash.clone(),
                identity: self.identity.clone(),
                ..Self::default()
            };
            taken.line(id, client, ("adopted", "none"));
        }
        self.line(id, client, (outcome, code));
        (outcome, code)
    }

    fn line(&self, id: &RequestId, client: Client, (outcome, code): (&str, &str)) {
        tracing::info!(
            target: "audit",
            request_id = id.as_str(),
            outcome,
            code,
            issuer = self.verified.as_ref().map(|verified| verified.upstream().issuer.as_str()),
            subject_hash = self.subject_hash.as_deref(),
            identity = self.identity.as_ref().map(ChatIdentity::as_str),
            grant = self.grant.as_deref(),
            jti = self.jti.as_deref(),
            client = %client,
        );
    }
}
