//! Long polls, limits, and where a fetch may start.

use kafka_protocol::error::ResponseError;

use super::*;

fn waiting(topic: &str, offset: i64, min_bytes: i32, wait_ms: i32) -> FetchRequest {
    fetch_request(topic, 0, offset).with_min_bytes(min_bytes).with_max_wait_ms(wait_ms)
}

fn records_of(frame: Option<Down>) -> Vec<(i64, String)> {
    let Some(Down { response: Response::Fetch(response), .. }) = frame else {
        panic!("no answer to a fetch")
    };
    let data = &response.responses[0].partitions[0];
    assert_eq!(data.error_code, 0);
    values(data.records.as_deref().unwrap_or_default())
}

#[test]
fn a_fetch_waits_for_a_record_or_its_time() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let conn = stand.open();
    stand.send(conn, 12, waiting("t", 0, 1, 500));
    assert_eq!(stand.node().parked(), 1);
    assert_eq!(stand.node().deadline(), Some(Time::from_millis(501)));
    stand.produce("t", batch(&["a"]));
    assert_eq!(records_of(stand.answer(conn)), [(0, "a".into())]);
    stand.send(conn, 12, waiting("t", 1, 1, 500));
    stand.advance(Duration::from_millis(499));
    assert!(stand.answer(conn).is_none());
    stand.advance(Duration::from_millis(1));
    assert_eq!(records_of(stand.answer(conn)), []);
    assert_eq!(stand.node().parked(), 0);
}

#[test]
fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let one = batch(&["a"]);
    let conn = stand.open();
    stand.produce("t", one.clone());
    stand.send(conn, 12, waiting("t", 0, 3 * one.len() as i32, 500));
    stand.produce("t", one.clone());
    assert!(stand.answer(conn).is_none());
    stand.produce("t", one);
    assert_eq!(records_of(stand.answer(conn)).len(), 3);
}

#[test]
fn a_fetch_wakes_by_any_of_its_partitions_and_by_no_other() {
    let mut stand = Stand::plain();
    stand.create("t", 3, &[]);
    let conn = stand.open();
    let mut request = waiting("t", 0, 1, 500);
    let second = request.topics[0].partitions[0].clone().with_partition(2);
    request.topics[0].partitions.push(second);
    stand.send(conn, 12, request);
    let other = stand.open();
    stand.ask(other, 9, produce_request("t", 1, batch(&["no"]), 1));
    assert!(stand.answer(conn).is_none());
    stand.ask(other, 9, produce_request("t", 2, batch(&["yes"]), 1));
    assert!(stand.answer(conn).is_some());
    // It has left the other partition, too.
    stand.ask(other, 9, produce_request("t", 0, batch(&["late"]), 1));
    assert!(stand.answer(conn).is_none());
}

#[test]
fn a_parked_fetch_goes_with_its_connection() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let conn = stand.open();
    stand.send(conn, 12, waiting("t", 0, 1, 500));
    stand.input(Input::Closed { conn });
    assert_eq!(stand.node().parked(), 0);
    // The number is used again; its new owner has asked for nothing.
    stand.input(Input::Opened { conn, origin: Origin::default() });
    stand.produce("t", batch(&["a"]));
    assert!(stand.answer(conn).is_none());
    stand.advance(Duration::from_secs(1));
    assert!(stand.answer(conn).is_none());
}

#[test]
fn answers_keep_the_order_of_requests() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let conn = stand.open();
    let first = stand.send(conn, 12, waiting("t", 0, 1, 500));
    let second = stand.send(conn, 12, fetch_request("t", 0, 0));
    assert!(stand.sent.is_empty(), "the second waits behind the first");
    stand.produce("t", batch(&["a"]));
    assert_eq!(stand.answer(conn).map(|frame| frame.correlation), Some(first));
    assert_eq!(stand.answer(conn).map(|frame| frame.correlation), Some(second));
}

#[test]
fn a_client_that_does_not_read_gets_no_further_answer() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let large = "x".repeat(200_000);
    stand.produce("t", batch(&[&large]));
    let conn = stand.open();
    for _ in 0..5 {
        stand.send(conn, 12, fetch_request("t", 0, 0));
    }
    assert_eq!(stand.sent.len(), 1);
    let mut answers = 0;
    while stand.answer(conn).is_some() {
        answers += 1;
    }
    assert_eq!(answers, 5);
}

#[test]
fn batches_are_whole_and_the_first_is_returned_whatever_its_size() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let values = ["a"; 10];
    let one = batch(&values);
    for _ in 0..5 {
        stand.produce("t", one.clone());
    }
    let conn = stand.open();
    for (max, batches) in [(1, 1), (one.len(), 1), (2 * one.len() - 1, 1), (2 * one.len(), 2)] {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].partition_max_bytes = max as i32;
        stand.send(conn, 12, request);
        assert_eq!(records_of(stand.answer(conn)).len(), 10 * batches, "{max}");
        let request = fetch_request("t", 0, 0).with_max_bytes(max as i32);
        stand.send(conn, 12, request);
        assert_eq!(records_of(stand.answer(conn)).len(), 10 * batches, "{max}");
    }
    // From inside of a batch, the whole batch comes.
    assert_eq!(super::values(&stand.fetch("t", 25).records.expect("records"))[0].0, 20);
}

#[test]
fn only_the_first_partition_may_be_over_the_limit() {
    let mut stand = Stand::plain();
    stand.create("t", 2, &[]);
    let conn = stand.open();
    for partition in [0, 1] {
        stand.ask(conn, 9, produce_request("t", partition, batch(&["abcdef"]), 1));
    }
    let mut request = fetch_request("t", 0, 0).with_max_bytes(10);
    let second = request.topics[0].partitions[0].clone().with_partition(1);
    request.topics[0].partitions.push(second);
    let Response::Fetch(response) = stand.ask(conn, 12, request) else { panic!("another answer") };
    let lens: Vec<_> = response.responses[0]
        .partitions
        .iter()
        .map(|data| values(data.records.as_deref().unwrap_or_default()).len())
        .collect();
    assert_eq!(lens, [1, 0]);
}

#[test]
fn offsets_outside_of_the_log_and_strange_sessions_are_refused() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    assert_eq!(stand.fetch("t", 1).error_code, 0);
    let out_of_range = ResponseError::OffsetOutOfRange.code();
    assert_eq!(stand.fetch("t", 2).error_code, out_of_range);
    assert_eq!(stand.fetch("t", -1).error_code, out_of_range);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(stand.fetch("u", 0).error_code, unknown);
    let conn = stand.open();
    let Response::Fetch(response) =
        stand.ask(conn, 12, fetch_request("t", 0, 0).with_session_id(7))
    else {
        panic!("another answer")
    };
    assert_eq!(response.error_code, ResponseError::FetchSessionIdNotFound.code());
}

#[test]
fn a_client_with_another_leader_epoch_is_told() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    let conn = stand.open();
    for (epoch, error) in [
        (0, ResponseError::FencedLeaderEpoch.code()),
        (1, 0),
        (2, ResponseError::UnknownLeaderEpoch.code()),
    ] {
        let mut request = fetch_request("t", 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let Response::Fetch(response) = stand.ask(conn, 12, request) else {
            panic!("another answer")
        };
        assert_eq!(response.responses[0].partitions[0].error_code, error, "{epoch}");
    }
}

#[test]
fn offsets_are_found_by_time() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[("segment.bytes", "5000"), ("index.interval.bytes", "100")]);
    assert_eq!(stand.list_offset("t", -1), (0, -1));
    assert_eq!(stand.list_offset("t", 0), (-1, -1));
    for at in 0..200 {
        stand.produce("t", stamped(&["a", "b"], 1_000 + at * 10));
    }
    assert_eq!(stand.list_offset("t", -2), (0, -1));
    assert_eq!(stand.list_offset("t", -1), (400, -1));
    assert_eq!(stand.list_offset("t", 0), (0, 1_000));
    for at in 0..200 {
        assert_eq!(stand.list_offset("t", 1_000 + at * 10), (at * 2, 1_000 + at * 10));
        let next = if at == 199 { (-1, -1) } else { (at * 2 + 2, 1_010 + at * 10) };
        assert_eq!(stand.list_offset("t", 1_001 + at * 10), next);
    }
    assert_eq!(stand.list_offset("t", -3).1, 2_990);
}
