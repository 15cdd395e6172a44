//! Whether a consumer agrees with itself, with its stream and with the journal.

use super::{Consumer, Position};
use crate::agenda::Agenda;
use crate::store::Store;

impl Consumer {
    /// Compares its lists, figures and timers with each other and with the stream.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self, store: &Store, agenda: &Agenda, stream: u32) -> Result<(), String> {
        let last = store.state().last;
        if self.delivered.stream > last || self.cursor > last + 1 {
            let (delivered, cursor) = (self.delivered.stream, self.cursor);
            return Err(format!(
                "delivered {delivered}, next {cursor}, but the stream ends at {last}"
            ));
        }
        let lasts = self.lasts.iter().filter(|seq| store.has(**seq)).count();
        if lasts != self.lasts.len() {
            return Err("a last message of a subject is gone".to_owned());
        }
        let ahead = store.count(&self.matcher, self.cursor) + lasts as u64;
        if ahead != self.ahead {
            return Err(format!("{ahead} messages are ahead, {} are counted", self.ahead));
        }
        if let Some(seq) = self.pending.keys().chain(&self.given_up).find(|seq| !store.has(**seq)) {
            return Err(format!("it holds on to {seq}, which the stream has not"));
        }
        if let Some(seq) = self.given_up.iter().find(|seq| self.pending.contains_key(*seq)) {
            return Err(format!("{seq} was given up and waits"));
        }
        if !self.needs_acks() && !self.pending.is_empty() {
            return Err("messages wait for acknowledgements that nobody owes".to_owned());
        }
        self.check_moments(agenda, stream)
    }

    /// Whatever waits for a moment must have a timer that comes by then.
    fn check_moments(&self, agenda: &Agenda, stream: u32) -> Result<(), String> {
        if self.timer.is_some_and(|at| !agenda.has(at, stream, self.place)) {
            return Err("its timer is not set".to_owned());
        }
        for (seq, pending) in &self.pending {
            if pending.is_queued {
                if !self.again.contains(seq) {
                    return Err(format!("{seq} is queued, and not in the queue"));
                }
            } else if self.ack_at.is_none() {
                return Err(format!("nothing brings {seq} again"));
            }
        }
        let beat = self.push.as_ref().and_then(|push| push.beat_at);
        let moments = [self.ack_at, self.pull_at, self.idle_at, self.later_at, beat];
        let first = moments.into_iter().flatten().min();
        match (first, self.timer) {
            (Some(first), Some(timer)) if timer <= first => Ok(()),
            (None, _) => Ok(()),
            (Some(first), timer) => Err(format!("it waits for {first:?}, its timer is {timer:?}")),
        }
    }

    /// Compares with `other`, which was read back from the journal.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check_journal(&self, other: &Consumer, keeps_settled: bool) -> Result<(), String> {
        let Position { consumer, stream } = other.delivered;
        if other.delivered != self.delivered {
            return Err(format!(
                "the journal says {stream} ({consumer}), it is {:?}",
                self.delivered
            ));
        }
        let in_memory = self.pending.iter().map(|(seq, one)| (*seq, one.consumer_seq, one.count));
        let on_disk = other.pending.iter().map(|(seq, one)| (*seq, one.consumer_seq, one.count));
        if !in_memory.eq(on_disk) {
            let counts = (other.pending.len(), self.pending.len());
            return Err(format!("the journal lets {} wait, it {}, or others", counts.0, counts.1));
        }
        if !keeps_settled && other.given_up != self.given_up {
            return Err(format!(
                "the journal gave up {:?}, it {:?}",
                other.given_up, self.given_up
            ));
        }
        Ok(())
    }
}
