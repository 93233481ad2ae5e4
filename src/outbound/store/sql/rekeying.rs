//! Another identity key, or other formats (contract 4, `rekey`).
use super::{
    Job,
    binding::{identity, names, parts},
    changing::subject,
    feed,
    gate::{self, Gate, OrElse},
    history::{self, Event},
    imported::limit_of,
    pinning,
    tx::{Fault, Row, Tx},
};
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey},
        subject::Subject,
    },
    ports::{
        registry::{Author, ChangeError, Conflict, Rekey, Rekeyed},
        store::Pin,
    },
};
use std::sync::Arc;

/// Subjects that are looked at together.
const PAGE: usize = 500;

/// Rekeys, all in the one transaction.
#[derive(Debug)]
pub(super) struct RekeyAll {
    pub(super) rekey: Rekey,
    pub(super) author: Author,
}

impl Job for RekeyAll {
    type Answer = Result<Rekeyed, ChangeError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let rekey = &self.rekey;
        let gate = gate::hold(tx).await?;
        gate::overtake(tx, &gate).await?;
        let pinned = gate.fingerprint;
        let wanted = rekey.new.as_ref().map_or(rekey.old.fingerprint(), IdentityKey::fingerprint);
        if let Some(pinned) = pinned
            && pinned != rekey.old.fingerprint()
            && pinned != wanted
        {
            return Ok(Err(Conflict::OtherKey(pinned).into()));
        }
        let mut done = Rekeyed::default();
        if let Some(new) = &rekey.new
            && pinned != Some(wanted)
            && !rekey.keep
        {
            done = self.move_all(tx, new).await?;
        }
        let sql = "SELECT count(*) FROM subjects";
        let all = tx.rows(sql, &[]).await?.first().ok_or(Fault::Damaged)?.int(0)?;
        done.kept = all.unsigned_abs().saturating_sub(done.changed);
        if !rekey.dry_run {
            if let Some(new) = &rekey.new
                && pinned != Some(wanted)
            {
                self.pass_on(tx, &gate, new).await?;
            }
            pinning::keep(tx, &Pin { fingerprint: wanted, formats: rekey.formats.clone() }).await?;
        }
        Ok(Ok(done))
    }
}

impl RekeyAll {
    /// Whoever was erased or ended under the old key stays so under the new one, though their names are gone or they
    /// have lost their identity since.
    async fn pass_on<T: Tx>(
        &self,
        tx: &mut T,
        gate: &Gate,
        new: &IdentityKey,
    ) -> Result<(), Fault> {
        let erasure = gate.erasure(&self.rekey.old)?.ok_or(Fault::Damaged)?;
        let sealed = new.seal(&erasure).map_err(|error| Fault::Unavailable(Arc::new(error)))?;
        gate::put(tx, "erasure", &sealed, OrElse::Replace).await?;
        let mut after = None;
        loop {
            let page = ended(tx, after.as_ref()).await?;
            for (subject, identity) in &page {
                if self.rekey.old.derive(subject) == *identity {
                    self.reserve(tx, subject, new).await?;
                }
            }
            match page.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    async fn reserve<T: Tx>(
        &self,
        tx: &mut T,
        subject: &Subject,
        new: &IdentityKey,
    ) -> Result<(), Fault> {
        let identity = &new.derive(subject);
        let sql = "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
                   VALUES ($1, 'retired', $2, 'derived', $3) ON CONFLICT (identity) DO NOTHING";
        let (at, fingerprint) = (gate::seconds(self.author.at), new.fingerprint().to_string());
        let values = [identity.as_str().into(), at.into(), fingerprint.as_str().into()];
        if tx.run(sql, &values).await? == 0 {
            return Ok(());
        }
        let edition = gate::edition(tx).await?;
        // Named, so that a later key knows of it too.
        let event = Event { identity, what: "rekey", subject: Some(parts(subject)) };
        history::record(tx, edition, &event, &self.author).await
    }

    async fn move_all<T: Tx>(&self, tx: &mut T, new: &IdentityKey) -> Result<Rekeyed, Fault> {
        let edition = if self.rekey.dry_run { 0 } else { gate::bump(tx).await? };
        let (mut done, mut after) = (Rekeyed::default(), None::<Subject>);
        loop {
            let page = derived(tx, &self.rekey.old, after.as_ref()).await?;
            for (subject, old) in &page {
                let target = new.derive(subject);
                if !self.is_movable(tx, subject, old, &target).await? {
                    continue;
                }
                done.changed += 1;
                if !self.rekey.dry_run {
                    self.move_one(tx, edition, (subject, old), (&target, new)).await?;
                }
            }
            match page.into_iter().next_back() {
                Some((last, _)) => after = Some(last),
                None => break,
            }
        }
        if !self.rekey.dry_run {
            feed::tell_all(tx, edition, self.author.at).await?;
        }
        Ok(done)
    }

    /// A linked identity stays, since its other subjects need it; so does one whose new name was ended.
    async fn is_movable<T: Tx>(
        &self,
        tx: &mut T,
        subject: &Subject,
        old: &ChatIdentity,
        target: &ChatIdentity,
    ) -> Result<bool, Fault> {
        if self.rekey.old.derive(subject) != *old {
            return Ok(false);
        }
        let sql = "SELECT subject FROM subjects WHERE identity = $1 LIMIT 2";
        if tx.rows(sql, &[old.as_str().into()]).await?.len() > 1 {
            return Ok(false);
        }
        let sql = "SELECT state FROM identities WHERE identity = $1";
        match tx.rows(sql, &[target.as_str().into()]).await?.first() {
            None => Ok(true),
            // Ended by an earlier rekey: it was this subject's own, and is again.
            Some(_) => was_rekeyed(tx, target).await,
        }
    }

    async fn move_one<T: Tx>(
        &self,
        tx: &mut T,
        edition: i64,
        (subject, old): (&Subject, &ChatIdentity),
        (target, new): (&ChatIdentity, &IdentityKey),
    ) -> Result<(), Fault> {
        let sql = "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
                   VALUES ($1, 'active', $2, 'derived', $3) \
                   ON CONFLICT (identity) DO UPDATE SET state = 'active'";
        let (at, fingerprint) = (gate::seconds(self.author.at), new.fingerprint().to_string());
        let values = [target.as_str().into(), at.into(), fingerprint.as_str().into()];
        tx.run(sql, &values).await?;
        let sql = "UPDATE subjects SET identity = $1 WHERE namespace = $2 AND subject = $3";
        let [namespace, id] = names(subject);
        tx.run(sql, &[target.as_str().into(), namespace, id]).await?;
        let sql = "UPDATE identities SET state = 'retired' WHERE identity = $1";
        tx.run(sql, &[old.as_str().into()]).await?;
        for identity in [old, target] {
            let event = Event { identity, what: "rekey", subject: None };
            history::record(tx, edition, &event, &self.author).await?;
        }
        Ok(())
    }
}

/// Subjects that have no identity and lost this one, which is retired, behind `after`.
async fn ended<T: Tx>(
    tx: &mut T,
    after: Option<&(Subject, ChatIdentity)>,
) -> Result<Vec<(Subject, ChatIdentity)>, Fault> {
    let sql = "SELECT DISTINCT h.namespace, h.subject, h.identity FROM history h \
               JOIN identities i ON i.identity = h.identity \
               WHERE h.subject <> '' AND (h.namespace, h.subject, h.identity) > ($1, $2, $3) \
               AND h.what IN ('unlink', 'rekey') AND h.namespace <> 'erased' \
               AND i.state = 'retired' AND i.origin = 'derived' AND NOT EXISTS \
               (SELECT 1 FROM subjects s WHERE s.namespace = h.namespace AND s.subject = h.subject) \
               ORDER BY h.namespace, h.subject, h.identity LIMIT $4";
    let (namespace, id) = after.map_or(("", ""), |(subject, _)| parts(subject));
    let last = after.map_or("", |(_, identity)| identity.as_str());
    let values = [namespace.into(), id.into(), last.into(), limit_of(PAGE)];
    read_pairs(&tx.rows(sql, &values).await?)
}

fn read_pairs(rows: &[Row]) -> Result<Vec<(Subject, ChatIdentity)>, Fault> {
    let read = |row: &Row| Ok((subject(row.text(0)?, row.text(1)?)?, identity(row, 2)?));
    rows.iter().map(read).collect()
}

async fn was_rekeyed<T: Tx>(tx: &mut T, identity: &ChatIdentity) -> Result<bool, Fault> {
    let sql = "SELECT what FROM history WHERE identity = $1 ORDER BY edition DESC LIMIT 1";
    let rows = tx.rows(sql, &[identity.as_str().into()]).await?;
    let last = rows.first().map(|row| row.text(0)).transpose()?;
    let sql = "SELECT subject FROM subjects WHERE identity = $1 LIMIT 1";
    let is_free = tx.rows(sql, &[identity.as_str().into()]).await?.is_empty();
    Ok(last == Some("rekey") && is_free)
}

/// Subjects in use whose identity was derived with `key`, behind `after`.
async fn derived<T: Tx>(
    tx: &mut T,
    key: &IdentityKey,
    after: Option<&Subject>,
) -> Result<Vec<(Subject, ChatIdentity)>, Fault> {
    let sql = "SELECT subjects.namespace, subjects.subject, subjects.identity FROM subjects \
               JOIN identities ON identities.identity = subjects.identity \
               WHERE (subjects.namespace, subjects.subject) > ($1, $2) \
               AND identities.origin = 'derived' AND identities.state = 'active' \
               AND identities.fingerprint = $3 \
               ORDER BY subjects.namespace, subjects.subject LIMIT $4";
    let (namespace, id) = after.map_or(("", ""), parts);
    let fingerprint = key.fingerprint().to_string();
    let values = [namespace.into(), id.into(), fingerprint.as_str().into(), limit_of(PAGE)];
    read_pairs(&tx.rows(sql, &values).await?)
}
