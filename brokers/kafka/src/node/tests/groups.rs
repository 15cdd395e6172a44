//! Groups through the node: joining, assigning, committing, coming back.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponse;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteGroupsRequest, GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
    SyncGroupResponse,
};

use super::*;

fn group() -> GroupId {
    GroupId(text("g"))
}

fn join_request(member: &str, instance: Option<&str>) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"topics"));
    JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(text(member))
        .with_group_instance_id(instance.map(text))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

fn joined(frame: Option<Down>) -> JoinGroupResponse {
    let Some(Down { response: Response::JoinGroup(response), .. }) = frame else {
        panic!("no answer to a join")
    };
    *response
}

fn synced(frame: Option<Down>) -> SyncGroupResponse {
    let Some(Down { response: Response::SyncGroup(response), .. }) = frame else {
        panic!("no answer to a sync")
    };
    *response
}

/// Asks for an id, and joins with it; the answer comes when the generation closes.
fn enter(stand: &mut Stand) -> (ConnId, String) {
    let conn = stand.open();
    stand.send(conn, 9, join_request("", None));
    let first = joined(stand.answer(conn));
    assert_eq!(first.error_code, ResponseError::MemberIdRequired.code());
    let id = first.member_id.to_string();
    stand.send(conn, 9, join_request(&id, None));
    (conn, id)
}

fn sync(stand: &mut Stand, conn: ConnId, member: &str, generation: i32, parts: &[(&str, &str)]) {
    let assignment = |(member, part): &(&str, &str)| {
        SyncGroupRequestAssignment::default()
            .with_member_id(text(member))
            .with_assignment(Bytes::copy_from_slice(part.as_bytes()))
    };
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(generation)
        .with_member_id(text(member))
        .with_assignments(parts.iter().map(assignment).collect());
    stand.send(conn, 5, request);
}

fn heartbeat(stand: &mut Stand, member: &str, generation: i32) -> i16 {
    let conn = stand.open();
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(generation)
        .with_member_id(text(member));
    let Response::Heartbeat(response) = stand.ask(conn, 4, request) else {
        panic!("another answer")
    };
    response.error_code
}

pub(super) fn commit(stand: &mut Stand, member: &str, generation: i32, offset: i64) -> i16 {
    let conn = stand.open();
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("mark")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(text(member))
        .with_topics(vec![topic]);
    let Response::OffsetCommit(response) = stand.ask(conn, 8, request) else {
        panic!("another answer")
    };
    response.topics[0].partitions[0].error_code
}

fn committed(stand: &mut Stand) -> i64 {
    let conn = stand.open();
    let topic = OffsetFetchRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let Response::OffsetFetch(response) = stand.ask(conn, 7, request) else {
        panic!("another answer")
    };
    response.topics[0].partitions[0].committed_offset
}

/// A group of two in its first generation: leader and follower.
fn pair(stand: &mut Stand) -> [(ConnId, String); 2] {
    let (a, b) = (enter(stand), enter(stand));
    // The second member puts the end off once.
    stand.advance(Duration::from_secs(6));
    let (first, second) = (joined(stand.answer(a.0)), joined(stand.answer(b.0)));
    assert_eq!((first.generation_id, second.generation_id), (1, 1));
    let (leader, follower) = if first.members.is_empty() { (b, a) } else { (a, b) };
    sync(stand, follower.0, &follower.1, 1, &[]);
    assert!(stand.answer(follower.0).is_none(), "the leader has not assigned yet");
    sync(stand, leader.0, &leader.1, 1, &[(&leader.1, "0"), (&follower.1, "1")]);
    assert_eq!(synced(stand.answer(leader.0)).assignment, "0");
    assert_eq!(synced(stand.answer(follower.0)).assignment, "1");
    [leader, follower]
}

#[test]
fn members_that_start_together_share_the_first_generation() {
    let mut stand = Stand::plain();
    let first = enter(&mut stand);
    stand.advance(Duration::from_secs(2));
    let second = enter(&mut stand);
    assert!(stand.answer(first.0).is_none());
    // The second has put the end off, once more by three seconds.
    stand.advance(Duration::from_millis(3_999));
    assert!(stand.answer(first.0).is_none());
    stand.advance(Duration::from_millis(1));
    let answers = [joined(stand.answer(first.0)), joined(stand.answer(second.0))];
    assert!(answers.iter().all(|answer| answer.generation_id == 1));
    let leaders: Vec<_> = answers.iter().filter(|answer| !answer.members.is_empty()).collect();
    assert_eq!(leaders.len(), 1);
    assert_eq!(leaders[0].members.len(), 2);
    assert_eq!(leaders[0].leader, leaders[0].member_id);
    assert_eq!(leaders[0].members[0].metadata, "topics");
}

#[test]
fn a_newcomer_makes_everybody_join_again_and_the_old_generation_is_fenced() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let [leader, follower] = pair(&mut stand);
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), 0);
    assert_eq!(commit(&mut stand, &leader.1, 1, 5), 0);
    let third = enter(&mut stand);
    assert!(stand.saw("rebalanced mid-flight"));
    let again = ResponseError::RebalanceInProgress.code();
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), again);
    for (conn, id) in [&leader, &follower] {
        stand.send(*conn, 9, join_request(id, None));
    }
    for (conn, _) in [&leader, &follower, &third] {
        assert_eq!(joined(stand.answer(*conn)).generation_id, 2);
    }
    let stale = ResponseError::IllegalGeneration.code();
    assert_eq!(heartbeat(&mut stand, &follower.1, 1), stale);
    assert_eq!(commit(&mut stand, &follower.1, 1, 9), stale);
    assert_eq!(commit(&mut stand, &follower.1, 2, 9), again, "nothing is assigned yet");
    assert!(stand.saw("group fenced"));
    assert_eq!(committed(&mut stand), 5);
    assert_eq!(heartbeat(&mut stand, "nobody", 2), ResponseError::UnknownMemberId.code());
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let mut stand = Stand::plain();
    let [leader, follower] = pair(&mut stand);
    for _ in 0..4 {
        stand.advance(Duration::from_secs(3));
        let code = heartbeat(&mut stand, &leader.1, 1);
        assert!(code == 0 || code == ResponseError::RebalanceInProgress.code());
    }
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(heartbeat(&mut stand, &follower.1, 1), unknown);
    stand.send(leader.0, 9, join_request(&leader.1, None));
    let alone = joined(stand.answer(leader.0));
    assert_eq!((alone.generation_id, alone.members.len()), (2, 1));
}

#[test]
fn who_does_not_join_in_time_is_out() {
    let mut stand = Stand::plain();
    let [leader, follower] = pair(&mut stand);
    let third = enter(&mut stand);
    // The follower lives, but its application never comes to join again.
    for _ in 0..20 {
        stand.advance(Duration::from_secs(3));
        heartbeat(&mut stand, &follower.1, 1);
        heartbeat(&mut stand, &leader.1, 1);
    }
    let alone = joined(stand.answer(third.0));
    assert_eq!((alone.generation_id, alone.members.len()), (2, 1));
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(heartbeat(&mut stand, &follower.1, 1), unknown);
}

#[test]
fn a_member_that_leaves_is_replaced_at_once() {
    let mut stand = Stand::plain();
    let [leader, follower] = pair(&mut stand);
    let conn = stand.open();
    let request =
        LeaveGroupRequest::default().with_group_id(group()).with_member_id(text(&follower.1));
    let Response::LeaveGroup(response) = stand.ask(conn, 2, request) else {
        panic!("another answer")
    };
    assert_eq!(response.error_code, 0);
    let again = ResponseError::RebalanceInProgress.code();
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), again);
    stand.send(leader.0, 9, join_request(&leader.1, None));
    assert_eq!(joined(stand.answer(leader.0)).members.len(), 1);
}

#[test]
fn a_static_member_takes_its_place_again_and_its_zombie_is_fenced() {
    let mut stand = Stand::plain();
    let conn = stand.open();
    stand.send(conn, 9, join_request("", Some("one")));
    stand.advance(Duration::from_secs(3));
    let first = joined(stand.answer(conn));
    let old = first.member_id.to_string();
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(1)
        .with_member_id(first.member_id.clone())
        .with_group_instance_id(Some(text("one")))
        .with_assignments(vec![
            SyncGroupRequestAssignment::default()
                .with_member_id(first.member_id)
                .with_assignment(Bytes::from_static(b"all")),
        ]);
    stand.send(conn, 5, request);
    assert_eq!(synced(stand.answer(conn)).assignment, "all");
    // It restarts: no rebalance, the same generation and assignment.
    let conn = stand.open();
    stand.send(conn, 9, join_request("", Some("one")));
    let second = joined(stand.answer(conn));
    assert_eq!((second.error_code, second.generation_id), (0, 1));
    assert!(second.skip_assignment && second.member_id.to_string() != old);
    sync(&mut stand, conn, &second.member_id, 1, &[]);
    assert_eq!(synced(stand.answer(conn)).assignment, "all");
    let zombie = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(1)
        .with_member_id(text(&old))
        .with_group_instance_id(Some(text("one")));
    let Response::Heartbeat(response) = stand.ask(conn, 4, zombie) else {
        panic!("another answer")
    };
    assert_eq!(response.error_code, ResponseError::FencedInstanceId.code());
}

#[test]
fn groups_and_offsets_survive_a_restart() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let [leader, follower] = pair(&mut stand);
    assert_eq!(commit(&mut stand, &follower.1, 1, 42), 0);
    assert_eq!(commit(&mut stand, &follower.1, 1, 43), 0);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(committed(&mut stand), 43);
    // The members go on as if nothing had been.
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), 0);
    let conn = stand.open();
    sync(&mut stand, conn, &follower.1, 1, &[]);
    assert_eq!(synced(stand.answer(conn)).assignment, "1");
    stand.advance(Duration::from_secs(11));
    let unknown = ResponseError::UnknownMemberId.code();
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), unknown);
}

#[test]
fn a_commit_waits_for_its_sync_where_the_broker_syncs() {
    let log = crate::node::LogConfig { flush_messages: Some(1), ..Default::default() };
    let mut stand = Stand::new(KafkaConfig { log, ..KafkaConfig::default() });
    stand.create("t", 1, &[]);
    assert_eq!(commit(&mut stand, "", -1, 7), 0);
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(committed(&mut stand), 7);
}

#[test]
fn a_consumer_without_a_group_commits_to_one_without_members() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    assert_eq!(committed(&mut stand), -1);
    assert_eq!(commit(&mut stand, "", -1, 3), 0);
    assert_eq!(committed(&mut stand), 3);
    assert_eq!(commit(&mut stand, "x", 4, 9), ResponseError::IllegalGeneration.code());
    pair(&mut stand);
    assert_eq!(commit(&mut stand, "", -1, 9), ResponseError::UnknownMemberId.code());
}

#[test]
fn offsets_of_an_empty_group_expire_and_those_of_a_living_one_do_not() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    commit(&mut stand, "", -1, 3);
    stand.advance(Duration::from_secs(86_400 * 6));
    assert_eq!(committed(&mut stand), 3);
    stand.advance(Duration::from_secs(86_400 * 2));
    assert_eq!(committed(&mut stand), -1);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(committed(&mut stand), -1);
}

#[test]
fn groups_are_listed_and_deleted_when_they_are_empty() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let [leader, _] = pair(&mut stand);
    commit(&mut stand, &leader.1, 1, 3);
    let conn = stand.open();
    let list = |stand: &mut Stand| {
        let Response::ListGroups(response) = stand.ask(conn, 4, ListGroupsRequest::default())
        else {
            panic!("another answer")
        };
        response.groups.iter().map(|group| group.group_state.to_string()).collect::<Vec<_>>()
    };
    let delete = |stand: &mut Stand| {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
        let Response::DeleteGroups(response) = stand.ask(conn, 2, request) else {
            panic!("another answer")
        };
        response.results[0].error_code
    };
    assert_eq!(list(&mut stand), ["Stable"]);
    assert_eq!(delete(&mut stand), ResponseError::NonEmptyGroup.code());
    stand.advance(Duration::from_secs(20));
    assert_eq!(list(&mut stand), ["Empty"]);
    assert_eq!(delete(&mut stand), 0);
    assert_eq!(delete(&mut stand), ResponseError::GroupIdNotFound.code());
    assert_eq!(committed(&mut stand), -1);
}

#[test]
fn strange_joins_get_the_originals_codes() {
    let mut stand = Stand::plain();
    let [leader, _] = pair(&mut stand);
    let protocol = JoinGroupRequestProtocol::default().with_name(text("other"));
    for (request, error) in [
        (join_request("", None).with_group_id(GroupId(text(""))), ResponseError::InvalidGroupId),
        (
            join_request("", None).with_session_timeout_ms(1_000),
            ResponseError::InvalidSessionTimeout,
        ),
        (join_request("nobody", None), ResponseError::UnknownMemberId),
        (
            join_request("", None).with_protocols(vec![protocol]),
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            join_request("", None).with_protocol_type(text("connect")),
            ResponseError::InconsistentGroupProtocol,
        ),
    ] {
        let conn = stand.open();
        stand.send(conn, 9, request);
        assert_eq!(joined(stand.answer(conn)).error_code, error.code());
    }
    assert_eq!(heartbeat(&mut stand, &leader.1, 1), 0, "nothing has happened to the group");
}

#[test]
fn an_older_leader_that_comes_back_takes_its_assignment_and_no_more() {
    for version in 5..9 {
        let mut stand = Stand::plain();
        let conn = stand.open();
        stand.send(conn, version, join_request("", Some("one")));
        stand.advance(Duration::from_secs(3));
        let first = joined(stand.answer(conn));
        assert_eq!(first.leader, first.member_id, "version {version}");
        let assignment = SyncGroupRequestAssignment::default()
            .with_member_id(first.member_id.clone())
            .with_assignment(Bytes::from_static(b"all"));
        let request = SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(1)
            .with_member_id(first.member_id)
            .with_group_instance_id(Some(text("one")))
            .with_assignments(vec![assignment]);
        stand.send(conn, 5, request);
        assert_eq!(synced(stand.answer(conn)).assignment, "all");
        let conn = stand.open();
        stand.send(conn, version, join_request("", Some("one")));
        let second = joined(stand.answer(conn));
        assert_eq!((second.error_code, second.generation_id), (0, 1));
        assert_ne!(second.leader, second.member_id, "version {version}");
        assert!(second.members.is_empty() && !second.skip_assignment);
        sync(&mut stand, conn, &second.member_id, 1, &[]);
        assert_eq!(synced(stand.answer(conn)).assignment, "all");
    }
}
