//! The bus's node: a list of subscriptions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use broker_contract::{
    Boot, BootError, Broker, Cause, CloseReason, ConnId, Effects, Envelope, Frame, Input, NoPeer,
    Time,
};

use super::*;

#[derive(Debug)]
struct Subscription {
    conn: ConnId,
    sid: u64,
    filter: String,
    group: Option<String>,
}

#[derive(Debug)]
pub struct BusNode<const FLAW: u8> {
    /// Pending bytes of each open connection.
    pending: BTreeMap<ConnId, u64>,
    subscriptions: Vec<Subscription>,
    routed: u64,
    /// Where each group's turn has come to.
    turns: BTreeMap<String, u64>,
    held: Option<(ConnId, Down)>,
}

/// What a moody bus depends on besides its inputs.
static MOOD: AtomicU64 = AtomicU64::new(0);

impl<const FLAW: u8> BusNode<FLAW> {
    /// Its open connections, in order.
    pub fn connections(&self) -> impl Iterator<Item = ConnId> {
        self.pending.keys().copied()
    }

    /// Bytes that wait for all of them.
    pub fn pending(&self) -> u64 {
        self.pending.values().sum()
    }

    fn matches(filter: &str, channel: &str) -> bool {
        let mut tokens = channel.split('.');
        let mut filters = filter.split('.').peekable();
        while let Some(part) = filters.next() {
            if part == ">" && filters.peek().is_none() {
                return tokens.next().is_some() || FLAW == TAIL_TAKES_NONE;
            }
            if part == "*" && FLAW == STAR_CROSSES_DOTS && filters.peek().is_none() {
                return tokens.next().is_some();
            }
            match tokens.next() {
                Some(token) if part == "*" || part == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }

    fn send(&mut self, conn: ConnId, frame: Down, out: &mut Effects<Self>) {
        let Some(pending) = self.pending.get_mut(&conn) else {
            if FLAW == SENDS_AFTER_CLOSE {
                out.send(conn, frame);
            }
            return;
        };
        *pending += frame.wire_len() as u64;
        let over = *pending > MAX_PENDING && FLAW != NEVER_CUTS;
        out.send(conn, frame);
        if over {
            out.close(conn, CloseReason::SlowConsumer);
            self.forget(conn);
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.pending.remove(&conn);
        if FLAW != SENDS_AFTER_CLOSE {
            self.subscriptions.retain(|subscription| subscription.conn != conn);
        }
    }

    fn deliver(&mut self, conn: ConnId, sid: u64, message: &Envelope, out: &mut Effects<Self>) {
        self.routed += 1;
        let frame = Down::Message { sid, message: message.clone() };
        match FLAW {
            DROPS if self.routed.is_multiple_of(7) => {
                out.dropped(Cause::Refused, Some(conn), message.payload());
                return;
            }
            DUPLICATES if self.routed.is_multiple_of(7) => self.send(conn, frame.clone(), out),
            SWAPS if self.routed.is_multiple_of(5) && self.held.is_none() => {
                self.held = Some((conn, frame));
                return;
            }
            _ => {}
        }
        self.send(conn, frame, out);
        if let Some((conn, frame)) = self.held.take() {
            self.send(conn, frame, out);
        }
    }

    /// Routes a message and returns whether anybody was there.
    fn route(&mut self, channel: &str, message: &Envelope, out: &mut Effects<Self>) -> bool {
        let mut singles = Vec::new();
        let mut groups: BTreeMap<String, Vec<(ConnId, u64)>> = BTreeMap::new();
        for subscription in &self.subscriptions {
            if Self::matches(&subscription.filter, channel) {
                let target = (subscription.conn, subscription.sid);
                match &subscription.group {
                    Some(group) if FLAW != IGNORES_GROUPS => {
                        groups.entry(group.clone()).or_default().push(target);
                    }
                    _ => singles.push(target),
                }
            }
        }
        for (group, members) in groups {
            let turn = self.turns.entry(group).or_default();
            *turn += 1;
            let mood = if FLAW == IS_MOODY { MOOD.fetch_add(1, Ordering::Relaxed) / 3 } else { 0 };
            singles.push(members[((*turn + mood) % members.len() as u64) as usize]);
        }
        for (conn, sid) in &singles {
            self.deliver(*conn, *sid, message, out);
        }
        !singles.is_empty()
    }
}

impl<const FLAW: u8> Broker for BusNode<FLAW> {
    type Config = ();
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot((): &(), _: Boot, _: Time, _: &mut Effects<Self>) -> Result<Self, BootError> {
        Ok(BusNode {
            pending: BTreeMap::new(),
            subscriptions: Vec::new(),
            routed: 0,
            turns: BTreeMap::new(),
            held: None,
        })
    }

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Opened { conn, .. } => {
                self.pending.insert(conn, 0);
            }
            Input::Closed { conn } => self.forget(conn),
            Input::Drained { conn, bytes } => {
                let pending = self.pending.get_mut(&conn).expect("drained means open");
                *pending = pending.checked_sub(bytes).expect("no more is drained than was sent");
            }
            Input::Frame { conn, frame } => match frame {
                Up::Subscribe { sid, filter, group } => {
                    self.subscriptions.push(Subscription { conn, sid, filter, group });
                    self.send(conn, Down::Done { ticket: sid }, out);
                }
                Up::Unsubscribe { sid } => {
                    self.subscriptions.retain(|sub| (sub.conn, sub.sid) != (conn, sid));
                }
                Up::Publish { channel, reply, headers, payload, ticket } => {
                    let kept =
                        if FLAW == CUTS_SHORT { payload.len().min(9_999) } else { payload.len() };
                    let reply = reply.unwrap_or_default();
                    let message = Envelope::compose(
                        channel.as_bytes(),
                        reply.as_bytes(),
                        &headers,
                        &payload[..kept],
                    );
                    if !self.route(&channel, &message, out) && !reply.is_empty() {
                        self.send(conn, Down::Nobody { ticket }, out);
                    }
                }
                Up::Bye => {
                    self.subscriptions.retain(|subscription| subscription.conn != conn);
                    self.send(conn, Down::Bye, out);
                }
            },
            Input::Peer { msg, .. } => match msg {},
            Input::Malformed { .. } | Input::Synced { .. } | Input::Tick | Input::Drain => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        (FLAW == SPINS).then_some(Time::ZERO)
    }

    fn memory_bytes(&self) -> u64 {
        0
    }
}
