//! The publishing half of the ledger.

use super::numbers::{Numbers, PAGE, WORDS, Words};
use super::seen::SeenLog;

/// How an attempt to publish ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attempt {
    /// The broker acknowledged it.
    Acked,
    /// It definitely did not take place.
    Failed,
    /// Nobody can tell. Also what an attempt is of which nothing was heard.
    Unknown,
    /// It went out, and nothing will be heard of it.
    Sent,
}

/// What was attempted, how it ended, and who must receive it. Written by the
/// thread that publishes.
#[derive(Clone, Debug, Default)]
pub struct SentLog {
    attempted: Numbers,
    acked: Numbers,
    failed: Numbers,
    sent: Numbers,
    expected: Vec<Numbers>,
}

/// A page of attempts by how they ended, as bitmaps without overlap.
pub(super) struct Endings {
    pub attempted: Box<Words>,
    pub acked: Box<Words>,
    pub failed: Box<Words>,
    pub unacked: Box<Words>,
    pub unknown: Box<Words>,
}

impl SentLog {
    /// An empty log over `scopes` scopes.
    pub fn new(scopes: u32) -> Self {
        SentLog { expected: vec![Numbers::default(); scopes as usize], ..SentLog::default() }
    }

    /// How many scopes there are.
    pub fn scopes(&self) -> u32 {
        self.expected.len() as u32
    }

    /// Message `number` is handed to a client. Numbers come in ascending order.
    #[inline]
    pub fn attempt(&mut self, number: u32) {
        self.attempted.insert(number);
    }

    /// `scope` must receive message `number`, which is attempted.
    ///
    /// # Panics
    /// If there is no such scope.
    #[inline]
    pub fn expect(&mut self, scope: u32, number: u32) {
        self.expected[scope as usize].insert(number);
    }

    /// How the attempt at message `number` ended. The first definite end stays:
    /// an acknowledgement after a time-out counts, and nothing after an
    /// acknowledgement does. Returns whether this changed anything; it does not
    /// for a message that was never attempted.
    #[inline]
    pub fn outcome(&mut self, number: u32, how: Attempt) -> bool {
        let (target, others) = match how {
            Attempt::Acked => (&mut self.acked, [&self.failed, &self.sent]),
            Attempt::Failed => (&mut self.failed, [&self.acked, &self.sent]),
            Attempt::Sent => (&mut self.sent, [&self.acked, &self.failed]),
            Attempt::Unknown => return false,
        };
        self.attempted.contains(number)
            && !others.iter().any(|other| other.contains(number))
            && target.insert(number)
    }

    /// Messages attempted.
    pub fn attempted(&self) -> u64 {
        self.attempted.len()
    }

    /// Of these, acknowledged.
    pub fn acked(&self) -> u64 {
        self.acked.len()
    }

    /// Of these, definitely failed.
    pub fn failed(&self) -> u64 {
        self.failed.len()
    }

    /// Of these, sent with nothing to be heard.
    pub fn unacked(&self) -> u64 {
        self.sent.len()
    }

    /// Of these, those of which nothing is known so far.
    pub fn unknown(&self) -> u64 {
        self.attempted() - self.acked() - self.failed() - self.unacked()
    }

    /// Copies that `scope` was to receive, whatever became of the attempts.
    pub fn expected(&self, scope: u32) -> u64 {
        self.expected[scope as usize].len()
    }

    /// Copies that all scopes were to receive, whatever became of the attempts.
    pub fn expected_in_all(&self) -> u64 {
        self.expected.iter().map(Numbers::len).sum()
    }

    /// Whether `scope` was to receive message `number`.
    pub fn is_expected(&self, scope: u32, number: u32) -> bool {
        self.expected[scope as usize].contains(number)
    }

    /// Copies that were to come, whatever became of the attempts, and that `seen`
    /// does not have, as number and scope.
    ///
    /// # Panics
    /// If `seen` is over fewer scopes.
    pub fn missing(&self, seen: &SeenLog) -> Vec<(u32, u32)> {
        let mut out = Vec::new();
        let (mut wanted, mut found) = (Box::new([0; WORDS]), Box::new([0; WORDS]));
        for (scope, expected) in (0..).zip(&self.expected) {
            let came = &seen.scope(scope).numbers;
            for page in (0..expected.pages()).filter(|page| !expected.same_page(came, *page)) {
                expected.read_page(page, &mut wanted);
                came.read_page(page, &mut found);
                for (word, (wanted, found)) in (0..).zip(wanted.iter().zip(found.iter())) {
                    let mut left = wanted & !found;
                    while left != 0 {
                        let low = word * 64 + left.trailing_zeros();
                        out.push((page as u32 * PAGE + low, scope));
                        left &= left - 1;
                    }
                }
            }
        }
        out
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let sets = [&self.attempted, &self.acked, &self.failed, &self.sent];
        sets.into_iter().chain(&self.expected).map(Numbers::heap_bytes).sum::<usize>()
            + self.expected.capacity() * size_of::<Numbers>()
    }

    pub(super) fn expected_numbers(&self, scope: u32) -> &Numbers {
        &self.expected[scope as usize]
    }

    /// One more than the last page that may hold an attempt or an expectation.
    pub(super) fn pages(&self) -> usize {
        let expected = self.expected.iter().map(Numbers::pages).max().unwrap_or(0);
        self.attempted.pages().max(expected)
    }

    /// Whether every number of a page was attempted, and ended well.
    pub(super) fn is_plain(&self, page: usize) -> bool {
        let attempted = self.attempted.page_len(page);
        attempted == u64::from(super::numbers::PAGE)
            && attempted == self.acked.page_len(page) + self.sent.page_len(page)
    }

    pub(super) fn read_page(&self, page: usize, into: &mut Endings) {
        self.attempted.read_page(page, &mut into.attempted);
        self.acked.read_page(page, &mut into.acked);
        self.failed.read_page(page, &mut into.failed);
        self.sent.read_page(page, &mut into.unacked);
        for (word, unknown) in into.unknown.iter_mut().enumerate() {
            *unknown =
                into.attempted[word] & !(into.acked[word] | into.failed[word] | into.unacked[word]);
        }
    }
}

impl Endings {
    pub fn new() -> Endings {
        let words = || Box::new([0; super::numbers::WORDS]);
        Endings {
            attempted: words(),
            acked: words(),
            failed: words(),
            unacked: words(),
            unknown: words(),
        }
    }
}

#[cfg(test)]
mod tests {
    use broker_contract::Identity;

    use super::*;

    #[test]
    fn what_was_to_come_and_did_not_is_missing_from_its_scope() {
        let (mut log, mut seen) = (SentLog::new(2), SeenLog::new(2));
        for number in 0..70_000 {
            log.attempt(number);
            for scope in 0..2 {
                log.expect(scope, number);
                if number != 65_537 + scope {
                    let (producer, sequence, key) = (0, number, 0);
                    let identity =
                        Identity { producer, sequence, number, key, intended_ns: 0, lag_ns: 0 };
                    seen.record(scope, identity, false);
                }
            }
        }
        assert_eq!(log.missing(&seen), [(65_537, 0), (65_538, 1)]);
        log.expect(0, 3);
        assert_eq!(log.missing(&SeenLog::new(2)).len(), 140_000);
    }
}
