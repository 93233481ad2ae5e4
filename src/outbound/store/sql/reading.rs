//! What operators and the app read.
use super::{
    Job,
    binding::{identity, names},
    changing::subject,
    feed,
    gate::{self, Stage, moment},
    imported::{limit_of, number},
    tx::{Fault, Row, Tx, Value},
};
use crate::{
    domain::{identity::ChatIdentity, subject::Subject},
    ports::registry::{Changes, Edition, Filter, Holding, Owner, Record, Row as FileRow, State},
};

/// What changed since an edition.
#[derive(Debug)]
pub(super) struct Since(pub(super) Edition);

impl Job for Since {
    type Answer = Changes;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Changes, Fault> {
        feed::changes(tx, self.0).await
    }
}

/// What each subject holds.
#[derive(Debug)]
pub(super) struct Holders(pub(super) Vec<Subject>);

impl Job for Holders {
    type Answer = Vec<Option<Holding>>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Self::Answer, Fault> {
        let import = gate::look(tx, None).await?.import;
        let mut held = Vec::with_capacity(self.0.len());
        for subject in &self.0 {
            let sql = "SELECT identities.identity, identities.state FROM subjects \
                       JOIN identities ON identities.identity = subjects.identity \
                       WHERE subjects.namespace = $1 AND subjects.subject = $2";
            let mut rows = tx.rows(sql, &names(subject)).await?;
            // An import that holds counts, whether or not a row was moved yet.
            if let (true, Some((Stage::Applied, import))) = (rows.is_empty(), import) {
                let sql = "SELECT identity, state FROM staged WHERE import = $1 \
                           AND namespace = $2 AND subject = $3 AND waits = 0";
                let [namespace, id] = names(subject);
                rows = tx.rows(sql, &[number(import.0).into(), namespace, id]).await?;
            }
            held.push(rows.first().map(holding).transpose()?);
        }
        Ok(held)
    }
}

fn holding(row: &Row) -> Result<Holding, Fault> {
    let state = state(row.text(1)?, true)?;
    Ok(Holding { identity: identity(row, 0)?, state })
}

pub(super) fn state(word: &str, has_subjects: bool) -> Result<State, Fault> {
    match (word, has_subjects) {
        ("active", true) => Ok(State::Active),
        ("active", false) => Ok(State::Unlinked),
        ("retired", _) => Ok(State::Retired),
        ("unclaimed", _) => Ok(State::Unclaimed),
        _ => Err(Fault::Damaged),
    }
}

/// Identities in byte order.
#[derive(Debug)]
pub(super) struct List {
    pub(super) filter: Filter,
    pub(super) limit: usize,
}

const HAS_SUBJECT: &str =
    "EXISTS (SELECT 1 FROM subjects s WHERE s.identity = identities.identity)";

impl Job for List {
    type Answer = Vec<Record>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Vec<Record>, Fault> {
        let after = self.filter.after.as_ref().map_or("", ChatIdentity::as_str);
        let mut sql =
            String::from("SELECT identity, state, created_at FROM identities WHERE identity > $1");
        match self.filter.state {
            None => {}
            Some(State::Active) => sql.extend([" AND state = 'active' AND ", HAS_SUBJECT]),
            Some(State::Unlinked) => sql.extend([" AND state = 'active' AND NOT ", HAS_SUBJECT]),
            Some(state @ (State::Retired | State::Unclaimed)) => {
                sql.extend([" AND state = '", state.as_str(), "'"]);
            }
        }
        let mut values = vec![after.into(), limit_of(self.limit)];
        if let Some(namespace) = &self.filter.namespace {
            sql += " AND (EXISTS (SELECT 1 FROM subjects s WHERE s.identity = identities.identity \
                     AND s.namespace = $3) OR EXISTS (SELECT 1 FROM unclaimed u \
                     WHERE u.identity = identities.identity AND u.namespace = $3 AND u.taken = 0))";
            values.push(namespace.as_str().into());
        }
        sql += " ORDER BY identity LIMIT $2";
        let rows = tx.rows(&sql, &values).await?;
        records(tx, &rows).await
    }
}

/// Records without their history, of rows of `identity, state, created_at`.
pub(super) async fn records<T: Tx>(tx: &mut T, rows: &[Row]) -> Result<Vec<Record>, Fault> {
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let identity = identity(row, 0)?;
        let sql = "SELECT namespace, subject, linked_at FROM subjects WHERE identity = $1 \
                   ORDER BY namespace, subject";
        let mut subjects = Vec::new();
        for row in tx.rows(sql, &[identity.as_str().into()]).await? {
            subjects.push((subject(row.text(0)?, row.text(1)?)?, moment(row.int(2)?)));
        }
        records.push(Record {
            state: state(row.text(1)?, !subjects.is_empty())?,
            created_at: moment(row.int(2)?),
            identity,
            subjects,
            history: Vec::new(),
        });
    }
    Ok(records)
}

/// Rows as files have them.
#[derive(Debug)]
pub(super) struct FileRows {
    pub(super) after: Option<FileRow>,
    pub(super) limit: usize,
}

impl Job for FileRows {
    type Answer = Vec<FileRow>;

    async fn run<T: Tx>(&self, tx: &mut T) -> Result<Vec<FileRow>, Fault> {
        let limit = limit_of(self.limit);
        let (namespace, name, waits, last) =
            self.after.as_ref().map_or(("", "", false, ""), FileRow::order);
        if name.is_empty() {
            let sql = "SELECT identity, state FROM identities WHERE identity > $1 \
                       AND state <> 'unclaimed' AND NOT EXISTS \
                       (SELECT 1 FROM subjects s WHERE s.identity = identities.identity) \
                       ORDER BY identity LIMIT $2";
            let rows = tx.rows(sql, &[last.into(), limit]).await?;
            if !rows.is_empty() {
                return rows.iter().map(|row| file_row(Owner::Nobody, row, 0)).collect();
            }
        }
        let mut found = held_rows(tx, [namespace.into(), name.into(), limit]).await?;
        found.extend(waiting_rows(tx, [namespace.into(), name.into(), limit], waits).await?);
        found.sort_by(|one, other| one.order().cmp(&other.order()));
        found.truncate(self.limit);
        Ok(found)
    }
}

async fn held_rows<T: Tx>(tx: &mut T, values: [Value<'_>; 3]) -> Result<Vec<FileRow>, Fault> {
    let sql = "SELECT subjects.namespace, subjects.subject, subjects.identity, identities.state \
               FROM subjects JOIN identities ON identities.identity = subjects.identity \
               WHERE (subjects.namespace, subjects.subject) > ($1, $2) \
               ORDER BY subjects.namespace, subjects.subject LIMIT $3";
    let rows = tx.rows(sql, &values).await?;
    let owner = |row: &Row| Ok(Owner::Subject(row.text(0)?.into(), row.text(1)?.into()));
    rows.iter().map(|row| file_row(owner(row)?, row, 2)).collect()
}

/// Those that wait stand behind a subject of the same name.
async fn waiting_rows<T: Tx>(
    tx: &mut T,
    values: [Value<'_>; 3],
    is_behind: bool,
) -> Result<Vec<FileRow>, Fault> {
    let sql = format!(
        "SELECT namespace, value, identity, 'active' FROM unclaimed \
         WHERE taken = 0 AND (namespace, value) {} ($1, $2) \
         ORDER BY namespace, value LIMIT $3",
        if is_behind { ">" } else { ">=" }
    );
    let rows = tx.rows(&sql, &values).await?;
    let owner = |row: &Row| Ok(Owner::Waiting(row.text(0)?.into(), row.text(1)?.into()));
    rows.iter().map(|row| file_row(owner(row)?, row, 2)).collect()
}

fn file_row(owner: Owner, row: &Row, at: usize) -> Result<FileRow, Fault> {
    let is_retired = row.text(at + 1)? == "retired";
    Ok(FileRow { owner, identity: identity(row, at)?, is_retired, derived_with: None })
}
