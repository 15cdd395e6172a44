//! A trial second by second.

use std::collections::HashSet;

use lab_reports::record::{Point, micros};
use lab_workloads::plan::{Interest, Plan};
use lab_workloads::scenario::model::Scenario;

use super::RawTrial;

/// When each scope begins to be owed anything: an auditor that joins at the end is
/// not behind before.
pub fn joins(scenario: &Scenario, interest: &Interest) -> Vec<u64> {
    (0..interest.scopes())
        .map(|scope| {
            let population = &scenario.populations[interest.population_of(scope)];
            population.subscription().map_or(0, |it| it.joins_ns)
        })
        .collect()
}

/// Copies that are not waited for because they never come: lost, refused, or of a
/// subscription that is not served. Per second in which they would be owed. What
/// was still under way at the end is waited for.
pub(super) fn gone(raw: &RawTrial, joins_ns: &[u64], plan: Plan) -> Vec<u64> {
    let under_way: HashSet<(u32, u32)> = raw.undrained.iter().copied().collect();
    let mut missing = raw.sent.log.missing(&raw.seen);
    missing.retain(|(number, scope)| !under_way.contains(&(*scope, *number)));
    missing.sort_unstable();
    let mut gone = Vec::new();
    if missing.is_empty() {
        return gone;
    }
    let mut ops = plan.peekable();
    for (number, scope) in missing {
        while ops.next_if(|op| op.number < number).is_some() {}
        let Some(op) = ops.peek() else { break };
        let owed_ns = op.at_ns.max(joins_ns[scope as usize]);
        let second = (owed_ns / 1_000_000_000) as usize;
        if gone.len() <= second {
            gone.resize(second + 1, 0);
        }
        gone[second] += 1;
    }
    gone
}

/// What happened in each second of the run. `gone` is what [`gone`] counts.
pub(super) fn series(raw: &RawTrial, gone: &[u64]) -> Vec<Point> {
    let delivered = &raw.measured.seconds;
    let sent = &raw.sent.tally.seconds;
    let seconds = delivered.len().max(sent.len());
    let (mut expected, mut arrived) = (0_u64, 0_u64);
    (0..seconds)
        .map(|second| {
            let s = sent.get(second).copied().unwrap_or_default();
            let d = delivered.get(second).cloned().unwrap_or_default();
            let gone = gone.get(second).copied().unwrap_or(0);
            expected += s.expected.saturating_sub(gone);
            arrived += d.delivered;
            let some = |ns: u64| (d.delivered > 0).then(|| micros(ns));
            Point {
                t_s: second as f64,
                offered: s.offered,
                sent: s.sent,
                acked: s.acked,
                delivered: d.delivered,
                p50_us: some(d.p50_ns),
                p99_us: some(d.p99_ns),
                max_us: some(d.max_ns),
                backlog: expected.saturating_sub(arrived),
            }
        })
        .collect()
}
