//! The client at the level of frames, against a server that a test plays.

mod consuming;
mod ending;
mod publishing;
mod subscribing;

use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    AckPolicy, Action, Actions, Client, ClientInput, ClientStart, Delivery, Flow, GroupSeat, Note,
    Op, Outcome, Publish, SeedStream, Settle, Start, Support, Ticket, Time, Want,
};
use serde_json::{Value, json};

use super::{JetStreamClient, JetStreamClientConfig};
use crate::client::LINK;
use crate::frame::{Down, Info, Message, ServerInfo, Up, headers};

/// A client, what it wanted done, and the test as its server.
struct Rig {
    client: JetStreamClient,
    now: Time,
    sent: Vec<Up>,
    outcomes: Vec<(u64, String)>,
    delivered: Vec<Delivery>,
    notes: Vec<Note>,
    connects: usize,
    closes: usize,
    tickets: u64,
}

impl Rig {
    /// A client that has greeted.
    fn new(config: JetStreamClientConfig) -> Rig {
        let start = ClientStart { id: 1, seed: SeedStream::new(1) };
        let mut rig = Rig {
            client: JetStreamClient::new(&Arc::new(config), start),
            now: Time::ZERO,
            sent: Vec::new(),
            outcomes: Vec::new(),
            delivered: Vec::new(),
            notes: Vec::new(),
            connects: 0,
            closes: 0,
            tickets: 0,
        };
        rig.act(|client, now, out| client.connect(now, out));
        rig.greet();
        rig.sent.clear();
        rig
    }

    fn act<R>(
        &mut self,
        act: impl FnOnce(&mut JetStreamClient, Time, &mut Actions<JetStreamClient>) -> R,
    ) -> R {
        let mut out = Actions::new();
        let result = act(&mut self.client, self.now, &mut out);
        for action in out.drain() {
            match action {
                Action::Connect { .. } => self.connects += 1,
                Action::Send { frame, .. } => self.sent.push(frame),
                Action::Close { .. } => self.closes += 1,
                Action::Outcome { ticket, outcome } => {
                    self.outcomes.push((ticket.0, words(&outcome)));
                }
                Action::Delivery(delivery) => self.delivered.push(delivery),
                Action::Note(note) => self.notes.push(note),
            }
        }
        result
    }

    fn handle(&mut self, input: ClientInput<crate::Nats>) {
        self.act(|client, now, out| client.handle(now, input, out));
    }

    fn down(&mut self, frame: Down) {
        self.handle(ClientInput::Frame { link: LINK, frame });
    }

    fn greet(&mut self) {
        self.handle(ClientInput::Connected { link: LINK });
        self.down(Down::Info(Box::new(Info {
            server: Arc::new(ServerInfo {
                max_payload: 1 << 20,
                headers: true,
                ..ServerInfo::default()
            }),
            client_id: 0,
            client_ip: None,
            ldm: false,
            connect_info: false,
        })));
        self.down(Down::Pong);
    }

    fn lose(&mut self) {
        self.handle(ClientInput::Closed { link: LINK });
    }

    /// Lets time pass, with the ticks that the client asks for.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.client.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.handle(ClientInput::Tick);
        }
        self.now = until;
    }

    fn submit(&mut self, op: &Op<'_>) -> u64 {
        self.submit_as(op).0
    }

    fn submit_as(&mut self, op: &Op<'_>) -> (u64, Support) {
        let ticket = self.tickets;
        self.tickets += 1;
        let support = self.act(|client, now, out| client.submit(now, Ticket(ticket), op, out));
        (ticket, support.expect("it is supported"))
    }

    fn publish(&mut self, channel: &str, want: Want) -> u64 {
        let publish = Publish { channel, key: None, headers: &[], payload: b"x", want };
        self.submit(&Op::Publish(publish))
    }

    fn subscribe(
        &mut self,
        filter: &str,
        group: Option<&str>,
        start: Start,
        flow: Flow<'_>,
    ) -> u64 {
        let group = group.map(|name| GroupSeat { name, seat: 0, seats: 1 });
        self.submit(&Op::Subscribe { filter, group, start, flow })
    }

    fn settle(&mut self, subscription: u64, token: u64, settle: Settle) -> u64 {
        self.submit(&Op::Settle { subscription: Ticket(subscription), token, settle })
    }

    /// The publishes that were sent since the last look, without the rest.
    fn published(&mut self) -> Vec<Message> {
        let publishes = std::mem::take(&mut self.sent).into_iter().filter_map(|up| match up {
            Up::Publish(message) => Some(message),
            _ => None,
        });
        publishes.collect()
    }

    /// The one publish that was sent since the last look.
    fn only(&mut self) -> Message {
        let mut published = self.published();
        assert_eq!(published.len(), 1, "{published:?}");
        published.remove(0)
    }

    /// Answers a request.
    fn answer(&mut self, request: &Message, headers: &[u8], body: &str) {
        let message = Message::new(request.reply(), b"", headers, body.as_bytes());
        self.down(Down::message(1, false, message));
    }

    fn answer_unheard(&mut self, request: &Message) {
        self.answer(request, &headers::no_responders(request.subject()), "");
    }

    /// Answers the request for the streams of a filter.
    fn name_streams(&mut self, names: &[&str]) {
        let request = self.only();
        assert_eq!(text(request.subject()), "$JS.API.STREAM.NAMES");
        let body = json!({ "total": names.len(), "streams": names }).to_string();
        self.answer(&request, b"", &body);
    }

    /// Answers the request for a consumer, and returns it.
    fn make_consumer(&mut self, delivered: u64) -> Made {
        let request = self.only();
        let made = Made::new(&request);
        let place = json!({ "consumer_seq": 0, "stream_seq": delivered });
        self.answer(&request, b"", &json!({ "delivered": place, "ack_floor": place }).to_string());
        made
    }

    /// A subscription in force, with what it asked the server for.
    fn subscribed(&mut self, filter: &str, group: Option<&str>, flow: Flow<'_>) -> (u64, Made) {
        let ticket = self.subscribe(filter, group, Start::All, flow);
        self.name_streams(&["S"]);
        let made = self.make_consumer(0);
        assert_eq!(self.outcomes(), [(ticket, "done".to_owned())]);
        (ticket, made)
    }

    /// A message from a consumer, which is the first subscription of the client.
    fn deliver(&mut self, made: &Made, delivered: u64, stream_seq: u64, consumer_seq: u64) {
        self.deliver_stored_at(made, delivered, stream_seq, consumer_seq, 0);
    }

    /// A message that was stored at this time, in nanoseconds since 1970.
    fn deliver_stored_at(
        &mut self,
        made: &Made,
        delivered: u64,
        stream_seq: u64,
        consumer_seq: u64,
        time: u64,
    ) {
        let numbers = format!("{delivered}.{stream_seq}.{consumer_seq}.{time}.0");
        let reply = format!("$JS.ACK.S.{}.{numbers}", made.name);
        let payload = format!("m{stream_seq}");
        let message = Message::new(b"a.b", reply.as_bytes(), b"", payload.as_bytes());
        self.down(Down::message(2, false, message));
    }

    /// A status from a consumer, to the inbox `to`.
    fn status(&mut self, to: &[u8], line: &str) {
        let block = format!("NATS/1.0 {line}\r\n\r\n");
        let message = Message::new(to, b"", block.as_bytes(), b"");
        self.down(Down::message(2, false, message));
    }

    fn outcomes(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.outcomes)
    }

    fn payloads(&mut self) -> Vec<String> {
        let delivered = std::mem::take(&mut self.delivered);
        delivered.iter().map(|delivery| text(delivery.message.payload())).collect()
    }
}

/// A consumer as the client asked for it.
struct Made {
    subject: String,
    name: String,
    config: Value,
}

impl Made {
    fn new(request: &Message) -> Made {
        let subject = text(request.subject());
        let body: Value = serde_json::from_slice(request.payload()).expect("JSON");
        let config = body["config"].clone();
        let name = config["name"].as_str().expect("a name").to_owned();
        assert!(subject.starts_with("$JS.API.CONSUMER."), "{subject}");
        Made { subject, name, config }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent => "sent".to_owned(),
        Outcome::Acked(_) => "acked".to_owned(),
        Outcome::Done => "done".to_owned(),
        Outcome::Failed(failure) => format!("failed: {failure}"),
        Outcome::Unknown(failure) => format!("unknown: {failure}"),
        other => format!("{other:?}"),
    }
}

fn ends(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(ticket, text)| (*ticket, (*text).to_owned())).collect()
}

fn pull_body(request: &Message) -> Value {
    let subject = text(request.subject());
    assert!(subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.S."), "{subject}");
    serde_json::from_slice(request.payload()).expect("JSON")
}

const EXPLICIT: Flow<'static> = Flow {
    ack: AckPolicy::Explicit,
    max_in_flight: None,
    durable: false,
    name: None,
    ack_wait: None,
    max_deliver: None,
    backoff: &[],
};
