//! The registry as a file, piece by piece (contract 4, `export`).
use super::{Format, write};
use crate::{
    flow::registry::Registrar,
    ports::{registry::Row, store::StoreError},
};
use bytes::Bytes;

/// So many rows are asked for at a time.
const AT_ONCE: usize = 1_000;

/// Writes the registry out, ordered by [`Row::order`]. Rows that come while it goes on may be in it or not.
#[derive(Debug)]
pub struct Exporter {
    registrar: Registrar,
    format: Format,
    state: Written,
}

#[derive(Debug)]
enum Written {
    Nothing,
    UpTo(Row),
    All,
}

impl Exporter {
    /// Nothing is written yet.
    pub fn new(registrar: Registrar, format: Format) -> Self {
        Self { registrar, format, state: Written::Nothing }
    }

    /// The next bytes of the file, some 100 KiB, never none; `None` at its end.
    ///
    /// # Errors
    /// The store cannot answer. What was written so far is no whole backup.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut text = String::new();
        let after = match &self.state {
            Written::Nothing => {
                // An import that holds belongs into it.
                self.registrar.settle().await?;
                text.push_str(write::head(self.format));
                None
            }
            Written::UpTo(row) => Some(row),
            Written::All => return Ok(None),
        };
        let rows = self.registrar.store().rows(after, AT_ONCE).await?;
        for row in &rows {
            write::row(self.format, row, &mut text);
        }
        self.state = match rows.into_iter().next_back() {
            Some(last) => Written::UpTo(last),
            None => Written::All,
        };
        Ok((!text.is_empty()).then(|| text.into()))
    }
}
