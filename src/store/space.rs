//! The file system of the data directory: how much room it has, because RocksDB cannot be resumed after a full disk
//! (PRODUCT.md 4.5), and whether it delays syncs.

use std::path::Path;

use super::error::StoreError;

/// Bytes the daemon may still write to the file system of `path`.
///
/// # Errors
/// When the system does not tell.
pub fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let figures = rustix::fs::statvfs(path).map_err(|error| StoreError::io(path, error))?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// Whether the file system of `path` tells the disk with each deletion what is free now (mount option `discard`). RocksDB
/// deletes files all the time, and on many disks no sync comes to its end beside that: calls wait for some dozens of
/// milliseconds each time. False if it cannot be told.
#[must_use]
pub fn discards(path: &Path) -> bool {
    let Ok(file) = rustix::fs::stat(path) else { return false };
    let device = (rustix::fs::major(file.st_dev), rustix::fs::minor(file.st_dev));
    std::fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| discards_by(&mounts, device))
}

/// The same by the lines of `mountinfo` (`proc_pid_mountinfo(5)`): the third word is the device, the last one the options of
/// the file system, whatever is mounted of it and wherever.
fn discards_by(mounts: &str, (major, minor): (u32, u32)) -> bool {
    let device = format!("{major}:{minor}");
    let options = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(&device))
        .filter_map(|line| line.rsplit(' ').next());
    options.flat_map(|options| options.split(',')).any(|option| option == "discard" || option.starts_with("discard="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_discards_is_known_by_its_own_options() {
        let mounts = "21 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,errors=remount-ro\n\
            22 21 254:1 / /var/lib/recalld rw,discard shared:1 - ext4 /dev/vdb rw,nodiscard\n\
            23 21 254:2 / /srv rw - f2fs /dev/vdc rw,discard=async\n";
        let found = [(254, 0), (254, 1), (254, 2), (8, 1)].map(|device| discards_by(mounts, device));
        assert_eq!(found, [true, false, true, false]);
        assert!(!discards_by("", (254, 0)) && !discards_by("half a line", (254, 0)));
    }

    #[test]
    fn free_space_is_told_for_a_directory_and_refused_for_nothing() {
        let place = tempfile::tempdir().expect("a temporary directory");
        assert!(free_bytes(place.path()).is_ok_and(|free| free > 0));
        assert!(free_bytes(&place.path().join("missing")).is_err());
    }
}
