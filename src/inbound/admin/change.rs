//! What an operator changes: `link`, `unlink`, `retire`, `erase`.
use super::{
    audit::Trail,
    orders::{self, AboutIdentity, AboutSubject},
    route::Route,
    shown::shown,
};
use crate::{
    domain::identity::ChatIdentity,
    flow::registry::Order,
    inbound::{
        answer::Answer,
        body::{BodyLimit, Inflow},
        desk::{Desk, named},
        detail,
        problem::{Code, Problem},
    },
    ports::{
        registry::{ChangeError, Changed, Conflict},
        store::StoreError,
    },
};
use http::HeaderMap;

/// Which of the changes, of which identity, as the path says.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Link(ChatIdentity),
    Unlink,
    Retire(ChatIdentity),
    Erase(ChatIdentity),
}

impl Wanted {
    /// The change behind a route, where it is one of these.
    ///
    /// # Errors
    /// Those of [`named`].
    pub(super) fn of(route: Route<'_>) -> Result<Option<Self>, Problem> {
        Ok(Some(match route {
            Route::Link(identity) => Self::Link(named(identity)?),
            Route::Retire(identity) => Self::Retire(named(identity)?),
            Route::Erase(identity) => Self::Erase(named(identity)?),
            Route::Unlink => Self::Unlink,
            Route::Identities | Route::Identity(_) | Route::Import | Route::Export => {
                return Ok(None);
            }
        }))
    }
}

/// Does it, and answers with the identity as it is now.
///
/// # Errors
/// `bad_request`, `not_found`, `identity_conflict`, `operation_not_allowed`, `store_unavailable`.
pub(super) async fn make(
    desk: &Desk<'_>,
    wanted: Wanted,
    (headers, body): (HeaderMap, impl Inflow),
    limit: BodyLimit,
    trail: &mut Trail,
) -> Result<Answer, Problem> {
    let who = trail.who.clone().unwrap_or_default();
    let order = |why| Order { who, why };
    let registrar = desk.registrar;
    let mut unknown = detail::UNKNOWN_IDENTITY;
    let changed = match wanted {
        Wanted::Link(identity) => {
            let asked: AboutSubject = orders::read(&headers, body, limit).await?;
            let (subject, why) = asked.take_own()?;
            trail.concerns(registrar, Some(&identity), Some(&subject));
            registrar.link(identity, subject, &order(why)).await
        }
        Wanted::Unlink => {
            let asked: AboutSubject = orders::read(&headers, body, limit).await?;
            let (subject, why) = asked.take()?;
            trail.concerns(registrar, None, Some(&subject));
            unknown = detail::UNKNOWN_SUBJECT;
            registrar.unlink(subject, &order(why)).await
        }
        Wanted::Retire(identity) => {
            let asked: AboutIdentity = orders::read(&headers, body, limit).await?;
            trail.concerns(registrar, Some(&identity), None);
            registrar.retire(identity, &order(asked.take()?)).await
        }
        Wanted::Erase(identity) => {
            let asked: AboutIdentity = orders::read(&headers, body, limit).await?;
            trail.concerns(registrar, Some(&identity), None);
            registrar.erase(identity, &order(asked.take()?)).await
        }
    };
    let Changed { identity, is_new } = changed.map_err(|error| refused(desk, &error, unknown))?;
    trail.is_new = Some(is_new);
    trail.concerns(registrar, Some(&identity), None);
    shown(desk, &identity, headers).await
}

fn refused(desk: &Desk<'_>, error: &ChangeError, unknown: &'static str) -> Problem {
    match error {
        ChangeError::NotFound => Problem::new(Code::NotFound, unknown),
        // Nothing an operator of the registry can settle: this process has to have the other key.
        ChangeError::Conflict(Conflict::OtherKey(held)) => {
            desk.store_failed(&StoreError::Rekeyed(*held))
        }
        ChangeError::Conflict(
            why @ (Conflict::HasAnother(_) | Conflict::Retired | Conflict::Taken),
        ) => Problem::new(Code::IdentityConflict, "").with_message(&why.to_string()),
        ChangeError::NotDurable => {
            Problem::new(Code::OperationNotAllowed, detail::NEEDS_DURABLE_STORE)
        }
        ChangeError::Store(error) => desk.store_failed(error),
    }
}
