//! The receivers' thread: clients that subscribe, and their applications.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker_contract::{
    Client, ClientInput, Contender, Delivery, Op, Outcome, Ticket, Time, Unsupported,
};
use lab_workloads::plan::Interest;
use lab_workloads::queue::EventQueue;
use lab_workloads::scenario::model::{FaultKind, Scenario};

use super::clock::{Clock, CpuMeter};
use super::host::{Host, Sink};
use crate::trial::away::{AwayLog, Change};
use crate::trial::cast::{TicketOf, follow_up_ticket, seat_ticket, ticket_of};
use crate::trial::consumers::{Consumers, Due, FollowUp};
use crate::trial::terms::{Terms, durable_name};

/// The longest wait without looking at the stop flag.
const NAP: Duration = Duration::from_millis(10);

/// What the receivers' thread works with.
pub(in crate::modes) struct ReceivingThread<C: Contender> {
    pub(in crate::modes) host: Host<C>,
    pub(in crate::modes) consumers: Consumers,
    pub(in crate::modes) scenario: Arc<Scenario>,
    pub(in crate::modes) interest: Arc<Interest>,
    /// What the contender makes of each population's subscription.
    pub(in crate::modes) terms: Vec<Option<Terms>>,
}

/// What it leaves.
#[derive(Debug)]
pub(in crate::modes) struct ReceivingEnd<C: Contender> {
    /// Its clients.
    pub host: Host<C>,
    /// The receiving half.
    pub consumers: Consumers,
    /// When seats stopped by themselves and when they came back.
    pub away: AwayLog,
    /// Copies still in this thread's hands.
    pub undrained: Vec<(u32, u32)>,
    /// Indices of faults that took effect.
    pub faults: Vec<usize>,
    /// CPU seconds since zero.
    pub cpu_s: f64,
    /// Populations with an operation that the contender turned out not to have.
    pub unsupported: BTreeMap<usize, Unsupported>,
    /// Why the trial says nothing, if so.
    pub broken: Option<String>,
}

#[derive(Debug)]
enum Timed {
    FollowUp(FollowUp),
    Fault { index: usize, begins: bool },
    Join { population: usize },
}

/// What the clients' actions reach.
struct Room {
    consumers: Consumers,
    due: Vec<Due>,
    away: AwayLog,
    is_away: Vec<bool>,
    subscribed: u32,
    broken: Option<String>,
    seats_of_client: Vec<Vec<u32>>,
}

impl Sink for Room {
    fn outcome(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) {
        let TicketOf::Seat(seat) = ticket_of(ticket) else { return };
        match outcome {
            Outcome::Done => {
                self.subscribed += 1;
                self.back(seat, now);
            }
            Outcome::Failed(failure) | Outcome::Unknown(failure) => {
                self.broken.get_or_insert(format!("a subscription failed: {failure}"));
            }
            _ => {}
        }
    }

    fn delivery(&mut self, delivery: Delivery, now: Time, released: Time) {
        if let TicketOf::Seat(seat) = ticket_of(delivery.subscription) {
            self.back(seat, now);
            self.consumers.received(seat, now, released, delivery, &mut self.due);
        }
    }

    fn is_paused(&self, client: u32) -> bool {
        self.seats_of_client[client as usize].iter().any(|seat| self.consumers.is_full(*seat))
    }
}

impl Room {
    fn back(&mut self, seat: u32, now: Time) {
        if self.is_away[seat as usize] {
            self.is_away[seat as usize] = false;
            self.away.note(now, seat, Change::Back);
        }
    }

    fn gone(&mut self, seat: u32, now: Time) {
        self.is_away[seat as usize] = true;
        self.away.note(now, seat, Change::Gone);
    }
}

struct Running<C: Contender> {
    host: Host<C>,
    room: Room,
    scenario: Arc<Scenario>,
    interest: Arc<Interest>,
    terms: Vec<Option<Terms>>,
    timed: EventQueue<Timed>,
    follow_ups: u64,
    /// Populations that have not subscribed yet.
    joins: u64,
    faults: Vec<usize>,
    unsupported: BTreeMap<usize, Unsupported>,
}

impl<C: Contender> ReceivingThread<C> {
    /// Runs until the trial stops.
    pub fn run(self) -> ReceivingEnd<C> {
        let cast = self.consumers.cast().clone();
        let running = Running {
            host: self.host,
            room: Room {
                consumers: self.consumers,
                due: Vec::new(),
                away: AwayLog::default(),
                is_away: vec![true; cast.seats.len()],
                subscribed: 0,
                broken: None,
                seats_of_client: cast.seats_of_client.clone(),
            },
            scenario: self.scenario,
            interest: self.interest,
            terms: self.terms,
            timed: EventQueue::new(),
            follow_ups: 0,
            joins: 0,
            faults: Vec::new(),
            unsupported: BTreeMap::new(),
        };
        running.run()
    }
}

impl<C: Contender> Running<C> {
    fn run(mut self) -> ReceivingEnd<C> {
        let clock = self.host.clock();
        while !self.host.shared().declared.load(Ordering::Acquire) && !self.host.stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
        for client in self.host.receivers() {
            let seat = self.room.seats_of_client[client as usize][0];
            let population = self.population_of(seat);
            if self.is_supported(population) && self.joins_ns(population) == 0 {
                self.start(client);
            }
        }
        self.host.flush();
        let mut cpu = CpuMeter::default();
        let mut begun = false;
        while !self.host.stopped() {
            if !begun && let Some(zero) = self.host.zero() {
                begun = true;
                self.begin(zero);
            }
            if begun {
                cpu.zero();
            }
            self.turn(clock);
        }
        self.finish(cpu.used_s())
    }

    fn population_of(&self, seat: u32) -> usize {
        self.room.consumers.cast().seats[seat as usize].population.into()
    }

    fn joins_ns(&self, population: usize) -> u64 {
        self.scenario.populations[population].subscription().map_or(0, |it| it.joins_ns)
    }

    fn is_supported(&self, population: usize) -> bool {
        self.terms[population].as_ref().is_some_and(|terms| terms.unsupported.is_none())
    }

    /// The run's zero is known: faults and late members get their moments.
    fn begin(&mut self, zero: Time) {
        self.room.consumers.start_at(zero);
        for population in 0..self.scenario.populations.len() {
            let joins_ns = self.joins_ns(population);
            if joins_ns > 0 && self.is_supported(population) {
                self.joins += 1;
                let first = self.room.consumers.cast().first_seat[population];
                for seat in first..first + self.scenario.populations[population].count {
                    self.room.gone(seat, zero);
                }
                self.timed.push(zero.plus_nanos(joins_ns).as_nanos(), Timed::Join { population });
            }
        }
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            let population = match fault.kind {
                FaultKind::SubscriberRestart { population, .. }
                | FaultKind::SlowSubscriber { population, .. } => Some(population),
                FaultKind::BrokerCrash { .. } | FaultKind::DiskStall | FaultKind::DiskFull => None,
            };
            if population.is_some_and(|population| self.is_supported(population)) {
                let at = zero.plus_nanos(fault.at_ns).as_nanos();
                let until = zero.plus_nanos(fault.until_ns).as_nanos();
                self.timed.push(at, Timed::Fault { index, begins: true });
                self.timed.push(until, Timed::Fault { index, begins: false });
            }
        }
    }

    /// Takes what came, then does what is due.
    fn turn(&mut self, clock: Clock) {
        let now = clock.now();
        let mut until = now + NAP;
        for at in [self.timed.peek_at().map(Time::from_nanos), self.host.next_tick()] {
            until = until.min(at.unwrap_or(until));
        }
        let mut batch = self.host.spare();
        let any = self.host.wait(&mut batch, until.since(now));
        for item in batch.drain(..) {
            self.host.take(item, clock.now(), &mut self.room);
        }
        self.host.keep(batch);
        self.plan_due();
        self.host.tick(clock.now(), &mut self.room);
        self.timed(clock);
        self.plan_due();
        self.host.flush();
        self.tell(any);
    }

    fn tell(&self, any: bool) {
        let shared = self.host.shared();
        if any {
            shared.moved();
        }
        shared.subscribed.store(self.room.subscribed, Ordering::Relaxed);
        shared.firsts.store(self.room.consumers.firsts, Ordering::Relaxed);
        let unsettled = self.room.consumers.unsettled() + self.joins;
        shared.unsettled.store(unsettled, Ordering::Relaxed);
        shared.receiving_busy.store(!self.timed.is_empty(), Ordering::Relaxed);
        if any {
            let p99_ns = self.room.consumers.meters.live_p99_ns();
            shared.p99_ns.store(p99_ns, Ordering::Relaxed);
        }
    }

    fn plan_due(&mut self) {
        for (at, follow_up) in self.room.due.drain(..) {
            self.timed.push(at.as_nanos(), Timed::FollowUp(follow_up));
        }
    }

    fn timed(&mut self, clock: Clock) {
        loop {
            let now = clock.now();
            if self.timed.peek_at().is_none_or(|at| at > now.as_nanos()) {
                return;
            }
            match self.timed.pop() {
                Some((_, Timed::FollowUp(follow_up))) => self.follow_up(follow_up, now),
                Some((_, Timed::Fault { index, begins })) => self.fault(index, begins, now),
                Some((_, Timed::Join { population })) => self.join(population),
                None => return,
            }
            self.plan_due();
        }
    }

    fn follow_up(&mut self, follow_up: FollowUp, now: Time) {
        match follow_up {
            FollowUp::Take { seat, incarnation } => {
                let room = &mut self.room;
                if room.consumers.wake(seat, incarnation, now, &mut room.due) {
                    let client = self.room.consumers.cast().seats[seat as usize].client;
                    self.host.resume(client, now, &mut self.room);
                }
            }
            FollowUp::Settle { seat, incarnation, .. }
            | FollowUp::Reply { seat, incarnation, .. }
                if !self.room.consumers.is_current(seat, incarnation) => {}
            FollowUp::Settle { seat, token, settle, .. } => {
                let subscription = seat_ticket(seat);
                self.submit(seat, now, &Op::Settle { subscription, token, settle });
            }
            FollowUp::Reply { seat, to, payload, .. } => {
                self.submit(seat, now, &Op::Reply { to: &to, payload: &payload });
            }
        }
    }

    fn submit(&mut self, seat: u32, now: Time, op: &Op<'_>) {
        let client = self.room.consumers.cast().seats[seat as usize].client;
        let ticket = follow_up_ticket(&mut self.follow_ups);
        let population = self.population_of(seat);
        let unsupported = &mut self.unsupported;
        self.host.submit(client, |state, out| {
            if let Err(reason) = state.submit(now, ticket, op, out) {
                unsupported.entry(population).or_insert(reason);
            }
        });
        self.host.settle(client, now, &mut self.room);
    }

    /// Starts the client of a slot: it connects, and subscribes its seats.
    fn start(&mut self, client: u32) {
        let seats = self.room.seats_of_client[client as usize].clone();
        let (scenario, interest) = (&self.scenario, &self.interest);
        let places: Vec<_> = seats
            .iter()
            .map(|seat| self.room.consumers.cast().seats[*seat as usize].clone())
            .collect();
        let (terms, unsupported) = (&self.terms, &mut self.unsupported);
        let mut refused = 0;
        self.host.start(client, &mut self.room, |fresh, now, out| {
            for (seat, place) in seats.iter().zip(&places) {
                let index = usize::from(place.population);
                let population = &scenario.populations[index];
                let (Some(subscription), Some(terms)) = (population.subscription(), &terms[index])
                else {
                    continue;
                };
                let filter = interest.filter(index, place.member);
                let name = durable_name(population, place.member);
                let (member, members) = (place.member, population.count);
                let op = terms.subscribe(subscription, &filter, &name, member, members);
                if let Err(reason) = fresh.submit(now, seat_ticket(*seat), &op, out) {
                    unsupported.entry(index).or_insert(reason);
                    refused += 1;
                }
            }
        });
        // What a client refuses on closer look is not waited for.
        self.room.subscribed += refused;
    }

    /// The members of a population subscribe.
    fn join(&mut self, population: usize) {
        self.joins -= 1;
        let (first, count) = self.room.consumers.cast().clients[population];
        for client in first..first + count {
            self.start(client);
        }
    }

    fn fault(&mut self, index: usize, begins: bool, now: Time) {
        let scenario = self.scenario.clone();
        let has_joined = |population: usize| {
            let joins_ns = self.joins_ns(population);
            self.host.zero().is_some_and(|zero| now >= zero.plus_nanos(joins_ns))
        };
        if let FaultKind::SubscriberRestart { population, .. } = scenario.faults[index].kind
            && !has_joined(population)
        {
            // Who is not there yet cannot stop, and comes when its time has come.
            return;
        }
        match &scenario.faults[index].kind {
            FaultKind::SubscriberRestart { population, first, members, graceful } => {
                let cast = self.room.consumers.cast();
                let mut clients: Vec<u32> = (*first..first + members)
                    .map(|member| cast.client_of(*population, member))
                    .collect();
                clients.dedup();
                for client in clients {
                    match (begins, graceful) {
                        (true, false) => self.kill(client),
                        (true, true) => self.say_goodbye(client, now),
                        (false, _) => {
                            self.kill(client);
                            self.start(client);
                        }
                    }
                }
            }
            FaultKind::SlowSubscriber { population, first, members, factor, at_least } => {
                let (factor, at_least) =
                    if begins { (*factor, *at_least) } else { (1.0, Duration::ZERO) };
                let base = self.room.consumers.cast().first_seat[*population];
                for seat in base + first..base + first + members {
                    self.room.consumers.pace(seat, factor, at_least);
                }
            }
            FaultKind::BrokerCrash { .. } | FaultKind::DiskStall | FaultKind::DiskFull => return,
        }
        if begins {
            self.faults.push(index);
        }
    }

    fn kill(&mut self, client: u32) {
        if self.host.is_running(client) {
            for seat in self.room.seats_of_client[client as usize].clone() {
                self.room.consumers.stopped(seat);
                self.room.is_away[seat as usize] = true;
            }
        }
        self.host.kill(client);
    }

    fn say_goodbye(&mut self, client: u32, now: Time) {
        for seat in self.room.seats_of_client[client as usize].clone() {
            self.room.gone(seat, now);
        }
        self.host.input(client, now, now, ClientInput::Shutdown, &mut self.room);
    }

    fn finish(mut self, cpu_s: f64) -> ReceivingEnd<C> {
        let mut undrained = self.host.unread();
        self.host.way().conclude();
        let mut rest = self.host.spare();
        self.host.wait(&mut rest, Duration::ZERO);
        for item in &rest {
            self.host.still_under_way(item, &mut undrained);
        }
        ReceivingEnd {
            host: self.host,
            consumers: self.room.consumers,
            away: self.room.away,
            undrained,
            faults: self.faults,
            cpu_s,
            unsupported: self.unsupported,
            broken: self.room.broken,
        }
    }
}
