//! What a search asks of a run besides its trial.

use broker_contract::MemoryDisk;

use super::*;

/// Complaints are kept up to this many; the first is the one to read.
const MOST: usize = 5;

/// What an inspected run has found so far.
#[derive(Debug, Default)]
pub(in crate::modes::sim) struct Inspection {
    complaints: Vec<String>,
}

/// A trial, and what a search wants to know besides.
#[derive(Debug)]
pub struct Inspected {
    /// The trial.
    pub raw: RawTrial,
    /// Invariants that did not hold: when, and what the node said.
    pub complaints: Vec<String>,
    /// Publishes and requests that were submitted and never ended.
    pub never_ended: usize,
    /// What the node's disk held at the end.
    pub disk: MemoryDisk,
}

impl<C: Contender> Sim<C> {
    /// Runs the trial to its end and asks the node about itself on the way.
    pub fn run_inspected(mut self) -> Inspected {
        self.inspection = Some(Box::default());
        let interrupted = self.play(&Watch::default());
        self.inspect("at the end");
        let complaints = self.inspection.take().map(|found| found.complaints).unwrap_or_default();
        let (never_ended, disk) = (self.sender.open(), self.disk.copy());
        let (raw, _) = self.finish(interrupted);
        Inspected { raw, complaints, never_ended, disk }
    }

    /// Asks the node whether its invariants hold, if somebody wants to know.
    pub(in crate::modes::sim) fn inspect(&mut self, when: &str) {
        let (Some(found), Some(node)) = (&mut self.inspection, &self.node) else { return };
        if let Err(what) = node.check_invariants(self.effects.disk())
            && found.complaints.len() < MOST
        {
            let at_s = self.now.nanos_since(self.zero) as f64 / 1e9;
            found.complaints.push(format!("{when}, at {at_s:.6} s: {what}"));
        }
    }

    /// Whether every copy has come and every operation has ended. Without that, a
    /// redelivery or a retry may still be due, although nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.sender.open() == 0 && self.consumers.firsts >= self.sender.expected()
    }
}
