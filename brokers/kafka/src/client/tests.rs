//! The client against a scripted broker.

mod consumer;
mod producer;

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_contract::{
    Action, Actions, Client, ClientInput, ClientStart, Delivery, Flow, LinkId, Note, Op, Outcome,
    Publish, SeedStream, Start, Support, Ticket, Time, Unsupported, Want,
};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiVersionsResponse, InitProducerIdResponse, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{ClientConfig, KafkaClient};
use crate::frame::{Down, Request, Response, Up};

/// A client, its clock, and what it has done so far.
struct Rig {
    client: KafkaClient,
    now: Time,
    out: Actions<KafkaClient>,
    outcomes: BTreeMap<Ticket, Vec<Outcome>>,
    deliveries: Vec<Delivery>,
    notes: Vec<Note>,
    /// Requests that nobody has answered yet, with their connections.
    asked: Vec<(LinkId, Up)>,
    /// Connections that are asked for.
    connecting: Vec<LinkId>,
    closed: Vec<LinkId>,
    tickets: u64,
    /// Topics, partitions and their leader epoch.
    topics: Vec<(&'static str, i32, i32)>,
}

fn topic(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

impl Rig {
    fn new(config: ClientConfig) -> Rig {
        let start = ClientStart { id: 1, seed: SeedStream::new(1) };
        Rig {
            client: KafkaClient::new(&Arc::new(config), start),
            now: Time::ZERO,
            out: Actions::new(),
            outcomes: BTreeMap::new(),
            deliveries: Vec::new(),
            notes: Vec::new(),
            asked: Vec::new(),
            connecting: Vec::new(),
            closed: Vec::new(),
            tickets: 0,
            topics: vec![("t", 1, 0)],
        }
    }

    fn submit(&mut self, op: &Op<'_>) -> (Ticket, Result<Support, Unsupported>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let support = self.client.submit(self.now, ticket, op, &mut self.out);
        self.gather();
        (ticket, support)
    }

    fn publish(&mut self, channel: &str, payload: &[u8]) -> Ticket {
        let publish = Publish { channel, key: None, headers: &[], payload, want: Want::Usual };
        self.submit(&Op::Publish(publish)).0
    }

    fn subscribe(&mut self, filter: &str, start: Start, flow: Flow<'_>) -> Ticket {
        self.submit(&Op::Subscribe { filter, group: None, start, flow }).0
    }

    fn feed(&mut self, event: ClientInput<crate::Kafka>) {
        self.client.handle(self.now, event, &mut self.out);
        self.gather();
    }

    fn gather(&mut self) {
        for action in self.out.drain() {
            match action {
                Action::Connect { link, .. } => self.connecting.push(link),
                Action::Send { link, frame } => self.asked.push((link, frame)),
                Action::Close { link } => {
                    self.asked.retain(|(on, _)| *on != link);
                    self.closed.push(link);
                }
                Action::Outcome { ticket, outcome } => {
                    self.outcomes.entry(ticket).or_default().push(outcome);
                }
                Action::Delivery(delivery) => self.deliveries.push(delivery),
                Action::Note(note) => self.notes.push(note),
            }
        }
    }

    /// Lets time go by, ticking when the client wants it.
    fn advance_to(&mut self, until: Time) {
        for _ in 0..10_000 {
            match self.client.deadline().filter(|at| *at <= until) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.feed(ClientInput::Tick);
                }
                None => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("a deadline is never met by its tick: {:?}", self.client.deadline());
    }

    /// Makes the connections that are asked for, and answers what every client
    /// asks first, until nothing of that kind is left.
    fn serve(&mut self) {
        loop {
            if let Some(link) = self.connecting.pop() {
                self.feed(ClientInput::Connected { link });
                continue;
            }
            let plain = self.asked.iter().position(|(_, up)| {
                matches!(
                    up.request,
                    Request::ApiVersions(_) | Request::Metadata(_) | Request::InitProducerId(_)
                )
            });
            let Some(place) = plain else { return };
            let response = match &self.asked[place].1.request {
                Request::ApiVersions(_) => versions(0..=13).into(),
                Request::Metadata(_) => self.metadata().into(),
                _ => InitProducerIdResponse::default()
                    .with_producer_id(7.into())
                    .with_producer_epoch(0)
                    .into(),
            };
            self.answer(place, response);
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let topics = self.topics.iter().map(|(name, partitions, epoch)| {
            let partitions = (0..*partitions).map(|index| {
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_epoch(*epoch)
            });
            MetadataResponseTopic::default()
                .with_name(Some(topic(name)))
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default().with_topics(topics.collect())
    }

    /// Answers the request at this place.
    fn answer(&mut self, place: usize, response: Response) {
        let (link, up) = self.asked.remove(place);
        let frame = Down { correlation: up.correlation, version: up.version, response };
        self.feed(ClientInput::Frame { link, frame });
    }

    /// The place of the first request of this kind.
    fn find(&self, wanted: impl Fn(&Request) -> bool) -> Option<usize> {
        self.asked.iter().position(|(_, up)| wanted(&up.request))
    }

    /// Breaks a connection.
    fn cut(&mut self, link: LinkId) {
        self.asked.retain(|(on, _)| *on != link);
        self.feed(ClientInput::Closed { link });
    }

    fn outcome(&self, ticket: Ticket) -> Option<&Outcome> {
        let outcomes = self.outcomes.get(&ticket)?;
        assert_eq!(outcomes.len(), 1, "{ticket:?} ended more than once");
        outcomes.first()
    }
}

fn versions(range: std::ops::RangeInclusive<i16>) -> ApiVersionsResponse {
    let keys = (0..=60).map(|key| {
        ApiVersion::default()
            .with_api_key(key)
            .with_min_version(*range.start())
            .with_max_version(*range.end())
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

#[test]
fn a_broker_that_speaks_other_versions_is_left_alone_for_a_while() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.client.connect(rig.now, &mut rig.out);
    rig.gather();
    let link = rig.connecting.pop().expect("it connects");
    rig.feed(ClientInput::Connected { link });
    rig.answer(0, versions(0..=2).into());
    assert_eq!(rig.closed, [link]);
    assert!(rig.connecting.is_empty());
    rig.advance_to(Time::from_millis(100));
    assert_eq!(rig.connecting, [link]);
}

#[test]
fn an_answer_to_nothing_ends_the_connection() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.client.connect(rig.now, &mut rig.out);
    rig.gather();
    rig.serve();
    let frame = Down { correlation: 99, version: 9, response: rig.metadata().into() };
    rig.feed(ClientInput::Frame { link: LinkId(0), frame });
    assert_eq!(rig.closed, [LinkId(0)]);
}

#[test]
fn a_small_client_stays_small() {
    assert!(size_of::<KafkaClient>() <= 400, "{}", size_of::<KafkaClient>());
}
