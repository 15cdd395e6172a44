//! Which requests there are, in which versions, and who answers them.

use broker_contract::{CloseReason, ConnId, Effects, Time};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};

use super::Kafka;
use super::conns::Asker;
use crate::frame::{Request, Up};

/// Every API with its lowest and highest version.
///
/// The caps are where a version would promise what one node without transactions
/// does not have. Fetch from 13 on and produce from 13 on name topics by id only;
/// list offsets from 8 on asks for tiered storage. Produce is advertised from 0,
/// because old clients of the library librdkafka do not compress otherwise; below
/// 3 nothing can be read, as in the original since 4.0.
pub const APIS: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 11),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 5),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// Whether a version of an API is one of [`APIS`].
fn is_known(key: i16, version: i16) -> bool {
    APIS.iter().any(|(api, min, max)| *api as i16 == key && (*min..=*max).contains(&version))
}

fn versions(error: i16) -> ApiVersionsResponse {
    let version = |(key, min, max): &(ApiKey, i16, i16)| {
        let version = ApiVersion::default().with_api_key(*key as i16);
        version.with_min_version(*min).with_max_version(*max)
    };
    let keys = APIS.iter().map(version).collect();
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys)
}

impl Kafka {
    /// Works on the request of a connection that is not busy with another one.
    pub(super) fn work(&mut self, now: Time, conn: ConnId, frame: Up, out: &mut Effects<Self>) {
        let Some(from) = self.conns.reference(conn) else { return };
        let Up { correlation, version, client_id, request } = frame;
        let to = Asker { from, correlation, version };
        let key = request.key();
        if !is_known(key, version) {
            if key == ApiKey::ApiVersions as i16 {
                let error = ResponseError::UnsupportedVersion.code();
                self.answer(Asker { version: 0, ..to }, versions(error), out);
            } else {
                self.close(conn, CloseReason::Protocol("an API or version that is not there"), out);
            }
            return;
        }
        match request {
            Request::Produce(request) => self.produce(now, to, *request, out),
            Request::Fetch(request) => self.fetch(now, to, *request, out),
            Request::ApiVersions(_) => self.answer(to, versions(0), out),
            Request::Metadata(request) => self.metadata(now, to, &request, out),
            Request::DescribeCluster(_) => self.describe_cluster(to, out),
            Request::ListOffsets(request) => self.list_offsets(to, &request, out),
            Request::OffsetForLeaderEpoch(request) => self.leader_epochs(to, &request, out),
            Request::InitProducerId(request) => self.init_producer_id(to, &request, out),
            Request::CreateTopics(request) => self.create_topics(now, to, &request, out),
            Request::DeleteTopics(request) => self.delete_topics(now, to, &request, out),
            Request::CreatePartitions(request) => self.create_partitions(now, to, &request, out),
            Request::DeleteRecords(request) => self.delete_records(now, to, &request, out),
            Request::DescribeConfigs(request) => self.describe_configs(to, &request, out),
            Request::IncrementalAlterConfigs(request) => self.alter_configs(to, &request, out),
            Request::FindCoordinator(request) => self.find_coordinator(now, to, &request, out),
            Request::JoinGroup(request) => {
                self.join_group(now, to, client_id.as_deref(), &request, out);
            }
            Request::SyncGroup(request) => self.sync_group(now, to, &request, out),
            Request::Heartbeat(request) => self.heartbeat(now, to, &request, out),
            Request::LeaveGroup(request) => self.leave_group(now, to, &request, out),
            Request::OffsetCommit(request) => self.offset_commit(now, to, &request, out),
            Request::OffsetFetch(request) => self.offset_fetch(to, &request, out),
            Request::OffsetDelete(request) => self.offset_delete(now, to, &request, out),
            Request::DescribeGroups(request) => self.describe_groups(to, &request, out),
            Request::ListGroups(request) => self.list_groups(to, &request, out),
            Request::DeleteGroups(request) => self.delete_groups(now, to, &request, out),
            // Its key and version are known, so a codec would have read it.
            Request::Other { .. } => {
                self.close(conn, CloseReason::Protocol("a request that could not be read"), out);
            }
        }
    }
}
