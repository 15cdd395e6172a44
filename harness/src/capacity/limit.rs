//! What stopped a contender at its edge.

use lab_reports::record::Mode;

use super::step::{Miss, Step};

/// A node that is busy this share of the time is what limits.
const BUSY: f64 = 0.85;

/// A node that is busy less than this share of the time cannot be the limit by
/// its own work.
const IDLE: f64 = 0.5;

/// What stopped it. The names are those of the record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The node's core.
    NodeCpu,
    /// The node's disk.
    Disk,
    /// Clients: what they hold back, or what consumers take to process.
    Client,
    /// A network path.
    Link,
    /// The instrument: the broker may be able to do more.
    Generator,
    /// The machine: threads of the trial waited for a core although the node was
    /// not busy, so the broker may be able to do more.
    Machine,
    /// The search's own bounds: the broker may be able to do more.
    Search,
    /// An objective that no rate wears out, such as order.
    Objective,
}

impl Limit {
    /// The name in the record.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::NodeCpu => "node CPU",
            Limit::Disk => "disk",
            Limit::Client => "client",
            Limit::Link => "link",
            Limit::Generator => "generator",
            Limit::Machine => "machine",
            Limit::Search => "search",
            Limit::Objective => "objective",
        }
    }

    /// Whether the rate is only a lower bound.
    pub const fn is_at_least(self) -> bool {
        matches!(self, Limit::Generator | Limit::Machine | Limit::Search)
    }
}

/// What stopped a contender that missed `missed` and had met `light`, the
/// lightest step that held: a busy node, or else the stage of a delivery's way
/// whose mean time grew the most.
pub fn of(mode: Mode, light: Option<&Step>, missed: Option<&Step>) -> Limit {
    let Some(missed) = missed else { return Limit::Search };
    if matches!(missed.miss, Some(Miss::Generator(_))) {
        return Limit::Generator;
    }
    if matches!(missed.miss, Some(Miss::Count(_))) {
        return Limit::Objective;
    }
    if missed.node_busy >= BUSY {
        return Limit::NodeCpu;
    }
    let grown = |stage: usize| missed.stages[stage] - light.map_or(0.0, |step| step.stages[stage]);
    let most = (0..missed.stages.len()).max_by(|a, b| grown(*a).total_cmp(&grown(*b)));
    let wall = !mode.is_simulated();
    match most {
        // By the wall clock the clients that send share the generator's thread,
        // and its lag is part of their stage.
        Some(0) if wall => Limit::Generator,
        Some(0) => Limit::Client,
        // Without links, these are waits for the node's and the receivers' thread.
        // A thread that is idle most of the time and still comes late has no core.
        Some(1..=3) if wall && missed.node_busy < IDLE && missed.miss != Some(Miss::Backlog) => {
            if missed.disk {
                Limit::Disk
            } else {
                Limit::Machine
            }
        }
        Some(1) if wall => Limit::NodeCpu,
        Some(3) if wall => Limit::Client,
        Some(1 | 3) => Limit::Link,
        Some(2) if missed.disk => Limit::Disk,
        Some(2) => Limit::NodeCpu,
        _ => Limit::Client,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(stages: [f64; 5], node_busy: f64, miss: Option<Miss>) -> Step {
        Step {
            factor: 1.0,
            rate_per_s: 1.0,
            achieved_per_s: 1.0,
            p50_us: None,
            p99_us: None,
            miss,
            doubt: None,
            node_busy,
            stages,
            disk: false,
            copies: 1.0,
            work: 1,
        }
    }

    #[test]
    fn the_stage_that_grew_names_the_limit() {
        let light = step([1.0, 500.0, 5.0, 100.0, 20.0], 0.1, None);
        let missed = |stages, busy| step(stages, busy, Some(Miss::Backlog));
        let limit = |mode, missed: &Step| of(mode, Some(&light), Some(missed));
        let consumers = missed([1.0, 500.0, 6.0, 100.0, 9_000.0], 0.4);
        assert_eq!(limit(Mode::Sim, &consumers), Limit::Client);
        assert_eq!(limit(Mode::Sim, &missed([1.0; 5], 0.95)), Limit::NodeCpu);
        let mut stored = missed([1.0, 500.0, 7_000.0, 100.0, 20.0], 0.2);
        assert_eq!(limit(Mode::Sim, &stored), Limit::NodeCpu);
        stored.disk = true;
        assert_eq!(limit(Mode::Sim, &stored), Limit::Disk);
        let narrow = missed([1.0, 9_500.0, 5.0, 100.0, 20.0], 0.2);
        assert_eq!(limit(Mode::Sim, &narrow), Limit::Link);
        assert_eq!(limit(Mode::Embedded, &narrow), Limit::NodeCpu);
        let mut late = narrow.clone();
        late.miss = Some(Miss::Objective("p99 delivery".to_owned()));
        assert_eq!(limit(Mode::Embedded, &late), Limit::Machine, "idle, and late all the same");
        let late = missed([9_000.0, 500.0, 5.0, 100.0, 20.0], 0.2);
        assert_eq!(limit(Mode::Embedded, &late), Limit::Generator);
        assert!(limit(Mode::Embedded, &late).is_at_least());
        assert_eq!(of(Mode::Sim, Some(&light), None), Limit::Search);
    }
}
