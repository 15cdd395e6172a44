//! What happens by the clock: pings, write deadlines, the lame duck.

use std::time::Duration;

use broker_contract::{CloseReason, Effects, Note, Time};

use super::Nats;
use super::timers::{Due, LameDuck};
use crate::frame::{Down, ServerError};

/// Connections looked at in one tick; the rest follow in the next.
const BATCH: usize = 1_024;
/// The lame duck closes no more often than this, and then several at once.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

impl Nats {
    pub(super) fn tick(&mut self, now: Time, out: &mut Effects<Self>) {
        for _ in 0..BATCH {
            let Some(due) = self.timers.next_ping(now) else { break };
            self.check_alive(now, due, out);
        }
        for _ in 0..BATCH {
            let Some(due) = self.timers.next_write(now) else { break };
            self.check_progress(now, due, out);
        }
        self.go_on_leaving(now, out);
        self.tick_jetstream(now, out);
    }

    fn check_alive(&mut self, now: Time, due: Due, out: &mut Effects<Self>) {
        let interval = self.config.ping_interval;
        let most = self.config.ping_max;
        let Some(conn) = self.conn(due.conn).filter(|conn| due.is_for(conn.opened)) else {
            return;
        };
        // Whoever sent something within the interval is alive without a ping.
        if now.since(conn.seen) >= interval {
            if conn.pings_out >= most {
                if self.send(now, due.conn, Down::error(ServerError::StaleConnection), out) {
                    self.close(due.conn, CloseReason::Stale, out);
                }
                return;
            }
            conn.pings_out += 1;
            if !self.send(now, due.conn, Down::Ping, out) {
                return;
            }
        }
        if let Some(conn) = self.conn(due.conn) {
            let opened = conn.opened;
            self.timers.ping(now + interval, due.conn, opened);
        }
    }

    fn check_progress(&mut self, now: Time, due: Due, out: &mut Effects<Self>) {
        let allowed = self.config.write_deadline;
        let Some(conn) = self.conn(due.conn).filter(|conn| due.is_for(conn.opened)) else {
            return;
        };
        if conn.pending == 0 {
            conn.watched = false;
            return;
        }
        let at = conn.progress + allowed;
        if at > now {
            let opened = conn.opened;
            self.timers.write(at, due.conn, opened);
        } else {
            out.note(Note::Sometimes("write deadline missed"));
            self.close(due.conn, CloseReason::SlowConsumer, out);
        }
    }

    pub(super) fn begin_lame_duck(&mut self, now: Time) {
        if self.lame_duck.is_some() {
            return;
        }
        let grace = self.config.lame_duck_grace_period;
        self.lame_duck = Some(LameDuck {
            cursor: 0,
            announced: false,
            next: Some(now),
            closing_at: now + grace,
            span: self.config.lame_duck_duration.saturating_sub(grace),
            batch: 1,
            pause: LEAST_PAUSE,
        });
    }

    fn go_on_leaving(&mut self, now: Time, out: &mut Effects<Self>) {
        let open = self.open as usize;
        let Some(leaving) = &mut self.lame_duck else { return };
        if leaving.next.is_none_or(|next| next > now) {
            return;
        }
        if !leaving.announced {
            let from = leaving.cursor;
            let to = (from + BATCH).min(self.conns.len());
            leaving.cursor = to;
            if to == self.conns.len() {
                leaving.announced = true;
                leaving.cursor = 0;
                leaving.next = Some(leaving.closing_at);
                // One after the other over the whole span, or several at a time
                // when there are more connections than milliseconds.
                let slots = (leaving.span.as_millis().max(1) as usize).min(open.max(1));
                leaving.batch = open.div_ceil(slots).max(1);
                leaving.pause = (leaving.span / slots as u32).max(LEAST_PAUSE);
            }
            self.announce(now, from..to, out);
            return;
        }
        let (mut at, batch) = (leaving.cursor, leaving.batch);
        let mut closed = 0;
        while closed < batch && at < self.conns.len() {
            if self.conns[at].is_some() {
                self.close(at as u32, CloseReason::Shutdown, out);
                closed += 1;
            }
            at += 1;
        }
        let over = self.open == 0 || at >= self.conns.len();
        if let Some(leaving) = &mut self.lame_duck {
            leaving.cursor = at;
            leaving.next = (!over).then(|| now + leaving.pause);
        }
    }

    fn announce(&mut self, now: Time, numbers: std::ops::Range<usize>, out: &mut Effects<Self>) {
        for at in numbers {
            let Some(Some(conn)) = self.conns.get(at) else { continue };
            if conn.reads_info {
                let info = self.info(conn.opened, None);
                self.send(now, at as u32, info, out);
            }
        }
    }
}
