//! Which trials, in which order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use broker_contract::{Codec, Configured, Contender, Proof, SeedStream, Settings};
use hdrhistogram::Histogram;
use lab_reports::record::{Cost, Mode, NotPlayed, Trial};
use lab_workloads::scenario::model::{
    ContenderOverrides, Durations, Phase, PhaseKind, Role, Scenario,
};

use super::progress::Progress;
use crate::contenders::{self, ContenderSpec, Visit, VisitWired};
use crate::exit::CliError;
use crate::measure::meters::histogram;
use crate::modes::embedded::canary::Canary;
use crate::modes::sim::costs::Costs;
use crate::modes::sim::engine::BrokerOf;
use crate::modes::{embedded, sim, wire};
use crate::trial::account::{Accounted, Label, account};
use crate::trial::{RawTrial, Watch};

/// Nanoseconds that the canary is measured for.
const CANARY_NS: u64 = 1_500_000_000;
/// How long the generator is measured at its limit.
const LIMIT_TIME: Duration = Duration::from_secs(1);
/// Nanoseconds before that: set-up leaves cold caches and freed memory behind.
const CANARY_WARM_UP_NS: u64 = 500_000_000;

/// Why a contender is not played over TCP.
const NO_CODEC: &str = "it has no codec yet";

/// A contender, ready to run.
#[derive(Clone, Debug)]
pub struct Prepared {
    spec: ContenderSpec,
    settings: Settings,
    proof: Proof,
}

/// Resolves the settings of every contender.
///
/// # Errors
/// [`CliError::Usage`] naming the contender and the setting.
pub fn prepare(scenario: &Scenario, specs: &[ContenderSpec]) -> Result<Vec<Prepared>, CliError> {
    specs.iter().map(|spec| prepare_one(scenario, spec)).collect()
}

/// Resolves the settings of one contender.
///
/// # Errors
/// [`CliError::Usage`] naming the contender and the setting.
pub fn prepare_one(scenario: &Scenario, spec: &ContenderSpec) -> Result<Prepared, CliError> {
    struct Prepare<'a>(&'a ContenderSpec, ContenderOverrides);
    impl Visit for Prepare<'_> {
        type Out = Result<(Settings, Proof), String>;
        fn visit<C: Contender>(self) -> Self::Out {
            let settings = self
                .0
                .resolve::<C>(&self.1.presets, &self.1.settings)
                .map_err(|error| error.to_string())?;
            let configured = C::configure(&settings).map_err(|error| error.to_string())?;
            Ok((settings, configured.proof))
        }
    }
    let overrides = scenario.contenders.get(&spec.name).cloned().unwrap_or_default();
    match contenders::with(&spec.name, Prepare(spec, overrides)) {
        Some(Ok((settings, proof))) => Ok(Prepared { spec: spec.clone(), settings, proof }),
        Some(Err(reason)) => Err(CliError::Usage(format!("contender `{}`: {reason}", spec.label))),
        None => Err(CliError::Usage(format!("there is no contender `{}`", spec.name))),
    }
}

/// Says which contenders a mode leaves out, on standard error and for the record.
///
/// # Errors
/// [`CliError::Usage`] when that leaves nobody to play at all.
pub fn who_cannot_play(prepared: &[Prepared], modes: &[Mode]) -> Result<Vec<NotPlayed>, CliError> {
    let text = |label: &str| format!("`{label}` is not played over TCP: {NO_CODEC}");
    let mut all = Vec::new();
    for left_out in prepared.iter().filter(|it| !it.plays(Mode::Wire)) {
        if modes == [Mode::Wire] && !prepared.iter().any(|it| it.plays(Mode::Wire)) {
            return Err(CliError::Usage(text(left_out.label())));
        }
        if modes.contains(&Mode::Wire) {
            crate::term::note(&text(left_out.label()));
            all.push(NotPlayed {
                contender: left_out.label().to_owned(),
                mode: Mode::Wire,
                reason: NO_CODEC.to_owned(),
            });
        }
    }
    Ok(all)
}

impl Prepared {
    /// Runs `visit` with this contender's type.
    pub(super) fn with<V: Visit>(&self, visit: V) -> V::Out {
        contenders::with(&self.spec.name, visit).expect("a prepared contender is in the table")
    }

    /// Whether it can be played in `mode`.
    pub fn plays(&self, mode: Mode) -> bool {
        mode != Mode::Wire || contenders::has_codec(&self.spec.name)
    }

    /// Plays one trial in the mode that it says.
    pub(super) fn run(&self, one: RunOne<'_>) -> Accounted {
        if one.mode == Mode::Wire {
            contenders::with_codec(&self.spec.name, one).expect("whoever plays has a codec")
        } else {
            self.with(one)
        }
    }

    /// Its name in the record.
    pub fn label(&self) -> &str {
        &self.spec.label
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its name in the table of contenders.
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}

/// Simulates `jobs` (a contender, and its costs instead of the shipped ones) on
/// all cores; what an interrupt left out is missing.
pub fn simulate_with(
    scenario: &Arc<Scenario>,
    jobs: &[(&Prepared, Costs)],
    interrupt: &Arc<AtomicBool>,
) -> Vec<Option<Accounted>> {
    on_all_cores(jobs, interrupt, |(contender, costs)| {
        let watch = Watch::new(interrupt.clone());
        contender.with(RunOne {
            scenario,
            prepared: contender,
            mode: Mode::Sim,
            repeat: 0,
            canary: None,
            costs: Some(costs),
            watch: &watch,
        })
    })
}

/// Does `work` for each of `jobs`, as many at a time as there are cores.
pub(super) fn on_all_cores<J: Sync, R: Send>(
    jobs: &[J],
    interrupt: &AtomicBool,
    work: impl Fn(&J) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<R>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        for _ in 0..workers.min(jobs.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    if interrupt.load(Ordering::Relaxed) {
                        break;
                    }
                    let result = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The seed of a repeat: the first uses the run's own, so that a run without
/// repeats and the first repeat are the same.
fn seed_of(scenario: &Scenario, repeat: u32) -> SeedStream {
    let root = SeedStream::new(scenario.seed);
    if repeat == 0 { root } else { root.fork("repeat").nth(u64::from(repeat)) }
}

/// One run of one contender, for [`Prepared::with`].
pub(super) struct RunOne<'a> {
    pub(super) scenario: &'a Arc<Scenario>,
    pub(super) prepared: &'a Prepared,
    pub(super) mode: Mode,
    /// Another repeat draws from another seed.
    pub(super) repeat: u32,
    pub(super) canary: Option<&'a Histogram<u64>>,
    /// Instead of the shipped costs.
    pub(super) costs: Option<&'a Costs>,
    pub(super) watch: &'a Watch,
}

impl Visit for RunOne<'_> {
    type Out = Accounted;
    fn visit<C: Contender>(self) -> Accounted {
        self.play::<C>(|configured, seed| match self.mode {
            Mode::Sim => {
                let costs = self.costs.cloned().unwrap_or_else(|| Costs::of(C::NAME));
                sim::run::<C>(self.scenario, configured, &costs, seed, self.watch)
            }
            _ => embedded::run::<C>(self.scenario, configured, seed, self.watch),
        })
    }
}

impl VisitWired for RunOne<'_> {
    type Out = Accounted;
    fn visit<C: Contender, K: Codec<Broker = BrokerOf<C>>>(self, codec: K) -> Accounted {
        self.play::<C>(|configured, seed| {
            wire::run::<C, K>(codec, self.scenario, configured, seed, self.watch)
        })
    }
}

impl RunOne<'_> {
    fn play<C: Contender>(
        &self,
        run: impl FnOnce(&Configured<C>, SeedStream) -> RawTrial,
    ) -> Accounted {
        let configured = C::configure(&self.prepared.settings)
            .expect("settings that were prepared configure again");
        let seed = seed_of(self.scenario, self.repeat);
        let raw = run(&configured, seed);
        let label = Label {
            contender: &self.prepared.spec.label,
            mode: self.mode,
            repeat: self.repeat,
            settings: &self.prepared.settings,
            proof: self.prepared.proof,
            seed,
            canary: self.canary,
        };
        account::<C>(self.scenario, raw, &label)
    }
}

/// Runs everything: simulations on all cores, since nothing outside touches
/// virtual time; wall-clock trials one after the other, contenders interleaved
/// (A B, B A, ...), a canary before each round.
pub fn run_all(
    scenario: &Arc<Scenario>,
    prepared: &[Prepared],
    modes: &[Mode],
    repeats: u32,
    interrupt: &Arc<AtomicBool>,
) -> Vec<Accounted> {
    let progress = Progress::new();
    let mut all = Vec::new();
    for mode in modes {
        if *mode == Mode::Sim {
            all.extend(simulate(scenario, prepared, repeats, interrupt, &progress));
        } else {
            all.extend(by_the_clock(scenario, prepared, *mode, repeats, interrupt, &progress));
        }
    }
    all
}

fn simulate(
    scenario: &Arc<Scenario>,
    prepared: &[Prepared],
    repeats: u32,
    interrupt: &Arc<AtomicBool>,
    progress: &Progress,
) -> Vec<Accounted> {
    let jobs: Vec<(u32, &Prepared)> =
        (0..repeats).flat_map(|repeat| prepared.iter().map(move |p| (repeat, p))).collect();
    let all = on_all_cores(&jobs, interrupt, |(repeat, contender)| {
        watched(progress, scenario, Mode::Sim, *repeat, contender, interrupt, |watch| {
            contender.with(RunOne {
                scenario,
                prepared: contender,
                mode: Mode::Sim,
                repeat: *repeat,
                canary: None,
                costs: None,
                watch,
            })
        })
    });
    all.into_iter().flatten().collect()
}

fn by_the_clock(
    scenario: &Arc<Scenario>,
    prepared: &[Prepared],
    mode: Mode,
    repeats: u32,
    interrupt: &Arc<AtomicBool>,
    progress: &Progress,
) -> Vec<Accounted> {
    let mut all = Vec::new();
    let limit_per_s = if mode == Mode::Wire { limit(scenario, interrupt) } else { None };
    for repeat in 0..repeats {
        if interrupt.load(Ordering::Relaxed) {
            break;
        }
        let canary = canary(scenario, repeat, interrupt);
        let mut order: Vec<&Prepared> = prepared.iter().filter(|it| it.plays(mode)).collect();
        if repeat % 2 == 1 {
            order.reverse();
        }
        for contender in order {
            if interrupt.load(Ordering::Relaxed) {
                break;
            }
            all.push(watched(progress, scenario, mode, repeat, contender, interrupt, |watch| {
                let mut accounted = contender.run(RunOne {
                    scenario,
                    prepared: contender,
                    mode,
                    repeat,
                    canary: Some(&canary),
                    costs: None,
                    watch,
                });
                accounted.trial.generator.limit_per_s = limit_per_s;
                accounted
            }));
        }
    }
    all
}

/// Runs one trial with a bar beside it.
fn watched(
    progress: &Progress,
    scenario: &Scenario,
    mode: Mode,
    repeat: u32,
    prepared: &Prepared,
    interrupt: &Arc<AtomicBool>,
    run: impl FnOnce(&Watch) -> Accounted,
) -> Accounted {
    let mut name = format!("{mode} {}", prepared.spec.label);
    if repeat > 0 {
        name.push_str(&format!(" #{}", repeat + 1));
    }
    let bar = progress.begin(name);
    let watch = Watch::new(interrupt.clone());
    let accounted = bar.beside(&watch, scenario, || run(&watch));
    bar.end(&summary(&accounted.trial));
    accounted
}

fn summary(trial: &Trial) -> String {
    match (&trial.invalid_reason, trial.delivery.response.p99_us) {
        (Some(reason), _) => format!("invalid: {reason}"),
        (None, Some(p99)) => {
            format!("{} delivered, p99 {:.2} ms", trial.ledger.deliveries.delivered, p99 / 1e3)
        }
        (None, None) => format!("{} delivered", trial.ledger.deliveries.delivered),
    }
}

/// Response times of the same plan with nothing in between: a short warm-up, then
/// a steady stretch at the plan's own rates.
pub(super) fn canary(
    scenario: &Arc<Scenario>,
    repeat: u32,
    interrupt: &Arc<AtomicBool>,
) -> Histogram<u64> {
    let mut short = Scenario::clone(scenario);
    short.faults.clear();
    short.contenders.clear();
    let phase =
        |kind, start_ns, end_ns| Phase { kind, start_ns, end_ns, rate_from: 1.0, rate_to: 1.0 };
    short.phases = vec![
        phase(PhaseKind::WarmUp, 0, CANARY_WARM_UP_NS),
        phase(PhaseKind::Steady, CANARY_WARM_UP_NS, CANARY_WARM_UP_NS + CANARY_NS),
    ];
    // One seat takes everything here, so work that four share would pile up.
    for population in &mut short.populations {
        if let Role::Subscriber(subscription) | Role::Responder { subscription, .. } =
            &mut population.role
        {
            subscription.processing = Durations::Fixed(Duration::ZERO);
        }
    }
    let configured = Canary::configure(&Settings::default()).expect("it has nothing to configure");
    let seed = seed_of(scenario, repeat).fork("canary");
    let watch = Watch::new(interrupt.clone());
    let raw = embedded::run::<Canary>(&Arc::new(short), &configured, seed, &watch);
    let mut all = histogram();
    for pair in raw.measured.by_population.iter().flatten() {
        all.add(&pair.response).expect("one configuration");
    }
    all
}

/// Messages per second that the generator sends at most over sockets.
fn limit(scenario: &Scenario, interrupt: &Arc<AtomicBool>) -> Option<f64> {
    let seed = seed_of(scenario, 0).fork("limit");
    let limit = wire::generator_limit(scenario, seed, LIMIT_TIME, interrupt)?;
    Some(limit.messages_per_s)
}

/// What the simulated trials charged for work, for the record.
pub fn costs(trials: &[Trial]) -> BTreeMap<String, Vec<Cost>> {
    let mut out = BTreeMap::new();
    for trial in trials.iter().filter(|trial| trial.mode == Mode::Sim) {
        let name = trial.contender.split(':').next().unwrap_or_default();
        if out.contains_key(name) {
            continue;
        }
        let costs = Costs::of(name);
        let row = |what: &str, value: f64| Cost {
            name: what.to_owned(),
            value,
            unit: "ns".to_owned(),
            source: costs.source.clone(),
            date: costs.date.clone(),
            spread: Some(costs.spread),
        };
        let rows = costs.parts().iter().map(|(what, value)| row(what, *value)).collect();
        out.insert(name.to_owned(), rows);
    }
    out
}
