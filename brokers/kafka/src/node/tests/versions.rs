//! Every version of every API that is advertised has an answer that can be
//! written in it.

use broker_contract::Frame;
use bytes::BytesMut;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::*;

use super::*;
use crate::node::requests::APIS;

/// A request of this API that gets a full answer.
fn request(key: ApiKey, version: i16) -> Request {
    let group = || GroupId(text("g"));
    match key {
        ApiKey::Produce => produce_request("t", 0, batch(&["a"]), 1).into(),
        ApiKey::Fetch => fetch_request("t", 0, 0).into(),
        ApiKey::ListOffsets => {
            let wanted = ListOffsetsPartition::default().with_timestamp(-1);
            let wanted = ListOffsetsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![wanted]);
            ListOffsetsRequest::default().with_topics(vec![wanted]).into()
        }
        ApiKey::Metadata => {
            let topic = |name| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            MetadataRequest::default().with_topics(Some(vec![topic("t"), topic("?")])).into()
        }
        ApiKey::OffsetCommit => {
            let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
            let topic = OffsetCommitRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![topic]).into()
        }
        ApiKey::OffsetFetch if version >= 8 => {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![0, 7]);
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(group())
                .with_topics(Some(vec![topic]));
            OffsetFetchRequest::default().with_groups(vec![group]).into()
        }
        ApiKey::OffsetFetch => {
            let topic = OffsetFetchRequestTopic::default()
                .with_name(topic_name("t"))
                .with_partition_indexes(vec![0, 7]);
            OffsetFetchRequest::default()
                .with_group_id(group())
                .with_topics(Some(vec![topic]))
                .into()
        }
        ApiKey::FindCoordinator if version >= 4 => {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]).into()
        }
        ApiKey::FindCoordinator => FindCoordinatorRequest::default().with_key(text("g")).into(),
        ApiKey::JoinGroup => {
            let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
            // The session is too short, so the answer comes at once.
            JoinGroupRequest::default()
                .with_group_id(group())
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol])
                .into()
        }
        ApiKey::Heartbeat => HeartbeatRequest::default().with_group_id(group()).into(),
        ApiKey::LeaveGroup if version >= 3 => {
            let member = MemberIdentity::default().with_member_id(text("m"));
            LeaveGroupRequest::default().with_group_id(group()).with_members(vec![member]).into()
        }
        ApiKey::LeaveGroup => LeaveGroupRequest::default().with_group_id(group()).into(),
        ApiKey::SyncGroup => SyncGroupRequest::default().with_group_id(group()).into(),
        ApiKey::DescribeGroups => {
            DescribeGroupsRequest::default().with_groups(vec![group()]).into()
        }
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default().into(),
        ApiKey::CreateTopics => {
            let topic = |name: &str, partitions| {
                CreatableTopic::default()
                    .with_name(topic_name(name))
                    .with_num_partitions(partitions)
                    .with_replication_factor(1)
            };
            let topics = vec![topic(&format!("new-{version}"), 2), topic("none", 0)];
            CreateTopicsRequest::default().with_topics(topics).into()
        }
        ApiKey::DeleteTopics if version >= 6 => {
            let topic = delete_topics_request::DeleteTopicState::default()
                .with_name(Some(topic_name("no.such")));
            DeleteTopicsRequest::default().with_topics(vec![topic]).into()
        }
        ApiKey::DeleteTopics => {
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name("no.such")]).into()
        }
        ApiKey::DeleteRecords => {
            let partition = delete_records_request::DeleteRecordsPartition::default();
            let topic = delete_records_request::DeleteRecordsTopic::default()
                .with_name(topic_name("t"))
                .with_partitions(vec![partition]);
            DeleteRecordsRequest::default().with_topics(vec![topic]).into()
        }
        ApiKey::InitProducerId => {
            InitProducerIdRequest::default().with_transactional_id(None).into()
        }
        ApiKey::OffsetForLeaderEpoch => {
            let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(topic_name("t"))
                .with_partitions(vec![partition]);
            OffsetForLeaderEpochRequest::default().with_topics(vec![topic]).into()
        }
        ApiKey::DescribeConfigs => {
            let topic = DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("t"))
                .with_configuration_keys(None);
            DescribeConfigsRequest::default().with_resources(vec![topic]).into()
        }
        ApiKey::CreatePartitions => {
            let topic = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(topic_name("t"))
                .with_count(1);
            CreatePartitionsRequest::default().with_topics(vec![topic]).into()
        }
        ApiKey::DeleteGroups => {
            DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("none"))]).into()
        }
        ApiKey::IncrementalAlterConfigs => {
            let topic = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("t"));
            IncrementalAlterConfigsRequest::default().with_resources(vec![topic]).into()
        }
        ApiKey::OffsetDelete => OffsetDeleteRequest::default().with_group_id(group()).into(),
        ApiKey::DescribeCluster => DescribeClusterRequest::default().into(),
        other => panic!("{other:?} is advertised, and this test does not know it"),
    }
}

#[test]
fn every_version_is_answered_and_the_answer_can_be_written() {
    for (key, min, max) in APIS {
        let mut stand = Stand::plain();
        stand.create("t", 1, &[]);
        for version in *min..=*max {
            if *key == ApiKey::Produce && version < 3 {
                continue;
            }
            let conn = stand.open();
            stand.send(conn, version, request(*key, version));
            let frame = stand.answer(conn).unwrap_or_else(|| panic!("{key:?} {version}"));
            let mut buf = BytesMut::new();
            frame.encode(&mut buf).unwrap_or_else(|error| panic!("{key:?} {version}: {error}"));
            assert_eq!(frame.wire_len(), buf.len(), "{key:?} {version}");
            assert_eq!(frame.response.key(), *key as i16);
        }
    }
}

#[test]
fn an_unknown_version_of_api_versions_is_told_what_there_is() {
    let mut stand = Stand::plain();
    let conn = stand.open();
    let request = Request::Other { key: ApiKey::ApiVersions as i16, body: Bytes::new() };
    stand.send(conn, 99, request);
    let frame = stand.answer(conn).expect("an answer");
    assert_eq!(frame.version, 0);
    let Response::ApiVersions(response) = frame.response else { panic!("another answer") };
    assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
    assert_eq!(response.api_keys.len(), APIS.len());
    assert!(stand.closed.is_empty());
}

#[test]
fn what_is_not_advertised_ends_the_connection() {
    let mut stand = Stand::plain();
    for (version, request) in [
        (13, Request::from(fetch_request("t", 0, 0))),
        (0, Request::Other { key: 24, body: Bytes::new() }),
        (2, Request::Other { key: 0, body: Bytes::new() }),
    ] {
        let conn = stand.open();
        stand.send(conn, version, request);
        assert_eq!(stand.closed.last().map(|closed| closed.0), Some(conn));
    }
    let conn = stand.open();
    let error = broker_contract::FrameError("nonsense".to_owned());
    stand.input(Input::Malformed { conn, error });
    assert_eq!(stand.closed.len(), 4);
}
