//! First sights: what a subject has, and what it is given (contract 4).
use super::{
    Job, adopting,
    gate::{self, Gate, Stage},
    imported, pinning,
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::{
        identity::{ChatIdentity, ErasureKey},
        subject::Subject,
    },
    ports::store::{BindError, Binding, FirstSight, Given, Origin, StoreError},
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

/// The same for an event.
pub(super) fn parts(subject: &Subject) -> (&str, &str) {
    (subject.namespace().as_str(), subject.id().as_str())
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
pub(super) struct Bind {
    pub(super) sight: FirstSight,
    /// The store that the key was pinned in.
    pub(super) store: Option<Box<str>>,
}

impl Job for Bind {
    type Answer = Result<Given, BindError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let sight = &self.sight;
        let mut gate = gate::share_in(tx, sight.subject.namespace()).await?;
        pinning::is_the_same(&gate, self.store.as_deref())?;
        if let Some((Stage::Applied, import)) = gate.import {
            imported::move_what_concerns(tx, import, sight).await?;
        }
        if let Some(held) = find(tx, &sight.subject).await? {
            return Ok(Ok(held.into()));
        }
        match is_erased(tx, &gate, sight).await? {
            Ok(true) => return Ok(Ok(Binding::Retired.into())),
            Ok(false) => {}
            Err(refused) => return Ok(Err(BindError::Store(refused))),
        }
        if let Some((Stage::Checking, import)) = gate.import
            && imported::concerns(tx, import, sight).await?
        {
            gate::overtake(tx, &gate).await?;
        }
        if let Some(wanted) = &sight.adopt
            && let Some(answer) = adopting::adopt(tx, sight, wanted).await?
        {
            return Ok(answer);
        }
        if let (Origin::Derived(mine), None) = (sight.origin, gate.fingerprint) {
            gate.fingerprint = Some(pinning::keep_first(tx, mine).await?);
        }
        match pinning::agrees(&gate, sight) {
            Ok(()) => give(tx, sight).await,
            // What this process makes is not what the others would.
            Err(refused) => Ok(Err(BindError::Store(refused))),
        }
    }
}

/// Whether the subject was erased.
pub(super) async fn is_erased<T: Tx>(
    tx: &mut T,
    gate: &Gate,
    sight: &FirstSight,
) -> Result<Result<bool, StoreError>, Fault> {
    let (namespace, id) = parts(&sight.subject);
    let Some(erasure) = gate.erasure(&sight.key)? else {
        // With another key it cannot be told, unless nobody was erased.
        let any = !tx.rows("SELECT digest FROM erased LIMIT 1", &[]).await?.is_empty();
        let pinned = gate.fingerprint.ok_or(Fault::Damaged)?;
        return Ok(if any { Err(StoreError::Rekeyed(pinned)) } else { Ok(false) });
    };
    let subject = erasure.digest(&[namespace, id]);
    // One that waited for them may have been erased before they came.
    let waited = sight.adopt.as_ref().map_or_else(String::new, |wanted| {
        waiting_digest(&erasure, namespace, &wanted.value.to_lowercase())
    });
    let sql = "SELECT identity FROM erased WHERE digest IN ($1, $2)";
    Ok(Ok(!tx.rows(sql, &[subject.as_str().into(), waited.as_str().into()]).await?.is_empty()))
}

/// What stands for whoever an erased identity waited for.
pub(super) fn waiting_digest(key: &ErasureKey, namespace: &str, folded: &str) -> String {
    key.digest(&["waits", namespace, folded])
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
    // Locks the row, so that nobody is linked to it meanwhile.
    let sql = "UPDATE identities SET state = state WHERE identity = $1";
    tx.run(sql, &[sight.identity.as_str().into()]).await?;
    // Whoever had the lock before may have had it for this subject.
    if let Some(held) = find(tx, &sight.subject).await? {
        return Ok(Ok(held.into()));
    }
    match fate(tx, sight).await? {
        Fate::Own => {}
        Fate::Ended => return Ok(Ok(Binding::Retired.into())),
        Fate::Anothers => return Ok(Err(BindError::Taken)),
        Fate::New => return Err(Fault::Lost),
    }
    insert_subject(tx, sight, &sight.identity).await?;
    Ok(Ok(Binding::Active(sight.identity.clone()).into()))
}

/// What the registry says of the identity that somebody shall get whom it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was never given.
    New,
    /// It is this subject's own, and nobody has it.
    Own,
    /// It is this subject's own, and was ended.
    Ended,
    /// It is another's, was, or waits for somebody.
    Anothers,
}

/// Looks it up.
pub(super) async fn fate<T: Tx>(tx: &mut T, sight: &FirstSight) -> Result<Fate, Fault> {
    let name = [sight.identity.as_str().into()];
    let rows = tx.rows("SELECT state FROM identities WHERE identity = $1", &name).await?;
    let Some(row) = rows.first() else { return Ok(Fate::New) };
    match (row.text(0)?, is_own(tx, sight).await?) {
        ("active", true) => {}
        ("retired", true) => return Ok(Fate::Ended),
        // Whoever had it, whose name may be gone: this subject's own name was ended.
        ("retired", false) if is_derived(sight) => return Ok(Fate::Ended),
        (_, _) => return Ok(Fate::Anothers),
    }
    let sql = "SELECT subject FROM subjects WHERE identity = $1 LIMIT 1";
    Ok(if tx.rows(sql, &name).await?.is_empty() { Fate::Own } else { Fate::Anothers })
}

/// An identity that was unlinked goes back to whom it was unlinked from. A derived one is its subject's also where it
/// was never given to anybody.
async fn is_own<T: Tx>(tx: &mut T, sight: &FirstSight) -> Result<bool, Fault> {
    let sql = "SELECT edition FROM history WHERE namespace = $1 AND subject = $2 \
               AND identity = $3 AND what = 'unlink' LIMIT 1";
    let ([namespace, subject], name) = (names(&sight.subject), sight.identity.as_str().into());
    if !tx.rows(sql, &[namespace, subject, name]).await?.is_empty() {
        return Ok(true);
    }
    let sql = "SELECT edition FROM history WHERE identity = $1 AND what = 'unlink' LIMIT 1";
    Ok(is_derived(sight) && tx.rows(sql, &[name]).await?.is_empty())
}

/// Whether the identity that a sight proposes can be made of its subject alone.
pub(super) fn is_derived(sight: &FirstSight) -> bool {
    matches!(sight.origin, Origin::Derived(_))
}

/// Writes down whose the identity is.
pub(super) async fn insert_subject<T: Tx>(
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
