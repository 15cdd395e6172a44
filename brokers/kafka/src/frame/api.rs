//! Requests and responses, one variant for each API that the log has.

use broker_contract::FrameError;
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest,
    HeartbeatResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, SyncGroupRequest,
    SyncGroupResponse,
};
use kafka_protocol::protocol::Encodable;

/// What both lists below are made of: an API's variant, structs and documentation.
macro_rules! apis {
    ($($(#[$doc:meta])* $api:ident: $request:ident => $response:ident,)*) => {
        /// The body of a request.
        #[derive(Clone, Debug)]
        pub enum Request {
            $($(#[$doc])* $api(Box<$request>),)*
            /// A key or a version that the codec does not know. An API versions
            /// request among them is answered with the versions that exist; for
            /// any other the node closes the connection, as the original does.
            Other {
                /// The API's number.
                key: i16,
                /// The bytes after the header, unread.
                body: Bytes,
            },
        }

        /// The body of a response.
        #[derive(Clone, Debug)]
        pub enum Response {
            $($(#[$doc])* $api(Box<$response>),)*
        }

        impl Request {
            /// The number of its API.
            pub fn key(&self) -> i16 {
                match self {
                    $(Request::$api(_) => ApiKey::$api as i16,)*
                    Request::Other { key, .. } => *key,
                }
            }

            /// Bytes of the body in `version`.
            ///
            /// # Errors
            /// [`FrameError`] when the body holds something that its version
            /// cannot say, or there is no such version.
            pub(super) fn body_len(&self, version: i16) -> Result<usize, FrameError> {
                match self {
                    $(Request::$api(body) => body.compute_size(version),)*
                    Request::Other { body, .. } => Ok(body.len()),
                }
                .map_err(|error| FrameError(error.to_string()))
            }

            pub(super) fn encode(&self, version: i16, buf: &mut BytesMut) -> Result<(), FrameError> {
                match self {
                    $(Request::$api(body) => body.encode(buf, version),)*
                    Request::Other { body, .. } => {
                        buf.put_slice(body);
                        Ok(())
                    }
                }
                .map_err(|error| FrameError(error.to_string()))
            }
        }

        impl Response {
            /// The number of its API.
            pub fn key(&self) -> i16 {
                match self {
                    $(Response::$api(_) => ApiKey::$api as i16,)*
                }
            }

            /// Bytes of the body in `version`.
            ///
            /// # Errors
            /// As [`Request::body_len`].
            pub(super) fn body_len(&self, version: i16) -> Result<usize, FrameError> {
                match self {
                    $(Response::$api(body) => body.compute_size(version),)*
                }
                .map_err(|error| FrameError(error.to_string()))
            }

            pub(super) fn encode(&self, version: i16, buf: &mut BytesMut) -> Result<(), FrameError> {
                match self {
                    $(Response::$api(body) => body.encode(buf, version),)*
                }
                .map_err(|error| FrameError(error.to_string()))
            }
        }

        $(
            impl From<$request> for Request {
                fn from(body: $request) -> Request {
                    Request::$api(Box::new(body))
                }
            }

            impl From<$response> for Response {
                fn from(body: $response) -> Response {
                    Response::$api(Box::new(body))
                }
            }
        )*
    };
}

apis! {
    /// Record batches for partitions; without acknowledgement it has no response.
    Produce: ProduceRequest => ProduceResponse,
    /// Record batches of partitions from offsets on, waiting for some if asked to.
    Fetch: FetchRequest => FetchResponse,
    /// The first or last offset of a partition, or the first from a time on.
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse,
    /// Brokers, topics, partitions and their leaders.
    Metadata: MetadataRequest => MetadataResponse,
    /// Positions of a group.
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse,
    /// Committed positions of a group.
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse,
    /// Which broker coordinates a group.
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse,
    /// A member enters a group, or enters it again in a rebalance.
    JoinGroup: JoinGroupRequest => JoinGroupResponse,
    /// A member is alive.
    Heartbeat: HeartbeatRequest => HeartbeatResponse,
    /// Members leave a group.
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse,
    /// The leader hands in the assignment, and every member receives its own.
    SyncGroup: SyncGroupRequest => SyncGroupResponse,
    /// Members and state of groups.
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse,
    /// All groups.
    ListGroups: ListGroupsRequest => ListGroupsResponse,
    /// Which APIs exist in which versions.
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse,
    /// New topics.
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse,
    /// Topics that go with their records.
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse,
    /// The log up to an offset goes.
    DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse,
    /// An identity for an idempotent producer.
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse,
    /// Where a leader epoch ended.
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse,
    /// Settings of topics and of the broker.
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse,
    /// More partitions for a topic.
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse,
    /// Groups that go with their positions.
    DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse,
    /// Other settings for topics.
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse,
    /// Positions of a group that go.
    OffsetDelete: OffsetDeleteRequest => OffsetDeleteResponse,
    /// The brokers.
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse,
}
