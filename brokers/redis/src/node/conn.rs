//! What the node knows of a connection.

use std::sync::Arc;

use broker_contract::Time;

use super::RedisConfig;
use super::acl::UserId;
use super::topic::Link;
use super::transaction::Transaction;
use crate::frame::{Kind, Proto, Verb};

/// States in which a command does not simply run and answer; bits of
/// [`Conn::gates`]. A publisher that has none of them takes the short way.
pub(super) mod gate {
    /// It has not proved who it is. Whether it has to is another question.
    pub const UNPROVEN: u8 = 1;
    /// Its user may not do everything.
    pub const GUARDED: u8 = 1 << 1;
    /// It is in a transaction.
    pub const MULTI: u8 = 1 << 2;
    /// It wants no replies.
    pub const OFF: u8 = 1 << 3;
    /// It wants no reply to the present command.
    pub const SKIP: u8 = 1 << 4;
    /// It wants no reply to the next command.
    pub const SKIP_NEXT: u8 = 1 << 5;
    /// It ends when the present command is done.
    pub const CLOSING: u8 = 1 << 6;
    /// Any of those in which it hears no reply.
    pub const SILENT: u8 = OFF | SKIP;
}

/// What a client said about itself that the bus keeps and does not use.
pub(super) mod mark {
    /// CLIENT NO-EVICT ON.
    pub const NO_EVICT: u8 = 1;
    /// CLIENT NO-TOUCH ON.
    pub const NO_TOUCH: u8 = 1 << 1;
}

/// One connection. Small, because there may be a million of them.
#[derive(Debug)]
pub(super) struct Conn {
    /// What CLIENT ID answers; 0 while the slot is closed.
    pub id: u64,
    /// Bytes sent and not yet taken by the transport.
    pub pending: u64,
    /// Since when it has been over the soft limit; [`Time::MAX`] for not.
    pub soft_since: Time,
    /// When the last command came.
    pub last_active: Time,
    /// Its subscriptions of all kinds, oldest first, with holes.
    pub links: Vec<Link>,
    /// What few connections have.
    pub extra: Option<Box<Extra>>,
    /// Channels it is subscribed to.
    pub channels: u32,
    /// Patterns it is subscribed to.
    pub patterns: u32,
    /// Sharded channels it is subscribed to.
    pub shards: u32,
    /// The second of the run in which it was opened.
    pub opened_s: u32,
    /// Who it is.
    pub user: UserId,
    /// What it speaks.
    pub proto: Proto,
    /// See [`gate`].
    pub gates: u8,
    /// See [`mark`].
    pub marks: u8,
    /// The database that it selected.
    pub database: u8,
    /// Its last command.
    pub last: Option<Verb>,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// CLIENT SETNAME.
    pub name: Box<[u8]>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Box<[u8]>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Box<[u8]>,
    /// The peer's address.
    pub address: Option<Arc<str>>,
    /// The commands of its transaction.
    pub transaction: Transaction,
}

/// The two kinds of clients that have limits of their own.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Normal,
    PubSub,
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

impl Default for Conn {
    fn default() -> Self {
        Conn {
            id: 0,
            pending: 0,
            soft_since: Time::MAX,
            last_active: Time::ZERO,
            links: Vec::new(),
            extra: None,
            channels: 0,
            patterns: 0,
            shards: 0,
            opened_s: 0,
            user: UserId::DEFAULT,
            proto: Proto::Resp2,
            gates: 0,
            marks: 0,
            database: 0,
            last: None,
        }
    }
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

    /// Whether it is in any of the states of `gates`.
    #[inline]
    pub fn is(&self, gates: u8) -> bool {
        self.gates & gates != 0
    }

    /// Whether a PUBLISH runs at once and is answered.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.gates == 0 && !self.is_restricted()
    }

    /// Enters or leaves the states of `gates`.
    pub fn set(&mut self, gates: u8, on: bool) {
        if on {
            self.gates |= gates;
        } else {
            self.gates &= !gates;
        }
    }

    /// Whose limits it has.
    #[inline]
    pub fn class(&self) -> Class {
        if self.has_subscriptions() { Class::PubSub } else { Class::Normal }
    }

    /// What few have, made when it is needed.
    pub fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    /// Its name; empty for none.
    pub fn name(&self) -> &[u8] {
        self.extra.as_ref().map_or(&[], |extra| &extra.name)
    }

    /// Counts `len` more bytes.
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
        let limit = config.limit(self.class());
        let reached = |limit: u64| limit > 0 && self.pending >= limit;
        if reached(limit.hard_bytes) {
            return Verdict::Cut;
        }
        if !reached(limit.soft_bytes) {
            self.soft_since = Time::MAX;
            return Verdict::Fine;
        }
        if self.soft_since == Time::MAX {
            self.soft_since = now;
            return Verdict::SoftBegins;
        }
        Verdict::Fine
    }

    /// The transport took `bytes`.
    #[inline]
    pub fn drained(&mut self, bytes: u64, config: &RedisConfig) {
        self.pending = self.pending.saturating_sub(bytes);
        if self.soft_since != Time::MAX && self.pending < config.limit(self.class()).soft_bytes {
            self.soft_since = Time::MAX;
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
        let opened_s = u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX);
        self.slots[at] = Conn { id: self.last_id, last_active: now, opened_s, ..Conn::default() };
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

    /// Every open connection, by its place.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Conn)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter(|(_, slot)| slot.id != 0).map(|(at, slot)| (at as u32, slot))
    }

    /// Every open connection.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.slots.iter_mut().filter(|slot| slot.id != 0)
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
        let outside = |slot: &Conn| {
            let extra = slot.extra.as_ref().map_or(0, |extra| {
                size_of::<Extra>()
                    + extra.name.len()
                    + extra.lib_name.len()
                    + extra.lib_version.len()
                    + extra.transaction.memory_bytes()
            });
            slot.links.capacity() * size_of::<Link>() + extra
        };
        let outside: usize = self.slots.iter().map(outside).sum();
        (self.slots.capacity() * size_of::<Conn>() + outside) as u64
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
