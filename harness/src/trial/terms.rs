//! What a contender makes of a subscription: feature by feature what it has, and
//! in words what it does without.
//!
//! Nothing is substituted in silence. A feature that only makes a subscription
//! safer is left out and listed; a subscription that makes no sense without one
//! is not made, is owed nothing, and its objectives are unsupported.

use broker_contract::{AckPolicy, Claim, Contender, Feature, Flow, GroupSeat, Op, Profile, Start};
use lab_workloads::ledger::Duty;
use lab_workloads::scenario::model::{Population, Scenario, Subscription};

/// What a contender makes of one population's subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When messages are acknowledged.
    pub ack: AckPolicy,
    /// Whether a restarted member carries on where it stopped.
    pub durable: bool,
    /// Where it begins.
    pub start: Start,
    /// Whether its members share the messages.
    pub grouped: bool,
    /// Why the subscription is not made at all, if so.
    pub unsupported: Option<String>,
    /// What it does without, a sentence each.
    pub lacks: Vec<String>,
}

/// The terms of every population of `scenario`, `None` for those that do not
/// subscribe.
pub fn terms<C: Contender>(scenario: &Scenario) -> Vec<Option<Terms>> {
    let profile = C::profile();
    scenario.populations.iter().map(|population| of(&profile, population)).collect()
}

fn of(profile: &Profile, population: &Population) -> Option<Terms> {
    let subscription = population.subscription()?;
    let missing = |feature: Feature| match profile.claim(feature) {
        Claim::Unsupported(reason) => Some(reason),
        Claim::Native | Claim::Emulated(_) => None,
    };
    let name = &population.name;
    let mut terms = Terms {
        ack: subscription.ack,
        durable: subscription.durable,
        start: subscription.start,
        grouped: subscription.group.is_some(),
        ..Terms::default()
    };
    if subscription.replays()
        && let Some(reason) = missing(Feature::Replay)
    {
        terms.unsupported = Some(format!("replay: {}, {reason}", profile.title));
    }
    if subscription.ack != AckPolicy::None
        && let Some(reason) = missing(Feature::Redelivery)
    {
        terms.ack = AckPolicy::None;
        terms.lacks.push(format!(
            "{name}: acknowledgement, and redelivery of what fails: {}, {reason}",
            profile.title
        ));
    }
    if subscription.durable
        && let Some(reason) = missing(Feature::DurableConsumer)
    {
        terms.durable = false;
        terms.lacks.push(format!("{name}: durable position: {}, {reason}", profile.title));
    }
    Some(terms)
}

impl Terms {
    /// Whether what fails, or stops with its consumer, is delivered again.
    pub fn redelivers(&self) -> bool {
        self.ack != AckPolicy::None
    }

    /// What the contender owes under these terms for what it has acknowledged.
    pub fn duty(&self, at_most_once: bool) -> Duty {
        let from_start = self.start == Start::All;
        if at_most_once {
            return Duty::Fleeting;
        }
        if !(self.durable || from_start) {
            return Duty::Waiting;
        }
        // Who keeps no position reads a replay from the start each time, so a copy
        // that is dropped on the way is read again, as if it had been acknowledged.
        let reads_again = from_start && !self.durable && !self.grouped;
        if self.redelivers() || reads_again { Duty::Settled } else { Duty::Kept }
    }

    /// The operation that subscribes a member. `name` is its durable's.
    pub fn subscribe<'a>(
        &self,
        subscription: &'a Subscription,
        filter: &'a str,
        name: &'a str,
        member: u32,
        members: u32,
    ) -> Op<'a> {
        let acknowledges = self.redelivers();
        let group = subscription.group.as_deref().map(|name| GroupSeat {
            name,
            seat: member,
            seats: members,
        });
        Op::Subscribe {
            filter,
            group,
            start: self.start,
            flow: Flow {
                ack: self.ack,
                max_in_flight: subscription.max_in_flight.filter(|_| acknowledges),
                durable: self.durable,
                name: (self.durable && group.is_none()).then_some(name),
                ack_wait: subscription.ack_wait.filter(|_| acknowledges),
                max_deliver: subscription.max_deliver.filter(|_| acknowledges),
                backoff: if acknowledges { &subscription.backoff } else { &[] },
            },
        }
    }
}

/// What a durable consumer of a member without a group is called.
pub fn durable_name(population: &Population, member: u32) -> String {
    format!("{}-{member}", population.name)
}

/// What a contender without a store leaves undeclared of a scenario that needs
/// one, in words.
pub fn undeclared(scenario: &Scenario, reason: &str) -> Option<String> {
    if !scenario.needs_store() {
        return None;
    }
    let names: Vec<String> = scenario.declarations().into_iter().map(|log| log.name).collect();
    Some(format!("logs ({}): {reason}", names.join(", ")))
}
