//! The steps of an import: begin, lay aside, compare, apply, settle.
use super::{
    Job,
    gate::{self, Gate, Stage, seconds},
    imported::{self, is_at, limit_of, number},
    tx::{Fault, Tx},
};
use crate::{
    domain::time::Timestamp,
    ports::registry::{Author, Clash, ClashKind, ImportError, ImportId, Row, Verified},
};

/// How long an import may do nothing before its process counts as gone, in seconds.
const SILENCE: i64 = 120;

/// The most clashes that are told.
const TOLD: usize = 1000;

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

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        if !is_at(gate::share(tx).await?, self.import, &[Stage::Staging]) {
            return Ok(Err(ImportError::Gone));
        }
        beat(tx, self.import, self.at).await?;
        imported::lay_aside(tx, self.import, &self.rows).await?;
        Ok(Ok(()))
    }
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

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let stages = [Stage::Staging, Stage::Checking, Stage::Overtaken];
        if !is_at(gate::hold(tx).await?, self.import, &stages) {
            return Ok(Err(ImportError::Gone));
        }
        beat(tx, self.import, self.at).await?;
        gate::set_import(tx, Some((Stage::Checking, self.import))).await?;
        Ok(Ok(()))
    }
}

/// Compares what was laid aside with itself and the registry.
#[derive(Debug)]
pub(super) struct Compare {
    pub(super) import: ImportId,
    pub(super) allow_links: bool,
}

/// What each query finds: lines, and what stands against them.
const ALWAYS: [(ClashKind, &str); 10] = [
    (
        ClashKind::TwiceInFile,
        "SELECT max(line) FROM staged WHERE import = $1 AND subject <> '' \
        GROUP BY namespace, subject, waits HAVING count(*) > 1",
    ),
    (
        ClashKind::HasAnother,
        "SELECT s.line FROM staged s JOIN subjects x \
        ON x.namespace = s.namespace AND x.subject = s.subject \
        WHERE s.import = $1 AND s.waits = 0 AND s.subject <> '' AND x.identity <> s.identity",
    ),
    (
        ClashKind::HasAnother,
        "SELECT s.line FROM staged s JOIN unclaimed u \
        ON u.namespace = s.namespace AND u.value = s.subject \
        WHERE s.import = $1 AND s.waits = 1 AND u.identity <> s.identity",
    ),
    (
        ClashKind::Waits,
        "SELECT max(line) FROM staged WHERE import = $1 AND subject <> '' \
        GROUP BY identity HAVING count(DISTINCT waits) > 1",
    ),
    (
        ClashKind::Waits,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND i.state = 'unclaimed'",
    ),
    (
        ClashKind::InUse,
        "SELECT max(line) FROM staged WHERE import = $1 \
        GROUP BY identity HAVING count(DISTINCT state) > 1",
    ),
    (
        ClashKind::InUse,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND s.state = 'retired' AND i.state = 'active'",
    ),
    (
        ClashKind::Retired,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND s.state = 'active' AND i.state = 'retired'",
    ),
    (
        ClashKind::InUse,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 1 AND i.state = 'active' AND NOT EXISTS \
        (SELECT 1 FROM unclaimed u WHERE u.namespace = s.namespace AND u.value = s.subject \
         AND u.identity = s.identity)",
    ),
    (
        ClashKind::Retired,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 1 AND i.state = 'retired' AND NOT EXISTS \
        (SELECT 1 FROM unclaimed u WHERE u.namespace = s.namespace AND u.value = s.subject \
         AND u.identity = s.identity)",
    ),
];

const WITHOUT_LINKS: [(ClashKind, &str); 5] = [
    (
        ClashKind::Shared,
        "SELECT max(line) FROM staged WHERE import = $1 AND subject <> '' \
        GROUP BY identity HAVING count(*) > 1",
    ),
    (
        ClashKind::Shared,
        "SELECT s.line FROM staged s JOIN subjects x ON x.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND s.subject <> '' \
        AND NOT (x.namespace = s.namespace AND x.subject = s.subject)",
    ),
    (
        ClashKind::Shared,
        "SELECT s.line FROM staged s JOIN unclaimed u ON u.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 1 \
        AND NOT (u.namespace = s.namespace AND u.value = s.subject)",
    ),
    (
        ClashKind::LetterCase,
        "SELECT max(line) FROM staged WHERE import = $1 AND waits = 1 \
        GROUP BY namespace, folded HAVING count(DISTINCT subject) > 1",
    ),
    (
        ClashKind::LetterCase,
        "SELECT s.line FROM staged s JOIN unclaimed u \
        ON u.namespace = s.namespace AND u.folded = s.folded \
        WHERE s.import = $1 AND s.waits = 1 AND u.value <> s.subject AND u.taken = 0",
    ),
];

const KNOWN: [&str; 3] = [
    "SELECT count(*) FROM staged s JOIN subjects x \
        ON x.namespace = s.namespace AND x.subject = s.subject \
        WHERE s.import = $1 AND s.waits = 0 AND s.subject <> '' AND x.identity = s.identity",
    "SELECT count(*) FROM staged s JOIN unclaimed u \
        ON u.namespace = s.namespace AND u.value = s.subject \
        WHERE s.import = $1 AND s.waits = 1 AND u.identity = s.identity",
    "SELECT count(*) FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND s.subject = ''",
];

impl Job for Compare {
    type Answer = Verified;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Verified, Fault> {
        let id = number(self.import.0).into();
        let mut clashes = Vec::new();
        let without: &[_] = if self.allow_links { &[] } else { &WITHOUT_LINKS };
        for (why, query) in ALWAYS.iter().chain(without) {
            let sql = format!("{query} ORDER BY 1 LIMIT $2");
            for row in tx.rows(&sql, &[id, limit_of(TOLD)]).await? {
                clashes.push(Clash { line: row.int(0)?.unsigned_abs(), why: *why });
            }
        }
        clashes.sort_by_key(|clash| clash.line);
        // One sentence a line is enough.
        clashes.dedup_by_key(|clash| clash.line);
        clashes.truncate(TOLD);
        let mut known = 0;
        for sql in KNOWN {
            known += count(tx, sql, id).await?;
        }
        let all = count(tx, "SELECT count(*) FROM staged WHERE import = $1", id).await?;
        Ok(Verified { fresh: all.saturating_sub(known), known, clashes })
    }
}

async fn count<T: Tx>(tx: &mut T, sql: &str, id: super::Value<'_>) -> Result<u64, Fault> {
    Ok(tx.rows(sql, &[id]).await?.first().ok_or(Fault::Damaged)?.int(0)?.unsigned_abs())
}

/// Makes it hold, unless somebody's first sight took what it holds since it was compared.
#[derive(Debug)]
pub(super) struct Apply {
    pub(super) import: ImportId,
    pub(super) at: Timestamp,
}

impl Job for Apply {
    type Answer = Result<(), ImportError>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let gate = gate::hold(tx).await?;
        if is_at(gate, self.import, &[Stage::Overtaken]) {
            return Ok(Err(ImportError::Overtaken));
        }
        // Applied already: by this, whose answer was lost.
        if !is_at(gate, self.import, &[Stage::Checking, Stage::Applied]) {
            return Ok(Err(ImportError::Gone));
        }
        beat(tx, self.import, self.at).await?;
        gate::set_import(tx, Some((Stage::Applied, self.import))).await?;
        Ok(Ok(()))
    }
}

/// Gives one up that does not hold yet.
#[derive(Debug)]
pub(super) struct Abandon(pub(super) ImportId);

impl Job for Abandon {
    type Answer = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<(), Fault> {
        let stages = [Stage::Staging, Stage::Checking, Stage::Overtaken];
        if is_at(gate::hold(tx).await?, self.0, &stages) {
            gate::set_import(tx, Some((Stage::GivenUp, self.0))).await?;
        }
        Ok(())
    }
}

/// Whether there is anything to settle.
#[derive(Debug)]
pub(super) struct IsUnsettled(pub(super) Timestamp);

impl Job for IsUnsettled {
    type Answer = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<bool, Fault> {
        let gate = gate::look(tx, "").await?;
        Ok(due(tx, gate, self.0).await?.is_some() || gate::has_old(tx, self.0).await?)
    }
}

/// Settles some of it.
#[derive(Debug)]
pub(super) struct Settle {
    pub(super) at: Timestamp,
    pub(super) limit: usize,
}

impl Job for Settle {
    type Answer = bool;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<bool, Fault> {
        let gate = gate::hold(tx).await?;
        gate::prune(tx, self.at).await?;
        match due(tx, gate, self.at).await? {
            Some((Stage::Applied, import)) => imported::move_some(tx, import, self.limit).await,
            Some((Stage::GivenUp, import)) => imported::clear_some(tx, import, self.limit).await,
            Some((Stage::Staging | Stage::Checking | Stage::Overtaken, import)) => {
                gate::set_import(tx, Some((Stage::GivenUp, import))).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// The import of which there is something to settle: it holds, was given up, or its process has gone.
async fn due<T: Tx>(
    tx: &mut T,
    gate: Gate,
    at: Timestamp,
) -> Result<Option<(Stage, ImportId)>, Fault> {
    let Some((stage, import)) = gate.import else { return Ok(None) };
    match stage {
        Stage::Applied | Stage::GivenUp => Ok(Some((stage, import))),
        Stage::Staging | Stage::Checking | Stage::Overtaken => {
            let sql = "SELECT beat FROM imports WHERE id = $1";
            let rows = tx.rows(sql, &[number(import.0).into()]).await?;
            let beat = rows.first().ok_or(Fault::Damaged)?.int(0)?;
            Ok((seconds(at) - beat > SILENCE).then_some((stage, import)))
        }
    }
}
