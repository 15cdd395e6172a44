//! Names of streams and consumers, and what an acknowledgement subject says.

use crate::subject;

/// A stream's name for what a scenario calls it. A name holds none of
/// `. * > / \`, white space or control characters; each becomes `_`.
pub(super) fn stream(name: &str) -> String {
    let forbidden = |letter: char| {
        matches!(letter, '.' | '*' | '>' | '/' | '\\')
            || letter.is_whitespace()
            || letter.is_control()
    };
    name.chars().map(|letter| if forbidden(letter) { '_' } else { letter }).collect()
}

/// The name of the durable consumer through which `who` (a group, or one member
/// of none) reads `filter`: the same for each member, and another for another
/// filter, since a consumer has its filter for good.
pub(super) fn durable(who: &str, filter: &str) -> String {
    let mut name = String::with_capacity(who.len() + filter.len() + 16);
    encode(who, &mut name);
    name.push_str("--");
    encode(filter, &mut name);
    name
}

/// Letters and digits stay, `.` becomes `_`, and the rest is spelt out behind a
/// `-`, so that different texts stay different and none holds `--`.
fn encode(text: &str, name: &mut String) {
    for letter in text.chars() {
        match letter {
            '.' => name.push('_'),
            '*' => name.push_str("-star"),
            '>' => name.push_str("-rest"),
            letter if letter.is_ascii_alphanumeric() => name.push(letter),
            letter => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    name.push_str(&format!("-{byte:02x}"));
                }
            }
        }
    }
}

/// What the reply subject of a delivery says:
/// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<timestamp>.<pending>`,
/// with domain and account behind `ACK` in the longer form.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The consumer's name.
    pub consumer: &'a [u8],
    /// Deliveries of this message, this one included.
    pub delivered: u64,
    /// The message's place in the stream.
    pub stream_seq: u64,
    /// The delivery's place in the consumer.
    pub consumer_seq: u64,
    /// When the message was stored, in nanoseconds since 1970 by the server's clock.
    pub stored_at: u64,
}

/// Reads an acknowledgement subject; `None` when it is none.
pub(super) fn place(reply: &[u8]) -> Option<Place<'_>> {
    let rest = reply.strip_prefix(b"$JS.ACK.")?;
    let mut tokens = [&b""[..]; 10];
    let mut count = 0;
    for token in subject::tokens(rest) {
        if count < tokens.len() {
            tokens[count] = token;
        }
        count += 1;
    }
    let tokens = match count {
        7 => &tokens[..7],
        9.. => &tokens[2..9],
        _ => return None,
    };
    let number = |at: usize| -> Option<u64> { std::str::from_utf8(tokens[at]).ok()?.parse().ok() };
    Some(Place {
        consumer: tokens[1],
        delivered: number(2)?,
        stream_seq: number(3)?,
        consumer_seq: number(4)?,
        stored_at: number(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn streams_lose_what_a_name_may_not_hold() {
        assert_eq!(stream("telemetry"), "telemetry");
        assert_eq!(stream("orders.eu/*>\\ x"), "orders_eu_____x");
    }

    #[test]
    fn durables_are_readable() {
        assert_eq!(durable("ledger", "payment.*.done"), "ledger--payment_-star_done");
        assert_eq!(durable("a_b", ">"), "a-5fb---rest");
    }

    #[test]
    fn both_forms_of_an_acknowledgement_subject_are_read() {
        let short = place(b"$JS.ACK.S.C.2.17.5.1700000000.3").expect("reads");
        let long = place(b"$JS.ACK.hub.ACCOUNT.S.C.2.17.5.1700000000.3.rnd").expect("reads");
        assert_eq!(short, long);
        let stored_at = 1_700_000_000;
        let (delivered, stream_seq, consumer_seq) = (2, 17, 5);
        let expected = Place { consumer: b"C", delivered, stream_seq, consumer_seq, stored_at };
        assert_eq!(short, expected);
        for other in ["", "$JS.ACK.", "$JS.ACK.S.C.x.17.5.1.3", "_INBOX.1", "$JS.ACK.S.C.1.2.3.4"] {
            assert_eq!(place(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn durables_of_different_things_differ(
            one in ("[a-b_.*>-]{1,4}", "[a-b_.*>-]{1,4}"),
            other in ("[a-b_.*>-]{1,4}", "[a-b_.*>-]{1,4}"),
        ) {
            let names = (durable(&one.0, &one.1), durable(&other.0, &other.1));
            prop_assert_eq!(one == other, names.0 == names.1);
            prop_assert_eq!(stream(&names.0), names.0);
        }

        #[test]
        fn no_subject_is_too_strange(reply in prop::collection::vec(any::<u8>(), 0..60)) {
            let framed = [b"$JS.ACK.", &reply[..]].concat();
            let _ = (place(&reply), place(&framed));
        }
    }
}
