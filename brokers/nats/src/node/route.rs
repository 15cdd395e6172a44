//! The way of one message: who has subscribed, and what each is sent.

use broker_contract::{Cause, CloseReason, ConnId, Effects, IDENTITY_LEN, Note, Time};
use rand::Rng;

use super::conn::Conn;
use super::timers::Timers;
use super::{Nats, NatsConfig, Scratch};
use crate::frame::{Down, Message, ServerError, digits, headers};
use crate::index::{Filters, Subscription};
use crate::subject;

/// A queue group on one filter that takes in the subject.
#[derive(Copy, Clone, Debug)]
pub(super) struct Seat {
    group: u32,
    filter: u32,
    /// The group's place among those of the filter.
    place: u32,
    /// Its members there.
    members: u32,
}

/// Room that the digits and blanks of a PUB line take at most, without names.
const LINE_SLACK: u64 = 64;

impl Nats {
    pub(super) fn publish(
        &mut self,
        now: Time,
        number: u32,
        message: Message,
        out: &mut Effects<Self>,
    ) {
        let Some(Some(conn)) = self.conns.get(number as usize) else { return };
        if message.total_len() as u64 > self.config.max_payload {
            return self.violation(now, number, ServerError::MaxPayload, out);
        }
        let names = (message.subject().len() + message.reply().len()) as u64;
        if names + LINE_SLACK > self.config.max_control_line
            && message.control_len() as u64 > self.config.max_control_line
        {
            return self.violation(now, number, ServerError::MaxControlLine, out);
        }
        if message.has_headers() && !conn.headers {
            return self.violation(now, number, ServerError::HeadersNotSupported, out);
        }
        if conn.pedantic || conn.verbose {
            let (pedantic, verbose) = (conn.pedantic, conn.verbose);
            if pedantic
                && !subject::is_valid_literal(message.subject())
                && !self.send(now, number, Down::error(ServerError::InvalidPublishSubject), out)
            {
                return;
            }
            if verbose && !self.send(now, number, Down::Ok, out) {
                return;
            }
        }
        if self.jetstream.is_some() {
            return self.publish_hosted(now, number, message, out);
        }
        let Some(message) = self.route(now, number, message, out) else { return };
        self.nobody_heard(now, number, &message, out);
    }

    /// Says that a message was for nobody.
    pub(super) fn nobody_heard(
        &mut self,
        now: Time,
        number: u32,
        message: &Message,
        out: &mut Effects<Self>,
    ) {
        if message.payload().len() >= IDENTITY_LEN {
            out.dropped(Cause::NoSubscriber, None, message.payload());
        }
        if !message.reply().is_empty() {
            self.no_responders(now, number, message, out);
        }
    }

    /// Sends the message to everybody it is for; gives it back when that is nobody.
    #[inline]
    pub(super) fn route(
        &mut self,
        now: Time,
        from: u32,
        message: Message,
        out: &mut Effects<Self>,
    ) -> Option<Message> {
        self.index.matches(message.subject(), &mut self.scratch.matched);
        if self.scratch.matched.is_empty() {
            return Some(message);
        }
        self.route_matched(now, from, message, out)
    }

    /// Sends the message to everybody on the filters that were found, of which
    /// there is one at least; gives it back when nobody accepted it.
    #[inline]
    pub(super) fn route_matched(
        &mut self,
        now: Time,
        from: u32,
        message: Message,
        out: &mut Effects<Self>,
    ) -> Option<Message> {
        let Scratch { matched, seats, expired, overflowing, .. } = &mut self.scratch;
        let (filters, mut subscriptions) = self.index.parts();
        let full_len = message.delivery_len(false) as u64;
        let plain_len =
            if message.has_headers() { message.delivery_len(true) as u64 } else { full_len };
        let mut delivery = Delivery {
            now,
            from,
            full_len,
            plain_len,
            conns: &mut self.conns,
            timers: &mut self.timers,
            config: &self.config,
            expired,
            overflowing,
            out,
        };
        // The usual case by far: one recipient, who gets the publisher's reference.
        if let [filter] = matched[..]
            && let [id] = *filters.plain(filter)
            && filters.groups(filter).next().is_none()
        {
            let mut whole = Some(message);
            delivery.to(id, subscriptions.get(id), || {
                whole.take().expect("a delivery takes its message once")
            });
            self.clean_up(out);
            return whole;
        }
        let mut sent = false;
        for &filter in matched.iter() {
            for &id in filters.plain(filter) {
                sent |= delivery.to(id, subscriptions.get(id), || message.clone());
            }
            for (place, (group, members)) in filters.groups(filter).enumerate() {
                let (place, members) = (place as u32, members.len() as u32);
                seats.push(Seat { group, filter, place, members });
            }
        }
        if !seats.is_empty() {
            // Members of one group on several filters take part in one draw.
            seats.sort_by_key(|seat| seat.group);
            for group in seats.chunk_by(|a, b| a.group == b.group) {
                let all: u64 = group.iter().map(|seat| u64::from(seat.members)).sum();
                let start = below(&mut self.draw, all);
                // The original's draw: from a random start to the next who accepts.
                let accepted = (0..all).any(|step| {
                    let id = member(filters, group, (start + step) % all);
                    id.is_some_and(|id| delivery.to(id, subscriptions.get(id), || message.clone()))
                });
                sent |= accepted;
            }
            seats.clear();
        }
        self.clean_up(out);
        (!sent).then_some(message)
    }

    #[inline]
    fn clean_up(&mut self, out: &mut Effects<Self>) {
        if !self.scratch.expired.is_empty() || !self.scratch.overflowing.is_empty() {
            self.end_expired_and_overflowing(out);
        }
    }

    /// Ends the subscriptions that have had their last message, and closes the
    /// connections that have too many bytes pending.
    #[cold]
    fn end_expired_and_overflowing(&mut self, out: &mut Effects<Self>) {
        let mut expired = std::mem::take(&mut self.scratch.expired);
        for id in expired.drain(..) {
            let number = self.index.get(id).conn;
            if let Some(Some(conn)) = self.conns.get_mut(number as usize) {
                self.index.remove(id, &mut conn.owned);
            }
        }
        self.scratch.expired = expired;
        let mut overflowing = std::mem::take(&mut self.scratch.overflowing);
        for number in overflowing.drain(..) {
            self.close(number, CloseReason::SlowConsumer, out);
        }
        self.scratch.overflowing = overflowing;
    }

    /// Tells a requester that nobody hears its request, if it wants to know.
    #[cold]
    fn no_responders(
        &mut self,
        now: Time,
        number: u32,
        message: &Message,
        out: &mut Effects<Self>,
    ) {
        let Some(conn) = self.conn(number) else { return };
        if !conn.no_responders {
            return;
        }
        let Scratch { matched, .. } = &mut self.scratch;
        self.index.matches(message.reply(), matched);
        let (filters, mut subscriptions) = self.index.parts();
        let mut ids = matched.iter().flat_map(|filter| filters.plain(*filter));
        let sid = ids.find_map(|id| {
            let subscription = subscriptions.get(*id);
            (subscription.conn == number).then_some(subscription.sid)
        });
        if let Some(sid) = sid {
            let block = headers::no_responders(message.subject());
            let message = Message::new(message.reply(), &[], &block, &[]);
            self.send(now, number, Down::message(sid, false, message), out);
            out.note(Note::Sometimes("no responders"));
        }
    }
}

/// What the deliveries of one message have in common.
struct Delivery<'a> {
    now: Time,
    from: u32,
    /// Bytes of a delivery without the digits of the identifier: with headers,
    /// and to a client that reads none.
    full_len: u64,
    plain_len: u64,
    conns: &'a mut [Option<Conn>],
    timers: &'a mut Timers,
    config: &'a NatsConfig,
    expired: &'a mut Vec<u32>,
    overflowing: &'a mut Vec<u32>,
    out: &'a mut Effects<Nats>,
}

impl Delivery<'_> {
    /// Sends the message through one subscription, unless it does not accept it.
    #[inline]
    fn to(
        &mut self,
        id: u32,
        subscription: &mut Subscription,
        message: impl FnOnce() -> Message,
    ) -> bool {
        let number = subscription.conn;
        let Some(Some(conn)) = self.conns.get_mut(number as usize) else { return false };
        let refuses = conn.overflowing
            || (number == self.from && !conn.echo)
            || subscription.delivered >= subscription.max;
        if refuses {
            return false;
        }
        subscription.delivered += 1;
        if subscription.delivered == subscription.max {
            self.expired.push(id);
        }
        let sid = subscription.sid;
        let plain = !conn.headers;
        let base = if plain { self.plain_len } else { self.full_len };
        let len = base + digits(sid) as u64;
        let frame = Down::Message { sid, plain, len: len as u32, message: message() };
        self.out.send(ConnId(number), frame);
        if !pend(conn, number, self.now, len, self.config, self.timers) {
            // The message was sent, so that whoever throws the pending bytes away
            // names it with the others.
            conn.overflowing = true;
            self.overflowing.push(number);
        }
        true
    }
}

/// Counts bytes that were sent to a connection. Returns whether they are within
/// the limit.
#[inline]
pub(super) fn pend(
    conn: &mut Conn,
    number: u32,
    now: Time,
    len: u64,
    config: &NatsConfig,
    timers: &mut Timers,
) -> bool {
    if conn.pending == 0 {
        conn.progress = now;
        if !conn.watched {
            conn.watched = true;
            timers.write(now + config.write_deadline, number, conn.opened);
        }
    }
    conn.pending += len;
    conn.pending <= config.max_pending
}

/// The `nth` member of a group over all filters.
fn member(filters: Filters<'_>, group: &[Seat], mut nth: u64) -> Option<u32> {
    for seat in group {
        if nth < u64::from(seat.members) {
            let (_, members) = filters.groups(seat.filter).nth(seat.place as usize)?;
            return members.get(nth as usize).copied();
        }
        nth -= u64::from(seat.members);
    }
    None
}

/// A uniform draw below `count`, which is at least 1.
#[inline]
fn below(rng: &mut impl Rng, count: u64) -> u64 {
    // The high half of a product is uniform up to one part in 2^64 / count.
    ((u128::from(rng.next_u64()) * u128::from(count)) >> 64) as u64
}
