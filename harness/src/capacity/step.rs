//! One step: a rate, settled and held, and whether everything held with it.

use lab_reports::record::{Mode, Outcome, Point};
use lab_workloads::scenario::model::{
    Arrival, Metric, Objective, Phase, PhaseKind, Population, Role, Scenario,
};

use crate::measure::anatomy::STAGES;
use crate::measure::verdict;
use crate::modes::sim::engine::expected_messages;
use crate::trial::account::Accounted;

/// Share of the deliveries due in the hold by which the backlog may grow.
const GROWTH: f64 = 0.02;

/// By the wall clock, a node that is busy less than this share of the time, with
/// a median at most [`FAR_WITHIN`] of the target, does not make a tail: threads
/// that wait for a core do.
const IDLE: f64 = 0.5;
const FAR_WITHIN: f64 = 0.1;

/// Samples below which not even a rough quantile is worth having.
const ROUGH: u64 = 100;

/// How long a step lasts, in whole seconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Before anything is measured.
    pub settle_s: u64,
    /// Measured.
    pub hold_s: u64,
    /// For what is under way at the end; it ends early when nothing is.
    pub drain_s: u64,
}

impl Shape {
    /// Seconds from the first message to the end.
    pub const fn total_s(self) -> u64 {
        self.settle_s + self.hold_s + self.drain_s
    }

    /// For a step of `rate` messages a second, each with `copies` deliveries: long
    /// enough for a p99, within bounds that a person waits for.
    pub fn of(mode: Mode, quick: bool, rate: f64, copies: f64) -> Shape {
        let (least, most) = match (mode.is_simulated(), quick) {
            (true, false) => (2, 20),
            (true, true) => (1, 5),
            (false, false) => (2, 6),
            (false, true) => (1, 2),
        };
        let needed = (10_000.0 / (rate * copies).max(1.0)).ceil();
        let hold_s = if needed >= most as f64 { most } else { (needed as u64).max(least) };
        Shape { settle_s: 1, hold_s, drain_s: 1 }
    }
}

/// Planned messages per second of the scenario's own steady load.
pub fn own_rate(scenario: &Scenario) -> f64 {
    // Over a thousand seconds, so that slow senders count in full.
    let shape = Shape { settle_s: 0, hold_s: 1_000, drain_s: 0 };
    expected_messages(&scaled(scenario, 1.0, shape)) as f64 / 1_000.0
}

/// The scenario at `factor` times its rates, without its faults: what fails at
/// some rate should fail because of the rate. Who joins late is left out: what
/// waits for it until then is no backlog. What the scenario needs to come to rest
/// it gets here as well.
pub fn scaled(scenario: &Scenario, factor: f64, shape: Shape) -> Scenario {
    let mut step = scenario.clone();
    step.faults.clear();
    leave_out_who_joins_late(&mut step);
    let drains = scenario.phases.iter().filter(|phase| phase.kind == PhaseKind::Drain);
    let own_drain: u64 = drains.map(|phase| phase.end_ns - phase.start_ns).sum();
    step.objectives.retain(|objective| objective.metric != Metric::Throughput);
    let second = 1_000_000_000;
    let (settled, held) = (shape.settle_s * second, (shape.settle_s + shape.hold_s) * second);
    let phase = |kind, start_ns, end_ns, rate| Phase {
        kind,
        start_ns,
        end_ns,
        rate_from: rate,
        rate_to: rate,
    };
    step.phases = vec![
        phase(PhaseKind::WarmUp, 0, settled, factor),
        phase(PhaseKind::Steady, settled, held, factor),
        phase(PhaseKind::Drain, held, held + own_drain.max(shape.drain_s * second), 0.0),
    ];
    step
}

/// Takes out subscriptions that begin during the run, and what is said of them.
fn leave_out_who_joins_late(step: &mut Scenario) {
    let late =
        |population: &Population| population.subscription().is_some_and(|it| it.joins_ns > 0);
    let mut places = Vec::new();
    let mut kept = 0;
    for population in &step.populations {
        places.push((!late(population)).then_some(kept));
        kept += usize::from(!late(population));
    }
    step.populations.retain(|population| !late(population));
    step.objectives.retain_mut(|objective| {
        let place = places[objective.population];
        objective.population = place.unwrap_or_default();
        place.is_some()
    });
    for of in step.contenders.values_mut() {
        let connections = std::mem::take(&mut of.connections);
        let moved = connections.into_iter().filter_map(|(at, it)| Some((places[at]?, it)));
        of.connections = moved.collect();
    }
}

/// Why a step did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// An objective on delivery times, in words.
    Objective(String),
    /// An objective that counts, such as order, in words: no queue made it.
    Count(String),
    /// Deliveries that nobody tolerates to lose, or publishes that failed.
    Loss(String),
    /// More came in than went out.
    Backlog,
    /// The generator did not send the plan.
    Generator(String),
    /// The contender cannot do this at any rate.
    Impossible(String),
}

/// One run of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// On the scenario's own rates.
    pub factor: f64,
    /// Offered messages per second.
    pub rate_per_s: f64,
    /// Messages per second of which all copies came, in the hold.
    pub achieved_per_s: f64,
    /// Median response time of deliveries.
    pub p50_us: Option<f64>,
    /// 99th percentile of it.
    pub p99_us: Option<f64>,
    /// Why it did not hold; `None` if it did.
    pub miss: Option<Miss>,
    /// Why an objective could not be judged, so that backlog and loss decided.
    pub doubt: Option<String>,
    /// Node time as a share of the time in which messages were sent.
    pub node_busy: f64,
    /// Mean microseconds by stage ([`STAGES`]).
    pub stages: [f64; 5],
    /// Whether the node's disk was used.
    pub disk: bool,
    /// Deliveries per attempted message.
    pub copies: f64,
    /// Messages and deliveries that it handled.
    pub work: u64,
}

/// Judges a run of `scenario`, which [`scaled`] made.
pub fn judge(scenario: &Scenario, factor: f64, rate: f64, shape: Shape, run: &Accounted) -> Step {
    let trial = &run.trial;
    let sending_s = (shape.settle_s + shape.hold_s) as f64;
    let attempted = trial.ledger.messages.attempted;
    let copies = trial.ledger.deliveries.expected as f64 / (attempted.max(1)) as f64;
    let backlog = Backlog::of(&trial.series, shape);
    let rough = |q: f64| {
        let mut all = crate::measure::meters::histogram();
        for pair in run.by_subscription.values() {
            all.add(&pair.response).expect("one configuration");
        }
        (all.len() >= ROUGH).then(|| all.value_at_quantile(q) as f64 / 1e3)
    };
    let node_busy = trial.resources.node_cpu_s.unwrap_or(0.0) / sending_s;
    let disk = trial.resources.disk_bytes > 0 || trial.resources.syncs > 0;
    // A disk makes tails of its own while the node is idle.
    let idle = !trial.mode.is_simulated() && node_busy < IDLE && !disk;
    let (miss, doubt) = miss(scenario, run, &backlog, largest_burst(scenario) * copies, idle);
    Step {
        factor,
        rate_per_s: rate,
        achieved_per_s: trial.sent_per_s * backlog.kept_up(),
        p50_us: trial.delivery.response.p50_us.or_else(|| rough(0.5)),
        p99_us: trial.delivery.response.p99_us.or_else(|| rough(0.99)),
        miss,
        doubt,
        node_busy,
        stages: STAGES.map(|stage| trial.anatomy.get(stage).copied().unwrap_or(0.0)),
        disk,
        copies,
        work: attempted + trial.ledger.deliveries.expected,
    }
}

/// Why the step did not hold, if so, and why an objective was not judged, if so.
fn miss(
    scenario: &Scenario,
    run: &Accounted,
    backlog: &Backlog,
    burst: f64,
    idle: bool,
) -> (Option<Miss>, Option<String>) {
    if let Some(miss) = fell_behind(scenario, run, backlog, burst) {
        return (Some(miss), None);
    }
    let mut doubt = None;
    for objective in &scenario.objectives {
        match judged(scenario, objective, run, idle) {
            Judged::Met => {}
            Judged::Missed(miss) => return (Some(miss), None),
            Judged::Doubtful(why) => doubt = Some(why),
        }
    }
    (None, doubt)
}

fn fell_behind(
    scenario: &Scenario,
    run: &Accounted,
    backlog: &Backlog,
    burst: f64,
) -> Option<Miss> {
    let trial = &run.trial;
    // A subscription that no objective judges may be missing. Whoever sends may
    // not: a rate of nothing is always sustained.
    let matters = |(index, population): &(usize, &Population)| {
        matches!(population.role, Role::Publisher { .. } | Role::Requester { .. })
            || scenario.objectives.iter().any(|objective| objective.population == *index)
    };
    let missing = scenario
        .populations
        .iter()
        .enumerate()
        .filter(matters)
        .find_map(|(_, population)| run.unsupported.get(&population.name));
    if let Some(reason) = missing {
        return Some(Miss::Impossible(reason.clone()));
    }
    if let Some(reason) = &trial.invalid_reason {
        return Some(Miss::Generator(reason.clone()));
    }
    if trial.ledger.messages.failed > 0 {
        return Some(Miss::Loss(format!("{} publishes failed", trial.ledger.messages.failed)));
    }
    for (name, ledger) in &trial.ledger_by_subscription {
        let lost = ledger.deliveries.lost_explained + ledger.deliveries.lost_unexplained;
        let tolerated = scenario.objectives.iter().any(|objective| {
            objective.metric == Metric::Loss
                && scenario.populations[objective.population].name == *name
        });
        if lost > 0 && !tolerated {
            return Some(Miss::Loss(format!("`{name}` lost {lost} deliveries")));
        }
    }
    backlog.grows(burst).then_some(Miss::Backlog)
}

/// What became of an objective.
enum Judged {
    Met,
    Missed(Miss),
    /// The machine made the figure, and not the broker.
    Doubtful(String),
}

/// Judges an objective. A figure that the instrument's own lag dominates decides
/// when it is within the target, since the lag only adds to it, and when it is
/// beyond the target without the lag, too.
fn judged(scenario: &Scenario, objective: &Objective, run: &Accounted, idle: bool) -> Judged {
    let mut one = scenario.clone();
    one.objectives = vec![objective.clone()];
    let results = verdict::judge(&one, std::slice::from_ref(run), &[]).objectives;
    let Some(result) = results.first() else { return Judged::Met };
    let name = &scenario.populations[objective.population].name;
    let words = format!("{} at `{name}`", objective.metric.name().replace('_', " "));
    let times = run.by_subscription.get(name).map(|pair| &pair.response);
    // Too few samples for the rule of 100/(1-q): a rough figure decides.
    let rough = || {
        let times = times.filter(|times| times.len() >= ROUGH)?;
        Some(times.value_at_quantile(share_of(objective.metric)) as f64 / 1e3)
    };
    match (result.outcome, result.actual) {
        (Outcome::Met, _) => return Judged::Met,
        (Outcome::Unsupported, _) => {
            return Judged::Missed(Miss::Impossible(result.reason.clone().unwrap_or(words)));
        }
        (Outcome::Missed, _) if !objective.metric.is_latency() => {
            return Judged::Missed(Miss::Count(words));
        }
        (Outcome::Missed | Outcome::Undecided, _) => {}
    }
    let limited = result.outcome == Outcome::Undecided && result.actual.is_some();
    let Some(actual) = result.actual.or_else(rough) else {
        return Judged::Missed(Miss::Objective(words));
    };
    if actual <= objective.target {
        return Judged::Met;
    }
    let median = times.map_or(f64::INFINITY, |times| times.value_at_quantile(0.5) as f64 / 1e3);
    if idle && median <= objective.target * FAR_WITHIN {
        return Judged::Doubtful(format!(
            "{words} was missed while the node was idle most of the time and the median far \
             within the target: threads waited for a core, so backlog and loss decided"
        ));
    }
    let generator = &run.trial.generator;
    let lag = generator.lag_p99_us.unwrap_or(0.0).max(generator.canary_p99_us.unwrap_or(0.0));
    if limited && actual - lag <= objective.target {
        return Judged::Doubtful(format!(
            "the instrument's own lag dominates {words}, so backlog and loss decided"
        ));
    }
    Judged::Missed(Miss::Objective(words))
}

const fn share_of(metric: Metric) -> f64 {
    match metric {
        Metric::P50Delivery => 0.5,
        Metric::P90Delivery => 0.9,
        Metric::P99Delivery => 0.99,
        Metric::P999Delivery => 0.999,
        _ => 1.0,
    }
}

/// Messages that one sender may send at once.
fn largest_burst(scenario: &Scenario) -> f64 {
    let bursts = scenario.populations.iter().flat_map(|population| {
        population.streams().iter().map(|stream| match &stream.arrival {
            Arrival::Bursty { burst, .. } => f64::from(*burst),
            _ => 1.0,
        })
    });
    bursts.fold(1.0, f64::max)
}

/// Deliveries outstanding at both ends of the hold.
#[derive(Copy, Clone, Debug, PartialEq)]
struct Backlog {
    before: u64,
    after: u64,
    delivered: u64,
}

impl Backlog {
    fn of(series: &[Point], shape: Shape) -> Backlog {
        let at = |second: u64| series.get(second as usize).map_or(0, |point| point.backlog);
        let (first, last) = (shape.settle_s, shape.settle_s + shape.hold_s - 1);
        let held = series.iter().skip(first as usize).take(shape.hold_s as usize);
        Backlog {
            before: at(first.saturating_sub(1)),
            after: at(last),
            delivered: held.map(|point| point.delivered).sum(),
        }
    }

    fn growth(&self) -> f64 {
        self.after as f64 - self.before as f64
    }

    /// Whether it grew by more than a share of what was due, and more than the
    /// copies of one `burst`.
    fn grows(&self, burst: f64) -> bool {
        let due = self.delivered as f64 + self.growth().max(0.0);
        self.growth() > GROWTH * due + burst
    }

    /// The share of what was due that came.
    fn kept_up(&self) -> f64 {
        let delivered = self.delivered as f64;
        let due = delivered + self.growth().max(0.0);
        if due > 0.0 { delivered / due } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario_file::{Wanted, load};

    fn iot() -> Scenario {
        load(&Wanted { scenario: "iot-50k", ..Wanted::default() }).expect("built in")
    }

    #[test]
    fn a_step_scales_all_rates_and_leaves_faults_out() {
        let scenario = iot();
        let own = own_rate(&scenario);
        assert!((10_000.0..10_100.0).contains(&own), "{own}");
        let shape = Shape { settle_s: 1, hold_s: 2, drain_s: 1 };
        let step = scaled(&scenario, 3.0, shape);
        assert!(step.faults.is_empty() && !scenario.faults.is_empty());
        let expected = expected_messages(&step) as f64;
        assert!((expected / (own * 9.0) - 1.0).abs() < 0.01, "{expected}");
        assert_eq!(step.window_s(), 2.0);
    }

    #[test]
    fn a_step_has_no_auditor_who_reads_everything_at_the_end() {
        let wanted = Wanted { scenario: "payments", ..Wanted::default() };
        let scenario = load(&wanted).expect("built in");
        let step = scaled(&scenario, 1.0, Shape { settle_s: 1, hold_s: 2, drain_s: 1 });
        let names: Vec<&str> = step.populations.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["gateways", "ledger", "notify"]);
        assert!(step.objectives.len() < scenario.objectives.len());
        for objective in &step.objectives {
            assert_ne!(names[objective.population], "gateways");
        }
        let drain = step.phases.last().expect("a drain");
        assert_eq!(drain.end_ns - drain.start_ns, 4_000_000_000, "as long as the scenario's");
    }

    #[test]
    fn a_step_is_as_long_as_its_quantile_needs_within_bounds() {
        let hold = |mode, rate| Shape::of(mode, false, rate, 1.0).hold_s;
        assert_eq!(hold(Mode::Sim, 1e6), 2);
        assert_eq!(hold(Mode::Sim, 2_000.0), 5);
        assert_eq!(hold(Mode::Sim, 1.0), 20);
        assert_eq!(hold(Mode::Embedded, 1.0), 6);
    }

    #[test]
    fn a_backlog_that_grows_is_told_from_one_that_stays() {
        let shape = Shape { settle_s: 1, hold_s: 2, drain_s: 1 };
        let series = |backlogs: [u64; 3]| {
            backlogs.map(|backlog| Point { backlog, delivered: 10_000, ..Point::default() })
        };
        let of = |backlogs| Backlog::of(&series(backlogs), shape);
        assert!(!of([5_000, 5_000, 5_100]).grows(1.0), "large and steady");
        assert!(of([10, 500, 1_000]).grows(1.0));
        assert!(!of([10, 500, 1_000]).grows(2_000.0), "one burst is under way");
        assert_eq!(of([0, 0, 20_000]).kept_up(), 0.5);
        assert_eq!(Backlog::of(&[], shape).kept_up(), 0.0);
    }
}
