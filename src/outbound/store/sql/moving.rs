//! Rows of an import that holds, to where everything else is.
use super::{
    binding, gate,
    history::{self, Event},
    imported::{AT_ONCE, number, tuples},
    tx::{Fault, Row, Tx, Value},
};
use crate::ports::registry::{Author, ImportId};
use std::collections::HashSet;

/// Writes rows to where everything else is. What is there already stays as it is.
pub(super) async fn move_rows<T: Tx>(
    tx: &mut T,
    import: ImportId,
    rows: &[Row],
) -> Result<(), Fault> {
    let author = author(tx, import).await?;
    let at = gate::seconds(author.at);
    for rows in rows.chunks(AT_ONCE) {
        move_identities(tx, import, at, rows).await?;
        let (waiting, rest): (Vec<&Row>, Vec<&Row>) =
            rows.iter().partition(|row| row.int(2).is_ok_and(|waits| waits == 1));
        let held: Vec<&Row> =
            rest.into_iter().filter(|row| row.text(1).is_ok_and(|name| !name.is_empty())).collect();
        record_links(tx, import, &held, &author).await?;
        move_subjects(tx, at, &held).await?;
        move_waiting(tx, &waiting).await?;
    }
    Ok(())
}

async fn author<T: Tx>(tx: &mut T, import: ImportId) -> Result<Author, Fault> {
    let sql = "SELECT who, why, at FROM imports WHERE id = $1";
    let rows = tx.rows(sql, &[number(import.0).into()]).await?;
    let row = rows.first().ok_or(Fault::Damaged)?;
    Ok(Author { who: row.text(0)?.into(), why: row.text(1)?.into(), at: gate::moment(row.int(2)?) })
}

/// Writes down whom the file gives identities that the registry had before. Of those that come with it, it is said once
/// for the whole file.
async fn record_links<T: Tx>(
    tx: &mut T,
    import: ImportId,
    rows: &[&Row],
    author: &Author,
) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = vec![Value::Int(number(import.0))];
    for row in rows {
        values.push(row.text(3)?.into());
    }
    let names: Vec<String> = (2..=values.len()).map(|at| format!("${at}")).collect();
    let sql = format!(
        "SELECT identity FROM identities WHERE (import IS NULL OR import <> $1) \
         AND identity IN ({})",
        names.join(", ")
    );
    let found = tx.rows(&sql, &values).await?;
    let before: HashSet<&str> = found.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    if before.is_empty() {
        return Ok(());
    }
    let edition = gate::edition(tx).await?;
    for row in rows {
        let (namespace, subject) = (row.text(0)?, row.text(1)?);
        let sql = "SELECT identity FROM subjects WHERE namespace = $1 AND subject = $2";
        if before.contains(row.text(3)?)
            && tx.rows(sql, &[namespace.into(), subject.into()]).await?.is_empty()
        {
            let identity = &binding::identity(row, 3)?;
            let subject = Some((namespace, subject));
            history::record(tx, edition, &Event { identity, what: "import", subject }, author)
                .await?;
        }
    }
    Ok(())
}

async fn move_identities<T: Tx>(
    tx: &mut T,
    import: ImportId,
    at: i64,
    rows: &[Row],
) -> Result<(), Fault> {
    let mut values = Vec::with_capacity(rows.len() * 6);
    for row in rows {
        let state = if row.int(2)? == 1 { "unclaimed" } else { row.text(4)? };
        let id = Value::Int(number(import.0));
        let key = row.maybe_text(5)?;
        // A backup brings derived ones back as what they are.
        let origin = if key.is_some() { "derived" } else { "imported" };
        let (at, identity) = (Value::Int(at), row.text(3)?.into());
        values.extend([identity, state.into(), at, origin.into(), key.into(), id]);
    }
    let sql = format!(
        "INSERT INTO identities (identity, state, created_at, origin, fingerprint, import) \
         VALUES {} ON CONFLICT (identity) DO NOTHING",
        tuples(rows.len(), 6)
    );
    tx.run(&sql, &values).await?;
    Ok(())
}

async fn move_subjects<T: Tx>(tx: &mut T, at: i64, rows: &[&Row]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(rows.len() * 4);
    for row in rows {
        let (namespace, name, identity) = (row.text(0)?, row.text(1)?, row.text(3)?);
        values.extend([namespace.into(), name.into(), identity.into(), Value::Int(at)]);
    }
    let sql = format!(
        "INSERT INTO subjects (namespace, subject, identity, linked_at) VALUES {} \
         ON CONFLICT (namespace, subject) DO NOTHING",
        tuples(rows.len(), 4)
    );
    tx.run(&sql, &values).await?;
    Ok(())
}

async fn move_waiting<T: Tx>(tx: &mut T, rows: &[&Row]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    let folded: Vec<String> =
        rows.iter().map(|row| Ok(row.text(1)?.to_lowercase())).collect::<Result<_, Fault>>()?;
    let mut values = Vec::with_capacity(rows.len() * 5);
    for (row, folded) in rows.iter().zip(&folded) {
        let (namespace, value, identity) = (row.text(0)?, row.text(1)?, row.text(3)?);
        let taken = Value::Int(0);
        values.extend([
            namespace.into(),
            value.into(),
            folded.as_str().into(),
            identity.into(),
            taken,
        ]);
    }
    let sql = format!(
        "INSERT INTO unclaimed (namespace, value, folded, identity, taken) VALUES {} \
         ON CONFLICT (namespace, value) DO NOTHING",
        tuples(rows.len(), 5)
    );
    tx.run(&sql, &values).await?;
    Ok(())
}
