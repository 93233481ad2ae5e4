//! The steps of an import: begin, lay aside, compare, apply, settle.
use super::{
    Job, feed,
    gate::{self, Gate, Stage, seconds},
    imported::{self, Mark, is_at, number},
    pinning,
    tx::{Fault, Tx},
};
use crate::{
    domain::{identity::KeyFingerprint, time::Timestamp},
    ports::registry::{Author, ImportError, ImportId, Row},
};

/// How long an import may do nothing before its process counts as gone, in seconds.
const SILENCE: i64 = 120;

/// How long whoever settles one may do nothing before somebody else goes on with it, in seconds.
const PAUSE: i64 = 10;

/// Begins one, unless another is under way.
#[derive(Debug)]
pub(super) struct Begin(pub(super) Author);

impl Job for Begin {
    type Answer = Result<ImportId, ImportError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        if gate::hold(tx).await?.import.is_some() {
            return Ok(Err(ImportError::Busy));
        }
        let id = gate::bump(tx).await?;
        let (at, import) = (seconds(self.0.at), ImportId(id.unsigned_abs()));
        let sql = "INSERT INTO imports (id, at, beat, who, why) VALUES ($1, $2, $3, $4, $5)";
        let (who, why) = ((&*self.0.who).into(), (&*self.0.why).into());
        tx.run(sql, &[id.into(), at.into(), at.into(), who, why]).await?;
        gate::set_import(tx, Some((Stage::Staging, import))).await?;
        Ok(Ok(import))
    }
}

/// Lays rows aside.
#[derive(Debug)]
pub(super) struct LayAside {
    pub(super) import: ImportId,
    pub(super) rows: Vec<(u64, Row)>,
    pub(super) at: Timestamp,
}

impl Job for LayAside {
    type Answer = Result<(), ImportError>;
    const PATIENT: bool = true;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        if !is_at(&gate::share(tx).await?, self.import, &[Stage::Staging]) {
            return Ok(Err(ImportError::Gone));
        }
        beat(tx, self.import, self.at).await?;
        if let Some(key) = self.rows.iter().find_map(|(_, row)| row.derived_with) {
            let sql = "UPDATE imports SET fingerprint = $1 WHERE id = $2";
            let key = key.to_string();
            tx.run(sql, &[key.as_str().into(), number(self.import.0).into()]).await?;
        }
        imported::lay_aside(tx, self.import, &self.rows).await?;
        Ok(Ok(()))
    }
}

/// The key that identities of the file were derived with, if any were.
async fn key_of<T: Tx>(tx: &mut T, import: ImportId) -> Result<Option<KeyFingerprint>, Fault> {
    let sql = "SELECT fingerprint FROM imports WHERE id = $1";
    let rows = tx.rows(sql, &[number(import.0).into()]).await?;
    let text = rows.first().ok_or(Fault::Damaged)?.maybe_text(0)?;
    text.map(str::parse).transpose().map_err(|_| Fault::Damaged)
}

async fn beat<T: Tx>(tx: &mut T, import: ImportId, at: Timestamp) -> Result<(), Fault> {
    let sql = "UPDATE imports SET beat = $1 WHERE id = $2";
    tx.run(sql, &[seconds(at).into(), number(import.0).into()]).await?;
    Ok(())
}

/// Lets first sights know of what was laid aside, before it is compared.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) import: ImportId,
    pub(super) at: Timestamp,
}

impl Job for Check {
    type Answer = Result<(), ImportError>;
    const PATIENT: bool = true;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        if !is_at(&gate::hold(tx).await?, self.import, &[Stage::Staging, Stage::Checking]) {
            return Ok(Err(ImportError::Gone));
        }
        beat(tx, self.import, self.at).await?;
        gate::set_checking(tx, self.import).await?;
        Ok(Ok(()))
    }
}

/// Makes it hold, unless somebody's first sight took what it holds since it was compared.
#[derive(Debug)]
pub(super) struct Apply {
    pub(super) import: ImportId,
    pub(super) at: Timestamp,
}

impl Job for Apply {
    type Answer = Result<(), ImportError>;
    const PATIENT: bool = true;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let gate = gate::hold(tx).await?;
        if is_at(&gate, self.import, &[Stage::Applied]) {
            // By this, whose answer was lost.
            return Ok(Ok(()));
        }
        if !is_at(&gate, self.import, &[Stage::Checking]) {
            return Ok(Err(ImportError::Gone));
        }
        if gate.overtaken {
            return Ok(Err(ImportError::Overtaken));
        }
        beat(tx, self.import, self.at).await?;
        gate::set_import(tx, Some((Stage::Applied, self.import))).await?;
        if let (None, Some(key)) = (gate.fingerprint, key_of(tx, self.import).await?) {
            // A backup goes into a store that has seen no key yet.
            pinning::keep_first(tx, key).await?;
        }
        // Somebody may be remembered as ended whom the file brings back.
        let edition = gate::bump(tx).await?;
        feed::tell_all(tx, edition, self.at).await?;
        Ok(Ok(()))
    }
}

/// Gives one up that does not hold yet.
#[derive(Debug)]
pub(super) struct Abandon(pub(super) ImportId);

impl Job for Abandon {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        if is_at(&gate::hold(tx).await?, self.0, &[Stage::Staging, Stage::Checking]) {
            gate::set_import(tx, Some((Stage::GivenUp, self.0))).await?;
        }
        Ok(())
    }
}

/// Whose imports are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Any that holds or was given up.
    Anybodys,
    /// Only those whose process does nothing any more.
    Nobodys,
}

/// Whether there is anything to settle.
#[derive(Debug)]
pub(super) struct IsUnsettled {
    pub(super) whose: Whose,
    pub(super) at: Timestamp,
}

impl Job for IsUnsettled {
    type Answer = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<bool, Fault> {
        let gate = gate::look(tx, None).await?;
        let due = due(tx, gate, self.whose, self.at).await?;
        Ok(due.is_some() || feed::has_old(tx, self.at).await?)
    }
}

/// Settles some of it.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) whose: Whose,
    pub(super) at: Timestamp,
    pub(super) limit: usize,
    /// Where the last of these came to.
    pub(super) after: Option<Mark>,
}

/// What that came to.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) is_more: bool,
    pub(super) mark: Option<Mark>,
}

impl Job for Settle {
    type Answer = Settled;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Settled, Fault> {
        let gate = gate::hold(tx).await?;
        feed::prune(tx, self.at).await?;
        let Some((stage, import)) = due(tx, gate, self.whose, self.at).await? else {
            return Ok(Settled { is_more: false, mark: None });
        };
        beat(tx, import, self.at).await?;
        let after = self.after.as_ref();
        let mark = match stage {
            Stage::Applied => imported::move_some(tx, import, self.limit, after).await?,
            Stage::GivenUp => imported::clear_some(tx, import, self.limit, after).await?,
            Stage::Staging | Stage::Checking => {
                gate::set_import(tx, Some((Stage::GivenUp, import))).await?;
                return Ok(Settled { is_more: true, mark: None });
            }
        };
        Ok(Settled { is_more: mark.is_some(), mark })
    }
}

/// The import of which there is something to settle: it holds, was given up, or its process has gone.
async fn due<T: Tx>(
    tx: &mut T,
    gate: Gate,
    whose: Whose,
    at: Timestamp,
) -> Result<Option<(Stage, ImportId)>, Fault> {
    let Some((stage, import)) = gate.import else { return Ok(None) };
    let allowed = match (stage, whose) {
        (Stage::Applied | Stage::GivenUp, Whose::Anybodys) => return Ok(Some((stage, import))),
        (Stage::Applied | Stage::GivenUp, Whose::Nobodys) => PAUSE,
        (Stage::Staging | Stage::Checking, _) => SILENCE,
    };
    let sql = "SELECT beat FROM imports WHERE id = $1";
    let rows = tx.rows(sql, &[number(import.0).into()]).await?;
    let beat = rows.first().ok_or(Fault::Damaged)?.int(0)?;
    Ok((seconds(at) - beat > allowed).then_some((stage, import)))
}
