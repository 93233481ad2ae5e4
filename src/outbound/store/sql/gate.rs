//! The row that orders changes: who changes the registry holds `meta.edition` until the end, first sights share it.
//!
//! So no first sight is under way while an operator's change is, on any database, and editions become visible in order.
use super::tx::{Fault, Tx};
use crate::{
    domain::{
        identity::{ErasureKey, IdentityKey, KeyFingerprint},
        subject::Namespace,
        time::Timestamp,
    },
    ports::registry::ImportId,
};

/// What the registry says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub(super) fingerprint: Option<KeyFingerprint>,
    pub(super) import: Option<(Stage, ImportId)>,
    /// Whether what an import was compared with has changed since.
    pub(super) overtaken: bool,
    /// Which store it is.
    pub(super) store: Box<str>,
    /// How the namespace's identities are made that was asked about.
    pub(super) format: Option<Box<str>>,
    /// The key of erased names, where it is older than the identity key.
    sealed: Option<Box<str>>,
}

impl Gate {
    /// What makes the digests of erased names; `None`: whoever asks has another identity key than the store.
    pub(super) fn erasure(&self, key: &IdentityKey) -> Result<Option<ErasureKey>, Fault> {
        if self.fingerprint.is_some_and(|pinned| pinned != key.fingerprint()) {
            return Ok(None);
        }
        let sealed = self.sealed.as_ref().map(|sealed| key.unseal(sealed));
        Ok(Some(sealed.transpose().map_err(|_| Fault::Damaged)?.unwrap_or_else(|| key.erasure())))
    }
}

/// How far the import that is under way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Staging,
    Checking,
    Applied,
    GivenUp,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Staging, Self::Checking, Self::Applied, Self::GivenUp];

    fn as_str(self) -> &'static str {
        match self {
            Self::Staging => "staging",
            Self::Checking => "checking",
            Self::Applied => "applied",
            Self::GivenUp => "given-up",
        }
    }
}

/// Keeps operators out until the end of the transaction, and looks.
pub(super) async fn share<T: Tx>(tx: &mut T) -> Result<Gate, Fault> {
    keep_out_operators(tx).await?;
    look(tx, None).await
}

/// The same for a first sight in a namespace.
pub(super) async fn share_in<T: Tx>(tx: &mut T, namespace: &Namespace) -> Result<Gate, Fault> {
    keep_out_operators(tx).await?;
    look(tx, Some(namespace)).await
}

/// This row alone is shared, and before any other is read: operators, who hold it, write the others.
async fn keep_out_operators<T: Tx>(tx: &mut T) -> Result<(), Fault> {
    if !T::SHARE.is_empty() {
        let sql = format!("SELECT value FROM meta WHERE key = 'edition'{}", T::SHARE);
        tx.rows(&sql, &[]).await?;
    }
    Ok(())
}

/// Keeps everybody who writes out until the end of the transaction, and looks.
pub(super) async fn hold<T: Tx>(tx: &mut T) -> Result<Gate, Fault> {
    tx.run("UPDATE meta SET value = value WHERE key = 'edition'", &[]).await?;
    look(tx, None).await
}

/// Looks; with a namespace also at what a first sight in it would find.
pub(super) async fn look<T: Tx>(tx: &mut T, namespace: Option<&Namespace>) -> Result<Gate, Fault> {
    let sql = "SELECT key, value FROM meta WHERE key IN \
               ('fingerprint', 'import', 'overtaken', 'store', 'erasure', $1)";
    let format = namespace.map(format_key).unwrap_or_default();
    let mut gate = Gate::default();
    for row in tx.rows(sql, &[format.as_str().into()]).await? {
        let value = row.text(1)?;
        match row.text(0)? {
            "fingerprint" => gate.fingerprint = Some(value.parse().map_err(|_| Fault::Damaged)?),
            "import" => gate.import = import(value)?,
            "overtaken" => gate.overtaken = true,
            "store" => gate.store = value.into(),
            "erasure" => gate.sealed = Some(value.into()),
            _ => gate.format = Some(value.into()),
        }
    }
    Ok(gate)
}

/// The row that says how a namespace's identities are made.
pub(super) fn format_key(namespace: &Namespace) -> String {
    format!("format:{}", namespace.as_str())
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

/// Begins to compare an import, from here on.
pub(super) async fn set_checking<T: Tx>(tx: &mut T, import: ImportId) -> Result<(), Fault> {
    tx.run("DELETE FROM meta WHERE key = 'overtaken'", &[]).await?;
    set_import(tx, Some((Stage::Checking, import))).await
}

/// Makes an import that is being compared compare again: what it was compared with has changed. Those who share the gate
/// may do it too, two at once without waiting for each other's end.
pub(super) async fn overtake<T: Tx>(tx: &mut T, gate: &Gate) -> Result<(), Fault> {
    if !gate.overtaken && matches!(gate.import, Some((Stage::Checking, _))) {
        put(tx, "overtaken", "1", OrElse::Leave).await?;
    }
    Ok(())
}

/// What becomes of a row that is there.
#[derive(Clone, Copy, Debug)]
pub(super) enum OrElse {
    Leave,
    Replace,
}

/// Writes a row of what the registry says of itself.
pub(super) async fn put<T: Tx>(
    tx: &mut T,
    key: &str,
    value: &str,
    or_else: OrElse,
) -> Result<(), Fault> {
    let sql = match or_else {
        OrElse::Leave => {
            "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING"
        }
        OrElse::Replace => {
            "INSERT INTO meta (key, value) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        }
    };
    tx.run(sql, &[key.into(), value.into()]).await?;
    Ok(())
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

/// Whole seconds as the database has them.
pub(super) fn seconds(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

/// A moment that the database has.
pub(super) fn moment(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or_default())
}

/// A number that is kept as a text.
pub(super) fn number(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|_| Fault::Damaged)
}
