//! An identity as JSON (contract 4, `show`).
use crate::{
    domain::identity::ChatIdentity,
    inbound::{
        answer::Answer,
        desk::{Desk, json},
        detail,
        problem::{Code, Problem},
    },
    ports::registry::Record,
};
use http::HeaderMap;
use serde::Serialize;

/// `{identity, state, created_at, subjects, history}`; a list leaves the history out, and `outside_alphabet` is there
/// where it is true.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    identity: &'a str,
    state: &'static str,
    created_at: String,
    subjects: Vec<Holder<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Happened<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_alphabet: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Holder<'a> {
    namespace: &'a str,
    subject: &'a str,
    linked_at: String,
}

#[derive(Debug, Serialize)]
struct Happened<'a> {
    at: String,
    who: &'a str,
    what: &'a str,
    why: &'a str,
}

impl<'a> Shown<'a> {
    /// Without its history.
    pub fn briefly(record: &'a Record) -> Self {
        let subjects = record.subjects.iter().map(|(subject, since)| Holder {
            namespace: subject.namespace().as_str(),
            subject: subject.id().as_str(),
            linked_at: since.rfc3339(),
        });
        Self {
            identity: record.identity.as_str(),
            state: record.state.as_str(),
            created_at: record.created_at.rfc3339(),
            subjects: subjects.collect(),
            history: None,
            outside_alphabet: record.identity.is_outside_alphabet().then_some(true),
        }
    }

    /// All of it.
    pub fn whole(record: &'a Record) -> Self {
        let history = record.history.iter().map(|event| Happened {
            at: event.at.rfc3339(),
            who: &event.who,
            what: &event.what,
            why: &event.why,
        });
        Self { history: Some(history.collect()), ..Self::briefly(record) }
    }
}

/// Answers with all about an identity.
///
/// # Errors
/// `not_found`, `store_unavailable`.
pub(super) async fn shown(
    desk: &Desk<'_>,
    identity: &ChatIdentity,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let found = desk.registrar.show(identity).await;
    match found.map_err(|error| desk.store_failed(&error))? {
        Some(record) => json(&Shown::whole(&record), recycled),
        None => Err(Problem::new(Code::NotFound, detail::UNKNOWN_IDENTITY)),
    }
}
