//! What the journal keeps of a consumer, and how it comes back from it.

use broker_contract::Time;

use super::config::{ConsumerConfig, DeliverPolicy};
use super::{Consumer, Ground, Pending};
use crate::agenda::Cx;
use crate::calendar;
use crate::journal::Event;
use crate::store::Matcher;
use crate::stream::ConsumerRecord;

impl Consumer {
    /// Its configuration as an event.
    fn record(&self) -> Event {
        self.record_with(self.config.clone(), self.filtered_from)
    }

    /// Another configuration for it as an event.
    pub fn record_changed(&self, config: ConsumerConfig) -> Event {
        let filtered_from = self.filtered_from_with(&config);
        self.record_with(config, filtered_from)
    }

    /// Where its filter begins when this configuration is taken over.
    pub(super) fn filtered_from_with(&self, config: &ConsumerConfig) -> u64 {
        if Matcher::new(&config.filters()) == self.matcher {
            self.filtered_from
        } else {
            self.cursor
        }
    }

    fn record_with(&self, config: ConsumerConfig, filtered_from: u64) -> Event {
        let (name, created, until) = (self.name.to_string(), self.created, self.until);
        let record = ConsumerRecord { name, config, created, until, filtered_from };
        Event::Consumer { id: self.id, json: serde_json::to_vec(&record).unwrap_or_default() }
    }

    /// Events from which it comes back as it is.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        let id = self.id;
        let (stream_seq, consumer_seq) = (self.delivered.stream, self.delivered.consumer);
        let first = [self.record(), Event::Passed { id, stream_seq, consumer_seq }];
        let pending = self.pending.iter().map(move |(seq, pending)| Event::Delivered {
            id,
            stream_seq: *seq,
            consumer_seq: pending.consumer_seq,
            count: pending.count,
        });
        let given_up = self.given_up.iter().map(move |seq| Event::GaveUp { id, stream_seq: *seq });
        first.into_iter().chain(pending).chain(given_up)
    }

    /// Takes a later configuration over.
    pub fn restore_config(&mut self, record: ConsumerRecord) {
        let ConsumerRecord { config, filtered_from, .. } = record;
        self.filtered_from = filtered_from;
        self.matcher = Matcher::new(&config.filters());
        let until = config.pause_until.as_deref().and_then(calendar::unix_ns);
        self.paused_until = until.unwrap_or(0);
        self.config = config;
    }

    /// Takes an event of its life over.
    pub fn restore(&mut self, event: &Event) {
        match *event {
            Event::Delivered { stream_seq, consumer_seq, count, .. } => {
                self.delivered.stream = self.delivered.stream.max(stream_seq);
                self.delivered.consumer = self.delivered.consumer.max(consumer_seq);
                let due = Time::ZERO;
                let first = Pending { consumer_seq, due, count, is_queued: false };
                self.pending.entry(stream_seq).or_insert(first).count = count;
            }
            Event::Settled { stream_seq, .. } => {
                self.pending.remove(&stream_seq);
                self.given_up.remove(&stream_seq);
            }
            Event::SettledTo { stream_seq, .. } => {
                let next = stream_seq.saturating_add(1);
                self.pending = self.pending.split_off(&next);
                self.given_up = self.given_up.split_off(&next);
            }
            Event::Passed { stream_seq, consumer_seq, .. } => {
                self.delivered.stream = self.delivered.stream.max(stream_seq);
                self.delivered.consumer = self.delivered.consumer.max(consumer_seq);
            }
            Event::GaveUp { stream_seq, .. } => {
                self.pending.remove(&stream_seq);
                self.given_up.insert(stream_seq);
            }
            Event::Stream(_) | Event::Consumer { .. } | Event::Removed { .. } | Event::Deleted => {}
        }
    }

    /// Fits what came back to the stream as it is now. What was delivered and not
    /// acknowledged is due once more after the usual wait.
    pub fn restored(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>) {
        let waiting = self.pending.keys().chain(&self.given_up);
        let gone: Vec<u64> = waiting.copied().filter(|seq| !ground.store.has(*seq)).collect();
        for stream_seq in gone {
            self.pending.remove(&stream_seq);
            self.given_up.remove(&stream_seq);
            ground.write(cx, &Event::Settled { id: self.id, stream_seq });
        }
        if ground.keeps_settled {
            // Where nothing goes by being settled, nobody asks who gave it up.
            self.given_up.clear();
        }
        let store = &*ground.store;
        let last = store.state().last;
        // Only a full disk keeps the stream from catching up with its consumers.
        self.delivered.stream = self.delivered.stream.min(last);
        self.cursor = self.delivered.stream + 1;
        self.until = self.until.min(last);
        if self.config.deliver_policy == DeliverPolicy::LastPerSubject
            && self.delivered.stream < self.until
        {
            self.collect_lasts(store, self.delivered.stream);
            self.cursor = self.until + 1;
        }
        self.count_ahead(store);
        let counts: Vec<(u64, u32)> =
            self.pending.iter().map(|(seq, pending)| (*seq, pending.count)).collect();
        for (seq, count) in counts {
            let due = cx.now.plus_nanos(self.ack_wait(count));
            if let Some(pending) = self.pending.get_mut(&seq) {
                pending.due = due;
            }
            self.arm_ack(cx, due);
        }
    }
}
