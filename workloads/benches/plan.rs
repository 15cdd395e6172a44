//! What it costs to know what to send next and who must get it.

use std::hint::black_box;

use broker_contract::SeedStream;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lab_workloads::plan::{Interest, Plan};
use lab_workloads::scenario;

#[path = "../src/plan/testing.rs"]
mod testing;

fn benches(c: &mut Criterion) {
    for devices in [50_000u32, 1_000_000] {
        let scenario = testing::telemetry(devices, testing::steady(1_000_000));
        let interest = Interest::new(&scenario);
        let mut group = c.benchmark_group("plan");
        group.throughput(Throughput::Elements(1));
        let mut plan = Plan::new(&scenario, SeedStream::new(1));
        group.bench_function(BenchmarkId::new("next", devices), |b| b.iter(|| plan.next()));
        let mut channel = String::new();
        group.bench_function(BenchmarkId::new("next+channel+expected", devices), |b| {
            b.iter(|| {
                if let Some(op) = plan.next() {
                    plan.channel(&op, &mut channel);
                    interest.expected(&plan, &op, &mut |scope| {
                        black_box(scope);
                    });
                    black_box(&channel);
                }
            })
        });
        let ops: Vec<_> = plan.by_ref().take(4_096).collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("channel", devices), |b| {
            b.iter(|| {
                turn = (turn + 1) % ops.len();
                plan.channel(&ops[turn], &mut channel);
                black_box(channel.len())
            })
        });
        group.bench_function(BenchmarkId::new("expected", devices), |b| {
            b.iter(|| {
                turn = (turn + 1) % ops.len();
                interest.expected(&plan, &ops[turn], &mut |scope| {
                    black_box(scope);
                });
            })
        });
        group.finish();
    }
}

criterion_group!(plan, benches);
criterion_main!(plan);
