//! The versions of the schema, and how a database comes to this one (contract 8).
//!
//! The version is in a row of a table of its own, and whoever changes the schema holds that row. Within a major
//! version steps only add, so that every release of it works on the newer schema.
use super::{
    fault::{Trouble, UnfitPostgres},
    link::Link,
};
use std::time::Duration;
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow, error::SqlState};

/// The major version that this release writes and reads.
const MAJOR: i64 = 1;

/// What each step adds, in order.
const STEPS: [&str; 2] = [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// How long a step waits for a table that somebody holds, a backup for instance. Everybody else who wants that table
/// waits behind it meanwhile.
const LOCKED: Duration = Duration::from_secs(2);

/// The encoding, and the tables there are by the names of ours. `pg_class` has also those that this user may not use.
const TABLES: &str = "SHOW server_encoding; SELECT c.relname FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND c.relname IN ('usher_schema', 'meta', 'identities', 'subjects', 'history', 'changes', 'unclaimed', 'erased', \
    'imports', 'staged')";

const VERSION: &str = "SELECT major, steps FROM usher_schema WHERE id = 1";

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This release's schema, or one with more steps of the same major version.
    Fit,
    /// One with fewer steps.
    Behind,
    /// None.
    Nothing,
}

/// Looks, and changes nothing.
///
/// # Errors
/// The database is another program's, or a later usher's; or it could not be asked.
pub(super) async fn look(link: &Link) -> Result<Found, Trouble> {
    let tables = tables(link).await?;
    if !tables.iter().any(|name| name == "usher_schema") {
        return if tables.is_empty() { Ok(Found::Nothing) } else { Err(foreign()) };
    }
    let steps = judged(&rows(link, VERSION).await.map_err(not_ours)?)?;
    Ok(if steps >= STEPS.len() { Found::Fit } else { Found::Behind })
}

/// Brings the database to this release's schema, all steps or none. Returns whether there was anything to do. Where
/// somebody else was at it at the same time it may come to [`Trouble::Lost`]: do it again.
pub(super) async fn advance(link: &Link, left: Duration) -> Result<bool, Trouble> {
    if look(link).await? == Found::Fit {
        return Ok(false);
    }
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
        left.as_millis().max(1),
        LOCKED.as_millis()
    );
    changed(link, &begin).await?;
    let advanced = steps(link).await;
    let end = if advanced.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = changed(link, end).await;
    // What went wrong first counts.
    advanced.and_then(|is_new| ended.map(|()| is_new))
}

async fn steps(link: &Link) -> Result<bool, Trouble> {
    changed(
        link,
        "CREATE TABLE IF NOT EXISTS usher_schema (id BIGINT PRIMARY KEY, major BIGINT NOT NULL, steps BIGINT NOT NULL)",
    )
    .await?;
    let first = format!(
        "INSERT INTO usher_schema (id, major, steps) VALUES (1, {MAJOR}, 0) ON CONFLICT DO NOTHING"
    );
    changed(link, &first).await?;
    // Another sidecar may have been here while this one waited for the row.
    let found = rows(link, &format!("{VERSION} FOR UPDATE")).await.map_err(not_ours)?;
    let done = judged(&found)?;
    if done >= STEPS.len() {
        return Ok(false);
    }
    // Ours are made with the row that counts them.
    if done == 0 && tables(link).await?.len() > 1 {
        return Err(foreign());
    }
    for step in STEPS.iter().skip(done) {
        changed(link, step).await?;
    }
    let count = format!("UPDATE usher_schema SET steps = {} WHERE id = 1", STEPS.len());
    changed(link, &count).await?;
    Ok(true)
}

/// How many steps were made, by the rows that [`VERSION`] finds.
fn judged(found: &[SimpleQueryRow]) -> Result<usize, Trouble> {
    let Some(row) = found.first() else { return Ok(0) };
    let number = |at| row.get(at).and_then(|text| text.parse::<i64>().ok());
    let (Some(major), Some(steps)) = (number(0), number(1)) else { return Err(foreign()) };
    if major > MAJOR {
        return Err(Trouble::Unfit(UnfitPostgres::Newer { found: major, known: MAJOR }));
    }
    Ok(usize::try_from(steps).unwrap_or_default())
}

/// The names of the tables that are named as ours.
async fn tables(link: &Link) -> Result<Vec<String>, Trouble> {
    let found = rows(link, TABLES).await?;
    let mut words = found.iter().filter_map(|row| row.get(0));
    if words.next() != Some("UTF8") {
        return Err(Trouble::Unfit(UnfitPostgres::NotUnicode));
    }
    Ok(words.map(str::to_owned).collect())
}

async fn rows(link: &Link, sql: &str) -> Result<Vec<SimpleQueryRow>, Trouble> {
    let said = link.client.simple_query(sql).await.map_err(|error| trouble(&error))?;
    let rows = said.into_iter().filter_map(|message| {
        if let SimpleQueryMessage::Row(row) = message { Some(row) } else { None }
    });
    Ok(rows.collect())
}

async fn changed(link: &Link, sql: &str) -> Result<(), Trouble> {
    link.client.batch_execute(sql).await.map_err(|error| trouble(&error))
}

/// Two that make the same table at the same time hear of it in several ways.
fn trouble(error: &tokio_postgres::Error) -> Trouble {
    match error.code() {
        Some(code)
            if [
                SqlState::DUPLICATE_TABLE,
                SqlState::DUPLICATE_OBJECT,
                SqlState::DUPLICATE_COLUMN,
                // "tuple concurrently updated".
                SqlState::INTERNAL_ERROR,
            ]
            .contains(code) =>
        {
            Trouble::Lost
        }
        Some(code) if *code == SqlState::INVALID_SCHEMA_NAME => {
            Trouble::Unfit(UnfitPostgres::Denied)
        }
        Some(_) | None => Trouble::of(error),
    }
}

/// A table that is named as ours and is another.
fn not_ours(trouble: Trouble) -> Trouble {
    let undefined = |code: &str| code == SqlState::UNDEFINED_COLUMN.code();
    if matches!(&trouble, Trouble::Forgotten(code) if undefined(code)) {
        foreign()
    } else {
        trouble
    }
}

fn foreign() -> Trouble {
    Trouble::Unfit(UnfitPostgres::Foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a step of SQLite's says, in PostgreSQL's words.
    fn translated(sqlite: &str) -> String {
        let mut lines = Vec::new();
        for line in
            sqlite.lines().skip_while(|line| line.contains("SQLite 3.40") || line.is_empty())
        {
            let line = line.replace(") STRICT, WITHOUT ROWID;", ");").replace(") STRICT;", ");");
            let line = line.replace(" INTEGER", " BIGINT").replace(" TEXT", " TEXT COLLATE \"C\"");
            let line = line.replace("lower(hex(randomblob(16)))", "gen_random_uuid()::text");
            lines.push(line.replace(" (BINARY, SQLite's default)", ""));
        }
        lines.join("\n") + "\n"
    }

    #[test]
    fn postgresql_has_the_same_tables_as_sqlite_in_the_same_steps() {
        for (ours, theirs) in STEPS.iter().zip([
            include_str!("../sqlite/migrations/1.sql"),
            include_str!("../sqlite/migrations/2.sql"),
        ]) {
            assert_eq!(*ours, translated(theirs));
        }
    }

    #[test]
    fn every_table_of_every_step_is_looked_for() {
        for step in STEPS {
            for line in step.lines() {
                let Some(rest) = line.strip_prefix("CREATE TABLE ") else { continue };
                let name = rest.split(' ').next().unwrap();
                assert!(TABLES.contains(&format!("'{name}'")), "{name}");
            }
        }
    }
}
