//! Commands, from a client to the node.

use broker_contract::Frame;

use super::size::{bulk, header};
use super::{Body, Kind, Text, Texts};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE; at least one topic.
    Subscribe {
        /// Which namespace.
        kind: Kind,
        /// Channels or patterns.
        topics: Texts,
    },
    /// UNSUBSCRIBE, PUNSUBSCRIBE or SUNSUBSCRIBE.
    Unsubscribe {
        /// Which namespace.
        kind: Kind,
        /// Channels or patterns; none at all stands for every one.
        topics: Texts,
    },
    /// PUBLISH or SPUBLISH.
    Publish {
        /// Whether it is SPUBLISH.
        sharded: bool,
        /// The message.
        body: Body,
    },
    /// PUBSUB and a subcommand.
    PubSub(PubSub),
    /// PING, with or without a text to answer with.
    Ping(Option<Text>),
    /// ECHO.
    Echo(Text),
    /// HELLO with its arguments, which the node reads.
    Hello(Texts),
    /// SELECT with its argument, which the node reads.
    Select(Text),
    /// CLIENT and a subcommand.
    Client(ClientCommand),
    /// QUIT.
    Quit,
    /// RESET.
    Reset,
    /// Anything else: an unknown command or subcommand, or a known one with a
    /// wrong number of arguments.
    Other {
        /// The command as it was written.
        name: Text,
        /// Its arguments.
        args: Texts,
    },
}

/// What PUBSUB is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PubSub {
    /// Channels with subscribers, those that match a pattern if one is given.
    Channels(Option<Text>),
    /// Subscribers of each of these channels, patterns apart.
    NumSub(Texts),
    /// Distinct patterns.
    NumPat,
    /// As `Channels`, for sharded channels.
    ShardChannels(Option<Text>),
    /// As `NumSub`, for sharded channels.
    ShardNumSub(Texts),
    /// The list of subcommands.
    Help,
}

/// What CLIENT is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCommand {
    /// Name this connection; an empty name removes it.
    SetName(Text),
    /// Say its name.
    GetName,
    /// Say its number.
    Id,
}

impl Up {
    /// The command in lower case, subcommand behind a bar, as errors name it;
    /// for [`Up::Other`] the text as given is in the frame.
    pub fn name(&self) -> &'static str {
        match self {
            Up::Subscribe { kind: Kind::Channel, .. } => "subscribe",
            Up::Subscribe { kind: Kind::Pattern, .. } => "psubscribe",
            Up::Subscribe { kind: Kind::Shard, .. } => "ssubscribe",
            Up::Unsubscribe { kind: Kind::Channel, .. } => "unsubscribe",
            Up::Unsubscribe { kind: Kind::Pattern, .. } => "punsubscribe",
            Up::Unsubscribe { kind: Kind::Shard, .. } => "sunsubscribe",
            Up::Publish { sharded: false, .. } => "publish",
            Up::Publish { sharded: true, .. } => "spublish",
            Up::PubSub(PubSub::Channels(_)) => "pubsub|channels",
            Up::PubSub(PubSub::NumSub(_)) => "pubsub|numsub",
            Up::PubSub(PubSub::NumPat) => "pubsub|numpat",
            Up::PubSub(PubSub::ShardChannels(_)) => "pubsub|shardchannels",
            Up::PubSub(PubSub::ShardNumSub(_)) => "pubsub|shardnumsub",
            Up::PubSub(PubSub::Help) => "pubsub|help",
            Up::Ping(_) => "ping",
            Up::Echo(_) => "echo",
            Up::Hello(_) => "hello",
            Up::Select(_) => "select",
            Up::Client(ClientCommand::SetName(_)) => "client|setname",
            Up::Client(ClientCommand::GetName) => "client|getname",
            Up::Client(ClientCommand::Id) => "client|id",
            Up::Quit => "quit",
            Up::Reset => "reset",
            Up::Other { .. } => "other",
        }
    }

    /// Whether a RESP2 connection with subscriptions may send it.
    pub fn allowed_while_subscribed(&self) -> bool {
        matches!(
            self,
            Up::Subscribe { .. } | Up::Unsubscribe { .. } | Up::Ping(_) | Up::Quit | Up::Reset
        )
    }

    /// SUBSCRIBE, PSUBSCRIBE or SSUBSCRIBE of one topic.
    pub fn subscribe(kind: Kind, topic: Text) -> Up {
        Up::Subscribe { kind, topics: Texts::from([topic]) }
    }

    /// UNSUBSCRIBE, PUNSUBSCRIBE or SUNSUBSCRIBE of one topic.
    pub fn unsubscribe(kind: Kind, topic: Text) -> Up {
        Up::Unsubscribe { kind, topics: Texts::from([topic]) }
    }

    /// PUBLISH.
    pub fn publish(channel: &[u8], payload: &[u8]) -> Up {
        Up::Publish { sharded: false, body: Body::new(channel, payload) }
    }
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        // The name is as long on the wire as in errors, where a bar joins the
        // subcommand: two bulk strings instead of one.
        let name = match self {
            Up::Other { name, .. } => bulk(name.len()),
            other => match other.name().split_once('|') {
                None => bulk(other.name().len()),
                Some((command, subcommand)) => bulk(command.len()) + bulk(subcommand.len()),
            },
        };
        let many = |texts: &Texts| texts.iter().map(|text| bulk(text.len())).sum::<usize>();
        let (count, rest) = match self {
            Up::Subscribe { topics, .. } | Up::Unsubscribe { topics, .. } => {
                (1 + topics.len(), many(topics))
            }
            Up::Publish { body, .. } => {
                (3, bulk(body.channel().len()) + bulk(body.payload().len()))
            }
            Up::PubSub(PubSub::Channels(pattern) | PubSub::ShardChannels(pattern)) => {
                pattern.as_ref().map_or((2, 0), |pattern| (3, bulk(pattern.len())))
            }
            Up::PubSub(PubSub::NumSub(list) | PubSub::ShardNumSub(list)) => {
                (2 + list.len(), many(list))
            }
            Up::PubSub(PubSub::NumPat | PubSub::Help)
            | Up::Client(ClientCommand::GetName | ClientCommand::Id) => (2, 0),
            Up::Client(ClientCommand::SetName(name)) => (3, bulk(name.len())),
            Up::Ping(text) => text.as_ref().map_or((1, 0), |text| (2, bulk(text.len()))),
            Up::Echo(text) | Up::Select(text) => (2, bulk(text.len())),
            Up::Hello(args) | Up::Other { args, .. } => (1 + args.len(), many(args)),
            Up::Quit | Up::Reset => (1, 0),
        };
        header(count) + name + rest
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Up::Publish { body, .. } = self {
            visit(body.payload());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{text, texts};
    use super::*;

    /// The command as a client would write it, from its words.
    fn written(words: &[&str]) -> usize {
        let mut out = format!("*{}\r\n", words.len());
        for word in words {
            out += &format!("${}\r\n{word}\r\n", word.len());
        }
        out.len()
    }

    #[test]
    fn commands_are_as_long_as_they_are_written() {
        let long = "x".repeat(1_234);
        let cases: Vec<(Up, Vec<&str>)> = vec![
            (
                Up::Subscribe { kind: Kind::Channel, topics: texts(["a", "bc"]) },
                vec!["SUBSCRIBE", "a", "bc"],
            ),
            (Up::subscribe(Kind::Pattern, text("a.*")), vec!["PSUBSCRIBE", "a.*"]),
            (Up::unsubscribe(Kind::Shard, text("a")), vec!["SUNSUBSCRIBE", "a"]),
            (Up::Unsubscribe { kind: Kind::Channel, topics: texts([""; 0]) }, vec!["UNSUBSCRIBE"]),
            (Up::publish(b"news", long.as_bytes()), vec!["PUBLISH", "news", &long]),
            (Up::Publish { sharded: true, body: Body::new(b"s", b"") }, vec!["SPUBLISH", "s", ""]),
            (Up::PubSub(PubSub::Channels(None)), vec!["PUBSUB", "CHANNELS"]),
            (
                Up::PubSub(PubSub::ShardChannels(Some(text("a*")))),
                vec!["PUBSUB", "SHARDCHANNELS", "a*"],
            ),
            (Up::PubSub(PubSub::NumSub(texts(["a", "b"]))), vec!["PUBSUB", "NUMSUB", "a", "b"]),
            (Up::PubSub(PubSub::NumPat), vec!["PUBSUB", "NUMPAT"]),
            (Up::Ping(None), vec!["PING"]),
            (Up::Ping(Some(text("hello"))), vec!["PING", "hello"]),
            (Up::Echo(text("hello")), vec!["ECHO", "hello"]),
            (Up::Hello(texts(["3", "SETNAME", "me"])), vec!["HELLO", "3", "SETNAME", "me"]),
            (Up::Select(text("15")), vec!["SELECT", "15"]),
            (Up::Client(ClientCommand::SetName(text("me"))), vec!["CLIENT", "SETNAME", "me"]),
            (Up::Client(ClientCommand::Id), vec!["CLIENT", "ID"]),
            (Up::Quit, vec!["QUIT"]),
            (Up::Reset, vec!["RESET"]),
            (Up::Other { name: text("LPUSH"), args: texts(["l", "1"]) }, vec!["LPUSH", "l", "1"]),
        ];
        for (frame, words) in cases {
            assert_eq!(frame.wire_len(), written(&words), "{frame:?}");
        }
    }

    #[test]
    fn only_a_publish_carries_a_payload() {
        let mut seen = Vec::new();
        Up::publish(b"a", b"xyz").payloads(&mut |payload| seen.push(payload.to_vec()));
        Up::Echo(text("no")).payloads(&mut |payload| seen.push(payload.to_vec()));
        assert_eq!(seen, [b"xyz"]);
    }
}
