//! A transaction as statements see it.
use std::{error::Error, future::Future, sync::Arc};

/// A transaction. Parameters are `$1`, `$2`, …; no statement holds a value itself.
pub trait Tx: Send {
    /// What stands behind a `SELECT` that shares its rows with others who only share them, until the end.
    const SHARE: &'static str;

    /// What a statement finds.
    fn rows(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<Row>, Fault>> + Send;

    /// How many rows a statement changes.
    fn run(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, Fault>> + Send;
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// A text that is not there.
    NoText,
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::NoText, Self::Text)
    }
}

/// A row that was found.
#[derive(Clone, Debug, Default)]
pub struct Row(pub Vec<Cell>);

/// One column of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A text.
    Text(Box<str>),
    /// A whole number.
    Int(i64),
    /// Nothing.
    Null,
}

impl Row {
    /// The text in column `at`, from 0.
    pub fn text(&self, at: usize) -> Result<&str, Fault> {
        self.maybe_text(at)?.ok_or(Fault::Damaged)
    }

    /// The same where it may be missing.
    pub fn maybe_text(&self, at: usize) -> Result<Option<&str>, Fault> {
        match self.0.get(at) {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(_)) | None => Err(Fault::Damaged),
        }
    }

    /// The whole number in column `at`.
    pub fn int(&self, at: usize) -> Result<i64, Fault> {
        match self.0.get(at) {
            Some(Cell::Int(number)) => Ok(*number),
            Some(Cell::Text(_) | Cell::Null) | None => Err(Fault::Damaged),
        }
    }
}

/// Why a transaction came to nothing.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A row we wrote does not read back.
    Damaged,
    /// It lost against another transaction, and may be tried again at once.
    Lost,
    /// The database could not be reached, or did not do it.
    Unavailable(Arc<dyn Error + Send + Sync>),
}

impl Fault {
    /// A fault of which there is only this to say.
    pub fn said(reason: &'static str) -> Self {
        Self::Unavailable(Arc::from(Box::<dyn Error + Send + Sync>::from(reason)))
    }
}
