//! A resolved scenario as TOML, and its hash.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use broker_contract::CrashKind;

use super::contenders::{list, setting_toml};
use super::model::{
    Fault, FaultKind, Field, FieldSource, Metric, Phase, PhaseKind, Population, Role, Scenario,
    Subscription, TemplatePart,
};
use super::text::{Bandwidth, Bytes, Toml, prose};

impl Scenario {
    /// The scenario as TOML, complete: every default is written out, and
    /// command-line changes are part of it. It parses back to an equal scenario,
    /// given the same name.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for (key, value) in
            [("title", &self.title), ("question", &self.question), ("lesson", &self.lesson)]
        {
            line(&mut out, key, prose(value));
        }
        line(&mut out, "seed", self.seed.toml());
        self.write_run(&mut out);
        out
    }

    /// What [`Scenario::hash`] is, computed from everything that decides what is
    /// run: not the name, the prose or the seed, which a record states by themselves.
    pub(super) fn computed_hash(&self) -> String {
        let mut run = String::new();
        self.write_run(&mut run);
        // FNV-1a, then the finalizer of SplitMix64, so that every bit counts.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in run.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:016x}", hash ^ (hash >> 31))
    }

    fn write_run(&self, out: &mut String) {
        for phase in &self.phases {
            write_phase(out, phase);
        }
        for link in &self.links {
            header(out, &format!("[links.{}]", link.name));
            line(out, "round_trip", link.round_trip.toml());
            line(out, "jitter", link.jitter.toml());
            line(out, "bandwidth", Bandwidth(link.bandwidth_bps).toml());
        }
        for population in &self.populations {
            self.write_population(out, population);
        }
        for log in &self.logs {
            header(out, &format!("[logs.{}]", log.name));
            line(out, "filters", list(&log.filters));
            if let Some(partitions) = log.partitions {
                line(out, "partitions", partitions.toml());
            }
        }
        for fault in &self.faults {
            self.write_fault(out, fault);
        }
        for (name, overrides) in &self.contenders {
            header(out, &format!("[contenders.{name}]"));
            if !overrides.presets.is_empty() {
                line(out, "preset", list(&overrides.presets));
            }
            let connections: Vec<String> = overrides
                .connections
                .iter()
                .map(|(at, connections)| {
                    format!("{} = {}", self.populations[*at].name, connections.toml())
                })
                .collect();
            if !connections.is_empty() {
                line(out, "connections", format!("{{ {} }}", connections.join(", ")));
            }
            let partitions: Vec<String> = overrides
                .partitions
                .iter()
                .map(|(log, count)| format!("{log} = {count}"))
                .collect();
            if !partitions.is_empty() {
                line(out, "partitions", format!("{{ {} }}", partitions.join(", ")));
            }
            for (name, value) in &overrides.settings {
                line(out, name, setting_toml(value));
            }
        }
        for objective in &self.objectives {
            header(out, "[[objectives]]");
            line(out, "subscription", self.populations[objective.population].name.toml());
            let target = if objective.metric.is_latency() {
                Duration::from_nanos((objective.target * 1e3).round() as u64).toml()
            } else if matches!(objective.metric, Metric::Order | Metric::AckedLoss) {
                (objective.target as u64).toml()
            } else {
                objective.target.toml()
            };
            line(out, objective.metric.name(), target);
        }
    }

    fn write_population(&self, out: &mut String, population: &Population) {
        let name = &population.name;
        header(out, &format!("[populations.{name}]"));
        let role = match &population.role {
            Role::Publisher { .. } => "publisher",
            Role::Subscriber(_) => "subscriber",
            Role::Requester { .. } => "requester",
            Role::Responder { .. } => "responder",
        };
        line(out, "role", role.toml());
        line(out, "count", population.count.toml());
        line(out, "link", self.links[population.link].name.toml());
        line(out, "connections", population.connections.toml());
        match &population.role {
            Role::Publisher { .. } => {}
            Role::Requester { timeout, .. } => line(out, "timeout", timeout.toml()),
            Role::Subscriber(subscription) => {
                write_subscription(out, subscription);
                write_pace(out, subscription);
            }
            Role::Responder { subscription, reply_size } => {
                write_subscription(out, subscription);
                line(out, "reply_size", Bytes(*reply_size).toml());
            }
        }
        for field in fields(population).values() {
            header(out, &format!("[populations.{name}.fields.{}]", field.name));
            write_field(out, field);
        }
        for stream in population.streams() {
            header(out, &format!("[populations.{name}.streams.{}]", stream.name));
            line(out, "channel", stream.channel.text.toml());
            line(out, "arrival", stream.arrival.toml());
            line(out, "size", stream.size.toml());
            if let Some(key) = &stream.key {
                line(out, "key", key.text.toml());
            }
        }
    }

    fn write_fault(&self, out: &mut String, fault: &Fault) {
        header(out, "[[faults]]");
        line(out, "kind", fault.kind.name().toml());
        let mut members = |population: usize, first: u32, members: u32| {
            line(out, "population", self.populations[population].name.toml());
            line(out, "first", first.toml());
            line(out, "members", members.toml());
        };
        match fault.kind {
            FaultKind::SubscriberRestart { population, first, members: count, graceful } => {
                members(population, first, count);
                line(out, "how", if graceful { "graceful" } else { "killed" }.toml());
            }
            FaultKind::SlowSubscriber { population, first, members: count, factor, at_least } => {
                members(population, first, count);
                line(out, "factor", factor.toml());
                line(out, "at_least", at_least.toml());
            }
            FaultKind::BrokerCrash { how } => {
                let how = match how {
                    CrashKind::ProcessKill => "process-kill",
                    CrashKind::PowerLoss => "power-loss",
                };
                line(out, "how", how.toml());
            }
            FaultKind::DiskStall | FaultKind::DiskFull => {}
        }
        line(out, "at", Duration::from_nanos(fault.at_ns).toml());
        line(out, "for", Duration::from_nanos(fault.until_ns - fault.at_ns).toml());
    }
}

fn header(out: &mut String, text: &str) {
    out.push('\n');
    out.push_str(text);
    out.push('\n');
}

fn line(out: &mut String, key: &str, value: String) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{key} = {value}");
}

fn write_phase(out: &mut String, phase: &Phase) {
    header(out, "[[phases]]");
    let kind = match phase.kind {
        PhaseKind::WarmUp => "warm-up",
        PhaseKind::Steady => "steady",
        PhaseKind::Ramp => "ramp",
        PhaseKind::Burst => "burst",
        PhaseKind::Pause => "pause",
        PhaseKind::Drain => "drain",
    };
    line(out, "kind", kind.toml());
    line(out, "start", Duration::from_nanos(phase.start_ns).toml());
    line(out, "duration", Duration::from_nanos(phase.end_ns - phase.start_ns).toml());
    match phase.kind {
        PhaseKind::Ramp => {
            line(out, "from", phase.rate_from.toml());
            line(out, "to", phase.rate_to.toml());
        }
        PhaseKind::WarmUp | PhaseKind::Steady | PhaseKind::Burst => {
            line(out, "rate", phase.rate_from.toml());
        }
        PhaseKind::Pause | PhaseKind::Drain => {}
    }
}

fn write_subscription(out: &mut String, subscription: &Subscription) {
    line(out, "filter", subscription.filter.text.toml());
    if let Some(group) = &subscription.group {
        line(out, "group", group.toml());
    }
    line(out, "processing", subscription.processing.toml());
    line(out, "inbox", subscription.inbox.toml());
}

fn write_pace(out: &mut String, subscription: &Subscription) {
    line(out, "start", subscription.start.toml());
    line(out, "ack", subscription.ack.toml());
    line(out, "failure_rate", subscription.failure_rate.toml());
    line(out, "nak_rate", subscription.nak_rate.toml());
    if let Some(delay) = subscription.nak_delay {
        line(out, "nak_delay", delay.toml());
    }
    line(out, "poison", subscription.poison.toml());
    if let Some(wait) = subscription.ack_wait {
        line(out, "ack_wait", wait.toml());
    }
    if let Some(most) = subscription.max_deliver {
        line(out, "max_deliver", most.toml());
    }
    if !subscription.backoff.is_empty() {
        line(out, "backoff", subscription.backoff.toml());
    }
    if subscription.joins_ns > 0 {
        line(out, "joins", Duration::from_nanos(subscription.joins_ns).toml());
    }
    line(out, "durable", subscription.durable.toml());
    if let Some(most) = subscription.max_in_flight {
        line(out, "max_in_flight", most.toml());
    }
}

fn write_field(out: &mut String, field: &Field) {
    match &field.source {
        FieldSource::Member => line(out, "source", "member".toml()),
        FieldSource::Spread { count } => {
            line(out, "source", "spread".toml());
            line(out, "count", count.toml());
        }
        FieldSource::Draw { count, zipf_exponent } => {
            line(out, "source", "draw".toml());
            line(out, "count", count.toml());
            if let Some(exponent) = zipf_exponent {
                line(out, "zipf_exponent", exponent.toml());
            }
        }
    }
    line(out, "prefix", field.prefix.toml());
    line(out, "width", field.width.toml());
}

/// The fields of all templates of a population, by name.
fn fields(population: &Population) -> BTreeMap<&str, &Field> {
    let streams = population.streams().iter();
    let of_streams = streams.flat_map(|stream| std::iter::once(&stream.channel).chain(&stream.key));
    of_streams
        .chain(population.subscription().map(|subscription| &subscription.filter))
        .flat_map(|template| &template.parts)
        .filter_map(|part| match part {
            TemplatePart::Field(field) => Some((field.name.as_str(), field)),
            TemplatePart::Literal(_) => None,
        })
        .collect()
}
