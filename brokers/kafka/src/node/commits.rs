//! Committed offsets: kept for groups, told to them, and in the end forgotten.

use broker_contract::{Effects, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::Kafka;
use super::conns::Asker;
use super::group::{Committed, Speaker, State};
use super::groups::{Stored, note_fenced, offset_key};
use super::log::millis;
use super::topics::{Ack, PartitionId};

/// The first version of fetching offsets that names several groups.
const FETCH_MANY_SINCE: i16 = 8;
/// The first version that tells leader epochs.
const EPOCH_SINCE: i16 = 5;

/// Partitions that are asked for, by topic; `None` for all.
type Wanted = Option<Vec<(TopicName, Vec<i32>)>>;
/// Positions by topic.
type Positions = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;

impl Kafka {
    pub(super) fn offset_commit(
        &mut self,
        now: Time,
        to: Asker,
        request: &OffsetCommitRequest,
        out: &mut Effects<Self>,
    ) {
        let id = &request.group_id.0;
        let speaker = Speaker {
            member: &request.member_id,
            instance: request.group_instance_id.as_ref(),
            generation: request.generation_id_or_member_epoch,
        };
        let may = if id.is_empty() {
            Err(ResponseError::InvalidGroupId)
        } else if self.groups.get(id).is_none() && speaker.generation >= 0 {
            Err(ResponseError::IllegalGeneration)
        } else {
            self.groups.make(id).0.may_commit(now, speaker)
        };
        if let Err(error) = may {
            note_fenced(error, out);
        }
        let now_ms = self.now_ms(now);
        let mut commits: Vec<((StrBytes, i32), Committed)> = Vec::new();
        let mut slots: Vec<(u32, u32)> = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let metadata = wanted.committed_metadata.clone().unwrap_or_default();
                let error = match may {
                    Err(error) => Some(error),
                    Ok(()) if self.topics.find(&topic.name.0, wanted.partition_index).is_none() => {
                        Some(ResponseError::UnknownTopicOrPartition)
                    }
                    Ok(()) if metadata.len() > self.config.groups.metadata_bytes => {
                        Some(ResponseError::OffsetMetadataTooLarge)
                    }
                    Ok(()) => None,
                };
                if error.is_none() {
                    slots.push((topics.len() as u32, partitions.len() as u32));
                    let committed = Committed {
                        offset: wanted.committed_offset,
                        leader_epoch: wanted.committed_leader_epoch,
                        metadata,
                        at_ms: now_ms,
                    };
                    commits.push(((topic.name.0.clone(), wanted.partition_index), committed));
                }
                let answer = OffsetCommitResponsePartition::default();
                partitions.push(
                    answer
                        .with_partition_index(wanted.partition_index)
                        .with_error_code(error.map_or(0, |error| error.code())),
                );
            }
            let answer = OffsetCommitResponseTopic::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        let mut response = OffsetCommitResponse::default().with_topics(topics);
        let number = self.number();
        let mut needs = 0;
        if !commits.is_empty() {
            let record = |(at, committed): &((StrBytes, i32), Committed)| {
                (offset_key(id, at).encode(), Some(committed.encode()))
            };
            let records: Vec<Stored> = commits.iter().map(record).collect();
            match self.store_records(now, id, &records, out) {
                Ok((partition, base)) => {
                    needs = self.wait_for_commit(partition, base, number, &slots, out);
                    self.groups.make(id).0.offsets.extend(commits);
                }
                Err(error) => {
                    // Clients know this one, and come again.
                    let error = match error {
                        ResponseError::KafkaStorageError => ResponseError::CoordinatorNotAvailable,
                        other => other,
                    };
                    for (topic, at) in slots {
                        let partitions = &mut response.topics[topic as usize].partitions;
                        partitions[at as usize].error_code = error.code();
                    }
                }
            }
        }
        self.groups.schedule(id);
        self.schedule_expiry(now);
        self.answer_after(number, needs, to, response, out);
    }

    /// Has a commit wait for its sync where the broker syncs before it answers.
    fn wait_for_commit(
        &mut self,
        id: PartitionId,
        base: i64,
        number: u64,
        slots: &[(u32, u32)],
        out: &mut Effects<Self>,
    ) -> u32 {
        let Some(partition) = self.topics.partition(id) else { return 0 };
        if !partition.log.must_flush() {
            return 0;
        }
        partition.log.flush();
        let (up_to, bytes) = (partition.log.next(), partition.unseen_bytes);
        for (at, slot) in slots.iter().enumerate() {
            let bytes = if at == 0 { bytes } else { 0 };
            let pending = Some(number);
            self.wait_for_flush(id, Ack { base, up_to, bytes, pending, slot: *slot });
        }
        self.ask_syncs(id, out);
        slots.len() as u32
    }

    pub(super) fn offset_fetch(
        &mut self,
        to: Asker,
        request: &OffsetFetchRequest,
        out: &mut Effects<Self>,
    ) {
        let epoch = |committed: &Option<Committed>| match (to.version, committed) {
            (EPOCH_SINCE.., Some(committed)) => committed.leader_epoch,
            _ => -1,
        };
        let offset = |committed: &Option<Committed>| committed.as_ref().map_or(-1, |c| c.offset);
        let words = |committed: &Option<Committed>| {
            Some(committed.as_ref().map(|c| c.metadata.clone()).unwrap_or_default())
        };
        if to.version < FETCH_MANY_SINCE {
            let wanted: Wanted = request.topics.as_ref().map(|topics| {
                let topic = topics.iter().map(|t| (t.name.clone(), t.partition_indexes.clone()));
                topic.collect()
            });
            let positions = self.positions(&request.group_id.0, wanted);
            let topic = |(name, partitions): (TopicName, Vec<(i32, Option<Committed>)>)| {
                let partition = |(index, committed): (i32, Option<Committed>)| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset(&committed))
                        .with_committed_leader_epoch(epoch(&committed))
                        .with_metadata(words(&committed))
                };
                let partitions = partitions.into_iter().map(partition).collect();
                OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions)
            };
            let topics = positions.into_iter().map(topic).collect();
            self.answer(to, OffsetFetchResponse::default().with_topics(topics), out);
            return;
        }
        let mut groups = Vec::with_capacity(request.groups.len());
        for group in &request.groups {
            let wanted: Wanted = group.topics.as_ref().map(|topics| {
                let topic = topics.iter().map(|t| (t.name.clone(), t.partition_indexes.clone()));
                topic.collect()
            });
            let positions = self.positions(&group.group_id.0, wanted);
            let topic = |(name, partitions): (TopicName, Vec<(i32, Option<Committed>)>)| {
                let partition = |(index, committed): (i32, Option<Committed>)| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(index)
                        .with_committed_offset(offset(&committed))
                        .with_committed_leader_epoch(epoch(&committed))
                        .with_metadata(words(&committed))
                };
                let partitions = partitions.into_iter().map(partition).collect();
                OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
            };
            let topics = positions.into_iter().map(topic).collect();
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            groups.push(answer.with_topics(topics));
        }
        self.answer(to, OffsetFetchResponse::default().with_groups(groups), out);
    }

    /// Committed positions of a group; `None` where there is none.
    fn positions(&self, id: &StrBytes, wanted: Wanted) -> Positions {
        let group = self.groups.get(id);
        match wanted {
            Some(topics) => topics
                .into_iter()
                .map(|(name, partitions)| {
                    let position = |index: i32| {
                        let at = (name.0.clone(), index);
                        (index, group.and_then(|group| group.offsets.get(&at)).cloned())
                    };
                    let positions = partitions.into_iter().map(position).collect();
                    (name, positions)
                })
                .collect(),
            None => {
                let mut positions: Positions = Vec::new();
                for ((topic, index), committed) in
                    group.into_iter().flat_map(|group| &group.offsets)
                {
                    let position = (*index, Some(committed.clone()));
                    match positions.last_mut() {
                        Some((name, list)) if name.0 == *topic => list.push(position),
                        _ => positions.push((TopicName(topic.clone()), vec![position])),
                    }
                }
                positions
            }
        }
    }

    pub(super) fn offset_delete(
        &mut self,
        now: Time,
        to: Asker,
        request: &OffsetDeleteRequest,
        out: &mut Effects<Self>,
    ) {
        let id = &request.group_id.0;
        let error = match self.groups.get(id) {
            None => Some(ResponseError::GroupIdNotFound),
            Some(group) if group.state != State::Empty => Some(ResponseError::NonEmptyGroup),
            Some(_) => None,
        };
        if let Some(error) = error {
            self.answer(to, OffsetDeleteResponse::default().with_error_code(error.code()), out);
            return;
        }
        let mut gone: Vec<(StrBytes, i32)> = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                gone.push((topic.name.0.clone(), index));
                let answer = OffsetDeleteResponsePartition::default();
                partitions.push(answer.with_partition_index(index));
            }
            let answer = OffsetDeleteResponseTopic::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        let mut response = OffsetDeleteResponse::default().with_topics(topics);
        if let Err(error) = self.forget_offsets(now, id, &gone, out) {
            response.error_code = error.code();
        }
        self.answer(to, response, out);
    }

    /// Takes committed positions away, from the store and then from the group.
    fn forget_offsets(
        &mut self,
        now: Time,
        id: &StrBytes,
        gone: &[(StrBytes, i32)],
        out: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        let Some(group) = self.groups.get(id) else { return Ok(()) };
        let known = gone.iter().filter(|at| group.offsets.contains_key(*at));
        let records: Vec<Stored> = known.map(|at| (offset_key(id, at).encode(), None)).collect();
        if !records.is_empty() {
            self.store_records(now, id, &records, out)?;
        }
        if let Some((group, _)) = self.groups.get_mut(id) {
            group.offsets.retain(|at, _| !gone.contains(at));
        }
        Ok(())
    }

    /// A topic is gone, and with it every position in it.
    pub(super) fn forget_offsets_of(
        &mut self,
        now: Time,
        topic: &StrBytes,
        out: &mut Effects<Self>,
    ) {
        let in_topic = |(id, group): (&StrBytes, &super::group::Group)| {
            let gone: Vec<_> =
                group.offsets.keys().filter(|(name, _)| name == topic).cloned().collect();
            (!gone.is_empty()).then(|| (id.clone(), gone))
        };
        let found: Vec<_> = self.groups.iter().filter_map(in_topic).collect();
        for (id, gone) in found {
            if self.forget_offsets(now, &id, &gone, out).is_err() {
                out.note(broker_contract::Note::Sometimes("offsets not forgotten"));
            }
        }
    }

    /// Sets the time at which old positions are looked for, unless it is set.
    pub(super) fn schedule_expiry(&mut self, now: Time) {
        let at = now + self.config.groups.offsets_check;
        self.groups.expiry_at.get_or_insert(at);
    }

    /// Forgets the positions of groups that have been empty for longer than
    /// `offsets.retention.minutes`.
    pub(super) fn expire_offsets(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.groups.expiry_at.is_none_or(|at| at > now) {
            return;
        }
        self.groups.expiry_at = None;
        let oldest = self.now_ms(now).saturating_sub(millis(self.config.groups.offsets_retention));
        let mut expired = Vec::new();
        for (id, group) in self.groups.iter() {
            if group.state != State::Empty {
                continue;
            }
            let is_old = |committed: &Committed| match group.protocol_type {
                // Its members were here until then; what they committed is as old.
                Some(_) => group.changed_ms.max(committed.at_ms) < oldest,
                None => committed.at_ms < oldest,
            };
            let gone: Vec<_> = group
                .offsets
                .iter()
                .filter(|(_, committed)| is_old(committed))
                .map(|(at, _)| at.clone())
                .collect();
            if !gone.is_empty() {
                expired.push((id.clone(), gone));
            }
        }
        for (id, gone) in expired {
            if self.forget_offsets(now, &id, &gone, out).is_err() {
                out.note(broker_contract::Note::Sometimes("offsets not forgotten"));
            }
        }
        if self.groups.iter().any(|(_, group)| !group.offsets.is_empty()) {
            self.schedule_expiry(now);
        }
    }
}
