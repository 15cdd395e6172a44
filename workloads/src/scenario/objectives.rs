//! Objectives: what must hold for a contender to fit.

use std::collections::BTreeSet;

use super::Result;
use super::keys::OBJECTIVE;
use super::model::{Metric, Objective, Population, Role};
use super::phases::nanos;
use super::read::{Reader, Spot};

/// Reads `[[objectives]]`.
pub(super) fn objectives(top: &Reader<'_>, populations: &[Population]) -> Result<Vec<Objective>> {
    let mut objectives = Vec::new();
    let mut seen = BTreeSet::new();
    for spot in top.limited_list("objectives")? {
        let reader = Reader::open(spot.clone(), &OBJECTIVE)?;
        let population = reader.need("subscription", |spot| {
            let at = spot.population(populations)?;
            if matches!(populations[at].role, Role::Publisher { .. }) {
                let receivers = populations
                    .iter()
                    .filter(|other| !matches!(other.role, Role::Publisher { .. }))
                    .map(|other| other.name.as_str());
                let receivers: Vec<&str> = receivers.collect();
                return Err(spot.error(
                    format!("`{}` publishes and receives nothing", populations[at].name),
                    format!("name who receives: {}", receivers.join(", ")),
                ));
            }
            Ok(at)
        })?;
        let given: Vec<Metric> = Metric::ALL
            .iter()
            .copied()
            .filter(|metric| reader.get(metric.name()).is_some())
            .collect();
        let metric = match given[..] {
            [metric] => metric,
            [] => {
                return Err(spot.error(
                    "this objective says nothing of what must hold",
                    "add one metric, such as p99_delivery = \"2ms\" or loss = 0.0",
                ));
            }
            [_, second, ..] => {
                let place = reader.get(second.name()).unwrap_or_else(|| spot.clone());
                return Err(place.error(
                    "an objective has one metric",
                    "give each metric an [[objectives]] of its own",
                ));
            }
        };
        let target = reader.need(metric.name(), |spot| target(spot, metric))?;
        let place = reader.get(metric.name()).unwrap_or_else(|| spot.clone());
        let asks = matches!(populations[population].role, Role::Requester { .. });
        let of_answers = metric.is_latency() || matches!(metric, Metric::Loss | Metric::Throughput);
        if asks && !of_answers {
            return Err(place.error(
                format!("`{}` is not counted for answers", metric.name()),
                "judge p99_delivery, loss or throughput of a requester",
            ));
        }
        let replays = populations[population]
            .subscription()
            .is_some_and(|subscription| subscription.replays());
        if metric == Metric::ReplayComplete && !replays {
            return Err(place.error(
                format!(
                    "`{}` replays nothing: it starts with new messages",
                    populations[population].name
                ),
                "give it start = \"all\", or judge its loss",
            ));
        }
        if !seen.insert((population, metric.name())) {
            return Err(place.error(
                format!(
                    "`{}` of `{}` has an objective already",
                    metric.name(),
                    populations[population].name
                ),
                "keep one of the two",
            ));
        }
        objectives.push(Objective { population, metric, target });
    }
    Ok(objectives)
}

fn target(spot: &Spot<'_>, metric: Metric) -> Result<f64> {
    match metric {
        Metric::P50Delivery
        | Metric::P90Delivery
        | Metric::P99Delivery
        | Metric::P999Delivery
        | Metric::MaxDelivery => Ok(nanos(spot.some_duration()?) as f64 / 1e3),
        Metric::Loss
        | Metric::Duplicates
        | Metric::Unmarked
        | Metric::Unprocessed
        | Metric::ReplayComplete => spot.share(),
        Metric::Order | Metric::AckedLoss => Ok(spot.whole(0, 1 << 32)? as f64),
        Metric::Throughput => spot.positive(1e12),
    }
}
