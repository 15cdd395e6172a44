//! What a consumer asks of the broker, and what the answers mean.

use std::collections::BTreeMap;

use broker_contract::{Note, Start, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, GroupId, ListOffsetsRequest, ListOffsetsResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::membership::{Change, Membership, is_fenced};
use super::position::Partition;
use super::{Consumer, Cx, Life, PartitionId, chunk};
use crate::client::config::Reset;
use crate::client::errors::{OFFSET_OUT_OF_RANGE, is_retriable};
use crate::frame::Response;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// What an answer to a consumer belongs to.
#[derive(Debug)]
pub(in crate::client) enum Ask {
    /// Records of these partitions from these offsets on.
    Fetch(Vec<(PartitionId, i64)>),
    /// Where the log of these partitions begins, ends, or is at some time.
    Offsets(Vec<PartitionId>),
    /// Where the leader epochs ended in which doubtful partitions were read last.
    Epochs,
    /// The committed positions of these.
    Committed(Vec<PartitionId>),
    /// Whether the group has positions in the partitions of its other members.
    Covered,
    /// Positions that are committed.
    Commit(Vec<(PartitionId, i64)>),
    /// The group's coordinator.
    FindCoordinator,
    /// Membership.
    Join,
    /// The assignment.
    Sync,
    /// A sign of life.
    Heartbeat,
    /// Goodbye.
    Leave,
}

/// Partitions with something about each, by topic.
fn by_topic<T>(
    items: impl IntoIterator<Item = (PartitionId, T)>,
    cx: &Cx<'_>,
) -> Vec<(TopicName, Vec<(i32, T)>)> {
    let mut topics: BTreeMap<u32, Vec<(i32, T)>> = BTreeMap::new();
    for ((topic, index), item) in items {
        topics.entry(topic).or_default().push((index, item));
    }
    topics.into_iter().map(|(id, items)| (cx.metadata.topic(id).name.clone(), items)).collect()
}

/// The leader epoch of a partition as the list of topics has it.
fn leader_epoch(id: PartitionId, cx: &Cx<'_>) -> i32 {
    cx.metadata.topic(id.0).epochs.get(id.1 as usize).copied().unwrap_or(-1)
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

impl Consumer {
    /// Finds out where partitions are to be read from, and whether the log still
    /// is what was read of it.
    pub(super) fn resolve(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        for partition in self.partitions.values_mut() {
            partition.retry_at = partition.retry_at.filter(|at| *at > now);
        }
        self.resolve_doubts(cx);
        if self.positions.is_some() {
            self.ask_committed(cx);
        }
        let has_positions = self.positions.is_some();
        let (start, since_ms) = (self.start, self.since_ms);
        let open = self.partitions.iter_mut().filter(|(_, partition)| {
            let knows = !has_positions || partition.has_no_commit || partition.from.is_some();
            partition.position.is_none() && knows && partition.is_due(now)
        });
        let mut wanted = Vec::new();
        for (id, partition) in open {
            let since_ms = since_ms.filter(|_| partition.end.is_some());
            match partition.from.unwrap_or(start) {
                Start::Sequence(offset) => {
                    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                    partition.seek(offset, -1);
                }
                Start::New => wanted.push((*id, since_ms.unwrap_or(LATEST))),
                Start::Last => wanted.push((*id, LATEST)),
                Start::All => wanted.push((*id, EARLIEST)),
                Start::Time(time) => wanted.push((*id, cx.config.unix_ms(time))),
            }
        }
        if wanted.is_empty() || self.asked.offsets || !cx.fetch.is_ready() {
            return;
        }
        self.asked.offsets = true;
        let ids = wanted.iter().map(|(id, _)| *id).collect();
        let topics = by_topic(wanted, cx).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, timestamp)| {
                ListOffsetsPartition::default()
                    .with_partition_index(index)
                    .with_current_leader_epoch(-1)
                    .with_timestamp(timestamp)
            });
            ListOffsetsTopic::default().with_name(name).with_partitions(partitions.collect())
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_topics(topics.collect());
        let pending = cx.pending(Ask::Offsets(ids));
        let until = now + cx.config.request_timeout;
        cx.fetch.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    fn ask_committed(&mut self, cx: &mut Cx<'_>) {
        let Some(group) = self.positions.clone() else { return };
        let now = cx.now;
        let ids: Vec<PartitionId> = self
            .partitions
            .iter()
            .filter(|(_, partition)| {
                partition.position.is_none()
                    && !partition.has_no_commit
                    && partition.from.is_none()
                    && partition.is_due(now)
            })
            .map(|(id, _)| *id)
            .collect();
        if ids.is_empty() || self.asked.committed || !cx.coordinator.is_ready() {
            return;
        }
        self.asked.committed = true;
        self.ask_positions(group, &ids.clone(), Ask::Committed(ids), cx);
    }

    /// Asks for the committed positions of these.
    fn ask_positions(&self, group: GroupId, ids: &[PartitionId], ask: Ask, cx: &mut Cx<'_>) {
        let topics = by_topic(ids.iter().map(|id| (*id, ())), cx);
        let topics = topics.into_iter().map(|(name, partitions)| {
            let indexes = partitions.into_iter().map(|(index, ())| index);
            OffsetFetchRequestTopic::default()
                .with_name(name)
                .with_partition_indexes(indexes.collect())
        });
        let request = OffsetFetchRequest::default()
            .with_group_id(group)
            .with_topics(Some(topics.collect()))
            .with_require_stable(false);
        let pending = cx.pending(ask);
        let until = cx.now + cx.config.request_timeout;
        cx.coordinator.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    /// Whether the group has a position wherever it reads. Another member that was
    /// given a partition, and has no position in it yet, begins at its end later
    /// on: until then what is published there reaches nobody.
    pub(super) fn covers_all(&mut self, cx: &mut Cx<'_>) -> bool {
        let (Some(_), Some(group)) = (&self.member, self.positions.clone()) else { return true };
        let all = self.topics.iter().flat_map(|topic| {
            let count = cx.metadata.topic(*topic).epochs.len() as i32;
            (0..count).map(|index| (*topic, index))
        });
        let others: Vec<PartitionId> = all.filter(|id| !self.partitions.contains_key(id)).collect();
        if self.is_covered || others.is_empty() {
            return true;
        }
        if self.asked.covered || self.cover_at.is_some() || !cx.coordinator.is_ready() {
            return false;
        }
        self.asked.covered = true;
        self.ask_positions(group, &others, Ask::Covered, cx);
        false
    }

    fn covered(&mut self, response: &OffsetFetchResponse, cx: &Cx<'_>) {
        self.asked.covered = false;
        let mut found = response.topics.iter().flat_map(|topic| &topic.partitions);
        self.is_covered = response.error_code == 0
            && found.all(|data| data.error_code == 0 && data.committed_offset >= 0);
        if !self.is_covered {
            self.cover_at = Some(cx.now + cx.config.retry_backoff);
        }
    }

    /// After a lost connection the log may have been cut below what was read: a
    /// new leader epoch tells, and where the old one ended says by how much.
    fn resolve_doubts(&mut self, cx: &mut Cx<'_>) {
        if cx.metadata.refreshes <= self.doubt_at {
            return;
        }
        let mut wanted = Vec::new();
        for (id, partition) in &mut self.partitions {
            if !partition.is_doubtful {
                continue;
            }
            if partition.epoch >= 0 && partition.epoch < leader_epoch(*id, cx) {
                wanted.push((*id, partition.epoch));
            } else {
                partition.is_doubtful = false;
            }
        }
        if wanted.is_empty() || self.asked.epochs || !cx.fetch.is_ready() {
            return;
        }
        self.asked.epochs = true;
        let current: Vec<_> =
            wanted.into_iter().map(|(id, epoch)| (id, (epoch, leader_epoch(id, cx)))).collect();
        let topics = by_topic(current, cx).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, (epoch, current))| {
                OffsetForLeaderPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(current)
                    .with_leader_epoch(epoch)
            });
            OffsetForLeaderTopic::default().with_topic(name).with_partitions(partitions.collect())
        });
        let request = OffsetForLeaderEpochRequest::default()
            .with_replica_id((-1).into())
            .with_topics(topics.collect());
        let pending = cx.pending(Ask::Epochs);
        let until = cx.now + cx.config.request_timeout;
        cx.fetch.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    /// Fetches the partitions of which nothing is left.
    pub(super) fn fetch(&mut self, cx: &mut Cx<'_>) {
        if self.asked.fetch
            || self.life != Life::Running
            || self.is_stopped()
            || !cx.fetch.is_ready()
            || self.room() == 0
        {
            return;
        }
        let now = cx.now;
        let wanted: Vec<(PartitionId, i64)> = self
            .partitions
            .iter()
            .filter(|(_, partition)| {
                partition.chunks.is_empty() && !partition.is_doubtful && partition.is_due(now)
            })
            .filter_map(|(id, partition)| Some((*id, partition.position?)))
            .collect();
        if wanted.is_empty() {
            return;
        }
        self.asked.fetch = true;
        let items: Vec<_> =
            wanted.iter().map(|(id, offset)| (*id, (*offset, leader_epoch(*id, cx)))).collect();
        let most = cx.config.max_partition_fetch_bytes;
        let topics = by_topic(items, cx).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, (offset, epoch))| {
                FetchPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(epoch)
                    .with_fetch_offset(offset)
                    .with_partition_max_bytes(most)
            });
            FetchTopic::default().with_topic(name).with_partitions(partitions.collect())
        });
        let request = FetchRequest::default()
            .with_max_wait_ms(millis(cx.config.fetch_max_wait))
            .with_min_bytes(cx.config.fetch_min_bytes)
            .with_max_bytes(cx.config.fetch_max_bytes)
            .with_topics(topics.collect());
        let pending = cx.pending(Ask::Fetch(wanted));
        let until = now + cx.config.request_timeout + cx.config.fetch_max_wait;
        cx.fetch.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    pub(super) fn commit_if_due(&mut self, cx: &mut Cx<'_>) {
        if self.commit_at.is_none_or(|at| at > cx.now) || self.asked.commit {
            return;
        }
        if !self.member.as_ref().is_none_or(Membership::is_stable) {
            // Whoever joins commits before that; after it, the time starts again.
            self.commit_at = Some(cx.now + cx.config.commit_interval);
        } else if cx.coordinator.is_ready() {
            self.commit(cx);
        }
    }

    /// Commits what changed.
    pub(super) fn commit(&mut self, cx: &mut Cx<'_>) {
        let Some(group) = self.positions.clone() else { return };
        let is_member = self.member.as_ref().is_none_or(|member| member.generation >= 0);
        if self.asked.commit || !is_member || !cx.coordinator.is_ready() {
            return;
        }
        self.commit_at = None;
        self.settled_since_commit = 0;
        let dirty: Vec<(PartitionId, (i64, i32))> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.is_dirty())
            .map(|(id, partition)| (*id, (partition.settled.position(), partition.epoch)))
            .collect();
        if dirty.is_empty() {
            return;
        }
        self.asked.commit = true;
        let committing = dirty.iter().map(|(id, (offset, _))| (*id, *offset)).collect();
        let topics = by_topic(dirty, cx).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, (offset, epoch))| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(offset)
                    .with_committed_leader_epoch(epoch)
                    .with_committed_metadata(Some(StrBytes::default()))
            });
            OffsetCommitRequestTopic::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        let mut request =
            OffsetCommitRequest::default().with_group_id(group).with_topics(topics.collect());
        request = match &self.member {
            Some(member) => request
                .with_generation_id_or_member_epoch(member.generation)
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance.clone()),
            None => request.with_generation_id_or_member_epoch(-1),
        };
        let pending = cx.pending(Ask::Commit(committing));
        let until = cx.now + cx.config.request_timeout;
        cx.coordinator.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    /// Takes an answer.
    pub fn answered(&mut self, ask: Ask, response: &Response, cx: &mut Cx<'_>) {
        match (ask, response) {
            (Ask::Fetch(asked), Response::Fetch(response)) => self.fetched(&asked, response, cx),
            (Ask::Offsets(ids), Response::ListOffsets(response)) => {
                self.listed(&ids, response, cx);
            }
            (Ask::Epochs, Response::OffsetForLeaderEpoch(response)) => {
                self.epochs_ended(response, cx);
            }
            (Ask::Covered, Response::OffsetFetch(response)) => self.covered(response, cx),
            (Ask::Committed(ids), Response::OffsetFetch(response)) => {
                self.committed(&ids, response, cx);
            }
            (Ask::Commit(offsets), Response::OffsetCommit(response)) => {
                self.has_committed(&offsets, response, cx);
            }
            (_, Response::FindCoordinator(response)) => {
                self.change(cx, |member, cx| member.found(response, cx));
            }
            (_, Response::JoinGroup(response)) => {
                self.change(cx, |member, cx| member.joined(response, cx));
            }
            (_, Response::SyncGroup(response)) => {
                self.change(cx, |member, cx| member.synced(response, cx));
            }
            (_, Response::Heartbeat(response)) => {
                self.change(cx, |member, cx| member.told(response.error_code, true, cx));
            }
            (Ask::Leave, _) => self.close(cx),
            // The connection answers in the order of its requests, so the kinds fit.
            _ => {}
        }
        self.advance(cx);
    }

    fn change(
        &mut self,
        cx: &mut Cx<'_>,
        act: impl FnOnce(&mut Membership, &mut Cx<'_>) -> Change,
    ) {
        let Some(member) = &mut self.member else { return };
        match act(member, cx) {
            Change::Nothing => {}
            Change::Assigned(given) => {
                if self.life == Life::Running {
                    self.assigned(given, cx);
                }
            }
            Change::Lost => self.lost_membership(cx),
            Change::Refused(why) => {
                let why = format!("the group: {why}");
                self.fail(broker_contract::Failure::Refused(why.into()), cx);
            }
        }
    }

    fn fetched(&mut self, asked: &[(PartitionId, i64)], response: &FetchResponse, cx: &mut Cx<'_>) {
        self.asked.fetch = false;
        let retry_at = cx.now + cx.config.retry_backoff;
        if response.error_code != 0 {
            for (id, _) in asked {
                self.retry(*id, retry_at);
            }
            return;
        }
        for topic in &response.responses {
            let Some(topic_id) = cx.metadata.named(&topic.topic.0) else { continue };
            for data in &topic.partitions {
                let id = (topic_id, data.partition_index);
                let Some((_, offset)) = asked.iter().find(|(asked, _)| *asked == id) else {
                    continue;
                };
                let Some(partition) = self.partitions.get_mut(&id) else { continue };
                // It may have been lost and read anew while the fetch was under way.
                if partition.position != Some(*offset) {
                    continue;
                }
                if data.error_code != 0 {
                    self.fetch_failed(id, data.error_code, retry_at, cx);
                    continue;
                }
                let Some(bytes) = data.records.as_ref().filter(|bytes| !bytes.is_empty()) else {
                    continue;
                };
                let fetched = chunk::read(bytes, *offset);
                partition.position = Some(fetched.next);
                if fetched.epoch >= 0 {
                    partition.epoch = fetched.epoch;
                }
                if fetched.chunks.is_empty() {
                    partition.settled.pass_to(fetched.next);
                }
                partition.chunks.extend(fetched.chunks);
                if fetched.error.is_some() {
                    cx.out.note(Note::Sometimes("damaged batch fetched"));
                    partition.retry_at = Some(retry_at);
                }
            }
        }
    }

    fn retry(&mut self, id: PartitionId, at: Time) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.retry_at = Some(at);
        }
    }

    fn fetch_failed(&mut self, id: PartitionId, code: i16, retry_at: Time, cx: &mut Cx<'_>) {
        let fenced = ResponseError::FencedLeaderEpoch.code();
        let unknown = ResponseError::UnknownLeaderEpoch.code();
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        if code == OFFSET_OUT_OF_RANGE {
            partition.position = None;
            // One that reads from the start is, in the original, one that goes
            // back to it: both are the same setting.
            partition.from = Some(match cx.config.auto_offset_reset {
                Reset::Latest if self.start != Start::All => Start::New,
                Reset::Latest | Reset::Earliest => Start::All,
            });
            cx.out.note(Note::Sometimes("offset out of range"));
            return;
        }
        partition.retry_at = Some(retry_at);
        if code == fenced || code == unknown {
            partition.is_doubtful = true;
        }
        self.doubt_at = cx.metadata.want();
    }

    fn listed(&mut self, ids: &[PartitionId], response: &ListOffsetsResponse, cx: &mut Cx<'_>) {
        self.asked.offsets = false;
        let retry_at = cx.now + cx.config.retry_backoff;
        for topic in &response.topics {
            let Some(topic_id) = cx.metadata.named(&topic.name.0) else { continue };
            for data in &topic.partitions {
                let id = (topic_id, data.partition_index);
                let Some(partition) = self.partitions.get_mut(&id) else { continue };
                if !ids.contains(&id) || partition.position.is_some() {
                    continue;
                }
                if data.error_code != 0 {
                    partition.retry_at = Some(retry_at);
                    if is_retriable(data.error_code) {
                        cx.metadata.want();
                    }
                    continue;
                }
                let end = partition.end.take();
                if data.offset < 0 {
                    // Nothing is as late as that: it begins with what comes.
                    match end {
                        Some((end, epoch)) => partition.seek(end, epoch),
                        None => partition.from = Some(Start::New),
                    }
                    continue;
                }
                if self.since_ms.is_some()
                    && end.is_none()
                    && partition.from.unwrap_or(self.start) == Start::New
                {
                    // The position is lost, and the end is too late: what came
                    // since the subscription is in force is looked for.
                    partition.end = Some((data.offset, data.leader_epoch));
                    continue;
                }
                let is_last = partition.from.unwrap_or(self.start) == Start::Last;
                let back = i64::from(is_last && data.offset > 0);
                partition.seek(data.offset - back, data.leader_epoch);
                partition.from = None;
            }
        }
        if self.positions.is_some() {
            // Whoever takes over begins here, and not where the log ends by then.
            self.commit_by(cx.now);
        }
    }

    fn committed(&mut self, ids: &[PartitionId], response: &OffsetFetchResponse, cx: &mut Cx<'_>) {
        self.asked.committed = false;
        let retry_at = cx.now + cx.config.retry_backoff;
        let mut is_lost = false;
        if response.error_code != 0 {
            for id in ids {
                self.retry(*id, retry_at);
            }
            return;
        }
        for topic in &response.topics {
            let Some(topic_id) = cx.metadata.named(&topic.name.0) else { continue };
            for data in &topic.partitions {
                let id = (topic_id, data.partition_index);
                let Some(partition) = self.partitions.get_mut(&id) else { continue };
                if !ids.contains(&id) || partition.position.is_some() {
                    continue;
                }
                if data.error_code != 0 {
                    partition.retry_at = Some(retry_at);
                } else if data.committed_offset >= 0 {
                    self.remembered.remove(&id);
                    partition.seek(data.committed_offset, data.committed_leader_epoch);
                    partition.committed = Some(data.committed_offset);
                    // The log may have been cut since that was committed.
                    partition.is_doubtful = partition.epoch >= 0;
                } else if let Some((offset, epoch)) = self.remembered.remove(&id) {
                    // The group's word was lost; nobody else has read on since. It
                    // is given again, for whoever may have to take over.
                    partition.seek(offset, epoch);
                    partition.is_doubtful = partition.epoch >= 0;
                    self.doubt_at = cx.metadata.want();
                    is_lost = true;
                } else {
                    partition.has_no_commit = true;
                }
            }
        }
        if is_lost {
            self.commit_by(cx.now);
        }
    }

    fn has_committed(
        &mut self,
        offsets: &[(PartitionId, i64)],
        response: &OffsetCommitResponse,
        cx: &mut Cx<'_>,
    ) {
        self.asked.commit = false;
        let mut failed = 0;
        for topic in &response.topics {
            let Some(topic_id) = cx.metadata.named(&topic.name.0) else { continue };
            for data in &topic.partitions {
                let id = (topic_id, data.partition_index);
                let Some((_, offset)) = offsets.iter().find(|(sent, _)| *sent == id) else {
                    continue;
                };
                if data.error_code != 0 {
                    failed = data.error_code;
                } else if let Some(partition) = self.partitions.get_mut(&id) {
                    partition.committed = Some(*offset);
                }
            }
        }
        if is_fenced(failed) {
            cx.out.note(Note::Sometimes("group fenced"));
        }
        if failed != 0 {
            self.change(cx, |member, cx| member.told(failed, false, cx));
        }
        if self.partitions.values().any(Partition::is_dirty) && self.life == Life::Running {
            self.commit_by(cx.now + cx.config.commit_interval);
        }
    }

    fn epochs_ended(&mut self, response: &OffsetForLeaderEpochResponse, cx: &mut Cx<'_>) {
        self.asked.epochs = false;
        for topic in &response.topics {
            let Some(topic_id) = cx.metadata.named(&topic.topic.0) else { continue };
            for data in &topic.partitions {
                let id = (topic_id, data.partition);
                let Some(partition) = self.partitions.get_mut(&id) else { continue };
                if !partition.is_doubtful {
                    continue;
                }
                if data.error_code != 0 {
                    // The list of topics is behind: it is asked for again.
                    self.doubt_at = cx.metadata.want();
                    continue;
                }
                partition.is_doubtful = false;
                if data.end_offset >= 0 && partition.position > Some(data.end_offset) {
                    // What was read from there on is gone, and something else
                    // may take its place.
                    cx.out.note(Note::Sometimes("log truncation detected"));
                    let (end, epoch) = (data.end_offset, data.leader_epoch);
                    if partition.settled.passed() > end {
                        partition.seek(end, epoch);
                        self.opens.forget(id, end);
                    } else {
                        partition.chunks.clear();
                        partition.position = Some(partition.settled.passed());
                    }
                    self.commit_by(cx.now + cx.config.commit_interval);
                }
            }
        }
    }

    /// A connection took these answers with it.
    pub fn lost(&mut self, ask: Ask, cx: &mut Cx<'_>) {
        match ask {
            Ask::Fetch(_) => self.asked.fetch = false,
            Ask::Offsets(_) => self.asked.offsets = false,
            Ask::Epochs => self.asked.epochs = false,
            Ask::Committed(_) => self.asked.committed = false,
            Ask::Covered => self.asked.covered = false,
            Ask::Commit(_) => {
                self.asked.commit = false;
                self.commit_by(cx.now + cx.config.commit_interval);
            }
            Ask::Leave => self.close(cx),
            Ask::FindCoordinator | Ask::Join | Ask::Sync | Ask::Heartbeat => {}
        }
    }

    /// The connection for fetches, or that to the coordinator, ended.
    pub fn disconnected(&mut self, is_fetch: bool, cx: &mut Cx<'_>) {
        if is_fetch {
            for partition in self.partitions.values_mut() {
                partition.is_doubtful |= partition.epoch >= 0;
            }
            self.doubt_at = cx.metadata.want();
            return;
        }
        // The coordinator may come back from a power loss that took what it had
        // answered. A member that kept silent about a position it has not moved
        // would leave its group without one, and whoever took over would begin
        // at the end. The original says its positions again at every interval.
        for partition in self.partitions.values_mut() {
            partition.committed = None;
        }
        if self.partitions.values().any(Partition::is_dirty) {
            self.commit_by(cx.now + cx.config.commit_interval);
        }
        if let Some(member) = &mut self.member {
            member.disconnected();
        }
    }
}
