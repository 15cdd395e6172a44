//! From what a mode hands over to a trial of the record.

use std::collections::BTreeMap;

use broker_contract::{
    Cause, Claim, Contender, CrashKind, Durability, Feature, Proof, SeedStream, Settings,
};
use hdrhistogram::Histogram;
use lab_reports::record::{
    AckProves, Deliveries, Durable, Fault, Generator, Ledger, Messages, Mode, Setting,
    SubscriptionLedger, Trial, Waste, Wire, WireThread, micros,
};
use lab_workloads::ledger::{Account, Duty, Forgotten, Outage, Reconcile, Replay, ScopeAccount};
use lab_workloads::plan::{Interest, Plan, Planned};
use lab_workloads::scenario::model::{FaultKind, Scenario};

use super::cast::Cast;
use super::series::{gone, joins, series};
use super::terms::{Terms, terms, undeclared};
use super::{Calls, Handled, NodeCrash, RawTrial, Resources};
use crate::measure::anatomy::{Anatomy, STAGES, Upward};
use crate::measure::meters::Pair;
use crate::measure::quantiles::{Instrument, curve, latency};

/// A trial of the record, with the histograms behind its figures.
#[derive(Clone, Debug)]
pub struct Accounted {
    /// What goes into the record.
    pub trial: Trial,
    /// Delivery times by subscription.
    pub by_subscription: BTreeMap<String, Pair>,
    /// Acknowledgement times, where there are any.
    pub publish: Option<Pair>,
    /// Schedule lag.
    pub lag: Histogram<u64>,
    /// Populations that the contender cannot serve as the scenario asks, and why.
    pub unsupported: BTreeMap<String, String>,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
}

/// What a trial is called and what it ran with.
#[derive(Clone, Debug)]
pub struct Label<'a> {
    /// The contender with its presets, as asked for.
    pub contender: &'a str,
    /// The mode.
    pub mode: Mode,
    /// From 0.
    pub repeat: u32,
    /// Resolved settings.
    pub settings: &'a Settings,
    /// What an acknowledgement proves with them.
    pub proof: Proof,
    /// The seed that the plan was drawn from.
    pub seed: SeedStream,
    /// Response times of the canary; `None` in virtual time.
    pub canary: Option<&'a Histogram<u64>>,
}

/// The plan drawn again, for the copies that went missing.
struct Redrawn<'a, C: Contender> {
    plan: Plan,
    current: Option<Planned>,
    cast: &'a Cast,
    channel: String,
    contender: std::marker::PhantomData<C>,
}

impl<'a, C: Contender> Redrawn<'a, C> {
    fn new(scenario: &Scenario, seed: SeedStream, cast: &'a Cast) -> Self {
        Redrawn {
            plan: Plan::new(scenario, seed.fork("workload")),
            current: None,
            cast,
            channel: String::new(),
            contender: std::marker::PhantomData,
        }
    }

    fn seek(&mut self, number: u32) -> Option<Planned> {
        while self.current.is_none_or(|op| op.number < number) {
            self.current = self.plan.next();
            self.current?;
        }
        self.current.filter(|op| op.number == number)
    }
}

impl<C: Contender> Replay for Redrawn<'_, C> {
    fn intended_ns(&mut self, number: u32) -> u64 {
        self.seek(number).map_or(0, |op| op.at_ns)
    }

    fn owner(&mut self, scope: u32, number: u32) -> Option<u32> {
        let seats = self.cast.seats_per_scope[scope as usize];
        let op = self.seek(number)?;
        self.plan.channel(&op, &mut self.channel);
        C::seat_of(&self.channel, seats)
    }
}

/// Settles the books of a trial and sums up its figures.
pub fn account<C: Contender>(
    scenario: &Scenario,
    mut raw: RawTrial,
    label: &Label<'_>,
) -> Accounted {
    let interest = Interest::new(scenario);
    let overrides = scenario.contenders.get(C::NAME).cloned().unwrap_or_default();
    let cast = Cast::new(scenario, &overrides, &interest);
    spread_undrained(scenario, &interest, label.seed, &mut raw);
    owners_copies::<C>(&mut raw, Redrawn::new(scenario, label.seed, &cast));
    let mut redrawn = Redrawn::<C>::new(scenario, label.seed, &cast);
    let terms = terms::<C>(scenario);
    let unsupported = unsupported(scenario, &terms, &raw);
    let at_most_once = C::profile().promises.at_most_once;
    let duties: Vec<Duty> = (0..interest.scopes())
        .map(|scope| {
            let terms = terms[interest.population_of(scope)].as_ref();
            terms.map_or(Duty::Fleeting, |terms| terms.duty(at_most_once))
        })
        .collect();
    let joined_ns = joined(scenario, &interest, &unsupported, &raw);
    let outages = outages(&raw, label.proof);
    let forgotten = forgotten(scenario, &cast, &raw, &outages, &joined_ns);
    let account = Reconcile {
        sent: &raw.sent.log,
        seen: &raw.seen,
        drops: &raw.drops,
        away: &raw.away,
        undrained: &raw.undrained,
        lagging: &[],
        transit_ns: raw.transit_ns,
        seats: &cast.seats_per_scope,
        duties: &duties,
        joined_ns: &joined_ns,
        outages: &outages,
        forgotten: &forgotten,
        replay: &mut redrawn,
    }
    .run();
    let gone =
        gone(&raw, &joins(scenario, &interest), Plan::new(scenario, label.seed.fork("workload")));

    let instrument = label.canary.map(|canary| Instrument { lag: &raw.sent.tally.lag, canary });
    let mut by_subscription = BTreeMap::new();
    for (population, pair) in raw.measured.by_population.iter().enumerate() {
        let requests = raw.sent.requests[population].as_ref();
        if let Some(pair) = pair.as_ref().or(requests) {
            by_subscription.insert(scenario.populations[population].name.clone(), pair.clone());
        }
    }
    let mut all = Pair::new();
    for pair in raw.measured.by_population.iter().flatten() {
        all.add(pair);
    }
    let acknowledged = label.proof.copies > 0;
    let publish = acknowledged.then(|| raw.sent.tally.publish.clone());
    let window_s = scenario.window_s();
    let per_s = |count: u64| if window_s > 0.0 { count as f64 / window_s } else { 0.0 };
    let offered = raw.sent.tally.sent_in_window + raw.sent.unsent_in_window;
    let sent = raw.sent.tally.sent_in_window;
    let invalid = invalid_reason(&raw, offered);
    let anatomy = anatomy(&raw);
    let trial = Trial {
        contender: label.contender.to_owned(),
        mode: label.mode,
        repeat: label.repeat,
        valid: invalid.is_none(),
        invalid_reason: invalid,
        trace_hash: raw.trace_hash.map(|hash| format!("{hash:016x}")),
        window_s,
        not_applied: not_applied(scenario, label.mode, &terms, &unsupported, &raw),
        settings: settings(label.settings),
        ack_proves: proves(label.proof),
        offered_per_s: per_s(offered),
        sent_per_s: per_s(sent),
        acked_per_s: per_s(raw.sent.tally.acked_in_window),
        delivered_per_s: per_s(raw.measured.in_window),
        published_per_s: per_s(sent.saturating_sub(raw.sent.tally.failed_in_window)),
        publish: publish.as_ref().map(|pair| latency(pair, instrument)),
        delivery: {
            let mut times = latency(&all, instrument);
            times.response.curve = curve(&all.response);
            times
        },
        by_subscription: by_subscription
            .iter()
            .map(|(name, pair)| (name.clone(), latency(pair, instrument)))
            .collect(),
        ledger: ledger(&account, &raw),
        generator: generator(&raw, label),
        resources: resources(&raw.resources, &account),
        anatomy: anatomy.as_ref().map_or_else(BTreeMap::new, |anatomy| {
            STAGES.iter().map(|stage| (*stage).to_owned()).zip(anatomy.means_us()).collect()
        }),
        anatomy_samples: anatomy.as_ref().map_or(0, Anatomy::count),
        anatomy_mean_us: anatomy.as_ref().map(|anatomy| anatomy.means_us().iter().sum()),
        series: series(&raw, &gone),
        faults: faults(scenario, &raw),
        setup_s: Some(raw.setup.as_secs_f64()),
        ledger_by_subscription: subscription_ledgers(
            scenario,
            &interest,
            &account,
            &raw.handled,
            &unsupported,
        ),
        emulated: emulated::<C>(scenario),
        waste: Waste { messages: raw.wasted.0, bytes: raw.wasted.1 },
        sometimes: raw.sometimes.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        wire: wire(&raw),
    };
    Accounted {
        trial,
        by_subscription,
        publish,
        lag: raw.sent.tally.lag,
        unsupported,
        interrupted: raw.interrupted,
    }
}

/// Populations that the contender cannot serve, and why.
fn unsupported(
    scenario: &Scenario,
    terms: &[Option<Terms>],
    raw: &RawTrial,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (index, population) in scenario.populations.iter().enumerate() {
        let by_terms = terms[index].as_ref().and_then(|terms| terms.unsupported.clone());
        let when_asked = raw
            .unsupported
            .get(&index)
            .or_else(|| raw.sent.tally.unsupported.get(&index))
            .map(ToString::to_string);
        if let Some(reason) = by_terms.or(when_asked) {
            all.insert(population.name.clone(), reason);
        }
    }
    all
}

/// From when on each scope is owed what is sent: a late subscription to new
/// messages from when it was in force, and one that is not supported never.
fn joined(
    scenario: &Scenario,
    interest: &Interest,
    unsupported: &BTreeMap<String, String>,
    raw: &RawTrial,
) -> Vec<u64> {
    let mut joined: Vec<u64> = (0..interest.scopes())
        .map(|scope| {
            let population = &scenario.populations[interest.population_of(scope)];
            let is_late = population
                .subscription()
                .is_some_and(|subscription| subscription.joins_ns > 0 && !subscription.replays());
            let never = unsupported.contains_key(&population.name) || is_late;
            if never { u64::MAX } else { 0 }
        })
        .collect();
    for away in raw.away.iter().filter(|away| away.from_ns == 0) {
        let population = &scenario.populations[interest.population_of(away.scope)];
        let joined = &mut joined[away.scope as usize];
        if *joined > 0 && !unsupported.contains_key(&population.name) {
            *joined = away.until_ns.min(*joined);
        }
    }
    joined
}

/// The crashes that may take what acknowledgements with this proof stand for.
fn outages(raw: &RawTrial, proof: Proof) -> Vec<Outage> {
    let outage = |crash: &NodeCrash| {
        let (cause, lost_from_ns) = match (crash.how, proof.durable) {
            (_, Durability::Synced) | (CrashKind::ProcessKill, Durability::PageCache) => {
                return None;
            }
            (CrashKind::ProcessKill, Durability::None) => (Cause::BrokerCrash, 0),
            (CrashKind::PowerLoss, Durability::None) => (Cause::PowerLoss, 0),
            (CrashKind::PowerLoss, Durability::PageCache) => (Cause::PowerLoss, crash.lost_from_ns),
        };
        Some(Outage { at_ns: crash.at_ns, lost_from_ns, cause })
    };
    raw.crashes.iter().filter_map(outage).collect()
}

/// Positions that went with the power, of members that began anew afterwards. A
/// position is stored when its subscription comes into force, so one of which
/// the disk kept that first word is not gone, at worst set back.
fn forgotten(
    scenario: &Scenario,
    cast: &Cast,
    raw: &RawTrial,
    outages: &[Outage],
    joined_ns: &[u64],
) -> Vec<Forgotten> {
    // When members of which population began, and which.
    let joins = scenario.populations.iter().enumerate().filter_map(|(population, of)| {
        let joins_ns = of.subscription()?.joins_ns;
        (joins_ns > 0).then_some((population, 0..u32::MAX, joins_ns))
    });
    let restarts = scenario.faults.iter().filter_map(|fault| match fault.kind {
        FaultKind::SubscriberRestart { population, first, members, .. } => {
            Some((population, first..first.saturating_add(members), fault.until_ns))
        }
        _ => None,
    });
    let mut all = Vec::new();
    for (population, members, began_ns) in joins.chain(restarts) {
        let concerned = cast.seats.iter().filter(|seat| {
            usize::from(seat.population) == population && members.contains(&seat.member)
        });
        for seat in concerned {
            let is_alone = cast.seats_per_scope[seat.scope as usize] == 1;
            let away = raw.away.iter().find(|away| {
                away.scope == seat.scope
                    && (is_alone || away.seat == seat.member)
                    && (away.from_ns..=away.until_ns).contains(&began_ns)
            });
            // One that never came back has nothing to begin with.
            let back = away.map(|away| away.until_ns).filter(|until_ns| *until_ns < u64::MAX);
            let Some(until_ns) = back else { continue };
            let taken = outages.iter().find(|outage| {
                let first_word_ns = joined_ns[seat.scope as usize];
                outage.cause == Cause::PowerLoss
                    && outage.at_ns <= until_ns
                    && outage.lost_from_ns <= first_word_ns
            });
            if let Some(outage) = taken {
                all.push(Forgotten { scope: seat.scope, until_ns, cause: outage.cause });
            }
        }
    }
    all
}

/// Joins the copies that were dropped on consumers' sides to the other drops,
/// without those that a member of an emulated group would have thrown away.
fn owners_copies<C: Contender>(raw: &mut RawTrial, mut redrawn: Redrawn<'_, C>) {
    raw.copies_dropped.sort_by_key(|copy| copy.drop.number);
    for copy in std::mem::take(&mut raw.copies_dropped) {
        let Some(scope) = copy.drop.scope else { continue };
        let grouped = redrawn.cast.seats_per_scope[scope as usize] > 1;
        let owner = if grouped { redrawn.owner(scope, copy.drop.number) } else { None };
        if owner.is_none_or(|owner| owner == copy.member) {
            raw.drops.push(copy.drop);
        }
    }
}

/// Messages that were still on their way to the node leave all their copies undrained.
fn spread_undrained(
    scenario: &Scenario,
    interest: &Interest,
    seed: SeedStream,
    raw: &mut RawTrial,
) {
    if raw.undrained_numbers.is_empty() {
        return;
    }
    raw.undrained_numbers.sort_unstable();
    let mut plan = Plan::new(scenario, seed.fork("workload"));
    let mut wanted = raw.undrained_numbers.iter().copied().peekable();
    while let Some(op) = plan.next() {
        while wanted.next_if(|number| *number < op.number).is_some() {}
        match wanted.peek() {
            None => break,
            Some(number) if *number == op.number => {
                let undrained = &mut raw.undrained;
                interest.expected(&plan, &op, &mut |scope| undrained.push((scope, op.number)));
            }
            Some(_) => {}
        }
    }
}

fn invalid_reason(raw: &RawTrial, offered: u64) -> Option<String> {
    if let Some(reason) = &raw.broken {
        return Some(reason.clone());
    }
    if raw.interrupted {
        return Some("it was interrupted".to_owned());
    }
    let sent = raw.sent.tally.sent_in_window;
    (offered > 0 && (sent as f64) < offered as f64 * 0.99)
        .then(|| format!("the generator sent {sent} of {offered} messages planned in the window"))
}

fn anatomy(raw: &RawTrial) -> Option<Anatomy> {
    let mut anatomy = Anatomy::default();
    // The same deliveries as in the quantiles: an auditor who reads in the end what
    // was stored all along would make storing look slow.
    for sampled in raw.sampled.iter().filter(|sampled| sampled.is_judged) {
        let Some(sent_ns) = raw.sent_at.get(sampled.number) else { continue };
        // Two threads noted the halves, and their clock readings may cross.
        let arrived_ns = raw.arrived_at.get(sampled.number).unwrap_or(sent_ns).max(sent_ns);
        anatomy.delivered(sampled.intended_ns, Upward { sent_ns, arrived_ns }, sampled.down);
    }
    (anatomy.count() > 0).then_some(anatomy)
}

fn settings(settings: &Settings) -> BTreeMap<String, Setting> {
    settings
        .iter()
        .map(|(name, setting)| {
            let value = setting.value.to_string();
            (name.to_owned(), Setting { value, default: setting.is_default })
        })
        .collect()
}

fn proves(proof: Proof) -> AckProves {
    let durable = match proof.durable {
        Durability::None => Durable::None,
        Durability::PageCache => Durable::PageCache,
        Durability::Synced => Durable::Synced,
    };
    AckProves { copies: u32::from(proof.copies), durable }
}

fn ledger(account: &Account, raw: &RawTrial) -> Ledger {
    let mut given_up: Vec<(u32, Option<u32>)> = raw
        .drops
        .iter()
        .filter(|drop| drop.cause == Cause::MaxDeliver)
        .map(|drop| (drop.number, drop.scope))
        .collect();
    given_up.sort_unstable();
    given_up.dedup();
    let (messages, deliveries) = (&account.messages, &account.deliveries);
    Ledger {
        messages: Messages {
            attempted: messages.attempted,
            acked: messages.acked,
            failed: messages.failed,
            unknown: messages.unknown,
            unacked: messages.unacked,
        },
        deliveries: Deliveries {
            expected: deliveries.expected,
            delivered: deliveries.delivered,
            lost_explained: deliveries.lost_explained,
            lost_unexplained: deliveries.lost_unexplained,
            undrained: deliveries.undrained,
        },
        duplicates: account.duplicates,
        redelivered: account.redelivered,
        reordered: account.reordered,
        corrupt: account.corrupt + raw.sent.tally.corrupt_answers,
        causes: owned(&account.causes),
        acked_lost: owned(&account.acked_lost),
        oldest_lost_s: account.oldest_lost_ns.map(|age_ns| age_ns as f64 / 1e9),
        given_up: given_up.len() as u64,
    }
}

fn owned(causes: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    causes.iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect()
}

fn subscription_ledgers(
    scenario: &Scenario,
    interest: &Interest,
    account: &Account,
    handled: &[Handled],
    unsupported: &BTreeMap<String, String>,
) -> BTreeMap<String, SubscriptionLedger> {
    let mut out: BTreeMap<String, SubscriptionLedger> = BTreeMap::new();
    for (scope, of) in (0..).zip(&account.scopes) {
        let name = &scenario.populations[interest.population_of(scope)].name;
        add(out.entry(name.clone()).or_default(), of);
    }
    for (population, handled) in scenario.populations.iter().zip(handled) {
        if let Some(ledger) = out.get_mut(&population.name) {
            ledger.unprocessed = handled.unprocessed;
            ledger.poison = handled.poison;
            ledger.unsupported = unsupported.get(&population.name).cloned();
        }
    }
    out
}

fn add(sum: &mut SubscriptionLedger, of: &ScopeAccount) {
    sum.deliveries.expected += of.expected;
    sum.deliveries.delivered += of.delivered;
    sum.deliveries.lost_explained += of.lost_explained;
    sum.deliveries.lost_unexplained += of.lost_unexplained;
    sum.deliveries.undrained += of.undrained;
    sum.duplicates += of.duplicates;
    sum.redelivered += of.redelivered;
    sum.reordered += of.reordered;
    sum.corrupt += of.corrupt;
    for (cause, count) in &of.causes {
        *sum.causes.entry((*cause).to_owned()).or_default() += count;
    }
    for (cause, count) in &of.acked_lost {
        *sum.acked_lost.entry((*cause).to_owned()).or_default() += count;
    }
}

fn generator(raw: &RawTrial, label: &Label<'_>) -> Generator {
    let lag = &raw.sent.tally.lag;
    let at = |q: f64| (!lag.is_empty()).then(|| micros(lag.value_at_quantile(q)));
    if label.mode == Mode::Sim {
        // Virtual time waits for the generator: it is never late.
        let zero = (!lag.is_empty()).then_some(0.0);
        return Generator {
            lag_p50_us: zero,
            lag_p99_us: zero,
            lag_max_us: zero,
            canary_p99_us: None,
            unsent: raw.sent.unsent,
            ..Generator::default()
        };
    }
    Generator {
        lag_p50_us: at(0.5),
        lag_p99_us: at(0.99),
        lag_max_us: (!lag.is_empty()).then(|| micros(lag.max())),
        canary_p99_us: label
            .canary
            .filter(|canary| !canary.is_empty())
            .map(|canary| micros(canary.value_at_quantile(0.99))),
        unsent: raw.sent.unsent,
        limit_per_s: None,
        peak_per_s: raw.sent.tally.seconds.iter().map(|s| s.offered as f64).reduce(f64::max),
    }
}

fn resources(used: &Resources, account: &Account) -> lab_reports::record::Resources {
    let attempted = account.messages.attempted;
    lab_reports::record::Resources {
        node_cpu_s: Some(used.node_cpu_s),
        client_cpu_s: Some(used.client_cpu_s),
        node_memory_bytes: Some(used.node_memory_bytes),
        bytes_in: used.bytes_in,
        bytes_out: used.bytes_out,
        disk_bytes: used.disk_bytes,
        syncs: used.syncs,
        cpu_us_per_message: (attempted > 0).then(|| used.node_cpu_s * 1e6 / attempted as f64),
    }
}

/// What each thread asked of the system, where there were sockets.
fn wire(raw: &RawTrial) -> Option<Wire> {
    let [server, generator, receivers] = raw.calls?;
    let thread = |calls: Calls, cpu_s| WireThread {
        cpu_s,
        connections: calls.connections,
        reads: calls.reads,
        writes: calls.writes,
        polls: calls.polls,
        frames_in: calls.frames_in,
        bytes_in: calls.bytes_in,
        bytes_out: calls.bytes_out,
    };
    let [generator_cpu_s, receivers_cpu_s] = raw.clients_cpu_s;
    Some(Wire {
        over_s: raw.ended_ns as f64 / 1e9,
        server: thread(server, raw.resources.node_cpu_s),
        generator: thread(generator, generator_cpu_s),
        receivers: thread(receivers, receivers_cpu_s),
    })
}

fn faults(scenario: &Scenario, raw: &RawTrial) -> Vec<Fault> {
    scenario
        .faults
        .iter()
        .zip(&raw.faults)
        .map(|(fault, took_effect)| {
            let target = match &fault.kind {
                FaultKind::SubscriberRestart { population, first, members, .. }
                | FaultKind::SlowSubscriber { population, first, members, .. } => {
                    let name = &scenario.populations[*population].name;
                    if *members == 1 {
                        format!("{name}[{first}]")
                    } else {
                        format!("{name}[{first}..{}]", first + members)
                    }
                }
                FaultKind::BrokerCrash { .. } => "broker".to_owned(),
                FaultKind::DiskStall | FaultKind::DiskFull => "disk".to_owned(),
            };
            Fault {
                kind: fault.kind.name().to_owned(),
                target,
                at_s: fault.at_ns as f64 / 1e9,
                until_s: fault.until_ns as f64 / 1e9,
                took_effect: *took_effect,
            }
        })
        .collect()
}

fn not_applied(
    scenario: &Scenario,
    mode: Mode,
    terms: &[Option<Terms>],
    unsupported: &BTreeMap<String, String>,
    raw: &RawTrial,
) -> Vec<String> {
    let mut out = Vec::new();
    if mode == Mode::Wire {
        out.extend(not_applied_over_tcp(scenario));
    }
    if mode == Mode::Embedded {
        let links: Vec<&str> = scenario.links.iter().map(|link| link.name.as_str()).collect();
        if !links.is_empty() {
            let names = links.join(", ");
            out.push(format!("links ({names}): frames pass from thread to thread at once"));
        }
        let power_loss = |kind: &FaultKind| {
            matches!(kind, FaultKind::BrokerCrash { how: broker_contract::CrashKind::PowerLoss })
        };
        if scenario.faults.iter().any(|fault| power_loss(&fault.kind)) {
            out.push(
                "power loss: emulated, by killing the node and cutting its files back to what \
                 was synced"
                    .to_owned(),
            );
        }
    }
    if let Some(reason) = &raw.undeclared {
        out.extend(undeclared(scenario, reason.reason));
    }
    out.extend(terms.iter().flatten().flat_map(|terms| terms.lacks.iter().cloned()));
    out.extend(unsupported.iter().map(|(name, reason)| format!("{name}: not served: {reason}")));
    out
}

/// Over TCP the loopback interface takes the place of the scenario's links, and the
/// server is left alone.
fn not_applied_over_tcp(scenario: &Scenario) -> Vec<String> {
    let mut out = Vec::new();
    let links: Vec<&str> = scenario.links.iter().map(|link| link.name.as_str()).collect();
    if !links.is_empty() {
        let names = links.join(", ");
        out.push(format!("links ({names}): everything is on one machine, over loopback TCP"));
    }
    let strikes_node = |kind: &FaultKind| {
        matches!(kind, FaultKind::BrokerCrash { .. } | FaultKind::DiskStall | FaultKind::DiskFull)
    };
    if scenario.faults.iter().any(|fault| strikes_node(&fault.kind)) {
        out.push("faults of the broker: its server is not struck over TCP".to_owned());
    }
    out
}

/// What the contender's client makes up for in this scenario.
fn emulated<C: Contender>(scenario: &Scenario) -> Vec<String> {
    let profile = C::profile();
    let mut out: Vec<String> = Vec::new();
    let mut add = |feature: Feature| {
        if let Claim::Emulated(how) = profile.claim(feature) {
            let text = format!("{}: {how}", feature.title());
            if !out.contains(&text) {
                out.push(text);
            }
        }
    };
    for population in &scenario.populations {
        if let Some(subscription) = population.subscription() {
            let filter = &subscription.filter.text;
            if filter.split('.').any(|token| token == "*") {
                add(Feature::TokenWildcard);
            }
            if filter.split('.').next_back() == Some(">") {
                add(Feature::TailWildcard);
            }
            if subscription.group.is_some() {
                add(Feature::Groups);
            }
        }
        if matches!(population.role, lab_workloads::scenario::model::Role::Requester { .. }) {
            add(Feature::RequestReply);
        }
    }
    out
}
