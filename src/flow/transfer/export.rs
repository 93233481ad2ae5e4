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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::transfer::{
        Options,
        scene::{CSV, Fake, Pieces, registrar, subject, take},
        write::tests::any_row,
    };
    use proptest::prelude::*;
    use std::sync::Arc;

    async fn whole(store: &Arc<Fake>, format: Format) -> String {
        let mut exporter = Exporter::new(registrar(store), format);
        let mut text = String::new();
        while let Some(bytes) = exporter.next().await.unwrap() {
            assert!(!bytes.is_empty());
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        assert!(exporter.next().await.unwrap().is_none());
        text
    }

    #[tokio::test]
    async fn an_empty_registry_is_a_header_line_or_nothing() {
        let store = Arc::new(Fake::default());
        let header = "namespace,subject,identity,state\r\n";
        assert_eq!(whole(&store, Format::Csv).await, header);
        assert_eq!(whole(&store, Format::JsonLines).await, "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn an_export_imports_into_an_empty_store_and_exports_to_the_same_bytes(
            rows in proptest::collection::vec(any_row(), 0..30), size in 1..3000_usize,
        ) {
            // One identity a subject, and no row twice.
            let mut held: Vec<Row> = Vec::new();
            for row in rows {
                if !held.iter().any(|other| other.owner == row.owner || other.identity == row.identity) {
                    held.push(row);
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.unwrap().block_on(async {
                for format in [Format::Csv, Format::JsonLines] {
                    let store = Arc::new(Fake::default());
                    store.state().held.clone_from(&held);
                    let text = whole(&store, format).await;
                    let other = Arc::new(Fake::default());
                    let options = Options { format, allow_links: true, ..CSV };
                    take(&other, Pieces::of(&text, size), options).await.0.unwrap();
                    assert_eq!(whole(&other, format).await, text);
                    // The second time nothing is new.
                    let again = take(&other, Pieces::of(&text, size), options).await.0.unwrap();
                    assert_eq!((again.new, again.known), (0, held.len() as u64));
                }
            });
        }
    }

    #[tokio::test]
    async fn a_large_registry_comes_in_pieces_and_each_row_once() {
        let store = Arc::new(Fake::default());
        store.state().held =
            (0..2_500).map(|n| subject(&format!("{n:05}"), &format!("id-{n}"))).collect();
        let text = whole(&store, Format::Csv).await;
        let subjects: Vec<_> =
            text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
        let wanted: Vec<_> = (0..2_500).map(|n| format!("{n:05}")).collect();
        assert_eq!(subjects, wanted);
    }
}
