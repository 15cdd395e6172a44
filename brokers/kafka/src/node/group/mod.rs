//! The group coordinator: classic consumer groups and their committed offsets.
//!
//! **What it is for.** Members of a group join; the coordinator closes a
//! generation when all are there, names one of them leader, and passes the
//! leader's assignment on to the others. Who speaks of an older generation is
//! refused, so that a partition has one owner in each generation.
//!
//! **What it never does.** It does not look into subscriptions and assignments,
//! and it neither stores nor sends: it returns what is to be answered and whether
//! the group is to be stored ([`Said`]).
//!
//! **Where to start reading.** [`Group`] is one group's state machine, `join.rs`
//! and `sync.rs` its rebalance; `records.rs` is what is stored of it.

mod join;
mod member;
pub mod records;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::Time;
use kafka_protocol::error::ResponseError;
use kafka_protocol::protocol::StrBytes;

pub use join::{Join, refused};
pub use member::Member;
pub use sync::Sync;

use super::config::GroupConfig;
use super::conns::Asker;
use crate::frame::Response;

/// The state of a group, with the names of the original.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No members; there may be offsets.
    #[default]
    Empty,
    /// Members are to join; the generation is still open.
    PreparingRebalance,
    /// The generation is closed, and the leader's assignment has not come.
    CompletingRebalance,
    /// Every member can have its assignment.
    Stable,
    /// Deleted.
    Dead,
}

impl State {
    /// Its name in descriptions.
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

/// What the coordinator has to say.
#[derive(Debug, Default)]
pub struct Said {
    /// Answers, in order.
    pub answers: Vec<(Asker, Response)>,
    /// The group has to be stored.
    pub store: bool,
    /// Rare events.
    pub notes: Vec<&'static str>,
}

impl Said {
    fn answer(&mut self, to: Asker, response: impl Into<Response>) {
        self.answers.push((to, response.into()));
    }

    /// Notes that somebody who belongs to an earlier generation was refused.
    fn fenced(&mut self, error: ResponseError) {
        use ResponseError::{FencedInstanceId, IllegalGeneration, UnknownMemberId};
        if matches!(error, FencedInstanceId | IllegalGeneration | UnknownMemberId) {
            self.notes.push("group fenced");
        }
    }
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to read.
    pub offset: i64,
    /// The leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: StrBytes,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
}

/// The wait for members to join.
#[derive(Copy, Clone, Debug)]
struct Joining {
    until: Time,
    /// Of a group that was empty: how much longer it may be put off, so that
    /// members that start together are in one generation.
    initial: Option<Duration>,
    has_news: bool,
}

/// One group.
#[derive(Debug, Default)]
pub struct Group {
    /// Its state.
    pub state: State,
    /// Counts the assignments; what carries another number is refused.
    pub generation: i32,
    /// What kind of members it has: "consumer".
    pub protocol_type: Option<StrBytes>,
    /// The assignor of this generation.
    pub protocol: Option<StrBytes>,
    /// The member that assigns.
    pub leader: Option<StrBytes>,
    /// The members by id.
    pub members: BTreeMap<StrBytes, Member>,
    /// Committed positions by topic and partition.
    pub offsets: BTreeMap<(StrBytes, i32), Committed>,
    /// When the state last changed, in Unix milliseconds.
    pub changed_ms: i64,
    /// Static members by instance id.
    instances: BTreeMap<StrBytes, StrBytes>,
    /// Ids that were given out and have not been used to join yet.
    promised: BTreeMap<StrBytes, Time>,
    joining: Option<Joining>,
    sync_until: Option<Time>,
}

/// What a member says of itself in a request.
#[derive(Copy, Clone, Debug)]
pub struct Speaker<'a> {
    /// Its member id.
    pub member: &'a StrBytes,
    /// Its instance id, if it is static.
    pub instance: Option<&'a StrBytes>,
    /// The generation that it believes in.
    pub generation: i32,
}

impl Group {
    /// Static members: instance id and member id.
    pub fn instances(&self) -> impl Iterator<Item = (&StrBytes, &StrBytes)> {
        self.instances.iter()
    }

    /// Whether `speaker` is a member of this generation.
    ///
    /// # Errors
    /// The code that the original answers.
    fn check(&self, speaker: Speaker<'_>) -> Result<(), ResponseError> {
        self.check_member(speaker.member, speaker.instance)?;
        if speaker.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn check_member(
        &self,
        member: &StrBytes,
        instance: Option<&StrBytes>,
    ) -> Result<(), ResponseError> {
        if let Some(instance) = instance {
            match self.instances.get(instance) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(owner) if owner != member => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.state == State::Dead || !self.members.contains_key(member) {
            return Err(ResponseError::UnknownMemberId);
        }
        Ok(())
    }

    /// A member says that it is alive.
    ///
    /// # Errors
    /// The code that the original answers; a rebalance is one.
    pub fn heartbeat(&mut self, now: Time, speaker: Speaker<'_>) -> Result<(), ResponseError> {
        self.check(speaker)?;
        if let Some(member) = self.members.get_mut(speaker.member) {
            member.is_alive(now);
        }
        match self.state {
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Whether `speaker` may commit offsets now.
    ///
    /// # Errors
    /// The code that the original answers.
    pub fn may_commit(&mut self, now: Time, speaker: Speaker<'_>) -> Result<(), ResponseError> {
        if speaker.generation < 0 && speaker.member.is_empty() && speaker.instance.is_none() {
            // A consumer that assigns itself commits to a group without members.
            return match self.state {
                State::Empty => Ok(()),
                _ => Err(ResponseError::UnknownMemberId),
            };
        }
        if self.state == State::Empty {
            return Err(match speaker.generation {
                0.. => ResponseError::IllegalGeneration,
                _ => ResponseError::UnknownMemberId,
            });
        }
        self.check(speaker)?;
        if let Some(member) = self.members.get_mut(speaker.member) {
            member.is_alive(now);
        }
        match self.state {
            // The assignment of this generation has not been made.
            State::CompletingRebalance => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member leaves.
    ///
    /// # Errors
    /// The code that the original answers.
    pub fn leave(
        &mut self,
        now: Time,
        member: &StrBytes,
        instance: Option<&StrBytes>,
        said: &mut Said,
    ) -> Result<(), ResponseError> {
        // A static member may be named by its instance alone.
        let owner = instance.and_then(|instance| self.instances.get(instance)).cloned();
        let member = if member.is_empty() { owner.as_ref().unwrap_or(member) } else { member };
        if self.promised.remove(member).is_some() {
            self.try_close(now, said);
            return Ok(());
        }
        self.check_member(member, instance)?;
        self.remove(now, &member.clone(), said);
        Ok(())
    }

    /// Does what is due; whether it was anything.
    pub fn tick(&mut self, now: Time, config: &GroupConfig, said: &mut Said) {
        self.promised.retain(|_, until| *until > now);
        let gone: Vec<StrBytes> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_gone(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            said.notes.push("group member expired");
            self.remove(now, &id, said);
        }
        if self.sync_until.is_some_and(|until| until <= now) {
            self.end_sync(now, said);
        }
        if self.joining.is_some_and(|joining| joining.until <= now) {
            self.end_join(now, config, said);
        }
        self.try_close(now, said);
    }

    /// When something is due, if ever.
    pub fn deadline(&self) -> Option<Time> {
        let members = self.members.values().filter_map(Member::deadline);
        let promised = self.promised.values().copied();
        let joining = self.joining.map(|joining| joining.until);
        members.chain(promised).chain(joining).chain(self.sync_until).min()
    }

    /// Whether nothing is left that is worth keeping.
    pub fn is_void(&self) -> bool {
        self.state == State::Empty && self.offsets.is_empty() && self.promised.is_empty()
    }

    /// Takes members and generation from the store.
    pub fn restore(&mut self, now: Time, stored: records::StoredGroup) {
        self.generation = stored.generation;
        self.protocol_type = Some(stored.protocol_type).filter(|kind| !kind.is_empty());
        self.protocol = stored.protocol;
        self.leader = stored.leader;
        self.changed_ms = stored.changed_ms;
        self.members.clear();
        self.instances.clear();
        for member in stored.members {
            let id = member.id.clone();
            if let Some(instance) = &member.instance {
                self.instances.insert(instance.clone(), id.clone());
            }
            let protocols =
                self.protocol.iter().cloned().map(|name| (name, member.subscription.clone()));
            let mut restored = Member::new(
                member.instance,
                member.client_id,
                member.host,
                Duration::from_millis(member.session_ms.max(0) as u64),
                Duration::from_millis(member.rebalance_ms.max(0) as u64),
                protocols.collect(),
            );
            restored.assignment = member.assignment;
            restored.is_alive(now);
            self.members.insert(id, restored);
        }
        self.state = if self.members.is_empty() { State::Empty } else { State::Stable };
    }
}

/// All groups of the node, and when each is to be looked at.
#[derive(Debug)]
pub struct Coordinator {
    /// The settings.
    pub config: GroupConfig,
    groups: BTreeMap<StrBytes, Group>,
    timers: BTreeSet<(Time, StrBytes)>,
    timer_of: BTreeMap<StrBytes, Time>,
    /// When committed offsets are next looked through for old ones.
    pub expiry_at: Option<Time>,
}

impl Coordinator {
    /// Without groups.
    pub fn new(config: GroupConfig) -> Coordinator {
        Coordinator {
            config,
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            expiry_at: None,
        }
    }

    /// A group, if there is one.
    pub fn get(&self, id: &StrBytes) -> Option<&Group> {
        self.groups.get(id)
    }

    /// As [`Coordinator::get`], to change it; [`Coordinator::schedule`] follows.
    pub fn get_mut(&mut self, id: &StrBytes) -> Option<(&mut Group, &GroupConfig)> {
        self.groups.get_mut(id).map(|group| (group, &self.config))
    }

    /// A group, made if there is none; [`Coordinator::schedule`] follows.
    pub fn make(&mut self, id: &StrBytes) -> (&mut Group, &GroupConfig) {
        (self.groups.entry(id.clone()).or_default(), &self.config)
    }

    /// All groups by id.
    pub fn iter(&self) -> impl Iterator<Item = (&StrBytes, &Group)> {
        self.groups.iter()
    }

    /// Forgets a group.
    pub fn remove(&mut self, id: &StrBytes) -> Option<Group> {
        if let Some(at) = self.timer_of.remove(id) {
            self.timers.remove(&(at, id.clone()));
        }
        self.groups.remove(id)
    }

    /// Sets the timer of a group that has changed. A timer that is early is left:
    /// heartbeats move deadlines back all the time, and one look is cheaper.
    pub fn schedule(&mut self, id: &StrBytes) {
        let Some(group) = self.groups.get(id) else { return };
        let set = self.timer_of.get(id).copied();
        let Some(due) = group.deadline() else { return };
        if set.is_none_or(|set| due < set) {
            if let Some(set) = set {
                self.timers.remove(&(set, id.clone()));
            }
            self.timers.insert((due, id.clone()));
            self.timer_of.insert(id.clone(), due);
        }
    }

    /// The next group whose timer has come; its timer is then unset.
    pub fn due(&mut self, now: Time) -> Option<StrBytes> {
        let (at, id) = self.timers.first()?.clone();
        if at > now {
            return None;
        }
        self.timers.pop_first();
        self.timer_of.remove(&id);
        Some(id)
    }

    /// When something is due, if ever.
    pub fn deadline(&self) -> Option<Time> {
        let group = self.timers.first().map(|(at, _)| *at);
        group.into_iter().chain(self.expiry_at).min()
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let group = |group: &Group| {
            let members: usize = group.members.values().map(Member::memory_bytes).sum();
            members + group.offsets.len() * (size_of::<Committed>() + 64) + size_of::<Group>()
        };
        self.groups.values().map(|entry| group(entry) as u64).sum()
    }
}
