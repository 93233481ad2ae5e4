//! What the sections read with: values by their keys, secrets and files by what names them.
use super::{
    mistake::{Place, Report},
    plain,
    sources::{NotText, Sources},
    text,
    tree::Cursor,
};
use crate::domain::secret::Secret;
use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// The largest secret, certificate chain or key that is read.
const MOST_BYTES: u64 = 1 << 20;

/// Reads settings from a tree, and gathers what is wrong.
///
/// The shape has been checked before: a value that does not parse here has been reported, and is passed over.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    pub(super) sources: &'s Sources,
    pub(super) report: Report,
}

impl<'s> Reader<'s> {
    /// Starts to read `sources`.
    pub(super) fn of(sources: &'s Sources) -> Self {
        Self { sources, report: Report::on(sources.file.as_deref()) }
    }

    /// The path that `text` means: a relative one starts at the folder of the configuration file, wherever
    /// the process was started.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        let folder = self.sources.file.as_deref().and_then(Path::parent);
        folder.map_or_else(|| PathBuf::from(text), |folder| folder.join(text))
    }

    /// What `{file: PATH}` or `{env: NAME}` names, less one newline at a file's end.
    pub(super) fn secret(&mut self, at: &Cursor<'_>) -> Option<Secret> {
        match (at.get("file"), at.get("env")) {
            (Some(file), None) => {
                let path = self.path(file.text().filter(|path| text::path(path).is_ok())?);
                let mut bytes = self.file(&path, &file)?;
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                if bytes.is_empty() {
                    file.unfit(&mut self.report, "this file holds nothing but a newline");
                    return None;
                }
                Some(Secret::new(bytes))
            }
            (None, Some(name)) => self.variable(&name),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    /// PEM, of which at least one block has the `label`.
    pub(super) fn pem(&mut self, at: &Cursor<'_>, label: &str) -> Option<Secret> {
        let secret = self.secret(at)?;
        let mut lines = secret.reveal().split(|byte| *byte == b'\n');
        let found = lines.any(|line| {
            line.starts_with(b"-----BEGIN ") && line.trim_ascii_end().ends_with(label.as_bytes())
        });
        if !found {
            let what = label.trim_end_matches('-').to_ascii_lowercase();
            at.unfit(
                &mut self.report,
                format!("this holds no {what} in PEM (it begins with -----BEGIN)"),
            );
            return None;
        }
        Some(secret)
    }

    fn variable(&mut self, name: &Cursor<'_>) -> Option<Secret> {
        let wanted = name.text().filter(|name| text::variable(name).is_ok())?;
        match self.sources.environment.get(wanted) {
            Ok(Some(value)) => return Some(Secret::text(value)),
            Ok(None) => name.unfit(&mut self.report, "this environment variable is not set"),
            Err(NotText) => name.unfit(&mut self.report, "this environment variable is not UTF-8"),
        }
        None
    }

    /// The bytes of a file that only its owner, or nobody, can put in the place of another.
    fn file(&mut self, path: &Path, at: &Cursor<'_>) -> Option<Vec<u8>> {
        self.report.touched(path);
        let bytes = read(path).and_then(|bytes| {
            guard(path, self.sources.is_read_only)?;
            Ok(bytes)
        });
        bytes.map_err(|error| at.unfit(&mut self.report, error.to_string())).ok()
    }

    /// The text of one of the variables that are read beside a file.
    pub(super) fn variable_text(&mut self, name: &str) -> Option<&'s str> {
        let sources = self.sources;
        sources.environment.get(name).unwrap_or_else(|NotText| {
            self.variable_wrong(name, "this is not UTF-8");
            None
        })
    }

    /// Reports that a variable is wrong.
    pub(super) fn variable_wrong(&mut self, name: &str, what: impl Into<String>) {
        self.report.wrong(&Place::Variable(name.into()), "", what);
    }

    /// The parsed text of `key`.
    pub(super) fn parsed<T: FromStr>(at: &Cursor<'_>, key: &str) -> Option<T> {
        at.get(key)?.text()?.parse().ok()
    }
}

/// Why a file's bytes cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("this file does not exist")]
    Missing,
    #[error("this file cannot be read: permission denied (let usher's user read it)")]
    Denied,
    #[error("this is a folder (name a file in it)")]
    Folder,
    #[error("this is no regular file")]
    Irregular,
    #[error("this file is empty")]
    Empty,
    #[error("this file is larger than 1 MiB")]
    Large,
    #[error("this file cannot be read: {0}")]
    Other(ErrorKind),
    #[error(
        "others may write to the folder of this file, and put another in its place (chmod o-w the folder)"
    )]
    Exposed,
}

/// A file's bytes, at most 1 MiB. Nothing that could block is opened.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let cannot = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Unreadable::Missing,
        ErrorKind::PermissionDenied => Unreadable::Denied,
        kind => Unreadable::Other(kind),
    };
    let about = fs::metadata(path).map_err(cannot)?;
    if about.is_dir() {
        return Err(Unreadable::Folder);
    }
    if !about.is_file() {
        return Err(Unreadable::Irregular);
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match bytes.len() as u64 {
        0 => Err(Unreadable::Empty),
        1..=MOST_BYTES => Ok(bytes),
        _ => Err(Unreadable::Large),
    }
}

/// Refuses a folder that others may write, unless its mount is read-only, as Kubernetes' are (contract 2).
pub(super) fn guard(path: &Path, is_read_only: fn(&Path) -> bool) -> Result<(), Unreadable> {
    let real = fs::canonicalize(path).ok();
    for file in [Some(path), real.as_deref()].into_iter().flatten() {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let others = fs::metadata(folder).is_ok_and(|of| of.permissions().mode() & 0o002 != 0);
        if others && !is_read_only(folder) {
            return Err(Unreadable::Exposed);
        }
    }
    Ok(())
}

/// The duration of `key`, or what holds without it.
pub(super) fn duration(at: Option<&Cursor<'_>>, key: &str, default: Duration) -> Option<Duration> {
    match at.and_then(|at| at.get(key)) {
        None => Some(default),
        Some(value) => text::duration(value.text()?).ok(),
    }
}

/// The flag of `key`; `false` without it.
pub(super) fn flag(at: Option<&Cursor<'_>>, key: &str) -> bool {
    let value = at.and_then(|at| at.get(key));
    value.and_then(|value| value.text()).and_then(plain::boolean).unwrap_or(false)
}

/// The texts of the list at `key`; `None` where it is absent.
pub(super) fn texts(at: &Cursor<'_>, key: &str) -> Option<Vec<Box<str>>> {
    let list = at.get(key)?;
    Some(list.items().filter_map(|item| item.text()).map(Box::from).collect())
}
