//! How keys of the database and the clear parts of its values are written. No plaintext identifier is
//! part of a key, because RocksDB repeats keys in its own files: tenants and releases have numbers,
//! session IDs are pseudonyms already.

use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;

/// A database key on the stack.
#[derive(Clone, Copy)]
pub(super) struct Key {
    bytes: [u8; 64],
    len: usize,
}

impl Key {
    const fn new() -> Self {
        Self { bytes: [0; 64], len: 0 }
    }

    fn with(mut self, part: &[u8]) -> Self {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(part) {
            *to = *from;
        }
        self.len += part.len();
        self
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Bytes with which all `log` keys of a long time begin: a higher half of their sequence.
pub(super) const LOG_PREFIX: usize = 4;

/// `log`: sequence, tenant, release. What is written later is behind everything before, whose ever it is: files of the
/// log never overlap, so that RocksDB has nothing to merge.
pub(super) fn log_key(sequence: u64, tenant: u32, release: u32) -> Key {
    log_bound(sequence).with(&tenant.to_be_bytes()).with(&release.to_be_bytes())
}

/// What stands before all `log` keys from this sequence on.
pub(super) fn log_bound(sequence: u64) -> Key {
    Key::new().with(&sequence.to_be_bytes())
}

/// What a log record adds to the length of the log: key and value.
pub(super) fn log_bytes(value: &[u8]) -> u64 {
    16 + u64::try_from(value.len()).unwrap_or(0)
}

/// Sequence, tenant and release of a `log` key.
pub(super) fn read_log_key(key: &[u8]) -> Option<(u64, u32, u32)> {
    (key.len() == 16).then_some(())?;
    Some((read_u64(key, 0)?, read_u32(key, 8)?, read_u32(key, 12)?))
}

/// `sessions` and `active`: tenant, session ID.
pub(super) fn session_key(tenant: u32, session: &SessionId) -> Key {
    Key::new().with(&tenant.to_be_bytes()).with(session.as_bytes())
}

/// What stands before all [`session_key`]s of a tenant whose session IDs begin with these bytes.
pub(super) fn session_bound(tenant: u32, start: &[u8]) -> Key {
    Key::new().with(&tenant.to_be_bytes()).with(start)
}

/// Reads [`session_key`] back.
pub(super) fn read_session_key(key: &[u8]) -> Option<(u32, SessionId)> {
    Some((read_u32(key, 0)?, SessionId::from_bytes(key.get(4..)?)?))
}

/// `aliases`: tenant, key version, rule version, keyed value.
pub(super) fn alias_key(tenant: u32, key_version: u32, rule_version: u16, value: &[u8; 32]) -> Key {
    Key::new()
        .with(&tenant.to_be_bytes())
        .with(&key_version.to_be_bytes())
        .with(&rule_version.to_be_bytes())
        .with(value)
}

/// What stands before all aliases of a tenant under one key version, and behind them.
pub(super) fn alias_bounds(tenant: u32, key_version: u32) -> (Key, Key) {
    let of = |version: u32| Key::new().with(&tenant.to_be_bytes()).with(&version.to_be_bytes());
    match key_version.checked_add(1) {
        Some(next) => (of(key_version), of(next)),
        None => (of(key_version), tenant_bounds(tenant).1),
    }
}

/// What stands before everything of a tenant in a family whose keys begin with it, and behind it.
pub(super) fn tenant_bounds(tenant: u32) -> (Key, Key) {
    let from = Key::new().with(&tenant.to_be_bytes());
    match tenant.checked_add(1) {
        Some(next) => (from, Key::new().with(&next.to_be_bytes())),
        // Longer than any key with this beginning.
        None => (from, Key::new().with(&[0xff; 64])),
    }
}

/// Key version and rule version of an `aliases` key.
pub(super) fn read_alias_versions(key: &[u8]) -> Option<(u32, u16)> {
    Some((read_u32(key, 4)?, key.get(8..10)?.try_into().ok().map(u16::from_be_bytes)?))
}

/// `expiry`: deadline in milliseconds since the Unix epoch, tenant, session ID. Before the epoch there are no deadlines.
pub(super) fn expiry_key(at: Timestamp, tenant: u32, session: &SessionId) -> Key {
    expiry_bound(at).with(&tenant.to_be_bytes()).with(session.as_bytes())
}

/// What stands before all entries of `expiry` from this time on.
pub(super) fn expiry_bound(at: Timestamp) -> Key {
    Key::new().with(&u64::try_from(at.unix_millis()).unwrap_or(0).to_be_bytes())
}

/// Reads [`expiry_key`] back.
pub(super) fn read_expiry_key(key: &[u8]) -> Option<(Timestamp, u32, SessionId)> {
    let at = Timestamp::from_unix_millis(i64::try_from(read_u64(key, 0)?).ok()?);
    let (tenant, session) = read_session_key(key.get(8..)?)?;
    Some((at, tenant, session))
}

/// `meta`: a name and a number.
pub(super) fn numbered_key(prefix: &[u8], number: u32) -> Key {
    Key::new().with(prefix).with(&number.to_be_bytes())
}

/// `meta`: a session whose data is damaged.
pub(super) fn damaged_key(prefix: &[u8], tenant: u32, session: &SessionId) -> Key {
    Key::new().with(prefix).with(&tenant.to_be_bytes()).with(session.as_bytes())
}

pub(super) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// What stands before the sealed commit in a `log` value: the session in clear.
pub(super) fn start_log_value(session: &SessionId, capacity: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(capacity);
    value.push(u8::try_from(session.as_bytes().len()).unwrap_or(0));
    value.extend_from_slice(session.as_bytes());
    value
}

/// What a `log` value says in clear, and its sealed commit. An empty sealed part means that the session
/// was forgotten here: what came before it in the log must not come back to life.
pub(super) fn read_log_value(value: &[u8]) -> Option<(SessionId, &[u8])> {
    let (length, rest) = value.split_first()?;
    let (session, sealed) = rest.split_at_checked(usize::from(*length))?;
    Some((SessionId::from_bytes(session)?, sealed))
}

/// Bytes before the sealed record in a `sessions` value.
const RECORD_HEADER: usize = 12;

/// What stands before the sealed record in a `sessions` value: room for the sequence it contains, which
/// only the writer knows, and the release.
pub(super) fn start_record_value(release: u32, capacity: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(capacity);
    value.extend_from_slice(&0_u64.to_be_bytes());
    value.extend_from_slice(&release.to_be_bytes());
    value
}

/// Fills in the sequence a record contains.
pub(super) fn set_applied(value: &mut [u8], applied: u64) {
    for (to, from) in value.iter_mut().zip(applied.to_be_bytes()) {
        *to = from;
    }
}

/// The sequence a `sessions` value contains.
pub(super) fn read_applied(value: &[u8]) -> Option<u64> {
    read_u64(value, 0)
}

/// The release of a `sessions` value and its sealed record.
pub(super) fn read_record_value(value: &[u8]) -> Option<(u32, &[u8])> {
    Some((read_u32(value, 8)?, value.get(RECORD_HEADER..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for session in [SessionId::Caller([0xa5; 32]), SessionId::Anonymous([7; 16])] {
            assert_eq!(read_session_key(session_key(9, &session).as_ref()), Some((9, session)));
            let value = start_log_value(&session, 64);
            assert_eq!(read_log_value(&value), Some((session, &[][..])));
        }
        for session in [SessionId::Caller([0xa5; 32]), SessionId::Anonymous([7; 16])] {
            let at = Timestamp::from_unix_millis(1_790_000_000_123);
            assert_eq!(read_expiry_key(expiry_key(at, 9, &session).as_ref()), Some((at, 9, session)));
        }
        let mut value = start_record_value(7, 64);
        set_applied(&mut value, 9);
        assert_eq!((read_applied(&value), read_record_value(&value)), (Some(9), Some((7, &[][..]))));
        assert_eq!(read_log_key(log_key(u64::MAX, 1, 2).as_ref()), Some((u64::MAX, 1, 2)));
        assert_eq!(alias_key(1, 2, 3, &[4; 32]).as_ref().len(), 42);
        assert_eq!(read_alias_versions(alias_key(1, 2, 3, &[4; 32]).as_ref()), Some((2, 3)));
    }

    #[test]
    fn log_keys_sort_by_sequence_whose_ever_they_are() {
        assert!(log_key(255, 2, 2).as_ref() < log_key(256, 1, 1).as_ref());
        assert!(log_key(1, u32::MAX, u32::MAX).as_ref() < log_bound(2).as_ref());
        assert!(log_bound(2).as_ref() < log_key(2, 0, 0).as_ref());
    }

    #[test]
    fn bounds_hold_all_of_theirs_and_nothing_else() {
        for (tenant, version) in [(1, 2), (1, u32::MAX), (u32::MAX, 2), (u32::MAX, u32::MAX)] {
            for (from, to) in [alias_bounds(tenant, version), tenant_bounds(tenant)] {
                for value in [[0; 32], [0xff; 32]] {
                    let key = alias_key(tenant, version, u16::MAX, &value);
                    assert!(from.as_ref() <= key.as_ref() && key.as_ref() < to.as_ref(), "{tenant} {version}");
                }
            }
        }
        let (from, to) = alias_bounds(1, 2);
        assert!(alias_key(1, 1, u16::MAX, &[0xff; 32]).as_ref() < from.as_ref());
        assert!(to.as_ref() <= alias_key(1, 3, 0, &[0; 32]).as_ref());
        assert!(tenant_bounds(1).1.as_ref() <= alias_key(2, 0, 0, &[0; 32]).as_ref());
    }

    #[test]
    fn short_values_are_no_values() {
        assert_eq!(read_log_value(&[]), None);
        assert_eq!(read_log_value(&[32, 1, 2]), None);
        assert_eq!(read_record_value(&[0; 11]), None);
        assert_eq!(read_log_key(&[0; 15]), None);
        assert_eq!(read_session_key(&[0; 10]), None);
    }
}
