//! Rows that an import laid aside, and how they come to where everything else is.
//!
//! An import holds from the moment its stage is `applied`, in one small transaction; its rows are moved afterwards, some
//! at a time, and those that a first sight is about before it.
use super::{
    gate::{self, Stage},
    moving,
    tx::{Fault, Row, Tx, Value},
};
use crate::ports::{
    registry::{ImportId, Owner, Row as FileRow},
    store::FirstSight,
};

/// How many rows one statement inserts.
pub(super) const AT_ONCE: usize = 100;

const COLUMNS: &str = "namespace, subject, waits, identity, state, fingerprint";

/// Lays rows aside, each with its line.
pub(super) async fn lay_aside<T: Tx>(
    tx: &mut T,
    import: ImportId,
    rows: &[(u64, FileRow)],
) -> Result<(), Fault> {
    for rows in rows.chunks(AT_ONCE) {
        let texts: Vec<(String, Option<String>)> = rows.iter().map(|(_, row)| texts(row)).collect();
        let mut values = Vec::with_capacity(rows.len() * 9);
        for ((line, row), (folded, key)) in rows.iter().zip(&texts) {
            let (namespace, name, waits, identity) = row.order();
            let state = if row.is_retired { "retired" } else { "active" };
            values.extend([
                number(import.0).into(),
                namespace.into(),
                name.into(),
                i64::from(waits).into(),
                folded.as_str().into(),
                identity.into(),
                state.into(),
                key.as_deref().into(),
                Value::Int(number(*line)),
            ]);
        }
        let sql = format!(
            "INSERT INTO staged (import, namespace, subject, waits, folded, identity, state, \
             fingerprint, line) VALUES {} ON CONFLICT (import, namespace, subject, waits, identity) DO NOTHING",
            tuples(rows.len(), 9)
        );
        tx.run(&sql, &values).await?;
    }
    Ok(())
}

/// What a row has in lower case, and the key of its identity.
fn texts(row: &FileRow) -> (String, Option<String>) {
    let folded = match &row.owner {
        Owner::Waiting(_, value) => value.to_lowercase(),
        Owner::Nobody | Owner::Subject(_, _) => String::new(),
    };
    (folded, row.derived_with.map(|key| key.to_string()))
}

/// `($1, $2), ($3, $4)` for two rows of two columns.
pub(super) fn tuples(rows: usize, columns: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let comma = if column == 1 { "" } else { ", " };
            let _ = write!(text, "{comma}${}", row * columns + column);
        }
        text.push(')');
    }
    text
}

/// Whether an import holds what a first sight is about to give.
pub(super) async fn concerns<T: Tx>(
    tx: &mut T,
    import: ImportId,
    sight: &FirstSight,
) -> Result<bool, Fault> {
    Ok(!concerned(tx, import, sight).await?.is_empty())
}

/// Moves those rows of an import that holds which a first sight needs to know.
pub(super) async fn move_what_concerns<T: Tx>(
    tx: &mut T,
    import: ImportId,
    sight: &FirstSight,
) -> Result<(), Fault> {
    let rows = concerned(tx, import, sight).await?;
    if rows.is_empty() {
        return Ok(());
    }
    moving::move_rows(tx, import, &rows).await?;
    for row in &rows {
        let sql = "DELETE FROM staged WHERE import = $1 AND namespace = $2 AND subject = $3 \
                   AND waits = $4 AND identity = $5";
        let values = [
            number(import.0).into(),
            row.text(0)?.into(),
            row.text(1)?.into(),
            row.int(2)?.into(),
            row.text(3)?.into(),
        ];
        tx.run(sql, &values).await?;
    }
    Ok(())
}

/// The rows of an import that a first sight needs to know: [`COLUMNS`].
pub(super) async fn concerned<T: Tx>(
    tx: &mut T,
    import: ImportId,
    sight: &FirstSight,
) -> Result<Vec<Row>, Fault> {
    let id = Value::Int(number(import.0));
    let namespace = sight.subject.namespace().as_str().into();
    let sql = format!(
        "SELECT {COLUMNS} FROM staged \
         WHERE import = $1 AND namespace = $2 AND subject = $3 AND waits = 0"
    );
    let mut found = tx.rows(&sql, &[id, namespace, sight.subject.id().as_str().into()]).await?;
    // The plus keeps SQLite from going through the whole import, whose number begins the primary key.
    let sql = format!("SELECT {COLUMNS} FROM staged WHERE +import = $1 AND identity = $2");
    found.extend(tx.rows(&sql, &[id, sight.identity.as_str().into()]).await?);
    if let Some(wanted) = &sight.adopt {
        // Before the rows that wait the one that says that their identity was retired meanwhile.
        let sql = format!(
            "SELECT {COLUMNS} FROM staged WHERE import = $1 AND identity IN \
             (SELECT identity FROM staged \
              WHERE import = $1 AND namespace = $2 AND folded = $3 AND waits = 1) ORDER BY waits"
        );
        let folded = wanted.value.to_lowercase();
        found.extend(tx.rows(&sql, &[id, namespace, folded.as_str().into()]).await?);
    }
    Ok(found)
}

/// The last row of an import that was dealt with. Whoever goes on from it need not pass by all that was deleted before,
/// which PostgreSQL's indexes keep for a while.
pub(super) type Mark = (ImportId, Row);

/// Moves up to `limit` rows of an import that holds, behind `after`. `None`: there are no more.
pub(super) async fn move_some<T: Tx>(
    tx: &mut T,
    import: ImportId,
    limit: usize,
    after: Option<&Mark>,
) -> Result<Option<Mark>, Fault> {
    let rows = first(tx, import, limit, after).await?;
    if rows.is_empty() {
        gate::set_import(tx, None).await?;
        return Ok(None);
    }
    moving::move_rows(tx, import, &rows).await?;
    delete(tx, import, rows).await
}

/// Clears up to `limit` rows of an import that was given up away, behind `after`. `None`: there are no more.
pub(super) async fn clear_some<T: Tx>(
    tx: &mut T,
    import: ImportId,
    limit: usize,
    after: Option<&Mark>,
) -> Result<Option<Mark>, Fault> {
    let rows = first(tx, import, limit, after).await?;
    if !rows.is_empty() {
        return delete(tx, import, rows).await;
    }
    tx.run("DELETE FROM imports WHERE id = $1", &[number(import.0).into()]).await?;
    gate::set_import(tx, None).await?;
    Ok(None)
}

async fn first<T: Tx>(
    tx: &mut T,
    import: ImportId,
    limit: usize,
    after: Option<&Mark>,
) -> Result<Vec<Row>, Fault> {
    let id = Value::Int(number(import.0));
    if let Some((_, last)) = after.filter(|(of, _)| *of == import) {
        let sql = format!(
            "SELECT {COLUMNS} FROM staged WHERE import = $1 \
             AND (namespace, subject, waits, identity) > ($2, $3, $4, $5) \
             ORDER BY namespace, subject, waits, identity LIMIT $6"
        );
        let [namespace, subject, waits, identity] = place(last)?;
        let values = [id, namespace, subject, waits, identity, limit_of(limit)];
        let rows = tx.rows(&sql, &values).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        // Another process may have given up before the mark.
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM staged WHERE import = $1 \
         ORDER BY namespace, subject, waits, identity LIMIT $2"
    );
    tx.rows(&sql, &[id, limit_of(limit)]).await
}

/// Deletes rows that follow each other.
async fn delete<T: Tx>(
    tx: &mut T,
    import: ImportId,
    mut rows: Vec<Row>,
) -> Result<Option<Mark>, Fault> {
    let (first, last) = (rows.first().ok_or(Fault::Lost)?, rows.last().ok_or(Fault::Lost)?);
    let sql = "DELETE FROM staged WHERE import = $1 \
               AND (namespace, subject, waits, identity) >= ($2, $3, $4, $5) \
               AND (namespace, subject, waits, identity) <= ($6, $7, $8, $9)";
    let mut values = vec![Value::Int(number(import.0))];
    values.extend(place(first)?);
    values.extend(place(last)?);
    tx.run(sql, &values).await?;
    Ok(rows.pop().map(|last| (import, last)))
}

fn place(row: &Row) -> Result<[Value<'_>; 4], Fault> {
    Ok([row.text(0)?.into(), row.text(1)?.into(), row.int(2)?.into(), row.text(3)?.into()])
}

/// The import that is under way, if it is this one in one of these stages.
pub(super) fn is_at(gate: &gate::Gate, import: ImportId, stages: &[Stage]) -> bool {
    gate.import.is_some_and(|(stage, id)| id == import && stages.contains(&stage))
}

/// A number as the database has it.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A `LIMIT`'s parameter.
pub(super) fn limit_of(limit: usize) -> Value<'static> {
    Value::Int(i64::try_from(limit).unwrap_or(i64::MAX))
}
