//! The versions of the schema, and how a file comes to this one (contract 8).
//!
//! `user_version` is `major * 1000 + steps`. Within a major version steps only add, so that every release of it works
//! on the newer schema.
use super::file::UnfitStore;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Says whose file it is: "ushr".
const APPLICATION_ID: i64 = 0x7573_6872;

/// The major version that this release writes and reads.
const MAJOR: i64 = 1;

/// What each step adds, in order.
const STEPS: [&str; 2] = [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// Refuses a file that is not usher's, or that a later major version of usher wrote. Changes nothing.
pub(super) fn recognise(connection: &Connection) -> Result<(), UnfitStore> {
    let (application, version) = marks(connection)?;
    if application == APPLICATION_ID {
        let found = version / 1000;
        return if found > MAJOR { Err(UnfitStore::Newer { found, known: MAJOR }) } else { Ok(()) };
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 { Ok(()) } else { Err(UnfitStore::Foreign) }
}

/// Whether a recognised file has no schema of any release yet.
pub(super) fn is_blank(connection: &Connection) -> Result<bool, UnfitStore> {
    Ok(marks(connection)? == (0, 0))
}

/// Refuses a file that this release cannot work on, or not any more: another process may have brought it to a later
/// major version, or written another database over it. To be asked inside each transaction.
pub(super) fn fits(connection: &Connection) -> Result<(), UnfitStore> {
    let (application, version) = marks(connection)?;
    let found = version / 1000;
    if application != APPLICATION_ID {
        Err(UnfitStore::Gone)
    } else if found > MAJOR {
        Err(UnfitStore::Newer { found, known: MAJOR })
    } else if steps_of(version) < STEPS.len() {
        Err(UnfitStore::Gone)
    } else {
        Ok(())
    }
}

/// Brings a recognised file to this release's schema if it may, under the write lock, all steps or none. Says whether
/// there was anything to do.
pub(super) fn migrate(connection: &mut Connection, may: bool) -> Result<bool, UnfitStore> {
    if steps_of(marks(connection)?.1) >= STEPS.len() {
        return Ok(false);
    }
    if !may {
        return Err(UnfitStore::NeedsMigration);
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been here while this one waited for the lock.
    recognise(&transaction)?;
    advance(&transaction)?;
    transaction.commit()?;
    Ok(true)
}

fn advance(transaction: &Transaction<'_>) -> Result<(), UnfitStore> {
    let done = steps_of(marks(transaction)?.1);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    if done < STEPS.len() {
        let steps = i64::try_from(STEPS.len()).unwrap_or_default();
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", MAJOR * 1000 + steps)?;
    }
    Ok(())
}

/// A file of an earlier major version would count its own steps; there is none before the first.
fn steps_of(version: i64) -> usize {
    usize::try_from(version % 1000).unwrap_or_default()
}

fn marks(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let mark = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    Ok((mark("PRAGMA application_id")?, mark("PRAGMA user_version")?))
}
