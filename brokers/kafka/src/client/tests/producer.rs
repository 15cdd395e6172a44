//! Lingering, batching, acknowledgement, retries.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{
    Cause, Client, ClientInput, Failure, Feature, Identity, LinkId, Note, Op, Outcome, Publish,
    Ticket, Time, Want,
};
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use proptest::prelude::*;

use super::{Rig, topic};
use crate::client::{Acks, ClientConfig};
use crate::frame::batch::{self, BatchHeader};
use crate::frame::{Request, Response};

fn produced(code: i16) -> Response {
    let partition = PartitionProduceResponse::default().with_index(0).with_error_code(code);
    let topic = TopicProduceResponse::default()
        .with_name(topic("t"))
        .with_partition_responses(vec![partition]);
    ProduceResponse::default().with_responses(vec![topic]).into()
}

fn ready(config: ClientConfig) -> Rig {
    let is_answered = config.acks != Acks::None;
    let mut rig = Rig::new(config);
    rig.publish("t.0", b"first");
    rig.serve();
    rig.advance_to(Time::from_millis(10));
    if let Some(place) = produce(&rig).filter(|_| is_answered) {
        rig.answer(place, produced(0));
    }
    rig.asked.clear();
    rig
}

fn produce(rig: &Rig) -> Option<usize> {
    rig.find(|request| matches!(request, Request::Produce(_)))
}

/// The batches of all produce requests that nobody answered.
fn batches(rig: &Rig) -> Vec<BatchHeader> {
    let mut headers = Vec::new();
    for (_, up) in &rig.asked {
        let Request::Produce(request) = &up.request else { continue };
        for data in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
            let bytes = data.records.as_ref().expect("a batch");
            headers.push(batch::check(bytes).expect("a whole batch"));
        }
    }
    headers
}

fn no_linger() -> ClientConfig {
    ClientConfig { linger: Duration::ZERO, ..ClientConfig::default() }
}

#[test]
fn a_record_lingers_and_no_longer() {
    let mut rig = ready(ClientConfig::default());
    let ticket = rig.publish("t.1", b"payload");
    assert!(produce(&rig).is_none());
    rig.advance_to(Time::from_millis(14));
    assert!(produce(&rig).is_none());
    rig.publish("t.2", b"another");
    rig.advance_to(Time::from_millis(15));
    assert_eq!(batches(&rig)[0].count, 2);
    assert!(rig.outcome(ticket).is_none());
    rig.answer(produce(&rig).expect("sent"), produced(0));
    let proof = ClientConfig::default().proof;
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Acked(seen)) if *seen == proof));
}

#[test]
fn a_full_batch_and_a_record_without_linger_go_at_once() {
    let mut rig = ready(ClientConfig { batch_size: 2_000, ..ClientConfig::default() });
    for _ in 0..20 {
        rig.publish("t.1", &[7; 100]);
    }
    assert_eq!(batches(&rig).len(), 1);
    let mut rig = ready(no_linger());
    rig.publish("t.1", b"payload");
    assert_eq!(batches(&rig).len(), 1);
}

#[test]
fn no_more_requests_are_under_way_than_allowed() {
    let mut rig = ready(no_linger());
    for _ in 0..20 {
        rig.publish("t.1", b"payload");
    }
    assert_eq!(batches(&rig).len(), 5);
    rig.answer(0, produced(0));
    let counts: Vec<_> = batches(&rig).iter().map(|header| header.count).collect();
    assert_eq!(counts, [1, 1, 1, 1, 15], "what waited shares a batch");
}

#[test]
fn what_a_lost_connection_took_is_sent_again_as_it_was() {
    let mut rig = ready(no_linger());
    let tickets: Vec<_> = (0..3).map(|_| rig.publish("t.1", b"payload")).collect();
    let before = batches(&rig);
    rig.cut(LinkId(0));
    rig.advance_to(Time::from_millis(500));
    rig.serve();
    assert_eq!(batches(&rig), before);
    while let Some(place) = produce(&rig) {
        rig.answer(place, produced(0));
    }
    assert!(tickets.iter().all(|t| matches!(rig.outcome(*t), Some(Outcome::Acked(_)))));
}

#[test]
fn without_acknowledgement_a_publish_ends_when_it_is_sent() {
    let mut rig = ready(ClientConfig { acks: Acks::None, ..ClientConfig::default() });
    let ticket = rig.publish("t.1", b"payload");
    assert!(rig.outcome(ticket).is_none());
    rig.advance_to(Time::from_millis(20));
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Sent)));
    assert!(batches(&rig)[0].producer_id < 0, "idempotence takes the acknowledgement of all");
    let want = Want::Stored;
    let publish = Publish { channel: "t", key: None, headers: &[], payload: b"p", want };
    let refused = rig.submit(&Op::Publish(publish)).1.expect_err("it is refused");
    assert_eq!(refused.feature, Feature::PublishAck);
}

#[test]
fn what_is_not_delivered_in_time_is_given_up() {
    let mut rig = Rig::new(no_linger());
    let unknown = rig.publish("t.1", b"payload");
    rig.serve();
    assert_eq!(batches(&rig).len(), 1);
    rig.cut(LinkId(0));
    let never_sent = rig.publish("t.1", b"payload");
    rig.connecting.clear();
    rig.advance_to(Time::from_millis(121_000));
    assert!(matches!(rig.outcome(unknown), Some(Outcome::Unknown(Failure::GaveUp(_)))));
    assert!(matches!(rig.outcome(never_sent), Some(Outcome::Failed(Failure::GaveUp(_)))));
}

#[test]
fn a_full_memory_and_a_refused_topic_fail_a_publish() {
    let mut rig = Rig::new(ClientConfig { buffer_memory: 1_000, ..ClientConfig::default() });
    let fits = rig.publish("t.1", &[0; 500]);
    let full = rig.publish("t.1", &[0; 500]);
    let large = rig.publish("t.1", &vec![0; 2 << 20]);
    assert!(rig.outcome(fits).is_none());
    assert!(matches!(rig.outcome(full), Some(Outcome::Failed(Failure::GaveUp(_)))));
    assert!(matches!(rig.outcome(large), Some(Outcome::Failed(Failure::Refused(_)))));
}

#[test]
fn a_duplicate_is_a_success_and_a_refusal_a_failure() {
    let mut rig = ready(no_linger());
    let duplicate = rig.publish("t.1", b"payload");
    rig.answer(0, produced(46));
    assert!(matches!(rig.outcome(duplicate), Some(Outcome::Acked(_))));
    let refused = rig.publish("t.1", b"payload");
    rig.answer(0, produced(10));
    let Some(Outcome::Failed(Failure::Refused(text))) = rig.outcome(refused) else {
        panic!("{:?}", rig.outcome(refused));
    };
    assert!(text.contains("MessageTooLarge"), "{text}");
}

#[test]
fn a_log_that_lost_its_end_makes_the_numbering_start_again() {
    let mut rig = ready(no_linger());
    let ticket = rig.publish("t.1", b"payload");
    assert_eq!((batches(&rig)[0].base_sequence, batches(&rig)[0].producer_epoch), (1, 0));
    rig.answer(0, produced(45));
    rig.advance_to(Time::from_millis(200));
    assert_eq!((batches(&rig)[0].base_sequence, batches(&rig)[0].producer_epoch), (0, 1));
    rig.answer(0, produced(0));
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Acked(_))));
}

#[test]
fn what_failed_after_its_end_is_noted() {
    let mut rig = ready(no_linger());
    let mut payload = vec![0; 64];
    let identity =
        Identity { producer: 1, sequence: 2, number: 3, key: 4, intended_ns: 5, lag_ns: 6 };
    identity.stamp(&mut payload);
    let want = Want::Nothing;
    let publish = Publish { channel: "t", key: None, headers: &[], payload: &payload, want };
    let (ticket, _) = rig.submit(&Op::Publish(publish));
    assert!(matches!(rig.outcome(ticket), Some(Outcome::Sent)));
    rig.answer(0, produced(10));
    let message = Some(Box::new(identity));
    let expected = Note::Dropped { cause: Cause::Refused, conn: None, message };
    assert_eq!(rig.notes, [expected]);
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    Answer(i16),
    Cut,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let code = prop_oneof![
        6 => Just(0_i16), 1 => Just(3), 1 => Just(10), 1 => Just(45), 1 => Just(46), 1 => Just(56),
    ];
    let step = prop_oneof![
        6 => (1..400usize).prop_map(Step::Publish),
        4 => code.prop_map(Step::Answer),
        1 => Just(Step::Cut),
        2 => (1..200u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_publish_ends_once_whatever_happens(
        steps in steps(), acks in prop_oneof![
            Just(Acks::None), Just(Acks::Leader), Just(Acks::All),
        ],
        linger_ms in 0..10u64, compression in 0..5i16, batch_size in 100..2_000usize,
    ) {
        let config = ClientConfig {
            acks, batch_size,
            linger: Duration::from_millis(linger_ms),
            compression: crate::frame::Codec::from_bits(compression).expect("a codec"),
            buffer_memory: 5_000,
            ..ClientConfig::default()
        };
        let mut rig = Rig::new(config);
        let mut tickets: Vec<Ticket> = Vec::new();
        for step in steps {
            match step {
                Step::Publish(len) => tickets.push(rig.publish("t.a", &vec![1; len])),
                Step::Answer(code) => if let Some(place) = produce(&rig) {
                    if acks == Acks::None {
                        rig.asked.remove(place);
                    } else {
                        rig.answer(place, produced(code));
                    }
                },
                Step::Cut => {
                    if rig.connecting.is_empty() {
                        rig.cut(LinkId(0));
                    }
                }
                Step::Wait(ms) => {
                    rig.serve();
                    rig.advance_to(rig.now + Duration::from_millis(ms));
                }
            }
        }
        rig.feed(ClientInput::Shutdown);
        for _ in 0..2_000 {
            rig.serve();
            match produce(&rig) {
                Some(place) if acks == Acks::None => {
                    rig.asked.remove(place);
                }
                Some(place) => rig.answer(place, produced(0)),
                None if rig.outcomes.len() == tickets.len() => break,
                None => rig.advance_to(rig.now + Duration::from_millis(100)),
            }
        }
        let ended: BTreeMap<_, _> = rig.outcomes.iter().map(|(t, o)| (*t, o.len())).collect();
        let expected: BTreeMap<_, _> = tickets.iter().map(|ticket| (*ticket, 1)).collect();
        prop_assert_eq!(ended, expected);
        prop_assert_eq!(rig.client.deadline(), None);
    }
}
