//! What the node knows of a connection.

use broker_contract::Time;

use super::RedisConfig;
use super::topic::Link;
use crate::frame::{Kind, Proto};

/// One connection. Small, because there may be a million of them.
#[derive(Debug, Default)]
pub(super) struct Conn {
    /// What CLIENT ID answers; 0 while the slot is closed.
    pub id: u64,
    /// Bytes sent and not yet taken by the transport.
    pending: u64,
    /// Since when it has been over the soft limit.
    pub soft_since: Option<Time>,
    /// When the last command came; kept only while there is an idle timeout.
    pub last_active: Time,
    /// Its subscriptions of all kinds, oldest first, with holes.
    pub links: Vec<Link>,
    /// Channels it is subscribed to.
    pub channels: u32,
    /// Patterns it is subscribed to.
    pub patterns: u32,
    /// Sharded channels it is subscribed to.
    pub shards: u32,
    /// What it speaks.
    pub proto: Proto,
}

/// What a connection's buffer says to more bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is room.
    Fine,
    /// It has just gone over the soft limit.
    SoftBegins,
    /// It is to be closed.
    Cut,
}

impl Conn {
    /// Subscriptions of all kinds.
    #[inline]
    pub fn subscriptions(&self) -> u32 {
        self.channels + self.patterns + self.shards
    }

    /// Whether it counts as a subscriber: for limits, timeouts and RESP2's rules.
    #[inline]
    pub fn has_subscriptions(&self) -> bool {
        self.subscriptions() > 0
    }

    /// Whether it may do little else than subscribe and unsubscribe.
    #[inline]
    pub fn is_restricted(&self) -> bool {
        self.proto == Proto::Resp2 && self.has_subscriptions()
    }

    /// Counts `len` more bytes. The limits are those of subscribers; ordinary
    /// clients have none, as by the original's default.
    #[inline]
    pub fn pend(&mut self, len: u64, now: Time, config: &RedisConfig) -> Verdict {
        self.pend_until(config.alert(), len, now, config)
    }

    /// The same for many connections in a row; `alert` is the configuration's.
    #[inline]
    pub fn pend_until(&mut self, alert: u64, len: u64, now: Time, config: &RedisConfig) -> Verdict {
        self.pending += len;
        if self.pending < alert { Verdict::Fine } else { self.over(now, config) }
    }

    /// One of the limits is reached.
    #[cold]
    fn over(&mut self, now: Time, config: &RedisConfig) -> Verdict {
        let reached = |limit: u64| limit > 0 && self.pending >= limit;
        if !self.has_subscriptions() {
            return Verdict::Fine;
        }
        if reached(config.pubsub_hard_bytes) {
            return Verdict::Cut;
        }
        if !reached(config.pubsub_soft_bytes) {
            return Verdict::Fine;
        }
        if self.soft_since.is_none() {
            self.soft_since = Some(now);
            return Verdict::SoftBegins;
        }
        Verdict::Fine
    }

    /// The transport took `bytes`.
    #[inline]
    pub fn drained(&mut self, bytes: u64, soft: u64) {
        self.pending = self.pending.saturating_sub(bytes);
        if self.pending < soft {
            self.soft_since = None;
        }
    }

    /// The count of one kind.
    pub fn count_mut(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }
}

/// All connections, by their number.
#[derive(Debug, Default)]
pub(super) struct Conns {
    slots: Vec<Conn>,
    open: u32,
    last_id: u64,
}

impl Conns {
    /// Opens `conn` and gives it a number of its own.
    pub fn open(&mut self, conn: u32, now: Time) -> u64 {
        let at = conn as usize;
        if at >= self.slots.len() {
            // Growing by an eighth instead of doubling keeps a million idle
            // connections from paying for a million that never come.
            let missing = at + 1 - self.slots.len();
            if self.slots.capacity() <= at {
                self.slots.reserve_exact(missing.max(self.slots.len() / 8).max(16));
            }
            self.slots.resize_with(at + 1, Conn::default);
        }
        if self.slots[at].id == 0 {
            self.open += 1;
        }
        self.last_id += 1;
        self.slots[at] = Conn { id: self.last_id, last_active: now, ..Conn::default() };
        self.last_id
    }

    /// Closes an open `conn`, whose subscriptions are gone already.
    pub fn close(&mut self, conn: u32) {
        self.slots[conn as usize] = Conn::default();
        self.open -= 1;
    }

    #[inline]
    pub fn is_open(&self, conn: u32) -> bool {
        self.slots.get(conn as usize).is_some_and(|slot| slot.id != 0)
    }

    /// The connection `conn`, if it is still the one with number `id`.
    pub fn open_as(&self, conn: u32, id: u64) -> Option<&Conn> {
        self.slots.get(conn as usize).filter(|slot| slot.id == id)
    }

    /// The connection `conn`, if it is open.
    #[inline]
    pub fn open_mut(&mut self, conn: u32) -> Option<&mut Conn> {
        self.slots.get_mut(conn as usize).filter(|slot| slot.id != 0)
    }

    /// An open connection.
    #[inline]
    pub fn get(&self, conn: u32) -> &Conn {
        &self.slots[conn as usize]
    }

    /// An open connection.
    #[inline]
    pub fn get_mut(&mut self, conn: u32) -> &mut Conn {
        &mut self.slots[conn as usize]
    }

    /// Connections that are open.
    pub fn open_count(&self) -> u32 {
        self.open
    }

    /// One more than the highest number seen.
    pub fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    pub fn memory_bytes(&self) -> u64 {
        let links: usize = self.slots.iter().map(|slot| slot.links.capacity()).sum();
        (self.slots.capacity() * size_of::<Conn>() + links * size_of::<Link>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Conn>() <= 88, "{}", size_of::<Conn>());
        let mut conns = Conns::default();
        for conn in 0..100_000 {
            conns.open(conn, Time::ZERO);
        }
        let each = conns.memory_bytes() / 100_000;
        assert!(each <= 120, "{each} bytes for each idle connection");
    }
}
