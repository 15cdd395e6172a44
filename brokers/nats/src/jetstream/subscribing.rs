//! From a filter to the consumers that serve it.
//!
//! A subscription asks the server which streams take what its filter takes, and
//! makes a consumer on each. It is in force once all of them are there. Where no
//! stream is found for a while, what asks for no more than core NATS has becomes
//! a subscription of core NATS, and the rest is refused: one server is both.
//!
//! Streams that are made later do not join a subscription that is in force.

use std::time::Duration;

use broker_contract::{
    AckPolicy, Actions, Client, Declaration, Failure, Flow, GroupSeat, Outcome, Start, Ticket, Time,
};

use super::JetStreamClient;
use super::api::{
    self, Answer, ConsumerConfig, ConsumerRequest, NamesRequest, StreamConfig, nanos, rfc3339,
    unix_nanos,
};
use super::calls::Purpose;
use super::names;
use super::state::{Consumer, Leaving, Pulls, Stage, Sub, Timer};
use crate::Nats;
use crate::client::{CLOSED, State, refused};
use crate::subject;

const NO_NAME: &str = "a durable consumer has a group or a name";
const NO_STREAM: &str = "no stream takes what the filter takes";
const TOO_MANY: u32 = 1_000_000;

/// What an application subscribes to: the parts of
/// [`Op::Subscribe`](broker_contract::Op::Subscribe).
#[derive(Copy, Clone, Debug)]
pub(super) struct Wish<'a> {
    pub filter: &'a str,
    pub group: Option<GroupSeat<'a>>,
    pub start: Start,
    pub flow: Flow<'a>,
}

/// A limit as the API has it: -1 for none.
fn limit(value: u64) -> i64 {
    if value == 0 { -1 } else { i64::try_from(value).unwrap_or(i64::MAX) }
}

impl JetStreamClient {
    /// Makes a stream. One that is there with the same configuration is as good.
    pub(super) fn declare(
        &mut self,
        now: Time,
        ticket: Ticket,
        declaration: &Declaration<'_>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if self.core.state() == State::Over || self.js.leaving != Leaving::No {
            return out.outcome(ticket, Outcome::Failed(CLOSED));
        }
        let name = names::stream(declaration.name);
        if name.is_empty() {
            return out.outcome(ticket, Outcome::Failed(refused("a stream has a name")));
        }
        let settings = &self.config.stream;
        let mut window = settings.duplicate_window;
        if !settings.max_age.is_zero() {
            // The server's own rule for its default.
            window = window.min(settings.max_age);
        }
        let body = api::body(&StreamConfig {
            name: &name,
            subjects: declaration.filters,
            retention: &settings.retention,
            max_consumers: limit(settings.max_consumers),
            max_msgs: limit(settings.max_msgs),
            max_bytes: limit(settings.max_bytes),
            max_age: nanos(settings.max_age),
            max_msgs_per_subject: limit(settings.max_msgs_per_subject),
            max_msg_size: limit(settings.max_msg_size),
            discard: &settings.discard,
            storage: &settings.storage,
            num_replicas: 1,
            duplicate_window: nanos(window),
        });
        let subject = format!("$JS.API.STREAM.CREATE.{name}");
        self.call(now, Purpose::Declare(ticket), &subject, &body, out);
    }

    pub(super) fn subscribe(
        &mut self,
        now: Time,
        ticket: Ticket,
        wish: &Wish<'_>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Wish { filter, group, start, flow } = *wish;
        let who = group.map(|group| group.name).or(flow.name.filter(|_| flow.durable));
        let printable = who.is_none_or(|who| subject::is_printable(who.as_bytes()));
        let failure = if !subject::is_valid_filter(filter.as_bytes()) || !printable {
            Some(refused("Invalid Subject"))
        } else if flow.durable && who.is_none() {
            Some(refused(NO_NAME))
        } else if self.core.state() == State::Over || self.js.leaving != Leaving::No {
            Some(CLOSED)
        } else {
            None
        };
        if let Some(failure) = failure {
            return out.outcome(ticket, Outcome::Failed(failure));
        }
        let sub = Sub {
            ticket,
            filter: filter.into(),
            group: group.map(|group| group.name.into()),
            durable: who.map(|who| names::durable(who, filter).into()),
            kept: flow.durable,
            start,
            ack: flow.ack,
            max_in_flight: flow.max_in_flight.map(|max| max.min(TOO_MANY)),
            ack_wait: flow.ack_wait,
            max_deliver: flow.max_deliver,
            backoff: flow.backoff.into(),
            until: now + self.config.stream_wait,
            consumers: Vec::new(),
            confirmed: false,
            delivered: 0,
            max: None,
            ending: None,
        };
        self.js.subs.insert(ticket, sub);
        self.look(now, ticket, out);
    }

    /// Finds the streams of a subscription.
    pub(super) fn look(
        &mut self,
        now: Time,
        ticket: Ticket,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(sub) = self.js.subs.get(&ticket) else { return };
        if let Some(streams) = self.js.streams.get(&sub.filter) {
            let streams = streams.clone();
            return self.found(now, ticket, &streams, out);
        }
        let body = api::body(&NamesRequest { subject: &sub.filter, offset: 0 });
        let purpose = Purpose::Names { sub: ticket, known: Vec::new() };
        self.call(now, purpose, "$JS.API.STREAM.NAMES", &body, out);
    }

    /// The server named streams.
    pub(super) fn named(
        &mut self,
        now: Time,
        ticket: Ticket,
        mut known: Vec<Box<str>>,
        answer: Answer,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(sub) = self.js.subs.get(&ticket) else { return };
        if let Some(error) = answer.error {
            if error.is_passing() {
                self.js.timers.insert((now + self.config.retry_wait, Timer::Look(ticket)));
                return;
            }
            return self.fail_sub(now, ticket, refused(&error.text()), out);
        }
        let page = answer.streams.unwrap_or_default();
        let is_last = page.is_empty() || (known.len() + page.len()) as u64 >= answer.total;
        known.extend(page);
        if !is_last {
            // Names come in pages.
            let request = NamesRequest { subject: &sub.filter, offset: known.len() as u64 };
            let body = api::body(&request);
            let purpose = Purpose::Names { sub: ticket, known };
            return self.call(now, purpose, "$JS.API.STREAM.NAMES", &body, out);
        }
        if !known.is_empty() {
            self.js.streams.insert(sub.filter.clone(), known.clone());
            return self.found(now, ticket, &known, out);
        }
        if now < sub.until {
            let again = (now + self.config.retry_wait).min(sub.until);
            self.js.timers.insert((again, Timer::Look(ticket)));
        } else if sub.is_plain() {
            let Some(sub) = self.js.subs.remove(&ticket) else { return };
            self.core.subscribe(ticket, &sub.filter, sub.group.as_deref(), out);
            if let Some(max) = sub.max {
                self.core.limit(ticket, max, out);
            }
        } else {
            self.fail_sub(now, ticket, refused(NO_STREAM), out);
        }
    }

    /// Makes a consumer on each stream.
    fn found(
        &mut self,
        now: Time,
        ticket: Ticket,
        streams: &[Box<str>],
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(sub) = self.js.subs.get_mut(&ticket) else { return };
        let ordered = sub.is_ordered();
        let durable = sub.durable.clone();
        let sids: Vec<u64> = streams.iter().map(|_| self.core.next_sid()).collect();
        sub.consumers.clone_from(&sids);
        for (stream, sid) in streams.iter().zip(sids) {
            let consumer = Consumer {
                sub: ticket,
                stream: stream.clone(),
                name: durable.as_deref().map_or_else(|| self.own_name(sid, 1), str::to_owned),
                ordered,
                generation: 1,
                stage: Stage::Absent,
                made: false,
                position: None,
                stamp: None,
                doubtful: false,
                since: None,
                had: None,
                consumer_seq: 0,
                pulls: Pulls::default(),
                unsettled: 0,
                heard: now,
                watched: false,
            };
            self.js.consumers.insert(sid, consumer);
            self.listen(sid, out);
            self.make(now, sid, out);
        }
    }

    /// Subscribes to the inbox of a consumer. A server takes a push consumer for
    /// unheard unless somebody subscribes to exactly its deliver subject.
    pub(super) fn listen(&mut self, sid: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(consumer) = self.js.consumers.get(&sid) else { return };
        let (ordered, generation) = (consumer.ordered, consumer.generation);
        let inbox = self.core.inbox();
        let filter = if ordered {
            format!("{inbox}d.{sid}.{generation}")
        } else {
            format!("{inbox}d.{sid}.*")
        };
        self.core.listen(&filter, sid, out);
    }

    /// A name that no other consumer has.
    pub(super) fn own_name(&mut self, sid: u64, generation: u32) -> String {
        let inbox = self.core.inbox();
        let id = inbox.trim_start_matches("_INBOX.").trim_end_matches('.');
        format!("{id}-{sid}-{generation}")
    }

    /// CONSUMER.CREATE, or CONSUMER.DURABLE.CREATE.
    pub(super) fn create(
        &mut self,
        now: Time,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let inbox = self.core.inbox().to_owned();
        let Some(consumer) = self.js.consumers.get(&sid) else { return };
        let Some(sub) = self.js.subs.get(&consumer.sub) else { return };
        let settings = &self.config.consumer;
        let deliver = format!("{inbox}d.{sid}.{}", consumer.generation);
        let is_durable = sub.durable.is_some();
        // What is not settled comes again from a consumer that is made anew.
        let unsettled = || self.js.held.of(sid);
        let floor = unsettled().map(|open| open.stream_seq.saturating_sub(1)).min();
        let after = consumer.position.map(|position| floor.map_or(position, |f| f.min(position)));
        // A durable consumer of a group is the same for each member, whatever this
        // one has seen.
        let after = after.filter(|_| !is_durable || sub.start == Start::New);
        let after = after.filter(|_| !is_durable || consumer.made);
        let since = consumer.since.map(|since| {
            let stored = unsettled().filter_map(|open| names::place(open.message.reply()));
            stored.map(|place| place.stored_at).min().map_or(since, |oldest| oldest.min(since))
        });
        let mut config = ConsumerConfig {
            durable_name: is_durable.then_some(consumer.name.as_str()),
            name: &consumer.name,
            ack_policy: match sub.ack {
                AckPolicy::None => "none",
                // The server's `all` would settle with one acknowledgement what a
                // member that died, or a former self of this client, still held:
                // here it reaches as far as the deliveries that this client has.
                AckPolicy::Explicit | AckPolicy::All => "explicit",
            },
            filter_subject: &sub.filter,
            replay_policy: "instant",
            ..ConsumerConfig::default()
        };
        match (after, sub.start) {
            _ if since.is_some() => {
                config.deliver_policy = "by_start_time";
                config.opt_start_time = since.map(rfc3339);
            }
            (Some(after), _) => {
                config.deliver_policy = "by_start_sequence";
                config.opt_start_seq = Some(after.saturating_add(1));
            }
            (None, Start::New) => config.deliver_policy = "new",
            (None, Start::All) => config.deliver_policy = "all",
            (None, Start::Last) => config.deliver_policy = "last",
            (None, Start::Sequence(sequence)) => {
                config.deliver_policy = "by_start_sequence";
                config.opt_start_seq = Some(sequence.max(1));
            }
            (None, Start::Time(time)) => {
                config.deliver_policy = "by_start_time";
                config.opt_start_time =
                    Some(rfc3339(self.config.epoch_unix_ns.saturating_add(time.as_nanos())));
            }
        }
        if consumer.ordered {
            config.max_deliver = Some(1);
            config.deliver_subject = Some(&deliver);
            config.flow_control = true;
            config.idle_heartbeat = Some(nanos(settings.idle_heartbeat));
            config.mem_storage = true;
            config.num_replicas = Some(1);
        } else {
            config.max_waiting = Some(settings.max_waiting);
        }
        if !is_durable {
            config.inactive_threshold = Some(nanos(settings.inactive_threshold));
        }
        if sub.ack != AckPolicy::None {
            let max = sub.max_deliver.map_or(settings.max_deliver, u64::from);
            let waits: Vec<u64> = sub.backoff.iter().map(|wait| nanos(*wait)).collect();
            // The server refuses waits that no delivery would come to.
            let used = if max == 0 { waits.len() } else { waits.len().min(max as usize) };
            config.backoff = waits[..used].to_vec();
            config.max_deliver = Some(limit(max));
            config.ack_wait = Some(nanos(sub.ack_wait.unwrap_or(settings.ack_wait)));
            config.max_ack_pending = Some(settings.max_ack_pending);
        }
        let verb = if is_durable { "DURABLE.CREATE" } else { "CREATE" };
        let subject = format!("$JS.API.CONSUMER.{verb}.{}.{}", consumer.stream, consumer.name);
        let body = api::body(&ConsumerRequest { stream_name: &consumer.stream, config });
        if since.is_some()
            && let Some(consumer) = self.js.consumers.get_mut(&sid)
        {
            consumer.had = consumer.position.zip(consumer.stamp);
        }
        self.call(now, Purpose::Create(sid), &subject, &body, out);
    }

    /// A consumer is there, or is refused.
    pub(super) fn created(
        &mut self,
        now: Time,
        sid: u64,
        answer: Answer,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        let ticket = consumer.sub;
        let Some(sub) = self.js.subs.get_mut(&ticket) else { return };
        if let Some(error) = &answer.error {
            // Another member has made the durable again before, from a place of
            // its own.
            let is_there = sub.durable.is_some()
                && error.is_conflict()
                && (sub.confirmed || error.is_of_start());
            if !is_there {
                consumer.stage = Stage::Absent;
                if sub.confirmed || error.is_passing() || error.is_stream_missing() {
                    self.js.streams.clear();
                    return self.retry(now, sid);
                }
                return self.fail_sub(now, ticket, refused(&error.text()), out);
            }
        }
        consumer.stage = Stage::Running;
        consumer.made = true;
        consumer.heard = now;
        consumer.doubtful = false;
        if consumer.since.take().is_some() {
            consumer.position = None;
        }
        if consumer.position.is_none() && answer.error.is_none() {
            // Others may not have acknowledged what a shared one has delivered.
            let floor = Some(answer.ack_floor.stream_seq).filter(|floor| *floor > 0);
            let delivered = answer.delivered.stream_seq;
            let is_durable = sub.durable.is_some();
            consumer.position = Some(floor.filter(|_| is_durable).unwrap_or(delivered));
            if sub.start == Start::New && !is_durable && consumer.stamp.is_none() {
                consumer.stamp = answer.created.as_deref().and_then(unix_nanos);
            }
        }
        if !std::mem::replace(&mut consumer.watched, true) {
            let watch = now + self.heartbeat(sid) * 2;
            self.js.timers.insert((watch, Timer::Watch(sid)));
        }
        self.top_up(sid, out);
        let Some(sub) = self.js.subs.get_mut(&ticket) else { return };
        let made = |sid| self.js.consumers.get(sid).is_some_and(|consumer| consumer.made);
        if !sub.confirmed && sub.consumers.iter().all(made) {
            sub.confirmed = true;
            out.outcome(ticket, Outcome::Done);
        }
    }

    /// How often a consumer is heard of at least.
    pub(super) fn heartbeat(&self, sid: u64) -> Duration {
        let settings = &self.config.consumer;
        let ordered = self.js.consumers.get(&sid).is_some_and(|consumer| consumer.ordered);
        if ordered { settings.idle_heartbeat } else { settings.pull_heartbeat }
    }

    /// Ends a subscription that did not come about.
    pub(super) fn fail_sub(
        &mut self,
        now: Time,
        ticket: Ticket,
        failure: Failure,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if let Some(sub) = self.forget_sub(now, ticket, out)
            && !sub.confirmed
        {
            out.outcome(ticket, Outcome::Failed(failure));
        }
    }

    /// Forgets a subscription, its inboxes and, at the server, consumers that
    /// nobody else may use.
    pub(super) fn forget_sub(
        &mut self,
        now: Time,
        ticket: Ticket,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) -> Option<Sub> {
        let sub = self.js.subs.remove(&ticket)?;
        for sid in &sub.consumers {
            self.core.unlisten(*sid, out);
            self.core.forget(*sid);
            let Some(mut consumer) = self.js.consumers.remove(sid) else { continue };
            let fetches = consumer.pulls.clear();
            self.fetches_end(fetches, out);
            if sub.durable.is_none() && consumer.made && self.core.state() == State::Ready {
                let subject =
                    format!("$JS.API.CONSUMER.DELETE.{}.{}", consumer.stream, consumer.name);
                self.call(now, Purpose::Delete, &subject, b"", out);
            }
        }
        Some(sub)
    }
}
