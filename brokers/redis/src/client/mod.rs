//! A client of the bus.
//!
//! What a client library does (connections, pipelined replies, resubscription),
//! and what this bus lacks and an application expects: filters in dotted tokens,
//! groups, requests. Emulations say so in the answer to
//! [`submit`](broker_contract::Client::submit).
//!
//! - `filter.rs`: channels and patterns for filters, seats for groups;
//! - `subs.rs`: which message is for which subscription;
//! - `requests.rs` and `trailer.rs`: requests, and the address behind a payload;
//! - `link.rs`: a connection and what is expected on it;
//! - `events.rs`: what happens on a connection, and the goodbye.
//!
//! Connections are opened when something needs them. In RESP2 a subscribed
//! connection may not publish, so a client that does both has two, as client
//! libraries do: the first serves whatever came first. It never keeps a message
//! for longer than it takes to send it, unless it is told to hold some while it
//! reconnects.

mod events;
mod filter;
mod link;
mod requests;
mod subs;
#[cfg(test)]
mod tests;
mod trailer;

use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    AckPolicy, Actions, Client, ClientInput, ClientStart, Failure, Feature, Flow, GroupSeat,
    Identity, LinkId, NodeId, Op, Outcome, Publish, Start, Support, Ticket, Time, Unsupported,
    Want,
};

use crate::Redis;
use crate::frame::{Body, Kind, Proto, Up};
pub(crate) use filter::{lower, seat_of};
use link::{Expect, Held, Link, State};
use requests::{InboxState, Requests};
use subs::{Subscriptions, Todo};

pub(crate) const WILDCARD_EMULATION: &str = "glob pattern and a check in the client";
pub(crate) const GROUP_EMULATION: &str = "client-side sharding over a full copy";
pub(crate) const REQUEST_EMULATION: &str =
    "reply channel and request id carried behind the payload";
pub(crate) const AFTER_EMULATION: &str = "the client counts";

pub(crate) const NO_HEADERS: &str = "a message is a channel and a payload";
pub(crate) const NO_PUBLISH_ACK: &str = "the reply counts receivers and proves no delivery";
pub(crate) const NO_STORE: &str = "nothing is stored";
pub(crate) const NO_ACK: &str = "nothing is acknowledged, so nothing is delivered again";
pub(crate) const NO_DURABLE: &str = "the node forgets a subscriber that leaves";
pub(crate) const NO_PULL: &str = "messages are pushed when they are published";

/// What a client is configured with; one value serves many clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The version of the protocol.
    pub proto: Proto,
    /// Who it says it is, on each connection before anything else: a user and its
    /// password; `None` to say nothing.
    pub auth: Option<(String, String)>,
    /// The wait before the first attempt to reconnect; it doubles.
    pub reconnect_wait: Duration,
    /// The longest wait.
    pub reconnect_wait_max: Duration,
    /// Bytes of commands held while the connection is lost; 0 to fail at once.
    pub reconnect_buffer: u64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            proto: Proto::Resp2,
            auth: None,
            reconnect_wait: Duration::from_millis(50),
            reconnect_wait_max: Duration::from_secs(2),
            reconnect_buffer: 0,
        }
    }
}

/// What a connection is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Purpose {
    /// PUBLISH.
    Commands,
    /// The subscribe family, and messages.
    Subscriptions,
}

const FIRST: LinkId = LinkId(0);
const SECOND: LinkId = LinkId(1);

/// A client of the Redis bus.
///
/// One that only publishes stays below 200 bytes, because there may be a million
/// of them; what subscribers and requesters need is apart, in a box.
#[derive(Debug)]
pub struct RedisClient {
    config: Arc<ClientConfig>,
    start: ClientStart,
    first: Link,
    /// What the first connection is for, once that is known; anything in RESP3.
    first_purpose: Option<Purpose>,
    stopping: bool,
    more: Option<Box<More>>,
}

/// What a client needs that does not only publish.
#[derive(Debug)]
struct More {
    second: Link,
    subs: Subscriptions,
    requests: Requests,
}

impl Client for RedisClient {
    type Broker = Redis;
    type Config = Arc<ClientConfig>;

    fn new(config: &Arc<ClientConfig>, start: ClientStart) -> Self {
        RedisClient {
            config: Arc::clone(config),
            start,
            first: Link::default(),
            first_purpose: None,
            stopping: false,
            more: None,
        }
    }

    fn connect(&mut self, _now: Time, out: &mut Actions<Self>) {
        self.ask_for(FIRST, out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        let support = supported(op)?;
        if self.stopping {
            out.outcome(ticket, Outcome::Failed(Failure::GaveUp("shutting down")));
            return Ok(support);
        }
        match op {
            Op::Publish(publish) => {
                let body = trailer::plain(publish.channel.as_bytes(), publish.payload);
                self.publish(ticket, publish.payload, body, out);
            }
            Op::Reply { to, payload } => self.answer(ticket, to, payload, out),
            Op::Request { publish, timeout } => {
                self.request(now, ticket, publish, *timeout, out);
            }
            Op::Subscribe { filter, group, .. } => self.subscribe(ticket, filter, *group, out),
            Op::Unsubscribe { subscription, after } => {
                self.unsubscribe(ticket, *subscription, *after, out);
            }
            // Refused above.
            Op::Declare(_) | Op::Fetch { .. } | Op::Settle { .. } => {}
        }
        Ok(support)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Redis>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Frame { link, frame } => self.frame(now, link, frame, out),
            ClientInput::Connected { link } => self.connected(link, out),
            // Half a frame cannot be waited for: the connection is given up, and
            // the next one starts afresh.
            ClientInput::Malformed { link, .. } => {
                out.close(link);
                self.lost(now, link, out);
            }
            ClientInput::Closed { link } => self.lost(now, link, out),
            ClientInput::Tick => self.tick(now, out),
            ClientInput::Shutdown => self.shut_down(now, out),
        }
        if self.stopping {
            self.say_goodbye(out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let first = self.first.deadline();
        let Some(more) = &self.more else { return first };
        [first, more.second.deadline(), more.requests.deadline()].into_iter().flatten().min()
    }
}

/// How an operation is carried out, if it is.
fn supported(op: &Op<'_>) -> Result<Support, Unsupported> {
    let no = |feature, reason| Err(Unsupported { feature, reason });
    match op {
        Op::Publish(publish) | Op::Request { publish, .. } if !publish.headers.is_empty() => {
            no(Feature::Headers, NO_HEADERS)
        }
        Op::Publish(publish) | Op::Request { publish, .. } if publish.want == Want::Stored => {
            no(Feature::PublishAck, NO_PUBLISH_ACK)
        }
        Op::Publish(Publish { want: Want::StoredOnce(_), .. })
        | Op::Request { publish: Publish { want: Want::StoredOnce(_), .. }, .. } => {
            no(Feature::Deduplication, NO_STORE)
        }
        Op::Publish(_) => Ok(Support::Native),
        Op::Request { .. } | Op::Reply { .. } => Ok(Support::Emulated(REQUEST_EMULATION)),
        Op::Subscribe { start, flow, filter, group } => {
            let Flow { ack, durable, .. } = flow;
            if *start != Start::New {
                no(Feature::Replay, NO_STORE)
            } else if *durable {
                no(Feature::DurableConsumer, NO_DURABLE)
            } else if *ack != AckPolicy::None {
                no(Feature::Redelivery, NO_ACK)
            } else if group.is_some() {
                Ok(Support::Emulated(GROUP_EMULATION))
            } else if lower(filter).is_some_and(|lowered| lowered.kind == Kind::Pattern) {
                Ok(Support::Emulated(WILDCARD_EMULATION))
            } else {
                Ok(Support::Native)
            }
        }
        Op::Unsubscribe { after: None, .. } => Ok(Support::Native),
        Op::Unsubscribe { after: Some(_), .. } => Ok(Support::Emulated(AFTER_EMULATION)),
        Op::Declare(_) => no(Feature::Replay, NO_STORE),
        Op::Fetch { .. } => no(Feature::Pull, NO_PULL),
        Op::Settle { .. } => no(Feature::Redelivery, NO_ACK),
    }
}

impl RedisClient {
    #[inline]
    fn publish(&mut self, ticket: Ticket, payload: &[u8], body: Body, out: &mut Actions<Self>) {
        self.put(
            Held {
                ticket: Some(ticket),
                up: Up::Publish { sharded: false, body },
                expect: Expect::Published(Identity::read(payload)),
            },
            out,
        );
    }

    fn answer(&mut self, ticket: Ticket, to: &[u8], payload: &[u8], out: &mut Actions<Self>) {
        match trailer::parse(to) {
            Some((inbox, id)) => {
                let body = trailer::addressed(inbox, payload, format!("#{id}").as_bytes());
                self.publish(ticket, payload, body, out);
            }
            None => {
                let why = "the reply address is none of this bus";
                out.outcome(ticket, Outcome::Failed(Failure::Refused(why.into())));
            }
        }
    }

    fn request(
        &mut self,
        now: Time,
        ticket: Ticket,
        publish: &Publish<'_>,
        timeout: Duration,
        out: &mut Actions<Self>,
    ) {
        let requests = &mut self.more().requests;
        let id = requests.open(ticket, now + timeout);
        let mut address = requests.inbox.to_vec();
        address.extend_from_slice(format!("#{id}").as_bytes());
        let body = trailer::addressed(publish.channel.as_bytes(), publish.payload, &address);
        let up = Up::Publish { sharded: false, body };
        match requests.inbox_state {
            InboxState::Ready => self.send_request(id, up, out),
            InboxState::Pending => requests.wait(id, up),
            InboxState::Unused => {
                requests.inbox_state = InboxState::Pending;
                requests.wait(id, up);
                let inbox = requests.inbox.clone();
                self.tell_subscribe(Kind::Channel, inbox, 0, out);
            }
        }
    }

    fn send_request(&mut self, id: u64, up: Up, out: &mut Actions<Self>) {
        self.more().requests.sent(id);
        self.put(Held { ticket: None, up, expect: Expect::Requested(id) }, out);
    }

    fn subscribe(
        &mut self,
        ticket: Ticket,
        filter: &str,
        group: Option<GroupSeat<'_>>,
        out: &mut Actions<Self>,
    ) {
        let Some(lowered) = lower(filter) else {
            let why = "the filter is no path of dotted tokens";
            out.outcome(ticket, Outcome::Failed(Failure::Refused(why.into())));
            return;
        };
        if let Todo::Subscribe(epoch) = self.more().subs.add(ticket, filter, group, &lowered, out) {
            self.tell_subscribe(lowered.kind, lowered.name, epoch, out);
        }
    }

    fn unsubscribe(
        &mut self,
        ticket: Ticket,
        subscription: Ticket,
        after: Option<u64>,
        out: &mut Actions<Self>,
    ) {
        let subs = &mut self.more().subs;
        let now = match after {
            None => Some(true),
            Some(after) => subs.limit(subscription, after),
        };
        match now {
            None => out.outcome(ticket, Outcome::Failed(Failure::NoSubscription)),
            // The limit is in force: this client keeps it.
            Some(false) => out.outcome(ticket, Outcome::Done),
            Some(true) => self.end(Some(ticket), subscription, out),
        }
    }

    /// Ends a subscription, on behalf of the operation `ticket` if there is one.
    fn end(&mut self, ticket: Option<Ticket>, subscription: Ticket, out: &mut Actions<Self>) {
        let todo = self.more().subs.remove(subscription, out);
        let on = self.link_for(Purpose::Subscriptions);
        let outcome = match todo {
            None => Outcome::Failed(Failure::NoSubscription),
            Some(Todo::Unsubscribe(kind, name)) if self.link(on).state == State::Ready => {
                self.link(on).expect(Expect::Unsubscribed { ticket });
                out.send(on, Up::unsubscribe(kind, name));
                return;
            }
            // Others still share the topic, or the node has forgotten it already.
            Some(_) => Outcome::Done,
        };
        if let Some(ticket) = ticket {
            out.outcome(ticket, outcome);
        }
    }

    /// Subscribes to a topic now if the connection is there; when it comes, it
    /// subscribes to all of them.
    fn tell_subscribe(
        &mut self,
        kind: Kind,
        name: crate::Text,
        epoch: u32,
        out: &mut Actions<Self>,
    ) {
        let on = self.link_for(Purpose::Subscriptions);
        if self.link(on).state == State::Ready {
            self.link(on).expect(Expect::Subscribed { kind, name: name.clone(), epoch });
            out.send(on, Up::subscribe(kind, name));
        } else {
            self.ask_for(on, out);
        }
    }

    /// Sends a command, or holds it, or gives up on it.
    #[inline]
    fn put(&mut self, held: Held, out: &mut Actions<Self>) {
        let on = self.link_for(Purpose::Commands);
        let link = self.link(on);
        if link.state == State::Ready {
            link.expect(held.expect);
            out.send(on, held.up);
            if let Some(ticket) = held.ticket {
                out.outcome(ticket, Outcome::Sent);
            }
            return;
        }
        self.ask_for(on, out);
        let config = Arc::clone(&self.config);
        if let Err(held) = self.link(on).hold(held, &config) {
            self.give_up(held, "not connected", out);
        }
    }

    /// A command was not sent and will not be.
    fn give_up(&mut self, held: Held, why: &'static str, out: &mut Actions<Self>) {
        let ticket = match held.expect {
            Expect::Requested(id) => self.more().requests.close(id),
            _ => held.ticket,
        };
        if let Some(ticket) = ticket {
            out.outcome(ticket, Outcome::Failed(Failure::GaveUp(why)));
        }
    }

    /// Asks for a connection that was never asked for.
    fn ask_for(&mut self, on: LinkId, out: &mut Actions<Self>) {
        if self.link(on).state == State::Idle {
            self.link(on).state = State::Connecting;
            out.connect(on, NodeId(0));
        }
    }

    /// The connection for a purpose; the first one takes the purpose that is
    /// asked for first.
    #[inline]
    fn link_for(&mut self, purpose: Purpose) -> LinkId {
        if self.config.proto == Proto::Resp3 {
            return FIRST;
        }
        match self.first_purpose {
            None => {
                self.first_purpose = Some(purpose);
                FIRST
            }
            Some(taken) if taken == purpose => FIRST,
            Some(_) => SECOND,
        }
    }

    /// Whether a connection serves a purpose.
    fn serves(&self, on: LinkId, purpose: Purpose) -> bool {
        self.config.proto == Proto::Resp3 || (on == FIRST) == (self.first_purpose == Some(purpose))
    }

    #[inline]
    fn link(&mut self, on: LinkId) -> &mut Link {
        if on == FIRST { &mut self.first } else { &mut self.more().second }
    }

    fn more(&mut self) -> &mut More {
        let start = self.start;
        self.more.get_or_insert_with(|| {
            Box::new(More {
                second: Link::default(),
                subs: Subscriptions::default(),
                requests: Requests::new(start),
            })
        })
    }
}
