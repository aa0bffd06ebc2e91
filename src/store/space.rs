//! How much room the data directory has: writes are refused before the disk is full, because RocksDB
//! cannot be resumed after it (PRODUCT.md 4.5).

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_told_for_a_directory_and_refused_for_nothing() {
        let place = tempfile::tempdir().expect("a temporary directory");
        assert!(free_bytes(place.path()).is_ok_and(|free| free > 0));
        assert!(free_bytes(&place.path().join("missing")).is_err());
    }
}
