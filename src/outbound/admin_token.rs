//! The admin token that usher keeps itself, in `admin-token` of the state directory (contract 2, "Admin").
use crate::{domain::secret::Secret, ports::entropy::Entropy};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// No token is longer.
const CAP: u64 = 4 * 1024;

/// Where the token is kept.
pub fn path(state_directory: &Path) -> PathBuf {
    state_directory.join("admin-token")
}

/// The token that is kept, less one newline at the file's end; `None` where there is no file.
///
/// # Errors
/// It cannot be read, or it is empty.
pub fn read(state_directory: &Path) -> io::Result<Option<Secret>> {
    let file = match File::open(path(state_directory)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(CAP).read_to_end(&mut bytes)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidData, "the file is empty: remove it"));
    }
    Ok(Some(Secret::new(bytes)))
}

/// The token that is kept; where there is none, one is made. Two processes on one directory get the same.
///
/// # Errors
/// It can neither be read nor written.
pub fn keep(state_directory: &Path, entropy: &dyn Entropy) -> io::Result<Secret> {
    if let Some(kept) = read(state_directory)? {
        return Ok(kept);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(state_directory)?;
    let mut random = [0; 32];
    entropy.fill(&mut random);
    let token = format!("usher_adm_{}", URL_SAFE_NO_PAD.encode(random));
    let mut unique = [0; 8];
    entropy.fill(&mut unique);
    // Written whole on the side first: nobody can read half of it.
    let draft = state_directory.join(format!("admin-token.{:016x}", u64::from_be_bytes(unique)));
    let placed = write(&draft, &token).and_then(|()| place(&draft, &path(state_directory)));
    // The draft is gone where it was renamed.
    let _ = fs::remove_file(&draft);
    match placed {
        Ok(()) => Ok(Secret::text(token)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            read(state_directory)?.ok_or(error)
        }
        Err(error) => Err(error),
    }
}

fn write(draft: &Path, token: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(token.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Gives the draft its name, unless another process was quicker. Some file systems have no hard links, and others no
/// renaming that overwrites nothing.
fn place(draft: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(draft, name) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Ok(renameat_with(CWD, draft, CWD, name, RenameFlags::NOREPLACE)?)
        }
        placed => placed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::system::SystemEntropy;
    use std::{collections::HashSet, os::unix::fs::PermissionsExt as _, thread};

    #[test]
    fn a_token_is_made_once_and_only_its_owner_may_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("state");
        assert!(read(&folder).unwrap().is_none());
        let token = keep(&folder, &SystemEntropy).unwrap();
        assert_eq!(keep(&folder, &SystemEntropy).unwrap(), token);
        let text = token.reveal_text().unwrap();
        let random = text.strip_prefix("usher_adm_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(random).unwrap().len(), 32);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path(&folder))), (0o700, 0o600));
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|at| at.unwrap().path()).collect();
        assert_eq!(files, [path(&folder)], "no draft stays behind");
    }

    #[test]
    fn those_who_start_at_once_on_one_volume_agree() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let found: HashSet<Vec<u8>> = thread::scope(|scope| {
                let keep = || keep(folder.path(), &SystemEntropy).unwrap().reveal().to_vec();
                let all: Vec<_> = (0..8).map(|_| scope.spawn(keep)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert_eq!(found.len(), 1);
        }
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "\n"] {
            fs::write(path(folder.path()), text).unwrap();
            assert!(keep(folder.path(), &SystemEntropy).is_err());
        }
    }
}
