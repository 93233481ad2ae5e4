//! SQLite's transactions.
use crate::outbound::store::sql::{Cell, Fault, Row, Tx, Value};
use rusqlite::{
    Connection, ErrorCode,
    types::{ToSql, ToSqlOutput, ValueRef},
};
use std::{
    future::{Future, ready},
    sync::Arc,
};

/// A transaction that was begun on a connection.
pub(super) struct SqliteTx<'a> {
    pub(super) connection: &'a mut Connection,
}

impl SqliteTx<'_> {
    /// Runs a statement without parameters.
    pub(super) fn execute(&mut self, sql: &str) -> Result<(), Fault> {
        self.connection.execute_batch(sql).map_err(fault)
    }

    fn find(&self, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare_cached(&numbered(sql))?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|at| row.get_ref(at).map(cell));
            found.push(Row(cells.collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn change(&self, sql: &str, values: &[Value<'_>]) -> rusqlite::Result<u64> {
        let mut statement = self.connection.prepare_cached(&numbered(sql))?;
        let changed = statement.execute(rusqlite::params_from_iter(values))?;
        Ok(u64::try_from(changed).unwrap_or(u64::MAX))
    }
}

impl Tx for SqliteTx<'_> {
    // There is one writer at a time.
    const SHARE: &'static str = "";

    fn rows(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, Fault>> + Send {
        ready(self.find(sql, values).map_err(fault))
    }

    fn run(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, Fault>> + Send {
        ready(self.change(sql, values).map_err(fault))
    }
}

/// SQLite numbers a `$1` by where it comes first; a `?1` is what it says.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_or(Cell::Null, |text| Cell::Text(text.into()))
        }
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Cell::Null,
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self {
            Value::Text(text) => ToSqlOutput::from(text),
            Value::Int(number) => ToSqlOutput::from(number),
            Value::NoText => ToSqlOutput::from(rusqlite::types::Null),
        })
    }
}

fn fault(error: rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Damaged,
        Some(_) | None => Fault::Unavailable(Arc::new(error)),
    }
}
