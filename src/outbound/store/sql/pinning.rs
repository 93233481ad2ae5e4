//! What identities are made with (contract 4: "Another key or format is refused").
use super::{
    Job, gate,
    tx::{Fault, Tx},
};
use crate::{
    domain::{identity::KeyFingerprint, subject::Namespace},
    ports::store::{Pin, PinError},
};

/// What a namespace whose format was never written down has: the first version made no others.
const FIRST_FORMAT: &str = "opaque";

/// Whether everything is pinned as wanted already.
#[derive(Debug)]
pub(super) struct IsPinned(pub(super) Pin);

impl Job for IsPinned {
    type Answer = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<bool, Fault> {
        if gate::look(tx, "").await?.fingerprint != Some(self.0.fingerprint) {
            return Ok(false);
        }
        for (namespace, line) in &self.0.formats {
            if held(tx, namespace).await?.as_deref() != Some(line) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Pins what is wanted.
#[derive(Debug)]
pub(super) struct PinDown(pub(super) Pin);

impl Job for PinDown {
    type Answer = Result<(), PinError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let gate = gate::hold(tx).await?;
        if let Some(first) = gate.fingerprint
            && first != self.0.fingerprint
            && has_derived(tx).await?
        {
            return Ok(Err(PinError::OtherKey(first)));
        }
        for (namespace, line) in &self.0.formats {
            if let Some(held) = other_format(tx, namespace, line).await? {
                let namespace = namespace.as_str().into();
                return Ok(Err(PinError::OtherFormat { namespace, held }));
            }
        }
        keep(tx, &self.0).await?;
        Ok(Ok(()))
    }
}

/// Writes the pin, whatever was there.
pub(super) async fn keep<T: Tx>(tx: &mut T, pin: &Pin) -> Result<(), Fault> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) \
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    let fingerprint = pin.fingerprint.to_string();
    tx.run(sql, &["fingerprint".into(), fingerprint.as_str().into()]).await?;
    for (namespace, line) in &pin.formats {
        let key = key_of(namespace);
        tx.run(sql, &[key.as_str().into(), (&**line).into()]).await?;
    }
    Ok(())
}

/// Pins the key unless there is one, and returns the one there is.
pub(super) async fn keep_first<T: Tx>(
    tx: &mut T,
    mine: KeyFingerprint,
) -> Result<KeyFingerprint, Fault> {
    let sql = "INSERT INTO meta (key, value) VALUES ('fingerprint', $1) \
               ON CONFLICT (key) DO NOTHING";
    tx.run(sql, &[mine.to_string().as_str().into()]).await?;
    gate::look(tx, "").await?.fingerprint.ok_or(Fault::Lost)
}

/// The format that stands against `line`, if identities rest on it.
async fn other_format<T: Tx>(
    tx: &mut T,
    namespace: &Namespace,
    line: &str,
) -> Result<Option<Box<str>>, Fault> {
    let held = held(tx, namespace).await?;
    let held = held.as_deref().unwrap_or(FIRST_FORMAT);
    if held == line {
        return Ok(None);
    }
    let sql = "SELECT subjects.subject FROM subjects \
               JOIN identities ON identities.identity = subjects.identity \
               WHERE subjects.namespace = $1 AND identities.origin IN ('derived', 'named') LIMIT 1";
    let rests = !tx.rows(sql, &[namespace.as_str().into()]).await?.is_empty();
    Ok(rests.then(|| held.into()))
}

async fn held<T: Tx>(tx: &mut T, namespace: &Namespace) -> Result<Option<Box<str>>, Fault> {
    let key = key_of(namespace);
    let rows = tx.rows("SELECT value FROM meta WHERE key = $1", &[key.as_str().into()]).await?;
    rows.first().map(|row| row.text(0).map(Box::from)).transpose()
}

async fn has_derived<T: Tx>(tx: &mut T) -> Result<bool, Fault> {
    let sql = "SELECT identity FROM identities WHERE origin = 'derived' LIMIT 1";
    Ok(!tx.rows(sql, &[]).await?.is_empty())
}

fn key_of(namespace: &Namespace) -> String {
    format!("format:{}", namespace.as_str())
}
