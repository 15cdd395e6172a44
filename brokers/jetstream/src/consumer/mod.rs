//! A consumer: how far it has come in its stream, and what waits for an
//! acknowledgement.
//!
//! **What it is for.** Delivering each message that it takes in, again and again
//! until it is acknowledged or was delivered as often as is allowed.
//!
//! **What it never does.** It removes nothing from the stream: it says what it has
//! settled, and the stream decides.
//!
//! **Where to start reading.** `deliver.rs` for the way of one message,
//! `ack.rs` for the answers, `pull.rs` and `push.rs` for where messages go,
//! `timers.rs` for what the clock does.

mod ack;
mod check;
pub(crate) mod config;
mod deliver;
mod info;
mod pull;
mod push;
mod restore;
mod timers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_contract::{ConnId, Time};

pub(crate) use self::ack::AckSubject;
use self::config::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy};
pub(crate) use self::info::ConsumerInfo;
use self::pull::Request;
use self::push::Push;
use crate::agenda::Cx;
use crate::calendar;
use crate::journal::{Event, Journal};
use crate::store::{Matcher, ReadError, Store};
use crate::stream::ConsumerRecord;

/// What a consumer works on.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    pub stream: &'a str,
    /// Whether the stream does not care what is settled.
    pub keeps_settled: bool,
    pub store: &'a mut Store,
    /// Present when the consumer's position is kept.
    pub journal: Option<&'a mut Journal>,
    /// Takes the messages that need no delivery to this consumer any more.
    pub settled: &'a mut Vec<u64>,
    /// The last message that may be delivered for the first time.
    pub safe: u64,
}

impl Ground<'_> {
    /// Writes down what happened. On a full disk a crash makes it undone, and
    /// messages come again: at least once is kept.
    fn write(&mut self, cx: &mut Cx<'_>, event: &Event) {
        if let Some(journal) = &mut self.journal {
            let _ = journal.append(cx.host.disk(), event);
        }
    }
}

/// A message that waits for its acknowledgement.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Pending {
    /// The consumer sequence of its first delivery.
    consumer_seq: u64,
    /// When it comes again.
    due: Time,
    /// Deliveries so far.
    count: u32,
    /// Whether it is in the queue for another delivery.
    is_queued: bool,
}

/// A pair of positions.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    consumer: u64,
    stream: u64,
}

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    /// Its number in the journal.
    id: u32,
    /// Its place in the stream's list.
    place: u32,
    name: Box<str>,
    config: ConsumerConfig,
    created: u64,
    /// The stream's last sequence when it was made.
    until: u64,
    /// Where its present filter began.
    filtered_from: u64,
    is_kept: bool,
    matcher: Matcher,
    /// What is known of subjects by number: 0 nothing, 1 not taken in, 2 taken in.
    known: Vec<u8>,
    /// How often the store had given a number anew when that was found out.
    known_at: u64,
    delivered: Position,
    /// Where the search for the next message begins.
    cursor: u64,
    /// The last message on each subject, for that delivery policy, oldest first.
    lasts: VecDeque<u64>,
    /// Messages ahead that it takes in.
    ahead: u64,
    pending: BTreeMap<u64, Pending>,
    /// Messages to deliver again, oldest first; some perhaps settled meanwhile.
    again: VecDeque<u64>,
    /// Messages that were delivered as often as is allowed.
    given_up: BTreeSet<u64>,
    waiting: VecDeque<Request>,
    push: Option<Push>,
    /// Whether it is in the list of those who go on at once.
    pub is_ready: bool,
    /// Whether a message came that it has not been given the chance to deliver.
    is_roused: bool,
    /// The connection that made it or asked last.
    conn: Option<ConnId>,
    /// When it is deleted unless somebody is interested.
    idle_since: Time,
    /// Nanoseconds since 1970; 0 when it is not paused.
    paused_until: u64,
    last_delivery: Option<u64>,
    last_ack: Option<u64>,
    /// The time of the message replayed last and when that was.
    replayed: Option<(u64, Time)>,
    /// The timer that is set.
    timer: Option<Time>,
    /// Moments that are not before what they stand for.
    ack_at: Option<Time>,
    pull_at: Option<Time>,
    idle_at: Option<Time>,
    later_at: Option<Time>,
    scratch: Vec<u8>,
}

/// Nanoseconds of a configured duration; 0 for one that is not set.
fn nanos(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Consumer {
    /// A consumer of a complete configuration, at the beginning of its stream.
    /// `stream_is_kept` is whether the stream has a journal.
    pub fn new(id: u32, record: ConsumerRecord, stream_is_kept: bool) -> Consumer {
        let ConsumerRecord { name, config, created, until, filtered_from } = record;
        let matcher = Matcher::new(&config.filters());
        let paused_until = config.pause_until.as_deref().and_then(calendar::unix_ns).unwrap_or(0);
        Consumer {
            id,
            place: 0,
            name: name.into(),
            created,
            until,
            filtered_from,
            is_kept: stream_is_kept && !config.mem_storage,
            matcher,
            known: Vec::new(),
            known_at: 0,
            delivered: Position::default(),
            cursor: 1,
            lasts: VecDeque::new(),
            ahead: 0,
            pending: BTreeMap::new(),
            again: VecDeque::new(),
            given_up: BTreeSet::new(),
            waiting: VecDeque::new(),
            push: config.is_push().then(Push::default),
            is_ready: false,
            is_roused: false,
            conn: None,
            idle_since: Time::ZERO,
            paused_until,
            last_delivery: None,
            last_ack: None,
            replayed: None,
            timer: None,
            ack_at: None,
            pull_at: None,
            idle_at: None,
            later_at: None,
            scratch: Vec::new(),
            config,
        }
    }

    /// Finds where a new consumer begins.
    ///
    /// # Errors
    /// [`ReadError`], when the stream cannot be read.
    pub fn begin(&mut self, cx: &mut Cx<'_>, store: &mut Store) -> Result<(), ReadError> {
        let state = *store.state();
        let start = match self.config.deliver_policy {
            DeliverPolicy::All => state.first,
            DeliverPolicy::New => state.last + 1,
            DeliverPolicy::Last => {
                store.last_matching(&self.matcher, u64::MAX).unwrap_or(state.last + 1)
            }
            DeliverPolicy::ByStartSequence => {
                self.config.opt_start_seq.unwrap_or(1).clamp(state.first, state.last + 1)
            }
            DeliverPolicy::ByStartTime => {
                let text = self.config.opt_start_time.as_deref().unwrap_or_default();
                store.seek_time(cx.host.disk(), calendar::unix_ns(text).unwrap_or(0))?
            }
            DeliverPolicy::LastPerSubject => {
                self.collect_lasts(store, 0);
                self.lasts.front().copied().unwrap_or(state.last + 1)
            }
        };
        self.delivered.stream = start.saturating_sub(1);
        self.cursor = if self.config.deliver_policy == DeliverPolicy::LastPerSubject {
            state.last + 1
        } else {
            start
        };
        self.count_ahead(store);
        Ok(())
    }

    /// Collects the last message on each subject up to where the stream was when the
    /// consumer was made, behind `after`.
    fn collect_lasts(&mut self, store: &Store, after: u64) {
        let mut lasts: Vec<u64> = store
            .subjects()
            .filter(|(_, subject)| self.matcher.takes(&subject.text))
            .filter_map(|(id, _)| store.last_of_subject(id, self.until))
            .filter(|seq| *seq > after)
            .collect();
        lasts.sort_unstable();
        self.lasts = lasts.into();
    }

    fn count_ahead(&mut self, store: &Store) {
        self.ahead = store.count(&self.matcher, self.cursor) + self.lasts.len() as u64;
    }

    /// Begins to work: finds out who is there, and sets the timers.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.idle_since = cx.now;
        if let Some(push) = &mut self.push {
            push.is_active = cx.host.has_interest(self.config.deliver_subject.as_bytes());
            push.window = push::FIRST_WINDOW;
            push.sent_at = cx.now;
        }
        self.arm_idle(cx);
        self.arm_heartbeat(cx);
        if self.paused_until > cx.unix {
            self.arm_later(cx, cx.now.plus_nanos(self.paused_until - cx.unix));
        }
    }

    /// Takes a changed configuration over.
    pub fn change(&mut self, cx: &mut Cx<'_>, store: &Store, config: ConsumerConfig) {
        let matcher = Matcher::new(&config.filters());
        self.filtered_from = self.filtered_from_with(&config);
        let is_moved = config.deliver_subject != self.config.deliver_subject;
        self.config = config;
        if matcher != self.matcher {
            self.matcher = matcher;
            self.known.clear();
            if !self.lasts.is_empty() {
                self.collect_lasts(store, self.delivered.stream);
            }
            self.count_ahead(store);
        }
        let until = self.config.pause_until.as_deref().and_then(calendar::unix_ns);
        self.paused_until = until.unwrap_or(0);
        if is_moved && let Some(push) = &mut self.push {
            push.is_active = cx.host.has_interest(self.config.deliver_subject.as_bytes());
        }
        self.idle_since = cx.now;
        self.arm_idle(cx);
        if self.paused_until > cx.unix {
            self.arm_later(cx, cx.now.plus_nanos(self.paused_until - cx.unix));
        }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// The last sequence of the stream that was delivered or passed over.
    pub fn delivered_to(&self) -> u64 {
        self.delivered.stream
    }

    /// Whether its position survives a crash.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    pub fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    pub fn set_conn(&mut self, conn: ConnId) {
        self.conn = Some(conn);
    }

    pub fn forget_conn(&mut self, conn: ConnId) {
        if self.conn == Some(conn) {
            self.conn = None;
        }
    }

    pub fn set_place(&mut self, place: u32) {
        self.place = place;
    }

    /// Whether it takes in messages on this subject.
    #[inline]
    pub fn takes(&self, subject: &[u8]) -> bool {
        self.matcher.takes(subject)
    }

    /// A message came into the stream.
    #[inline]
    pub fn arrived(&mut self, subject: &[u8]) {
        if self.matcher.takes(subject) {
            self.ahead += 1;
            self.is_roused = true;
        }
    }

    /// Whether messages came since it was last asked, and there is somebody to
    /// deliver them to.
    #[inline]
    pub fn take_roused(&mut self) -> bool {
        std::mem::take(&mut self.is_roused)
            && !self.is_ready
            && match &self.push {
                Some(push) => push.is_active,
                None => !self.waiting.is_empty(),
            }
    }

    /// Whether the message is still to be delivered or acknowledged.
    pub fn needs(&self, seq: u64) -> bool {
        seq >= self.cursor || self.pending.contains_key(&seq) || self.is_among_lasts(seq)
    }

    /// Whether it may have passed over a message that it would take in now.
    pub fn passed_over(&self, seq: u64) -> bool {
        seq < self.filtered_from && !self.needs(seq)
    }

    /// Whether it took in other subjects before.
    pub fn has_changed(&self) -> bool {
        self.filtered_from > 0
    }

    /// Whether it was delivered as often as is allowed.
    pub fn gave_up(&self, seq: u64) -> bool {
        self.given_up.contains(&seq)
    }

    fn is_among_lasts(&self, seq: u64) -> bool {
        self.lasts.binary_search(&seq).is_ok()
    }

    /// The message on `subject` was removed from the stream. Returns whether it
    /// waited for an acknowledgement, or for one that comes too late.
    pub fn removed(&mut self, seq: u64, subject: &[u8]) -> bool {
        let was_given_up = self.given_up.remove(&seq);
        if seq >= self.cursor {
            if self.matcher.takes(subject) {
                self.ahead = self.ahead.saturating_sub(1);
            }
        } else if let Ok(at) = self.lasts.binary_search(&seq) {
            self.lasts.remove(at);
            self.ahead = self.ahead.saturating_sub(1);
        }
        // What it waits for may be on a subject that it no longer takes in.
        self.pending.remove(&seq).is_some() || was_given_up
    }

    fn needs_acks(&self) -> bool {
        self.config.ack_policy != AckPolicy::None
    }

    fn is_original_replay(&self) -> bool {
        self.config.replay_policy == ReplayPolicy::Original
    }

    /// The position up to which everything is settled.
    fn ack_floor(&self) -> Position {
        match self.pending.first_key_value() {
            None => self.delivered,
            Some((seq, pending)) => Position {
                consumer: pending.consumer_seq.saturating_sub(1),
                stream: seq.saturating_sub(1),
            },
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        (size_of::<Consumer>()
            + self.known.capacity()
            + self.pending.len() * 2 * size_of::<(u64, Pending)>()
            + self.again.capacity() * 8
            + self.lasts.capacity() * 8
            + self.waiting.capacity() * size_of::<Request>()) as u64
    }
}
