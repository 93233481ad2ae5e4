//! What operators change (contract 4: `link`, `unlink`, `retire`, `erase`). Done twice, the second time changes nothing.
use super::{
    Job,
    binding::{self, names, parts},
    feed, gate,
    history::{self, Event},
    pinning,
    tx::{Fault, Tx},
};
use crate::{
    domain::{
        identity::{ChatIdentity, ErasureKey, KeyFingerprint},
        subject::Subject,
    },
    ports::registry::{Author, Change, ChangeError, Changed, Conflict},
};

/// Changes something.
#[derive(Debug)]
pub(super) struct Alter {
    pub(super) change: Change,
    pub(super) author: Author,
}

type Outcome = Result<Changed, ChangeError>;

impl Job for Alter {
    type Answer = Outcome;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Outcome, Fault> {
        let gate = gate::hold(tx).await?;
        gate::overtake(tx, &gate).await?;
        let author = &self.author;
        match &self.change {
            Change::Link { identity, subject } => link(tx, identity, subject, author).await,
            Change::Unlink { subject } => unlink(tx, subject, author).await,
            Change::Retire { identity } => retire(tx, identity, author).await,
            Change::RetireSubject { subject, derived } => {
                if let Some(pinned) = gate.fingerprint
                    && pinned != derived.1
                {
                    return Ok(Err(Conflict::OtherKey(pinned).into()));
                }
                // The tombstone rests on the key.
                pinning::keep_first(tx, derived.1).await?;
                retire_subject(tx, subject, derived, author).await
            }
            Change::Erase { identity, key } => match (gate.erasure(key)?, gate.fingerprint) {
                (Some(erasure), _) => erase(tx, identity, &erasure, author).await,
                (None, pinned) => Ok(Err(Conflict::OtherKey(pinned.ok_or(Fault::Damaged)?).into())),
            },
        }
    }
}

fn done(identity: &ChatIdentity, is_new: bool) -> Changed {
    Changed { identity: identity.clone(), is_new }
}

/// The identity a subject holds, also a retired one.
pub(super) async fn held<T: Tx>(
    tx: &mut T,
    subject: &Subject,
) -> Result<Option<ChatIdentity>, Fault> {
    let sql = "SELECT identity FROM subjects WHERE namespace = $1 AND subject = $2";
    let rows = tx.rows(sql, &names(subject)).await?;
    rows.first().map(|row| binding::identity(row, 0)).transpose()
}

/// The word that says where an identity's life stands.
async fn state<T: Tx>(tx: &mut T, identity: &ChatIdentity) -> Result<Option<Box<str>>, Fault> {
    let sql = "SELECT state FROM identities WHERE identity = $1";
    let rows = tx.rows(sql, &[identity.as_str().into()]).await?;
    rows.first().map(|row| row.text(0).map(Box::from)).transpose()
}

async fn link<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
    subject: &Subject,
    author: &Author,
) -> Result<Outcome, Fault> {
    let Some(state) = state(tx, identity).await? else { return Ok(Err(ChangeError::NotFound)) };
    match held(tx, subject).await? {
        Some(held) if held == *identity => return Ok(Ok(done(identity, false))),
        Some(held) => return Ok(Err(Conflict::HasAnother(held).into())),
        None => {}
    }
    if &*state == "retired" {
        return Ok(Err(Conflict::Retired.into()));
    }
    let edition = gate::bump(tx).await?;
    if &*state == "unclaimed" {
        // Whoever it waited for is known now.
        let sql = "UPDATE unclaimed SET taken = 1 WHERE identity = $1";
        tx.run(sql, &[identity.as_str().into()]).await?;
        let sql = "UPDATE identities SET state = 'active' WHERE identity = $1";
        tx.run(sql, &[identity.as_str().into()]).await?;
    }
    insert_subject(tx, subject, identity, author).await?;
    feed::tell(tx, edition, subject, author.at).await?;
    let event = Event { identity, what: "link", subject: Some(parts(subject)) };
    history::record(tx, edition, &event, author).await?;
    Ok(Ok(done(identity, true)))
}

async fn insert_subject<T: Tx>(
    tx: &mut T,
    subject: &Subject,
    identity: &ChatIdentity,
    author: &Author,
) -> Result<(), Fault> {
    let sql = "INSERT INTO subjects (namespace, subject, identity, linked_at) \
               VALUES ($1, $2, $3, $4) ON CONFLICT (namespace, subject) DO NOTHING";
    let [namespace, id] = names(subject);
    let at = gate::seconds(author.at);
    let inserted = tx.run(sql, &[namespace, id, identity.as_str().into(), at.into()]).await?;
    if inserted == 0 { Err(Fault::Lost) } else { Ok(()) }
}

async fn unlink<T: Tx>(tx: &mut T, subject: &Subject, author: &Author) -> Result<Outcome, Fault> {
    let Some(identity) = held(tx, subject).await? else {
        return match history::unlinked_from(tx, subject).await? {
            Some(identity) => Ok(Ok(done(&identity, false))),
            None => Ok(Err(ChangeError::NotFound)),
        };
    };
    let edition = gate::bump(tx).await?;
    let sql = "DELETE FROM subjects WHERE namespace = $1 AND subject = $2";
    tx.run(sql, &names(subject)).await?;
    feed::tell(tx, edition, subject, author.at).await?;
    let event = Event { identity: &identity, what: "unlink", subject: Some(parts(subject)) };
    history::record(tx, edition, &event, author).await?;
    Ok(Ok(done(&identity, true)))
}

async fn retire<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
    author: &Author,
) -> Result<Outcome, Fault> {
    match state(tx, identity).await?.as_deref() {
        None => return Ok(Err(ChangeError::NotFound)),
        Some("retired") => return Ok(Ok(done(identity, false))),
        Some(_) => {}
    }
    let edition = gate::bump(tx).await?;
    let sql = "UPDATE identities SET state = 'retired' WHERE identity = $1";
    tx.run(sql, &[identity.as_str().into()]).await?;
    tell_holders(tx, edition, identity, author).await?;
    let event = Event { identity, what: "retire", subject: None };
    history::record(tx, edition, &event, author).await?;
    Ok(Ok(done(identity, true)))
}

async fn tell_holders<T: Tx>(
    tx: &mut T,
    edition: i64,
    identity: &ChatIdentity,
    author: &Author,
) -> Result<(), Fault> {
    for subject in holders(tx, identity).await? {
        feed::tell(tx, edition, &subject, author.at).await?;
    }
    Ok(())
}

async fn holders<T: Tx>(tx: &mut T, identity: &ChatIdentity) -> Result<Vec<Subject>, Fault> {
    let sql = "SELECT namespace, subject FROM subjects WHERE identity = $1";
    let rows = tx.rows(sql, &[identity.as_str().into()]).await?;
    rows.iter().map(|row| subject(row.text(0)?, row.text(1)?)).collect()
}

/// A subject as the database has it.
pub(super) fn subject(namespace: &str, id: &str) -> Result<Subject, Fault> {
    Subject::stored(namespace, id).map_err(|_| Fault::Damaged)
}

async fn retire_subject<T: Tx>(
    tx: &mut T,
    subject: &Subject,
    derived: &(ChatIdentity, KeyFingerprint),
    author: &Author,
) -> Result<Outcome, Fault> {
    if let Some(identity) = held(tx, subject).await? {
        return retire(tx, &identity, author).await;
    }
    let (identity, fingerprint) = derived;
    let name = identity.as_str();
    let sql = "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
               VALUES ($1, 'active', $2, 'derived', $3) ON CONFLICT (identity) DO NOTHING";
    let (at, fingerprint) = (gate::seconds(author.at), fingerprint.to_string());
    let values = [name.into(), at.into(), fingerprint.as_str().into()];
    if tx.run(sql, &values).await? == 0 {
        if !holders(tx, identity).await?.is_empty() {
            return Ok(Err(Conflict::Taken.into()));
        }
        if state(tx, identity).await?.as_deref() == Some("retired") {
            // Erased, or unlinked: asked again it is retired without being named here.
            return Ok(Ok(done(identity, false)));
        }
    }
    insert_subject(tx, subject, identity, author).await?;
    // One that was retired already has its event; this subject's first sight changes nothing for anybody else.
    retire(tx, identity, author).await
}

async fn erase<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
    key: &ErasureKey,
    author: &Author,
) -> Result<Outcome, Fault> {
    let name = identity.as_str();
    if state(tx, identity).await?.is_none() {
        return Ok(Err(ChangeError::NotFound));
    }
    let subjects = holders(tx, identity).await?;
    let sql = "SELECT edition FROM history WHERE identity = $1 AND what = 'erase' LIMIT 1";
    let again = !tx.rows(sql, &[name.into()]).await?.is_empty();
    if again && subjects.is_empty() {
        return Ok(Ok(done(identity, false)));
    }
    let edition = gate::bump(tx).await?;
    history::erase(tx, identity, key).await?;
    for subject in &subjects {
        let (namespace, id) = parts(subject);
        let digest = key.digest(&[namespace, id]);
        keep_erased(tx, &digest, identity).await?;
        history::erase_subject(tx, (namespace, id), &digest).await?;
        feed::tell(tx, edition, subject, author.at).await?;
    }
    forget_waiting(tx, identity, key).await?;
    for sql in [
        "DELETE FROM subjects WHERE identity = $1",
        "DELETE FROM unclaimed WHERE identity = $1",
        "UPDATE identities SET state = 'retired' WHERE identity = $1",
    ] {
        tx.run(sql, &[name.into()]).await?;
    }
    let event = Event { identity, what: "erase", subject: None };
    history::record(tx, edition, &event, author).await?;
    Ok(Ok(done(identity, true)))
}

/// Whoever it waited for gets no other in its place.
async fn forget_waiting<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
    key: &ErasureKey,
) -> Result<(), Fault> {
    let sql = "SELECT namespace, folded FROM unclaimed WHERE identity = $1 AND taken = 0";
    for row in tx.rows(sql, &[identity.as_str().into()]).await? {
        let digest = binding::waiting_digest(key, row.text(0)?, row.text(1)?);
        keep_erased(tx, &digest, identity).await?;
    }
    Ok(())
}

async fn keep_erased<T: Tx>(
    tx: &mut T,
    digest: &str,
    identity: &ChatIdentity,
) -> Result<(), Fault> {
    let sql = "INSERT INTO erased (digest, identity) VALUES ($1, $2) \
               ON CONFLICT (digest) DO NOTHING";
    tx.run(sql, &[digest.into(), identity.as_str().into()]).await?;
    Ok(())
}
