//! SQLite files of many users, written as quickly as SQLite can.
use crate::{Fault, key, subject};
use rusqlite::{Connection, params};
use std::path::Path;

/// Adds users until there are `rows`. The schema is there already.
///
/// Rows go in by key, and the index is made last: a file that grew user by user has some more half-full pages.
pub(crate) fn fill(path: &Path, rows: u64) -> Result<(), Fault> {
    let mut file = Connection::open(path)?;
    file.pragma_update(None, "synchronous", "OFF")?;
    file.pragma_update(None, "cache_size", -1_000_000)?;
    let held: i64 = file.query_row("SELECT count(*) FROM subjects", [], |row| row.get(0))?;
    if held.unsigned_abs() >= rows {
        return Ok(());
    }
    let key = key()?;
    let mut users = Vec::new();
    for number in 0..rows {
        let subject = subject(number)?;
        users.push((subject.id().as_str().to_owned(), key.derive(&subject).as_str().to_owned()));
    }
    let index: String = file.query_row(
        "SELECT sql FROM sqlite_schema WHERE name = 'subjects_by_identity'",
        [],
        |row| row.get(0),
    )?;
    let transaction = file.transaction()?;
    transaction.execute("DROP INDEX subjects_by_identity", [])?;
    users.sort_unstable_by(|one, other| one.1.cmp(&other.1));
    {
        let mut insert = transaction.prepare(
            "INSERT INTO identities (identity, state, created_at, origin, fingerprint) \
             VALUES (?1, 'active', 1795428900, 'derived', '63458b39')",
        )?;
        for (_, identity) in &users {
            insert.execute([identity])?;
        }
    }
    users.sort_unstable();
    {
        let mut insert = transaction.prepare(
            "INSERT INTO subjects (namespace, subject, identity, linked_at) \
             VALUES ('corp', ?1, ?2, 1795428900)",
        )?;
        for (id, identity) in &users {
            insert.execute(params![id, identity])?;
        }
    }
    transaction.execute(&index, [])?;
    transaction.commit()?;
    let _: (i64, i64, i64) = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(())
}
