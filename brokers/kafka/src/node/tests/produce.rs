//! What is appended, what is refused, and what is acknowledged when.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::InitProducerIdRequest;
use proptest::prelude::*;

use super::*;
use crate::node::LogConfig;

fn code(error: ResponseError) -> i16 {
    error.code()
}

fn synced() -> KafkaConfig {
    let log = LogConfig { flush_messages: Some(1), ..LogConfig::default() };
    KafkaConfig { log, ..KafkaConfig::default() }
}

#[test]
fn batches_get_ascending_offsets_and_stay_as_they_are() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let first = batch(&["a", "b"]);
    assert_eq!(stand.produce("t", first.clone()).base_offset, 0);
    assert_eq!(stand.produce("t", batch(&["c"])).base_offset, 2);
    let data = stand.fetch("t", 0);
    assert_eq!(data.high_watermark, 3);
    let bytes = data.records.expect("records");
    // Nothing but the base offset and the leader epoch has been written.
    assert_eq!(bytes[8..12], first[8..12]);
    assert_eq!(bytes[16..first.len()], first[16..]);
    let read = values(&bytes);
    assert_eq!(read, [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
}

#[test]
fn every_kind_of_bad_batch_gets_the_originals_code() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[("max.message.bytes", "200")]);
    stand.create("keyed", 1, &[("cleanup.policy", "compact")]);
    let mut flipped = batch(&["a"]).to_vec();
    *flipped.last_mut().expect("has bytes") ^= 1;
    let mut magic = batch(&["a"]).to_vec();
    magic[16] = 1;
    let mut two = batch(&["a"]).to_vec();
    two.extend_from_slice(&batch(&["b"]));
    let long = "x".repeat(300);
    let recrc = |mut bytes: Vec<u8>| {
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        Bytes::from(bytes)
    };
    let mut count = batch(&["a"]).to_vec();
    count[60] = 2;
    let mut control = batch(&["a"]).to_vec();
    control[22] |= 1 << 5;
    let mut codec = batch(&["a"]).to_vec();
    codec[22] |= 7;
    for (what, bytes, error) in [
        ("nothing", Bytes::new(), ResponseError::CorruptMessage),
        ("cut short", batch(&["a"]).slice(..40), ResponseError::CorruptMessage),
        ("flipped", flipped.into(), ResponseError::CorruptMessage),
        ("old magic", magic.into(), ResponseError::InvalidRecord),
        ("two batches", two.into(), ResponseError::InvalidRecord),
        ("too large", batch(&[&long]), ResponseError::MessageTooLarge),
        ("wrong count", recrc(count), ResponseError::InvalidRecord),
        ("control", recrc(control), ResponseError::InvalidRecord),
        ("codec", recrc(codec), ResponseError::UnsupportedCompressionType),
    ] {
        assert_eq!(stand.produce("t", bytes).error_code, code(error), "{what}");
    }
    let keyless = stand.produce("keyed", batch(&["a"]));
    assert_eq!(keyless.error_code, code(ResponseError::InvalidRecord));
    let unknown = stand.produce("u", batch(&["a"]));
    assert_eq!(unknown.error_code, code(ResponseError::UnknownTopicOrPartition));
    let internal = stand.produce("__consumer_offsets", batch(&["a"]));
    assert_eq!(internal.error_code, code(ResponseError::InvalidTopicException));
    assert_eq!(stand.produce("t", batch(&["good"])).base_offset, 0);
}

#[test]
fn without_acknowledgement_there_is_no_answer_and_an_error_closes() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    let conn = stand.open();
    stand.send(conn, 9, produce_request("t", 0, batch(&["a"]), 0));
    assert!(stand.answer(conn).is_none() && stand.closed.is_empty());
    // The next request on the connection is answered all the same.
    stand.ask(conn, 12, fetch_request("t", 0, 0));
    stand.send(conn, 9, produce_request("no.such", 0, batch(&["a"]), 0));
    assert_eq!(stand.closed.len(), 1);
    let conn = stand.open();
    let Response::Produce(response) = stand.ask(conn, 9, produce_request("t", 0, batch(&["a"]), 7))
    else {
        panic!("another answer")
    };
    let error = response.responses[0].partition_responses[0].error_code;
    assert_eq!(error, code(ResponseError::InvalidRequiredAcks));
}

#[test]
fn a_synced_log_answers_after_the_sync_and_joins_what_comes_meanwhile() {
    let mut stand = Stand::new(synced());
    stand.create("t", 1, &[]);
    stand.syncs_at_once = false;
    let conns: Vec<_> = (0..10).map(|_| stand.open()).collect();
    for conn in &conns {
        stand.send(*conn, 9, produce_request("t", 0, batch(&["a"]), -1));
    }
    assert!(stand.sent.is_empty());
    assert_eq!(stand.syncs.len(), 1, "one sync runs");
    // What is not synced is seen by nobody.
    assert_eq!(stand.fetch("t", 0).high_watermark, 0);
    let (file, token, len) = stand.syncs.pop_front().expect("runs");
    stand.disk().complete_sync_to(file, len);
    stand.input(Input::Synced { token, result: Ok(()) });
    assert_eq!(stand.sent.len(), 1, "the first is synced alone");
    assert_eq!(stand.syncs.len(), 1, "and the others together");
    stand.end_syncs(Ok(()));
    assert_eq!(stand.sent.len(), 10);
    assert_eq!(stand.fetch("t", 0).high_watermark, 10);
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0).len(), 10);
}

#[test]
fn a_repeated_batch_waits_for_its_own_sync_and_for_no_later_one() {
    let mut stand = Stand::new(synced());
    stand.create("t", 1, &[]);
    stand.syncs_at_once = false;
    let conns: Vec<_> = (0..3).map(|_| stand.open()).collect();
    let (first, second) = (sequenced(&["a"], 0, 0, 0), sequenced(&["b"], 0, 0, 1));
    for (conn, batch) in conns.iter().zip([first.clone(), second, first]) {
        stand.send(*conn, 9, produce_request("t", 0, batch, -1));
    }
    let (file, token, len) = stand.syncs.pop_front().expect("runs");
    stand.disk().complete_sync_to(file, len);
    stand.input(Input::Synced { token, result: Ok(()) });
    let answered: Vec<ConnId> = stand.sent.iter().map(|(conn, _)| *conn).collect();
    assert_eq!(answered, [conns[0], conns[2]]);
    assert_eq!(stand.fetch("t", 0).high_watermark, 1);
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_takes_the_log_away() {
    let mut stand = Stand::new(synced());
    stand.create("t", 1, &[]);
    stand.syncs_at_once = false;
    let conn = stand.open();
    stand.send(conn, 9, produce_request("t", 0, batch(&["a"]), 1));
    stand.end_syncs(Err(DiskError::Full));
    let Some(Down { response: Response::Produce(response), .. }) = stand.answer(conn) else {
        panic!("another answer")
    };
    let storage = code(ResponseError::KafkaStorageError);
    assert_eq!(response.responses[0].partition_responses[0].error_code, storage);
    stand.syncs_at_once = true;
    assert_eq!(stand.produce("t", batch(&["b"])).error_code, storage);
    assert_eq!(stand.fetch("t", 0).error_code, storage);
}

#[test]
fn a_full_disk_refuses_and_keeps_what_it_has() {
    let disk = MemoryDisk::with_capacity(2_000);
    let mut stand = Stand::on(disk, KafkaConfig::default()).expect("boots");
    stand.create("t", 1, &[]);
    let mut kept = 0;
    while stand.produce("t", batch(&["0123456789"])).error_code == 0 {
        kept += 1;
    }
    assert!(kept > 5);
    let refused = stand.produce("t", batch(&["0123456789"]));
    assert_eq!(refused.error_code, code(ResponseError::KafkaStorageError));
    assert_eq!(refused.base_offset, -1);
    assert_eq!(stand.read("t", 0).len(), kept);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    // Booting needs to write as well; the operator makes room.
    let bytes = stand.disk().used();
    assert!(bytes <= 2_000);
}

#[test]
fn a_sync_by_time_comes_once_for_many() {
    let log = LogConfig { flush: Some(Duration::from_secs(1)), ..LogConfig::default() };
    let mut stand = Stand::new(KafkaConfig { log, ..KafkaConfig::default() });
    stand.create("t", 1, &[]);
    stand.syncs_at_once = false;
    for _ in 0..5 {
        assert_eq!(stand.produce("t", batch(&["a"])).error_code, 0);
    }
    assert!(stand.syncs.is_empty());
    stand.advance(Duration::from_secs(2));
    assert_eq!(stand.syncs.len(), 1);
}

#[test]
fn append_time_is_written_into_the_batch() {
    let mut stand = Stand::new(KafkaConfig { epoch_ms: 5_000, ..KafkaConfig::default() });
    stand.create("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    assert_eq!(stand.produce("t", stamped(&["a"], 77)).log_append_time_ms, 5_001);
    let bytes = stand.fetch("t", 0).records.expect("records");
    let header = crate::frame::batch::check(&bytes).expect("is sound");
    assert!(header.is_append_time());
    assert_eq!(header.max_timestamp, 5_001);
}

#[test]
fn a_producer_gets_an_id_of_its_own_also_after_a_restart() {
    let mut stand = Stand::plain();
    let mut ids = Vec::new();
    for kind in [CrashKind::PowerLoss, CrashKind::ProcessKill, CrashKind::PowerLoss] {
        for _ in 0..3 {
            let conn = stand.open();
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let Response::InitProducerId(response) = stand.ask(conn, 4, request) else {
                panic!("another answer")
            };
            assert_eq!((response.error_code, response.producer_epoch), (0, 0));
            ids.push(response.producer_id.0);
        }
        stand.crash(kind, |_| 0);
        stand.boot().expect("boots");
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_repeated_batch_is_acknowledged_with_its_first_offset() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    for at in 0..7 {
        assert_eq!(stand.produce("t", sequenced(&["a"], 5, 0, at)).base_offset, i64::from(at));
    }
    // Five batches are remembered.
    let again = stand.produce("t", sequenced(&["a"], 5, 0, 2));
    assert_eq!((again.error_code, again.base_offset), (0, 2));
    assert!(stand.saw("duplicate refused"));
    let too_old = stand.produce("t", sequenced(&["a"], 5, 0, 1));
    assert_eq!(too_old.error_code, code(ResponseError::OutOfOrderSequenceNumber));
    let gap = stand.produce("t", sequenced(&["a"], 5, 0, 9));
    assert_eq!(gap.error_code, code(ResponseError::OutOfOrderSequenceNumber));
    // The state is in the log, too.
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    let again = stand.produce("t", sequenced(&["a"], 5, 0, 6));
    assert_eq!((again.error_code, again.base_offset), (0, 6));
    assert_eq!(stand.produce("t", sequenced(&["a"], 5, 1, 0)).base_offset, 7);
    let fenced = stand.produce("t", sequenced(&["a"], 5, 0, 7));
    assert_eq!(fenced.error_code, code(ResponseError::InvalidProducerEpoch));
    let skipped = stand.produce("t", sequenced(&["a"], 5, 2, 3));
    assert_eq!(skipped.error_code, code(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(stand.read("t", 0).len(), 8);
}

#[test]
fn sequences_go_on_at_zero_after_the_largest() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    assert_eq!(stand.produce("t", sequenced(&["a", "b"], 5, 0, i32::MAX - 1)).base_offset, 0);
    assert_eq!(stand.produce("t", sequenced(&["c"], 5, 0, 0)).base_offset, 2);
    let wrapping = sequenced(&["d", "e"], 6, 0, i32::MAX);
    assert_eq!(stand.produce("t", wrapping.clone()).base_offset, 3);
    assert_eq!(stand.produce("t", wrapping).base_offset, 3);
    assert_eq!(stand.produce("t", sequenced(&["f"], 6, 0, 1)).base_offset, 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A producer that sends each batch any number of times, with restarts of the
    /// node in between, has each record in the log once and in order.
    #[test]
    fn whatever_is_repeated_is_in_the_log_once(
        steps in proptest::collection::vec((1usize..4, 1usize..4, 0..12u8), 1..25),
    ) {
        let mut stand = Stand::plain();
        stand.create("t", 1, &[("segment.bytes", "400")]);
        let (mut sequence, mut expected) = (0, Vec::new());
        for (count, times, crash) in steps {
            let names: Vec<String> =
                (0..count).map(|at| format!("v{}", sequence + at as i32)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let first = expected.len() as i64;
            for _ in 0..times {
                let stored = stand.produce("t", sequenced(&names, 9, 0, sequence));
                prop_assert_eq!((stored.error_code, stored.base_offset), (0, first));
                if crash == 0 {
                    stand.crash(CrashKind::ProcessKill, |_| 0);
                    stand.boot().expect("boots");
                }
            }
            expected.extend(names.iter().map(|name| (*name).to_owned()));
            sequence += count as i32;
        }
        let read: Vec<String> = stand.read("t", 0).into_iter().map(|(_, value)| value).collect();
        prop_assert_eq!(read, expected);
    }
}
