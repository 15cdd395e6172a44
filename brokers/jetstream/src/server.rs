//! All streams of one node, and where each message from outside goes.

use std::collections::BTreeMap;

use broker_contract::{BootError, ConnId, Disk, DiskError, Note, SeedStream, SyncToken, Time};

use crate::agenda::{Agenda, Cx, STREAM};
use crate::config::JetStreamConfig;
use crate::consumer::AckSubject;
use crate::digits;
use crate::host::{Host, Published};
use crate::routes::Routes;
use crate::stream::{self, ROOT, Stream};

/// Pieces of work that one tick does; the rest follows in the next.
const BATCH: usize = 64;

/// Streams and consumers of one node.
#[derive(Debug)]
pub struct JetStream {
    pub(crate) config: JetStreamConfig,
    pub(crate) streams: Vec<Option<Box<Stream>>>,
    pub(crate) by_name: BTreeMap<Box<str>, u32>,
    pub(crate) routes: Routes,
    pub(crate) agenda: Agenda,
    /// What is added to the driver's clock, so that no message is older than one
    /// that was stored before it.
    skew: u64,
    /// Requests to the API so far, and those that were refused.
    pub(crate) requests: u64,
    pub(crate) refusals: u64,
}

impl JetStream {
    /// Starts from what the disk holds.
    ///
    /// # Errors
    /// [`BootError`], when the configuration contradicts itself, or a store is
    /// foreign, newer, or damaged beyond reading.
    pub fn boot(
        config: &JetStreamConfig,
        seed: SeedStream,
        now: Time,
        host: &mut dyn Host,
    ) -> Result<JetStream, BootError> {
        config.check().map_err(|text| BootError::Config(text.to_owned()))?;
        // A name must not come again after a crash, or a client would take another
        // consumer for its own.
        let names = seed.fork("names").nth(now.as_nanos());
        let mut server = JetStream {
            config: config.clone(),
            streams: Vec::new(),
            by_name: BTreeMap::new(),
            routes: Routes::default(),
            agenda: Agenda::new(names),
            skew: 0,
            requests: 0,
            refusals: 0,
        };
        let mut names: Vec<String> = Vec::new();
        for file in host.disk().list(ROOT)? {
            let Some((name, _)) = file[ROOT.len()..].split_once('/') else {
                let reason = "this file is not part of a stream; move it elsewhere".to_owned();
                return Err(BootError::Store { file, offset: 0, reason });
            };
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        names.dedup();
        let mut restored = Vec::new();
        for name in names {
            let mut cx = server.cx(now, host, 0);
            if let Some(stream) = stream::boot(&mut cx, &name)? {
                let last = stream.store.state().last_time;
                let unix = server.unix(now);
                server.skew += last.saturating_sub(unix);
                restored.push(server.seat(stream));
            }
        }
        for place in restored {
            server.with_stream(now, host, place, |stream, cx| stream.start(cx));
        }
        server.publish_advisories(now, host);
        Ok(server)
    }

    /// Nanoseconds since 1970.
    pub(crate) fn unix(&self, now: Time) -> u64 {
        self.config.epoch_unix_ns.saturating_add(self.skew).saturating_add(now.as_nanos())
    }

    pub(crate) fn cx<'a>(&'a mut self, now: Time, host: &'a mut dyn Host, stream: u32) -> Cx<'a> {
        let unix = self.unix(now);
        Cx { host, now, unix, config: &self.config, agenda: &mut self.agenda, stream }
    }

    /// Puts a stream into the first free place, and listens to its subjects.
    pub(crate) fn seat(&mut self, stream: Stream) -> u32 {
        let free = self.streams.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        self.by_name.insert(stream.config.name.as_str().into(), place as u32);
        self.routes.add(place as u32, &stream.config.subjects);
        self.streams[place] = Some(Box::new(stream));
        place as u32
    }

    /// Works with a stream.
    #[inline]
    pub(crate) fn with_stream<T>(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        place: u32,
        work: impl FnOnce(&mut Stream, &mut Cx<'_>) -> T,
    ) -> Option<T> {
        let unix = self.unix(now);
        let stream = self.streams.get_mut(place as usize)?.as_deref_mut()?;
        let (config, agenda) = (&self.config, &mut self.agenda);
        let mut cx = Cx { host, now, unix, config, agenda, stream: place };
        Some(work(stream, &mut cx))
    }

    /// Takes a message that a client published. Returns whether it was for
    /// JetStream: for a stream, the API, or a consumer that waits for its
    /// acknowledgement.
    #[inline]
    pub fn publish(&mut self, now: Time, host: &mut dyn Host, message: &Published<'_>) -> bool {
        if let Some(rest) = message.subject.strip_prefix(b"$JS.") {
            let is_taken = self.control(now, host, rest, message);
            if !self.agenda.advisories.is_empty() {
                self.publish_advisories(now, host);
            }
            // A stream may keep events, and whatever is published in their place.
            if is_taken || self.routes.is_empty() {
                return is_taken;
            }
        }
        let Some(place) = self.routes.find(message.subject) else { return false };
        self.with_stream(now, host, place, |stream, cx| stream.publish(cx, message));
        if !self.agenda.advisories.is_empty() {
            self.publish_advisories(now, host);
        }
        true
    }

    fn control(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        rest: &[u8],
        message: &Published<'_>,
    ) -> bool {
        if let Some(rest) = rest.strip_prefix(b"ACK.") {
            return self.acknowledge(now, host, rest, message);
        }
        if let Some(rest) = rest.strip_prefix(b"API.") {
            return self.api(now, host, rest, message);
        }
        if let Some(rest) = rest.strip_prefix(b"FC.") {
            let mut numbers = rest.split(|byte| *byte == b'.').map(digits::read);
            let (Some(Some(stream)), Some(Some(consumer)), Some(Some(question))) =
                (numbers.next(), numbers.next(), numbers.next())
            else {
                return false;
            };
            let (stream, consumer) = (stream as u32, consumer as u32);
            let known = self.with_stream(now, host, stream, |stream, cx| {
                let known = stream.with_consumer(cx, consumer, |consumer, cx, ground| {
                    consumer.answered(cx, ground, question);
                });
                stream.after_work(cx);
                known.is_some()
            });
            return known.unwrap_or(false);
        }
        false
    }

    #[inline]
    fn acknowledge(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        rest: &[u8],
        message: &Published<'_>,
    ) -> bool {
        let Some(ack) = AckSubject::read(rest) else { return false };
        let Some(place) = self.find_stream(ack.stream) else { return false };
        let known = self.with_stream(now, host, place, |stream, cx| {
            let name = std::str::from_utf8(ack.consumer).ok()?;
            let (place, _) = stream.consumer(name)?;
            stream.with_consumer(cx, place, |consumer, cx, ground| {
                consumer.acknowledge(
                    cx,
                    ground,
                    &ack,
                    message.reply,
                    message.payload,
                    message.conn,
                );
            });
            stream.after_work(cx);
            Some(())
        });
        known.flatten().is_some()
    }

    pub(crate) fn find_stream(&self, name: &[u8]) -> Option<u32> {
        self.by_name.get(std::str::from_utf8(name).ok()?).copied()
    }

    /// Publishes what the library has to say of itself.
    pub(crate) fn publish_advisories(&mut self, now: Time, host: &mut dyn Host) {
        // Storing an event can cause another, which comes with the next input.
        for advisory in std::mem::take(&mut self.agenda.advisories) {
            let subject = advisory.subject.as_bytes();
            host.send(subject, subject, &[], &[], &advisory.json);
            if let Some(place) = self.routes.find(subject) {
                let conn = ConnId(u32::MAX);
                let (reply, headers, payload) = (&[][..], &[][..], &advisory.json[..]);
                let message = Published { conn, subject, reply, headers, payload };
                self.with_stream(now, host, place, |stream, cx| stream.publish(cx, &message));
            }
        }
    }

    /// A sync that was asked for has ended.
    pub fn synced(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        token: SyncToken,
        result: Result<(), DiskError>,
    ) {
        // The stream may be gone by now, and its place another's.
        let Some((place, purpose)) = self.agenda.take_sync(token) else { return };
        self.with_stream(now, host, place, |stream, cx| stream.synced(cx, purpose, result));
    }

    /// Somebody subscribed to `filter`.
    pub fn subscribed(&mut self, now: Time, host: &mut dyn Host, filter: &[u8]) {
        for place in 0..self.streams.len() as u32 {
            self.with_stream(now, host, place, |stream, cx| stream.subscribed(cx, filter));
        }
        self.publish_advisories(now, host);
    }

    /// A connection ended.
    pub fn closed(&mut self, conn: ConnId) {
        for stream in self.streams.iter_mut().flatten() {
            stream.closed(conn);
        }
    }

    /// The moment of [`JetStream::deadline`] has come.
    pub fn tick(&mut self, now: Time, host: &mut dyn Host) {
        for _ in 0..BATCH {
            let Some((_, place, consumer)) = self.agenda.take_due(now) else { break };
            self.with_stream(now, host, place, |stream, cx| {
                if consumer == STREAM {
                    stream.tick(cx);
                } else {
                    stream.tick_consumer(cx, consumer);
                }
            });
        }
        for _ in 0..self.agenda.ready_len().min(BATCH) {
            let Some((place, consumer)) = self.agenda.take_ready() else { break };
            self.with_stream(now, host, place, |stream, cx| stream.go_on(cx, consumer));
        }
        self.publish_advisories(now, host);
    }

    /// When it next needs a tick, if ever.
    #[inline]
    pub fn deadline(&self) -> Option<Time> {
        self.agenda.deadline()
    }

    /// Heap bytes that it holds, messages in memory included.
    pub fn memory_bytes(&self) -> u64 {
        let streams: u64 = self.streams.iter().flatten().map(|stream| stream.memory_bytes()).sum();
        streams + self.agenda.memory_bytes() + self.routes.memory_bytes()
    }

    /// Whether streams, consumers, timers and files agree with each other. Takes as
    /// long as reading all that is stored; nothing depends on the answer.
    ///
    /// # Errors
    /// What does not agree, and where, in one line.
    pub fn check_invariants(&self, disk: &mut dyn Disk) -> Result<(), String> {
        for (name, place) in &self.by_name {
            let stream = self.streams.get(*place as usize).and_then(Option::as_deref);
            let Some(stream) = stream else { return Err(format!("stream {name} is missing")) };
            stream
                .check(disk, &self.agenda, *place)
                .map_err(|what| format!("stream {name}: {what}"))?;
        }
        if self.by_name.len() != self.streams.iter().flatten().count() {
            return Err("a stream has no name".to_owned());
        }
        Ok(())
    }

    /// Deletes a stream and everything it has.
    pub(crate) fn delete_stream(&mut self, now: Time, host: &mut dyn Host, place: u32) {
        let Some(mut stream) = self.streams.get_mut(place as usize).and_then(Option::take) else {
            return;
        };
        self.by_name.remove(stream.config.name.as_str());
        self.routes.remove(place);
        let mut cx = self.cx(now, host, place);
        stream.destroy(&mut cx);
        cx.agenda.forget_syncs(place);
        cx.host.note(Note::Sometimes("stream deleted"));
    }
}
