//! Topics come, grow and go; records are deleted.

use std::collections::BTreeMap;

use broker_contract::{BootError, DiskError, Effects, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::{
    DeletableTopicResult, DeleteTopicsResponse,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::conns::Asker;
use super::journal::Entry;
use super::log::LogError;
use super::topics::{OFFSETS_TOPIC, Opening, PARTITIONS_MAX, check_name, settings_of};
use super::{Kafka, id_of};

/// The first version of delete topics that may name a topic by its id.
const DELETE_BY_ID_SINCE: i16 = 6;

/// Why a change of topics is refused: the code and a sentence.
pub(super) type Refused = (ResponseError, String);

fn storage(error: DiskError) -> Refused {
    (ResponseError::KafkaStorageError, error.to_string())
}

impl Kafka {
    /// Creates a topic; its records may come at once, and its creation is synced
    /// by a sync of the journal that has been asked for.
    pub(super) fn create_topic(
        &mut self,
        now: Time,
        name: &StrBytes,
        partitions: u32,
        settings: Vec<(String, String)>,
        out: &mut Effects<Self>,
    ) -> Result<(), Refused> {
        let own: BTreeMap<String, String> = settings.iter().cloned().collect();
        let config = settings_of(&self.config, name, &own)
            .map_err(|text| (ResponseError::InvalidConfig, text))?;
        let number = self.number();
        let id = id_of(self.seed.fork("topic").nth(number));
        let topic = name.to_string();
        let entry = Entry::Created { topic, id, partitions, settings };
        self.journal.append(out.disk(), &entry).map_err(storage)?;
        self.sync_journal(out);
        self.topics.insert(name.clone(), id, own);
        self.extend_topic(now, name, partitions, &config, out)
    }

    fn extend_topic(
        &mut self,
        now: Time,
        name: &StrBytes,
        partitions: u32,
        config: &super::LogConfig,
        out: &mut Effects<Self>,
    ) -> Result<(), Refused> {
        let now_ms = self.now_ms(now);
        // A crash may have left files of a former topic of that name.
        let listing = out.disk().list(&format!("{name}-")).map_err(storage)?;
        let starts = &BTreeMap::new();
        let with = Opening { config, starts, now_ms, listing: &listing };
        self.topics
            .extend(out.disk(), name, partitions, &with)
            .map(drop)
            .map_err(|error: BootError| (ResponseError::KafkaStorageError, error.to_string()))
    }

    pub(super) fn create_topics(
        &mut self,
        now: Time,
        to: Asker,
        request: &CreateTopicsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let is_twice =
                request.topics.iter().filter(|other| other.name == topic.name).count() > 1;
            let created = if is_twice {
                let text = "Duplicate topic in the request.".to_owned();
                Err((ResponseError::InvalidRequest, text))
            } else {
                self.create_asked(now, topic, request.validate_only, out)
            };
            let result = CreatableTopicResult::default().with_name(topic.name.clone());
            results.push(match created {
                Ok(partitions) => self.created(result, partitions, to.version),
                Err((error, text)) => result
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(text))),
            });
        }
        self.answer_after_journal(to, CreateTopicsResponse::default().with_topics(results), out);
    }

    /// Fills in what newer versions tell of a topic that was created.
    fn created(
        &self,
        mut result: CreatableTopicResult,
        partitions: u32,
        version: i16,
    ) -> CreatableTopicResult {
        let Some(topic) = self.topics.get(&result.name.0) else { return result };
        if version >= 7 {
            result.topic_id = Uuid::from_bytes(topic.id);
        }
        if version >= 5 {
            result.num_partitions = partitions as i32;
            result.replication_factor = 1;
            let config = topic.partitions.first().and_then(|id| self.topics.peek(*id));
            let entries = config.into_iter().flat_map(|partition| partition.log.config().entries());
            let own = |name: &str| topic.settings.contains_key(name);
            let entry = |(name, value): (&'static str, String)| {
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_static_str(name))
                    .with_value(Some(StrBytes::from_string(value)))
                    .with_config_source(if own(name) { 1 } else { 5 })
            };
            result.configs = Some(entries.map(entry).collect());
        }
        result
    }

    fn create_asked(
        &mut self,
        now: Time,
        topic: &CreatableTopic,
        only_check: bool,
        out: &mut Effects<Self>,
    ) -> Result<u32, Refused> {
        let name = &topic.name.0;
        check_name(name).map_err(|text| (ResponseError::InvalidTopicException, text))?;
        if self.topics.get(name).is_some() {
            let text = format!("Topic '{name}' already exists.");
            return Err((ResponseError::TopicAlreadyExists, text));
        }
        let partitions = if !topic.assignments.is_empty() {
            topic.assignments.len() as u32
        } else if topic.num_partitions == -1 {
            self.config.num_partitions
        } else {
            u32::try_from(topic.num_partitions).unwrap_or(0)
        };
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            let text = "Number of partitions was set to an invalid non-positive value.".to_owned();
            return Err((ResponseError::InvalidPartitions, text));
        }
        let is_assigned = !topic.assignments.is_empty();
        if !is_assigned && !matches!(topic.replication_factor, -1 | 1) {
            let text = format!(
                "Unable to replicate the partition {} time(s): only 1 broker(s) are registered.",
                topic.replication_factor
            );
            return Err((ResponseError::InvalidReplicationFactor, text));
        }
        let settings: Vec<(String, String)> = topic
            .configs
            .iter()
            .filter_map(|config| {
                Some((config.name.to_string(), config.value.as_ref()?.to_string()))
            })
            .collect();
        if only_check {
            let own: BTreeMap<_, _> = settings.into_iter().collect();
            settings_of(&self.config, name, &own)
                .map_err(|text| (ResponseError::InvalidConfig, text))?;
        } else {
            self.create_topic(now, name, partitions, settings, out)?;
        }
        Ok(partitions)
    }

    pub(super) fn delete_topics(
        &mut self,
        now: Time,
        to: Asker,
        request: &DeleteTopicsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut names: Vec<(Option<StrBytes>, Uuid)> = Vec::new();
        if to.version >= DELETE_BY_ID_SINCE {
            for topic in &request.topics {
                let name = match &topic.name {
                    Some(name) => Some(name.0.clone()),
                    None => self.topics.name_of(topic.topic_id.as_bytes()).cloned(),
                };
                names.push((name, topic.topic_id));
            }
        } else {
            names
                .extend(request.topic_names.iter().map(|name| (Some(name.0.clone()), Uuid::nil())));
        }
        let mut results = Vec::with_capacity(names.len());
        for (name, id) in names {
            let mut result = DeletableTopicResult::default().with_name(name.clone().map(TopicName));
            if to.version >= DELETE_BY_ID_SINCE {
                result.topic_id = id;
            }
            let deleted = match &name {
                None => {
                    Err((ResponseError::UnknownTopicId, "This server does not host it.".into()))
                }
                Some(name) => self.delete_topic(now, name, out),
            };
            if let Err((error, text)) = deleted {
                result.error_code = error.code();
                if to.version >= 5 {
                    result.error_message = Some(StrBytes::from_string(text));
                }
            }
            results.push(result);
        }
        self.answer_after_journal(to, DeleteTopicsResponse::default().with_responses(results), out);
    }

    fn delete_topic(
        &mut self,
        now: Time,
        name: &StrBytes,
        out: &mut Effects<Self>,
    ) -> Result<(), Refused> {
        if self.topics.get(name).is_none() {
            let text = "This server does not host this topic-partition.".to_owned();
            return Err((ResponseError::UnknownTopicOrPartition, text));
        }
        if name.as_bytes() == OFFSETS_TOPIC.as_bytes() {
            let text = "The internal topic cannot be deleted.".to_owned();
            return Err((ResponseError::InvalidRequest, text));
        }
        let entry = Entry::Deleted { topic: name.to_string() };
        self.journal.append(out.disk(), &entry).map_err(storage)?;
        self.sync_journal(out);
        for (id, mut partition) in self.topics.remove(name) {
            for ack in &partition.acks {
                if let Some(pending) = ack.pending {
                    self.settle(pending, Some(ack.slot), false, out);
                }
            }
            for number in std::mem::take(&mut partition.waiters) {
                self.answer_parked(now, number, out);
            }
            self.forget_cleaning(id, &partition.log, out);
            let removed = partition.log.delete(out.disk()).map_err(storage)?;
            self.upkeep.bury(removed);
        }
        self.forget_offsets_of(now, name, out);
        Ok(())
    }

    pub(super) fn create_partitions(
        &mut self,
        now: Time,
        to: Asker,
        request: &CreatePartitionsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let grown =
                self.grow_topic(now, &topic.name.0, topic.count, request.validate_only, out);
            let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            results.push(match grown {
                Ok(()) => result,
                Err((error, text)) => result
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(text))),
            });
        }
        let response = CreatePartitionsResponse::default().with_results(results);
        self.answer_after_journal(to, response, out);
    }

    fn grow_topic(
        &mut self,
        now: Time,
        name: &StrBytes,
        count: i32,
        only_check: bool,
        out: &mut Effects<Self>,
    ) -> Result<(), Refused> {
        let Some(topic) = self.topics.get(name) else {
            let text = "This server does not host this topic-partition.".to_owned();
            return Err((ResponseError::UnknownTopicOrPartition, text));
        };
        let have = topic.partitions.len();
        let count = u32::try_from(count).unwrap_or(0);
        if count as usize <= have || count > PARTITIONS_MAX {
            let text = format!(
                "The topic {name} currently has {have} partition(s); {count} would not be an increase."
            );
            return Err((ResponseError::InvalidPartitions, text));
        }
        let config = settings_of(&self.config, name, &topic.settings)
            .map_err(|text| (ResponseError::InvalidConfig, text))?;
        if only_check {
            return Ok(());
        }
        let entry = Entry::Extended { topic: name.to_string(), partitions: count };
        self.journal.append(out.disk(), &entry).map_err(storage)?;
        self.sync_journal(out);
        self.extend_topic(now, name, count, &config, out)
    }

    pub(super) fn delete_records(
        &mut self,
        _now: Time,
        to: Asker,
        request: &DeleteRecordsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let index = wanted.partition_index;
                let low = self.delete_before(&topic.name.0, index, wanted.offset, out);
                let answer = DeleteRecordsPartitionResult::default().with_partition_index(index);
                partitions.push(match low {
                    Ok(low) => answer.with_low_watermark(low),
                    Err(error) => answer.with_low_watermark(-1).with_error_code(error.code()),
                });
            }
            let answer = DeleteRecordsTopicResult::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        self.answer_after_journal(to, DeleteRecordsResponse::default().with_topics(topics), out);
    }

    /// Deletes the records of a partition before `offset`; -1 stands for all.
    fn delete_before(
        &mut self,
        topic: &StrBytes,
        index: i32,
        offset: i64,
        out: &mut Effects<Self>,
    ) -> Result<i64, ResponseError> {
        let id = self.topics.find(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = self.topics.partition(id).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if !partition.log.config().delete {
            // A compacted log keeps the last record of each key, whatever anybody says.
            return Err(ResponseError::PolicyViolation);
        }
        let limit = partition.high_watermark();
        let offset = if offset == -1 { limit } else { offset };
        if offset > limit {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let removed = partition.log.delete_to(out.disk(), offset).map_err(|error| match error {
            LogError::OutOfRange { .. } => ResponseError::OffsetOutOfRange,
            _ => ResponseError::KafkaStorageError,
        })?;
        let low = partition.log.start();
        let entry =
            Entry::Started { topic: topic.to_string(), partition: index as u32, offset: low };
        self.upkeep.bury(removed);
        self.journal.append(out.disk(), &entry).map_err(|_| ResponseError::KafkaStorageError)?;
        self.sync_journal(out);
        Ok(low)
    }
}
