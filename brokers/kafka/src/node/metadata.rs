//! Metadata: the one broker, the topics, and topics that are created by being
//! asked for.

use broker_contract::{Effects, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::{
    DescribeClusterBroker, DescribeClusterResponse,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::conns::Asker;
use super::topics::{OFFSETS_TOPIC, check_name};
use super::{BROKER, Kafka};

/// The first version in which a client says whether topics may be created.
const AUTO_SINCE: i16 = 4;

impl Kafka {
    pub(super) fn host(&self) -> StrBytes {
        StrBytes::from_string(self.config.host.as_ref().to_owned())
    }

    fn cluster_id(&self) -> StrBytes {
        StrBytes::from_string(Uuid::from_bytes(self.journal.cluster).simple().to_string())
    }

    pub(super) fn metadata(
        &mut self,
        now: Time,
        to: Asker,
        request: &MetadataRequest,
        out: &mut Effects<Self>,
    ) {
        let may_create = self.config.auto_create_topics
            && (to.version < AUTO_SINCE || request.allow_auto_topic_creation);
        let topics = match &request.topics {
            Some(topics) if !topics.is_empty() || to.version > 0 => {
                let mut answers = Vec::with_capacity(topics.len());
                for wanted in topics {
                    answers.push(match &wanted.name {
                        Some(name) => self.topic_metadata(now, &name.0, may_create, out),
                        None => self.topic_metadata_by_id(wanted.topic_id),
                    });
                }
                answers
            }
            _ => {
                let names: Vec<_> = self.topics.iter().map(|(name, _)| name.clone()).collect();
                names.iter().filter_map(|name| self.known_topic(name)).collect()
            }
        };
        let broker = MetadataResponseBroker::default()
            .with_node_id(BROKER.into())
            .with_host(self.host())
            .with_port(self.config.port.into());
        let response = MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(self.cluster_id()))
            .with_controller_id(BROKER.into())
            .with_topics(topics);
        // A topic that has just been created must be there after a power loss
        // before anybody's records may be.
        self.answer_after_journal(to, response, out);
    }

    fn topic_metadata(
        &mut self,
        now: Time,
        name: &StrBytes,
        may_create: bool,
        out: &mut Effects<Self>,
    ) -> MetadataResponseTopic {
        let mut error = ResponseError::UnknownTopicOrPartition;
        if self.topics.get(name).is_none() {
            if check_name(name).is_err() {
                error = ResponseError::InvalidTopicException;
            } else if may_create && name.as_bytes() != OFFSETS_TOPIC.as_bytes() {
                let count = self.config.num_partitions;
                if let Err(refused) = self.create_topic(now, name, count, Vec::new(), out) {
                    error = refused.0;
                }
            }
        }
        self.known_topic(name).unwrap_or_else(|| {
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(name.clone())))
                .with_error_code(error.code())
        })
    }

    fn topic_metadata_by_id(&self, id: Uuid) -> MetadataResponseTopic {
        let name = self.topics.name_of(id.as_bytes()).cloned();
        name.and_then(|name| self.known_topic(&name)).unwrap_or_else(|| {
            MetadataResponseTopic::default()
                .with_topic_id(id)
                .with_name(None)
                .with_error_code(ResponseError::UnknownTopicId.code())
        })
    }

    fn known_topic(&self, name: &StrBytes) -> Option<MetadataResponseTopic> {
        let topic = self.topics.get(name)?;
        let partition = |index: usize| {
            MetadataResponsePartition::default()
                .with_partition_index(index as i32)
                .with_leader_id(BROKER.into())
                .with_leader_epoch(self.epoch)
                .with_replica_nodes(vec![BROKER.into()])
                .with_isr_nodes(vec![BROKER.into()])
        };
        let partitions = (0..topic.partitions.len()).map(partition).collect();
        Some(
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(name.clone())))
                .with_topic_id(Uuid::from_bytes(topic.id))
                .with_is_internal(name.as_bytes() == OFFSETS_TOPIC.as_bytes())
                .with_partitions(partitions),
        )
    }

    pub(super) fn describe_cluster(&mut self, to: Asker, out: &mut Effects<Self>) {
        let broker = DescribeClusterBroker::default()
            .with_broker_id(BROKER.into())
            .with_host(self.host())
            .with_port(self.config.port.into());
        let response = DescribeClusterResponse::default()
            .with_cluster_id(self.cluster_id())
            .with_controller_id(BROKER.into())
            .with_brokers(vec![broker]);
        self.answer(to, response, out);
    }
}
