//! COMMAND: the table of commands, for those who ask.

use broker_contract::{Effects, Time};

use super::connection::SYNTAX;
use super::options::is;
use crate::frame::verb::category;
use crate::frame::{Proto, Reply, Text, Verb};
use crate::glob;
use crate::node::Redis;

impl Redis {
    pub(super) fn commands(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let proto = self.conns.get(conn).proto;
        let whole = |proto| Reply::Array(top_level().map(|verb| described(proto, verb)).collect());
        let reply = match (verb, args) {
            (Verb::CommandCount, _) => Reply::Integer(top_level().count() as i64),
            (Verb::CommandInfo, [_, ..]) => {
                let one = |name: &Text| match Verb::find(name) {
                    Some(verb) => described(proto, verb),
                    None => Reply::Null(proto),
                };
                Reply::Array(args.iter().map(one).collect())
            }
            (Verb::CommandDocs, []) => {
                Reply::Map(proto, top_level().map(|verb| documented(proto, verb)).collect())
            }
            (Verb::CommandDocs, names) => {
                let known = names.iter().filter_map(|name| Verb::find(name));
                Reply::Map(proto, known.map(|verb| documented(proto, verb)).collect())
            }
            (Verb::CommandList, args) => match listed(args) {
                Some(verbs) => {
                    Reply::Array(verbs.into_iter().map(|verb| Reply::bulk(verb.name())).collect())
                }
                None => return self.error(now, conn, SYNTAX, out),
            },
            _ => whole(proto),
        };
        self.reply(now, conn, reply, out);
    }
}

fn top_level() -> impl Iterator<Item = Verb> {
    Verb::all().filter(|verb| verb.parent().is_none())
}

/// `[FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`.
fn listed(args: &[Text]) -> Option<Vec<Verb>> {
    let all = Verb::all();
    match args {
        [] => Some(all.collect()),
        [filter, kind, value] if is(filter, "filterby") => match () {
            () if is(kind, "module") => Some(Vec::new()),
            () if is(kind, "aclcat") => {
                let bit = category(value).map_or(0, |at| 1 << at);
                Some(all.filter(|verb| verb.categories() & bit != 0).collect())
            }
            () if is(kind, "pattern") => {
                let pattern = value.to_ascii_lowercase();
                let matching = |verb: &Verb| glob::matches(&pattern, verb.name().as_bytes());
                Some(all.filter(matching).collect())
            }
            () => None,
        },
        _ => None,
    }
}

/// First and last key and the step between keys, for what takes keys or sharded
/// channels, which cluster clients treat as keys.
fn keys(verb: Verb) -> Option<(i64, i64, i64)> {
    match verb {
        Verb::SSubscribe | Verb::SUnsubscribe | Verb::Watch => Some((1, -1, 1)),
        Verb::SPublish => Some((1, 1, 1)),
        _ => None,
    }
}

/// What a client may want to know before it relies on an answer.
fn tips(verb: Verb) -> &'static [&'static str] {
    match verb {
        Verb::Ping => &["request_policy:all_shards", "response_policy:all_succeeded"],
        Verb::ClientInfo | Verb::ClientList | Verb::Time => &["nondeterministic_output"],
        Verb::Info => {
            &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]
        }
        Verb::ConfigSet => &["request_policy:all_nodes", "response_policy:all_succeeded"],
        Verb::Command | Verb::CommandDocs | Verb::CommandInfo | Verb::CommandList => {
            &["nondeterministic_output_order"]
        }
        Verb::FlushAll | Verb::FlushDb | Verb::FunctionFlush => {
            &["request_policy:all_shards", "response_policy:all_succeeded"]
        }
        _ => &[],
    }
}

/// A command as COMMAND INFO shows it.
fn described(proto: Proto, verb: Verb) -> Reply {
    let set = |list: Vec<Reply>| Reply::Set(proto, list.into());
    let (first, last, step) = keys(verb).unwrap_or_default();
    Reply::Array(
        [
            Reply::bulk(verb.name()),
            Reply::Integer(i64::from(verb.spec().arity)),
            set(verb.flag_names().map(Reply::Simple).collect()),
            Reply::Integer(first),
            Reply::Integer(last),
            Reply::Integer(step),
            set(verb.category_names().map(Reply::Simple).collect()),
            set(tips(verb).iter().map(Reply::bulk).collect()),
            set(key_spec(proto, verb).into_iter().collect()),
            set(verb.subcommands().map(|verb| described(proto, verb)).collect()),
        ]
        .into(),
    )
}

fn key_spec(proto: Proto, verb: Verb) -> Option<Reply> {
    let (first, last, step) = keys(verb)?;
    let flag = if verb == Verb::Watch { "RO" } else { "not_key" };
    let map = |entries: Vec<(&str, Reply)>| {
        let entries = entries.into_iter().map(|(key, value)| (Reply::bulk(key), value));
        Reply::Map(proto, entries.collect())
    };
    let search = |kind: &str, spec: Reply| map(vec![("type", Reply::bulk(kind)), ("spec", spec)]);
    // Places of keys are counted from the first of them.
    let last = if last < 0 { last } else { last - first };
    Some(map(vec![
        ("flags", Reply::Set(proto, [Reply::Simple(flag)].into())),
        ("begin_search", search("index", map(vec![("index", Reply::Integer(first))]))),
        (
            "find_keys",
            search(
                "range",
                map(vec![
                    ("lastkey", Reply::Integer(last)),
                    ("keystep", Reply::Integer(step)),
                    ("limit", Reply::Integer(0)),
                ]),
            ),
        ),
    ]))
}

/// A command and what COMMAND DOCS says of it.
fn documented(proto: Proto, verb: Verb) -> (Reply, Reply) {
    let spec = verb.spec();
    let mut entries: Vec<(Reply, Reply)> =
        [("summary", spec.summary), ("since", spec.since), ("group", spec.group)]
            .map(|(key, value)| (Reply::bulk(key), Reply::bulk(value)))
            .into();
    let subcommands: Vec<_> = verb.subcommands().map(|verb| documented(proto, verb)).collect();
    if !subcommands.is_empty() {
        entries.push((Reply::bulk("subcommands"), Reply::Map(proto, subcommands.into())));
    }
    (Reply::bulk(verb.name()), Reply::Map(proto, entries.into()))
}
