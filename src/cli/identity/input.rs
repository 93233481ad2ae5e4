//! The file of an import: read by a thread of its own, since one that waits for a pipe cannot be called back.
use super::args::FileFormat;
use crate::{
    cli::run::Signals,
    flow::transfer::{Format, Source},
};
use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// So much is read at a time, and so many of those may wait.
const PIECE: usize = 64 * 1024;
const WAITING: usize = 4;

/// A file, or standard input, until a signal.
pub(super) struct Input {
    /// Read already, to know the format.
    first: Option<Bytes>,
    pieces: Receiver<io::Result<Bytes>>,
    signals: Signals,
    /// How many bytes there will be, where that is known.
    pub(super) size: Option<u64>,
}

impl Input {
    /// Opens `path`; `-` is standard input.
    pub(super) async fn open(path: &Path, signals: Signals) -> io::Result<Self> {
        let (input, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path)?;
            let about = file.metadata()?;
            if about.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            (Box::new(file), about.is_file().then_some(about.len()))
        };
        let (to, pieces) = channel(WAITING);
        std::thread::Builder::new().name("import-reader".into()).spawn(move || read(input, &to))?;
        let mut input = Self { first: None, pieces, signals, size };
        input.first = input.next().await?;
        Ok(input)
    }

    /// What it is written in: as was said, else by its name's ending, else by its first character.
    pub(super) fn format(&self, said: Option<FileFormat>, path: &Path) -> Format {
        match said.or_else(|| by_name(path)) {
            Some(FileFormat::Csv) => Format::Csv,
            Some(FileFormat::Jsonl) => Format::JsonLines,
            None => by_content(self.first.as_deref().unwrap_or_default()),
        }
    }
}

fn by_name(path: &Path) -> Option<FileFormat> {
    let ending = path.extension()?;
    if ending.eq_ignore_ascii_case("csv") {
        Some(FileFormat::Csv)
    } else if ending.eq_ignore_ascii_case("jsonl") || ending.eq_ignore_ascii_case("ndjson") {
        Some(FileFormat::Jsonl)
    } else {
        None
    }
}

fn by_content(bytes: &[u8]) -> Format {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if bytes.first() == Some(&b'{') { Format::JsonLines } else { Format::Csv }
}

fn read(mut input: Box<dyn Read + Send>, to: &Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let piece = match input.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(piece.into())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = piece.is_err();
        if to.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}

impl Source for Input {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        tokio::select! {
            biased;
            () = self.signals.end() => Err(io::ErrorKind::Interrupted.into()),
            piece = self.pieces.recv() => piece.transpose(),
        }
    }

    async fn stopped(&mut self) {
        self.signals.end().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_the_files_name_or_its_first_character() {
        assert_eq!(by_name(Path::new("a/users.CSV")), Some(FileFormat::Csv));
        assert_eq!(by_name(Path::new("users.jsonl")), Some(FileFormat::Jsonl));
        assert_eq!(by_name(Path::new("users.csv.ndjson")), Some(FileFormat::Jsonl));
        for name in ["-", "users", "users.txt", "csv"] {
            assert_eq!(by_name(Path::new(name)), None, "{name}");
        }
        assert_eq!(by_content(b"\xef\xbb\xbf\r\n {\"namespace\""), Format::JsonLines);
        assert_eq!(by_content(b"namespace,subject"), Format::Csv);
        assert_eq!(by_content(b""), Format::Csv);
    }
}
