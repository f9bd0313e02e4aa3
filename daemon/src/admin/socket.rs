//! The socket's file: made 0660 for the group `usherd`, taken over from a dead daemon, never from a live one.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

use usher_client::process::accounts;

/// The bound socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct AdminSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon answers there.
    #[error(
        "another usherd answers on {}; stop it, or choose another socket with `admin-socket`", .0.display()
    )]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{} is there already and is no socket; move it away, or choose another with `admin-socket`", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot make the admin socket {}: {source}; let the user that runs usherd write in its directory, or choose another with `admin-socket`", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl AdminSocket {
    /// Binds the socket at `path`.
    ///
    /// # Errors
    /// [`SocketError`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        make_directory(path).map_err(failed)?;
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path).map_err(failed)?
            }
            bound => bound.map_err(failed)?,
        };
        open_to_group(path).map_err(failed)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // A file that stays is taken over by the next start.
        let _ = fs::remove_file(&self.path);
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() && !directory.exists() => {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(directory)
        }
        _ => Ok(()),
    }
}

/// A `kill -9` leaves the file behind: nobody answers there.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    let about = fs::symlink_metadata(path).map_err(failed)?;
    if !about.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::info!("{}: taken over from a daemon that is gone", path.display());
            fs::remove_file(path).map_err(failed)
        }
        _ => Err(SocketError::InUse(path.to_owned())),
    }
}

fn open_to_group(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    if let Some(group) = accounts::group_id(GROUP)
        && let Err(error) = std::os::unix::fs::chown(path, None, Some(group))
    {
        // An ordinary user's own daemon serves that user alone.
        tracing::debug!("the admin socket stays with its user, not the group {GROUP}: {error}");
    }
    Ok(())
}

const GROUP: &str = "usherd";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/admin.sock");
        let first = AdminSocket::bind(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o660
        );
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(SocketError::InUse(_))
        ));
        drop(first);
        assert!(!path.exists());
        // As `kill -9` leaves it: bound once, nobody listening.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        // A program that another test is just starting may have a copy of that listener for a moment.
        for _ in 0..1000 {
            if AdminSocket::bind(&path).is_ok() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        AdminSocket::bind(&path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(
            AdminSocket::bind(&path),
            Err(SocketError::NotASocket(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
