//! Any split of the bytes gives the same frames, what is written reads back, a
//! frame is as long as it says, and no bytes whatever do harm.

use broker_contract::{Codec, Decoder, FrameError, Sink, Step};
use broker_testkit::codecs::{decode, written_down, written_up};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::{Body, Change, Kind, Proto, Reply, Text, Verb, text, texts};

fn up(bytes: &[u8]) -> (Vec<Up>, Option<FrameError>) {
    decode(Resp::default().up_decoder(), bytes, &[])
}

fn down(bytes: &[u8]) -> (Vec<Down>, Option<FrameError>) {
    decode(Resp::default().down_decoder(), bytes, &[])
}

fn some_text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..12),
        1 => vec(any::<u8>(), 0..2_000),
        1 => Just(b"a\r\nb".to_vec()),
    ]
    .prop_map(text)
}

fn some_texts(at_least: usize) -> impl Strategy<Value = crate::frame::Texts> {
    vec(some_text(), at_least..9).prop_map(texts)
}

fn some_body() -> impl Strategy<Value = Body> {
    (some_text(), prop_oneof![some_text(), vec(any::<u8>(), 4_000..9_000).prop_map(text)])
        .prop_map(|(channel, payload)| Body::new(&channel, &payload))
}

fn some_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Channel), Just(Kind::Pattern), Just(Kind::Shard)]
}

fn some_proto() -> impl Strategy<Value = Proto> {
    prop_oneof![Just(Proto::Resp2), Just(Proto::Resp3)]
}

fn some_up() -> impl Strategy<Value = Up> {
    prop_oneof![
        (some_kind(), some_texts(1)).prop_map(|(kind, topics)| Up::Subscribe { kind, topics }),
        (some_kind(), some_texts(0)).prop_map(|(kind, topics)| Up::Unsubscribe { kind, topics }),
        (any::<bool>(), some_body()).prop_map(|(sharded, body)| Up::Publish { sharded, body }),
        some_texts(0).prop_map(|args| Up::Call { verb: Verb::PubSubShardNumSub, args }),
        some_text().prop_map(|arg| Up::Call { verb: Verb::Echo, args: texts([arg]) }),
        prop::option::of(some_text()).prop_map(Up::Ping),
        some_texts(0).prop_map(Up::Hello),
        Just(Up::Call { verb: Verb::ClientId, args: texts::<Text>([]) }),
        Just(Up::Quit),
        some_texts(0).prop_map(|args| Up::Other { name: text("lpush"), args }),
    ]
}

/// A reply as it reads back: in RESP2 a map is an array.
fn some_reply() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        prop_oneof![Just("OK"), Just("PONG"), Just("RESET")].prop_map(Reply::Simple),
        "ERR [a-z ]{0,30}".prop_map(|text| Reply::Error(text.into())),
        any::<i64>().prop_map(Reply::Integer),
        some_text().prop_map(Reply::Bulk),
        some_proto().prop_map(Reply::Null),
        some_text().prop_map(|text| Reply::Verbatim(Proto::Resp3, text)),
        "[0-9]{1,5}".prop_map(|digits| Reply::Double(Proto::Resp3, text(digits))),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|list| Reply::Array(list.into())),
            vec(inner.clone(), 0..4).prop_map(|set| Reply::Set(Proto::Resp3, set.into())),
            vec((inner.clone(), inner), 0..4).prop_map(|map| Reply::Map(Proto::Resp3, map.into())),
        ]
    })
}

fn some_down() -> impl Strategy<Value = Down> {
    let change = prop_oneof![Just(Change::Subscribe), Just(Change::Unsubscribe)];
    prop_oneof![
        (some_proto(), any::<bool>(), some_body())
            .prop_map(|(proto, sharded, body)| Down::Message { proto, sharded, body }),
        (some_proto(), some_text(), some_body())
            .prop_map(|(proto, pattern, body)| Down::PatternMessage { proto, pattern, body }),
        (some_proto(), change, some_kind(), prop::option::of(some_text()), any::<u32>()).prop_map(
            |(proto, change, kind, topic, count)| Down::Confirmed {
                proto,
                change,
                kind,
                topic,
                count
            }
        ),
        some_reply().prop_map(Down::Reply),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn commands_read_back_however_they_are_cut(
        frames in vec(some_up(), 1..6),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes = written_up::<Resp>(&frames);
        let (read, error) = decode(Resp::default().up_decoder(), &bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn replies_read_back_however_they_are_cut(
        frames in vec(some_down(), 1..6),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        // What a reply looks like may be a push: that is the protocol's own
        // ambiguity in RESP2, which these texts do not run into.
        let bytes = written_down::<Resp>(&frames);
        let (read, error) = decode(Resp::default().down_decoder(), &bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in hostile(),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let whole = up(&bytes);
        let cut = decode(Resp::default().up_decoder(), &bytes, &cuts);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.1, &cut.1);
        let whole = down(&bytes);
        let cut = decode(Resp::default().down_decoder(), &bytes, &cuts);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.1, &cut.1);
    }

    #[test]
    fn twins_have_the_same_bytes(one in some_down(), proto in some_proto()) {
        let other = match one.clone() {
            Down::Message { sharded, body, .. } => Down::Message { proto, sharded, body },
            Down::PatternMessage { pattern, body, .. } => {
                Down::PatternMessage { proto, pattern, body }
            }
            other => other,
        };
        if Resp::same_bytes(&one, &other) {
            prop_assert_eq!(written_down::<Resp>(&[one]), written_down::<Resp>(&[other]));
        } else {
            let alike = matches!(
                (&one, &other),
                (Down::Message { proto: a, .. }, Down::Message { proto: b, .. }) if a == b
            );
            prop_assert!(!alike, "the same message for the same version");
        }
    }
}

/// Bytes that look like RESP, more or less.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..6),
        "[*$>%+:_-]".prop_map(String::into_bytes),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        Just(b"\r\n".to_vec()),
        Just(b"*3\r\n$7\r\nPUBLISH\r\n".to_vec()),
        Just(b"$1\r\na\r\n".to_vec()),
        Just(b"*1\r\n".to_vec()),
        Just(b"PING\r\n".to_vec()),
        Just(b"\"".to_vec()),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn broken_requests_get_the_original_errors() {
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n\r\n", "expected '$', got '\r'"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"ECHO \"a\r\n", "unbalanced quotes in request"),
    ];
    for (bytes, text) in cases {
        let (frames, error) = up(bytes);
        assert_eq!((frames, error), (vec![], Some(FrameError((*text).to_owned()))));
    }
    for (first, text) in [
        (&b"*"[..], "too big mbulk count string"),
        (b"*1\r\n$", "too big bulk count string"),
        (b"x", "too big inline request"),
    ] {
        let bytes = [first, &vec![b'1'; 70_000][..]].concat();
        assert_eq!(up(&bytes).1, Some(FrameError(text.to_owned())));
    }
}

#[test]
fn lines_and_empty_requests_are_understood() {
    let (frames, error) = up(b"\r\n*0\r\n*-1\r\nPING\r\n  publish a 'b c'\n*1\r\n$4\r\nquit\r\n");
    assert_eq!(error, None);
    assert_eq!(frames, [Up::Ping(None), Up::publish(b"a", b"b c"), Up::Quit]);
}

#[test]
fn what_was_announced_is_not_held() {
    // A command of two thousand million arguments, each of half a gigabyte.
    let mut decoder = Resp::default().up_decoder();
    let input = b"*2147483647\r\n$536870912\r\nabc";
    assert_eq!(decoder.decode(input), Ok(Step::More { used: 0 }));
    let limits = RespLimits { bulk: 100, frame: 200 };
    let long =
        [&b"*3\r\n"[..], &b"$90\r\n"[..], &[b'x'; 90], b"\r\n$90\r\n", &[b'x'; 90], b"\r\n$90\r\n"];
    let (_, error) = decode(Resp { limits }.up_decoder(), &long.concat(), &[]);
    assert_eq!(error, Some(FrameError("too big query".to_owned())));
    assert!(down(&b"*1\r\n".repeat(17)).1.is_some(), "arrays within arrays have an end");
}

#[test]
fn what_reads_back_as_something_else_is_as_long_as_it_says() {
    let reply = |reply| Down::Reply(reply);
    let cases = [
        (Down::Answers(2), "*2\r\n"),
        (reply(Reply::Verbatim(Proto::Resp2, text("a"))), "$1\r\na\r\n"),
        (reply(Reply::Double(Proto::Resp2, text("1.5"))), "$3\r\n1.5\r\n"),
        (reply(Reply::Set(Proto::Resp2, [Reply::Integer(1)].into())), "*1\r\n:1\r\n"),
        (
            reply(Reply::Map(Proto::Resp2, [(Reply::Integer(1), Reply::Integer(2))].into())),
            "*2\r\n:1\r\n:2\r\n",
        ),
    ];
    for (frame, written) in cases {
        assert_eq!(written_down::<Resp>(&[frame]), written.as_bytes());
    }
}

/// Keeps what is shared as it is.
#[derive(Default)]
struct Shares(Vec<u8>, usize);

impl Sink for Shares {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn share(&mut self, buf: &std::sync::Arc<[u8]>, range: std::ops::Range<usize>) {
        self.1 += range.len();
        self.put(&buf[range]);
    }
}

#[test]
fn a_large_payload_is_shared_and_a_small_one_is_not() {
    for (len, shared) in [(100, 0), (10_000, 10_000)] {
        let body = Body::new(b"news", &vec![b'x'; len]);
        let frame = Down::Message { proto: Proto::Resp2, sharded: false, body };
        let mut out = Shares::default();
        Resp::encode_down(&frame, &mut out);
        assert_eq!(out.1, shared);
        assert_eq!(out.0, written_down::<Resp>(&[frame]));
    }
}
