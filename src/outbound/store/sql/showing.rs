//! All about one identity.
use super::{
    Job,
    changing::subject,
    gate::{self, Stage},
    history,
    imported::number,
    reading::{records, state},
    tx::{Fault, Row, Tx, Value},
};
use crate::{
    domain::identity::ChatIdentity,
    ports::registry::{Event, ImportId, Record, State},
};

/// Its record, as it is once an import that holds already has moved its rows.
#[derive(Debug)]
pub(super) struct About(pub(super) ChatIdentity);

impl Job for About {
    type Answer = Option<Record>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Option<Record>, Fault> {
        let import = gate::look(tx, None).await?.import;
        let sql = "SELECT identity, state, created_at FROM identities WHERE identity = $1";
        let rows = tx.rows(sql, &[self.0.as_str().into()]).await?;
        let mut record = records(tx, &rows).await?.pop();
        if let Some(record) = &mut record {
            record.history = history::of(tx, &self.0).await?;
        }
        match import {
            Some((Stage::Applied, import)) => self.with_staged(tx, import, record).await,
            Some(_) | None => Ok(record),
        }
    }
}

impl About {
    async fn with_staged<T: Tx>(
        &self,
        tx: &mut T,
        import: ImportId,
        record: Option<Record>,
    ) -> Result<Option<Record>, Fault> {
        let (id, name) = (Value::Int(number(import.0)), self.0.as_str().into());
        // The plus keeps SQLite from going through the whole import, whose number begins the primary key.
        let sql = "SELECT namespace, subject, waits, state FROM staged \
                   WHERE +import = $1 AND identity = $2 ORDER BY namespace, subject, waits";
        let rows = tx.rows(sql, &[id, name]).await?;
        let Some(first) = rows.first() else { return Ok(record) };
        let sql = "SELECT at, who, why FROM imports WHERE id = $1";
        let told = tx.rows(sql, &[id]).await?;
        let brought = history::import(told.first().ok_or(Fault::Damaged)?)?;
        let sql = "SELECT state FROM identities WHERE identity = $1 AND import = $2";
        let comes_with_it = record.is_none() || !tx.rows(sql, &[name, id]).await?.is_empty();
        let mut record = match record {
            Some(record) => record,
            None => self.brought(first, &brought)?,
        };
        for row in &rows {
            // Whom it waits for is no subject, and nobody has an empty name.
            if row.int(2)? == 0 && !row.text(1)?.is_empty() {
                link(&mut record, row, &brought, comes_with_it)?;
            }
        }
        record.subjects.sort_by(|(one, _), (other, _)| {
            let order = (one.namespace().as_str(), one.id().as_str());
            order.cmp(&(other.namespace().as_str(), other.id().as_str()))
        });
        record.history.sort_by_key(|event| event.at);
        if record.state == State::Unlinked && !record.subjects.is_empty() {
            record.state = State::Active;
        }
        Ok(Some(record))
    }

    /// One that the import brings. The first of its rows says its state.
    fn brought(&self, first: &Row, brought: &Event) -> Result<Record, Fault> {
        let word = if first.int(2)? == 1 { "unclaimed" } else { first.text(3)? };
        Ok(Record {
            identity: self.0.clone(),
            state: state(word, false)?,
            created_at: brought.at,
            subjects: Vec::new(),
            history: vec![brought.clone()],
        })
    }
}

/// Adds the subject of a row, unless it is there. Of an identity that was there before it is written down whom it got.
fn link(record: &mut Record, row: &Row, brought: &Event, comes_with_it: bool) -> Result<(), Fault> {
    let (namespace, id) = (row.text(0)?, row.text(1)?);
    let subject = subject(namespace, id)?;
    if record.subjects.iter().any(|(held, _)| *held == subject) {
        return Ok(());
    }
    record.subjects.push((subject, brought.at));
    if !comes_with_it {
        let what = format!("{} {namespace} {id}", brought.what).into();
        record.history.push(Event { what, ..brought.clone() });
    }
    Ok(())
}
