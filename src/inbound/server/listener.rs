//! Opens the sockets that usher listens on (contract 2).
use std::{
    fmt, fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A port; 0 chooses a free one.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who may connect to a socket file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Its owner and group: mode 0660.
    Group,
    /// Its owner alone: mode 0600.
    Owner,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Group => 0o660,
            Self::Owner => 0o600,
        }
    }
}

/// Why an address cannot be listened on (exit 69). Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process has it.
    #[error("{0} is in use by another process: stop it, or choose another address")]
    InUse(Address),
    /// The host said no.
    #[error("cannot listen on {0}")]
    Refused(Address, #[source] io::Error),
    /// Whoever may write the directory can put a socket of their own in the place of ours.
    #[error("{}: others may write this directory, so the socket in it could be replaced: \
             take that right away, or name a directory below it and usher makes it", .0.display())]
    OpenDirectory(PathBuf),
    /// Something else is in the way; usher does not delete what it did not make.
    #[error("{}: there is a file that is not a socket: remove it, or choose another path", .0.display())]
    NotSocket(PathBuf),
}

/// An open listener. Its socket file goes when it is dropped.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    pub(super) async fn bind(address: &Address, access: Access) -> Result<Self, BindError> {
        let refused = |error: io::Error| {
            if error.kind() == io::ErrorKind::AddrInUse {
                BindError::InUse(address.clone())
            } else {
                BindError::Refused(address.clone(), error)
            }
        };
        match address {
            Address::Tcp(to) => TcpListener::bind(to).await.map(Self::Tcp).map_err(refused),
            Address::Unix(path) => {
                prepare_directory(path, address)?;
                clear_stale(path, address).await?;
                let listener = UnixListener::bind(path).map_err(refused)?;
                fs::set_permissions(path, fs::Permissions::from_mode(access.mode()))
                    .map_err(refused)?;
                let file = SocketFile::at(path).map_err(refused)?;
                Ok(Self::Unix(listener, file))
            }
        }
    }

    /// Where it really listens.
    pub(super) fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Address::Tcp),
            Self::Unix(_, file) => Ok(Address::Unix(file.path.clone())),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Small answers must not wait for the client's delayed ACK.
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener, _) => {
                listener.accept().await.map(|(stream, _)| Accepted::Unix(stream))
            }
        }
    }
}

fn prepare_directory(path: &Path, address: &Address) -> Result<(), BindError> {
    let refused = |error| BindError::Refused(address.clone(), error);
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let found = match fs::metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(refused)?;
            fs::metadata(directory)
        }
        found => found,
    };
    if found.map_err(refused)?.mode() & 0o002 != 0 {
        return Err(BindError::OpenDirectory(directory.to_owned()));
    }
    Ok(())
}

/// Removes a socket file that nobody listens on any more.
async fn clear_stale(path: &Path, address: &Address) -> Result<(), BindError> {
    let refused = |error| BindError::Refused(address.clone(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::NotSocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        // Anything else, a full backlog included, is the sign of somebody who listens.
        Ok(_) | Err(_) => Err(BindError::InUse(address.clone())),
    }
}

/// Our socket's file: removed with it, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), inode: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let now = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if now.is_ok_and(|now| now == self.inode) {
            // Where it cannot be removed, the next start finds that nobody listens on it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_socket_is_0660_in_a_directory_made_0750_and_goes_with_its_listener() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = root.path().join("below/usher.sock");
        let listener = Listener::bind(&Address::Unix(path.clone()), Access::Group).await.unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o750));
        drop(listener);
        assert!(!path.exists());
        let _private = Listener::bind(&Address::Unix(path.clone()), Access::Owner).await.unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[tokio::test]
    async fn a_directory_that_others_may_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let bound =
            Listener::bind(&Address::Unix(root.path().join("usher.sock")), Access::Group).await;
        assert!(matches!(bound, Err(BindError::OpenDirectory(_))));
    }

    #[tokio::test]
    async fn a_socket_file_is_taken_over_only_if_nobody_listens_on_it() {
        let root = tempfile::tempdir().unwrap();
        let address = Address::Unix(root.path().join("usher.sock"));
        let Address::Unix(path) = &address else { unreachable!() };
        let first = std::os::unix::net::UnixListener::bind(path).unwrap();
        assert!(matches!(Listener::bind(&address, Access::Group).await, Err(BindError::InUse(_))));
        drop(first);
        assert!(path.exists());
        Listener::bind(&address, Access::Group).await.unwrap();
        fs::write(path, "precious").unwrap();
        assert!(matches!(
            Listener::bind(&address, Access::Group).await,
            Err(BindError::NotSocket(_))
        ));
        assert_eq!(fs::read(path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
        let taken = Listener::bind(&any, Access::Group).await.unwrap();
        let address = taken.address().unwrap();
        let error = Listener::bind(&address, Access::Group).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{address} is in use by another process: stop it, or choose another address")
        );
    }
}
