//! What is compared: a figure of a trial, its unit, and which way is better.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::clean;
use crate::record::{Quantile, Quantiles, Trial};
use crate::text::{count, figures, micros, rate};

/// What a figure is counted in.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Microseconds.
    Micros,
    /// Per second.
    PerSecond,
    /// A share, 0 to 1.
    Share,
    /// Bytes.
    Bytes,
    /// Pieces.
    Count,
}

impl Unit {
    /// A figure of this unit for people.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Micros => micros(value),
            Unit::PerSecond => format!("{}/s", rate(value)),
            Unit::Share => figures::share(value),
            Unit::Bytes => figures::bytes(value.max(0.0) as u64),
            Unit::Count => count(value.max(0.0) as u64),
        }
    }
}

/// Finds a figure in a trial.
type Figure = dyn Fn(&Trial) -> Option<f64>;

/// A figure that trials have.
pub(super) struct Metric {
    /// For programs, such as `delivery_p99`.
    pub(super) name: String,
    /// For people, such as `delivery p99`.
    pub(super) title: String,
    pub(super) unit: Unit,
    pub(super) higher_is_better: bool,
    /// One of them is a fact and not an estimate: a loss without a cause.
    pub(super) single_counts: bool,
    pub(super) of: Box<Figure>,
    /// Whether the instrument's own lag dominates it in this trial.
    pub(super) limited: Box<dyn Fn(&Trial) -> bool>,
}

impl Metric {
    fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        unit: Unit,
        of: impl Fn(&Trial) -> Option<f64> + 'static,
    ) -> Metric {
        Metric {
            name: name.into(),
            title: title.into(),
            unit,
            higher_is_better: false,
            single_counts: false,
            of: Box::new(move |trial| of(trial).filter(|value| value.is_finite())),
            limited: Box::new(|_| false),
        }
    }

    /// A quantile of times; `times` finds them in a trial.
    fn quantile(
        name: String,
        title: String,
        quantile: Quantile,
        times: impl Fn(&Trial) -> Option<&Quantiles> + Clone + 'static,
    ) -> Metric {
        let of = times.clone();
        let mut metric =
            Metric::new(name, title, Unit::Micros, move |trial| of(trial)?.get(quantile));
        metric.limited =
            Box::new(move |trial| times(trial).is_some_and(|of| of.is_limited(quantile)));
        metric
    }
}

/// Everything that trials of one contender in one mode are compared by. The
/// longest time to delivery is left out: it is one message's, and says little.
pub(super) fn all<'a>(trials: impl Iterator<Item = &'a Trial> + Clone) -> Vec<Metric> {
    let mut metrics = Vec::new();
    for (quantile, shown) in
        [(Quantile::P50, "p50"), (Quantile::P99, "p99"), (Quantile::P999, "p99.9")]
    {
        metrics.push(Metric::quantile(
            format!("delivery_{}", quantile.name()),
            format!("delivery {shown}"),
            quantile,
            |trial| Some(&trial.delivery.response),
        ));
    }
    let subscriptions: BTreeSet<&String> =
        trials.clone().flat_map(|trial| trial.by_subscription.keys()).take(64).collect();
    // With one subscription its times are those above.
    for name in subscriptions.iter().filter(|_| subscriptions.len() > 1) {
        let key = (*name).clone();
        metrics.push(Metric::quantile(
            format!("delivery_p99.{}", clean::line(name, 60)),
            format!("p99 {}", clean::line(name, 60)),
            Quantile::P99,
            move |trial| trial.by_subscription.get(&key).map(|of| &of.response),
        ));
    }
    for (quantile, shown) in [(Quantile::P50, "p50"), (Quantile::P99, "p99")] {
        metrics.push(Metric::quantile(
            format!("publish_{}", quantile.name()),
            format!("publish {shown}"),
            quantile,
            |trial| trial.publish.as_ref().map(|of| &of.response),
        ));
    }
    metrics.extend(counted());
    metrics
}

fn counted() -> Vec<Metric> {
    let share = |of: fn(&Trial) -> u64| {
        move |trial: &Trial| {
            let expected = trial.ledger.deliveries.expected;
            (expected > 0).then(|| of(trial) as f64 / expected as f64)
        }
    };
    let mut delivered =
        Metric::new("delivered_per_s", "delivered", Unit::PerSecond, |t| Some(t.delivered_per_s));
    delivered.higher_is_better = true;
    let mut broken = Metric::new("unexplained", "lost, no cause", Unit::Count, |trial| {
        let lost = trial.ledger.deliveries.lost_unexplained;
        Some(lost.saturating_add(trial.ledger.corrupt) as f64)
    });
    broken.single_counts = true;
    vec![
        delivered,
        Metric::new(
            "loss",
            "lost",
            Unit::Share,
            share(|trial| {
                let of = &trial.ledger.deliveries;
                of.lost_explained.saturating_add(of.lost_unexplained)
            }),
        ),
        broken,
        Metric::new(
            "duplicates",
            "duplicates",
            Unit::Share,
            share(|trial| trial.ledger.duplicates.saturating_add(trial.ledger.redelivered)),
        ),
        Metric::new("reordered", "out of order", Unit::Share, share(|t| t.ledger.reordered)),
        Metric::new("cpu_us_per_message", "CPU a message", Unit::Micros, |trial| {
            trial.resources.cpu_us_per_message
        }),
        Metric::new("node_memory_bytes", "node memory", Unit::Bytes, |trial| {
            trial.resources.node_memory_bytes.map(|bytes| bytes as f64)
        }),
        Metric::new("disk_bytes_per_message", "disk a message", Unit::Bytes, |trial| {
            let attempted = trial.ledger.messages.attempted;
            (attempted > 0).then(|| trial.resources.disk_bytes as f64 / attempted as f64)
        }),
    ]
}
