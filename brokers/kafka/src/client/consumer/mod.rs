//! A consumer: one subscription of the application, with connections, positions
//! and perhaps a membership of its own, as in the original.
//!
//! - `membership.rs`, `protocol.rs` and `assignor.rs`: groups;
//! - `asks.rs`: what is asked of the broker, and what the answers mean;
//! - `chunk.rs`: fetched batches, handed out record by record;
//! - `position.rs`: one partition, and what of it may be committed;
//! - `open.rs`: what was handed out and is not settled.
//!
//! A consumer fetches the partitions of which it has nothing left, hands out
//! what the application has room for, and commits positions. The broker pushes
//! nothing: a consumer that is slow lags, and is never cut off.

mod asks;
mod assignor;
pub(crate) mod chunk;
mod membership;
mod open;
mod position;
mod protocol;

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_contract::{
    AckPolicy, Actions, Cause, Delivery, Envelope, Failure, Flow, GroupSeat, Identity, Note,
    Outcome, Settle, Start, Ticket, Time,
};
use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

pub(super) use self::asks::Ask;
use self::assignor::Named;
use self::membership::Membership;
use self::open::{Again, Opens, Verdict};
use self::position::Partition;
use super::conn::{Conn, Pending};
use super::filter::Filter;
use super::metadata::{Metadata, TopicId};
use super::{ClientConfig, KafkaClient};

/// A partition: its topic's number and its index.
pub(super) type PartitionId = (TopicId, i32);

/// What a consumer works with.
pub(super) struct Cx<'a> {
    pub now: Time,
    pub slot: u16,
    pub config: &'a ClientConfig,
    pub metadata: &'a mut Metadata,
    /// For fetches and what belongs to them.
    pub fetch: &'a mut Conn,
    /// For the group and its positions: an answer there never waits behind a
    /// fetch that is parked.
    pub coordinator: &'a mut Conn,
    pub name: &'a Arc<str>,
    pub out: &'a mut Actions<KafkaClient>,
    /// Answers to requests, which go to no application by themselves.
    pub replies: &'a mut Vec<Envelope>,
}

impl Cx<'_> {
    fn pending(&self, ask: Ask) -> Pending {
        Pending::Consumer(self.slot, ask)
    }
}

/// How far a consumer is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Life {
    /// It reads.
    Running,
    /// It says goodbye: what was fetched is still handed out (`true`) or not.
    Leaving(bool),
    /// Its group has been told; the answer is awaited.
    Left,
    /// Nothing is left to do.
    Over,
}

/// What is under way.
#[derive(Copy, Clone, Debug, Default)]
struct Asked {
    fetch: bool,
    offsets: bool,
    epochs: bool,
    committed: bool,
    commit: bool,
    covered: bool,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Consumer {
    pub ticket: Ticket,
    filter: Filter,
    start: Start,
    acks: AckPolicy,
    again: Again,
    /// Records that the application may have in hand at once, if it settles them.
    limit: usize,
    /// Records that it has asked for and not received, if it pulls.
    credit: Option<u64>,
    delivered: u64,
    after: Option<u64>,
    is_inbox: bool,
    /// The group whose positions it commits, if it commits any.
    positions: Option<GroupId>,
    member: Option<Membership>,
    /// What the group has given it and no topic is known for yet.
    unknown: Vec<Named>,
    topics: Vec<TopicId>,
    began_at: u64,
    doubt_at: u64,
    seen_metadata: u64,
    partitions: BTreeMap<PartitionId, Partition>,
    /// Where it was in partitions that a group has taken away from it. That only
    /// counts where the group's own word on them is lost.
    remembered: BTreeMap<PartitionId, (i64, i32)>,
    /// When it came into force, in Unix milliseconds: from then on nothing is
    /// passed over, whatever becomes of positions.
    since_ms: Option<i64>,
    last_served: Option<PartitionId>,
    opens: Opens,
    asked: Asked,
    settled_since_commit: u32,
    commit_at: Option<Time>,
    /// Whether its group has a position in every partition, also in those of
    /// others, and when to ask again.
    is_covered: bool,
    cover_at: Option<Time>,
    is_announced: bool,
    has_begun: bool,
    life: Life,
}

impl Consumer {
    /// A consumer for a subscription. Nothing is asked yet.
    ///
    /// # Errors
    /// Why the subscription makes no sense.
    pub fn new(
        ticket: Ticket,
        filter: Filter,
        group: Option<GroupSeat<'_>>,
        start: Start,
        flow: &Flow<'_>,
        config: &ClientConfig,
        metadata: &mut Metadata,
    ) -> Result<Consumer, Failure> {
        let member = group.map(|group| {
            let instance = config.group_instance.then(|| match flow.name {
                Some(name) => name.to_owned(),
                None => format!("{}-{}", group.name, group.seat),
            });
            Membership::new(group.name, instance, config.partition_assignment_strategy)
        });
        let positions = match (&member, flow.durable, flow.name) {
            (Some(member), _, _) => Some(member.group.clone()),
            (None, true, Some(name)) => Some(GroupId(StrBytes::from_string(name.to_owned()))),
            (None, true, None) => {
                return Err(Failure::Refused(
                    "a durable consumer without a group needs a name".into(),
                ));
            }
            (None, false, _) => None,
        };
        let began_at = metadata.want();
        Ok(Consumer {
            ticket,
            filter,
            start,
            acks: flow.ack,
            again: Again {
                ack_wait: flow.ack_wait.unwrap_or(config.max_poll_interval),
                max_deliver: flow.max_deliver,
                backoff: flow.backoff.into(),
            },
            limit: match flow.max_in_flight {
                None | Some(0) => config.max_poll_records as usize,
                Some(limit) => limit as usize,
            },
            credit: (flow.max_in_flight == Some(0)).then_some(0),
            delivered: 0,
            after: None,
            is_inbox: false,
            positions,
            member,
            unknown: Vec::new(),
            topics: Vec::new(),
            began_at,
            doubt_at: 0,
            seen_metadata: u64::MAX,
            partitions: BTreeMap::new(),
            remembered: BTreeMap::new(),
            since_ms: None,
            last_served: None,
            opens: Opens::default(),
            asked: Asked::default(),
            settled_since_commit: 0,
            commit_at: None,
            is_covered: false,
            cover_at: None,
            is_announced: false,
            has_begun: false,
            life: Life::Running,
        })
    }

    /// Answers to requests go to the client, not to an application.
    pub fn into_inbox(mut self) -> Consumer {
        self.is_inbox = true;
        self
    }

    pub fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    pub fn is_in_force(&self) -> bool {
        self.is_announced
    }

    /// Does what can be done now.
    pub fn advance(&mut self, cx: &mut Cx<'_>) {
        if self.life == Life::Over {
            return;
        }
        cx.fetch.ask_for(cx.now, cx.out);
        if self.positions.is_some() {
            cx.coordinator.ask_for(cx.now, cx.out);
        }
        if self.life == Life::Running {
            self.find_topics(cx);
            self.keep_membership(cx);
            self.resolve(cx);
            self.announce(cx);
            self.come_again(cx);
        }
        self.hand_out(cx);
        self.fetch(cx);
        self.commit_if_due(cx);
        self.say_goodbye(cx);
    }

    /// Which topics the filter reads, and their partitions where no group gives
    /// them out.
    fn find_topics(&mut self, cx: &mut Cx<'_>) {
        if cx.metadata.refreshes <= self.began_at {
            return;
        }
        if self.seen_metadata == cx.metadata.version {
            return;
        }
        self.seen_metadata = cx.metadata.version;
        let readable = cx.metadata.readable();
        let topics: Vec<TopicId> = readable
            .filter(|(_, topic)| self.filter.may_be_in(&topic.name.0))
            .map(|(id, _)| id)
            .collect();
        if topics.is_empty()
            && let Some(first) = self.filter.first_literal()
        {
            // A consumer that names its topic creates it, as in the original.
            if let Some(why) = cx.metadata.refusal(first) {
                let failure = Failure::Refused(format!("topic `{first}`: {why}").into());
                self.fail(failure, cx);
                return;
            }
            cx.metadata.want_topic(first);
            return;
        }
        let has_changed = topics != self.topics;
        self.topics = topics;
        if self.member.is_none() {
            self.has_begun = true;
            let metadata = &cx.metadata;
            self.partitions.retain(|(topic, index), _| {
                (*index as usize) < metadata.topic(*topic).epochs.len()
            });
            for topic in self.topics.clone() {
                for index in 0..cx.metadata.topic(topic).epochs.len() as i32 {
                    self.begin_partition((topic, index));
                }
            }
        } else if has_changed
            && self.has_begun
            && let Some(member) = &mut self.member
        {
            member.join_again();
        }
        self.place_unknown(cx);
    }

    fn begin_partition(&mut self, id: PartitionId) {
        let is_new = self.is_announced && self.member.is_none();
        self.partitions.entry(id).or_insert_with(|| Partition {
            epoch: -1,
            // What appeared after the subscription began is new from its start.
            from: is_new.then_some(Start::All),
            ..Partition::default()
        });
    }

    fn keep_membership(&mut self, cx: &mut Cx<'_>) {
        let Some(member) = &mut self.member else { return };
        member.advance(cx);
        if self.topics.is_empty() && self.filter.first_literal().is_some() {
            return;
        }
        if cx.metadata.refreshes <= self.began_at
            || !member.wants_to_join(cx.now)
            || !cx.coordinator.is_ready()
        {
            return;
        }
        // What is settled by now need not come again wherever it goes.
        self.commit(cx);
        let owned: Vec<Named> = self
            .partitions
            .keys()
            .map(|(topic, index)| (cx.metadata.topic(*topic).name.0.as_str().into(), *index))
            .collect();
        let topics: Vec<_> =
            self.topics.iter().map(|topic| cx.metadata.topic(*topic).name.clone()).collect();
        if let Some(member) = &mut self.member {
            member.join(&topics, &owned, cx);
        }
    }

    /// The group has given out its partitions. What this member had and has again
    /// goes on where it was: nobody else had it in between.
    fn assigned(&mut self, given: Vec<Named>, cx: &mut Cx<'_>) {
        let mut keep = Vec::new();
        self.unknown.clear();
        self.has_begun = true;
        for (name, index) in given {
            match cx.metadata.named(&name) {
                Some(topic) => keep.push((topic, index)),
                None => self.unknown.push((name, index)),
            }
        }
        if !self.unknown.is_empty() {
            cx.metadata.want();
        }
        let gone: Vec<PartitionId> =
            self.partitions.keys().filter(|id| !keep.contains(id)).copied().collect();
        if !gone.is_empty() {
            self.commit(cx);
            if cx.config.partition_assignment_strategy == super::config::Assignor::CooperativeSticky
                && let Some(member) = &mut self.member
            {
                // What it lets go of is free once it has said so.
                member.join_again();
            }
        }
        for id in gone {
            self.drop_partition(id, cx);
        }
        for id in keep {
            self.begin_partition(id);
        }
    }

    fn place_unknown(&mut self, cx: &mut Cx<'_>) {
        for (name, index) in std::mem::take(&mut self.unknown) {
            match cx.metadata.named(&name) {
                Some(topic) => self.begin_partition((topic, index)),
                None => self.unknown.push((name, index)),
            }
        }
    }

    fn drop_partition(&mut self, id: PartitionId, cx: &mut Cx<'_>) {
        if let Some(partition) = self.partitions.remove(&id)
            && partition.position.is_some()
        {
            self.remembered.insert(id, (partition.settled.position(), partition.epoch));
        }
        if self.opens.forget(id, i64::MIN) > 0 {
            cx.out.note(Note::Sometimes("rebalanced mid-flight"));
        }
    }

    /// It is no member any more.
    fn lost_membership(&mut self, cx: &mut Cx<'_>) {
        let all: Vec<PartitionId> = self.partitions.keys().copied().collect();
        for id in all {
            self.drop_partition(id, cx);
        }
        self.commit_at = None;
    }

    fn fail(&mut self, failure: Failure, cx: &mut Cx<'_>) {
        if !std::mem::replace(&mut self.is_announced, true) && !self.is_inbox {
            cx.out.outcome(self.ticket, Outcome::Failed(failure));
        }
        self.life = Life::Leaving(false);
    }

    /// Tells the application that the subscription is in force, once everything
    /// that is published from then on will reach it.
    fn announce(&mut self, cx: &mut Cx<'_>) {
        // A time that has come is no deadline any more, whatever is missing now.
        self.cover_at = self.cover_at.filter(|at| *at > cx.now);
        let is_stable = self.member.as_ref().is_none_or(Membership::is_stable);
        if self.is_announced || !self.has_begun || !is_stable || !self.unknown.is_empty() {
            return;
        }
        let commits = self.positions.is_some();
        let is_placed = |partition: &Partition| {
            // Until its first position is stored, whoever takes over would begin
            // at the end.
            partition.position.is_some() && (!commits || partition.committed.is_some())
        };
        if self.partitions.values().all(is_placed) && self.covers_all(cx) {
            self.is_announced = true;
            self.since_ms = Some(cx.config.unix_ms(cx.now));
            if !self.is_inbox {
                cx.out.outcome(self.ticket, Outcome::Done);
            }
        }
    }

    /// What was not acknowledged in time, or was refused, comes again.
    fn come_again(&mut self, cx: &mut Cx<'_>) {
        while let Some((token, verdict)) = self.opens.due(cx.now, &self.again) {
            match verdict {
                Verdict::Again(message) => {
                    cx.out.note(Note::Sometimes("redelivered"));
                    let subscription = self.ticket;
                    cx.out.deliver(Delivery { subscription, token, redelivered: true, message });
                }
                Verdict::Exhausted(open) => {
                    let message = Identity::read(open.message.payload()).map(Box::new);
                    cx.out.note(Note::Dropped { cause: Cause::MaxDeliver, conn: None, message });
                    self.settled(cx.now, open.partition, open.offset, cx.config);
                }
            }
        }
    }

    fn room(&self) -> u64 {
        let after = self.after.map_or(u64::MAX, |after| after.saturating_sub(self.delivered));
        let limit = match self.acks {
            AckPolicy::None => u64::MAX,
            _ => self.limit.saturating_sub(self.opens.len()) as u64,
        };
        after.min(limit).min(self.credit.unwrap_or(u64::MAX))
    }

    fn is_stopped(&self) -> bool {
        match self.life {
            Life::Running => self.member.as_ref().is_some_and(Membership::is_stopped),
            Life::Leaving(hands_out) => !hands_out,
            Life::Left | Life::Over => true,
        }
    }

    /// Hands out what was fetched, as long as the application has room.
    fn hand_out(&mut self, cx: &mut Cx<'_>) {
        let mut room = self.room();
        if self.is_stopped() || room == 0 {
            return;
        }
        let with_chunks = |(id, partition): (&PartitionId, &Partition)| {
            (!partition.chunks.is_empty()).then_some(*id)
        };
        let mut ids: Vec<PartitionId> = self.partitions.iter().filter_map(with_chunks).collect();
        if ids.is_empty() {
            return;
        }
        // A partition that is full does not starve those behind it.
        let first = self.last_served.map_or(0, |last| ids.partition_point(|id| *id <= last));
        let count = ids.len();
        ids.rotate_left(first % count);
        let (mut wasted, mut wasted_bytes) = (0_u32, 0_u64);
        let Consumer { partitions, filter, opens, again, acks, ticket, is_inbox, .. } = self;
        let mut delivered = 0;
        for id in ids {
            let Some(partition) = partitions.get_mut(&id) else { continue };
            let topic = cx.metadata.topic(id.0).name.0.as_str();
            let settled = &mut partition.settled;
            while room > 0
                && let Some(chunk) = partition.chunks.front_mut()
            {
                let from = settled.passed();
                let is_left = chunk.hand_out(topic, from, |record| {
                    if !filter.accepts(record.message.channel()) {
                        settled.pass(record.offset, false);
                        wasted += 1;
                        wasted_bytes += record.message.payload().len() as u64;
                        return true;
                    }
                    let is_open = *acks != AckPolicy::None;
                    settled.pass(record.offset, is_open);
                    room -= 1;
                    delivered += 1;
                    if *is_inbox {
                        cx.replies.push(record.message);
                        return true;
                    }
                    let (message, redelivered) = (record.message, false);
                    let token = match is_open {
                        true => opens.begin(cx.now, id, record.offset, message.clone(), again),
                        false => 0,
                    };
                    let subscription = *ticket;
                    cx.out.deliver(Delivery { subscription, token, redelivered, message });
                    room > 0
                });
                if !is_left {
                    partition.chunks.pop_front();
                }
            }
            if partition.chunks.is_empty()
                && let Some(position) = partition.position
            {
                settled.pass_to(position);
            }
            self.last_served = Some(id);
            if room == 0 {
                break;
            }
        }
        if wasted > 0 {
            cx.out.note(Note::Wasted { messages: wasted, bytes: wasted_bytes });
        }
        self.delivered += delivered;
        if let Some(credit) = &mut self.credit {
            *credit -= delivered;
        }
        if self.acks == AckPolicy::None {
            self.commit_by(cx.now + cx.config.auto_commit_interval);
        }
        if self.after.is_some_and(|after| self.delivered >= after) {
            self.leave(false);
        }
    }

    fn commit_by(&mut self, at: Time) {
        if self.positions.is_some() {
            self.commit_at = Some(self.commit_at.map_or(at, |due| due.min(at)));
        }
    }

    fn settled(&mut self, now: Time, id: PartitionId, offset: i64, config: &ClientConfig) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.settled.settle(offset);
        }
        self.settled_since_commit += 1;
        let is_many = self.settled_since_commit >= config.commit_records;
        self.commit_by(if is_many { now } else { now + config.commit_interval });
    }

    /// The application says what became of a record.
    pub fn settle(&mut self, token: u64, settle: Settle, cx: &mut Cx<'_>) -> Outcome {
        const UNKNOWN: &str = "it is settled already, or its partition is another member's now";
        let unknown = Outcome::Failed(Failure::GaveUp(UNKNOWN));
        self.opens.heard(cx.now, token);
        let is_known = match settle {
            Settle::Working => self.opens.working(cx.now, token, &self.again),
            Settle::Nak { delay } => self.opens.refused(cx.now, token, delay, &self.again),
            Settle::Ack if self.acks == AckPolicy::All => {
                let tokens = self.opens.up_to(token);
                let is_known = tokens.last() == Some(&token);
                for token in tokens {
                    self.end(token, cx);
                }
                is_known
            }
            Settle::Ack | Settle::Term => self.end(token, cx),
        };
        self.advance(cx);
        if is_known { Outcome::Done } else { unknown }
    }

    fn end(&mut self, token: u64, cx: &mut Cx<'_>) -> bool {
        let Some(open) = self.opens.end(token) else { return false };
        self.settled(cx.now, open.partition, open.offset, cx.config);
        true
    }

    /// The application asks for more.
    pub fn pull(&mut self, max: u32, cx: &mut Cx<'_>) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_add(u64::from(max));
        }
        self.advance(cx);
    }

    /// Ends after `after` deliveries in all.
    pub fn end_after(&mut self, after: u64, cx: &mut Cx<'_>) {
        self.after = Some(after);
        if self.delivered >= after {
            self.leave(false);
        }
        self.advance(cx);
    }

    /// Says goodbye; `hands_out` whether what is on its way is still handed out.
    pub fn leave(&mut self, hands_out: bool) {
        if self.life == Life::Running {
            self.life = Life::Leaving(hands_out);
        }
    }

    /// Commits, leaves the group, and closes, one after the other.
    fn say_goodbye(&mut self, cx: &mut Cx<'_>) {
        let Life::Leaving(hands_out) = self.life else { return };
        if !std::mem::replace(&mut self.is_announced, true) && !self.is_inbox {
            let why = "the subscription ended before it was in force";
            cx.out.outcome(self.ticket, Outcome::Failed(Failure::GaveUp(why)));
        }
        if hands_out && self.asked.fetch {
            return;
        }
        let is_there = cx.coordinator.is_ready();
        if is_there && self.positions.is_some() {
            self.commit(cx);
            if self.asked.commit {
                return;
            }
            if let Some(request) = self.member.as_ref().and_then(Membership::leave) {
                let until = cx.now + cx.config.request_timeout;
                let pending = cx.pending(Ask::Leave);
                cx.coordinator.send(request.into(), Some(pending), until, cx.name, cx.out);
                self.life = Life::Left;
                return;
            }
        }
        self.close(cx);
    }

    fn close(&mut self, cx: &mut Cx<'_>) {
        cx.fetch.close(cx.out);
        cx.coordinator.close(cx.out);
        self.life = Life::Over;
    }

    /// When it needs a tick. What waits for a connection has no time of its own.
    pub fn deadline(&self, has_fetch: bool, has_coordinator: bool) -> Option<Time> {
        if self.life != Life::Running {
            return None;
        }
        let member = self.member.as_ref().filter(|_| has_coordinator);
        let member = member.and_then(Membership::deadline);
        let retry = self.partitions.values().filter_map(|partition| partition.retry_at).min();
        let retry = retry.filter(|_| has_fetch);
        let commit = self.commit_at.filter(|_| has_coordinator && !self.asked.commit);
        let again = self.opens.deadline();
        let cover = self.cover_at.filter(|_| has_coordinator && !self.is_announced);
        [member, retry, commit, again, cover].into_iter().flatten().min()
    }
}
