//! Group commit: answers that wait until what they promise is durable.

use crate::agenda::{Cx, Purpose};
use crate::config::SyncPolicy;
use crate::error::ApiError;

/// An answer that waits for a sync.
#[derive(Debug)]
pub(crate) struct Held {
    pub reply: Box<[u8]>,
    pub body: Vec<u8>,
    /// What is answered when the sync fails.
    pub refusal: Vec<u8>,
}

/// The answers of one stream that wait.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    /// Syncs that run.
    running: u32,
    /// Whether one of them failed.
    has_failed: bool,
    /// Covered by the syncs that run.
    covered: Vec<Held>,
    /// Came since they began.
    next: Vec<Held>,
}

impl Commit {
    pub fn hold(&mut self, held: Held) {
        self.next.push(held);
    }

    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Whether answers wait for a sync that has not begun.
    pub fn has_next(&self) -> bool {
        !self.next.is_empty()
    }

    /// Asks for syncs of `files`, which hold everything that the answers held so
    /// far promise.
    pub fn begin(&mut self, cx: &mut Cx<'_>, files: Vec<broker_contract::FileId>) {
        std::mem::swap(&mut self.covered, &mut self.next);
        self.has_failed = false;
        self.running = files.len() as u32;
        for file in files {
            cx.sync(file, Purpose::Commit);
        }
        if self.running == 0 {
            self.release(cx);
        }
    }

    /// A sync has ended. Returns whether it was the last of its group.
    pub fn synced(&mut self, cx: &mut Cx<'_>, is_durable: bool) -> bool {
        self.has_failed |= !is_durable;
        self.running = self.running.saturating_sub(1);
        if self.running == 0 {
            self.release(cx);
        }
        self.running == 0
    }

    fn release(&mut self, cx: &mut Cx<'_>) {
        for held in self.covered.drain(..) {
            let body = if self.has_failed { &held.refusal } else { &held.body };
            cx.host.send(&held.reply, &held.reply, &[], &[], body);
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        ((self.covered.capacity() + self.next.capacity()) * size_of::<Held>()) as u64
    }
}

/// The refusal that a publish gets when its sync fails.
pub(crate) fn sync_failed() -> ApiError {
    ApiError::store_failed("the store could not be synced")
}

/// Whether acknowledgements wait for syncs.
pub(crate) fn is_always(cx: &Cx<'_>) -> bool {
    cx.config.sync == SyncPolicy::Always
}
