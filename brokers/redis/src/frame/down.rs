//! Replies and pushes, from the node to a client.

use broker_contract::Frame;

use super::reply::null;
use super::size::{bulk, header, integer};
use super::{Body, Kind, Proto, Reply, Text};

/// Which way a subscription changed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was added, or was there already.
    Subscribe,
    /// It was removed, or was not there.
    Unsubscribe,
}

/// A frame to a client. At most 48 bytes, so that an effect has at most 64.
///
/// Pushes say which protocol they are for: a push begins with `*` in RESP2 and
/// with `>` in RESP3, and a null has another length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// `[message, channel, payload]` or `[smessage, channel, payload]`.
    Message {
        /// The version to encode for.
        proto: Proto,
        /// Whether it came through a sharded channel.
        sharded: bool,
        /// The message.
        body: Body,
    },
    /// `[pmessage, pattern, channel, payload]`.
    PatternMessage {
        /// The version to encode for.
        proto: Proto,
        /// The pattern that matched.
        pattern: Text,
        /// The message.
        body: Body,
    },
    /// `[subscribe, topic, count]` and its five relatives.
    Confirmed {
        /// The version to encode for.
        proto: Proto,
        /// Which way.
        change: Change,
        /// Which namespace.
        kind: Kind,
        /// The channel or pattern; null when there was nothing to unsubscribe.
        topic: Option<Text>,
        /// Channels plus patterns that are left, or sharded channels.
        count: u32,
    },
    /// The answer to any other command.
    Reply(Reply),
    /// `*N`: that many answers follow as frames of their own, with pushes between
    /// them. The answer to EXEC, whose parts are no single value.
    Answers(u32),
}

impl From<Reply> for Down {
    fn from(reply: Reply) -> Down {
        Down::Reply(reply)
    }
}

impl Down {
    /// The first word of a confirmation.
    pub fn confirmation_name(change: Change, kind: Kind) -> &'static str {
        match (change, kind) {
            (Change::Subscribe, Kind::Channel) => "subscribe",
            (Change::Subscribe, Kind::Pattern) => "psubscribe",
            (Change::Subscribe, Kind::Shard) => "ssubscribe",
            (Change::Unsubscribe, Kind::Channel) => "unsubscribe",
            (Change::Unsubscribe, Kind::Pattern) => "punsubscribe",
            (Change::Unsubscribe, Kind::Shard) => "sunsubscribe",
        }
    }
}

/// The length of a message push, which both protocol versions share.
#[inline]
pub(crate) fn message_len(sharded: bool, body: &Body) -> usize {
    header(3)
        + bulk("message".len() + usize::from(sharded))
        + bulk(body.channel().len())
        + bulk(body.payload().len())
}

/// The length of a pattern's push, which both protocol versions share.
#[inline]
pub(crate) fn pattern_message_len(pattern: &[u8], body: &Body) -> usize {
    header(4)
        + bulk("pmessage".len())
        + bulk(pattern.len())
        + bulk(body.channel().len())
        + bulk(body.payload().len())
}

impl Frame for Down {
    #[inline]
    fn wire_len(&self) -> usize {
        match self {
            Down::Message { sharded, body, .. } => message_len(*sharded, body),
            Down::PatternMessage { pattern, body, .. } => pattern_message_len(pattern, body),
            Down::Confirmed { proto, change, kind, topic, count } => {
                header(3)
                    + bulk(Down::confirmation_name(*change, *kind).len())
                    + topic.as_ref().map_or_else(|| null(*proto), |topic| bulk(topic.len()))
                    + integer(i64::from(*count))
            }
            Down::Reply(reply) => reply.wire_len(),
            Down::Answers(count) => header(*count as usize),
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        match self {
            Down::Message { body, .. } | Down::PatternMessage { body, .. } => visit(body.payload()),
            Down::Confirmed { .. } | Down::Reply(_) | Down::Answers(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn frames_are_as_long_as_they_are_written() {
        let body = Body::new(b"news", b"hello world");
        let confirmed = |proto, topic: Option<&str>, count| Down::Confirmed {
            proto,
            change: Change::Unsubscribe,
            kind: Kind::Channel,
            topic: topic.map(text),
            count,
        };
        let map = |proto| {
            Down::Reply(Reply::Map(
                proto,
                (0..7).map(|_| (Reply::bulk("proto"), Reply::Integer(3))).collect(),
            ))
        };
        let pair = "$5\r\nproto\r\n:3\r\n".repeat(7);
        let (map2, map3) = (format!("*14\r\n{pair}"), format!("%7\r\n{pair}"));
        let cases: Vec<(Down, &str)> = vec![
            (
                Down::Message { proto: Proto::Resp2, sharded: false, body: body.clone() },
                "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$11\r\nhello world\r\n",
            ),
            (
                Down::Message { proto: Proto::Resp3, sharded: true, body: body.clone() },
                ">3\r\n$8\r\nsmessage\r\n$4\r\nnews\r\n$11\r\nhello world\r\n",
            ),
            (
                Down::PatternMessage { proto: Proto::Resp3, pattern: text("n*"), body },
                ">4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$11\r\nhello world\r\n",
            ),
            (
                confirmed(Proto::Resp2, Some("a"), 12),
                "*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:12\r\n",
            ),
            (confirmed(Proto::Resp2, None, 0), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"),
            (confirmed(Proto::Resp3, None, 0), ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"),
            (Reply::Simple("OK").into(), "+OK\r\n"),
            (Reply::Error("ERR no".into()).into(), "-ERR no\r\n"),
            (Reply::Integer(-10).into(), ":-10\r\n"),
            (Reply::bulk("x").into(), "$1\r\nx\r\n"),
            (Reply::Null(Proto::Resp2).into(), "$-1\r\n"),
            (Reply::Null(Proto::Resp3).into(), "_\r\n"),
            (
                Reply::Array([Reply::bulk("pong"), Reply::bulk("")].into()).into(),
                "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
            ),
            (Down::Answers(12), "*12\r\n"),
            (Reply::verbatim(Proto::Resp2, "hello").into(), "$5\r\nhello\r\n"),
            (Reply::verbatim(Proto::Resp3, "hello").into(), "=9\r\ntxt:hello\r\n"),
            (Reply::Double(Proto::Resp2, text("1.5")).into(), "$3\r\n1.5\r\n"),
            (Reply::Double(Proto::Resp3, text("1.5")).into(), ",1.5\r\n"),
            (Reply::Set(Proto::Resp3, [Reply::Simple("on")].into()).into(), "~1\r\n+on\r\n"),
            (map(Proto::Resp2), &map2),
            (map(Proto::Resp3), &map3),
        ];
        for (frame, written) in cases {
            assert_eq!(frame.wire_len(), written.len(), "{frame:?}");
        }
    }

    #[test]
    fn frames_stay_small() {
        assert!(size_of::<Down>() <= 48, "{}", size_of::<Down>());
    }
}
