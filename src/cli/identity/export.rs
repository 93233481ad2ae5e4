//! `usher identity export`.
use super::{
    Output,
    args::{ExportOptions, FileFormat},
    desk::{Desk, store_failed},
};
use crate::{
    cli::{exit::Exit, terminal::complain},
    flow::transfer::{Exporter, Format},
};
use std::io::{self, Write as _};

/// Writes the registry to standard output, as it is read.
pub(super) async fn run(desk: &Desk<'_>, options: &ExportOptions) -> Result<Exit, Exit> {
    let format = match (options.format, desk.output) {
        (Some(FileFormat::Csv), _) | (None, Output::Table) => Format::Csv,
        (Some(FileFormat::Jsonl), _) | (None, Output::Json) => Format::JsonLines,
    };
    let mut exporter = Exporter::new(desk.registrar.clone(), format);
    loop {
        let bytes = exporter.next().await.map_err(|error| {
            complain("usher: what was written so far is no whole backup");
            store_failed(&error)
        })?;
        let mut out = io::stdout().lock();
        let written = match bytes {
            Some(bytes) => out.write_all(&bytes),
            None => return Ok(ended(out.flush())),
        };
        if written.is_err() {
            return Ok(ended(written));
        }
    }
}

/// A reader that went away (`usher identity export | head`) is no failure.
fn ended(written: io::Result<()>) -> Exit {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("usher: standard output: {error}"));
            Exit::Unavailable
        }
        Ok(()) | Err(_) => Exit::Done,
    }
}
