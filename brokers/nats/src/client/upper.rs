//! What a library on top of a core client needs of it.
//!
//! The JetStream client is such a library: it has no connection of its own, but
//! subscribes, publishes and is answered through the core client's. The core
//! client keeps what concerns the library in a queue, which the library empties
//! after each input; a client without one has no queue.

use std::collections::VecDeque;

use broker_contract::{Actions, Client, Ticket};

use super::state::{Flush, Owner, State, Sub};
use super::{LINK, NatsClient};
use crate::Nats;
use crate::frame::{Message, Up};

/// What a core client tells the library above it.
#[derive(Debug)]
pub(crate) enum Event {
    /// The connection is in use, and everything is subscribed again.
    Ready,
    /// It was in use, and is lost.
    Lost,
    /// There will be none any more, for this reason.
    Over(&'static str),
    /// A message for a subscription of the library.
    Message {
        /// Which.
        sid: u64,
        /// The message.
        message: Message,
    },
    /// A message to the inbox whose last token begins with a letter.
    Answer {
        /// The message.
        message: Message,
    },
    /// Everything that was sent before [`NatsClient::mark`] has been seen by the
    /// server, and what it sent before it saw that has arrived.
    Flushed(u64),
}

impl NatsClient {
    /// From now on there is a library above, and an inbox for it.
    pub(crate) fn host(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.more().upper.get_or_insert_with(VecDeque::new);
        self.open_inbox(out);
    }

    /// The oldest event for the library above.
    #[inline]
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.more.as_mut()?.upper.as_mut()?.pop_front()
    }

    /// Gives the memory of events that are taken back, when it has become large.
    pub(crate) fn trim(&mut self) {
        if let Some(upper) = self.more.as_mut().and_then(|more| more.upper.as_mut())
            && upper.is_empty()
            && upper.capacity() > 64
        {
            upper.shrink_to(4);
        }
    }

    /// How far the connection is.
    #[inline]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// `_INBOX.<id>.`: a token behind it makes a subject for an answer.
    pub(crate) fn inbox(&mut self) -> &str {
        self.more().requests.prefix()
    }

    /// Subscribes to the inbox that all answers share, the first time.
    pub(crate) fn open_inbox(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        let ready = self.state == State::Ready;
        let more = self.more();
        if more.requests.sid != 0 {
            return;
        }
        let sid = more.next_sid();
        more.requests.sid = sid;
        if ready {
            out.send(LINK, Up::subscribe(more.requests.filter().as_bytes(), None, sid));
        }
    }

    /// A subscription of the library above. It is made again on every new
    /// connection until it is taken back.
    pub(crate) fn listen(
        &mut self,
        filter: &str,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ready = self.state == State::Ready;
        let mut sub = Sub {
            owner: Owner::Upper,
            filter: filter.into(),
            queue: None,
            delivered: 0,
            counted: 0,
            max: None,
            confirmed: true,
        };
        if ready {
            for frame in sub.frames(sid) {
                out.send(LINK, frame);
            }
        }
        self.more().subs.insert(sid, sub);
    }

    /// A number for [`NatsClient::listen`].
    pub(crate) fn next_sid(&mut self) -> u64 {
        self.more().next_sid()
    }

    /// Ends a subscription of the library above at the server. What is on its way
    /// still comes, until [`NatsClient::forget`].
    pub(crate) fn unlisten(&mut self, sid: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.state == State::Ready {
            out.send(LINK, Up::Unsubscribe { sid, max: None });
        }
    }

    /// Forgets a subscription of the library above.
    pub(crate) fn forget(&mut self, sid: u64) {
        self.more().end(sid);
    }

    /// [`Event::Flushed`] follows, unless the connection is lost before.
    pub(crate) fn mark(&mut self, mark: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.flush(Flush::Upper(mark), out);
    }

    /// Ends a subscription of the application after so many deliveries, without an
    /// operation that waits for it.
    pub(crate) fn limit(
        &mut self,
        subscription: Ticket,
        max: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ready = self.state == State::Ready;
        let more = self.more();
        let Some(sid) = more.sids.get(&subscription).copied() else { return };
        let Some(sub) = more.subs.get_mut(&sid) else { return };
        sub.max = Some(max);
        if ready {
            let left = max.saturating_sub(sub.counted);
            out.send(LINK, Up::Unsubscribe { sid, max: Some(left) });
        }
    }
}
