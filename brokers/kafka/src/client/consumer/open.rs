//! What the application has in hand, or will have again.
//!
//! The log knows a position and nothing else. That a record comes again until it
//! is acknowledged is therefore this client's work: it keeps what is not settled
//! and hands it out again, and the position is never committed past it.
//!
//! What was handed out may wait long in the application, which works on one
//! record after the other. A copy more of a record that still waits there makes
//! it wait longer still: a wait shorter than what is queued would breed copies
//! faster than anybody can take them. So a record does not come again while an
//! earlier copy of it waits, as far as the application's answers show: whoever
//! answers for one copy has taken all that were handed out before it. An
//! application that says nothing at all for as long as the wait is believed to
//! have taken everything.

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
    /// The first and the last of its copies, in the order of handing out, that
    /// may still wait in the application.
    copies: (u64, u64),
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
    /// Copies handed out, which gives each its number.
    handed: u64,
    /// The application has taken every copy up to this one.
    taken: u64,
    /// When the application last said anything.
    heard_at: Time,
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
        self.handed += 1;
        let due = now + again.wait(1).unwrap_or(again.ack_wait);
        let copies = (self.handed, self.handed);
        let open = Open { partition, offset, message, deliveries: 1, due: Some(due), copies };
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

    /// The application says something of this record, so it has taken a copy of it
    /// and all that were handed out before. Of several copies it may be the first.
    pub fn heard(&mut self, now: Time, token: u64) {
        self.heard_at = now;
        if let Some(open) = self.open.get_mut(&token) {
            self.taken = self.taken.max(open.copies.0);
            open.copies.0 = (self.taken + 1).min(open.copies.1);
        }
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
        let Some(open) = self.open.get_mut(&token) else { return false };
        // It is asked for, whatever else of it waits.
        open.copies = (0, 0);
        let wait = delay.or(again.wait(open.deliveries)).unwrap_or_default();
        // The last delivery there may be needs no wait before it is given up.
        let is_last = again.max_deliver.is_some_and(|max| open.deliveries >= max);
        self.set_timer(token, if is_last { now } else { now + wait });
        true
    }

    /// The next record whose time has come, and its token.
    pub fn due(&mut self, now: Time, again: &Again) -> Option<(u64, Verdict)> {
        let (token, deliveries) = loop {
            let (_, token) = *self.timers.first().filter(|(at, _)| *at <= now)?;
            let open = self.open.get(&token)?;
            let wait = again.wait(open.deliveries).unwrap_or(again.ack_wait);
            let quiet_at = self.heard_at + wait;
            if open.copies.1 <= self.taken || quiet_at <= now {
                break (token, open.deliveries);
            }
            self.set_timer(token, quiet_at);
        };
        if again.max_deliver.is_some_and(|max| deliveries >= max) {
            return self.end(token).map(|open| (token, Verdict::Exhausted(open)));
        }
        let deliveries = deliveries + 1;
        self.set_timer(token, now + again.wait(deliveries).unwrap_or(again.ack_wait));
        self.handed += 1;
        let open = self.open.get_mut(&token)?;
        let first = if open.copies.1 <= self.taken { self.handed } else { open.copies.0 };
        open.copies = (first, self.handed);
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

    /// Everything that is handed out again by `now`, in order.
    fn come_again(opens: &mut Opens, now_ms: u64, again: &Again) -> Vec<u64> {
        std::iter::from_fn(|| opens.due(Time::from_millis(now_ms), again))
            .map(|(token, _)| token)
            .collect()
    }

    #[test]
    fn what_still_waits_in_the_application_does_not_come_again() {
        let (mut opens, again) = (Opens::default(), again(None, &[50]));
        let tokens: Vec<u64> = (0..500).map(|_| begin(&mut opens, &again)).collect();
        // One record each millisecond; every tenth fails without a word.
        let mut queue: std::collections::VecDeque<u64> = tokens.into();
        let mut worked = 0;
        for now_ms in 1..2_000 {
            queue.extend(come_again(&mut opens, now_ms, &again));
            let Some(token) = queue.pop_front() else { continue };
            worked += 1;
            if worked % 10 != 0 {
                opens.heard(Time::from_millis(now_ms), token);
                opens.end(token);
            }
        }
        assert_eq!(opens.len(), 0);
        assert!((550..=560).contains(&worked), "500 records, 55 failures, no copy more: {worked}");
    }

    #[test]
    fn a_silent_application_is_believed_to_have_taken_everything() {
        let (mut opens, again) = (Opens::default(), again(None, &[50]));
        let tokens: Vec<u64> = (0..3).map(|_| begin(&mut opens, &again)).collect();
        opens.heard(Time::from_millis(20), tokens[0]);
        opens.end(tokens[0]);
        assert_eq!(come_again(&mut opens, 69, &again), []);
        assert_eq!(come_again(&mut opens, 70, &again), tokens[1..]);
        // An answer may be to the first copy, so the second may still wait.
        opens.heard(Time::from_millis(80), tokens[2]);
        opens.end(tokens[2]);
        assert_eq!(come_again(&mut opens, 129, &again), []);
        assert_eq!(come_again(&mut opens, 130, &again), [tokens[1]]);
    }

    #[test]
    fn a_record_is_not_given_up_while_its_last_copy_waits() {
        let (mut opens, again) = (Opens::default(), again(Some(1), &[50]));
        let tokens: Vec<u64> = (0..3).map(|_| begin(&mut opens, &again)).collect();
        opens.heard(Time::from_millis(45), tokens[0]);
        opens.end(tokens[0]);
        assert!(opens.due(Time::from_millis(50), &again).is_none());
        opens.heard(Time::from_millis(90), tokens[2]);
        opens.end(tokens[2]);
        let due = opens.due(Time::from_millis(95), &again);
        assert!(matches!(due, Some((token, Verdict::Exhausted(_))) if token == tokens[1]));
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
