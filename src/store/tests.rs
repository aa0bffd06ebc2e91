//! The promises of the store, on a real RocksDB.
