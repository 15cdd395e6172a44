//! The queue against a binary heap that numbers its pushes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::EventQueue;

#[derive(Default)]
struct Oracle {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    pushes: u32,
}

/// Both queues side by side; the item is the number of its push.
#[derive(Default)]
struct Pair {
    queue: EventQueue<u32>,
    oracle: Oracle,
}

impl Pair {
    fn push(&mut self, at: u64) {
        self.queue.push(at, self.oracle.pushes);
        self.oracle.heap.push(Reverse((at, self.oracle.pushes)));
        self.oracle.pushes += 1;
    }

    fn pop(&mut self) -> Option<u64> {
        assert_eq!(self.queue.len(), self.oracle.heap.len());
        assert_eq!(self.queue.is_empty(), self.oracle.heap.is_empty());
        let wanted = self.oracle.heap.pop().map(|Reverse(entry)| entry);
        assert_eq!(self.queue.pop(), wanted);
        wanted.map(|(at, _)| at)
    }

    fn peek(&mut self) {
        let wanted = self.oracle.heap.peek().map(|Reverse((at, _))| *at);
        assert_eq!(self.queue.peek_at(), wanted);
    }

    fn drain(&mut self) {
        while self.pop().is_some() {}
        assert_eq!(self.queue.peek_at(), None);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u64),
    /// This much after the last one popped.
    PushAfter(u64),
    /// This many at once, with this distance between them.
    PushMany(u16, u64),
    Pop(u16),
    Peek,
}

fn any_step() -> impl Strategy<Value = Step> {
    // Ranges of very different width, so that all levels and many ties occur.
    let moment = || (0u32..64).prop_flat_map(|bits| 0..=u64::MAX >> bits);
    prop_oneof![
        moment().prop_map(Step::Push),
        moment().prop_map(Step::PushAfter),
        (0u64..50).prop_map(Step::PushAfter),
        (1u16..1500, prop_oneof![Just(0), Just(1), 0u64..10_000])
            .prop_map(|(n, d)| Step::PushMany(n, d)),
        (1u16..1500).prop_map(Step::Pop),
        Just(Step::Peek),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn gives_what_a_binary_heap_gives(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut pair = Pair::default();
        let mut now = 0u64;
        for step in steps {
            match step {
                Step::Push(at) => pair.push(at),
                Step::PushAfter(wait) => pair.push(now.saturating_add(wait)),
                Step::PushMany(count, distance) => {
                    // From the far end inwards, which is the harder order.
                    for index in (0..u64::from(count)).rev() {
                        pair.push(now.saturating_add(index * distance));
                    }
                }
                Step::Pop(count) => {
                    for _ in 0..count {
                        now = pair.pop().unwrap_or(now);
                    }
                }
                Step::Peek => pair.peek(),
            }
        }
        pair.drain();
    }
}

#[test]
fn ties_come_in_the_order_of_pushing() {
    let mut queue = EventQueue::new();
    for item in 0..10_000 {
        queue.push(7_000_000_000, item);
    }
    // The bucket is near from here on, and more of the same moment come.
    assert_eq!(queue.pop(), Some((7_000_000_000, 0)));
    for item in 10_000..20_000 {
        queue.push(7_000_000_000, item);
    }
    for item in 1..20_000 {
        assert_eq!(queue.pop(), Some((7_000_000_000, item)));
    }
}

#[test]
fn a_moment_that_has_passed_comes_next() {
    let mut queue = EventQueue::new();
    queue.push(1_000, "now");
    queue.push(2_000, "later");
    assert_eq!(queue.pop(), Some((1_000, "now")));
    queue.push(10, "late");
    queue.push(9, "very late");
    queue.push(10, "late too");
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(order, [(9, "very late"), (10, "late"), (10, "late too"), (2_000, "later")]);
}

#[test]
fn the_ends_of_time_are_moments_too() {
    let mut queue = EventQueue::new();
    queue.push(u64::MAX, 'z');
    queue.push(0, 'a');
    queue.push(u64::MAX, 'Z');
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(order, [(0, 'a'), (u64::MAX, 'z'), (u64::MAX, 'Z')]);
}

#[test]
fn a_sparse_bucket_that_fills_up_stays_in_order() {
    let mut pair = Pair::default();
    // One timer far away makes a wide bucket near; then frames fill it.
    pair.push(30_000_000_000);
    pair.push(30_000_000_000);
    pair.peek();
    for index in 0..20_000u64 {
        pair.push(29_900_000_000 + index * 7_919 % 100_000_000);
        if index.is_multiple_of(3) {
            pair.pop();
        }
    }
    pair.drain();
}
