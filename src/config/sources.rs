//! Where a configuration comes from.
use crate::domain::time::Timestamp;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

/// Everything a configuration is made of. Kept, so that it can be read again.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `--config FILE`; without it the environment configures.
    pub file: Option<PathBuf>,
    /// The process's environment.
    pub environment: Environment,
    /// `--set PATH=VALUE`, over the file or the environment.
    pub set: Vec<String>,
    /// `--default PATH=VALUE`, under the file or the environment.
    pub default: Vec<String>,
    /// The present moment: `auditUntil` lies at most 30 days ahead of it.
    pub now: Timestamp,
    /// Tells whether a folder's mount is read-only; a test can say otherwise than the kernel.
    pub is_read_only: fn(&Path) -> bool,
}

impl Sources {
    /// Reads `file`, or the environment, as things are at `now`.
    pub fn new(file: Option<PathBuf>, environment: Environment, now: Timestamp) -> Self {
        let (set, default) = (Vec::new(), Vec::new());
        Self { file, environment, set, default, now, is_read_only: mount_is_read_only }
    }
}

/// Asks the kernel; where it does not answer, the mount is taken for a writable one.
fn mount_is_read_only(folder: &Path) -> bool {
    use rustix::fs::StatVfsMountFlags;
    rustix::fs::statvfs(folder).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Environment variables, as a value: nobody but the process's entry asks the real ones.
///
/// `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

/// A variable is set to what is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotText;

impl Environment {
    /// Takes variables, such as those of `std::env::vars_os`.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// The value of `name`. Compose files and charts write an empty value for "not set".
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, NotText> {
        match self.0.get(OsStr::new(name)) {
            None => Ok(None),
            Some(value) => {
                value.to_str().ok_or(NotText).map(|text| Some(text).filter(|text| !text.is_empty()))
            }
        }
    }

    /// The names that are text.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().filter_map(|name| name.to_str())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self::new(variables.map(|(name, value)| (name.into(), value.into())))
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_not_set() {
        let environment = Environment::from([("A", ""), ("B", "b")]);
        assert_eq!(environment.get("A"), Ok(None));
        assert_eq!(environment.get("B"), Ok(Some("b")));
    }

    #[test]
    fn p13_an_environment_prints_names_and_no_values() {
        let environment = Environment::from([("TWILIO_API_SECRET", "hunter2")]);
        let shown = format!("{environment:?}");
        assert!(shown.contains("TWILIO_API_SECRET") && !shown.contains("hunter2"));
    }

    #[test]
    fn a_mount_that_can_be_written_is_not_taken_for_a_read_only_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!mount_is_read_only(folder.path()));
        assert!(!mount_is_read_only(Path::new("/no/such/folder")));
    }
}
