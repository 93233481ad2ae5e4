//! What an import laid aside, against itself and against the registry.
use super::{
    Job,
    imported::{limit_of, number},
    tx::{Fault, Tx},
};
use crate::ports::registry::{Clash, ClashKind, ImportId, Verified};

/// The most clashes that are told.
const TOLD: usize = 1000;

/// Compares what was laid aside with itself and the registry.
#[derive(Debug)]
pub(super) struct Compare {
    pub(super) import: ImportId,
    pub(super) allow_links: bool,
}

/// What each query finds: lines, and what stands against them.
const ALWAYS: [(ClashKind, &str); 12] = [
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
        // One that waits may have been retired meanwhile; an export has both rows.
        "SELECT max(line) FROM staged WHERE import = $1 AND waits = 0 \
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
        ClashKind::NotWaiting,
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

const WITHOUT_LINKS: [(ClashKind, &str); 4] = [
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
        // It has lost its subject, and goes back to that one only.
        ClashKind::Shared,
        "SELECT s.line FROM staged s JOIN identities i ON i.identity = s.identity \
        WHERE s.import = $1 AND s.waits = 0 AND s.subject <> '' AND i.state = 'active' \
        AND NOT EXISTS (SELECT 1 FROM subjects x WHERE x.identity = s.identity) \
        AND NOT EXISTS (SELECT 1 FROM history h WHERE h.namespace = s.namespace \
        AND h.subject = s.subject AND h.identity = s.identity AND h.what = 'unlink')",
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
    const PATIENT: bool = true;

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
        let mut clashes_total = clashes.len() as u64;
        if clashes.len() >= TOLD {
            let queries: Vec<&str> =
                ALWAYS.iter().chain(without).map(|(_, query)| *query).collect();
            // `UNION` counts a line once, whatever stands against it.
            let sql = format!("SELECT count(*) FROM ({}) AS lines", queries.join(" UNION "));
            clashes_total = count(tx, &sql, id).await?;
            clashes.truncate(TOLD);
        }
        let mut known = 0;
        for sql in KNOWN {
            known += count(tx, sql, id).await?;
        }
        let all = count(tx, "SELECT count(*) FROM staged WHERE import = $1", id).await?;
        Ok(Verified { fresh: all.saturating_sub(known), known, clashes, clashes_total })
    }
}

async fn count<T: Tx>(tx: &mut T, sql: &str, id: super::Value<'_>) -> Result<u64, Fault> {
    Ok(tx.rows(sql, &[id]).await?.first().ok_or(Fault::Damaged)?.int(0)?.unsigned_abs())
}
