//! What the registry holds: `list` and `show`.
use super::{
    orders,
    shown::{Shown, shown},
};
use crate::{
    domain::identity::ChatIdentity,
    inbound::{
        answer::Answer,
        desk::{Desk, json, named},
        detail, form,
        problem::{Code, Problem},
    },
    ports::registry::{Filter, Record, State},
};
use http::HeaderMap;
use std::borrow::Cow;

/// How many identities a list has at most.
const MOST: usize = 1000;
/// How many it has where nobody says.
const USUAL: usize = 100;

const STATES: [State; 4] = [State::Active, State::Retired, State::Unclaimed, State::Unlinked];

/// `GET /api/identities`.
///
/// # Errors
/// `bad_request`, `store_unavailable`.
pub(super) async fn list(
    desk: &Desk<'_>,
    query: &str,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let known = ["namespace", "subject", "state", "limit", "after"];
    let [namespace, subject, state, limit, after] = form::only_these(query, known)?;
    let wrong = |detail| Problem::new(Code::BadRequest, detail);
    let state = state.map(|state| state_of(&state)).transpose()?;
    let limit = limit.map_or(Ok(USUAL), |limit| count(&limit))?;
    let after = after.as_deref().map(ChatIdentity::imported).transpose();
    let after = after.map_err(|_| wrong(detail::AFTER))?;
    let records = match (namespace, subject) {
        (None, Some(_)) => return Err(wrong(detail::SUBJECT)),
        (Some(namespace), Some(subject)) => {
            let subject = orders::subject(&namespace, &subject)?;
            let found = desk.registrar.show_subject(&subject).await;
            let fits = |record: &Record| {
                state.is_none_or(|state| record.state == state)
                    && after.as_ref().is_none_or(|after| record.identity > *after)
            };
            found.map_err(|error| desk.store_failed(&error))?.into_iter().filter(fits).collect()
        }
        (namespace, None) => {
            let namespace = namespace.map(|text: Cow<'_, str>| text.parse()).transpose();
            let namespace = namespace.map_err(|_| wrong(detail::SUBJECT))?;
            let filter = Filter { namespace, state, after };
            let found = desk.registrar.list(&filter, limit).await;
            found.map_err(|error| desk.store_failed(&error))?
        }
    };
    json(&records.iter().map(Shown::briefly).collect::<Vec<_>>(), recycled)
}

fn state_of(text: &str) -> Result<State, Problem> {
    let known = STATES.into_iter().find(|state| state.as_str() == text);
    known.ok_or_else(|| Problem::new(Code::BadRequest, detail::STATE))
}

fn count(text: &str) -> Result<usize, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let count = text.parse().ok().filter(|count| digits && (1..=MOST).contains(count));
    count.ok_or_else(|| Problem::new(Code::BadRequest, detail::LIMIT))
}

/// `GET /api/identities/{identity}`.
///
/// # Errors
/// `bad_request`, `not_found`, `store_unavailable`.
pub(super) async fn show(
    desk: &Desk<'_>,
    identity: &str,
    query: &str,
    recycled: HeaderMap,
) -> Result<Answer, Problem> {
    let [] = form::only_these(query, [])?;
    shown(desk, &named(identity)?, recycled).await
}
