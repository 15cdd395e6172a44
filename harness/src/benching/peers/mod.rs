//! Our bus beside the original: the same clients, one machine, in turns.
//!
//! **What it is for.** [`compare`] starts `lab serve redis` and `redis-server`, puts
//! the same load on both, one after the other and in alternating order, and sums up
//! figures and ratios with their spread.
//!
//! **What it never does.** It does not look into either server: a figure is what a
//! client sees, or what the system says of the process.
//!
//! **Where to start reading.** [`cases`], then [`client`].

mod client;
mod servers;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

pub use self::servers::Original;
use self::servers::{Load, Served};

/// How much to measure.
#[derive(Copy, Clone, Debug)]
pub struct Effort {
    /// Rounds of each case; each measures both servers.
    pub rounds: usize,
    /// Connections that are held idle.
    pub connections: u32,
    /// Load is divided by this.
    pub shorter: u64,
}

/// What came of one server in one case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// Median over the rounds.
    pub median: f64,
    /// Each round.
    pub runs: Vec<f64>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// In which unit.
    pub unit: &'static str,
    /// Our figures.
    pub lab: Side,
    /// The original's.
    pub redis_server: Side,
    /// Above 1 favours the lab, whichever way the unit points: the median of the
    /// rounds' own ratios.
    pub ratio: f64,
    /// The lowest and the highest of them.
    pub ratio_range: [f64; 2],
    /// What the ratio should be at least.
    pub goal: f64,
}

type Measure = Box<dyn Fn(&Served) -> Result<f64, String>>;

/// One thing to measure on either server.
struct Case {
    name: String,
    unit: &'static str,
    more_is_better: bool,
    goal: f64,
    rounds: usize,
    measure: Measure,
}

/// Runs every case whose name contains `only`; tells `each` of it as it is done.
///
/// # Errors
/// One line: a server does not start, closes a connection, or answers wrongly.
pub fn compare(
    original: &Original,
    effort: Effort,
    only: &str,
    mut each: impl FnMut(&Row),
) -> Result<Vec<Row>, String> {
    let maxclients = effort.connections + 2_000;
    let servers = [Served::lab(maxclients)?, Served::original(original, maxclients)?];
    let mut rows = Vec::new();
    for case in cases(original, effort).into_iter().filter(|case| case.name.contains(only)) {
        let mut runs = [Vec::new(), Vec::new()];
        for round in 0..case.rounds {
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
                let figure = (case.measure)(&servers[which]).map_err(|reason| {
                    let who = ["`lab serve`", "redis-server"][which];
                    format!("{}: {who}: {reason}", case.name)
                })?;
                runs[which].push(figure);
            }
        }
        let row = row(case, runs);
        each(&row);
        rows.push(row);
    }
    Ok(rows)
}

fn row(case: Case, [lab, original]: [Vec<f64>; 2]) -> Row {
    let ratio = |(lab, original): (&f64, &f64)| {
        if case.more_is_better { lab / original } else { original / lab }
    };
    let mut ratios: Vec<f64> = lab.iter().zip(&original).map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    Row {
        name: case.name,
        unit: case.unit,
        lab: Side { median: median(&lab), runs: lab },
        redis_server: Side { median: median(&original), runs: original },
        ratio: median(&ratios),
        ratio_range: [ratios[0], ratios[ratios.len() - 1]],
        goal: case.goal,
    }
}

/// The lower one of the two in the middle where there are two; `values` holds one.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(sorted.len() - 1) / 2]
}

fn cases(original: &Original, effort: Effort) -> Vec<Case> {
    let Effort { rounds, connections, shorter } = effort;
    let mut all = Vec::new();
    let mut add = |name: String, unit, more_is_better, goal, rounds, measure: Measure| {
        all.push(Case { name, unit, more_is_better, goal, rounds, measure });
    };
    // First, while both are fresh: memory that was once used stays in use.
    let held = move |served: &Served| memory(served, connections);
    let name = format!("memory of an idle connection, {connections} of them");
    add(name, "bytes", false, 1.0, 1, Box::new(held));
    for (connections, pipeline, requests) in
        [(50, 1, 300_000), (50, 16, 2_000_000), (1, 64, 2_000_000)]
    {
        let original = original.clone();
        let load = Load { requests: requests / shorter, connections, pipeline, channel: "news" };
        let name = format!("PUBLISH, connections {connections}, pipeline {pipeline}");
        let measure = move |served: &Served| original.publish(served.address, load);
        add(name, "1/s", true, 1.0, rounds, Box::new(measure));
    }
    for (subscribers, messages) in [(10, 200_000), (100, 40_000), (1_000, 6_000)] {
        let measure = move |served: &Served| {
            said(client::fan_out(served.address, subscribers, messages / shorter))
        };
        let name = format!("deliveries of 100 B to {subscribers}");
        add(name, "1/s", true, 1.5, rounds, Box::new(measure));
    }
    let publisher = original.clone();
    let measure = move |served: &Served| patterns(&publisher, served.address, shorter);
    add(
        "PUBLISH, 10000 patterns, 1 match".to_owned(),
        "1/s",
        true,
        20.0,
        rounds,
        Box::new(measure),
    );
    let measure = move |served: &Served| {
        let time = Duration::from_secs(6) / shorter as u32;
        let times = said(client::open_loop(served.address, 20_000, 10, time))?;
        Ok(times.value_at_quantile(0.99) as f64 / 1e3)
    };
    add("p99 at 20000/s to 10".to_owned(), "us", false, 1.0, rounds, Box::new(measure));
    all
}

fn said<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

/// Publishes per second that match one of 10,000 patterns. The original walks all of
/// them for each, so it is asked for fewer.
fn patterns(original: &Original, to: SocketAddr, shorter: u64) -> Result<f64, String> {
    let held = said(client::patterns(to, 10_000))?;
    let mut load = Load { requests: 4_000, connections: 1, pipeline: 16, channel: "zone:5000:x" };
    let first = original.publish(to, load)?;
    let rate = if first > 20_000.0 {
        load.requests = 300_000 / shorter;
        original.publish(to, load)?
    } else {
        first
    };
    drop(held);
    Ok(rate)
}

/// Resident bytes for each connection that has spoken once; afterwards each of them
/// is answered once more.
fn memory(served: &Served, connections: u32) -> Result<f64, String> {
    let before = served.resident_bytes()?;
    let mut held = said(client::idle(served.address, connections))?;
    said(client::ping(&mut held))?;
    // The original gives buffers of idle clients back after a second or two.
    std::thread::sleep(Duration::from_secs(3));
    let grown = served.resident_bytes()?.saturating_sub(before);
    said(client::ping(&mut held))?;
    Ok(grown as f64 / f64::from(connections))
}
