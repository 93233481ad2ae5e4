//! The row that orders changes: who changes the registry holds `meta.edition` until the end, first sights share it.
//!
//! So no first sight is under way while an operator's change is, on any database, and editions become visible in order.
use super::tx::{Fault, Tx};
use crate::{
    domain::{identity::KeyFingerprint, subject::Subject, time::Timestamp},
    ports::registry::{Changes, Edition, ImportId},
    token::digest,
};

/// How long the feed of changes goes back, in seconds: many times what a replica takes to ask again.
const FEED: u64 = 600;

/// The most changes that are told one by one.
const TOLD: usize = 10_000;

/// What the registry says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) fingerprint: Option<KeyFingerprint>,
    pub(super) import: Option<(Stage, ImportId)>,
}

/// How far the import that is under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Staging,
    Checking,
    Overtaken,
    Applied,
    GivenUp,
}

impl Stage {
    const ALL: [Self; 5] =
        [Self::Staging, Self::Checking, Self::Overtaken, Self::Applied, Self::GivenUp];

    fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Checking => "checking",
            Self::Overtaken => "overtaken",
            Self::Applied => "applied",
            Self::GivenUp => "given-up",
        }
    }
}

/// Looks, and keeps operators out until the end of the transaction.
pub(super) async fn share<T: Tx>(tx: &mut T) -> Result<Gate, Fault> {
    look(tx, T::SHARE).await
}

/// Looks, and keeps everybody who writes out until the end of the transaction.
pub(super) async fn hold<T: Tx>(tx: &mut T) -> Result<Gate, Fault> {
    tx.run("UPDATE meta SET value = value WHERE key = 'edition'", &[]).await?;
    look(tx, "").await
}

/// Looks.
pub(super) async fn look<T: Tx>(tx: &mut T, lock: &str) -> Result<Gate, Fault> {
    let sql = format!(
        "SELECT key, value FROM meta WHERE key IN ('edition', 'fingerprint', 'import'){lock}"
    );
    let mut gate = Gate { fingerprint: None, import: None };
    for row in tx.rows(&sql, &[]).await? {
        match row.text(0)? {
            "fingerprint" => {
                gate.fingerprint = Some(row.text(1)?.parse().map_err(|_| Fault::Damaged)?);
            }
            "import" => gate.import = import(row.text(1)?)?,
            _ => {}
        }
    }
    Ok(gate)
}

fn import(text: &str) -> Result<Option<(Stage, ImportId)>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let (stage, id) = text.split_once(' ').ok_or(Fault::Damaged)?;
    let stage = Stage::ALL.into_iter().find(|known| known.as_str() == stage);
    let id = id.parse().map(ImportId).map_err(|_| Fault::Damaged)?;
    Ok(Some((stage.ok_or(Fault::Damaged)?, id)))
}

/// Says how far the import has come; `None`: there is none.
pub(super) async fn set_import<T: Tx>(
    tx: &mut T,
    import: Option<(Stage, ImportId)>,
) -> Result<(), Fault> {
    let text = import.map(|(stage, id)| format!("{} {}", stage.as_str(), id.0)).unwrap_or_default();
    tx.run("UPDATE meta SET value = $1 WHERE key = 'import'", &[text.as_str().into()]).await?;
    Ok(())
}

/// Makes an import that is being compared compare again: an operator changed what it was compared with.
pub(super) async fn overtake<T: Tx>(tx: &mut T, gate: Gate) -> Result<(), Fault> {
    match gate.import {
        Some((Stage::Checking, import)) => set_import(tx, Some((Stage::Overtaken, import))).await,
        Some(_) | None => Ok(()),
    }
}

/// Counts the edition up, for whoever holds the gate.
pub(super) async fn bump<T: Tx>(tx: &mut T) -> Result<i64, Fault> {
    let sql = "UPDATE meta SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) \
               WHERE key = 'edition' RETURNING value";
    let rows = tx.rows(sql, &[]).await?;
    number(rows.first().ok_or(Fault::Damaged)?.text(0)?)
}

/// The edition as it stands.
pub(super) async fn edition<T: Tx>(tx: &mut T) -> Result<i64, Fault> {
    let rows = tx.rows("SELECT value FROM meta WHERE key = 'edition'", &[]).await?;
    number(rows.first().ok_or(Fault::Damaged)?.text(0)?)
}

/// Tells every replica that a subject's binding changed.
pub(super) async fn tell<T: Tx>(
    tx: &mut T,
    edition: i64,
    subject: &Subject,
    at: Timestamp,
) -> Result<(), Fault> {
    let digest = digest_of(subject.namespace().as_str(), subject.id().as_str());
    tell_text(tx, edition, &hex(&digest), at).await
}

/// Tells every replica that anybody's binding may have changed.
pub(super) async fn tell_all<T: Tx>(tx: &mut T, edition: i64, at: Timestamp) -> Result<(), Fault> {
    tell_text(tx, edition, "*", at).await
}

async fn tell_text<T: Tx>(
    tx: &mut T,
    edition: i64,
    digest: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    let sql = "INSERT INTO changes (edition, digest, at) VALUES ($1, $2, $3) \
               ON CONFLICT (edition, digest) DO NOTHING";
    tx.run(sql, &[edition.into(), digest.into(), seconds(at).into()]).await?;
    Ok(())
}

/// Whether there are changes that nobody needs any more.
pub(super) async fn has_old<T: Tx>(tx: &mut T, at: Timestamp) -> Result<bool, Fault> {
    let before = seconds(Timestamp(at.0.saturating_sub(FEED)));
    let sql = "SELECT edition FROM changes WHERE at < $1 LIMIT 1";
    Ok(!tx.rows(sql, &[before.into()]).await?.is_empty())
}

/// Throws them away.
pub(super) async fn prune<T: Tx>(tx: &mut T, at: Timestamp) -> Result<(), Fault> {
    let before = seconds(Timestamp(at.0.saturating_sub(FEED)));
    let sql = "SELECT edition FROM changes WHERE at < $1 ORDER BY edition DESC LIMIT 1";
    let Some(last) = tx.rows(sql, &[before.into()]).await?.first().map(|row| row.int(0)) else {
        return Ok(());
    };
    let last = last?;
    tx.run("DELETE FROM changes WHERE edition <= $1", &[last.into()]).await?;
    let text = last.to_string();
    tx.run("UPDATE meta SET value = $1 WHERE key = 'pruned'", &[text.as_str().into()]).await?;
    Ok(())
}

/// What changed since an edition.
pub(super) async fn changes<T: Tx>(tx: &mut T, since: Edition) -> Result<Changes, Fault> {
    let sql = "SELECT key, value FROM meta WHERE key IN ('edition', 'pruned')";
    let (mut edition, mut pruned) = (0, 0);
    for row in tx.rows(sql, &[]).await? {
        let value = number(row.text(1)?)?.unsigned_abs();
        if row.text(0)? == "edition" { edition = value } else { pruned = value }
    }
    let edition = Edition(edition);
    if edition == since {
        return Ok(Changes { edition, subjects: Some(Vec::new()) });
    }
    // A store that was put back to an earlier state counts as changed whole.
    if edition < since || since.0 < pruned {
        return Ok(Changes { edition, subjects: None });
    }
    let sql = "SELECT digest FROM changes WHERE edition > $1 LIMIT $2";
    let since = i64::try_from(since.0).unwrap_or(i64::MAX);
    let most = i64::try_from(TOLD + 1).unwrap_or(i64::MAX);
    let rows = tx.rows(sql, &[since.into(), most.into()]).await?;
    if rows.len() > TOLD {
        return Ok(Changes { edition, subjects: None });
    }
    let digests: Result<Option<Vec<_>>, Fault> =
        rows.iter().map(|row| Ok(unhex(row.text(0)?))).collect();
    Ok(Changes { edition, subjects: digests? })
}

/// The key under which a subject's binding is remembered.
pub(in crate::outbound::store) fn digest_of(namespace: &str, id: &str) -> [u8; 32] {
    digest::of(&[namespace.as_bytes(), id.as_bytes()])
}

/// Whole seconds as the database has them.
pub(super) fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A moment that the database has.
pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or_default())
}

fn number(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|_| Fault::Damaged)
}

fn hex(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}
