//! What finding the subscribers of a subject costs, with few and with a million.

use std::hint::black_box;

use broker_nats::index::{Index, Owned};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn subject(device: usize) -> String {
    format!("telemetry.r{}.d{device}.reading", device % 40)
}

/// An index with one literal subscription for each of `count` devices.
fn filled(count: usize) -> Index {
    let mut index = Index::default();
    for device in 0..count {
        let filter = subject(device);
        index.insert(device as u32, &mut Owned::default(), 1, filter.as_bytes(), None);
    }
    index
}

/// An index in which each device has a filter with a wildcard of its own.
fn filled_with_patterns(count: usize) -> Index {
    let mut index = Index::default();
    for device in 0..count {
        let filter = format!("telemetry.*.d{device}.>");
        index.insert(device as u32, &mut Owned::default(), 1, filter.as_bytes(), None);
    }
    index
}

/// Numbers below `count` in an order that no prefetcher follows.
fn shuffled(count: usize, take: usize) -> Vec<usize> {
    let mut state = 1_u64;
    let draws = (0..take).map(|_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(state) * count as u128) >> 64) as usize
    });
    draws.collect()
}

fn matching(c: &mut Criterion) {
    const MANY: usize = 1_000_000;
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(1));
    let mut found = Vec::new();
    let mut bench = |name: &str, index: &mut Index, subjects: &[String], expect: usize| {
        let mut at = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                index.matches(subjects[at].as_bytes(), &mut found);
                at = if at + 1 == subjects.len() { 0 } else { at + 1 };
                assert_eq!(found.len(), expect);
                black_box(found.first().copied())
            });
        });
    };
    let texts = |numbers: Vec<usize>| numbers.into_iter().map(subject).collect::<Vec<_>>();

    let few = texts(shuffled(1_000, 1_000));
    let hot = texts(shuffled(MANY, 1_000));
    // As many as fit in memory without being most of what is measured.
    let uniform = texts(shuffled(MANY, 200_000));

    let mut index = filled(1_000);
    bench("literal, 1000 of 1000", &mut index, &few, 1);
    let mut index = filled(MANY);
    bench("literal, hot 1000 of 1000000", &mut index, &hot, 1);
    bench("literal, uniform over 1000000", &mut index, &uniform, 1);

    // The walk that a result cache would save, on top of the look-up above.
    let mut owned = Owned::default();
    for (sid, filter) in
        ["telemetry.*.*.reading", "telemetry.r7.>", "*.*.*.alarm"].iter().enumerate()
    {
        index.insert(MANY as u32, &mut owned, sid as u64, filter.as_bytes(), None);
    }
    let elsewhere: Vec<String> =
        hot.iter().filter(|subject| !subject.contains(".r7.")).cloned().collect();
    bench("literal and wildcards, hot 1000 of 1000000", &mut index, &elsewhere, 2);
    drop(index);

    let mut index = filled_with_patterns(1_000);
    bench("wildcards, 1000 of 1000", &mut index, &few, 1);
    let mut index = filled_with_patterns(MANY);
    bench("wildcards, hot 1000 of 1000000", &mut index, &hot, 1);
    bench("wildcards, uniform over 1000000", &mut index, &uniform, 1);
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
