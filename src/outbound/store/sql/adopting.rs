//! Identities that wait for the first sign-in whose claim matches (contract 4, `import --unclaimed`).
use super::{
    binding, gate,
    history::{self, Event},
    tx::{Fault, Tx},
};
use crate::{
    domain::identity::ChatIdentity,
    ports::{
        registry::Author,
        store::{BindError, Binding, FirstSight, Given, Match},
    },
};

/// Takes the identity that waits for what the token says. `None`: none does.
pub(super) async fn adopt<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    wanted: &Match,
) -> Result<Option<Result<Given, BindError>>, Fault> {
    let identity = match waiting(tx, sight, wanted).await? {
        Waiting::Nobody => return Ok(None),
        Waiting::Refused(refused) => return Ok(Some(Err(refused))),
        Waiting::For(identity) => identity,
    };
    let namespace = sight.subject.namespace().as_str();
    let sql = "UPDATE unclaimed SET taken = 1 WHERE namespace = $1 AND value = $2 AND taken = 0";
    if tx.run(sql, &[namespace.into(), (&*wanted.value).into()]).await? == 0 {
        return Err(Fault::Lost);
    }
    // One that was retired while it waited stays so.
    let sql = "UPDATE identities SET state = 'active' WHERE identity = $1 AND state <> 'retired'";
    tx.run(sql, &[identity.as_str().into()]).await?;
    binding::insert_subject(tx, sight, &identity).await?;
    record_adoption(tx, sight, &identity).await?;
    let given = binding::find(tx, &sight.subject).await?.ok_or(Fault::Damaged)?;
    Ok(Some(Ok(Given { adopted: matches!(given, Binding::Active(_)), binding: given })))
}

/// What waits for somebody whose token says so.
pub(super) enum Waiting {
    Nobody,
    For(ChatIdentity),
    Refused(BindError),
}

/// Looks for it.
pub(super) async fn waiting<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    wanted: &Match,
) -> Result<Waiting, Fault> {
    let namespace = sight.subject.namespace().as_str();
    let folded = wanted.value.to_lowercase();
    let sql = "SELECT value, identity FROM unclaimed \
               WHERE namespace = $1 AND folded = $2 AND taken = 0";
    let rows = tx.rows(sql, &[namespace.into(), folded.as_str().into()]).await?;
    let mut exact = None;
    for row in &rows {
        if row.text(0)? == &*wanted.value {
            exact = Some(binding::identity(row, 1)?);
        }
    }
    Ok(match exact {
        None if rows.is_empty() => Waiting::Nobody,
        // One that differs in letter case may be the same person, or another: an operator must say.
        None => Waiting::Refused(BindError::Taken),
        Some(_) if !wanted.verified => Waiting::Refused(BindError::Unverified),
        Some(identity) => Waiting::For(identity),
    })
}

/// Nobody remembers a binding of a subject that was never seen, so no edition is counted up.
async fn record_adoption<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    identity: &ChatIdentity,
) -> Result<(), Fault> {
    let edition = gate::edition(tx).await?;
    let event = Event { identity, what: "adopt", subject: Some(binding::parts(&sight.subject)) };
    let author = Author { who: "usher".into(), why: "".into(), at: sight.at };
    history::record(tx, edition, &event, &author).await
}
