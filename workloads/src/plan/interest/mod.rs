//! Who should receive what.
//!
//! A *scope* is what receives one copy of a message: a group, or one member of a
//! population without a group. Filters are compared with channel templates once,
//! when the scenario is known; what is left for each message is a comparison of
//! a few numbers (see [`rule`]).

mod rule;
mod token;

use crate::scenario::model::Scenario;

use super::texts::{Text, Texts};
use super::{Plan, Planned};
use rule::{Candidates, Rule};

/// The subscriptions of a scenario, compared with everything it publishes.
#[derive(Clone, Debug)]
pub struct Interest {
    /// For each stream of the scenario, the subscriptions that may want it.
    rules: Vec<Vec<Rule>>,
    /// Subscribing populations, in the order of the file.
    subscribers: Vec<Subscriber>,
    /// For each population, its place in `subscribers`.
    places: Vec<Option<usize>>,
    scopes: u32,
}

#[derive(Clone, Debug)]
struct Subscriber {
    population: usize,
    members: u32,
    filter: Text,
    is_group: bool,
    /// The group's scope, or that of member 0.
    first_scope: u32,
    scopes: u32,
}

impl Interest {
    /// Compares all filters of `scenario` with all its channels.
    pub fn new(scenario: &Scenario) -> Interest {
        let mut interest =
            Interest { rules: Vec::new(), subscribers: Vec::new(), places: Vec::new(), scopes: 0 };
        for (index, population) in scenario.populations.iter().enumerate() {
            interest.places.push(population.subscription().map(|_| interest.subscribers.len()));
            if let Some(subscription) = population.subscription() {
                let is_group = subscription.group.is_some();
                let scopes = if is_group { 1 } else { population.count };
                interest.subscribers.push(Subscriber {
                    population: index,
                    members: population.count,
                    filter: Text::new(&subscription.filter, |_| 0),
                    is_group,
                    first_scope: interest.scopes,
                    scopes,
                });
                interest.scopes = interest.scopes.saturating_add(scopes);
            }
        }
        let texts = Texts::new(scenario);
        let streams = scenario
            .populations
            .iter()
            .flat_map(|population| population.streams().iter().map(move |s| (population, s)));
        for ((population, stream), channel) in streams.zip(texts.channels()) {
            let counts = super::texts::drawn_counts(stream);
            let rules =
                interest.subscribers.iter().enumerate().filter_map(|(place, subscriber)| {
                    Rule::new(place, channel, population.count, &counts, &subscriber.filter)
                });
            interest.rules.push(rules.collect());
        }
        interest
    }

    /// How many scopes there are; they are numbered from 0 in the order of the file.
    pub fn scopes(&self) -> u32 {
        self.scopes
    }

    /// The scope of a member of a subscribing population. All members of a group
    /// have the same.
    ///
    /// # Panics
    /// If the population does not subscribe.
    pub fn scope(&self, population: usize, member: u32) -> u32 {
        let subscriber = self.subscriber(population);
        if subscriber.is_group { subscriber.first_scope } else { subscriber.first_scope + member }
    }

    /// The population that `scope` belongs to.
    pub fn population_of(&self, scope: u32) -> usize {
        self.at(scope).population
    }

    /// The member that `scope` is; `None` for a group.
    pub fn member_of(&self, scope: u32) -> Option<u32> {
        let subscriber = self.at(scope);
        (!subscriber.is_group).then(|| scope - subscriber.first_scope)
    }

    /// What a member of a subscribing population subscribes to.
    ///
    /// # Panics
    /// If the population does not subscribe.
    pub fn filter(&self, population: usize, member: u32) -> String {
        let mut text = String::new();
        self.subscriber(population).filter.write(&mut text, |value| value.of_member(member));
        text
    }

    /// Calls `visit` with each scope that must get `op`, which `plan` has drawn,
    /// in ascending order.
    #[inline]
    pub fn expected(&self, plan: &Plan, op: &Planned, visit: &mut impl FnMut(u32)) {
        self.expected_of(plan.texts(), op, visit);
    }

    /// As [`Interest::expected`], for those who have the plan's texts only.
    #[inline]
    pub fn expected_of(&self, texts: &Texts, op: &Planned, visit: &mut impl FnMut(u32)) {
        for rule in &self.rules[texts.stream_of(op)] {
            let subscriber = &self.subscribers[rule.subscriber];
            match rule.candidates(op) {
                Candidates::None => {}
                Candidates::Some { .. } if subscriber.members == 0 => {}
                Candidates::Some { first: 0, step: 1, settled: true } => {
                    let first = subscriber.first_scope;
                    (first..first + subscriber.scopes).for_each(&mut *visit);
                }
                Candidates::Some { first, step, settled } => {
                    subscriber.visit(first, step, visit, |member| {
                        settled || rule.holds(op, member, texts, &subscriber.filter)
                    });
                }
            }
        }
    }

    fn subscriber(&self, population: usize) -> &Subscriber {
        let place = self.places.get(population).copied().flatten();
        let place = place.unwrap_or_else(|| panic!("population {population} subscribes"));
        &self.subscribers[place]
    }

    fn at(&self, scope: u32) -> &Subscriber {
        assert!(scope < self.scopes, "scope {scope} of {}", self.scopes);
        let after = self.subscribers.partition_point(|known| known.first_scope <= scope);
        // Empty populations share their first scope with the one behind them.
        &self.subscribers[after - 1]
    }
}

impl Subscriber {
    /// Visits the scopes of those among `first`, `first + step`, ... that `want`.
    #[inline]
    fn visit(
        &self,
        first: u32,
        step: u32,
        visit: &mut impl FnMut(u32),
        want: impl Fn(u32) -> bool,
    ) {
        let mut member = first;
        while member < self.members {
            if want(member) {
                if self.is_group {
                    visit(self.first_scope);
                    return;
                }
                visit(self.first_scope + member);
            }
            match member.checked_add(step) {
                Some(next) => member = next,
                None => return,
            }
        }
    }
}

/// Whether `filter` takes `channel`: both are dotted tokens, `*` stands for one
/// token and a last `>` for one or more.
pub fn filter_matches(filter: &str, channel: &str) -> bool {
    let mut filter = filter.split('.').peekable();
    let mut channel = channel.split('.');
    while let Some(token) = filter.next() {
        let Some(part) = channel.next() else { return false };
        if token == ">" && filter.peek().is_none() {
            return true;
        }
        if token != "*" && token != part {
            return false;
        }
    }
    channel.next().is_none()
}

#[cfg(test)]
mod tests;
