//! Any split of the bytes gives the same frames, what is written reads back, a
//! frame is as long as it says, and no bytes whatever do harm.

use std::sync::Arc;

use broker_contract::{Codec, FrameError};
use broker_testkit::codecs::{decode, written_down, written_up};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::{ConnectOptions, Info, Message, ServerInfo};

fn up(bytes: &[u8]) -> (Vec<Up>, Option<FrameError>) {
    decode(NatsText::default().up_decoder(), bytes, &[])
}

fn down(bytes: &[u8]) -> (Vec<Down>, Option<FrameError>) {
    decode(NatsText::default().down_decoder(), bytes, &[])
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    "[!-~]{1,20}".prop_map(String::into_bytes)
}

fn message() -> impl Strategy<Value = Message> {
    let headers = prop_oneof![
        Just(Vec::new()),
        vec(any::<u8>(), 1..40),
        Just(b"NATS/1.0\r\nA: b\r\n\r\n".to_vec()),
    ];
    let payload = prop_oneof![vec(any::<u8>(), 0..60), vec(any::<u8>(), 4_000..9_000)];
    (name(), prop::option::of(name()), headers, payload).prop_map(
        |(subject, reply, headers, payload)| {
            Message::new(&subject, &reply.unwrap_or_default(), &headers, &payload)
        },
    )
}

fn words() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(any::<String>().prop_map(String::into_boxed_str))
}

fn some_up() -> impl Strategy<Value = Up> {
    let connect = (
        any::<(Option<bool>, Option<bool>, Option<bool>, bool, bool, u32)>(),
        (words(), words(), words(), words()),
    )
        .prop_map(|((verbose, pedantic, echo, headers, no_responders, protocol), texts)| {
            let (name, user, pass, auth_token) = texts;
            Up::Connect(Box::new(ConnectOptions {
                verbose,
                pedantic,
                echo,
                headers,
                no_responders,
                protocol,
                name,
                user,
                pass,
                auth_token,
                ..ConnectOptions::default()
            }))
        });
    prop_oneof![
        4 => message().prop_map(Up::Publish),
        2 => connect,
        2 => (name(), prop::option::of(name()), any::<u64>())
            .prop_map(|(subject, queue, sid)| Up::subscribe(&subject, queue.as_deref(), sid)),
        1 => (any::<u64>(), any::<Option<u64>>())
            .prop_map(|(sid, max)| Up::Unsubscribe { sid, max }),
        1 => Just(Up::Ping),
        1 => Just(Up::Pong),
    ]
}

fn some_down() -> impl Strategy<Value = Down> {
    let info = (any::<String>(), any::<(u16, bool, u64, bool, bool, bool)>(), words()).prop_map(
        |(id, (port, headers, client_id, ldm, connect_info, tls_required), ip)| {
            let server = ServerInfo {
                server_id: id.into(),
                port,
                headers,
                max_payload: client_id / 2,
                tls_required,
                tls_verify: tls_required && ldm,
                ..ServerInfo::default()
            };
            Down::Info(Box::new(Info {
                server: Arc::new(server),
                client_id,
                client_ip: ip.map(Arc::from),
                ldm,
                connect_info,
            }))
        },
    );
    prop_oneof![
        4 => (any::<u64>(), message())
            .prop_map(|(sid, message)| Down::message(sid, false, message)),
        2 => info,
        1 => Just(Down::Ping),
        1 => Just(Down::Pong),
        1 => Just(Down::Ok),
        1 => Just(Down::error(ServerError::MaxPayload)),
        1 => "[A-Za-z ]{1,20}[a-z]".prop_map(|text| Down::error(server_error(&text))),
    ]
}

/// Bytes that look like the protocol, more or less.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..6),
        "[0-9]{1,3}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            &b"\r\n"[..],
            b"\n",
            b" ",
            b"\t",
            b"PUB a 3\r\n",
            b"hpub a 2 3\r\n",
            b"SUB a 1\r\n",
            b"abc\r\n",
            b"CONNECT {}\r\n",
            b"PING\r\n",
            b"MSG a 1 3\r\n",
            b"HMSG a 1 b 1 3\r\n",
            b"+OK\r\n",
            b"-ERR 'x'\r\n",
            b"INFO {}\r\n",
            b"UNSUB 1 2\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn operations_read_back_however_they_are_cut(
        frames in vec(some_up(), 1..6),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes = written_up::<NatsText>(&frames);
        let (read, error) = decode(NatsText::default().up_decoder(), &bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn what_a_server_says_reads_back_however_it_is_cut(
        frames in vec(some_down(), 1..6),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let bytes = written_down::<NatsText>(&frames);
        let (read, error) = decode(NatsText::default().down_decoder(), &bytes, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn any_bytes_mean_the_same_however_they_are_cut(
        bytes in hostile(),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let whole = up(&bytes);
        let cut = decode(NatsText::default().up_decoder(), &bytes, &cuts);
        prop_assert_eq!(whole, cut);
        let whole = down(&bytes);
        let cut = decode(NatsText::default().down_decoder(), &bytes, &cuts);
        prop_assert_eq!(whole, cut);
    }
}

#[test]
fn a_client_without_headers_gets_the_payload_alone() {
    let message = Message::new(b"a", b"r", b"NATS/1.0\r\n\r\n", b"xy");
    let frames = [Down::message(7, true, message.clone()), Down::message(7, false, message)];
    let text = b"MSG a 7 r 2\r\nxy\r\nHMSG a 7 r 12 14\r\nNATS/1.0\r\n\r\nxy\r\n";
    assert_eq!(written_down::<NatsText>(&frames), text);
    assert!(!NatsText::same_bytes(&frames[0], &frames[1]));
    assert!(NatsText::same_bytes(&frames[0], &frames[0].clone()));
}

#[test]
fn verbs_are_of_any_case_and_blanks_of_any_number() {
    let (frames, error) =
        up(b"pub\ta  2\r\nhi\r\nSuB a.* q 9\r\nconnect {\"verbose\":false}\nping\r\n");
    assert_eq!(error, None);
    let options = ConnectOptions { verbose: Some(false), ..ConnectOptions::default() };
    let expected = [
        Up::Publish(Message::new(b"a", b"", b"", b"hi")),
        Up::subscribe(b"a.*", Some(b"q"), 9),
        Up::Connect(Box::new(options)),
        Up::Ping,
    ];
    assert_eq!(frames, expected);
}

#[test]
fn a_carriage_return_in_a_line_is_a_blank() {
    let (frames, error) = up(b"PUB \rb.a 2\r\nhi\r\nPUB b.a\r2\nhi\r\n");
    assert_eq!(error, None);
    assert_eq!(frames, [(); 2].map(|()| Up::Publish(Message::new(b"b.a", b"", b"", b"hi"))));
    let (frames, error) = down(b"MSG \ra 1 2\r\nhi\r\n");
    assert_eq!(error, None);
    assert_eq!(frames, [Down::message(1, false, Message::new(b"a", b"", b"", b"hi"))]);
}

#[test]
fn what_is_wrong_is_said_in_the_protocol_s_words() {
    let long = [b"SUB ".to_vec(), vec![b'a'; 5_000], b" 1\r\n".to_vec()].concat();
    let cases: &[(&[u8], &str)] = &[
        (b"GET / HTTP/1.1\r\n", "Unknown Protocol Operation"),
        (b"PUB a\r\n", "Unknown Protocol Operation"),
        (b"PUB a -1\r\n", "Unknown Protocol Operation"),
        (b"PUB a 2\r\nabcd", "Unknown Protocol Operation"),
        (b"PUB a b c 1\r\n", "Unknown Protocol Operation"),
        (b"HPUB a 5 4\r\n", "Unknown Protocol Operation"),
        (b"SUB a x\r\n", "Unknown Protocol Operation"),
        (b"CONNECT {\r\n", "Unknown Protocol Operation"),
        (b"\r\n", "Unknown Protocol Operation"),
        (b"PUB a 1048577\r\n", "Maximum Payload Violation"),
        (b"PUB a 99999999999999999999\r\n", "Unknown Protocol Operation"),
        (&long, "maximum control line exceeded"),
        (&long[..4_500], "maximum control line exceeded"),
    ];
    for (bytes, text) in cases {
        let shown = bytes[..bytes.len().min(30)].escape_ascii();
        let (frames, error) = up(bytes);
        assert_eq!((frames, error), (vec![], Some(FrameError((*text).to_owned()))), "{shown}");
    }
}
