//! What the database holds, read through RocksDB: some of it is compressed in its files.

use std::path::Path;

use rocksdb::{DB, IteratorMode, Options};

/// A row, with the name of its column family.
pub struct Row {
    /// The column family.
    pub family: String,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// All rows of a database that nobody has open, without changing anything in it.
#[must_use]
pub fn rows(database: &Path) -> Vec<Row> {
    let options = Options::default();
    let families = DB::list_cf(&options, database).unwrap();
    let db = DB::open_cf_for_read_only(&options, database, &families, false).unwrap();
    let rows_of = |family: &String| {
        let entries = db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start);
        let rows = entries.map(Result::unwrap);
        let rows =
            rows.map(|(key, value)| Row { family: family.clone(), key: key.into_vec(), value: value.into_vec() });
        rows.collect::<Vec<_>>()
    };
    families.iter().flat_map(rows_of).collect()
}
