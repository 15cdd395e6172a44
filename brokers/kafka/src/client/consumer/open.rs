//! What the application has in hand, or will have again.
//!
//! The log knows a position and nothing else. That a record comes again until it
//! is acknowledged is therefore this client's work: it keeps what is not settled
//! and hands it out again, and the position is never committed past it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::{Envelope, Time};

use super::PartitionId;

/// A record that is not settled.
#[derive(Debug)]
pub(super) struct Open {
    pub partition: PartitionId,
    pub offset: i64,
    pub message: Envelope,
    /// How often it was handed out.
    pub deliveries: u32,
    /// When it is handed out again, unless it is settled before.
    due: Option<Time>,
}

/// How records come again.
#[derive(Clone, Debug)]
pub(super) struct Again {
    pub ack_wait: Duration,
    pub max_deliver: Option<u32>,
    pub backoff: Box<[Duration]>,
}

impl Again {
    /// The wait before the next delivery of a record that was handed out so often.
    fn wait(&self, deliveries: u32) -> Option<Duration> {
        let place = (deliveries.max(1) - 1) as usize;
        self.backoff.get(place).or(self.backoff.last()).copied()
    }
}

/// What becomes of a record that was not acknowledged.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is handed out again now.
    Again(Envelope),
    /// It was handed out as often as may be.
    Exhausted(Open),
}

/// All records that are not settled, by token.
#[derive(Debug, Default)]
pub(super) struct Opens {
    last: u64,
    open: BTreeMap<u64, Open>,
    timers: BTreeSet<(Time, u64)>,
}

impl Opens {
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// A record is handed out for the first time; its token.
    pub fn begin(
        &mut self,
        now: Time,
        partition: PartitionId,
        offset: i64,
        message: Envelope,
        again: &Again,
    ) -> u64 {
        self.last += 1;
        let due = now + again.wait(1).unwrap_or(again.ack_wait);
        let open = Open { partition, offset, message, deliveries: 1, due: Some(due) };
        self.timers.insert((due, self.last));
        self.open.insert(self.last, open);
        self.last
    }

    fn set_timer(&mut self, token: u64, at: Time) {
        let Some(open) = self.open.get_mut(&token) else { return };
        if let Some(due) = open.due.replace(at) {
            self.timers.remove(&(due, token));
        }
        self.timers.insert((at, token));
    }

    /// It is settled.
    pub fn end(&mut self, token: u64) -> Option<Open> {
        let open = self.open.remove(&token)?;
        if let Some(due) = open.due {
            self.timers.remove(&(due, token));
        }
        Some(open)
    }

    /// Everything that was handed out up to this one, this one included.
    pub fn up_to(&self, token: u64) -> Vec<u64> {
        self.open.range(..=token).map(|(token, _)| *token).collect()
    }

    /// The application is still working on it. Whether it is known.
    pub fn working(&mut self, now: Time, token: u64, again: &Again) -> bool {
        let Some(open) = self.open.get(&token) else { return false };
        let wait = again.wait(open.deliveries).unwrap_or(again.ack_wait);
        self.set_timer(token, now + wait);
        true
    }

    /// The application does not take it. Whether it is known.
    pub fn refused(
        &mut self,
        now: Time,
        token: u64,
        delay: Option<Duration>,
        again: &Again,
    ) -> bool {
        let Some(open) = self.open.get(&token) else { return false };
        let wait = delay.or(again.wait(open.deliveries)).unwrap_or_default();
        // The last delivery there may be needs no wait before it is given up.
        let is_last = again.max_deliver.is_some_and(|max| open.deliveries >= max);
        self.set_timer(token, if is_last { now } else { now + wait });
        true
    }

    /// The next record whose time has come, and its token.
    pub fn due(&mut self, now: Time, again: &Again) -> Option<(u64, Verdict)> {
        let (_, token) = *self.timers.first().filter(|(at, _)| *at <= now)?;
        let deliveries = self.open.get(&token)?.deliveries;
        if again.max_deliver.is_some_and(|max| deliveries >= max) {
            return self.end(token).map(|open| (token, Verdict::Exhausted(open)));
        }
        let deliveries = deliveries + 1;
        self.set_timer(token, now + again.wait(deliveries).unwrap_or(again.ack_wait));
        let open = self.open.get_mut(&token)?;
        open.deliveries = deliveries;
        Some((token, Verdict::Again(open.message.clone())))
    }

    /// Forgets records of a partition from `offset` on; how many there were.
    pub fn forget(&mut self, partition: PartitionId, offset: i64) -> usize {
        let tokens: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.partition == partition && open.offset >= offset)
            .map(|(token, _)| *token)
            .collect();
        for token in &tokens {
            self.end(*token);
        }
        tokens.len()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(max_deliver: Option<u32>, backoff_ms: &[u64]) -> Again {
        let backoff = backoff_ms.iter().map(|ms| Duration::from_millis(*ms)).collect();
        Again { ack_wait: Duration::from_secs(30), max_deliver, backoff }
    }

    fn begin(opens: &mut Opens, again: &Again) -> u64 {
        let message = Envelope::compose(b"a", b"", b"", b"payload");
        opens.begin(Time::ZERO, (0, 0), 7, message, again)
    }

    #[test]
    fn a_record_comes_again_after_each_wait_in_turn() {
        let (mut opens, again) = (Opens::default(), again(None, &[10, 100]));
        let token = begin(&mut opens, &again);
        for at in [10, 110, 210] {
            assert!(opens.due(Time::from_millis(at - 1), &again).is_none());
            let due = opens.due(Time::from_millis(at), &again);
            assert!(matches!(due, Some((same, Verdict::Again(_))) if same == token), "{at}");
        }
        assert!(opens.end(token).is_some() && opens.deadline().is_none());
    }

    #[test]
    fn a_refusal_may_say_when_and_the_last_one_ends_it() {
        let (mut opens, again) = (Opens::default(), again(Some(2), &[]));
        let token = begin(&mut opens, &again);
        assert_eq!(opens.deadline(), Some(Time::from_millis(30_000)));
        assert!(opens.refused(Time::ZERO, token, Some(Duration::from_millis(5)), &again));
        assert!(opens.due(Time::from_millis(4), &again).is_none());
        assert!(opens.due(Time::from_millis(5), &again).is_some());
        assert!(opens.refused(Time::from_millis(6), token, None, &again));
        let due = opens.due(Time::from_millis(6), &again);
        assert!(matches!(due, Some((_, Verdict::Exhausted(open))) if open.deliveries == 2));
        assert!(!opens.refused(Time::from_millis(6), token, None, &again));
    }

    #[test]
    fn work_in_progress_starts_the_wait_again() {
        let (mut opens, again) = (Opens::default(), again(None, &[]));
        let token = begin(&mut opens, &again);
        assert!(opens.working(Time::from_millis(20_000), token, &again));
        assert!(opens.due(Time::from_millis(30_000), &again).is_none());
        assert!(opens.due(Time::from_millis(50_000), &again).is_some());
    }
}
