//! The file of the socket. Its mode is what lets operators in: owner and group, nobody else.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

/// The socket, bound and not served yet.
pub(in crate::daemon) struct AdminSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// Removes the file when it goes, if it is still this daemon's.
pub(in crate::daemon) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl AdminSocket {
    /// Takes the place of a socket that a killed daemon left behind, not of one that is served.
    pub(in crate::daemon) fn bind(path: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file that is no socket"));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(io::Error::new(ErrorKind::AddrInUse, "another daemon serves it"));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // The mode holds from the first moment, in which somebody could connect.
        let before = rustix::process::umask(Mode::from_raw_mode(0o117));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
        Ok(Self { listener, file })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!("the socket {} cannot be removed: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_owner_and_group_and_goes_with_the_daemon() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("recalld.sock");
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(AdminSocket::bind(&path).err().map(|error| error.kind()), Some(ErrorKind::AddrInUse));
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_daemon_left_is_replaced_and_another_file_is_not() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("recalld.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = AdminSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(second);
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(AdminSocket::bind(&path).err().map(|error| error.kind()), Some(ErrorKind::AlreadyExists));
    }
}
