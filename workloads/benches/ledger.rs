//! What a delivery costs in the ledger and in the histograms, and what a
//! hundred million messages take to verify.
//!
//! The last runs once, for about ten seconds, and only when it is asked for:
//! `cargo bench --bench ledger -- hundred_million`.

use std::hint::black_box;

use broker_contract::Identity;
use criterion::{BatchSize, Criterion, Throughput};
use hdrhistogram::Histogram;
use lab_workloads::ledger::{Attempt, Reconcile, Replay, SeenLog, SentLog};

const KEYS: u32 = 50_000;
const PAYLOAD: usize = 128;
const DELIVERIES: u32 = 1_000_000;

/// Payloads in the order of arrival: every eight adjacent ones are turned
/// around, because messages of different publishers do overtake one another.
struct Arrivals {
    bytes: Vec<u8>,
}

impl Arrivals {
    fn new(from: u32, count: u32) -> Arrivals {
        let mut bytes = vec![0x5a; count as usize * PAYLOAD];
        for (at, payload) in (0..count).zip(bytes.chunks_exact_mut(PAYLOAD)) {
            identity(from + (at ^ 7)).stamp(payload);
        }
        Arrivals { bytes }
    }

    fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(PAYLOAD)
    }
}

fn identity(number: u32) -> Identity {
    Identity {
        producer: number % KEYS,
        sequence: number / KEYS,
        number,
        key: number % KEYS,
        intended_ns: u64::from(number) * 100,
        lag_ns: 1_000,
    }
}

/// Delivery times between 50 us and 2 ms, without a pattern.
fn spread(number: u32) -> u64 {
    50_000 + u64::from(number.wrapping_mul(0x9e37_79b1) >> 11)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

struct Plain;

impl Replay for Plain {
    fn intended_ns(&mut self, number: u32) -> u64 {
        u64::from(number) * 100
    }

    fn owner(&mut self, _scope: u32, _number: u32) -> Option<u32> {
        None
    }
}

fn deliveries(c: &mut Criterion) {
    let arrivals = Arrivals::new(0, DELIVERIES);
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(u64::from(DELIVERIES)));
    group.sample_size(20);
    group.bench_function("checksum_128B", |b| {
        b.iter(|| arrivals.payloads().filter(|payload| Identity::verify(payload).is_ok()).count());
    });
    group.bench_function("deliver_128B", |b| {
        b.iter_batched_ref(
            || SeenLog::new(1),
            |seen| {
                for payload in arrivals.payloads() {
                    black_box(seen.deliver(0, payload, false));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("deliver_128B_and_three_histograms", |b| {
        b.iter_batched_ref(
            || (SeenLog::new(1), histogram(), histogram(), histogram()),
            |(seen, response, service, second)| {
                for payload in arrivals.payloads() {
                    if let Some(delivered) = seen.deliver(0, payload, false).delivered()
                        && delivered.first
                    {
                        let took = spread(delivered.identity.number);
                        response.saturating_record(took);
                        service.saturating_record(took - u64::from(delivered.identity.lag_ns));
                        second.saturating_record(took);
                    }
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("attempt_expect_outcome", |b| {
        b.iter_batched_ref(
            || SentLog::new(1),
            |sent| {
                for number in 0..DELIVERIES {
                    sent.attempt(number);
                    sent.expect(0, number);
                    sent.outcome(number.saturating_sub(500), Attempt::Acked);
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// 200 ungrouped members that each see one message in 40, as sites do.
fn many_scopes(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(5 * u64::from(DELIVERIES)));
    group.sample_size(10);
    group.bench_function("record_200_scopes_1_in_40", |b| {
        b.iter_batched_ref(
            || SeenLog::new(200),
            |seen| {
                for number in 0..DELIVERIES {
                    for copy in 0..5 {
                        black_box(seen.record(number % 40 * 5 + copy, identity(number), false));
                    }
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads the clock; it is no part of the crate"
)]
fn hundred_million() {
    const MESSAGES: u32 = 100_000_000;
    let began = std::time::Instant::now();
    let (mut sent, mut seen) = (SentLog::new(1), SeenLog::new(1));
    let (mut payload, mut peak) = (vec![0x5a; PAYLOAD], 0);
    for number in 0..MESSAGES {
        sent.attempt(number);
        sent.expect(0, number);
        // Every twentieth attempt has no known end, and every 5,000th copy does
        // not come, so that hardly any page of any set is full.
        if number % 20 != 0 {
            sent.outcome(number, Attempt::Acked);
        }
        if number % 5_000 != 1 {
            identity(number).stamp(&mut payload);
            seen.deliver(0, &payload, false);
        }
        if number % 1_000_000 == 0 {
            peak = peak.max(sent.heap_bytes() + seen.heap_bytes());
        }
    }
    let written = began.elapsed();
    peak = peak.max(sent.heap_bytes() + seen.heap_bytes());
    let account = Reconcile {
        sent: &sent,
        seen: &seen,
        drops: &[],
        away: &[],
        undrained: &[],
        lagging: &[],
        transit_ns: 0,
        seats: &[1],
        duties: &[],
        joined_ns: &[],
        outages: &[],
        forgotten: &[],
        replay: Plain,
    }
    .run();
    assert_eq!(account.deliveries.lost_unexplained, u64::from(MESSAGES / 5_000));
    println!(
        "ledger/hundred_million: {:.1} MB in the logs, written (stamping included) in {:.1} s, \
         reconciled in {:.3} s, {} losses found",
        peak as f64 / 1e6,
        written.as_secs_f64(),
        (began.elapsed() - written).as_secs_f64(),
        account.deliveries.lost_unexplained,
    );
}

#[expect(clippy::disallowed_methods, reason = "a bench is told by its arguments what to run")]
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    deliveries(&mut criterion);
    many_scopes(&mut criterion);
    criterion.final_summary();
    if std::env::args().any(|arg| arg == "hundred_million") {
        hundred_million();
    }
}
