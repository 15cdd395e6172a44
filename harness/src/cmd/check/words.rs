//! Pieces of a scenario in words.

use std::time::Duration;

use broker_contract::{AckPolicy, CrashKind, Start, units};
use lab_reports::text::{count, micros, rate};
use lab_workloads::scenario::model::{
    Arrival, Connections, Durations, FaultKind, Link, Metric, Objective, Phase, PhaseKind,
    Scenario, Sizes, Subscription,
};

pub(super) fn duration(duration: Duration) -> String {
    units::format_duration(duration)
}

pub(super) fn nanos(nanos: u64) -> String {
    duration(Duration::from_nanos(nanos))
}

pub(super) fn seconds(seconds: f64) -> String {
    nanos((seconds * 1e9).round() as u64)
}

pub(super) fn phase(phase: &Phase) -> String {
    let kind = match phase.kind {
        PhaseKind::WarmUp => "warm-up, not measured",
        PhaseKind::Steady => "steady, measured",
        PhaseKind::Ramp => "ramp, not measured",
        PhaseKind::Burst => "burst, outside the steady window",
        PhaseKind::Pause => return "pause, nothing is sent".to_owned(),
        PhaseKind::Drain => return "drain, consumers finish (at most this long)".to_owned(),
    };
    if phase.rate_from == phase.rate_to {
        format!("{kind}; rates x{}", phase.rate_from)
    } else {
        format!("{kind}; rates x{} to x{}", phase.rate_from, phase.rate_to)
    }
}

pub(super) fn arrival(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Periodic { every, jitter } if jitter.is_zero() => {
            format!("each every {}", duration(*every))
        }
        Arrival::Periodic { every, jitter } => {
            format!("each every {} give or take {}", duration(*every), duration(*jitter))
        }
        Arrival::Poisson { rate_per_s } => format!("each {rate_per_s} times a second by Poisson"),
        Arrival::Bursty { bursts_per_s, burst, spacing } => format!(
            "each {bursts_per_s} bursts a second of {burst} messages {} apart",
            duration(*spacing)
        ),
    }
}

pub(super) fn sizes(sizes: &Sizes) -> String {
    match sizes {
        Sizes::Fixed(bytes) => format!("{bytes} B"),
        Sizes::Uniform { min, max } => format!("{min} to {max} B, uniform"),
        Sizes::LogNormal { median, sigma, min, max } => {
            format!("median {median} B, log-normal with sigma {sigma}, {min} to {max} B")
        }
        Sizes::Zipf { min, max, exponent } => {
            format!("{min} to {max} B, Zipf with exponent {exponent}")
        }
    }
}

fn durations(durations: &Durations) -> String {
    match durations {
        Durations::Fixed(time) if time.is_zero() => "no time".to_owned(),
        Durations::Fixed(time) => duration(*time),
        Durations::Uniform { min, max } => format!("{} to {}", duration(*min), duration(*max)),
        Durations::Exponential { mean } => format!("{} on average, exponential", duration(*mean)),
        Durations::LogNormal { median, sigma } => {
            format!("{} at the median, log-normal with sigma {sigma}", duration(*median))
        }
    }
}

pub(super) fn connections(connections: Connections) -> String {
    match connections {
        Connections::PerMember => "a connection each".to_owned(),
        Connections::Shared(1) => "all on one connection".to_owned(),
        Connections::Shared(clients) => {
            format!("sharing {} connections", count(u64::from(clients)))
        }
    }
}

pub(super) fn partitions(partitions: u32) -> String {
    let plural = if partitions == 1 { "partition" } else { "partitions" };
    format!(", {} {plural}", count(u64::from(partitions)))
}

pub(super) fn filter(subscription: &Subscription) -> String {
    let group = subscription
        .group
        .as_ref()
        .map_or_else(String::new, |group| format!(", shared in group {group}"));
    let start = match subscription.start {
        Start::New => "",
        Start::All => ", from the oldest message kept",
        Start::Last => ", from the newest message kept",
        Start::Sequence(_) | Start::Time(_) => ", from a chosen place",
    };
    let joins = match subscription.joins_ns {
        0 => String::new(),
        at_ns => format!(", from {} on", nanos(at_ns)),
    };
    let durable = if subscription.durable { ", durable" } else { "" };
    format!("filter {}{group}{start}{joins}{durable}", subscription.filter.text)
}

pub(super) fn handling(subscription: &Subscription) -> String {
    let mut text = format!("each takes {}", durations(&subscription.processing));
    match subscription.ack {
        AckPolicy::None => {}
        AckPolicy::Explicit => text.push_str(", acknowledges each"),
        AckPolicy::All => text.push_str(", acknowledges up to each"),
    }
    if subscription.failure_rate > 0.0 {
        text.push_str(&format!(", fails on {} %", rate(subscription.failure_rate * 100.0)));
    }
    if subscription.nak_rate > 0.0 {
        text.push_str(&format!(", refuses {} %", rate(subscription.nak_rate * 100.0)));
    }
    if subscription.poison > 0.0 {
        text.push_str(&format!(", never gets {} % done", rate(subscription.poison * 100.0)));
    }
    let all = |waits: &[Duration]| {
        waits.iter().map(|wait| duration(*wait)).collect::<Vec<_>>().join(", ")
    };
    if !subscription.backoff.is_empty() {
        text.push_str(&format!(", gets it again after {}", all(&subscription.backoff)));
    } else if let Some(wait) = subscription.ack_wait {
        text.push_str(&format!(", gets it again after {}", duration(wait)));
    }
    if let Some(most) = subscription.max_deliver {
        text.push_str(&format!(", at most {most} times in all"));
    }
    text
}

pub(super) fn link(link: &Link) -> String {
    let jitter = if link.jitter.is_zero() {
        String::new()
    } else {
        format!(", jitter up to {} one way", duration(link.jitter))
    };
    let bandwidth = link
        .bandwidth_bps
        .map_or_else(String::new, |bps| format!(", {} Mbit/s", rate(bps as f64 / 1e6)));
    format!("round trip {}{jitter}{bandwidth}", duration(link.round_trip))
}

pub(super) fn fault(scenario: &Scenario, kind: &FaultKind) -> String {
    let who = |population: usize, first: u32, members: u32| {
        let name = scenario.populations.get(population).map_or("?", |it| it.name.as_str());
        match members {
            1 => format!("{name}, member {first}"),
            _ => format!("{name}, members {first} to {}", first.saturating_add(members) - 1),
        }
    };
    match kind {
        FaultKind::SubscriberRestart { population, first, members, graceful } => {
            let how = if *graceful { "says goodbye, stops" } else { "is killed" };
            format!("{} {how}, and starts anew at the end", who(*population, *first, *members))
        }
        FaultKind::SlowSubscriber { population, first, members, factor, at_least } => format!(
            "{} takes x{factor} as long, at least {} for each message",
            who(*population, *first, *members),
            duration(*at_least)
        ),
        FaultKind::BrokerCrash { how } => {
            let how = match how {
                CrashKind::ProcessKill => "is killed (what was written stays)",
                CrashKind::PowerLoss => "loses its power (what was synced stays)",
            };
            format!("the broker {how}, and boots from its disk at the end")
        }
        FaultKind::DiskStall => "no sync of the broker's disk completes".to_owned(),
        FaultKind::DiskFull => "the broker's disk has no room".to_owned(),
    }
}

pub(super) fn objective(objective: &Objective) -> String {
    let target = objective.target;
    let time = || micros(target).replacen(".00 ", " ", 1);
    match objective.metric {
        Metric::P50Delivery => format!("median time to delivery at most {}", time()),
        Metric::P90Delivery => format!("p90 time to delivery at most {}", time()),
        Metric::P99Delivery => format!("p99 time to delivery at most {}", time()),
        Metric::P999Delivery => format!("p99.9 time to delivery at most {}", time()),
        Metric::MaxDelivery => format!("longest time to delivery at most {}", time()),
        Metric::Loss => format!("at most {} % of deliveries lost", rate(target * 100.0)),
        Metric::AckedLoss => format!("at most {} acknowledged messages lost", rate(target)),
        Metric::Duplicates => format!("at most {} % delivered twice", rate(target * 100.0)),
        Metric::Unmarked => {
            format!("at most {} % delivered twice and not marked so", rate(target * 100.0))
        }
        Metric::Unprocessed => {
            format!("at most {} % never processed, poison left out", rate(target * 100.0))
        }
        Metric::ReplayComplete => {
            format!("a replay yields at least {} % of what is kept", rate(target * 100.0))
        }
        Metric::Order => format!("at most {} deliveries out of order", rate(target)),
        Metric::Throughput => format!("at least {} deliveries per second", rate(target)),
    }
}
