//! What changed lately, for those who remember bindings.
use super::{
    gate::{number, seconds},
    tx::{Fault, Tx},
};
use crate::{
    domain::{subject::Subject, time::Timestamp},
    ports::registry::{Changes, Edition},
    token::digest,
};

/// How long the feed of changes goes back, in seconds: many times what a replica takes to ask again.
const FEED: u64 = 600;

/// The most changes that are told one by one.
const TOLD: usize = 10_000;

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
