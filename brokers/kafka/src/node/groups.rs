//! The requests of groups: read, handed to the coordinator, stored, answered.

use std::time::Duration;

use broker_contract::{BootError, Effects, Note, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::{
    DeletableGroupResult, DeleteGroupsResponse,
};
use kafka_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};
use kafka_protocol::messages::list_groups_response::{ListGroupsResponse, ListedGroup};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    HeartbeatResponse, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::conns::Asker;
use super::group::records::{Key, StoredGroup};
use super::group::{Join, Said, Speaker, State, Sync};
use super::topics::{OFFSETS_TOPIC, PartitionId};
use super::{BROKER, Kafka, id_of};
use crate::frame::Codec;
use crate::frame::batch::{self, BatchWriter, Batches, Records};

/// Bytes of the offsets topic that a boot reads at once.
const LOAD_STEP: usize = 1 << 20;
/// The first versions of requests with lists in place of single fields.
const FIND_MANY_SINCE: i16 = 4;
const LEAVE_MANY_SINCE: i16 = 3;
/// The first version whose members come back with the id that they are given.
const MEMBER_ID_SINCE: i16 = 4;
/// Kinds of keys that have a coordinator.
const GROUP_KEY: i8 = 0;

/// The sum that the original's language gives a string, over UTF-16 units.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// A record for the offsets topic: key, and value or tombstone.
pub(super) type Stored = (Vec<u8>, Option<Vec<u8>>);

impl Kafka {
    /// The partition of the offsets topic that keeps a group; the topic is made
    /// when the first group needs it.
    fn offsets_partition(
        &mut self,
        now: Time,
        group: &StrBytes,
        out: &mut Effects<Self>,
    ) -> Result<PartitionId, ResponseError> {
        let unavailable = ResponseError::CoordinatorNotAvailable;
        if self.topics.get(OFFSETS_TOPIC).is_none() {
            let name = StrBytes::from_static_str(OFFSETS_TOPIC);
            let count = self.config.groups.offsets_partitions;
            self.create_topic(now, &name, count, Vec::new(), out).map_err(|_| unavailable)?;
        }
        let count = self.topics.get(OFFSETS_TOPIC).map_or(0, |topic| topic.partitions.len());
        let positive = java_hash(group) & i32::MAX;
        let index = positive.checked_rem(count as i32).ok_or(unavailable)?;
        self.topics.find(OFFSETS_TOPIC, index).ok_or(unavailable)
    }

    /// Appends records of a group to the offsets topic.
    pub(super) fn store_records(
        &mut self,
        now: Time,
        group: &StrBytes,
        records: &[Stored],
        out: &mut Effects<Self>,
    ) -> Result<(PartitionId, i64), ResponseError> {
        let id = self.offsets_partition(now, group, out)?;
        let now_ms = self.now_ms(now);
        let mut writer = BatchWriter::new();
        for (key, value) in records {
            writer.push(now_ms, Some(key), value.as_deref(), std::iter::empty());
        }
        let unknown = |_| ResponseError::UnknownServerError;
        let bytes = writer.finish(Codec::None).map_err(unknown)?;
        let header = batch::check(&bytes).map_err(unknown)?;
        let base = self.append(now, id, &bytes, &header, out)?;
        Ok((id, base))
    }

    /// Does what the coordinator says about a group.
    fn say(&mut self, now: Time, group: &StrBytes, said: Said, out: &mut Effects<Self>) {
        if said.store
            && let Some(state) = self.groups.get(group)
        {
            // Of a group without members and offsets nothing needs to stay.
            let is_void = state.is_void();
            let stored = (!is_void).then(|| StoredGroup::of(state, self.now_ms(now)).encode());
            if is_void {
                self.groups.remove(group);
            }
            let key = Key::Group(group.clone()).encode();
            match self.store_records(now, group, &[(key, stored)], out) {
                // The members keep what they have; it is stored with the next
                // generation, and until then a restart makes them join again.
                Err(_) => out.note(Note::Sometimes("group not stored")),
                Ok((id, _)) => self.flush_if_due(id, out),
            }
        }
        for note in said.notes {
            out.note(Note::Sometimes(note));
        }
        for (to, response) in said.answers {
            self.answer(to, response, out);
        }
        self.groups.schedule(group);
    }

    /// Asks for a sync where `flush.messages` wants one and nobody waits for it.
    fn flush_if_due(&mut self, id: PartitionId, out: &mut Effects<Self>) {
        if let Some(partition) = self.topics.partition(id)
            && partition.log.must_flush()
        {
            partition.log.flush();
            self.ask_syncs(id, out);
        }
    }

    pub(super) fn tick_groups(&mut self, now: Time, out: &mut Effects<Self>) {
        while let Some(id) = self.groups.due(now) {
            let now_ms = self.now_ms(now);
            let mut said = Said::default();
            if let Some((group, config)) = self.groups.get_mut(&id) {
                let before = group.state;
                group.tick(now, config, &mut said);
                if before != group.state {
                    group.changed_ms = now_ms;
                }
                if group.is_void() && group.generation == 0 {
                    self.groups.remove(&id);
                }
            }
            self.say(now, &id, said, out);
        }
        self.expire_offsets(now, out);
    }

    pub(super) fn find_coordinator(
        &mut self,
        now: Time,
        to: Asker,
        request: &FindCoordinatorRequest,
        out: &mut Effects<Self>,
    ) {
        let keys = match to.version {
            FIND_MANY_SINCE.. => request.coordinator_keys.clone(),
            _ => vec![request.key.clone()],
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let error = match request.key_type {
                GROUP_KEY => self.offsets_partition(now, &key, out).err(),
                // There are no transactions to coordinate.
                _ => Some(ResponseError::InvalidRequest),
            };
            let answer = Coordinator::default().with_key(key);
            found.push(match error {
                None => answer
                    .with_node_id(BROKER.into())
                    .with_host(self.host())
                    .with_port(self.config.port.into()),
                Some(error) => {
                    answer.with_node_id((-1).into()).with_port(-1).with_error_code(error.code())
                }
            });
        }
        let response = match (to.version, found.pop()) {
            (FIND_MANY_SINCE.., last) => {
                found.extend(last);
                FindCoordinatorResponse::default().with_coordinators(found)
            }
            (_, Some(only)) => FindCoordinatorResponse::default()
                .with_error_code(only.error_code)
                .with_node_id(only.node_id)
                .with_host(only.host)
                .with_port(only.port),
            (_, None) => FindCoordinatorResponse::default(),
        };
        self.answer_after_journal(to, response, out);
    }

    pub(super) fn join_group(
        &mut self,
        now: Time,
        to: Asker,
        client_id: Option<&str>,
        request: &JoinGroupRequest,
        out: &mut Effects<Self>,
    ) {
        let id = &request.group_id.0;
        let session = Duration::from_millis(request.session_timeout_ms.max(0) as u64);
        let config = &self.config.groups;
        let error = if id.is_empty() {
            Some(ResponseError::InvalidGroupId)
        } else if session < config.min_session || session > config.max_session {
            Some(ResponseError::InvalidSessionTimeout)
        } else if self.groups.get(id).is_none() && !request.member_id.is_empty() {
            Some(ResponseError::UnknownMemberId)
        } else {
            self.offsets_partition(now, id, out).err()
        };
        if let Some(error) = error {
            let response = super::group::refused(error, request.member_id.clone());
            self.answer(to, response, out);
            return;
        }
        let client_id = StrBytes::from_string(client_id.unwrap_or_default().to_owned());
        let number = self.number();
        let unique = Uuid::from_bytes(id_of(self.seed.fork("member").nth(number)));
        let prefix = request.group_instance_id.as_ref().unwrap_or(&client_id);
        // Below version 1 the session timeout stands for both.
        let rebalance = match request.rebalance_timeout_ms {
            ms @ 0.. => Duration::from_millis(ms as u64),
            _ => session,
        };
        let ask = Join {
            to,
            member: request.member_id.clone(),
            new_id: StrBytes::from_string(format!("{prefix}-{unique}")),
            instance: request.group_instance_id.clone(),
            host: StrBytes::from_string(format!("/{}", self.conns.host(to.from))),
            client_id,
            session,
            rebalance,
            protocol_type: request.protocol_type.clone(),
            protocols: request
                .protocols
                .iter()
                .map(|protocol| (protocol.name.clone(), protocol.metadata.clone()))
                .collect(),
            needs_id: to.version >= MEMBER_ID_SINCE,
        };
        let mut said = Said::default();
        let (group, config) = self.groups.make(id);
        group.join(now, config, ask, &mut said);
        self.say(now, id, said, out);
    }

    pub(super) fn sync_group(
        &mut self,
        now: Time,
        to: Asker,
        request: &SyncGroupRequest,
        out: &mut Effects<Self>,
    ) {
        let id = &request.group_id.0;
        let Some((group, _)) = self.groups.get_mut(id) else {
            let code = ResponseError::UnknownMemberId.code();
            self.answer(to, SyncGroupResponse::default().with_error_code(code), out);
            return;
        };
        let assignments = &request.assignments;
        let ask = Sync {
            to,
            member: request.member_id.clone(),
            instance: request.group_instance_id.clone(),
            generation: request.generation_id,
            protocol_type: request.protocol_type.clone(),
            protocol: request.protocol_name.clone(),
            assignments: assignments
                .iter()
                .map(|one| (one.member_id.clone(), one.assignment.clone()))
                .collect(),
        };
        let mut said = Said::default();
        group.sync(now, ask, &mut said);
        self.say(now, id, said, out);
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Time,
        to: Asker,
        request: &HeartbeatRequest,
        out: &mut Effects<Self>,
    ) {
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_ref(),
            generation: request.generation_id,
        };
        let beat = match self.groups.get_mut(&request.group_id.0) {
            Some((group, _)) => group.heartbeat(now, speaker),
            None => Err(ResponseError::UnknownMemberId),
        };
        if let Err(error) = beat {
            note_fenced(error, out);
        }
        let code = beat.err().map_or(0, |error| error.code());
        self.answer(to, HeartbeatResponse::default().with_error_code(code), out);
    }

    pub(super) fn leave_group(
        &mut self,
        now: Time,
        to: Asker,
        request: &LeaveGroupRequest,
        out: &mut Effects<Self>,
    ) {
        let id = &request.group_id.0;
        let mut said = Said::default();
        let mut leave = |member: &StrBytes, instance: Option<&StrBytes>| {
            let left = match self.groups.get_mut(id) {
                Some((group, _)) => group.leave(now, member, instance, &mut said),
                None => Err(ResponseError::UnknownMemberId),
            };
            left.err().map_or(0, |error| error.code())
        };
        let response = if to.version >= LEAVE_MANY_SINCE {
            let members = request.members.iter().map(|member| {
                let code = leave(&member.member_id, member.group_instance_id.as_ref());
                MemberResponse::default()
                    .with_member_id(member.member_id.clone())
                    .with_group_instance_id(member.group_instance_id.clone())
                    .with_error_code(code)
            });
            LeaveGroupResponse::default().with_members(members.collect())
        } else {
            LeaveGroupResponse::default().with_error_code(leave(&request.member_id, None))
        };
        let now_ms = self.now_ms(now);
        if let Some((group, _)) = self.groups.get_mut(id)
            && group.state == State::Empty
        {
            group.changed_ms = now_ms;
        }
        self.say(now, id, said, out);
        self.answer(to, response, out);
    }

    pub(super) fn describe_groups(
        &mut self,
        to: Asker,
        request: &DescribeGroupsRequest,
        out: &mut Effects<Self>,
    ) {
        let describe = |id: &GroupId| {
            let described = DescribedGroup::default().with_group_id(id.clone());
            let Some(group) = self.groups.get(&id.0) else {
                // Without an error: below version 6 that is how nothing is said.
                return described.with_group_state(StrBytes::from_static_str("Dead"));
            };
            let protocol = group.protocol.clone().unwrap_or_default();
            let members = group.members.iter().map(|(id, member)| {
                DescribedGroupMember::default()
                    .with_member_id(id.clone())
                    .with_group_instance_id(member.instance.clone().filter(|_| to.version >= 4))
                    .with_client_id(member.client_id.clone())
                    .with_client_host(member.host.clone())
                    .with_member_metadata(member.subscription(&protocol))
                    .with_member_assignment(member.assignment.clone())
            });
            described
                .with_group_state(StrBytes::from_static_str(group.state.name()))
                .with_protocol_type(group.protocol_type.clone().unwrap_or_default())
                .with_members(members.collect())
                .with_protocol_data(protocol)
        };
        let groups = request.groups.iter().map(describe).collect();
        self.answer(to, DescribeGroupsResponse::default().with_groups(groups), out);
    }

    pub(super) fn list_groups(
        &mut self,
        to: Asker,
        request: &ListGroupsRequest,
        out: &mut Effects<Self>,
    ) {
        let is_named = |list: &[StrBytes], name: &str| {
            list.is_empty() || list.iter().any(|item| item.eq_ignore_ascii_case(name))
        };
        let listed = self.groups.iter().filter(|(_, group)| {
            is_named(&request.states_filter, group.state.name())
                && is_named(&request.types_filter, "classic")
        });
        let listed = listed.map(|(id, group)| {
            let listed = ListedGroup::default()
                .with_group_id(GroupId(id.clone()))
                .with_protocol_type(group.protocol_type.clone().unwrap_or_default());
            // Both fields are told where the version has them.
            let state = if to.version >= 4 { group.state.name() } else { "" };
            let kind = if to.version >= 5 { "classic" } else { "" };
            listed
                .with_group_state(StrBytes::from_static_str(state))
                .with_group_type(StrBytes::from_static_str(kind))
        });
        let groups = listed.collect();
        self.answer(to, ListGroupsResponse::default().with_groups(groups), out);
    }

    pub(super) fn delete_groups(
        &mut self,
        now: Time,
        to: Asker,
        request: &DeleteGroupsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut results = Vec::with_capacity(request.groups_names.len());
        for id in &request.groups_names {
            let error = match self.groups.get(&id.0) {
                None => Some(ResponseError::GroupIdNotFound),
                Some(group) if group.state != State::Empty => Some(ResponseError::NonEmptyGroup),
                Some(group) => {
                    let mut records: Vec<Stored> = group
                        .offsets
                        .keys()
                        .map(|key| (offset_key(&id.0, key).encode(), None))
                        .collect();
                    records.push((Key::Group(id.0.clone()).encode(), None));
                    let stored = self.store_records(now, &id.0, &records, out);
                    stored.map(|_| drop(self.groups.remove(&id.0))).err()
                }
            };
            let code = error.map_or(0, |error| error.code());
            let result = DeletableGroupResult::default().with_group_id(id.clone());
            results.push(result.with_error_code(code));
        }
        self.answer(to, DeleteGroupsResponse::default().with_results(results), out);
    }

    /// Takes groups and offsets from the offsets topic, at boot.
    pub(super) fn load_groups(
        &mut self,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<(), BootError> {
        let partitions = match self.topics.get(OFFSETS_TOPIC) {
            Some(topic) => topic.partitions.clone(),
            None => return Ok(()),
        };
        for id in partitions {
            self.load_partition(now, id, out)?;
        }
        let ids: Vec<StrBytes> = self.groups.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.groups.schedule(&id);
        }
        self.schedule_expiry(now);
        Ok(())
    }

    fn load_partition(
        &mut self,
        now: Time,
        id: PartitionId,
        out: &mut Effects<Self>,
    ) -> Result<(), BootError> {
        let Some(partition) = self.topics.partition(id) else { return Ok(()) };
        let (dir, end) = (partition.log.dir().to_owned(), partition.log.next());
        let wrong = |offset: i64, reason: String| BootError::Store {
            file: dir.clone(),
            offset: offset.max(0) as u64,
            reason,
        };
        let mut from = partition.log.start();
        while from < end {
            let bytes = partition
                .log
                .read(out.disk(), from, LOAD_STEP, end)
                .map_err(|error| wrong(from, error.to_string()))?;
            if bytes.is_empty() {
                break;
            }
            for found in Batches::new(&bytes) {
                let (header, bytes) = found.map_err(|error| wrong(from, error.to_string()))?;
                batch::check(bytes).map_err(|error| wrong(from, error.to_string()))?;
                let records = batch::records(&header, bytes)
                    .map_err(|error| wrong(from, error.to_string()))?;
                for record in Records::new(&header, &records) {
                    let record = record.map_err(|error| wrong(from, error.to_string()))?;
                    let key = record.key.map(|key| &records[key]);
                    let value = record.value.map(|value| &records[value]);
                    // What a later version may have written is passed over.
                    if let Some(key) = key.and_then(Key::decode) {
                        load(&mut self.groups, now, key, value);
                    }
                }
                from = header.last_offset() + 1;
            }
        }
        Ok(())
    }
}

/// Plays one record of the offsets topic.
fn load(groups: &mut super::Coordinator, now: Time, key: Key, value: Option<&[u8]>) {
    match key {
        Key::Offset { group, topic, partition } => {
            let (state, _) = groups.make(&group);
            match value.and_then(super::group::Committed::decode) {
                Some(committed) => drop(state.offsets.insert((topic, partition), committed)),
                None => drop(state.offsets.remove(&(topic, partition))),
            }
            if state.is_void() && state.generation == 0 {
                groups.remove(&group);
            }
        }
        Key::Group(group) => match value.and_then(StoredGroup::decode) {
            Some(stored) => groups.make(&group).0.restore(now, stored),
            None => drop(groups.remove(&group)),
        },
    }
}

/// The key of a committed position.
pub(super) fn offset_key(group: &StrBytes, at: &(StrBytes, i32)) -> Key {
    Key::Offset { group: group.clone(), topic: at.0.clone(), partition: at.1 }
}

/// Notes that somebody of an earlier generation was refused.
pub(super) fn note_fenced(error: ResponseError, out: &mut Effects<Kafka>) {
    use ResponseError::{FencedInstanceId, IllegalGeneration, UnknownMemberId};
    if matches!(error, FencedInstanceId | IllegalGeneration | UnknownMemberId) {
        out.note(Note::Sometimes("group fenced"));
    }
}
