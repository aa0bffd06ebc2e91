//! The thread that appends. It takes everything that is waiting, writes it once, synced, and only then tells everybody:
//! many who wait share one sync, and their order is the order in which they came.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::AuditError;
use super::chain::{AuditKeys, Head, append};
use super::entry::Entry;
use crate::domain::time::Timestamp;
use crate::store::Store;

/// Most entries of one write.
const MOST: usize = 256;

/// An entry to be recorded, and who waits for it.
pub(super) struct Task {
    pub(super) entry: Entry,
    pub(super) told: oneshot::Sender<Result<(), AuditError>>,
}

/// What the thread works with.
pub(super) struct Keeper {
    store: Store,
    keys: Arc<AuditKeys>,
    head: Arc<ArcSwap<Head>>,
    clock: Box<dyn Fn() -> Option<Timestamp> + Send>,
}

impl Keeper {
    pub(super) fn new(
        store: Store,
        keys: Arc<AuditKeys>,
        head: Arc<ArcSwap<Head>>,
        clock: Box<dyn Fn() -> Option<Timestamp> + Send>,
    ) -> Self {
        Self { store, keys, head, clock }
    }

    /// Appends until nobody can record any more.
    pub(super) fn run(self, mut waiting: mpsc::Receiver<Task>) {
        let mut tasks = Vec::with_capacity(MOST);
        while let Some(first) = waiting.blocking_recv() {
            tasks.push(first);
            while tasks.len() < MOST
                && let Ok(next) = waiting.try_recv()
            {
                tasks.push(next);
            }
            let written = self.append(&tasks);
            for Task { told, .. } in tasks.drain(..) {
                // Whoever does not wait any more needs no answer.
                let _ = told.send(written.clone());
            }
        }
    }

    fn append(&self, tasks: &[Task]) -> Result<(), AuditError> {
        let mut head = **self.head.load();
        let at = (self.clock)().ok_or(AuditError::Closed)?;
        let rows: Vec<_> = tasks
            .iter()
            .map(|task| {
                let (row, next) = append(head, &self.keys, at, &task.entry.body());
                head = next;
                row
            })
            .collect();
        self.store.append_audit(&rows)?;
        self.head.store(Arc::new(head));
        Ok(())
    }
}
