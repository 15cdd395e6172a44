//! Topics, partitions, settings and records that come and go.

use std::time::Duration;

use broker_contract::{Disk, Identity};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponse;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    IncrementalAlterConfigsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};

use super::*;

fn metadata(stand: &mut Stand, names: Option<&[&str]>, may_create: bool) -> MetadataResponse {
    let conn = stand.open();
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let topics = names.map(|names| names.iter().map(topic).collect());
    let request =
        MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(may_create);
    let Response::Metadata(response) = stand.ask(conn, 12, request) else {
        panic!("another answer")
    };
    *response
}

fn delete(stand: &mut Stand, name: &str) -> i16 {
    let conn = stand.open();
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]);
    let Response::DeleteTopics(response) = stand.ask(conn, 5, request) else {
        panic!("another answer")
    };
    response.responses[0].error_code
}

fn delete_records(stand: &mut Stand, name: &str, offset: i64) -> (i16, i64) {
    let conn = stand.open();
    let partition = DeleteRecordsPartition::default().with_offset(offset);
    let topic =
        DeleteRecordsTopic::default().with_name(topic_name(name)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let Response::DeleteRecords(response) = stand.ask(conn, 2, request) else {
        panic!("another answer")
    };
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

fn alter(stand: &mut Stand, name: &str, changes: &[(&str, i8, &str)]) -> (i16, String) {
    let conn = stand.open();
    let change = |(name, operation, value): &(&str, i8, &str)| {
        AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(*operation)
            .with_value(Some(text(value)))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(name))
        .with_configs(changes.iter().map(change).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let Response::IncrementalAlterConfigs(response) = stand.ask(conn, 1, request) else {
        panic!("another answer")
    };
    let answer = &response.responses[0];
    (answer.error_code, answer.error_message.as_ref().map(ToString::to_string).unwrap_or_default())
}

fn setting(stand: &mut Stand, name: &str, key: &str) -> (String, i8) {
    let conn = stand.open();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(name))
        .with_configuration_keys(Some(vec![text(key)]));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let Response::DescribeConfigs(response) = stand.ask(conn, 4, request) else {
        panic!("another answer")
    };
    let found = &response.results[0].configs[0];
    (found.value.as_ref().map(ToString::to_string).unwrap_or_default(), found.config_source)
}

#[test]
fn a_topic_that_is_asked_for_is_made_if_that_is_allowed() {
    let mut stand = Stand::plain();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(metadata(&mut stand, Some(&["t"]), false).topics[0].error_code, unknown);
    let made = metadata(&mut stand, Some(&["t"]), true);
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 1));
    assert_eq!(made.brokers.len(), 1);
    let all = metadata(&mut stand, None, false);
    assert_eq!(all.topics.len(), 1);
    assert_eq!(metadata(&mut stand, Some(&[]), false).topics.len(), 0);
    let invalid = metadata(&mut stand, Some(&["no spaces"]), true);
    assert_eq!(invalid.topics[0].error_code, ResponseError::InvalidTopicException.code());
    let config = KafkaConfig { auto_create_topics: false, ..KafkaConfig::default() };
    let mut stand = Stand::new(config);
    assert_eq!(metadata(&mut stand, Some(&["t"]), true).topics[0].error_code, unknown);
}

#[test]
fn a_new_topic_is_told_once_it_would_survive_a_power_loss() {
    let mut stand = Stand::plain();
    stand.syncs_at_once = false;
    let conn = stand.open();
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(true);
    stand.send(conn, 12, request);
    assert!(stand.answer(conn).is_none());
    stand.end_syncs(Ok(()));
    assert!(stand.answer(conn).is_some());
}

#[test]
fn topics_and_their_ids_survive_a_restart() {
    let mut stand = Stand::plain();
    stand.create("t", 3, &[("retention.ms", "5000")]);
    let before = metadata(&mut stand, None, false);
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    let after = metadata(&mut stand, None, false);
    assert_eq!(before.topics[0].topic_id, after.topics[0].topic_id);
    assert_eq!(before.cluster_id, after.cluster_id);
    assert_eq!(after.topics[0].partitions.len(), 3);
    assert_eq!(after.topics[0].partitions[0].leader_epoch, 1);
    assert_eq!(setting(&mut stand, "t", "retention.ms"), ("5000".into(), 1));
    assert_eq!(setting(&mut stand, "t", "segment.bytes"), ("1073741824".into(), 5));
}

#[test]
fn invalid_topics_get_the_originals_codes() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let conn = stand.open();
    let topic = |name: &str, partitions, copies| {
        CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(copies)
    };
    let config = CreatableTopicConfig::default().with_name(text("nonsense"));
    let config = topic("c", 1, 1).with_configs(vec![config.with_value(Some(text("1")))]);
    for (topic, error) in [
        (topic("t", 1, 1), ResponseError::TopicAlreadyExists),
        (topic("", 1, 1), ResponseError::InvalidTopicException),
        (topic("..", 1, 1), ResponseError::InvalidTopicException),
        (topic("a/b", 1, 1), ResponseError::InvalidTopicException),
        (topic(&"x".repeat(250), 1, 1), ResponseError::InvalidTopicException),
        (topic("u", 0, 1), ResponseError::InvalidPartitions),
        (topic("u", -5, 1), ResponseError::InvalidPartitions),
        (topic("u", 1, 3), ResponseError::InvalidReplicationFactor),
        (config, ResponseError::InvalidConfig),
    ] {
        let name = topic.name.0.to_string();
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let Response::CreateTopics(response) = stand.ask(conn, 7, request) else {
            panic!("another answer")
        };
        assert_eq!(response.topics[0].error_code, error.code(), "{name:?}");
        assert!(response.topics[0].error_message.is_some());
    }
    let twice = vec![topic("d", 1, 1), topic("d", 1, 1)];
    let request = CreateTopicsRequest::default().with_topics(twice);
    let Response::CreateTopics(response) = stand.ask(conn, 7, request) else {
        panic!("another answer")
    };
    let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [ResponseError::InvalidRequest.code(); 2]);
    let request =
        CreateTopicsRequest::default().with_topics(vec![topic("v", 2, 1)]).with_validate_only(true);
    stand.ask(conn, 7, request);
    assert_eq!(metadata(&mut stand, None, false).topics.len(), 1);
}

#[test]
fn a_deleted_topic_is_gone_and_may_come_again() {
    let mut stand = Stand::plain();
    stand.create("t", 2, &[]);
    stand.produce("t", batch(&["old"]));
    let waits = stand.open();
    stand.send(waits, 12, fetch_request("t", 0, 1).with_max_wait_ms(60_000));
    assert_eq!(delete(&mut stand, "t"), 0);
    let Some(Down { response: Response::Fetch(response), .. }) = stand.answer(waits) else {
        panic!("the parked fetch is not answered")
    };
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(response.responses[0].partitions[0].error_code, unknown);
    assert_eq!(delete(&mut stand, "t"), unknown);
    assert_eq!(delete(&mut stand, "__consumer_offsets"), unknown);
    stand.create("t", 1, &[]);
    assert_eq!(stand.produce("t", batch(&["new"])).base_offset, 0);
    stand.advance(Duration::from_secs(1));
    assert_eq!(stand.disk().list("deleted/").expect("lists"), Vec::<String>::new());
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0), [(0, "new".to_owned())]);
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut stand = Stand::plain();
    stand.create("t", 2, &[]);
    stand.produce("t", batch(&["a"]));
    let conn = stand.open();
    for (count, error) in [(2, ResponseError::InvalidPartitions.code()), (4, 0), (3, 37)] {
        let topic = CreatePartitionsTopic::default().with_name(topic_name("t")).with_count(count);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        let Response::CreatePartitions(response) = stand.ask(conn, 3, request) else {
            panic!("another answer")
        };
        assert_eq!(response.results[0].error_code, error, "{count}");
    }
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(metadata(&mut stand, None, false).topics[0].partitions.len(), 4);
}

#[test]
fn settings_are_changed_one_by_one() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    assert_eq!(alter(&mut stand, "t", &[("retention.ms", 0, "1000")]), (0, String::new()));
    assert_eq!(setting(&mut stand, "t", "retention.ms"), ("1000".into(), 1));
    assert_eq!(alter(&mut stand, "t", &[("cleanup.policy", 2, "compact")]).0, 0);
    assert_eq!(setting(&mut stand, "t", "cleanup.policy").0, "compact,delete");
    assert_eq!(alter(&mut stand, "t", &[("cleanup.policy", 3, "compact")]).0, 0);
    assert_eq!(alter(&mut stand, "t", &[("retention.ms", 1, "")]).0, 0);
    assert_eq!(setting(&mut stand, "t", "retention.ms"), ("604800000".into(), 5));
    let invalid = ResponseError::InvalidConfig.code();
    let (code, words) = alter(&mut stand, "t", &[("retention.ms", 0, "soon")]);
    assert_eq!(code, invalid);
    assert_eq!(words, "Invalid value soon for configuration retention.ms");
    assert_eq!(alter(&mut stand, "t", &[("retention.ms", 2, "5")]).0, invalid);
    assert_eq!(alter(&mut stand, "u", &[]).0, ResponseError::UnknownTopicOrPartition.code());
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(setting(&mut stand, "t", "cleanup.policy"), ("delete".into(), 1));
}

#[test]
fn records_are_deleted_up_to_an_offset_for_good() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[("segment.bytes", "300")]);
    for _ in 0..20 {
        stand.produce("t", batch(&["a"]));
    }
    assert_eq!(delete_records(&mut stand, "t", 7), (0, 7));
    assert_eq!(delete_records(&mut stand, "t", 5), (0, 7));
    let range = ResponseError::OffsetOutOfRange.code();
    assert_eq!(delete_records(&mut stand, "t", 21), (range, -1));
    assert_eq!(stand.fetch("t", 6).error_code, range);
    assert_eq!(stand.read("t", 7)[0].0, 7);
    assert_eq!(stand.list_offset("t", -2), (7, -1));
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.list_offset("t", -2), (7, -1));
    assert_eq!(delete_records(&mut stand, "t", -1), (0, 20));
    assert_eq!(stand.produce("t", batch(&["b"])).base_offset, 20);
}

/// A batch of one message of the lab.
fn message(sequence: u32, at_ms: i64) -> Bytes {
    let identity =
        Identity { producer: 1, sequence, number: sequence, key: 0, intended_ns: 0, lag_ns: 0 };
    let mut payload = vec![0; 100];
    identity.stamp(&mut payload);
    let mut writer = BatchWriter::new();
    writer.push(at_ms, Some(b"key"), Some(&payload), empty());
    writer.finish(Codec::None).expect("finishes").into()
}

#[test]
fn every_message_that_retention_removes_is_named() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[("segment.bytes", "1000"), ("retention.ms", "60000")]);
    for sequence in 0..40 {
        stand.produce("t", message(sequence, 0));
    }
    stand.advance(Duration::from_secs(600));
    assert_eq!(stand.dropped(Cause::Retention), 40);
    assert_eq!(stand.list_offset("t", -2), (40, -1));
    assert_eq!(stand.disk().list("deleted/").expect("lists"), Vec::<String>::new());
}

#[test]
fn compaction_runs_by_itself_and_names_what_it_removes() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[("segment.bytes", "1000"), ("cleanup.policy", "compact")]);
    for sequence in 0..40 {
        stand.produce("t", message(sequence, 0));
    }
    stand.advance(Duration::from_secs(60));
    let left = stand.read("t", 0);
    assert!(left.len() < 10, "{}", left.len());
    assert_eq!(left.last().map(|(offset, _)| *offset), Some(39));
    assert_eq!(stand.dropped(Cause::Retention) + left.len(), 40);
    stand.produce("t", keyed(&[("key", None)], 0));
    let before = stand.read("t", 0);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0), before);
    let node = stand.node.as_mut().expect("runs");
    node.verify(&mut stand.out).expect("is sound");
}

#[test]
fn the_end_of_a_leader_epoch_is_known() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    for _ in 0..3 {
        stand.produce("t", batch(&["a", "b"]));
        stand.crash(CrashKind::ProcessKill, |_| 0);
        stand.boot().expect("boots");
    }
    let conn = stand.open();
    for (epoch, expected) in [(0, (0, 2)), (1, (1, 4)), (2, (2, 6)), (3, (3, 6)), (9, (-1, -1))] {
        let partition = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name("t"))
            .with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let Response::OffsetForLeaderEpoch(response) = stand.ask(conn, 4, request) else {
            panic!("another answer")
        };
        let found = &response.topics[0].partitions[0];
        assert_eq!((found.leader_epoch, found.end_offset), expected);
    }
}
