//! Notices that files changed.
use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// What a set of files looked like at a moment: links followed, so that Kubernetes' swap of `..data` shows.
///
/// Looking is cheap (one `stat` a file) and works where notifications do not: `subPath` mounts, network file
/// systems, exhausted inotify watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance(Vec<Option<Marks>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Glance {
    /// Looks at `files`; a missing one has no marks.
    pub fn at(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| marks(file)).collect())
    }
}

fn marks(file: &Path) -> Option<Marks> {
    let found = std::fs::metadata(file).ok()?;
    Some(Marks {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_swap_of_the_data_link_shows() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("secret"), "same length").unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/secret", at("secret")).unwrap();
        let files = [at("secret")];
        let before = Glance::at(&files);
        assert_eq!(before, Glance::at(&files));

        symlink("..2", at("..new")).unwrap();
        fs::rename(at("..new"), at("..data")).unwrap();

        assert_ne!(before, Glance::at(&files));
    }
}
