//! The consumers of a stream: making, changing, waking and deleting them.

use broker_contract::ConnId;
use serde::{Deserialize, Serialize};

use super::Stream;
use super::config::{Retention, StreamConfig};
use crate::agenda::Cx;
use crate::consumer::config::ConsumerConfig;
use crate::consumer::{Consumer, Ground};
use crate::error::ApiError;
use crate::journal::Event;

/// What the journal keeps of a consumer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConsumerRecord {
    pub name: String,
    pub config: ConsumerConfig,
    /// Nanoseconds since 1970.
    pub created: u64,
    /// The stream's last sequence when it was made.
    pub until: u64,
    /// Where its present filter began: before it, messages that the filter takes in
    /// may have been passed over.
    #[serde(default)]
    pub filtered_from: u64,
}

/// What a client asks for besides the configuration.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    CreateOrUpdate,
    Create,
    Update,
}

impl Stream {
    pub fn consumer(&self, name: &str) -> Option<(u32, &Consumer)> {
        let place = *self.by_name.get(name)?;
        Some((place, self.consumers.get(place as usize)?.as_deref()?))
    }

    pub fn consumer_mut(&mut self, place: u32) -> Option<&mut Consumer> {
        self.consumers.get_mut(place as usize)?.as_deref_mut()
    }

    pub fn consumer_names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    pub fn consumer_count(&self) -> usize {
        self.by_name.len()
    }

    /// Whether a consumer takes in this subject.
    pub(super) fn anybody_wants(&self, subject: &[u8]) -> bool {
        self.takers_of(subject).any(|consumer| consumer.takes(subject))
    }

    /// The consumers that may take in this subject, and perhaps some that do not.
    pub(super) fn takers_of(&self, subject: &[u8]) -> impl Iterator<Item = &Consumer> {
        let mut places = Vec::new();
        self.interest.find(subject, &mut places);
        places.into_iter().filter_map(|place| self.consumers.get(place as usize)?.as_deref())
    }

    /// Makes a consumer, or changes the one of that name. Returns its place.
    ///
    /// # Errors
    /// [`ApiError`], with the original's code and text.
    pub fn put_consumer(
        &mut self,
        cx: &mut Cx<'_>,
        name: &str,
        config: ConsumerConfig,
        intent: Intent,
        conn: ConnId,
    ) -> Result<u32, ApiError> {
        if let Some(place) = self.by_name.get(name).copied() {
            return self.change_consumer(cx, place, config, intent);
        }
        if intent == Intent::Update {
            return Err(ApiError::new(400, 10149, "consumer does not exist"));
        }
        let most = StreamConfig::limit(self.config.max_consumers);
        if most.is_some_and(|most| self.by_name.len() as u64 >= most) {
            return Err(ApiError::new(400, 10026, "maximum consumers limit reached"));
        }
        self.check_unique(&config)?;
        self.finish_purge(cx);
        let id = self.next_consumer;
        let until = self.store.state().last;
        let record = ConsumerRecord {
            name: name.to_owned(),
            config,
            created: cx.unix,
            until,
            filtered_from: 0,
        };
        let mut consumer = Consumer::new(id, record, self.journal.is_some());
        consumer
            .begin(cx, &mut self.store)
            .map_err(|error| ApiError::consumer_create(error.to_string()))?;
        if consumer.is_kept() {
            for event in consumer.events() {
                self.write_down(cx, &event)?;
            }
        }
        consumer.set_conn(conn);
        self.next_consumer += 1;
        let place = self.seat(consumer);
        self.with_consumer(cx, place, |consumer, cx, _| consumer.start(cx));
        self.advise_consumer(cx, name, "CREATED", "create");
        self.pump(cx, place);
        self.retire_settled(cx);
        self.see_to_syncs(cx);
        Ok(place)
    }

    /// Puts a consumer into the first free place.
    pub(super) fn seat(&mut self, mut consumer: Consumer) -> u32 {
        let free = self.consumers.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.consumers.push(None);
            self.consumers.len() - 1
        }) as u32;
        consumer.set_place(place);
        self.interest.add(place, &consumer.config().filters(), consumer.has_changed());
        self.by_name.insert(consumer.name().into(), place);
        self.consumers[place as usize] = Some(Box::new(consumer));
        place
    }

    fn change_consumer(
        &mut self,
        cx: &mut Cx<'_>,
        place: u32,
        config: ConsumerConfig,
        intent: Intent,
    ) -> Result<u32, ApiError> {
        let Some(consumer) = self.consumers[place as usize].as_deref_mut() else {
            return Err(ApiError::consumer_not_found());
        };
        if consumer.config() == &config {
            return Ok(place);
        }
        if intent == Intent::Create {
            return Err(ApiError::new(400, 10148, "consumer already exists"));
        }
        consumer.config().check_update(&config)?;
        if consumer.is_kept() {
            let event = consumer.record_changed(config.clone());
            self.write_down(cx, &event)?;
        }
        if let Some(consumer) = self.consumers[place as usize].as_deref() {
            self.interest.remove(place, &consumer.config().filters());
        }
        self.with_consumer(cx, place, |consumer, cx, ground| {
            consumer.change(cx, ground.store, config);
        });
        if let Some(consumer) = self.consumers[place as usize].as_deref() {
            self.interest.add(place, &consumer.config().filters(), consumer.has_changed());
        }
        if self.config.retention == Retention::Interest {
            // A narrower filter may have been the last interest in some.
            self.sweep_settled(cx);
        }
        self.pump(cx, place);
        self.retire_settled(cx);
        self.see_to_syncs(cx);
        Ok(place)
    }

    fn check_unique(&self, config: &ConsumerConfig) -> Result<(), ApiError> {
        if self.config.retention != Retention::WorkQueue {
            return Ok(());
        }
        let filters = config.filters();
        for other in self.consumers.iter().flatten() {
            let others = other.config().filters();
            if filters.is_empty() && others.is_empty() {
                let text = "multiple non-filtered consumers not allowed on workqueue stream";
                return Err(ApiError::new(400, 10099, text));
            }
            let clashes = filters.is_empty()
                || others.is_empty()
                || filters.iter().any(|one| {
                    others.iter().any(|two| crate::subject::overlap(one.as_bytes(), two.as_bytes()))
                });
            if clashes {
                let text = if filters.is_empty() {
                    "multiple non-filtered consumers not allowed on workqueue stream"
                } else {
                    "filtered consumer not unique on workqueue stream"
                };
                let code = if filters.is_empty() { 10099 } else { 10100 };
                return Err(ApiError::new(400, code, text));
            }
        }
        Ok(())
    }

    fn write_down(&mut self, cx: &mut Cx<'_>, event: &Event) -> Result<(), ApiError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal
            .append(cx.host.disk(), event)
            .map_err(|error| ApiError::store_failed(error.to_string()))
    }

    pub(super) fn journal_settled(&mut self, cx: &mut Cx<'_>, place: u32, stream_seq: u64) {
        let Some(consumer) = self.consumers[place as usize].as_deref() else { return };
        if consumer.is_kept()
            && let Some(journal) = &mut self.journal
        {
            let event = Event::Settled { id: consumer.id(), stream_seq };
            // Lost with a full disk, it is delivered once more after a crash.
            let _ = journal.append(cx.host.disk(), &event);
        }
    }

    /// Works with a consumer and the ground that it stands on.
    pub fn with_consumer<T>(
        &mut self,
        cx: &mut Cx<'_>,
        place: u32,
        work: impl FnOnce(&mut Consumer, &mut Cx<'_>, &mut Ground<'_>) -> T,
    ) -> Option<T> {
        let mut consumer = self.consumers.get_mut(place as usize)?.take()?;
        let safe = if self.commits_first(cx) { self.safe } else { u64::MAX };
        let journal = if consumer.is_kept() { self.journal.as_mut() } else { None };
        let mut ground = Ground {
            stream: &self.config.name,
            keeps_settled: self.config.retention == Retention::Limits,
            store: &mut self.store,
            journal,
            settled: &mut self.settled,
            safe,
        };
        let result = work(&mut consumer, cx, &mut ground);
        self.consumers[place as usize] = Some(consumer);
        Some(result)
    }

    /// Lets a consumer deliver what it can.
    #[inline]
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>, place: u32) {
        self.with_consumer(cx, place, Consumer::pump);
    }

    /// Lets a consumer go on that was left with work to do.
    pub fn go_on(&mut self, cx: &mut Cx<'_>, place: u32) {
        self.with_consumer(cx, place, |consumer, cx, ground| {
            consumer.is_ready = false;
            consumer.pump(cx, ground);
        });
        self.after_work(cx);
    }

    /// What follows any work of a consumer.
    pub fn after_work(&mut self, cx: &mut Cx<'_>) {
        self.retire_settled(cx);
        self.see_to_syncs(cx);
    }

    /// A consumer's timer came.
    pub fn tick_consumer(&mut self, cx: &mut Cx<'_>, place: u32) {
        let is_over = self.with_consumer(cx, place, Consumer::tick).unwrap_or(false);
        if is_over {
            cx.host.note(broker_contract::Note::Sometimes("inactive consumer deleted"));
            self.delete_consumer(cx, place);
        }
        self.after_work(cx);
    }

    /// Somebody subscribed to `filter`: push consumers may have somebody to push to.
    pub fn subscribed(&mut self, cx: &mut Cx<'_>, filter: &[u8]) {
        for place in 0..self.consumers.len() {
            let Some(consumer) = &mut self.consumers[place] else { continue };
            if consumer.gains_interest(cx, filter) {
                self.pump(cx, place as u32);
            }
        }
        self.after_work(cx);
    }

    /// A connection ended: its number may soon be somebody else's.
    pub fn closed(&mut self, conn: ConnId) {
        for consumer in self.consumers.iter_mut().flatten() {
            consumer.forget_conn(conn);
        }
    }

    /// Deletes a consumer.
    pub fn delete_consumer(&mut self, cx: &mut Cx<'_>, place: u32) {
        let Some(mut consumer) = self.consumers.get_mut(place as usize).and_then(Option::take)
        else {
            return;
        };
        self.by_name.remove(consumer.name());
        self.interest.remove(place, &consumer.config().filters());
        consumer.end(cx);
        if consumer.is_kept() {
            // Otherwise a crash brings it back, and its inactivity ends it again.
            let _ = self.write_down(cx, &Event::Removed { id: consumer.id() });
        }
        self.advise_consumer(cx, consumer.name(), "DELETED", "delete");
        if self.config.retention == Retention::Interest {
            self.sweep_settled(cx);
        }
    }

    fn advise_consumer(&self, cx: &mut Cx<'_>, name: &str, verb: &str, action: &str) {
        #[derive(Serialize)]
        struct Body<'a> {
            stream: &'a str,
            consumer: &'a str,
            action: &'a str,
        }
        let stream = &self.config.name;
        let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.{verb}.{stream}.{name}");
        cx.advise(subject, "consumer_action", &Body { stream, consumer: name, action });
    }
}
