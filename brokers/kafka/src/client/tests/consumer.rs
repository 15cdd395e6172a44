//! Fetches, positions, and what a log that was cut means for them.

use std::time::Duration;

use broker_contract::{
    AckPolicy, Cause, Client, ClientInput, Flow, LinkId, Note, Op, Outcome, Settle, Start, Support,
    Ticket, Time,
};
use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    FetchResponse, ListOffsetsResponse, OffsetCommitResponse, OffsetFetchResponse,
    OffsetForLeaderEpochResponse,
};

use super::{Rig, topic};
use crate::client::ClientConfig;
use crate::frame::batch::BatchWriter;
use crate::frame::{Codec, Request, Response};

const FETCH: LinkId = LinkId(1);
const COORDINATOR: LinkId = LinkId(2);

fn listed(offset: i64) -> Response {
    let partition = ListOffsetsPartitionResponse::default().with_offset(offset);
    let topic = ListOffsetsTopicResponse::default()
        .with_name(topic("t"))
        .with_partitions(vec![partition.with_leader_epoch(0)]);
    ListOffsetsResponse::default().with_topics(vec![topic]).into()
}

fn fetched(code: i16, base: i64, channels: &[&str]) -> Response {
    let mut writer = BatchWriter::new();
    writer.placed(base, 0);
    for channel in channels {
        writer.push(0, Some(channel.as_bytes()), Some(channel.as_bytes()), [].into_iter());
    }
    let records = Bytes::from(writer.finish(Codec::Lz4).expect("it encodes"));
    let records = if channels.is_empty() { None } else { Some(records) };
    let data = PartitionData::default().with_error_code(code).with_records(records);
    let topic =
        FetchableTopicResponse::default().with_topic(topic("t")).with_partitions(vec![data]);
    FetchResponse::default().with_responses(vec![topic]).into()
}

fn committed(offset: i64) -> Response {
    let partition = OffsetFetchResponsePartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(0);
    let topic =
        OffsetFetchResponseTopic::default().with_name(topic("t")).with_partitions(vec![partition]);
    OffsetFetchResponse::default().with_topics(vec![topic]).into()
}

fn has_committed() -> Response {
    let partition = OffsetCommitResponsePartition::default();
    let topic =
        OffsetCommitResponseTopic::default().with_name(topic("t")).with_partitions(vec![partition]);
    OffsetCommitResponse::default().with_topics(vec![topic]).into()
}

/// Answers the next request of a kind, which must be there.
macro_rules! answer {
    ($rig:expr, $kind:ident, $response:expr) => {{
        $rig.serve();
        let place = $rig.find(|request| matches!(request, Request::$kind(_)));
        let place = place.unwrap_or_else(|| panic!("no {}: {:?}", stringify!($kind), $rig.asked));
        $rig.answer(place, $response);
        $rig.serve();
    }};
}

/// The offset that the fetch under way asks for.
fn fetching(rig: &Rig) -> Option<i64> {
    rig.asked.iter().find_map(|(_, up)| match &up.request {
        Request::Fetch(request) => Some(request.topics[0].partitions[0].fetch_offset),
        _ => None,
    })
}

/// The timestamp that the search under way asks for.
fn listing(rig: &Rig) -> Option<i64> {
    rig.asked.iter().find_map(|(_, up)| match &up.request {
        Request::ListOffsets(request) => Some(request.topics[0].partitions[0].timestamp),
        _ => None,
    })
}

fn committing(rig: &Rig) -> Option<i64> {
    rig.asked.iter().find_map(|(_, up)| match &up.request {
        Request::OffsetCommit(request) => Some(request.topics[0].partitions[0].committed_offset),
        _ => None,
    })
}

fn channels(rig: &Rig) -> Vec<String> {
    let channel = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    rig.deliveries.iter().map(|delivery| channel(delivery.message.channel())).collect()
}

fn settle(rig: &mut Rig, subscription: Ticket, token: u64, settle: Settle) -> Ticket {
    let (ticket, support) = rig.submit(&Op::Settle { subscription, token, settle });
    assert!(matches!(support, Ok(Support::Emulated(_))));
    ticket
}

fn explicit() -> Flow<'static> {
    Flow { ack: AckPolicy::Explicit, durable: true, name: Some("ledger"), ..Flow::default() }
}

#[test]
fn it_reads_from_the_end_and_throws_away_what_nobody_wants() {
    let mut rig = Rig::new(ClientConfig::default());
    let ticket = rig.subscribe("t.*.x", Start::New, Flow::default());
    rig.serve();
    assert!(rig.outcome(ticket).is_none());
    answer!(rig, ListOffsets, listed(40));
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Done)));
    assert_eq!(fetching(&rig), Some(40));
    answer!(rig, Fetch, fetched(0, 40, &["t.a.x", "t.a.y", "t.b.x"]));
    assert_eq!(channels(&rig), ["t.a.x", "t.b.x"]);
    assert_eq!(rig.notes, [Note::Wasted { messages: 1, bytes: 5 }]);
    assert_eq!(fetching(&rig), Some(43));
}

#[test]
fn a_position_that_the_log_does_not_have_is_reset() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t", Start::Sequence(5), Flow::default());
    rig.serve();
    assert_eq!(fetching(&rig), Some(5));
    answer!(rig, Fetch, fetched(1, 0, &[]));
    answer!(rig, ListOffsets, listed(77));
    // The end is too late for what came since the subscription is in force.
    assert_eq!(listing(&rig), Some(0));
    answer!(rig, ListOffsets, listed(70));
    assert_eq!(fetching(&rig), Some(70));
    answer!(rig, Fetch, fetched(1, 0, &[]));
    answer!(rig, ListOffsets, listed(80));
    answer!(rig, ListOffsets, listed(-1));
    assert_eq!(fetching(&rig), Some(80), "nothing has come since");
}

#[test]
fn one_that_reads_from_the_start_goes_back_to_it() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t", Start::All, Flow::default());
    answer!(rig, ListOffsets, listed(9));
    answer!(rig, Fetch, fetched(1, 0, &[]));
    assert_eq!(listing(&rig), Some(-2));
}

#[test]
fn a_durable_consumer_carries_on_where_it_committed() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t.>", Start::New, explicit());
    answer!(rig, OffsetFetch, committed(10));
    assert_eq!(fetching(&rig), Some(10));
    answer!(rig, Fetch, fetched(0, 10, &["t.1", "t.2", "t.3"]));
    let (sub, first) = (rig.deliveries[0].subscription, rig.deliveries[0].token);
    settle(&mut rig, sub, first + 2, Settle::Ack);
    rig.advance_to(Time::from_millis(200));
    assert_eq!(committing(&rig), None, "the first is not settled");
    settle(&mut rig, sub, first, Settle::Ack);
    rig.advance_to(Time::from_millis(400));
    assert_eq!(committing(&rig), Some(11));
    answer!(rig, OffsetCommit, has_committed());
    let again = settle(&mut rig, sub, first, Settle::Ack);
    assert!(matches!(rig.outcome(again), Some(Outcome::Failed(_))));
    settle(&mut rig, sub, first + 1, Settle::Term);
    rig.advance_to(Time::from_millis(600));
    assert_eq!(committing(&rig), Some(13));
}

#[test]
fn without_a_commit_it_begins_where_it_was_told_and_says_so() {
    let mut rig = Rig::new(ClientConfig::default());
    let ticket = rig.subscribe("t", Start::All, explicit());
    answer!(rig, OffsetFetch, committed(-1));
    answer!(rig, ListOffsets, listed(3));
    rig.advance_to(Time::from_millis(1));
    assert_eq!(committing(&rig), Some(3));
    assert!(rig.outcome(ticket).is_none(), "whoever took over now would begin elsewhere");
    answer!(rig, OffsetCommit, has_committed());
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Done)));
}

#[test]
fn a_coordinator_that_may_have_restarted_is_told_positions_again() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t", Start::New, explicit());
    answer!(rig, OffsetFetch, committed(10));
    rig.advance_to(Time::from_millis(500));
    assert_eq!(committing(&rig), None, "it has not moved");
    rig.cut(COORDINATOR);
    rig.advance_to(Time::from_millis(1_000));
    rig.serve();
    rig.advance_to(Time::from_millis(1_500));
    assert_eq!(committing(&rig), Some(10), "a power loss may have taken it");
    answer!(rig, OffsetCommit, has_committed());
    rig.advance_to(Time::from_millis(2_500));
    assert_eq!(committing(&rig), None, "once is enough");
}

#[test]
fn a_poison_record_ends_at_max_deliver_and_the_position_moves_on() {
    let mut rig = Rig::new(ClientConfig::default());
    let backoff = [Duration::from_millis(10)];
    let flow = Flow { max_deliver: Some(3), backoff: &backoff, ..explicit() };
    let subscription = rig.subscribe("t", Start::New, flow);
    answer!(rig, OffsetFetch, committed(0));
    answer!(rig, Fetch, fetched(0, 0, &["t"]));
    for delivery in 0..3 {
        assert_eq!(rig.deliveries.len(), delivery + 1);
        let Some(last) = rig.deliveries.last() else { panic!("nothing came") };
        assert_eq!(last.redelivered, delivery > 0);
        let token = last.token;
        settle(&mut rig, subscription, token, Settle::Nak { delay: None });
        rig.advance_to(rig.now + Duration::from_millis(10));
    }
    assert_eq!(rig.deliveries.len(), 3);
    let dropped = Note::Dropped { cause: Cause::MaxDeliver, conn: None, message: None };
    assert!(rig.notes.contains(&dropped), "{:?}", rig.notes);
    rig.advance_to(rig.now + Duration::from_millis(200));
    assert_eq!(committing(&rig), Some(1));
}

#[test]
fn an_application_has_no_more_in_hand_than_it_asked_for() {
    let mut rig = Rig::new(ClientConfig::default());
    let flow = Flow { max_in_flight: Some(2), ..explicit() };
    let subscription = rig.subscribe("t.>", Start::New, flow);
    answer!(rig, OffsetFetch, committed(0));
    answer!(rig, Fetch, fetched(0, 0, &["t.1", "t.2", "t.3"]));
    assert_eq!(channels(&rig), ["t.1", "t.2"]);
    assert_eq!(fetching(&rig), None, "what it has comes first");
    let token = rig.deliveries[1].token;
    settle(&mut rig, subscription, token, Settle::Ack);
    assert_eq!(channels(&rig), ["t.1", "t.2", "t.3"]);
    let token = rig.deliveries[2].token;
    settle(&mut rig, subscription, token, Settle::Ack);
    assert_eq!(fetching(&rig), Some(3));
}

#[test]
fn a_log_that_was_cut_is_noticed_by_its_epoch() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t.>", Start::New, Flow::default());
    answer!(rig, ListOffsets, listed(0));
    answer!(rig, Fetch, fetched(0, 0, &["t.1", "t.2", "t.3"]));
    assert_eq!(fetching(&rig), Some(3));
    rig.cut(FETCH);
    rig.topics = vec![("t", 1, 1)];
    rig.advance_to(Time::from_millis(200));
    rig.serve();
    assert_eq!(fetching(&rig), None, "it asks before it reads on");
    let end = EpochEndOffset::default().with_leader_epoch(0).with_end_offset(2);
    let result =
        OffsetForLeaderTopicResult::default().with_topic(topic("t")).with_partitions(vec![end]);
    let response = OffsetForLeaderEpochResponse::default().with_topics(vec![result]);
    answer!(rig, OffsetForLeaderEpoch, response.into());
    assert_eq!(fetching(&rig), Some(2));
}

#[test]
fn a_lost_fetch_is_asked_again_from_the_same_place() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.subscribe("t.>", Start::New, Flow::default());
    answer!(rig, ListOffsets, listed(0));
    answer!(rig, Fetch, fetched(0, 0, &["t.1", "t.2"]));
    rig.cut(FETCH);
    rig.advance_to(Time::from_millis(200));
    rig.serve();
    assert_eq!(fetching(&rig), Some(2));
    assert_eq!(rig.deliveries.len(), 2);
}

#[test]
fn a_goodbye_hands_out_the_fetch_under_way_and_commits() {
    let mut rig = Rig::new(ClientConfig::default());
    let flow = Flow { ack: AckPolicy::None, ..explicit() };
    rig.subscribe("t.>", Start::New, flow);
    answer!(rig, OffsetFetch, committed(0));
    rig.feed(ClientInput::Shutdown);
    assert!(rig.closed.is_empty());
    answer!(rig, Fetch, fetched(0, 0, &["t.1"]));
    assert_eq!(channels(&rig), ["t.1"]);
    assert_eq!(fetching(&rig), None);
    answer!(rig, OffsetCommit, has_committed());
    assert_eq!(rig.closed, [LinkId(1), LinkId(2), LinkId(0)]);
    assert_eq!(rig.client.deadline(), None);
}
