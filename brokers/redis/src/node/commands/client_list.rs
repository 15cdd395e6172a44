//! CLIENT INFO, CLIENT LIST and CLIENT KILL: connections as others see them.
//!
//! What only a transport knows (file descriptors, input buffers) is not listed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use broker_contract::{Effects, Time};

use super::connection::SYNTAX;
use super::options::{integer, is, lossy};
use crate::frame::{Reply, Text};
use crate::node::Redis;
use crate::node::acl::UserId;
use crate::node::conn::{Class, Conn, gate, mark};

/// What the original prints for an address that it cannot find out.
const NO_ADDRESS: &str = "?:0";

/// Which connections are meant; every filter that is given has to fit.
#[derive(Default)]
struct Filters<'a> {
    ids: Option<Vec<u64>>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    user: Option<UserId>,
    /// The outer option is whether it was given; replicas and masters, which
    /// there are none of, are the inner `None`.
    class: Option<Option<Class>>,
}

impl Filters<'_> {
    fn fit(&self, conn: &Conn) -> bool {
        self.ids.as_ref().is_none_or(|ids| ids.contains(&conn.id))
            && self.address.is_none_or(|address| address_of(conn).as_bytes() == address)
            && self.local_address.is_none_or(|address| NO_ADDRESS.as_bytes() == address)
            && self.user.is_none_or(|user| conn.user == user)
            && self.class.is_none_or(|class| class == Some(conn.class()))
    }
}

impl Redis {
    /// `CLIENT LIST [TYPE type] [ID id ...]`.
    pub(super) fn client_list(
        &mut self,
        now: Time,
        conn: u32,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let mut filters = Filters::default();
        match args {
            [] => {}
            [word, class] if is(word, "type") => match read_class(class) {
                Ok(class) => filters.class = Some(class),
                Err(text) => return self.error(now, conn, &text, out),
            },
            [word, ids @ ..] if is(word, "id") && !ids.is_empty() => {
                let ids: Option<Vec<i64>> = ids.iter().map(|id| integer(id)).collect();
                let Some(ids) = ids else {
                    return self.error(now, conn, "ERR Invalid client ID", out);
                };
                // As often as they are named, and in that order.
                let by_id: BTreeMap<u64, u32> =
                    self.conns.iter().map(|(at, state)| (state.id, at)).collect();
                let named = ids.iter().filter_map(|id| by_id.get(&u64::try_from(*id).ok()?));
                let named: Vec<u32> = named.copied().collect();
                return self.describe_all(now, conn, &named, out);
            }
            _ => return self.error(now, conn, SYNTAX, out),
        }
        let mut meant: Vec<(u64, u32)> = Vec::new();
        for (at, state) in self.conns.iter().filter(|(_, state)| filters.fit(state)) {
            meant.push((state.id, at));
        }
        // Places are used again, so their order is not that of arrival.
        meant.sort_unstable();
        let meant: Vec<u32> = meant.into_iter().map(|(_, at)| at).collect();
        self.describe_all(now, conn, &meant, out);
    }

    fn describe_all(&mut self, now: Time, conn: u32, meant: &[u32], out: &mut Effects<Self>) {
        let mut list = String::new();
        for at in meant {
            list += &self.describe(now, *at);
            list.push('\n');
        }
        let proto = self.conns.get(conn).proto;
        self.reply(now, conn, Reply::verbatim(proto, list), out);
    }

    /// `CLIENT KILL address`, or filters with their values.
    pub(super) fn client_kill(
        &mut self,
        now: Time,
        conn: u32,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        if let [address] = args {
            let filters = Filters { address: Some(address), ..Filters::default() };
            if self.kill_those(conn, &filters, false, out) > 0 {
                self.ok(now, conn, out);
            } else {
                self.error(now, conn, "ERR No such client", out);
            }
            return;
        }
        let (filters, spare_me) = match self.read_filters(args) {
            Ok(read) => read,
            Err(text) => return self.error(now, conn, &text, out),
        };
        let killed = self.kill_those(conn, &filters, spare_me, out);
        self.reply(now, conn, Reply::Integer(killed), out);
    }

    fn read_filters<'a>(&self, args: &'a [Text]) -> Result<(Filters<'a>, bool), String> {
        let mut filters = Filters::default();
        let mut spare_me = true;
        let (pairs, rest) = args.as_chunks::<2>();
        if !rest.is_empty() {
            // Filters before it may have a mistake of their own, which comes first.
            self.read_filters(pairs.as_flattened())?;
            return Err(SYNTAX.to_owned());
        }
        for [word, value] in pairs {
            if is(word, "id") {
                let id = read_id(value).ok_or("ERR client-id should be greater than 0")?;
                filters.ids = Some(vec![id]);
            } else if is(word, "type") {
                filters.class = Some(read_class(value)?);
            } else if is(word, "addr") {
                filters.address = Some(value);
            } else if is(word, "laddr") {
                filters.local_address = Some(value);
            } else if is(word, "user") {
                let user = self.users.find(value);
                filters.user =
                    Some(user.ok_or_else(|| format!("ERR No such user '{}'", lossy(value)))?);
            } else if is(word, "skipme") && (is(value, "yes") || is(value, "no")) {
                spare_me = is(value, "yes");
            } else {
                return Err(SYNTAX.to_owned());
            }
        }
        Ok((filters, spare_me))
    }

    fn kill_those(
        &mut self,
        conn: u32,
        filters: &Filters<'_>,
        spare_me: bool,
        out: &mut Effects<Self>,
    ) -> i64 {
        let meant = self
            .conns
            .iter()
            .filter(|(at, state)| filters.fit(state) && !(spare_me && *at == conn));
        let meant: Vec<u32> = meant.map(|(at, _)| at).collect();
        for at in &meant {
            self.kill(conn, *at, out);
        }
        meant.len() as i64
    }

    /// A connection in a line.
    pub(super) fn describe(&self, now: Time, conn: u32) -> String {
        let state = self.conns.get(conn);
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let extra = state.extra.as_ref();
        // The commands of a transaction that is carried out are still its own.
        let executing = self.executing.filter(|(at, _)| *at == conn);
        let queued = match extra {
            _ if executing.is_some() => executing.map_or(0, |(_, count)| i64::from(count)),
            Some(extra) if state.is(gate::MULTI) => extra.transaction.commands.len() as i64,
            _ if state.is(gate::MULTI) => 0,
            _ => -1,
        };
        let age = (now.as_nanos() / 1_000_000_000).saturating_sub(u64::from(state.opened_s));
        let idle = now.since(state.last_active).as_secs();
        let mut line = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={NO_ADDRESS} fd=-1 name={} age={age} idle={idle} flags={} db={} \
             sub={} psub={} ssub={} multi={queued} omem={} events=r cmd={} user={} redir=-1 \
             resp={} lib-name={} lib-ver={}",
            state.id,
            address_of(state),
            lossy(state.name()),
            flags(state, executing.is_some()),
            state.database,
            state.channels,
            state.patterns,
            state.shards,
            state.pending,
            state.last.map_or("NULL", crate::frame::Verb::name),
            lossy(&self.users.get(state.user).name),
            state.proto.number(),
            extra.map(|extra| lossy(&extra.lib_name)).unwrap_or_default(),
            extra.map(|extra| lossy(&extra.lib_version)).unwrap_or_default(),
        );
        line
    }
}

fn address_of(conn: &Conn) -> &str {
    let address = conn.extra.as_ref().and_then(|extra| extra.address.as_deref());
    address.unwrap_or(NO_ADDRESS)
}

fn flags(conn: &Conn, executing: bool) -> String {
    let mut flags = String::new();
    let mut add = |flag: char, on: bool| {
        if on {
            flags.push(flag);
        }
    };
    add('P', conn.class() == Class::PubSub);
    add('x', conn.is(gate::MULTI) || executing);
    add('c', conn.is(gate::CLOSING));
    add('e', conn.marks & mark::NO_EVICT != 0);
    add('T', conn.marks & mark::NO_TOUCH != 0);
    if flags.is_empty() {
        flags.push('N');
    }
    flags
}

fn read_id(text: &[u8]) -> Option<u64> {
    integer(text).filter(|id| *id > 0).and_then(|id| u64::try_from(id).ok())
}

/// A kind of clients; `None` inside for one that this node has none of.
fn read_class(name: &[u8]) -> Result<Option<Class>, String> {
    match () {
        () if is(name, "normal") => Ok(Some(Class::Normal)),
        () if is(name, "pubsub") => Ok(Some(Class::PubSub)),
        () if is(name, "master") || is(name, "replica") || is(name, "slave") => Ok(None),
        () => Err(format!("ERR Unknown client type '{}'", lossy(name))),
    }
}
