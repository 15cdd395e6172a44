//! Everything a client says, but for its messages.

use broker_contract::{Effects, Note, Time};

use super::Nats;
use crate::frame::{ConnectOptions, Down, ServerError, Subscribe, Up};
use crate::subject;

impl Nats {
    #[inline]
    pub(super) fn frame(&mut self, now: Time, number: u32, frame: Up, out: &mut Effects<Self>) {
        let Some(conn) = self.conn(number) else { return };
        conn.seen = now;
        match frame {
            Up::Publish(message) => self.publish(now, number, message, out),
            other => self.command(now, number, other, out),
        }
    }

    fn command(&mut self, now: Time, number: u32, frame: Up, out: &mut Effects<Self>) {
        if frame.control_len() as u64 > self.config.max_control_line {
            return self.violation(now, number, ServerError::MaxControlLine, out);
        }
        match frame {
            Up::Connect(options) => self.connect(now, number, &options, out),
            Up::Subscribe(subscribe) => self.subscribe(now, number, &subscribe, out),
            Up::Unsubscribe { sid, max } => self.unsubscribe(now, number, sid, max, out),
            Up::Ping => self.ping(now, number, out),
            Up::Pong => {
                if let Some(conn) = self.conn(number) {
                    conn.pings_out = 0;
                }
            }
            Up::Publish(message) => self.publish(now, number, message, out),
        }
    }

    fn connect(
        &mut self,
        now: Time,
        number: u32,
        options: &ConnectOptions,
        out: &mut Effects<Self>,
    ) {
        if options.protocol > 1 {
            return self.violation(now, number, ServerError::BadProtocol, out);
        }
        if options.no_responders && !options.headers {
            return self.violation(now, number, ServerError::NoRespondersNeedHeaders, out);
        }
        if let Some(conn) = self.conn(number) {
            conn.apply(options);
        }
        self.confirm(now, number, out);
    }

    fn subscribe(
        &mut self,
        now: Time,
        number: u32,
        subscribe: &Subscribe,
        out: &mut Effects<Self>,
    ) {
        let Subscribe { subject, queue, sid } = subscribe;
        if !subject::is_valid_filter(subject) {
            self.send(now, number, Down::error(ServerError::InvalidSubject), out);
            return;
        }
        let limit = self.config.max_subscriptions;
        let Some(Some(conn)) = self.conns.get_mut(number as usize) else { return };
        if limit > 0 && conn.owned.len >= limit {
            out.note(Note::Sometimes("maximum subscriptions exceeded"));
            self.send(now, number, Down::error(ServerError::MaxSubscriptions), out);
            return;
        }
        // A second SUB with an identifier that is in use changes nothing.
        if self.index.find(number, *sid).is_none() {
            self.index.insert(number, &mut conn.owned, *sid, subject, queue.as_deref());
        }
        self.confirm(now, number, out);
        self.interest_gained(now, subject, out);
    }

    fn unsubscribe(
        &mut self,
        now: Time,
        number: u32,
        sid: u64,
        max: Option<u64>,
        out: &mut Effects<Self>,
    ) {
        if let Some(id) = self.index.find(number, sid)
            && let Some(Some(conn)) = self.conns.get_mut(number as usize)
        {
            let subscription = self.index.get_mut(id);
            match max {
                // The count began with SUB, so it may be over already.
                Some(max) if max > subscription.delivered => subscription.max = max,
                _ => self.index.remove(id, &mut conn.owned),
            }
        }
        self.confirm(now, number, out);
    }

    fn ping(&mut self, now: Time, number: u32, out: &mut Effects<Self>) {
        if !self.send(now, number, Down::Pong, out) {
            return;
        }
        let Some(conn) = self.conn(number) else { return };
        let first = !std::mem::replace(&mut conn.greeted, true);
        if first && conn.reads_info {
            let opened = conn.opened;
            let mut info = self.info(opened, None);
            if let Down::Info(info) = &mut info {
                info.connect_info = true;
            }
            self.send(now, number, info, out);
        }
    }

    /// `+OK`, if the connection is verbose.
    fn confirm(&mut self, now: Time, number: u32, out: &mut Effects<Self>) {
        if self.conn(number).is_some_and(|conn| conn.verbose) {
            self.send(now, number, Down::Ok, out);
        }
    }
}
