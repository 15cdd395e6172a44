//! The event queue against a binary heap and a radix heap, in the hold model:
//! with a fixed number of items pending, the next one is taken and comes back
//! at a later moment.

mod rivals;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lab_workloads::queue::EventQueue;
use rivals::{Heap, Queue, Radix};

/// What a driver keeps for an event, about.
type Item = [u64; 2];

/// How long an item waits before it comes back.
#[derive(Copy, Clone)]
enum Wait {
    /// Exponential with a mean of one second: devices that report now and then.
    Reports,
    /// One in four waits 5 s (a timer), the others some 50 us (a frame's way).
    Frames,
}

struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn wait(&mut self, wait: Wait) -> u64 {
        let bits = self.next();
        let unit = ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64;
        match wait {
            Wait::Reports => (-unit.ln() * 1e9) as u64,
            Wait::Frames if bits.is_multiple_of(4) => 5_000_000_000,
            Wait::Frames => 40_000 + (unit * 20_000.0) as u64,
        }
    }
}

fn hold<Q: Queue<Item>>(c: &mut Criterion, name: &str) {
    for (label, wait) in [("reports", Wait::Reports), ("frames", Wait::Frames)] {
        let mut group = c.benchmark_group(format!("queue/hold/{label}"));
        group.throughput(Throughput::Elements(1));
        for pending in [1_000u64, 50_000, 1_000_000] {
            let mut draws = Draws(0x2545_f491_4f6c_dd1d);
            // Waits are drawn ahead, so that their logarithms are not timed.
            let waits: Vec<u64> = (0..1 << 16).map(|_| draws.wait(wait)).collect();
            let mut queue = Q::default();
            for index in 0..pending {
                queue.push(waits[index as usize % waits.len()] + index % 977, [index; 2]);
            }
            let mut turn = 0;
            let mut step = move || {
                turn += 1;
                if let Some((at, item)) = queue.pop() {
                    queue.push(at + waits[turn % waits.len()], black_box(item));
                }
            };
            // Until the mix of waits is that of a run under way.
            for _ in 0..3 * pending {
                step();
            }
            group.bench_function(BenchmarkId::new(name, pending), |b| b.iter(&mut step));
        }
        group.finish();
    }
}

fn benches(c: &mut Criterion) {
    hold::<EventQueue<Item>>(c, "event_queue");
    hold::<Radix<Item>>(c, "radix_heap");
    hold::<Heap<Item>>(c, "binary_heap");
}

criterion_group!(queue, benches);
criterion_main!(queue);
