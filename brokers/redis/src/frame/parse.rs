//! From the words of a command to its frame.

use super::verb::flag;
use super::{Body, Kind, Texts, Up, Verb, text, texts};

/// Why words are no command.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no such command.
    Unknown,
    /// The command has no such subcommand.
    Subcommand(Verb),
    /// It does not take this number of arguments.
    Arity(Verb),
}

/// The command that `name` and `args` are, and how many words name it.
///
/// # Errors
/// [`Mistake`] when they are none, from which the original's error follows.
pub fn resolve<A: AsRef<[u8]>>(name: &[u8], args: &[A]) -> Result<(Verb, usize), Mistake> {
    // A bar joins a subcommand in errors and lists only.
    let known = Verb::find(name).filter(|verb| verb.parent().is_none());
    let verb = known.ok_or(Mistake::Unknown)?;
    let words = 1 + args.len();
    let (verb, named_by) = match args.first() {
        Some(word) if verb.has(flag::CONTAINER) => {
            let found = verb.subcommand(word.as_ref());
            (found.ok_or(Mistake::Subcommand(verb))?, 2)
        }
        _ => (verb, 1),
    };
    if verb.takes(words) { Ok((verb, named_by)) } else { Err(Mistake::Arity(verb)) }
}

impl Up {
    /// The command that a list of words is, its name first; an inline command and
    /// an array of bulk strings are the same here. Takes any bytes: what is no
    /// command becomes [`Up::Other`], which the node answers with an error.
    ///
    /// `None` for no words at all, which the original passes over in silence.
    pub fn from_args<A: AsRef<[u8]>>(words: &[A]) -> Option<Up> {
        let (name, args) = words.split_first()?;
        let name = name.as_ref();
        // By far the most frequent command, before any look at the table.
        if let [channel, payload] = args
            && name.eq_ignore_ascii_case(b"publish")
            && let Some(body) = body(channel.as_ref(), payload.as_ref())
        {
            return Some(Up::Publish { sharded: false, body });
        }
        let Ok((verb, named_by)) = resolve(name, args) else {
            return Some(Up::Other { name: text(name), args: texts(args) });
        };
        let topics = || texts(args);
        Some(match (verb, args) {
            (Verb::Subscribe, _) => Up::Subscribe { kind: Kind::Channel, topics: topics() },
            (Verb::PSubscribe, _) => Up::Subscribe { kind: Kind::Pattern, topics: topics() },
            (Verb::SSubscribe, _) => Up::Subscribe { kind: Kind::Shard, topics: topics() },
            (Verb::Unsubscribe, _) => Up::Unsubscribe { kind: Kind::Channel, topics: topics() },
            (Verb::PUnsubscribe, _) => Up::Unsubscribe { kind: Kind::Pattern, topics: topics() },
            (Verb::SUnsubscribe, _) => Up::Unsubscribe { kind: Kind::Shard, topics: topics() },
            (Verb::Publish | Verb::SPublish, [channel, payload]) => {
                match body(channel.as_ref(), payload.as_ref()) {
                    Some(body) => Up::Publish { sharded: verb == Verb::SPublish, body },
                    None => Up::Other { name: text(name), args: texts(args) },
                }
            }
            (Verb::Ping, []) => Up::Ping(None),
            (Verb::Ping, [word]) => Up::Ping(Some(text(word))),
            (Verb::Hello, _) => Up::Hello(texts(args)),
            (Verb::Quit, _) => Up::Quit,
            _ => Up::Call { verb, args: rest(args, named_by - 1) },
        })
    }
}

fn rest<A: AsRef<[u8]>>(args: &[A], from: usize) -> Texts {
    texts(args.iter().skip(from))
}

/// A message, unless it is longer than 4 GiB.
fn body(channel: &[u8], payload: &[u8]) -> Option<Body> {
    let len = channel.len().checked_add(payload.len())?;
    u32::try_from(len).is_ok().then(|| Body::new(channel, payload))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Text;
    use broker_contract::Frame;
    use proptest::prelude::*;

    fn read(line: &str) -> Up {
        Up::from_args(&line.split(' ').collect::<Vec<_>>()).expect("there are words")
    }

    #[test]
    fn words_become_commands_whatever_their_case() {
        assert_eq!(read("publish a b"), Up::publish(b"a", b"b"));
        assert_eq!(read("PuBlIsH a b"), Up::publish(b"a", b"b"));
        assert_eq!(
            read("SPUBLISH a b"),
            Up::Publish { sharded: true, body: Body::new(b"a", b"b") }
        );
        assert_eq!(
            read("pSubscribe a b"),
            Up::Subscribe { kind: Kind::Pattern, topics: texts(["a", "b"]) }
        );
        assert_eq!(read("ping"), Up::Ping(None));
        assert_eq!(read("ping x"), Up::Ping(Some(text("x"))));
        assert_eq!(read("quit now please"), Up::Quit);
        let call = |verb, args: &[&str]| Up::Call { verb, args: texts(args) };
        // One for itself at most, but that is said when it runs.
        assert_eq!(read("ping a b"), call(Verb::Ping, &["a", "b"]));
        assert_eq!(read("client SetName me"), call(Verb::ClientSetName, &["me"]));
        assert_eq!(read("command"), call(Verb::Command, &[]));
        assert_eq!(read("Command Count"), call(Verb::CommandCount, &[]));
        assert_eq!(Up::from_args::<Text>(&[]), None);
    }

    #[test]
    fn what_is_no_command_is_kept_as_it_was_written() {
        let lines = [
            "GET key",
            "publish a",
            "subscribe",
            "client",
            "client id x",
            "client|id",
            "pubsub foo",
            "exec now",
        ];
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let kept = Up::Other { name: text(words[0]), args: texts(&words[1..]) };
            assert_eq!(read(line), kept, "{line}");
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        let mistake = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            resolve(words[0].as_bytes(), &words[1..]).expect_err("is none")
        };
        assert_eq!(mistake("foo"), Mistake::Unknown);
        assert_eq!(mistake("client|id"), Mistake::Unknown);
        assert_eq!(mistake("client foo"), Mistake::Subcommand(Verb::Client));
        assert_eq!(mistake("client"), Mistake::Arity(Verb::Client));
        assert_eq!(mistake("client id x"), Mistake::Arity(Verb::ClientId));
        assert_eq!(mistake("publish"), Mistake::Arity(Verb::Publish));
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(Verb::all().collect::<Vec<_>>());
        let part = (known, any::<bool>(), any::<bool>()).prop_map(|(verb, upper, last)| {
            let mut parts = verb.name().split('|');
            let word = if last { parts.next_back() } else { parts.next() }.unwrap_or("");
            if upper { word.to_ascii_uppercase().into_bytes() } else { word.as_bytes().to_vec() }
        });
        prop_oneof![
            3 => part,
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ]
    }

    proptest! {
        #[test]
        fn any_words_are_read_and_say_their_length(
            words in prop::collection::vec(word(), 0..6),
        ) {
            let Some(up) = Up::from_args(&words) else {
                prop_assert!(words.is_empty());
                return Ok(());
            };
            let written = |words: &[&[u8]]| {
                let mut out = format!("*{}\r\n", words.len()).into_bytes();
                for word in words {
                    out.extend(format!("${}\r\n", word.len()).into_bytes());
                    out.extend(*word);
                    out.extend(b"\r\n");
                }
                out.len()
            };
            if up == Up::Quit {
                prop_assert!(words[0].eq_ignore_ascii_case(b"quit"));
                return Ok(());
            }
            let given: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(up.wire_len(), written(&given));
            // What it would be written as is read as the same command again.
            prop_assert_eq!(Up::from_args(&up.words()), Some(up));
        }
    }
}
