//! The commands of a transaction, kept until EXEC.

use broker_contract::Frame;

use crate::frame::Up;

/// What MULTI began.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// In the order in which they came.
    pub commands: Vec<Up>,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Whether one was refused, so that EXEC will be, too.
    pub dirty: bool,
}

impl Transaction {
    /// Keeps one more.
    pub fn push(&mut self, up: Up) {
        self.bytes += up.wire_len() as u64;
        self.commands.push(up);
    }

    /// An estimate from what it holds.
    pub fn memory_bytes(&self) -> usize {
        self.commands.capacity() * size_of::<Up>() + self.bytes as usize
    }
}
