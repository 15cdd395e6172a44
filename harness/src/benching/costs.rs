//! From timed workloads to the costs of a contender.

use std::fmt::Write as _;

use broker_contract::{Contender, Settings};

use super::closed::{Closed, Timed};
use super::disk::{DiskTimes, median};
use super::solve::solve;
use crate::modes::sim::costs::Costs;

/// The workloads: subscribers, payload bytes, messages at once.
const WORKLOADS: [(usize, usize, u64); 6] =
    [(1, 64, 64), (10, 64, 64), (1, 4_096, 64), (10, 4_096, 64), (1, 64, 1), (4, 1_024, 64)];

/// How long is measured.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Deliveries of each workload, roughly.
    pub deliveries: u64,
    /// Times that each workload is run.
    pub repeats: usize,
}

/// Measures the costs of `C` with its default settings. `date` and `machine`
/// go into the row.
///
/// # Errors
/// What did not work, in words.
pub fn measure<C: Contender>(
    effort: Effort,
    disk: DiskTimes,
    date: &str,
    machine: &str,
) -> Result<Costs, String> {
    let settings = Settings::resolve(C::settings(), []).map_err(|error| error.to_string())?;
    let configured = C::configure(&settings).map_err(|error| error.to_string())?;
    let mut runs: Vec<Vec<Timed>> = vec![Vec::new(); WORKLOADS.len()];
    // Workloads take turns, so that a disturbance does not strike one alone.
    for repeat in 0..=effort.repeats {
        for (at, (subscribers, size, batch)) in WORKLOADS.into_iter().enumerate() {
            let messages =
                (effort.deliveries / subscribers as u64 / if batch == 1 { 8 } else { 1 })
                    .max(batch);
            let timed = Closed::<C>::new(&configured, subscribers)
                .and_then(|mut closed| closed.play(messages, size, batch))
                .map_err(|what| {
                    format!("{subscribers} subscribers, {size} B, {batch} at once: {what}")
                })?;
            // The first round warms up.
            if repeat > 0 {
                runs[at].push(timed);
            }
        }
    }
    let typical: Vec<Timed> = runs.iter().map(|runs| typical(runs)).collect();
    let spread = runs.iter().map(|runs| spread(runs)).fold(0.0, f64::max);
    Ok(row(&typical, spread, disk, date, machine))
}

/// The counts of a workload with the median times of its runs.
fn typical(runs: &[Timed]) -> Timed {
    let mid = |of: fn(&Timed) -> f64| median(&mut runs.iter().map(of).collect::<Vec<f64>>());
    Timed {
        node_ns: mid(|run| run.node_ns),
        send_ns: mid(|run| run.send_ns),
        receive_ns: mid(|run| run.receive_ns),
        ..runs.first().copied().unwrap_or_default()
    }
}

/// Half of the range of all sides' time together, relative to the median.
fn spread(runs: &[Timed]) -> f64 {
    let mut all: Vec<f64> =
        runs.iter().map(|run| run.node_ns + run.send_ns + run.receive_ns).collect();
    let mid = median(&mut all);
    match (all.first(), all.last()) {
        (Some(least), Some(most)) if mid > 0.0 => (most - least) / 2.0 / mid,
        _ => 0.0,
    }
}

fn row(typical: &[Timed], spread: f64, disk: DiskTimes, date: &str, machine: &str) -> Costs {
    let counts: Vec<[f64; 4]> = typical
        .iter()
        .map(|run| [run.frames_in, run.bytes_in, run.frames_out, run.bytes_out].map(|n| n as f64))
        .collect();
    let totals: Vec<f64> = typical.iter().map(|run| run.node_ns).collect();
    let [frame_in_ns, byte_in_ns, frame_out_ns, byte_out_ns] = solve(&counts, &totals);
    // A client that puts one message into each frame cannot tell the two apart.
    let batches = typical.iter().any(|run| run.publishes * 2 < run.messages);
    let sent: Vec<[f64; 2]> = typical
        .iter()
        .map(|run| [run.publishes as f64, if batches { run.messages as f64 } else { 0.0 }])
        .collect();
    let totals: Vec<f64> = typical.iter().map(|run| run.send_ns).collect();
    let [client_send_ns, client_record_ns] = solve(&sent, &totals);
    let received: Vec<[f64; 1]> = typical.iter().map(|run| [run.deliveries as f64]).collect();
    let totals: Vec<f64> = typical.iter().map(|run| run.receive_ns).collect();
    let [client_receive_ns] = solve(&received, &totals);
    Costs {
        frame_in_ns,
        byte_in_ns,
        frame_out_ns,
        byte_out_ns,
        client_send_ns,
        client_record_ns,
        client_receive_ns,
        append_ns: disk.append_ns,
        append_byte_ns: disk.append_byte_ns,
        sync_ns: disk.sync_ns,
        spread,
        date: date.to_owned(),
        source: format!("lab bench --costs, {machine}"),
    }
}

/// A row as the cost table has it.
pub fn to_toml(contender: &str, costs: &Costs) -> String {
    let mut out = format!("[{contender}]\n");
    let figures = [
        ("frame_in_ns", costs.frame_in_ns),
        ("byte_in_ns", costs.byte_in_ns),
        ("frame_out_ns", costs.frame_out_ns),
        ("byte_out_ns", costs.byte_out_ns),
        ("client_send_ns", costs.client_send_ns),
        ("client_record_ns", costs.client_record_ns),
        ("client_receive_ns", costs.client_receive_ns),
        ("append_ns", costs.append_ns),
        ("append_byte_ns", costs.append_byte_ns),
        ("sync_ns", costs.sync_ns),
        ("spread", costs.spread),
    ];
    for (name, value) in figures {
        let digits = if value < 10.0 { 3 } else { 0 };
        // A String takes every text.
        let _ = writeln!(out, "{name} = {value:.digits$}");
    }
    let _ = writeln!(out, "date = {:?}\nsource = {:?}", costs.date, costs.source);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::{self, Visit};

    struct Measure;
    impl Visit for Measure {
        type Out = Result<Costs, String>;
        fn visit<C: Contender>(self) -> Self::Out {
            let disk = DiskTimes { append_ns: 1.0, append_byte_ns: 0.5, sync_ns: 2.0 };
            let effort = Effort { deliveries: 200, repeats: 2 };
            measure::<C>(effort, disk, "2026-01-01", "a machine")
        }
    }

    #[test]
    fn every_contender_can_be_measured_and_its_row_reads_back() {
        for name in contenders::names() {
            let costs = contenders::with(name, Measure).expect("there").expect(name);
            assert!(costs.frame_in_ns + costs.frame_out_ns > 0.0, "{name}: {costs:?}");
            assert!(costs.client_send_ns > 0.0 && costs.client_receive_ns > 0.0, "{costs:?}");
            let table: toml::Table = to_toml(name, &costs).parse().expect("valid TOML");
            let read: Costs = table[*name].clone().try_into().expect("a row");
            assert_eq!((read.date, read.source), (costs.date, costs.source));
            assert_eq!((read.append_ns, read.sync_ns), (1.0, 2.0));
        }
    }
}
