//! The root key from its file, and what the parts of the daemon get of it: never the key itself.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::domain::ids::TenantId;
use crate::domain::pseudonym::{RootKey, RootKeyError};
use crate::privacy::audit::{AuditKey, AuditKeys, Head};
use crate::store::{FormerAuditKey, Reroot, RerootStep, Rerooted, RootSecrets, StoreError};

/// Longest file that is read: base64 and a newline are 45 bytes.
const LONGEST_FILE: u64 = 4096;

/// Where systemd puts credentials.
const CREDENTIALS: &str = "/run/credentials";

/// The root key cannot be had from its file.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyFileError {
    /// The file cannot be read.
    #[error("cannot read the root key {}: {error}: check [keys] root; `recalld key generate` makes a key", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Others than its owner may read it, so it may be known already.
    #[error(
        "others may read the root key {} (mode {mode:04o}): `chmod 600` it, and use another key if others did",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds no key.
    #[error("{}: {error}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        error: RootKeyError,
    },
}

/// Reads the root key; refused if others than its owner may read the file (PRODUCT.md 8).
///
/// # Errors
/// [`RootKeyFileError`], which tells paths, permissions and lengths only.
pub fn read(path: &Path) -> Result<RootKey, RootKeyFileError> {
    let unreadable = |error| RootKeyFileError::Unreadable { path: path.to_owned(), error };
    let mut file = File::open(path).map_err(unreadable)?;
    // Of the open file, which is the one that is read.
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    let given = std::env::var_os("CREDENTIALS_DIRECTORY");
    if mode & 0o077 != 0 && !is_credential(path, given.as_deref(), metadata.uid(), mode) {
        return Err(RootKeyFileError::Open { path: path.to_owned(), mode });
    }
    let mut content = Zeroizing::new(Vec::with_capacity(128));
    Read::by_ref(&mut file).take(LONGEST_FILE).read_to_end(&mut content).map_err(unreadable)?;
    RootKey::from_file(&content).map_err(|error| RootKeyFileError::NoKey { path: path.to_owned(), error })
}

/// Whether this is a credential that systemd gave to this service alone. It belongs to root and is opened to the
/// service's user by an access list, whose mask shows where the permissions of a group are.
fn is_credential(path: &Path, given: Option<&OsStr>, owner: u32, mode: u32) -> bool {
    let is_given = given.is_some_and(|directory| path.starts_with(directory)) || path.starts_with(CREDENTIALS);
    is_given && owner == 0 && mode & !0o740 == 0
}

/// What the store gets.
pub(crate) fn for_store(root: &RootKey) -> RootSecrets {
    RootSecrets { check_value: root.check_value(), wrapping_key: root.subkey(b"", "wrap") }
}

/// Gives the data of an installation another root key, while no daemon has it open. `told` hears of each step.
///
/// # Errors
/// A wrong old key and data in use are refused before anything is written.
pub fn replace(
    data: &Path,
    old: &RootKey,
    new: &RootKey,
    told: &mut dyn FnMut(RerootStep),
) -> Result<Rerooted, StoreError> {
    let derive = |tenant: &TenantId, version| Zeroizing::new(*old.pseudonym_key(tenant, version).secret());
    let change = Reroot {
        path: data.to_owned(),
        old: for_store(old),
        new: for_store(new),
        derive: &derive,
        audit_key: audit_key(old),
        audit_end: &|last| last.map_or(Head::default(), Head::of).to_string(),
    };
    change.run(&mut |step| {
        told(step);
        Ok(())
    })
}

fn audit_key(root: &RootKey) -> Zeroizing<[u8; 32]> {
    root.subkey(b"", "audit")
}

/// What the entries of the audit log are authenticated with, and were under earlier root keys.
pub(crate) fn audit_keys(root: &RootKey, former: Vec<FormerAuditKey>) -> AuditKeys {
    // An end that is no head would be one that this program has not written: such a key proves nothing.
    let end = |text: String| text.parse().unwrap_or_default();
    let former = former.into_iter().map(|former| (AuditKey::new(former.key), former.end.map(end))).collect();
    AuditKeys::new(AuditKey::new(audit_key(root))).with_older(former)
}

/// What the cursors of a tenant's watchers are encrypted with.
pub(super) fn cursor_key(root: &RootKey, tenant: &TenantId) -> Zeroizing<[u8; 32]> {
    root.subkey(tenant.as_str().as_bytes(), "cursor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn key_file(content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("root.key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (place, path)
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o660, 0o644, 0o601] {
            let (_place, path) = key_file(&[7; 32], mode);
            assert!(matches!(read(&path), Err(RootKeyFileError::Open { mode: found, .. }) if found == mode));
        }
        for mode in [0o600, 0o400] {
            let (_place, path) = key_file(&[7; 32], mode);
            assert!(read(&path).is_ok());
        }
    }

    #[test]
    fn a_credential_may_have_the_mask_of_an_access_list_where_the_groups_permissions_are() {
        let own = Some(OsStr::new("/run/user/0/credentials/recalld"));
        let is = |path: &str, given, owner, mode| is_credential(Path::new(path), given, owner, mode);
        for path in ["/run/user/0/credentials/recalld/root.key", "/run/credentials/recalld.service/root.key"] {
            for mode in [0o400, 0o440, 0o600, 0o640] {
                assert!(is(path, own, 0, mode), "{path} {mode:o}");
            }
            // Others may read it, or its group may write it, or it is somebody's own file.
            for mode in [0o444, 0o404, 0o460, 0o660, 0o4440] {
                assert!(!is(path, own, 0, mode), "{path} {mode:o}");
            }
            assert!(!is(path, own, 1_000, 0o440), "{path}");
        }
        assert!(is("/run/credentials/recalld.service/root.key", None, 0, 0o440));
        for path in
            ["/etc/recalld/root.key", "/run/credentials.d/root.key", "/run/user/0/credentials/recalldX/root.key"]
        {
            assert!(!is(path, own, 0, 0o440), "{path}");
        }
        assert!(!is("/run/user/0/credentials/recalld/root.key", None, 0, 0o440));
    }

    #[test]
    fn a_file_without_a_key_is_refused_without_telling_its_content() {
        let (_place, path) = key_file(b"hunter2", 0o600);
        let error = read(&path).unwrap_err();
        assert!(matches!(error, RootKeyFileError::NoKey { .. }));
        assert!(!error.to_string().contains("hunter2"));
        assert!(matches!(read(&path.with_extension("none")), Err(RootKeyFileError::Unreadable { .. })));
    }
}
