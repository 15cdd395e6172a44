//! Joining a group, and closing a generation.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::Time;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_protocol::protocol::StrBytes;

use super::{Group, Joining, Member, Said, State};
use crate::node::config::GroupConfig;
use crate::node::conns::Asker;

/// A request to join.
#[derive(Clone, Debug)]
pub struct Join {
    /// Who asks.
    pub to: Asker,
    /// The member's id; empty when it has none yet.
    pub member: StrBytes,
    /// The id that it gets if it has none yet.
    pub new_id: StrBytes,
    /// The instance id of a static member.
    pub instance: Option<StrBytes>,
    /// How its client calls itself.
    pub client_id: StrBytes,
    /// Where it comes from.
    pub host: StrBytes,
    /// See [`Member::session`].
    pub session: Duration,
    /// See [`Member::rebalance`].
    pub rebalance: Duration,
    /// What kind of member: "consumer".
    pub protocol_type: StrBytes,
    /// See [`Member::protocols`].
    pub protocols: Vec<(StrBytes, Bytes)>,
    /// A member without an id is given one, and has to come back with it.
    pub needs_id: bool,
}

/// Since which version a leader is told that it need not assign.
const SKIP_SINCE: i16 = 9;

/// A refusal to a request to join.
pub fn refused(error: ResponseError, member: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(-1)
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(member)
}

impl Group {
    /// A member wants to join.
    pub fn join(&mut self, now: Time, config: &GroupConfig, ask: Join, said: &mut Said) {
        if let Err(error) = self.try_join(now, config, &ask, said) {
            said.fenced(error);
            let member = match error {
                ResponseError::MemberIdRequired => ask.new_id,
                _ => ask.member,
            };
            said.answer(ask.to, refused(error, member));
        }
    }

    fn try_join(
        &mut self,
        now: Time,
        config: &GroupConfig,
        ask: &Join,
        said: &mut Said,
    ) -> Result<(), ResponseError> {
        if self.state == State::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if !self.accepts(ask) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let is_known = !ask.member.is_empty();
        let room = self.members.len() + self.promised.len() < config.max_size;
        if !is_known {
            if let Some(owner) =
                ask.instance.as_ref().and_then(|instance| self.instances.get(instance)).cloned()
            {
                self.replace(now, config, &owner, ask, said);
                return Ok(());
            }
            if !room {
                return Err(ResponseError::GroupMaxSizeReached);
            }
            if ask.needs_id && ask.instance.is_none() {
                self.promised.insert(ask.new_id.clone(), now + ask.session);
                return Err(ResponseError::MemberIdRequired);
            }
            self.add(now, config, ask.new_id.clone(), ask, said);
            return Ok(());
        }
        if self.promised.remove(&ask.member).is_some() {
            self.add(now, config, ask.member.clone(), ask, said);
            return Ok(());
        }
        self.check_member(&ask.member, ask.instance.as_ref())?;
        match self.state {
            State::PreparingRebalance => self.rejoin(now, config, ask, said),
            State::CompletingRebalance if !self.has_changed(ask) => self.tell(now, ask, said),
            State::Stable
                if !self.has_changed(ask) && self.leader.as_ref() != Some(&ask.member) =>
            {
                self.tell(now, ask, said);
            }
            State::CompletingRebalance | State::Stable => self.rejoin(now, config, ask, said),
            State::Empty | State::Dead => return Err(ResponseError::UnknownMemberId),
        }
        Ok(())
    }

    /// Whether the members would still have an assignor in common.
    fn accepts(&self, ask: &Join) -> bool {
        if ask.protocol_type.is_empty() || ask.protocols.is_empty() {
            return false;
        }
        let others: Vec<_> = self.members.iter().filter(|(id, _)| **id != ask.member).collect();
        if others.is_empty() {
            return true;
        }
        self.protocol_type.as_ref() == Some(&ask.protocol_type)
            && ask.protocols.iter().any(|(name, _)| {
                others.iter().all(|(_, member)| member.protocols.iter().any(|(own, _)| own == name))
            })
    }

    fn has_changed(&self, ask: &Join) -> bool {
        self.members.get(&ask.member).is_none_or(|member| member.protocols != ask.protocols)
    }

    fn add(&mut self, now: Time, config: &GroupConfig, id: StrBytes, ask: &Join, said: &mut Said) {
        let mut member = Member::new(
            ask.instance.clone(),
            ask.client_id.clone(),
            ask.host.clone(),
            ask.session,
            ask.rebalance,
            ask.protocols.clone(),
        );
        member.joins = Some(ask.to);
        member.is_alive(now);
        if self.members.is_empty() {
            self.protocol_type = Some(ask.protocol_type.clone());
        }
        if let Some(instance) = &ask.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.members.insert(id, member);
        if let Some(joining) = &mut self.joining {
            joining.has_news = true;
        }
        self.prepare(now, config.initial_delay, said);
        self.try_close(now, said);
    }

    /// A member that is known joins again.
    fn rejoin(&mut self, now: Time, config: &GroupConfig, ask: &Join, said: &mut Said) {
        if let Some(member) = self.members.get_mut(&ask.member) {
            member.protocols = ask.protocols.clone();
            (member.session, member.rebalance) = (ask.session, ask.rebalance);
            member.is_alive(now);
            if let Some(before) = member.joins.replace(ask.to) {
                // Its former connection is gone or will soon be.
                let unknown = refused(ResponseError::UnknownMemberId, ask.member.clone());
                said.answer(before, unknown);
            }
        }
        self.prepare(now, config.initial_delay, said);
        self.try_close(now, said);
    }

    /// A static member is back under a new id, which takes the place of the old.
    fn replace(
        &mut self,
        now: Time,
        config: &GroupConfig,
        owner: &StrBytes,
        ask: &Join,
        said: &mut Said,
    ) {
        let Some(mut member) = self.members.remove(owner) else { return };
        // Whoever still speaks under the old id is a zombie.
        let fenced = ResponseError::FencedInstanceId;
        if let Some(to) = member.joins.take() {
            said.answer(to, refused(fenced, owner.clone()));
        }
        if let Some(to) = member.syncs.take() {
            said.answer(to, SyncGroupResponse::default().with_error_code(fenced.code()));
        }
        said.notes.push("static member replaced");
        let id = ask.new_id.clone();
        let has_changed = member.protocols != ask.protocols;
        member.protocols = ask.protocols.clone();
        (member.session, member.rebalance) = (ask.session, ask.rebalance);
        (member.client_id, member.host) = (ask.client_id.clone(), ask.host.clone());
        member.is_alive(now);
        if self.leader.as_ref() == Some(owner) {
            self.leader = Some(id.clone());
        }
        if let Some(instance) = &ask.instance {
            self.instances.insert(instance.clone(), id.clone());
        }
        self.members.insert(id.clone(), member);
        let again = Join { member: id, ..ask.clone() };
        if self.state == State::Stable && !has_changed {
            // Nothing changes for the others: it takes up its assignment again.
            self.tell(now, &again, said);
            said.store = true;
        } else {
            self.rejoin(now, config, &again, said);
        }
    }

    /// Tells a member of the generation that it is in.
    fn tell(&mut self, now: Time, ask: &Join, said: &mut Said) {
        if let Some(member) = self.members.get_mut(&ask.member) {
            member.is_alive(now);
        }
        let mut response = self.joined(&ask.member);
        if response.skip_assignment && ask.to.version < SKIP_SINCE {
            // An older leader knows no such field, and would assign again: it is
            // told of another leader, so that it takes its assignment and no more.
            response.skip_assignment = false;
            response.leader = StrBytes::new();
            response.members.clear();
        }
        said.answer(ask.to, response);
    }

    /// The answer to a member whose generation is closed.
    fn joined(&self, id: &StrBytes) -> JoinGroupResponse {
        let protocol = self.protocol.clone().unwrap_or_default();
        let is_leader = self.leader.as_ref() == Some(id);
        let members = if is_leader { self.described(&protocol) } else { Vec::new() };
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(Some(protocol))
            .with_leader(self.leader.clone().unwrap_or_default())
            // A leader that comes back into a stable generation need not assign.
            .with_skip_assignment(is_leader && self.state == State::Stable)
            .with_member_id(id.clone())
            .with_members(members)
    }

    fn described(&self, protocol: &StrBytes) -> Vec<JoinGroupResponseMember> {
        let member = |(id, member): (&StrBytes, &Member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(member.instance.clone())
                .with_metadata(member.subscription(protocol))
        };
        self.members.iter().map(member).collect()
    }

    /// Opens a new generation, unless one is open.
    fn prepare(&mut self, now: Time, initial_delay: Duration, said: &mut Said) {
        if self.state == State::PreparingRebalance {
            return;
        }
        let again = ResponseError::RebalanceInProgress.code();
        for member in self.members.values_mut() {
            member.has_synced = false;
            if let Some(to) = member.syncs.take() {
                member.is_alive(now);
                said.answer(to, SyncGroupResponse::default().with_error_code(again));
            }
        }
        self.sync_until = None;
        let longest = self.longest();
        let joining = if self.state == State::Empty {
            let delay = initial_delay.min(longest);
            let initial = Some(longest.saturating_sub(delay));
            Joining { until: now + delay, initial, has_news: false }
        } else {
            said.notes.push("rebalanced mid-flight");
            Joining { until: now + longest, initial: None, has_news: false }
        };
        self.joining = Some(joining);
        self.state = State::PreparingRebalance;
    }

    /// The longest time that a member may take to join.
    fn longest(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default()
    }

    /// Removes a member, and opens a new generation for the others.
    pub(super) fn remove(&mut self, now: Time, id: &StrBytes, said: &mut Said) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        let unknown = ResponseError::UnknownMemberId;
        if let Some(to) = member.joins {
            said.answer(to, refused(unknown, id.clone()));
        }
        if let Some(to) = member.syncs {
            said.answer(to, SyncGroupResponse::default().with_error_code(unknown.code()));
        }
        if self.leader.as_ref() == Some(id) {
            self.leader = self.members.keys().next().cloned();
        }
        if matches!(self.state, State::Stable | State::CompletingRebalance) {
            self.prepare(now, Duration::ZERO, said);
        }
        self.try_close(now, said);
    }

    /// Closes the generation if everybody is there and nothing is to be waited for.
    pub(super) fn try_close(&mut self, now: Time, said: &mut Said) {
        let Some(joining) = self.joining else { return };
        let is_complete = self.members.values().all(|member| member.joins.is_some());
        let waits = joining.initial.is_some() && !self.members.is_empty();
        if is_complete && self.promised.is_empty() && !waits {
            self.close(now, said);
        }
    }

    /// The time to join is over.
    pub(super) fn end_join(&mut self, now: Time, config: &GroupConfig, said: &mut Said) {
        let Some(joining) = &mut self.joining else { return };
        if let Some(left) = joining.initial
            && joining.has_news
            && !left.is_zero()
        {
            let delay = config.initial_delay.min(left);
            joining.initial = Some(left - delay);
            (joining.has_news, joining.until) = (false, now + delay);
            return;
        }
        // Who has not come is out; a static member keeps its place until its
        // session ends.
        let late: Vec<StrBytes> = self
            .members
            .iter()
            .filter(|(_, member)| member.joins.is_none() && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            self.members.remove(&id);
        }
        if !self.members.is_empty() && self.members.values().all(|member| member.joins.is_none()) {
            let longest = self.longest();
            self.joining = Some(Joining { until: now + longest, initial: None, has_news: false });
            return;
        }
        self.close(now, said);
    }

    /// Closes the generation: everybody who has joined is told.
    fn close(&mut self, now: Time, said: &mut Said) {
        self.joining = None;
        self.generation = self.generation.wrapping_add(1).max(0);
        if self.members.is_empty() {
            self.state = State::Empty;
            (self.protocol, self.leader) = (None, None);
            said.store = true;
            return;
        }
        let is_there = |id: &StrBytes| self.members.get(id).is_some_and(|m| m.joins.is_some());
        if !self.leader.as_ref().is_some_and(is_there) {
            let joined = self.members.iter().find(|(_, member)| member.joins.is_some());
            self.leader = joined.map(|(id, _)| id.clone());
        }
        self.protocol = self.vote();
        self.state = State::CompletingRebalance;
        self.sync_until = Some(now + self.longest());
        let joined: Vec<(StrBytes, Asker)> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| {
                member.has_synced = false;
                member.assignment = Bytes::new();
                let to = member.joins.take()?;
                member.is_alive(now);
                Some((id.clone(), to))
            })
            .collect();
        for (id, to) in joined {
            said.answer(to, self.joined(&id));
        }
    }

    /// The assignor that most members like best among those that all know.
    fn vote(&self) -> Option<StrBytes> {
        let knows =
            |member: &Member, name: &StrBytes| member.protocols.iter().any(|p| p.0 == *name);
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            let common = |(name, _): &&(StrBytes, Bytes)| {
                self.members.values().all(|other| knows(other, name))
            };
            if let Some((name, _)) = member.protocols.iter().find(common) {
                *votes.entry(name).or_default() += 1;
            }
        }
        // Among equals the first by name, so that the same votes give the same.
        let best = votes.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        best.map(|(name, _)| (*name).clone())
    }
}
