//! The app's look-up: whose identity is whose, before anybody signs in (contract 4, last paragraph).
use crate::{
    domain::{
        identity::ChatIdentity,
        subject::{Namespace, Subject},
    },
    flow::registry::Sighting,
    inbound::{
        answer::Answer,
        desk::{Desk, json, named},
        detail, form,
        problem::{Code, Problem},
    },
};
use http::HeaderMap;
use serde::Serialize;

/// How many subjects are looked up at once.
const MOST: usize = 100;

/// `{namespace, subject, identity, known}`; `identity` is `null` where only a token can tell.
#[derive(Serialize)]
struct Seen<'a> {
    namespace: &'a str,
    subject: &'a str,
    identity: Option<&'a str>,
    known: bool,
}

/// `GET /usher/identities?namespace=corp&subject=a&subject=b`, in the order that was asked.
///
/// # Errors
/// `bad_request`, `operation_not_allowed`, `store_unavailable`.
pub(super) async fn of_subjects(
    desk: &Desk<'_>,
    allowed: &[Namespace],
    query: &str,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let subjects = asked(query, allowed)?;
    let seen = desk.registrar.look_up(&subjects).await;
    let seen: Vec<Sighting> = seen.map_err(|error| desk.store_failed(&error))?;
    let seen: Vec<_> = seen
        .iter()
        .map(|seen| Seen {
            namespace: seen.subject.namespace().as_str(),
            subject: seen.subject.id().as_str(),
            identity: seen.identity.as_ref().map(ChatIdentity::as_str),
            known: seen.known,
        })
        .collect();
    json(&seen, recycled)
}

fn asked(query: &str, allowed: &[Namespace]) -> Result<Vec<Subject>, Problem> {
    let wrong = |detail| Problem::new(Code::BadRequest, detail);
    let (mut namespace, mut names) = (None, Vec::new());
    let parameters = form::strict_parameters(query).map_err(|_| wrong(detail::BAD_QUERY))?;
    for (name, value) in parameters {
        match &*name {
            "namespace" if namespace.is_none() => namespace = Some(value),
            "subject" if names.len() < MOST => names.push(value),
            _ => return Err(wrong(detail::LOOK_UP)),
        }
    }
    let namespace =
        namespace.filter(|_| !names.is_empty()).ok_or_else(|| wrong(detail::LOOK_UP))?;
    let namespace: Namespace = namespace.parse().map_err(|_| wrong(detail::SUBJECT))?;
    if !allowed.contains(&namespace) {
        let entry = serde_json::Value::from(namespace.as_str());
        let message = format!("add {entry} to egress.lookup in usher's configuration");
        return Err(Problem::new(Code::OperationNotAllowed, "").with_message(&message));
    }
    names
        .iter()
        .map(|name| Subject::stored(namespace.as_str(), name).map_err(|_| wrong(detail::SUBJECT)))
        .collect()
}

/// `GET /usher/identities/{identity}`: those of its subjects that may be looked up.
///
/// # Errors
/// `bad_request`, `not_found`, `store_unavailable`.
pub(super) async fn of_identity(
    desk: &Desk<'_>,
    allowed: &[Namespace],
    segment: &str,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let identity = named(segment)?;
    let found = desk.registrar.show(&identity).await;
    let record = found.map_err(|error| desk.store_failed(&error))?;
    let subjects = record.iter().flat_map(|record| &record.subjects);
    let seen: Vec<_> = subjects
        .filter(|(subject, _)| allowed.contains(subject.namespace()))
        .map(|(subject, _)| Seen {
            namespace: subject.namespace().as_str(),
            subject: subject.id().as_str(),
            identity: Some(identity.as_str()),
            known: true,
        })
        .collect();
    if seen.is_empty() {
        return Err(Problem::new(Code::NotFound, detail::UNKNOWN_IDENTITY));
    }
    json(&seen, recycled)
}
