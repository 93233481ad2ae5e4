//! What happened to identities.
use super::{
    binding,
    gate::{moment, seconds},
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::{
        identity::{ChatIdentity, ErasureKey},
        subject::Subject,
    },
    ports::registry::{self, Author},
};

/// Stands for the namespace of an erased subject; no namespace that is an issuer's.
const ERASED: &str = "erased";

/// One thing that happens to an identity.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) identity: &'a ChatIdentity,
    pub(super) what: &'a str,
    /// Whom it was about, of those an identity may have several of: namespace and subject id.
    pub(super) subject: Option<(&'a str, &'a str)>,
}

/// Writes it down under the edition it made.
pub(super) async fn record<T: Tx>(
    tx: &mut T,
    edition: i64,
    event: &Event<'_>,
    author: &Author,
) -> Result<(), Fault> {
    let sql = "INSERT INTO history (identity, edition, at, who, what, why, namespace, subject) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (identity, edition, what, namespace, subject) DO NOTHING";
    let (namespace, subject) = event.subject.unwrap_or_default();
    let values = [
        event.identity.as_str().into(),
        edition.into(),
        seconds(author.at).into(),
        (&*author.who).into(),
        event.what.into(),
        (&*author.why).into(),
        namespace.into(),
        subject.into(),
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
        let what = match (row.text(4)?, row.text(5)?) {
            (_, "") => row.text(2)?.to_owned(),
            (namespace, subject) => format!("{} {namespace} {subject}", row.text(2)?),
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
    key: &ErasureKey,
) -> Result<(), Fault> {
    let sql = "SELECT edition, what, why, namespace, subject FROM history WHERE identity = $1";
    for row in tx.rows(sql, &[identity.as_str().into()]).await? {
        let why = match row.text(2)? {
            "" => String::new(),
            why => key.digest(&["reason", why]),
        };
        let (namespace, subject) = (row.text(3)?, row.text(4)?);
        let (place, about) = match (namespace, subject) {
            (ERASED, _) | (_, "") => (namespace, subject.to_owned()),
            (_, _) => (ERASED, key.digest(&[namespace, subject])),
        };
        let sql = "UPDATE history SET why = $1, namespace = $2, subject = $3 WHERE identity = $4 \
                   AND edition = $5 AND what = $6 AND namespace = $7 AND subject = $8";
        let values = [
            why.as_str().into(),
            place.into(),
            about.as_str().into(),
            identity.as_str().into(),
            row.int(0)?.into(),
            row.text(1)?.into(),
            namespace.into(),
            subject.into(),
        ];
        tx.run(sql, &values).await?;
    }
    Ok(())
}

/// The same where a subject is named in what happened to others.
pub(super) async fn erase_subject<T: Tx>(
    tx: &mut T,
    (namespace, subject): (&str, &str),
    digest: &str,
) -> Result<(), Fault> {
    let sql = "UPDATE history SET namespace = $1, subject = $2, why = '' \
               WHERE namespace = $3 AND subject = $4";
    tx.run(sql, &[ERASED.into(), digest.into(), namespace.into(), subject.into()]).await?;
    Ok(())
}
