//! What identities are made with (contract 4: "Another key or format is refused").
use super::{
    Job,
    gate::{self, Gate, OrElse, format_key},
    tx::{Fault, Tx},
};
use crate::{
    domain::{identity::KeyFingerprint, subject::Namespace},
    ports::store::{FirstSight, Origin, Pin, PinError, StoreError},
};

/// What a namespace whose format was never written down has, of however many claims: the first version made no others.
const FIRST_FORMAT: &str = "opaque";

/// Whether everything is pinned as wanted already; in which store.
#[derive(Debug)]
pub(super) struct IsPinned(pub(super) Pin);

impl Job for IsPinned {
    type Answer = Option<Box<str>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Option<Box<str>>, Fault> {
        let gate = gate::look(tx, None).await?;
        if gate.fingerprint != Some(self.0.fingerprint) {
            return Ok(None);
        }
        for (namespace, line) in &self.0.formats {
            if held(tx, namespace).await?.as_deref() != Some(line) {
                return Ok(None);
            }
        }
        Ok(Some(gate.store))
    }
}

/// Pins what is wanted, and says in which store.
#[derive(Debug)]
pub(super) struct PinDown {
    pub(super) pin: Pin,
    /// The store that was pinned in before, by this process.
    pub(super) store: Option<Box<str>>,
}

impl Job for PinDown {
    type Answer = Result<Box<str>, PinError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let gate = gate::hold(tx).await?;
        is_the_same(&gate, self.store.as_deref())?;
        if let Some(first) = gate.fingerprint
            && first != self.pin.fingerprint
            && has_derived(tx).await?
        {
            return Ok(Err(PinError::OtherKey(first)));
        }
        for (namespace, line) in &self.pin.formats {
            if let Some(held) = other_format(tx, namespace, line).await? {
                let namespace = namespace.as_str().into();
                return Ok(Err(PinError::OtherFormat { namespace, held }));
            }
        }
        keep(tx, &self.pin).await?;
        Ok(Ok(gate.store))
    }
}

/// Why nothing more is done.
pub(super) const ANOTHER: &str = "another store is in the place of the one this process began with";

/// Another store in the place of the one that was there at the start knows nobody, and would make everybody new.
pub(super) fn is_the_same(gate: &Gate, store: Option<&str>) -> Result<(), Fault> {
    if store.is_some_and(|known| known != &*gate.store) {
        return Err(Fault::said(ANOTHER));
    }
    Ok(())
}

/// Looks whether it is.
#[derive(Debug)]
pub(super) struct IsTheSame(pub(super) Box<str>);

impl Job for IsTheSame {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        is_the_same(&gate::look(tx, None).await?, Some(&self.0))
    }
}

/// Writes the pin, whatever was there.
pub(super) async fn keep<T: Tx>(tx: &mut T, pin: &Pin) -> Result<(), Fault> {
    let fingerprint = pin.fingerprint.to_string();
    gate::put(tx, "fingerprint", &fingerprint, OrElse::Replace).await?;
    for (namespace, line) in &pin.formats {
        gate::put(tx, &format_key(namespace), line, OrElse::Replace).await?;
    }
    Ok(())
}

/// Pins the key unless there is one, and returns the one there is.
pub(super) async fn keep_first<T: Tx>(
    tx: &mut T,
    mine: KeyFingerprint,
) -> Result<KeyFingerprint, Fault> {
    gate::put(tx, "fingerprint", &mine.to_string(), OrElse::Leave).await?;
    gate::look(tx, None).await?.fingerprint.ok_or(Fault::Lost)
}

/// Whether the store's key and format are those that a sight's identity was made with.
pub(super) fn agrees(gate: &Gate, sight: &FirstSight) -> Result<(), StoreError> {
    if gate.format.as_ref().is_some_and(|format| *format != sight.format) {
        return Err(StoreError::Reformatted);
    }
    match (sight.origin, gate.fingerprint) {
        (Origin::Derived(mine), Some(pinned)) if mine != pinned => Err(StoreError::Rekeyed(pinned)),
        (Origin::Derived(_) | Origin::Named, _) => Ok(()),
    }
}

/// The format that stands against `line`, if identities rest on it.
async fn other_format<T: Tx>(
    tx: &mut T,
    namespace: &Namespace,
    line: &str,
) -> Result<Option<Box<str>>, Fault> {
    let held = held(tx, namespace).await?;
    let is_as_before = held.is_none() && line.split(' ').next() == Some(FIRST_FORMAT);
    let held = held.as_deref().unwrap_or(FIRST_FORMAT);
    if held == line || is_as_before {
        return Ok(None);
    }
    let sql = "SELECT subjects.subject FROM subjects \
               JOIN identities ON identities.identity = subjects.identity \
               WHERE subjects.namespace = $1 AND identities.origin IN ('derived', 'named') LIMIT 1";
    let rests = !tx.rows(sql, &[namespace.as_str().into()]).await?.is_empty();
    Ok(rests.then(|| held.into()))
}

async fn held<T: Tx>(tx: &mut T, namespace: &Namespace) -> Result<Option<Box<str>>, Fault> {
    let key = format_key(namespace);
    let rows = tx.rows("SELECT value FROM meta WHERE key = $1", &[key.as_str().into()]).await?;
    rows.first().map(|row| row.text(0).map(Box::from)).transpose()
}

async fn has_derived<T: Tx>(tx: &mut T) -> Result<bool, Fault> {
    let sql = "SELECT identity FROM identities WHERE origin = 'derived' LIMIT 1";
    Ok(!tx.rows(sql, &[]).await?.is_empty())
}
