//! The node's files: appends are written before anything is said of them, and
//! syncs run on a thread of their own, which wakes the loop.

use std::sync::{Arc, Mutex, PoisonError};

use broker_contract::{Broker, Codec, DiskError, FileId, Input, MemoryDisk, SyncToken};
use mio::Waker;

use super::{Server, Watcher};
use crate::disk::{FileDisk, SyncThread};

/// Syncs that have ended and the loop has not seen.
type Ended = Arc<Mutex<Vec<(SyncToken, Result<(), DiskError>)>>>;

/// What a server with real files has beside its node's disk.
#[derive(Debug)]
pub(super) struct Store {
    syncer: SyncThread,
    ended: Ended,
    failed: Option<DiskError>,
}

impl Store {
    pub(super) fn new(disk: FileDisk, waker: Arc<Waker>) -> Store {
        let ended = Ended::default();
        let told = ended.clone();
        let syncer = SyncThread::start(disk, move |token, result| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push((token, result));
            // A server that has ended cannot be woken, and need not be.
            let _ = waker.wake();
        });
        Store { syncer, ended, failed: None }
    }

    /// Why it is of no more use, if it is.
    pub(super) fn failed(&mut self) -> Option<DiskError> {
        self.failed.take()
    }
}

impl<C: Codec, W: Watcher<C::Broker>> Server<C, W> {
    /// Hands what the node appended to the system. Returns whether that worked;
    /// if not, none of what the node wanted done with it is done, as if it had
    /// been killed before.
    pub(super) fn write_store(&mut self) -> bool {
        let Some(store) = &mut self.store else { return true };
        if store.failed.is_none()
            && let Err(error) = self.effects.disk().flush()
        {
            store.failed = Some(error);
        }
        if store.failed.is_some() {
            self.effects.clear();
        }
        store.failed.is_none()
    }

    /// Asks for a sync. In memory it is done at once.
    pub(super) fn sync(&mut self, file: FileId, token: SyncToken) {
        self.counts.syncs_total += 1;
        if let Some(store) = &self.store {
            store.syncer.sync(file, token);
            return;
        }
        if let Some(disk) = self.effects.disk_as::<MemoryDisk>() {
            disk.complete_sync(file);
            self.node.handle(self.now, Input::Synced { token, result: Ok(()) }, &mut self.effects);
        }
    }

    /// Tells the node of the syncs that have ended.
    pub(super) fn synced(&mut self) {
        let Some(store) = &self.store else { return };
        let ended = {
            let mut ended = store.ended.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *ended)
        };
        if ended.is_empty() {
            return;
        }
        for (token, result) in ended {
            self.node.handle(self.now, Input::Synced { token, result }, &mut self.effects);
        }
        self.release();
    }
}
