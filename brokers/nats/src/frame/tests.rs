//! Lengths against the text itself, which these tests write.

use broker_contract::Frame;

use super::*;

fn line(verb: &str, words: &[&[u8]], numbers: &[usize]) -> Vec<u8> {
    let mut line = verb.as_bytes().to_vec();
    for word in words.iter().filter(|word| !word.is_empty()) {
        line.push(b' ');
        line.extend_from_slice(word);
    }
    for number in numbers {
        line.extend_from_slice(format!(" {number}").as_bytes());
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn publish_text(message: &Message) -> Vec<u8> {
    let (payload, headers) = (message.payload(), message.headers());
    let names = [message.subject(), message.reply()];
    let mut text = if headers.is_empty() {
        line("PUB", &names, &[payload.len()])
    } else {
        line("HPUB", &names, &[headers.len(), headers.len() + payload.len()])
    };
    text.extend_from_slice(headers);
    text.extend_from_slice(payload);
    text.extend_from_slice(b"\r\n");
    text
}

fn delivery_text(message: &Message, sid: u64, plain: bool) -> Vec<u8> {
    let payload = message.payload();
    let headers = if plain { &[] } else { message.headers() };
    let sid = sid.to_string();
    let names = [message.subject(), sid.as_bytes(), message.reply()];
    let mut text = if headers.is_empty() {
        line("MSG", &names, &[payload.len()])
    } else {
        line("HMSG", &names, &[headers.len(), headers.len() + payload.len()])
    };
    text.extend_from_slice(headers);
    text.extend_from_slice(payload);
    text.extend_from_slice(b"\r\n");
    text
}

#[test]
fn lengths_are_those_of_the_text() {
    let block = headers::encode(&[("A", "b"), ("Long-Name", "and its value")]).expect("fits");
    for payload in [0, 1, 9, 10, 99, 100, 1_000, 65_536] {
        let payload = vec![b'x'; payload];
        for reply in [&b""[..], b"_INBOX.abc.1"] {
            for block in [&b""[..], &block] {
                let message = Message::new(b"telemetry.eu.7.reading", reply, block, &payload);
                let text = publish_text(&message);
                let up = Up::Publish(message.clone());
                assert_eq!(up.wire_len(), text.len());
                let line_end = text.iter().position(|byte| *byte == b'\r').expect("a line");
                let verb = 3 + usize::from(!block.is_empty());
                assert_eq!(up.control_len(), line_end - verb);
                for (sid, plain) in [(1, false), (10, true), (u64::MAX, false)] {
                    let text = delivery_text(&message, sid, plain);
                    let down = Down::message(sid, plain, message.clone());
                    assert_eq!(down.wire_len(), text.len(), "{down:?}");
                }
            }
        }
    }
}

#[test]
fn lines_have_the_length_of_their_text() {
    let sub = |queue: Option<&[u8]>| Up::subscribe(b"a.*", queue, 12).wire_len();
    assert_eq!(sub(None), "SUB a.* 12\r\n".len());
    assert_eq!(sub(Some(b"workers")), "SUB a.* workers 12\r\n".len());
    let unsub = |max| Up::Unsubscribe { sid: 12, max }.wire_len();
    assert_eq!(unsub(None), "UNSUB 12\r\n".len());
    assert_eq!(unsub(Some(100)), "UNSUB 12 100\r\n".len());
    assert_eq!(Up::Ping.wire_len(), "PING\r\n".len());
    assert_eq!(Down::Pong.wire_len(), "PONG\r\n".len());
    assert_eq!(Down::Ok.wire_len(), "+OK\r\n".len());
    let error = Down::error(ServerError::InvalidSubject);
    assert_eq!(error.wire_len(), "-ERR 'Invalid Subject'\r\n".len());
}

#[test]
fn frames_name_the_payloads_inside() {
    let message = Message::new(b"a", b"r", b"NATS/1.0\r\n\r\n", b"payload");
    let mut seen = Vec::new();
    Up::Publish(message.clone()).payloads(&mut |payload| seen.push(payload.to_vec()));
    Down::message(1, false, message).payloads(&mut |payload| seen.push(payload.to_vec()));
    Down::Ping.payloads(&mut |payload| seen.push(payload.to_vec()));
    assert_eq!(seen, [b"payload", b"payload"]);
}

/// Frames are moved several times on their way and queued by the million.
#[test]
fn frames_are_small() {
    assert_eq!(size_of::<Message>(), 16);
    assert!(size_of::<Up>() <= 32, "{}", size_of::<Up>());
    assert!(size_of::<Down>() <= 32, "{}", size_of::<Down>());
}
