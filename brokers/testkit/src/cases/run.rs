//! Runs one case in one arena.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::{
    Claim, Declaration, Delivery, Failure, Flow, GroupSeat, Op, Outcome, Publish, Support, Ticket,
    Unsupported, Want,
};

use super::model::{Case, Ending, Message, Refusal, Step, Verb, WantText};
use super::seen::{self, Received};
use crate::arena::{Arena, ClientId};

/// How often an expectation looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Stands for a subscription that was refused, so that what builds on it can be
/// refused in turn.
const NOBODY: Ticket = Ticket(u64::MAX);

/// How a case held.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Passed,
    Refused,
}

/// Why a case did not hold.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// Whether the cores broke the contract: never the sign of an absent feature.
    pub(super) is_fault: bool,
    pub(super) step: Option<usize>,
    pub(super) expected: String,
    pub(super) seen: String,
}

struct Operation {
    client: ClientId,
    ticket: Ticket,
    step: usize,
    must_end: bool,
}

struct Run<'a, A: Arena> {
    arena: &'a mut A,
    case: &'a Case,
    clients: BTreeMap<String, ClientId>,
    /// What each client has received: all of it, and how much was accounted for.
    received: BTreeMap<ClientId, Received>,
    labels: BTreeMap<String, (ClientId, Ticket)>,
    operations: Vec<Operation>,
    gone: BTreeSet<ClientId>,
    crashed: bool,
    sizes: BTreeMap<String, usize>,
    refusals: Vec<(usize, Unsupported)>,
    emulated: bool,
}

/// Runs `case` against a contender that claims `claim` of its feature.
pub(super) fn run_case<A: Arena>(
    arena: &mut A,
    case: &Case,
    claim: Claim,
) -> Result<Held, Problem> {
    let mut run = Run {
        arena,
        case,
        clients: BTreeMap::new(),
        received: BTreeMap::new(),
        labels: BTreeMap::new(),
        operations: Vec::new(),
        gone: BTreeSet::new(),
        crashed: false,
        sizes: BTreeMap::new(),
        refusals: Vec::new(),
        emulated: false,
    };
    for name in &case.clients {
        run.open(name);
    }
    run.arena.settle();
    run.declare_what_is_published();
    match claim {
        Claim::Unsupported(reason) if case.refusal == Refusal::Typed => run.refused(reason),
        Claim::Unsupported(reason) => match run.whole(false) {
            Err(problem) if problem.step.is_some() && !problem.is_fault => Ok(Held::Refused),
            Err(problem) => Err(problem),
            Ok(()) => Err(Problem {
                is_fault: false,
                step: None,
                expected: format!("that it fails, since {} is not claimed: {reason}", case.feature),
                seen: "it passes".to_owned(),
            }),
        },
        Claim::Native => run.whole(false).map(|()| Held::Passed),
        Claim::Emulated(_) => run.whole(case.refusal == Refusal::Typed).map(|()| Held::Passed),
    }
}

impl<A: Arena> Run<'_, A> {
    fn open(&mut self, name: &str) {
        let client = self.arena.open(name);
        self.clients.insert(name.to_owned(), client);
        self.received.insert(client, Received::default());
    }

    /// Makes the streams or topics for what the case publishes, unless it makes
    /// its own: a contender that stores messages has nowhere to put them
    /// otherwise. One that stores nothing refuses, which says nothing here.
    fn declare_what_is_published(&mut self) {
        let steps = &self.case.steps;
        if steps.iter().any(|step| matches!(step.verb, Verb::Declare { .. })) {
            return;
        }
        let mut declared = BTreeSet::new();
        for step in steps {
            let Verb::Publish { channel, .. } = &step.verb else { continue };
            let prefix = channel.split('.').next().unwrap_or(channel);
            let Some(client) = self.clients.get(&step.by).copied() else { continue };
            if prefix.contains('{') || !declared.insert(prefix) {
                continue;
            }
            let below = format!("{prefix}.>");
            let declaration =
                Declaration { name: prefix, filters: &[prefix, &below], partitions: None };
            let _ = self.arena.submit(client, &Op::Declare(declaration));
            self.arena.settle();
        }
    }

    /// All steps, and what must hold at the end of every case.
    fn whole(&mut self, must_say_emulated: bool) -> Result<(), Problem> {
        for (index, step) in self.case.steps.iter().enumerate() {
            let result = self.step(index, step);
            self.no_fault(Some(index))?;
            result.map_err(|(expected, seen)| Problem {
                is_fault: false,
                step: Some(index),
                expected,
                seen,
            })?;
        }
        self.arena.settle();
        self.no_fault(None)?;
        self.gather();
        for (name, client) in &self.clients {
            let rest = self.received[client].rest();
            if !rest.is_empty() {
                return Err(Problem {
                    is_fault: false,
                    step: None,
                    expected: format!("nothing more for `{name}` at the end"),
                    seen: seen::list(rest),
                });
            }
        }
        let arena = &mut *self.arena;
        let unended = self.operations.iter().find(|operation| {
            operation.must_end
                && !self.crashed
                && !self.gone.contains(&operation.client)
                && arena.outcome(operation.client, operation.ticket).is_none()
        });
        if let Some(operation) = unended {
            return Err(Problem {
                is_fault: false,
                step: Some(operation.step),
                expected: "that every operation ends".to_owned(),
                seen: format!("{:?} has no outcome", operation.ticket),
            });
        }
        if must_say_emulated && !self.emulated {
            return Err(Problem {
                is_fault: false,
                step: None,
                expected: format!(
                    "that a step is answered as emulated, as {} is",
                    self.case.feature
                ),
                seen: "all are answered as native".to_owned(),
            });
        }
        Ok(())
    }

    /// Tries every operation, and finds one refused for the case's feature.
    fn refused(&mut self, reason: &str) -> Result<Held, Problem> {
        for (index, step) in self.case.steps.iter().enumerate() {
            // What is expected of a feature that is not there is of no interest.
            let _ = self.operate(index, step);
            self.arena.settle();
            self.no_fault(Some(index))?;
        }
        let case = self.case;
        let fits = |(_, refusal): &(usize, Unsupported)| {
            refusal.feature == case.feature || case.refused_with.contains(&refusal.feature)
        };
        if self.refusals.iter().any(fits) {
            return Ok(Held::Refused);
        }
        let others: Vec<_> = self
            .refusals
            .iter()
            .map(|(step, refusal)| format!("step {}: {refusal}", step + 1))
            .collect();
        Err(Problem {
            is_fault: false,
            step: None,
            expected: format!(
                "that a step is refused for {}, which is not claimed: {reason}",
                case.feature
            ),
            seen: if others.is_empty() {
                "no step is refused".to_owned()
            } else {
                format!("refused for other reasons only: {}", others.join("; "))
            },
        })
    }

    fn no_fault(&mut self, step: Option<usize>) -> Result<(), Problem> {
        match self.arena.fault() {
            Some(fault) => Err(Problem {
                is_fault: true,
                step,
                expected: "that node and clients keep the contract with their driver".to_owned(),
                seen: fault,
            }),
            None => Ok(()),
        }
    }

    fn step(&mut self, index: usize, step: &Step) -> Result<(), (String, String)> {
        let before = self.refusals.len();
        let submitted = self.operate(index, step);
        if let Some((_, refusal)) = self.refusals.get(before) {
            return Err((
                format!("that it is supported, since {} is claimed", self.case.feature),
                format!("refused: {refusal}"),
            ));
        }
        let tickets = submitted?;
        let client = self.client(&step.by);
        match &step.verb {
            Verb::Subscribe { .. } | Verb::Declare { .. } => {
                self.ends(client, &tickets, Ending::Done, step.within)
            }
            Verb::Publish { want, .. } if step.label.is_none() => {
                let stored = matches!(want, WantText::Stored | WantText::StoredOnce(_));
                let ending = if stored { Ending::Acked } else { Ending::Accepted };
                self.ends(client, &tickets, ending, step.within)
            }
            Verb::Unsubscribe { .. } => self.ends(client, &tickets, Ending::Done, step.within),
            Verb::Expect { runs, order, via, checks } => {
                let wanted = runs.iter().map(Vec::len).sum();
                let via = via.as_ref().and_then(|label| self.labels.get(label)).map(|(_, t)| *t);
                self.wait_until(step.within, |run| run.waiting(&[client], via) >= wanted);
                self.gather();
                let deliveries = self.take(client, via);
                seen::check_run(&step.by, &deliveries, runs, *order, &self.sizes)?;
                seen::check_messages(&deliveries, checks)
            }
            Verb::Share { payloads, among, everybody } => {
                let members: Vec<_> = among.iter().map(|name| self.client(name)).collect();
                self.wait_until(step.within, |run| run.waiting(&members, None) >= payloads.len());
                self.gather();
                let shares: Vec<_> = among
                    .iter()
                    .zip(&members)
                    .map(|(name, member)| (name.as_str(), self.take(*member, None)))
                    .collect();
                seen::check_shares(&shares, payloads, *everybody)
            }
            Verb::Outcome { label, is, answer } => {
                let (client, ticket) = self.labels[label];
                self.ends(client, &[ticket], *is, step.within)?;
                match (answer, self.arena.outcome(client, ticket)) {
                    (Some(answer), Some(Outcome::Replied(message))) => {
                        let text = seen::text(message.payload());
                        if text == *answer {
                            Ok(())
                        } else {
                            Err((format!("the answer {answer:?}"), format!("{text:?}")))
                        }
                    }
                    _ => Ok(()),
                }
            }
            Verb::Cut => {
                self.wait_until(step.within, |run| run.arena.cuts(client) > 0);
                if self.arena.cuts(client) > 0 {
                    return Ok(());
                }
                Err((format!("that the node cuts `{}`", step.by), "it is connected".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Submits what the step submits, or does what it does to a client, to the
    /// node or to time. Refusals are noted; expectations are not looked at.
    fn operate(&mut self, index: usize, step: &Step) -> Result<Vec<Ticket>, (String, String)> {
        let client = self.client(&step.by);
        let submit = |run: &mut Self, op: &Op<'_>| run.submit(index, client, op);
        let mut tickets = Vec::new();
        match &step.verb {
            Verb::Open => self.open(&step.by),
            Verb::Declare { name, filters, partitions } => {
                let filters: Vec<_> = filters.iter().map(String::as_str).collect();
                let partitions = *partitions;
                let op = Op::Declare(Declaration { name, filters: &filters, partitions });
                tickets.extend(submit(self, &op));
            }
            Verb::Subscribe { filter, group, start, flow } => {
                let group = group.as_ref();
                let op = Op::Subscribe {
                    filter,
                    group: group.map(|group| GroupSeat {
                        name: &group.name,
                        seat: group.seat,
                        seats: group.seats,
                    }),
                    start: *start,
                    flow: Flow {
                        ack: flow.ack,
                        max_in_flight: flow.max_in_flight,
                        durable: flow.durable,
                        name: Some(&step.by),
                        ack_wait: flow.ack_wait,
                        max_deliver: flow.max_deliver,
                        backoff: &flow.backoff,
                    },
                };
                let ticket = submit(self, &op);
                self.labels.insert(step.by.clone(), (client, ticket.unwrap_or(NOBODY)));
                tickets.extend(ticket);
            }
            Verb::Publish { channel, message, payloads, want } => {
                for (number, text) in payloads.iter().enumerate() {
                    let channel = channel.replace("{n}", &(number + 1).to_string());
                    let payload = self.payload(text, message);
                    let want = match want {
                        WantText::Usual => Want::Usual,
                        WantText::Nothing => Want::Nothing,
                        WantText::Stored => Want::Stored,
                        WantText::StoredOnce(number) => Want::StoredOnce(*number),
                    };
                    let ticket = publishing(&channel, message, &payload, want, |publish| {
                        submit(self, &Op::Publish(publish))
                    });
                    tickets.extend(ticket);
                }
            }
            Verb::Request { channel, message, payload, timeout } => {
                let payload = self.payload(payload, message);
                let ticket = publishing(channel, message, &payload, Want::Usual, |publish| {
                    submit(self, &Op::Request { publish, timeout: *timeout })
                });
                tickets.extend(ticket);
            }
            Verb::Reply { payload, to } => {
                let question = self.received.get(&client).and_then(|received| received.find(to));
                let reply = question.map(|question| question.message.reply().to_vec());
                match reply {
                    Some(to) if !to.is_empty() => {
                        let op = Op::Reply { to: &to, payload: payload.as_bytes() };
                        tickets.extend(submit(self, &op));
                    }
                    Some(_) => {
                        return Err((
                            format!("that {to:?} says where the answer goes"),
                            "its reply is empty".to_owned(),
                        ));
                    }
                    None => {
                        return Err((
                            format!("that `{}` has received {to:?}", step.by),
                            "it has not".to_owned(),
                        ));
                    }
                }
            }
            Verb::Unsubscribe { label, after } => {
                let subscription = self.labels[label].1;
                tickets.extend(submit(self, &Op::Unsubscribe { subscription, after: *after }));
            }
            Verb::Fetch { label, max } => {
                let subscription = self.labels[label].1;
                tickets.extend(submit(self, &Op::Fetch { subscription, max: *max }));
            }
            Verb::Settle { settle, of } => {
                let found = self.received.get(&client).and_then(|received| received.find_last(of));
                let named = found.map(|delivery| (delivery.subscription, delivery.token));
                let (subscription, token) = named.unwrap_or((NOBODY, 0));
                tickets.extend(submit(self, &Op::Settle { subscription, token, settle: *settle }));
            }
            Verb::Forget { clients } => {
                self.arena.settle();
                self.gather();
                for name in clients {
                    let client = self.client(name);
                    self.take(client, None);
                }
            }
            Verb::Shutdown => {
                self.gone.insert(client);
                self.arena.shutdown(client);
            }
            Verb::Kill => {
                self.gone.insert(client);
                self.arena.kill(client);
            }
            Verb::Pause => self.arena.set_reading(client, false),
            Verb::Resume => self.arena.set_reading(client, true),
            Verb::Crash(kind) => {
                self.crashed = true;
                self.arena.crash(*kind);
            }
            Verb::Restart => self.arena.restart(),
            Verb::Wait(Some(time)) => self.arena.advance(*time),
            Verb::Wait(None) => self.arena.settle(),
            Verb::Expect { .. } | Verb::Share { .. } | Verb::Outcome { .. } | Verb::Cut => {}
        }
        if let Some(label) = &step.label {
            let ticket = tickets.first().copied().unwrap_or(NOBODY);
            self.labels.insert(label.clone(), (client, ticket));
        }
        Ok(tickets)
    }

    fn submit(&mut self, step: usize, client: ClientId, op: &Op<'_>) -> Option<Ticket> {
        match self.arena.submit(client, op) {
            Ok((ticket, support)) => {
                self.emulated |= matches!(support, Support::Emulated(_));
                let must_end = !matches!(op, Op::Fetch { .. } | Op::Settle { .. });
                self.operations.push(Operation { client, ticket, step, must_end });
                Some(ticket)
            }
            Err(unsupported) => {
                self.refusals.push((step, unsupported));
                None
            }
        }
    }

    fn payload(&mut self, text: &str, message: &Message) -> Vec<u8> {
        let mut payload = text.as_bytes().to_vec();
        payload.resize(payload.len().max(message.size), seen::PADDING);
        self.sizes.insert(text.to_owned(), payload.len());
        payload
    }

    /// The client of this name; steps without one name nobody.
    fn client(&self, name: &str) -> ClientId {
        self.clients.get(name).copied().unwrap_or(ClientId(u32::MAX))
    }

    fn gather(&mut self) {
        for (client, received) in &mut self.received {
            received.extend(self.arena.take_deliveries(*client));
        }
    }

    fn waiting(&mut self, clients: &[ClientId], via: Option<Ticket>) -> usize {
        self.gather();
        clients.iter().map(|client| self.received[client].count(via)).sum()
    }

    fn take(&mut self, client: ClientId, via: Option<Ticket>) -> Vec<Delivery> {
        self.received.get_mut(&client).map(|received| received.take(via)).unwrap_or_default()
    }

    /// Settles, then looks again and again for at most `within`, and settles at
    /// the end, so that what comes too much is seen as well.
    fn wait_until(&mut self, within: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        self.arena.settle();
        let mut waited = Duration::ZERO;
        while !done(self) && waited < within && self.arena.fault().is_none() {
            self.arena.advance(LOOK_AGAIN);
            waited += LOOK_AGAIN;
        }
        self.arena.settle();
    }

    fn ends(
        &mut self,
        client: ClientId,
        tickets: &[Ticket],
        ending: Ending,
        within: Duration,
    ) -> Result<(), (String, String)> {
        let ended = |run: &mut Self| {
            tickets.iter().all(|ticket| run.arena.outcome(client, *ticket).is_some())
        };
        if !ended(self) {
            self.wait_until(within, ended);
        }
        for ticket in tickets {
            let outcome = self.arena.outcome(client, *ticket);
            if !outcome.as_ref().is_some_and(|outcome| is(outcome, ending)) {
                let name = Ending::NAMES.iter().find(|(_, known)| *known == ending);
                return Err((
                    format!("the outcome {}", name.map_or("", |(name, _)| name)),
                    outcome.map_or_else(|| format!("none in {within:?}"), |o| format!("{o:?}")),
                ));
            }
        }
        Ok(())
    }
}

fn publishing<R>(
    channel: &str,
    message: &Message,
    payload: &[u8],
    want: Want,
    submit: impl FnOnce(Publish<'_>) -> R,
) -> R {
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let key = message.key.as_ref().map(String::as_bytes);
    submit(Publish { channel, key, headers: &headers, payload, want })
}

fn is(outcome: &Outcome, ending: Ending) -> bool {
    match ending {
        Ending::Done => matches!(outcome, Outcome::Done),
        Ending::Sent => matches!(outcome, Outcome::Sent),
        Ending::Acked => matches!(outcome, Outcome::Acked(_)),
        Ending::Accepted => matches!(outcome, Outcome::Sent | Outcome::Acked(_)),
        Ending::Replied => matches!(outcome, Outcome::Replied(_)),
        Ending::Failed => matches!(outcome, Outcome::Failed(_)),
        Ending::NoResponders => matches!(outcome, Outcome::Failed(Failure::NoResponders)),
        Ending::Timeout => matches!(outcome, Outcome::Failed(Failure::Timeout)),
        Ending::Unknown => matches!(outcome, Outcome::Unknown(_)),
    }
}
