//! The audit line of a change (contract 9): one for each that was asked for, refused ones included.
use crate::{
    domain::{identity::ChatIdentity, subject::Subject},
    flow::registry::Registrar,
    inbound::{problem::Problem, proxies::Client, request::RequestId},
};

/// Who changes what, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// `api:<token name>`.
    pub(super) who: Option<Box<str>>,
    /// Whether anything changed.
    pub(super) is_new: Option<bool>,
    identity: Option<ChatIdentity>,
    subject_hash: Option<String>,
}

impl Trail {
    /// Notes what it is about.
    pub(super) fn concerns(
        &mut self,
        registrar: &Registrar,
        identity: Option<&ChatIdentity>,
        subject: Option<&Subject>,
    ) {
        if let Some(identity) = identity {
            self.identity = Some(identity.clone());
        }
        if let Some(subject) = subject {
            self.subject_hash = Some(registrar.key().subject_hash(subject));
        }
    }

    /// Writes the line.
    pub(super) fn write(
        &self,
        operation: &'static str,
        id: &RequestId,
        client: Client,
        refused: Option<&Problem>,
    ) {
        let (outcome, code) = match (refused, self.is_new) {
            (Some(problem), _) => (problem.outcome(), problem.code().as_str()),
            (None, Some(false)) => ("unchanged", "none"),
            (None, Some(true) | None) => ("changed", "none"),
        };
        tracing::info!(
            target: "audit",
            request_id = id.as_str(),
            operation,
            outcome,
            code,
            who = self.who.as_deref(),
            subject_hash = self.subject_hash.as_deref(),
            identity = self.identity.as_ref().map(ChatIdentity::as_str),
            client = %client,
        );
    }
}
