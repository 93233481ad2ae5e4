//! First sights: what a subject has, and what it is given (contract 4).
use super::{
    Job,
    gate::{self, Stage},
    history::{self, Event},
    imported, pinning,
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::{identity::ChatIdentity, subject::Subject},
    ports::{
        registry::{Author, ImportId},
        store::{BindError, Binding, FirstSight, Given, Match, Origin, StoreError},
    },
};

/// Finds what a subject has.
#[derive(Debug)]
pub(super) struct Find(pub(super) Subject);

impl Job for Find {
    type Answer = Option<Binding>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Option<Binding>, Fault> {
        find(tx, &self.0).await
    }
}

/// The identity a subject has, and whether it may still be used.
pub(super) async fn find<T: Tx>(tx: &mut T, subject: &Subject) -> Result<Option<Binding>, Fault> {
    let sql = "SELECT identities.identity, identities.state \
               FROM subjects LEFT JOIN identities ON identities.identity = subjects.identity \
               WHERE subjects.namespace = $1 AND subjects.subject = $2";
    let rows = tx.rows(sql, &names(subject)).await?;
    rows.first().map(binding).transpose()
}

/// A subject's two parameters.
pub(super) fn names(subject: &Subject) -> [super::Value<'_>; 2] {
    [subject.namespace().as_str().into(), subject.id().as_str().into()]
}

fn binding(row: &Row) -> Result<Binding, Fault> {
    match row.text(1)? {
        "active" => Ok(Binding::Active(identity(row, 0)?)),
        "retired" => Ok(Binding::Retired),
        _ => Err(Fault::Damaged),
    }
}

/// The identity in column `at`.
pub(super) fn identity(row: &Row, at: usize) -> Result<ChatIdentity, Fault> {
    ChatIdentity::imported(row.text(at)?).map_err(|_| Fault::Damaged)
}

/// Gives a subject its identity.
#[derive(Debug)]
pub(super) struct Bind(pub(super) FirstSight);

impl Job for Bind {
    type Answer = Result<Given, BindError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let sight = &self.0;
        let gate = gate::share(tx).await?;
        if let Some((Stage::Applied, import)) = gate.import {
            imported::move_what_concerns(tx, import, sight).await?;
        }
        if let Some(held) = find(tx, &sight.subject).await? {
            return Ok(Ok(held.into()));
        }
        let sql = "SELECT identity FROM erased WHERE digest = $1";
        if !tx.rows(sql, &[(&*sight.erased).into()]).await?.is_empty() {
            return Ok(Ok(Binding::Retired.into()));
        }
        if let Some((Stage::Checking, import)) = gate.import {
            overtake(tx, import, sight).await?;
        }
        if let Some(wanted) = &sight.adopt
            && let Some(answer) = adopt(tx, sight, wanted).await?
        {
            return Ok(answer);
        }
        if let Origin::Derived(mine) = sight.origin {
            let pinned = match gate.fingerprint {
                Some(pinned) => pinned,
                // A store that was put away under this process has seen no key yet.
                None => pinning::keep_first(tx, mine).await?,
            };
            if mine != pinned {
                // What this process derives is not what the others would.
                return Ok(Err(BindError::Store(StoreError::Rekeyed(pinned))));
            }
        }
        give(tx, sight).await
    }
}

/// Takes the identity that waits for what the token says. `None`: none does.
async fn adopt<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    wanted: &Match,
) -> Result<Option<Result<Given, BindError>>, Fault> {
    let namespace = sight.subject.namespace().as_str();
    let folded = wanted.value.to_lowercase();
    let sql = "SELECT value, identity FROM unclaimed \
               WHERE namespace = $1 AND folded = $2 AND taken = 0";
    let rows = tx.rows(sql, &[namespace.into(), folded.as_str().into()]).await?;
    let mut exact = None;
    for row in &rows {
        if row.text(0)? == &*wanted.value {
            exact = Some(identity(row, 1)?);
        }
    }
    let Some(identity) = exact else {
        // One that differs in letter case may be the same person, or another: an operator must say.
        return Ok((!rows.is_empty()).then_some(Err(BindError::Taken)));
    };
    if !wanted.verified {
        return Ok(Some(Err(BindError::Unverified)));
    }
    let sql = "UPDATE unclaimed SET taken = 1 WHERE namespace = $1 AND value = $2 AND taken = 0";
    if tx.run(sql, &[namespace.into(), (&*wanted.value).into()]).await? == 0 {
        return Err(Fault::Lost);
    }
    // One that was retired while it waited stays so.
    let sql = "UPDATE identities SET state = 'active' WHERE identity = $1 AND state <> 'retired'";
    tx.run(sql, &[identity.as_str().into()]).await?;
    insert_subject(tx, sight, &identity).await?;
    record_adoption(tx, sight, &identity).await?;
    let given = find(tx, &sight.subject).await?.ok_or(Fault::Damaged)?;
    Ok(Some(Ok(Given { adopted: matches!(given, Binding::Active(_)), binding: given })))
}

/// Nobody remembers a binding of a subject that was never seen, so no edition is counted up.
async fn record_adoption<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    identity: &ChatIdentity,
) -> Result<(), Fault> {
    let edition = gate::edition(tx).await?;
    let event = Event { identity, what: "adopt", subject: Some(&sight.subject) };
    let author = Author { who: "usher".into(), why: "".into(), at: sight.at };
    history::record(tx, edition, &event, &author).await
}

/// Makes an import that is being compared compare again, where it holds what is given here.
async fn overtake<T: Tx>(tx: &mut T, import: ImportId, sight: &FirstSight) -> Result<(), Fault> {
    if imported::concerns(tx, import, sight).await? {
        gate::set_import(tx, Some((Stage::Overtaken, import))).await?;
    }
    Ok(())
}

/// Gives what the sight proposes.
async fn give<T: Tx>(tx: &mut T, sight: &FirstSight) -> Result<Result<Given, BindError>, Fault> {
    let (origin, fingerprint) = match sight.origin {
        Origin::Derived(fingerprint) => ("derived", Some(fingerprint.to_string())),
        Origin::Named => ("named", None),
    };
    let sql = "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
               VALUES ($1, 'active', $2, $3, $4) ON CONFLICT (identity) DO NOTHING";
    let at = gate::seconds(sight.at);
    let identity = sight.identity.as_str();
    let values = [identity.into(), at.into(), origin.into(), fingerprint.as_deref().into()];
    if tx.run(sql, &values).await? == 0 {
        return give_back(tx, sight).await;
    }
    insert_subject(tx, sight, &sight.identity).await?;
    Ok(Ok(Binding::Active(sight.identity.clone()).into()))
}

/// The identity is in the registry already. The subject gets it only if it is its own and nobody else has it.
async fn give_back<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
) -> Result<Result<Given, BindError>, Fault> {
    // Whoever inserted the identity a moment ago may have done so for this subject.
    if let Some(held) = find(tx, &sight.subject).await? {
        return Ok(Ok(held.into()));
    }
    if !is_own(tx, sight).await? {
        return Ok(Err(BindError::Taken));
    }
    // Locks the row, so that nobody is linked to it meanwhile.
    let sql = "UPDATE identities SET state = state WHERE identity = $1 RETURNING state";
    let rows = tx.rows(sql, &[sight.identity.as_str().into()]).await?;
    match rows.first().ok_or(Fault::Lost)?.text(0)? {
        "active" => {}
        "retired" => return Ok(Ok(Binding::Retired.into())),
        _ => return Ok(Err(BindError::Taken)),
    }
    let sql = "SELECT subject FROM subjects WHERE identity = $1 LIMIT 1";
    if !tx.rows(sql, &[sight.identity.as_str().into()]).await?.is_empty() {
        return Ok(Err(BindError::Taken));
    }
    insert_subject(tx, sight, &sight.identity).await?;
    Ok(Ok(Binding::Active(sight.identity.clone()).into()))
}

/// A derived identity is its subject's alone; a named one is whoever's it was before it was unlinked.
async fn is_own<T: Tx>(tx: &mut T, sight: &FirstSight) -> Result<bool, Fault> {
    if matches!(sight.origin, Origin::Derived(_)) {
        return Ok(true);
    }
    let sql = "SELECT edition FROM history WHERE namespace = $1 AND subject = $2 \
               AND identity = $3 AND what = 'unlink' LIMIT 1";
    let [namespace, subject] = names(&sight.subject);
    Ok(!tx.rows(sql, &[namespace, subject, sight.identity.as_str().into()]).await?.is_empty())
}

async fn insert_subject<T: Tx>(
    tx: &mut T,
    sight: &FirstSight,
    identity: &ChatIdentity,
) -> Result<(), Fault> {
    let sql = "INSERT INTO subjects (namespace, subject, identity, linked_at) \
               VALUES ($1, $2, $3, $4) ON CONFLICT (namespace, subject) DO NOTHING";
    let [namespace, subject] = names(&sight.subject);
    let at = gate::seconds(sight.at);
    let inserted = tx.run(sql, &[namespace, subject, identity.as_str().into(), at.into()]).await?;
    // Another replica gave this subject another identity at the same moment: theirs holds.
    if inserted == 0 { Err(Fault::Lost) } else { Ok(()) }
}
