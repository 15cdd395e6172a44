//! What virtual time costs: a small fleet of devices on core NATS, its set-up
//! included.
//!
//! `events` counts what the loop takes (planned operations, frames that arrive,
//! deadlines, follow-ups); `messages` is the same run by what was published.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker_contract::{Configured, Contender, SeedStream, Settings};
use broker_nats::CoreNats;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lab::modes::sim;
use lab::modes::sim::costs::Costs;
use lab::trial::{RawTrial, Watch};
use lab_workloads::scenario::model::Scenario;
use lab_workloads::scenario::{Options, parse};

const FLEET: &str = r#"
title = "A small fleet"
[[phases]]
kind = "steady"
duration = "10s"
[[phases]]
kind = "drain"
duration = "1s"
[links.field]
round_trip = "1ms"
jitter = "100us"
[links.services]
round_trip = "200us"
[populations.devices]
role = "publisher"
count = 5_000
link = "field"
[populations.devices.fields.region]
source = "spread"
count = 40
prefix = "r"
width = 2
[populations.devices.fields.device]
source = "member"
prefix = "d"
width = 5
[populations.devices.streams.readings]
channel = "telemetry.{region}.{device}.reading"
arrival = { kind = "periodic", every = "500ms", jitter = "50ms" }
size = { kind = "log-normal", median = "128B", sigma = 0.5, min = "64B", max = "1KiB" }
[populations.ingest]
role = "subscriber"
count = 4
link = "services"
filter = "telemetry.*.*.reading"
group = "ingest"
processing = "20us"
[populations.dashboard]
role = "subscriber"
link = "services"
filter = "telemetry.r07.>"
processing = "10us"
"#;

struct Bench {
    scenario: Arc<Scenario>,
    configured: Configured<CoreNats>,
    costs: Costs,
}

impl Bench {
    fn new() -> Bench {
        let settings = Settings::resolve(CoreNats::settings(), []).expect("defaults resolve");
        let scenario = parse("fleet", FLEET, &[], &Options::default()).expect("parses");
        Bench {
            scenario: Arc::new(scenario),
            configured: CoreNats::configure(&settings).expect("configures"),
            costs: Costs::of("nats"),
        }
    }

    fn run(&self) -> RawTrial {
        let seed = SeedStream::new(7);
        sim::run(&self.scenario, &self.configured, &self.costs, seed, &Watch::default())
    }

    /// The time of `n` runs without giving back their memory.
    fn time(&self, n: u64, expected: u64) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..n {
            let begun = Instant::now();
            let raw = self.run();
            took += begun.elapsed();
            assert_eq!(raw.events, expected, "a wrong count voids the time");
        }
        took
    }
}

fn benches(criterion: &mut Criterion) {
    let bench = Bench::new();
    let raw = bench.run();
    assert!(raw.broken.is_none(), "{:?}", raw.broken);
    let counts = [("events", raw.events), ("messages", raw.sent.log.attempted())];
    for (name, count) in counts {
        let mut group = criterion.benchmark_group("sim_fleet_nats");
        group.throughput(Throughput::Elements(count)).sample_size(10);
        group.bench_function(name, |b| b.iter_custom(|n| bench.time(n, raw.events)));
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
