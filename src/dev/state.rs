//! What `usher dev` keeps between runs: keys and throw-away credentials, made at random per directory.
use crate::{
    domain::{
        secret::Secret,
        sid::{AccountSid, ApiKeySid, ServiceSid},
    },
    ports::entropy::Entropy,
};
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The directory, below the working directory.
pub const FOLDER: &str = ".usher/dev";

/// No file of the directory is longer.
const CAP: u64 = 64 * 1024;

/// The kept keys and credentials. None of them is worth anything elsewhere.
#[derive(Debug)]
pub struct DevState {
    /// Where they are kept.
    pub folder: PathBuf,
    /// The file of the identity key.
    pub identity_key_file: PathBuf,
    /// The file of the API key's secret.
    pub secret_file: PathBuf,
    /// A made-up account.
    pub account: AccountSid,
    /// A made-up API key.
    pub api_key: ApiKeySid,
    /// A made-up service.
    pub service: ServiceSid,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DevStateError {
    /// The host refuses.
    #[error("{} cannot be used; is the directory writable?", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the host said.
        #[source]
        source: io::Error,
    },
    /// Somebody changed a file.
    #[error("{} does not hold what usher wrote; remove {FOLDER} to begin anew", .0.display())]
    Damaged(PathBuf),
}

impl DevState {
    /// Opens `folder`, 0700, or makes it; makes what is missing in it, 0600.
    ///
    /// # Errors
    /// Each variant of [`DevStateError`].
    pub fn open(folder: &Path, entropy: &dyn Entropy) -> Result<Self, DevStateError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| DevStateError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(at(folder))?;
        // One that was there may have been made with other rights.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(at(folder))?;
        let folder = fs::canonicalize(folder).map_err(at(folder))?;
        let sid = |name: &str, prefix: &str| {
            let made = || format!("{prefix}{}", random_hex(entropy, 16));
            kept(&folder.join(name), made)
        };
        let state = Self {
            account: parsed(sid("account-sid", "AC")?)?,
            api_key: parsed(sid("api-key-sid", "SK")?)?,
            service: parsed(sid("service-sid", "IS")?)?,
            identity_key_file: folder.join("identity-key"),
            secret_file: folder.join("api-key-secret"),
            folder,
        };
        kept(&state.identity_key_file, || random_hex(entropy, 32))?;
        kept(&state.secret_file, || random_hex(entropy, 16))?;
        Ok(state)
    }

    /// The file of that name, made from `make` where it is missing.
    ///
    /// # Errors
    /// [`DevStateError::Io`].
    pub fn keep(&self, name: &str, make: impl FnOnce() -> String) -> Result<Secret, DevStateError> {
        kept(&self.folder.join(name), make).map(|file| Secret::text(file.text))
    }
}

struct Kept {
    path: PathBuf,
    text: String,
}

/// Reads a file, or makes it whole before anyone can see it.
fn kept(path: &Path, make: impl FnOnce() -> String) -> Result<Kept, DevStateError> {
    let failed = |source| DevStateError::Io { path: path.to_owned(), source };
    match fs::File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(CAP).read_to_string(&mut text).map_err(failed)?;
            let text = text.trim_end_matches('\n').to_owned();
            Ok(Kept { path: path.to_owned(), text })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make();
            written(path, &text).map_err(failed)?;
            Ok(Kept { path: path.to_owned(), text })
        }
        Err(error) => Err(failed(error)),
    }
}

fn written(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

fn parsed<T: std::str::FromStr>(kept: Kept) -> Result<T, DevStateError> {
    kept.text.parse().map_err(|_| DevStateError::Damaged(kept.path))
}

fn random_hex(entropy: &dyn Entropy, bytes: usize) -> String {
    use std::fmt::Write as _;
    let mut random = vec![0; bytes];
    entropy.fill(&mut random);
    random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::entropy::CountedEntropy;

    #[test]
    fn what_was_made_once_is_found_again_and_nobody_else_may_read_it() {
        let parent = tempfile::tempdir().unwrap();
        let (folder, entropy) = (parent.path().join("a/dev"), CountedEntropy::default());
        let first = DevState::open(&folder, &entropy).unwrap();
        let again = DevState::open(&folder, &entropy).unwrap();
        assert_eq!((&first.account, &first.service), (&again.account, &again.service));
        assert_eq!(fs::read_to_string(&first.identity_key_file).unwrap().len(), 64);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&first.secret_file)), (0o700, 0o600));
    }

    #[test]
    fn a_changed_file_is_named() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("account-sid"), "nonsense").unwrap();
        let error = DevState::open(parent.path(), &CountedEntropy::default()).unwrap_err();
        assert!(error.to_string().contains("account-sid does not hold"), "{error}");
    }
}
