//! Lengths against the encoder, and batches against the crate's own reader.

use std::iter::empty;

use broker_contract::Frame;
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, GroupId,
    JoinGroupRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;
use proptest::prelude::*;

use super::batch::{self, BatchError, BatchWriter, Batches, Headers, Records};
use super::{Codec, Down, Request, Response, Up};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn up(version: i16, client_id: Option<&str>, request: impl Into<Request>) -> Up {
    Up { correlation: 7, version, client_id: client_id.map(Into::into), request: request.into() }
}

fn encoded_len(frame: &Up) -> usize {
    let mut buf = BytesMut::new();
    frame.encode(&mut buf).expect("encodes");
    assert_eq!(buf[..4], (buf.len() as i32 - 4).to_be_bytes());
    buf.len()
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn values(count: usize, codec: Codec) -> Vec<u8> {
    let mut writer = BatchWriter::new();
    for value in 0..count {
        let value = format!("value {value}");
        writer.push(1_000, Some(b"key"), Some(value.as_bytes()), empty());
    }
    writer.finish(codec).expect("finishes")
}

proptest! {
    #[test]
    fn a_request_is_as_long_as_its_encoding(
        name in "[a-z.]{0,200}", client in proptest::option::of("[a-z]{0,40}"),
        records in proptest::collection::vec(any::<u8>(), 0..300), version in 3i16..=11,
    ) {
        let partition =
            PartitionProduceData::default().with_index(3).with_records(Some(records.into()));
        let data = TopicProduceData::default()
            .with_name(topic(&name)).with_partition_data(vec![partition]);
        let produce = ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]);
        let frame = up(version, client.as_deref(), produce);
        prop_assert_eq!(frame.wire_len(), encoded_len(&frame));

        let version = version.max(4);
        let partition = FetchPartition::default().with_fetch_offset(1 << 40);
        let fetch = FetchTopic::default().with_topic(topic(&name)).with_partitions(vec![partition]);
        let frame = up(version, client.as_deref(), FetchRequest::default().with_topics(vec![fetch]));
        prop_assert_eq!(frame.wire_len(), encoded_len(&frame));

        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(b"metadata"));
        let join = JoinGroupRequest::default()
            .with_group_id(GroupId(StrBytes::from_string(name)))
            .with_protocols(vec![protocol]);
        let frame = up(version.min(9), client.as_deref(), join);
        prop_assert_eq!(frame.wire_len(), encoded_len(&frame));
    }

    #[test]
    fn a_response_is_as_long_as_its_encoding(
        name in "[a-z.]{0,200}", records in proptest::collection::vec(any::<u8>(), 0..300),
        version in 4i16..=12,
    ) {
        let partition = PartitionData::default().with_records(Some(records.into()));
        let topic = FetchableTopicResponse::default()
            .with_topic(topic(&name)).with_partitions(vec![partition]);
        let response: Response = FetchResponse::default().with_responses(vec![topic]).into();
        let frame = Down { correlation: 1, version, response };
        let mut buf = BytesMut::new();
        frame.encode(&mut buf).expect("encodes");
        prop_assert_eq!(frame.wire_len(), buf.len());
    }

    #[test]
    fn a_written_batch_is_what_the_reference_reads(
        records in proptest::collection::vec(
            (0i64..1 << 42, proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
             proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
             proptest::collection::btree_map("[a-z]{1,9}", "[a-z]{0,9}", 0..3)),
            1..30),
        codec in 0usize..5, producer in proptest::option::of((0i64..99, 0i16..9, 0i32..i32::MAX)),
    ) {
        let codec = CODECS[codec];
        let mut writer = BatchWriter::new();
        if let Some((id, epoch, sequence)) = producer {
            writer.producer(id, epoch, sequence);
        }
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            writer.push(*timestamp, key.as_deref(), value.as_deref(), headers.into_iter());
        }
        let written = writer.finish(codec).expect("finishes");
        let header = batch::check(&written).expect("is whole");
        prop_assert_eq!(header.count as usize, records.len());
        prop_assert_eq!(header.size(), written.len());
        let buf = batch::records(&header, &written).expect("decompresses");
        let read: Vec<_> = Records::new(&header, &buf).collect::<Result<_, _>>().expect("reads");
        // The reference is built without codecs, so it reads the plain batch.
        let mut plain = BatchWriter::new();
        if let Some((id, epoch, sequence)) = producer {
            plain.producer(id, epoch, sequence);
        }
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> =
                headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            plain.push(*timestamp, key.as_deref(), value.as_deref(), headers.into_iter());
        }
        let mut plain = Bytes::from(plain.finish(Codec::None).expect("finishes"));
        let reference = RecordBatchDecoder::decode(&mut plain).expect("the reference reads");
        prop_assert_eq!(reference.records.len(), read.len());
        for (view, record) in read.iter().zip(&reference.records) {
            prop_assert_eq!(view.key.clone().map(|key| &buf[key]), record.key.as_deref());
            prop_assert_eq!(view.value.clone().map(|value| &buf[value]), record.value.as_deref());
            prop_assert_eq!(header.base_timestamp + view.timestamp_delta, record.timestamp);
            prop_assert_eq!(i64::from(view.offset_delta), record.offset);
            let headers: Vec<_> = Headers::new(view, &buf).collect();
            prop_assert_eq!(headers.len(), record.headers.len());
            for ((name, value), (known, expected)) in headers.iter().zip(&record.headers) {
                prop_assert_eq!(*name, known.as_bytes());
                prop_assert_eq!(*value, expected.as_deref());
            }
        }
    }

    #[test]
    fn any_flipped_bit_is_found(at: prop::sample::Index, bit in 0..8u8, codec in 0usize..5) {
        let mut written = values(5, CODECS[codec]);
        // What the node writes itself is not covered: the base offset, the epoch.
        let at = at.index(written.len());
        prop_assume!(!(0..8).contains(&at) && !(12..16).contains(&at));
        written[at] ^= 1 << bit;
        prop_assert!(batch::check(&written).is_err());
    }

    #[test]
    fn strange_bytes_are_errors_and_no_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..400), codec in 0u8..8,
    ) {
        if bytes.len() > 61 {
            let length = (bytes.len() - 12) as i32;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            bytes[22] = codec;
        }
        batch::each_value(&bytes, &mut |_| {});
        for (header, whole) in Batches::new(&bytes).flatten() {
            if let Ok(buf) = batch::records(&header, whole) {
                for record in Records::new(&header, &buf).flatten() {
                    Headers::new(&record, &buf).count();
                }
            }
        }
    }
}

#[test]
fn every_codec_reads_what_it_writes_and_stops_at_its_limit() {
    let plain: Vec<u8> = (0..200_000_u32).map(|n| (n / 100) as u8).collect();
    for codec in CODECS {
        let mut packed = Vec::new();
        codec.compress(&plain, &mut packed).expect("compresses");
        assert_eq!(codec.decompress(&packed, plain.len()).as_deref(), Ok(&plain[..]), "{codec:?}");
        if codec != Codec::None {
            assert!(packed.len() < plain.len() / 2, "{codec:?} took {}", packed.len());
            let error = codec.decompress(&packed, plain.len() - 1).expect_err("is too long");
            assert!(error.to_string().ends_with("longer than 199999 bytes"), "{error}");
            assert!(codec.decompress(&packed[..packed.len() / 2], plain.len()).is_err());
        }
    }
}

#[test]
fn a_bare_snappy_block_is_read_as_well() {
    let packed = snap::raw::Encoder::new().compress_vec(b"bare block").expect("compresses");
    assert_eq!(Codec::Snappy.decompress(&packed, 100).as_deref(), Ok(&b"bare block"[..]));
}

#[test]
fn payloads_are_the_values_in_order() {
    for codec in CODECS {
        let mut bytes = values(3, codec);
        bytes.extend(values(1, codec));
        let partition = PartitionProduceData::default().with_records(Some(bytes.into()));
        let data = TopicProduceData::default().with_partition_data(vec![partition]);
        let frame = up(9, None, ProduceRequest::default().with_topic_data(vec![data]));
        let mut seen = Vec::new();
        frame.payloads(&mut |payload| seen.push(String::from_utf8_lossy(payload).into_owned()));
        assert_eq!(seen, ["value 0", "value 1", "value 2", "value 0"], "{codec:?}");
    }
}

#[test]
fn api_versions_is_never_answered_with_tags_in_the_header() {
    let response: Response = ApiVersionsResponse::default().into();
    let mut buf = BytesMut::new();
    let frame = Down { correlation: 1, version: 3, response };
    frame.encode(&mut buf).expect("encodes");
    assert_eq!(frame.wire_len(), buf.len());
    // Length, correlation, then at once the error code.
    assert_eq!(buf[8..10], [0, 0]);
    let frame = up(3, Some("app"), ApiVersionsRequest::default());
    assert_eq!(frame.wire_len(), encoded_len(&frame));
}

#[test]
fn a_strange_request_has_a_length_too() {
    let request = Request::Other { key: 999, body: Bytes::from_static(b"what") };
    let frame = Up { correlation: 1, version: 0, client_id: None, request };
    assert_eq!(frame.wire_len(), encoded_len(&frame));
    assert_eq!(frame.wire_len(), 4 + 2 + 2 + 4 + 2 + 4);
}

#[test]
fn frames_stay_small() {
    assert!(size_of::<Up>() <= 72, "{}", size_of::<Up>());
    assert!(size_of::<Down>() <= 32, "{}", size_of::<Down>());
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(batch::add_sequence(i32::MAX, 1), 0);
    assert_eq!(batch::add_sequence(i32::MAX - 1, 3), 1);
    assert_eq!(batch::add_sequence(5, 2), 7);
}

#[test]
fn errors_say_what_is_wrong() {
    let mut written = values(2, Codec::None);
    assert_eq!(batch::check(&written[..30]), Err(BatchError::Short { have: 30, need: 61 }));
    written[16] = 1;
    assert_eq!(batch::check(&written), Err(BatchError::Magic(1)));
    written[16] = 2;
    written[8..12].copy_from_slice(&3_i32.to_be_bytes());
    assert_eq!(batch::check(&written), Err(BatchError::Length(3)));
}

#[test]
fn what_a_version_cannot_say_is_an_error_and_no_panic() {
    let group = JoinGroupRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_group_instance_id(Some(StrBytes::from_static_str("seat")));
    let frame = up(2, None, group.clone());
    assert!(frame.checked_len().is_err());
    assert!(frame.encode(&mut BytesMut::new()).is_err());
    assert_eq!(frame.wire_len(), 14, "its header alone");
    let frame = up(5, None, group);
    assert_eq!(frame.checked_len().expect("it exists since then"), encoded_len(&frame));
}
