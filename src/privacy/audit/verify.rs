//! Looks at the whole chain: what was changed, removed or reordered, and with a head noted elsewhere also what was cut
//! off.

use serde::Serialize;

use super::CHUNK;
use super::chain::{AuditKeys, Head, Parts, Reach};
use crate::store::{AuditRow, StoreError};

/// Most faults that are told one by one.
const MOST_FAULTS: usize = 100;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Entries that were read.
    pub entries: u64,
    /// The end of the log as it is.
    pub head: Head,
    /// What is wrong, the first hundred of it.
    pub faults: Vec<Fault>,
    /// How many faults there are.
    pub fault_count: u64,
    /// Whether a head was given: without one, entries that were cut off at the end are not missed.
    pub against_head: bool,
    /// The last entry with the key of an earlier root key whose end was not noted when it was replaced: whoever has that
    /// root key can have written everything up to here.
    pub unproved_up_to: Option<u64>,
}

impl Verdict {
    /// Whether nothing is wrong, as far as that can be told.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.fault_count == 0
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The entry.
    pub sequence: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the whole log and follows its chain.
///
/// # Errors
/// What `read` says.
pub fn verify(
    mut read: impl FnMut(u64, usize) -> Result<Vec<AuditRow>, StoreError>,
    keys: &AuditKeys,
    noted: Option<Head>,
) -> Result<Verdict, StoreError> {
    let mut look = Look { keys, noted, last: Head::default(), proves: true, verdict: Verdict::new(noted) };
    loop {
        let rows = read(look.last.sequence, CHUNK)?;
        if rows.is_empty() {
            return Ok(look.finish());
        }
        for row in &rows {
            look.at(row);
        }
    }
}

impl Verdict {
    fn new(noted: Option<Head>) -> Self {
        Self {
            entries: 0,
            head: Head::default(),
            faults: Vec::new(),
            fault_count: 0,
            against_head: noted.is_some(),
            unproved_up_to: None,
        }
    }

    fn fault(&mut self, sequence: u64, what: &'static str) {
        self.fault_count += 1;
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(Fault { sequence, what });
        }
    }
}

struct Look<'a> {
    keys: &'a AuditKeys,
    noted: Option<Head>,
    last: Head,
    /// Whether the MAC of the entry before is known. It is not behind a gap and behind a row that cannot be read, so the
    /// first entry there cannot be looked at; the gap itself is a fault.
    proves: bool,
    verdict: Verdict,
}

impl Look<'_> {
    fn at(&mut self, row: &AuditRow) {
        self.verdict.entries += 1;
        let expected = self.last.sequence.saturating_add(1);
        if row.sequence != expected {
            self.verdict.fault(expected, "this entry, or several from it on, were removed");
            self.proves = false;
        }
        match Parts::read(&row.value) {
            None => {
                self.verdict.fault(row.sequence, "this entry was changed: it cannot be read");
                self.proves = false;
            }
            Some(parts) => {
                if self.proves {
                    match parts.follows(row.sequence, &self.last.mac, self.keys) {
                        Some(true) => {}
                        Some(false) => self
                            .verdict
                            .fault(row.sequence, "this entry was changed or moved, or the one before it was replaced"),
                        None => self.verdict.fault(row.sequence, "this entry was changed: its key is not known"),
                    }
                }
                self.proves = true;
                match parts.reach(self.keys) {
                    Reach::UpTo(end) if row.sequence > end.sequence => {
                        self.verdict
                            .fault(row.sequence, "this entry has the key of a root key that was replaced before it");
                    }
                    Reach::Unnoted => self.verdict.unproved_up_to = Some(row.sequence),
                    Reach::UpTo(_) | Reach::Whole => {}
                }
            }
        }
        self.last = Head::of(row);
        if self.keys.ends().any(|end| end.sequence == row.sequence && end != self.last) {
            self.verdict
                .fault(row.sequence, "this entry is not the one that was the last when the root key was changed");
        }
        if self.noted.is_some_and(|noted| noted.sequence == row.sequence && noted != self.last) {
            self.verdict.fault(row.sequence, "this entry is not the one that was noted as head");
        }
    }

    fn finish(mut self) -> Verdict {
        let end = self.keys.ends().map(|end| end.sequence).max().unwrap_or(0);
        if end > self.last.sequence {
            self.verdict.fault(end, "entries up to this one, the last when the root key was changed, were cut off");
        }
        if let Some(noted) = self.noted.filter(|noted| noted.sequence > self.last.sequence) {
            self.verdict.fault(noted.sequence, "entries up to this one, the noted head, were cut off at the end");
        }
        self.verdict.head = self.last;
        self.verdict
    }
}
