//! What happens on the client's connections, and how it says goodbye.

use broker_contract::{Actions, LinkId, Note, Outcome, Publish, Time, Want};

use super::conn::{Conn, Pending};
use super::producer::{self, Producer, Waiter};
use super::{KafkaClient, MAIN, Slot};
use crate::frame::{Down, Response};

impl KafkaClient {
    fn conn(&mut self, link: LinkId) -> Option<&mut Conn> {
        if link == MAIN {
            return Some(&mut self.main);
        }
        let place = usize::from(link.0) - 1;
        let slot = self.slots.get_mut(place / 2)?.as_deref_mut()?;
        Some(if place.is_multiple_of(2) { &mut slot.fetch } else { &mut slot.coordinator })
    }

    pub(super) fn connected(&mut self, now: Time, link: LinkId, out: &mut Actions<Self>) {
        let (config, name) = (self.config.clone(), self.name.clone());
        if let Some(conn) = self.conn(link) {
            conn.connected(now, &config, &name, out);
        }
    }

    pub(super) fn frame(&mut self, now: Time, link: LinkId, frame: Down, out: &mut Actions<Self>) {
        let Some(conn) = self.conn(link) else { return };
        let Some(pending) = conn.answers(frame.correlation) else {
            // An answer to nothing: what follows it cannot be trusted either.
            self.give_up_on(now, link, out);
            return;
        };
        match (pending, frame.response) {
            (Pending::ApiVersions, Response::ApiVersions(response)) => {
                if !conn.greeted(&response) {
                    self.give_up_on(now, link, out);
                }
            }
            (Pending::Consumer(slot, ask), response) => {
                self.step(now, slot, out, |consumer, cx| consumer.answered(ask, &response, cx));
            }
            (Pending::Metadata(all), Response::Metadata(response)) => {
                self.metadata.answered(now, &response, all, self.config.retry_backoff);
            }
            (Pending::CreateTopics(ticket), Response::CreateTopics(response)) => {
                if let Some(outcome) = self.admin.answered(ticket, &response, &mut self.metadata) {
                    out.outcome(ticket, outcome);
                }
            }
            (Pending::Produce(sent), Response::Produce(response)) => {
                self.produce(now, out, |producer, cx| producer.answered(sent, &response, cx));
            }
            (Pending::ProducerId, Response::InitProducerId(response)) => {
                self.produce(now, out, |producer, cx| producer.identified(&response, cx));
            }
            // An answer of another kind than its request.
            (pending, _) => {
                self.unanswered(now, pending, out);
                self.give_up_on(now, link, out);
            }
        }
    }

    /// Lets the producer do something, if there is one.
    fn produce(
        &mut self,
        now: Time,
        out: &mut Actions<Self>,
        act: impl FnOnce(&mut Producer, &mut producer::Cx<'_>),
    ) {
        let Some(producer) = &mut self.producer else { return };
        let mut cx = producer::Cx {
            now,
            config: &self.config,
            metadata: &mut self.metadata,
            conn: &mut self.main,
            name: &self.name,
            seed: self.start.seed,
            out,
        };
        act(producer, &mut cx);
    }

    /// Closes a connection that cannot be used, and treats it as lost.
    pub(super) fn give_up_on(&mut self, now: Time, link: LinkId, out: &mut Actions<Self>) {
        if self.conn(link).is_some_and(|conn| conn.is_open()) {
            out.close(link);
            self.lost(now, link, out);
        }
    }

    pub(super) fn lost(&mut self, now: Time, link: LinkId, out: &mut Actions<Self>) {
        let (config, seed) = (self.config.clone(), self.start.seed);
        let Some(conn) = self.conn(link).filter(|conn| conn.is_open()) else { return };
        for pending in conn.lost(now, &config, seed) {
            self.unanswered(now, pending, out);
        }
        if link != MAIN {
            let place = link.0 - 1;
            self.step(now, place / 2, out, |consumer, cx| {
                consumer.disconnected(place.is_multiple_of(2), cx);
            });
        }
    }

    fn unanswered(&mut self, now: Time, pending: Pending, out: &mut Actions<Self>) {
        match pending {
            Pending::ApiVersions => {}
            Pending::Produce(sent) => {
                self.produce(now, out, |producer, cx| producer.lost(sent, cx));
            }
            Pending::ProducerId => {
                if let Some(producer) = &mut self.producer {
                    producer.unidentified(now);
                }
            }
            Pending::Metadata(all) => self.metadata.lost(all),
            Pending::CreateTopics(ticket) => self.admin.lost(ticket),
            Pending::Consumer(slot, ask) => {
                self.step(now, slot, out, |consumer, cx| consumer.lost(ask, cx));
            }
        }
    }

    pub(super) fn tick(&mut self, now: Time, out: &mut Actions<Self>) {
        if self.main.is_overdue(now) {
            self.give_up_on(now, MAIN, out);
        }
        for place in 0..self.slots.len() {
            let Some(slot) = self.slots[place].as_deref() else { continue };
            let overdue = [&slot.fetch, &slot.coordinator]
                .map(|conn| conn.is_overdue(now).then_some(conn.link));
            for link in overdue.into_iter().flatten() {
                self.give_up_on(now, link, out);
            }
        }
    }

    /// Does everything that can be done now.
    pub(super) fn advance(&mut self, now: Time, out: &mut Actions<Self>) {
        if self.needs_main() {
            self.main.ask_for(now, out);
        }
        self.advance_main(now, out);
        for slot in 0..self.slots.len() as u16 {
            self.step(now, slot, out, |consumer, cx| consumer.advance(cx));
            self.free(slot);
        }
        self.advance_requests(now, out);
        // What consumers and requests have found missing.
        self.advance_main(now, out);
        if self.is_stopping {
            self.say_goodbye(out);
        }
    }

    fn free(&mut self, slot: u16) {
        let place = usize::from(slot);
        if self.slots[place].as_ref().is_some_and(|slot| slot.consumer.is_over()) {
            self.slots[place] = None;
        }
    }

    fn needs_main(&self) -> bool {
        let has_work = self.producer.as_ref().is_some_and(|producer| !producer.is_idle());
        let reads = self.slots.iter().any(Option::is_some);
        !self.is_stopping || has_work || reads || !self.admin.is_empty()
    }

    /// The list of topics, declarations and the producer.
    pub(super) fn advance_main(&mut self, now: Time, out: &mut Actions<Self>) {
        for (ticket, outcome) in self.admin.checked(&mut self.metadata) {
            out.outcome(ticket, outcome);
        }
        self.produce(now, out, |producer, cx| producer.advance(cx));
        if !self.main.is_ready() {
            return;
        }
        let until = now + self.config.request_timeout;
        if let Some((request, all)) = self.metadata.request(now, self.config.metadata_max_age) {
            let pending = Some(Pending::Metadata(all));
            self.main.send(request.into(), pending, until, &self.name, out);
        }
        let timeout = i32::try_from(self.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
        while let Some((ticket, request)) = self.admin.request(timeout) {
            let pending = Some(Pending::CreateTopics(ticket));
            self.main.send(request.into(), pending, until, &self.name, out);
        }
    }

    /// Questions whose inbox is in force go out; answers, failures and timeouts
    /// end them.
    fn advance_requests(&mut self, now: Time, out: &mut Actions<Self>) {
        let Some(mut requests) = self.requests.take() else { return };
        for answer in std::mem::take(&mut self.replies) {
            match requests.answered(&answer) {
                Some(ticket) => out.outcome(ticket, Outcome::Replied(answer)),
                // Too late, or a second answer.
                None => {
                    let bytes = answer.payload().len() as u64;
                    out.note(Note::Wasted { messages: 1, bytes });
                }
            }
        }
        let inbox = self.slots.get(usize::from(requests.slot)).and_then(Option::as_deref);
        if inbox.is_some_and(|inbox: &Slot| inbox.consumer.is_in_force()) {
            for waiting in std::mem::take(&mut requests.waiting) {
                let headers: Vec<_> =
                    waiting.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                let publish = Publish {
                    channel: &waiting.channel,
                    key: waiting.key.as_deref(),
                    headers: &headers,
                    payload: &waiting.payload,
                    want: Want::Usual,
                };
                let address = requests.address(waiting.id);
                let waiter = Waiter::Request(waiting.id);
                self.publish(now, &publish, Some(address.as_bytes()), waiter, out);
            }
        }
        if let Some(producer) = &mut self.producer {
            for (id, failure) in std::mem::take(&mut producer.failed_requests) {
                if let Some(ticket) = requests.failed(id) {
                    out.outcome(ticket, Outcome::Failed(failure));
                }
            }
        }
        while let Some((ticket, outcome)) = requests.overdue(now) {
            out.outcome(ticket, outcome);
        }
        self.requests = Some(requests);
    }

    /// Nothing lingers any more, and consumers hand out what is on its way.
    pub(super) fn shut_down(&mut self) {
        if std::mem::replace(&mut self.is_stopping, true) {
            return;
        }
        if let Some(producer) = &mut self.producer {
            producer.is_flushing = true;
        }
        let inbox = self.requests.as_ref().map(|requests| requests.slot);
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = slot
                && inbox != Some(place as u16)
            {
                slot.consumer.leave(true);
            }
        }
    }

    /// Closes what has nothing left to do. Called after everything that happens
    /// to a client that is stopping.
    fn say_goodbye(&mut self, out: &mut Actions<Self>) {
        if let Some(requests) = self.requests.take_if(|requests| requests.is_empty()) {
            let inbox = self.slots.get_mut(usize::from(requests.slot)).and_then(Option::as_mut);
            if let Some(slot) = inbox {
                slot.fetch.close(out);
            }
            self.slots[usize::from(requests.slot)] = None;
        }
        if !self.needs_main() && !self.main.is_idle() {
            self.main.close(out);
        }
    }
}
