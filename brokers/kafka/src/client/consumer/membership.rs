//! A member of a group, by the classic protocol: find the coordinator, join,
//! receive an assignment, send heartbeats, join again when told to.
//!
//! What becomes of partitions is the consumer's business; this knows only where
//! the member stands.

use std::collections::BTreeMap;

use broker_contract::Time;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::assignor::{Assignment, Member, Named, assign};
use super::{Ask, Cx, protocol};
use crate::client::config::Assignor;
use crate::client::errors::{
    COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, ILLEGAL_GENERATION,
    MEMBER_ID_REQUIRED, NOT_COORDINATOR, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, error_text,
    is_retriable,
};

const PROTOCOL_TYPE: StrBytes = StrBytes::from_static_str("consumer");

/// Where the member stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    /// Its coordinator is not known.
    Unknown,
    /// It is to join, for the first time or again.
    Outside,
    /// It has asked to join, or for its assignment.
    Joining,
    /// It has its assignment.
    Stable,
}

/// What an answer means for the consumer.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing.
    Nothing,
    /// These are its partitions now.
    Assigned(Vec<Named>),
    /// It is no member any more; its partitions may be somebody else's already.
    Lost,
    /// It cannot be a member.
    Refused(Box<str>),
}

/// One member of one group.
#[derive(Debug)]
pub(super) struct Membership {
    pub group: GroupId,
    pub instance: Option<StrBytes>,
    pub id: StrBytes,
    pub generation: i32,
    strategy: Assignor,
    state: State,
    is_asking: bool,
    is_beating: bool,
    /// Whether the coordinator may have restarted since it last agreed with the
    /// member, and so may have forgotten the last thing that it had said.
    was_cut: bool,
    heartbeat_at: Time,
    retry_at: Option<Time>,
}

impl Membership {
    pub fn new(group: &str, instance: Option<String>, strategy: Assignor) -> Membership {
        Membership {
            group: GroupId(StrBytes::from_string(group.to_owned())),
            instance: instance.map(StrBytes::from_string),
            id: StrBytes::default(),
            generation: -1,
            strategy,
            state: State::Unknown,
            is_asking: false,
            is_beating: false,
            was_cut: false,
            heartbeat_at: Time::ZERO,
            retry_at: None,
        }
    }

    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// Whether a rebalance is under way in which it keeps nothing going.
    pub fn is_stopped(&self) -> bool {
        self.strategy == Assignor::Range && !self.is_stable()
    }

    /// Whether it is about to ask to join.
    pub fn wants_to_join(&self, now: Time) -> bool {
        self.state == State::Outside && !self.is_asking && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Joins again: what it reads, or what it has, is no longer what it said.
    pub fn join_again(&mut self) {
        if self.state == State::Stable {
            self.state = State::Outside;
        }
    }

    fn ask(&mut self, request: crate::frame::Request, ask: Ask, until: Time, cx: &mut Cx<'_>) {
        let pending = cx.pending(ask);
        cx.coordinator.send(request, Some(pending), until, cx.name, cx.out);
    }

    /// Finds its coordinator, or sends a heartbeat, if that is due.
    pub fn advance(&mut self, cx: &mut Cx<'_>) {
        self.retry_at = self.retry_at.filter(|at| *at > cx.now);
        if !cx.coordinator.is_ready() || self.retry_at.is_some() {
            return;
        }
        let until = cx.now + cx.config.request_timeout;
        if self.state == State::Unknown && !self.is_asking {
            self.is_asking = true;
            let request = FindCoordinatorRequest::default().with_key(self.group.0.clone());
            self.ask(request.into(), Ask::FindCoordinator, until, cx);
        }
        if self.state == State::Stable && !self.is_beating && self.heartbeat_at <= cx.now {
            self.is_beating = true;
            self.heartbeat_at = cx.now + cx.config.heartbeat_interval;
            let request = HeartbeatRequest::default()
                .with_group_id(self.group.clone())
                .with_generation_id(self.generation)
                .with_member_id(self.id.clone())
                .with_group_instance_id(self.instance.clone());
            self.ask(request.into(), Ask::Heartbeat, until, cx);
        }
    }

    /// Asks to join with what it reads and what it has.
    pub fn join(&mut self, topics: &[TopicName], owned: &[Named], cx: &mut Cx<'_>) {
        self.retry_at = None;
        self.is_asking = true;
        self.state = State::Joining;
        let metadata = protocol::subscription(topics, owned, self.generation);
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(self.strategy.name()))
            .with_metadata(metadata);
        let millis =
            |duration: std::time::Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_session_timeout_ms(millis(cx.config.session_timeout))
            .with_rebalance_timeout_ms(millis(cx.config.max_poll_interval))
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(PROTOCOL_TYPE)
            .with_protocols(vec![protocol]);
        // The answer waits for the others, as long as the rebalance may take.
        let until = cx.now + cx.config.max_poll_interval + cx.config.request_timeout;
        self.ask(request.into(), Ask::Join, until, cx);
    }

    /// The coordinator is known.
    pub fn found(&mut self, response: &FindCoordinatorResponse, cx: &mut Cx<'_>) -> Change {
        self.is_asking = false;
        match response.error_code {
            0 => {
                self.state = State::Outside;
                Change::Nothing
            }
            code if is_retriable(code) => self.later(State::Unknown, cx),
            code => Change::Refused(error_text(code)),
        }
    }

    /// The answer to joining. The leader divides the partitions.
    pub fn joined(&mut self, response: &JoinGroupResponse, cx: &mut Cx<'_>) -> Change {
        self.is_asking = false;
        match response.error_code {
            0 => {}
            MEMBER_ID_REQUIRED => {
                self.id = response.member_id.clone();
                self.state = State::Outside;
                return Change::Nothing;
            }
            code => return self.failed(code, cx),
        }
        self.id = response.member_id.clone();
        self.generation = response.generation_id;
        let assignments = if response.leader == self.id {
            assignments(self.strategy, response, cx)
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.group.clone())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_group_instance_id(self.instance.clone())
            .with_protocol_type(Some(PROTOCOL_TYPE))
            .with_protocol_name(Some(StrBytes::from_static_str(self.strategy.name())))
            .with_assignments(assignments);
        self.is_asking = true;
        let until = cx.now + cx.config.max_poll_interval + cx.config.request_timeout;
        self.ask(request.into(), Ask::Sync, until, cx);
        Change::Nothing
    }

    /// The assignment.
    pub fn synced(&mut self, response: &SyncGroupResponse, cx: &mut Cx<'_>) -> Change {
        self.is_asking = false;
        if response.error_code != 0 {
            return self.failed(response.error_code, cx);
        }
        self.state = State::Stable;
        self.was_cut = false;
        self.heartbeat_at = cx.now + cx.config.heartbeat_interval;
        if response.assignment.len() < 2 {
            return Change::Assigned(Vec::new());
        }
        match protocol::read_assignment(&response.assignment) {
            Some(partitions) => Change::Assigned(partitions),
            None => Change::Refused("the leader's assignment cannot be read".into()),
        }
    }

    /// The answer to a heartbeat, or to a commit in which the group has its say.
    pub fn told(&mut self, code: i16, is_heartbeat: bool, cx: &mut Cx<'_>) -> Change {
        self.is_beating &= !is_heartbeat;
        match code {
            0 => {
                self.was_cut = false;
                Change::Nothing
            }
            _ if self.state != State::Stable => Change::Nothing,
            REBALANCE_IN_PROGRESS => {
                self.state = State::Outside;
                Change::Nothing
            }
            code => self.failed(code, cx),
        }
    }

    fn failed(&mut self, code: i16, cx: &mut Cx<'_>) -> Change {
        match code {
            REBALANCE_IN_PROGRESS => {
                self.state = State::Outside;
                Change::Nothing
            }
            UNKNOWN_MEMBER_ID | ILLEGAL_GENERATION => {
                if code == UNKNOWN_MEMBER_ID {
                    self.id = StrBytes::default();
                }
                self.generation = -1;
                self.state = State::Outside;
                Change::Lost
            }
            // A power loss may take a coordinator back to when another member
            // held this instance's place: that one is no more, and the place is
            // taken again, once. Whoever is fenced out of the blue is a zombie.
            code if is_fenced(code) && std::mem::take(&mut self.was_cut) => {
                self.id = StrBytes::default();
                self.generation = -1;
                self.state = State::Outside;
                Change::Lost
            }
            NOT_COORDINATOR | COORDINATOR_NOT_AVAILABLE => self.later(State::Unknown, cx),
            COORDINATOR_LOAD_IN_PROGRESS => {
                let state = self.state;
                self.later(if state == State::Joining { State::Outside } else { state }, cx)
            }
            code if is_retriable(code) => self.later(State::Outside, cx),
            code => Change::Refused(error_text(code)),
        }
    }

    fn later(&mut self, state: State, cx: &Cx<'_>) -> Change {
        self.state = state;
        self.retry_at = Some(cx.now + cx.config.retry_backoff);
        Change::Nothing
    }

    /// The connection ended. The member is still in its group, for as long as its
    /// session lasts.
    pub fn disconnected(&mut self) {
        self.is_asking = false;
        self.is_beating = false;
        self.was_cut = true;
        if self.state == State::Joining {
            self.state = State::Outside;
        }
    }

    /// What says goodbye to the group. A static member does not: its place is
    /// kept until its session ends.
    pub fn leave(&self) -> Option<LeaveGroupRequest> {
        if self.instance.is_some() || self.id.is_empty() {
            return None;
        }
        let member = MemberIdentity::default().with_member_id(self.id.clone());
        let request = LeaveGroupRequest::default().with_group_id(self.group.clone());
        Some(request.with_members(vec![member]))
    }

    pub fn deadline(&self) -> Option<Time> {
        let beat = (self.state == State::Stable && !self.is_beating).then_some(self.heartbeat_at);
        // Nothing is asked before the wait after an error is over.
        self.retry_at.max(beat)
    }
}

/// What the leader answers for everybody.
fn assignments(
    strategy: Assignor,
    response: &JoinGroupResponse,
    cx: &mut Cx<'_>,
) -> Vec<SyncGroupRequestAssignment> {
    let members: Vec<Member> = response.members.iter().filter_map(member).collect();
    let mut topics = BTreeMap::new();
    for name in members.iter().flat_map(|member| &member.topics) {
        match cx.metadata.named(name) {
            Some(topic) => {
                topics.insert(name.clone(), cx.metadata.topic(topic).epochs.len() as i32);
            }
            // Another member knows a topic that is newer than this list.
            None => {
                cx.metadata.want();
            }
        }
    }
    let given: Assignment = assign(strategy, &members, &topics);
    let answers = given.into_iter().map(|(id, partitions)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(StrBytes::from_string(id.into()))
            .with_assignment(protocol::assignment(&partitions))
    });
    answers.collect()
}

/// A member as it describes itself; one that cannot be read gets nothing.
fn member(
    raw: &kafka_protocol::messages::join_group_response::JoinGroupResponseMember,
) -> Option<Member> {
    let said = protocol::read_subscription(&raw.metadata)?;
    let id: Box<str> = raw.member_id.as_str().into();
    Some(Member {
        order: raw.group_instance_id.as_ref().map_or_else(|| id.clone(), |id| id.as_str().into()),
        id,
        topics: said.topics,
        owned: said.owned,
        generation: said.generation,
    })
}

/// Whether a code says that an instance of the same name has taken this member's
/// place.
pub(super) fn is_fenced(code: i16) -> bool {
    code == ResponseError::FencedInstanceId.code()
}
