//! What happened to identities.
use super::{
    binding,
    gate::{moment, seconds},
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey},
        subject::Subject,
    },
    ports::registry::{self, Author},
};

/// One thing that happens to an identity.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) identity: &'a ChatIdentity,
    pub(super) what: &'a str,
    /// Whom it was about, of those an identity may have several of.
    pub(super) subject: Option<&'a Subject>,
}

/// Writes it down under the edition it made.
pub(super) async fn record<T: Tx>(
    tx: &mut T,
    edition: i64,
    event: &Event<'_>,
    author: &Author,
) -> Result<(), Fault> {
    let sql = "INSERT INTO history (identity, edition, at, who, what, why, namespace, subject) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (identity, edition) DO NOTHING";
    let values = [
        event.identity.as_str().into(),
        edition.into(),
        seconds(author.at).into(),
        (&*author.who).into(),
        event.what.into(),
        (&*author.why).into(),
        event.subject.map(|subject| subject.namespace().as_str()).into(),
        event.subject.map(|subject| subject.id().as_str()).into(),
    ];
    tx.run(sql, &values).await?;
    Ok(())
}

/// What happened to an identity, oldest first.
pub(super) async fn of<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
) -> Result<Vec<registry::Event>, Fault> {
    let mut events = Vec::new();
    let name = identity.as_str();
    let sql = "SELECT imports.at, imports.who, imports.why FROM identities \
               JOIN imports ON imports.id = identities.import WHERE identities.identity = $1";
    for row in tx.rows(sql, &[name.into()]).await? {
        events.push(import(&row)?);
    }
    let sql = "SELECT at, who, what, why, namespace, subject FROM history \
               WHERE identity = $1 ORDER BY edition";
    for row in tx.rows(sql, &[name.into()]).await? {
        let what = match (row.maybe_text(4)?, row.maybe_text(5)?) {
            (Some(namespace), Some(subject)) => format!("{} {namespace} {subject}", row.text(2)?),
            (_, _) => row.text(2)?.to_owned(),
        };
        events.push(registry::Event {
            at: moment(row.int(0)?),
            who: row.text(1)?.into(),
            what: what.into(),
            why: row.text(3)?.into(),
        });
    }
    // An identity may have been in the registry before a later import met it.
    events.sort_by_key(|event| event.at);
    Ok(events)
}

/// That an import brought it, of `at, who, why`.
pub(super) fn import(row: &Row) -> Result<registry::Event, Fault> {
    Ok(registry::Event {
        at: moment(row.int(0)?),
        who: row.text(1)?.into(),
        what: "import".into(),
        why: row.text(2)?.into(),
    })
}

/// The identity a subject was unlinked from last.
pub(super) async fn unlinked_from<T: Tx>(
    tx: &mut T,
    subject: &Subject,
) -> Result<Option<ChatIdentity>, Fault> {
    let sql = "SELECT identity FROM history WHERE namespace = $1 AND subject = $2 \
               AND what = 'unlink' ORDER BY edition DESC LIMIT 1";
    let rows = tx.rows(sql, &binding::names(subject)).await?;
    rows.first().map(|row| binding::identity(row, 0)).transpose()
}

/// Puts keyed digests in place of names and reasons in all that happened to an identity.
pub(super) async fn erase<T: Tx>(
    tx: &mut T,
    identity: &ChatIdentity,
    key: &IdentityKey,
) -> Result<(), Fault> {
    let sql = "SELECT edition, why, namespace, subject FROM history WHERE identity = $1";
    for row in tx.rows(sql, &[identity.as_str().into()]).await? {
        let why = match row.text(1)? {
            "" => String::new(),
            why => key.erased(&["reason", why]),
        };
        let about = match (row.maybe_text(2)?, row.maybe_text(3)?) {
            (Some(namespace), Some(subject)) => Some(key.erased(&[namespace, subject])),
            (_, _) => None,
        };
        let sql = "UPDATE history SET why = $1, namespace = $2, subject = $3 \
                   WHERE identity = $4 AND edition = $5";
        let values = [
            why.as_str().into(),
            about.as_ref().map(|_| "erased").into(),
            about.as_deref().into(),
            identity.as_str().into(),
            row.int(0)?.into(),
        ];
        tx.run(sql, &values).await?;
    }
    Ok(())
}

/// The same where a subject is named in what happened to others.
pub(super) async fn erase_subject<T: Tx>(
    tx: &mut T,
    namespace: &str,
    subject: &str,
    key: &IdentityKey,
) -> Result<(), Fault> {
    let sql = "UPDATE history SET namespace = 'erased', subject = $1, why = '' \
               WHERE namespace = $2 AND subject = $3";
    let digest = key.erased(&[namespace, subject]);
    tx.run(sql, &[digest.as_str().into(), namespace.into(), subject.into()]).await?;
    Ok(())
}
