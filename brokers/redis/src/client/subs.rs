//! The client's subscriptions, and which message is for which.

use std::collections::BTreeMap;

use broker_contract::{Actions, Delivery, Failure, GroupSeat, Note, Outcome, Ticket};
use rustc_hash::FxHashMap;

use super::filter::{Lowered, accepts, seat_of};
use super::{RedisClient, trailer};
use crate::frame::{Body, Kind, Text};

/// One subscription of the application.
#[derive(Debug)]
struct Member {
    ticket: Ticket,
    /// Checked for every message where the pattern is wider than the filter.
    filter: Option<Box<str>>,
    /// Seat and seats in an emulated group.
    seat: Option<(u32, u32)>,
    delivered: u64,
    /// Deliveries after which it ends.
    after: Option<u64>,
    /// Whether the application knows that it is in force.
    announced: bool,
}

/// A channel or pattern that this client is subscribed to, or is about to be.
#[derive(Debug)]
struct Topic {
    /// Subscriptions that share it; never none.
    members: Vec<Member>,
    /// Whether the node has confirmed it on the present connection.
    confirmed: bool,
    /// Tells this subscription of the name from an earlier one.
    epoch: u32,
}

/// All subscriptions of a client.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    channels: FxHashMap<Text, Topic>,
    patterns: FxHashMap<Text, Topic>,
    /// Every subscription's topic, in the order of tickets, which repeats.
    tickets: BTreeMap<Ticket, (Kind, Text)>,
    last_epoch: u32,
}

/// What is left to do after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    Nothing,
    /// Tell the node of a new topic, in this epoch.
    Subscribe(u32),
    /// Tell the node that a topic is no longer wanted.
    Unsubscribe(Kind, Text),
}

impl Subscriptions {
    fn of(&mut self, kind: Kind) -> &mut FxHashMap<Text, Topic> {
        match kind {
            Kind::Pattern => &mut self.patterns,
            Kind::Channel | Kind::Shard => &mut self.channels,
        }
    }

    /// Adds a subscription. One whose topic is in force already begins at once.
    pub fn add(
        &mut self,
        ticket: Ticket,
        filter: &str,
        group: Option<GroupSeat<'_>>,
        lowered: &Lowered,
        out: &mut Actions<RedisClient>,
    ) -> Todo {
        let epoch = self.last_epoch + 1;
        self.tickets.insert(ticket, (lowered.kind, lowered.name.clone()));
        let topic = self.of(lowered.kind).entry(lowered.name.clone()).or_insert_with(|| Topic {
            members: Vec::new(),
            confirmed: false,
            epoch,
        });
        topic.members.push(Member {
            ticket,
            filter: (lowered.kind == Kind::Pattern).then(|| filter.into()),
            seat: group.map(|group| (group.seat, group.seats)),
            delivered: 0,
            after: None,
            announced: topic.confirmed,
        });
        if topic.confirmed {
            out.outcome(ticket, Outcome::Done);
        }
        if topic.epoch == epoch {
            self.last_epoch = epoch;
            Todo::Subscribe(epoch)
        } else {
            Todo::Nothing
        }
    }

    /// The node confirmed a topic.
    pub fn confirmed(
        &mut self,
        kind: Kind,
        name: &Text,
        epoch: u32,
        out: &mut Actions<RedisClient>,
    ) {
        let Some(topic) = self.of(kind).get_mut(name) else { return };
        if topic.epoch != epoch {
            return;
        }
        topic.confirmed = true;
        for member in topic.members.iter_mut().filter(|member| !member.announced) {
            member.announced = true;
            out.outcome(member.ticket, Outcome::Done);
        }
    }

    /// The node refused a topic.
    pub fn refused(&mut self, kind: Kind, name: &Text, text: &str, out: &mut Actions<RedisClient>) {
        for member in self.of(kind).remove(name).map_or_else(Vec::new, |topic| topic.members) {
            self.tickets.remove(&member.ticket);
            if !member.announced {
                out.outcome(member.ticket, Outcome::Failed(Failure::Refused(text.into())));
            }
        }
    }

    /// Ends a subscription at once; `None` when there is no such thing.
    pub fn remove(&mut self, ticket: Ticket, out: &mut Actions<RedisClient>) -> Option<Todo> {
        let (kind, name) = self.tickets.remove(&ticket)?;
        let topics = self.of(kind);
        let topic = topics.get_mut(&name)?;
        let at = topic.members.iter().position(|member| member.ticket == ticket)?;
        if !topic.members.remove(at).announced {
            let why = "unsubscribed before it was confirmed";
            out.outcome(ticket, Outcome::Failed(Failure::GaveUp(why)));
        }
        if !topic.members.is_empty() {
            return Some(Todo::Nothing);
        }
        topics.remove(&name);
        Some(Todo::Unsubscribe(kind, name))
    }

    /// Ends a subscription after `after` deliveries in all; whether that is now,
    /// or `None` when there is no such subscription.
    pub fn limit(&mut self, ticket: Ticket, after: u64) -> Option<bool> {
        let (kind, name) = self.tickets.get(&ticket)?.clone();
        let topic = self.of(kind).get_mut(&name)?;
        let member = topic.members.iter_mut().find(|member| member.ticket == ticket)?;
        member.after = Some(after);
        Some(member.delivered >= after)
    }

    /// Hands a message to every subscription that it is for; returns those that
    /// have had their last one.
    pub fn deliver(
        &mut self,
        kind: Kind,
        name: &[u8],
        body: &Body,
        out: &mut Actions<RedisClient>,
    ) -> Vec<Ticket> {
        let (payload, address) = trailer::split(body.payload());
        let channel = body.channel();
        let mut ended = Vec::new();
        let mut taken = false;
        // Before the confirmation, only what an earlier subscription of the same
        // name left behind can arrive.
        if let Some(topic) = self.of(kind).get_mut(name).filter(|topic| topic.confirmed) {
            for member in &mut topic.members {
                let meant = member.after.is_none_or(|after| member.delivered < after)
                    && member.filter.as_deref().is_none_or(|filter| accepts(filter, channel))
                    && member.seat.is_none_or(|(seat, seats)| seat_of(channel, seats) == seat);
                if !meant {
                    continue;
                }
                taken = true;
                member.delivered += 1;
                if member.after == Some(member.delivered) {
                    ended.push(member.ticket);
                }
                out.deliver(Delivery {
                    subscription: member.ticket,
                    token: 0,
                    redelivered: false,
                    message: body.envelope(payload, address),
                });
            }
        }
        if !taken {
            out.note(Note::Wasted { messages: 1, bytes: payload as u64 });
        }
        ended
    }

    /// The connection ended: nothing is in force until it is confirmed again.
    pub fn lost(&mut self) {
        for (kind, name) in self.names() {
            if let Some(topic) = self.of(kind).get_mut(&name) {
                topic.confirmed = false;
            }
        }
    }

    /// Every topic once, in the order of its oldest subscription.
    pub fn names(&self) -> Vec<(Kind, Text)> {
        let mut names = Vec::new();
        for (ticket, (kind, name)) in &self.tickets {
            let topics = if *kind == Kind::Pattern { &self.patterns } else { &self.channels };
            let oldest =
                topics.get(name).and_then(|topic| topic.members.iter().map(|m| m.ticket).min());
            if oldest == Some(*ticket) {
                names.push((*kind, name.clone()));
            }
        }
        names
    }

    /// Begins a new epoch for a topic that is about to be subscribed again.
    pub fn renew(&mut self, kind: Kind, name: &Text) -> u32 {
        self.last_epoch += 1;
        let epoch = self.last_epoch;
        if let Some(topic) = self.of(kind).get_mut(name) {
            topic.epoch = epoch;
        }
        epoch
    }

    /// A shutdown has ended this topic.
    pub fn farewell(&mut self, kind: Kind, name: &Text) {
        if let Some(topic) = self.of(kind).remove(name) {
            for member in topic.members {
                self.tickets.remove(&member.ticket);
            }
        }
    }

    /// Gives everything up; who waits for a confirmation is told so.
    pub fn abandon(&mut self, out: &mut Actions<RedisClient>) {
        let tickets = std::mem::take(&mut self.tickets);
        for (ticket, (kind, name)) in tickets {
            let Some(topic) = self.of(kind).get(&name) else { continue };
            if topic.members.iter().any(|member| member.ticket == ticket && !member.announced) {
                out.outcome(ticket, Outcome::Failed(Failure::ConnectionLost));
            }
        }
        self.channels.clear();
        self.patterns.clear();
    }
}
