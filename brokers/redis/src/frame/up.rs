//! Commands, from a client to the node.

use broker_contract::Frame;

use super::size::{bulk, header};
use super::{Body, Kind, Text, Texts, Verb, text};

/// A command.
///
/// What this crate's own client sends has a variant of its own; everything else
/// that exists is a [`Up::Call`], whose arguments the node reads.
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
    /// PING, with or without a text to answer with.
    Ping(Option<Text>),
    /// HELLO with its arguments.
    Hello(Texts),
    /// QUIT; whatever its arguments are, they are of no interest.
    Quit,
    /// Any other command of the table, with a number of arguments that it takes.
    Call {
        /// Which.
        verb: Verb,
        /// Its arguments, behind the subcommand if it is one.
        args: Texts,
    },
    /// Anything else: an unknown command or subcommand, or a known one with a
    /// wrong number of arguments.
    Other {
        /// The command as it was written.
        name: Text,
        /// Its arguments.
        args: Texts,
    },
}

impl Up {
    /// Which command it is; `None` for what is none.
    pub fn verb(&self) -> Option<Verb> {
        Some(match self {
            Up::Subscribe { kind: Kind::Channel, .. } => Verb::Subscribe,
            Up::Subscribe { kind: Kind::Pattern, .. } => Verb::PSubscribe,
            Up::Subscribe { kind: Kind::Shard, .. } => Verb::SSubscribe,
            Up::Unsubscribe { kind: Kind::Channel, .. } => Verb::Unsubscribe,
            Up::Unsubscribe { kind: Kind::Pattern, .. } => Verb::PUnsubscribe,
            Up::Unsubscribe { kind: Kind::Shard, .. } => Verb::SUnsubscribe,
            Up::Publish { sharded: false, .. } => Verb::Publish,
            Up::Publish { sharded: true, .. } => Verb::SPublish,
            Up::Ping(_) => Verb::Ping,
            Up::Hello(_) => Verb::Hello,
            Up::Quit => Verb::Quit,
            Up::Call { verb, .. } => *verb,
            Up::Other { .. } => return None,
        })
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

    /// The command as words, its name first: what an encoder writes.
    pub fn words(&self) -> Vec<Text> {
        let mut words: Vec<Text> = match self {
            Up::Other { name, .. } => vec![name.clone()],
            other => other.own_name().split('|').map(|word| text(word.as_bytes())).collect(),
        };
        match self {
            Up::Subscribe { topics, .. } | Up::Unsubscribe { topics, .. } => {
                words.extend(topics.iter().cloned());
            }
            Up::Publish { body, .. } => words.extend([text(body.channel()), text(body.payload())]),
            Up::Ping(text) => words.extend(text.clone()),
            Up::Hello(args) | Up::Call { args, .. } | Up::Other { args, .. } => {
                words.extend(args.iter().cloned());
            }
            Up::Quit => {}
        }
        words
    }

    fn own_name(&self) -> &'static str {
        self.verb().map_or("", Verb::name)
    }
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        // The name is as long on the wire as in errors, where a bar joins the
        // subcommand: two bulk strings instead of one.
        let (words, name) = match self {
            Up::Other { name, .. } => (1, bulk(name.len())),
            other => match other.own_name().split_once('|') {
                None => (1, bulk(other.own_name().len())),
                Some((command, subcommand)) => (2, bulk(command.len()) + bulk(subcommand.len())),
            },
        };
        let many = |texts: &Texts| texts.iter().map(|text| bulk(text.len())).sum::<usize>();
        let (more, rest) = match self {
            Up::Subscribe { topics: args, .. }
            | Up::Unsubscribe { topics: args, .. }
            | Up::Hello(args)
            | Up::Call { args, .. }
            | Up::Other { args, .. } => (args.len(), many(args)),
            Up::Publish { body, .. } => {
                (2, bulk(body.channel().len()) + bulk(body.payload().len()))
            }
            Up::Ping(text) => text.as_ref().map_or((0, 0), |text| (1, bulk(text.len()))),
            Up::Quit => (0, 0),
        };
        header(words + more) + name + rest
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
        let call = |verb, args: &[&str]| Up::Call { verb, args: texts(args) };
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
            (call(Verb::PubSubChannels, &[]), vec!["PUBSUB", "CHANNELS"]),
            (call(Verb::PubSubNumSub, &["a", "b"]), vec!["PUBSUB", "NUMSUB", "a", "b"]),
            (Up::Ping(None), vec!["PING"]),
            (Up::Ping(Some(text("hello"))), vec!["PING", "hello"]),
            (call(Verb::Echo, &["hello"]), vec!["ECHO", "hello"]),
            (Up::Hello(texts(["3", "SETNAME", "me"])), vec!["HELLO", "3", "SETNAME", "me"]),
            (call(Verb::ClientSetName, &["me"]), vec!["CLIENT", "SETNAME", "me"]),
            (Up::Quit, vec!["QUIT"]),
            (Up::Other { name: text("LPUSH"), args: texts(["l", "1"]) }, vec!["LPUSH", "l", "1"]),
        ];
        for (frame, words) in cases {
            assert_eq!(frame.wire_len(), written(&words), "{frame:?}");
            let own: Vec<String> = frame
                .words()
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            assert!(own.iter().zip(&words).all(|(own, word)| own.eq_ignore_ascii_case(word)));
            assert_eq!(own.len(), words.len(), "{frame:?}");
        }
    }

    #[test]
    fn only_a_publish_carries_a_payload() {
        let mut seen = Vec::new();
        Up::publish(b"a", b"xyz").payloads(&mut |payload| seen.push(payload.to_vec()));
        Up::Ping(Some(text("no"))).payloads(&mut |payload| seen.push(payload.to_vec()));
        assert_eq!(seen, [b"xyz"]);
    }
}
