//! A reply address behind the payload.
//!
//! The bus carries a channel and a payload, and nothing else. A request therefore
//! carries where its answer goes behind the payload, so that the payload still
//! begins with the message's identity for everyone who looks on the way:
//!
//! ```text
//! payload | address | length of the address, 2 bytes, little-endian | MARK
//! ```
//!
//! The address of a request is `inbox#id`, that of an answer `#id`. A payload that
//! ends with the mark by itself is sent with an empty address, so that nothing
//! between clients of this kind is misread; to a foreign subscriber the trailer
//! is part of the payload.

use crate::frame::Body;

/// The last bytes of a payload with a trailer.
const MARK: [u8; 6] = *b"\xffreply";
/// Bytes of a trailer apart from the address.
const FIXED: usize = 2 + MARK.len();

/// A message without an address.
pub(super) fn plain(channel: &[u8], payload: &[u8]) -> Body {
    if payload.ends_with(&MARK) {
        addressed(channel, payload, b"")
    } else {
        Body::new(channel, payload)
    }
}

/// A message with an address. Addresses are channel names of this client's
/// making or of one like it; one longer than 65,535 bytes is left out.
pub(super) fn addressed(channel: &[u8], payload: &[u8], address: &[u8]) -> Body {
    let (address, len) = match u16::try_from(address.len()) {
        Ok(len) => (address, len),
        Err(_) => (&b""[..], 0),
    };
    let mut tail = Vec::with_capacity(address.len() + FIXED);
    tail.extend_from_slice(address);
    tail.extend_from_slice(&len.to_le_bytes());
    tail.extend_from_slice(&MARK);
    Body::from_parts(channel, payload, &tail)
}

/// The lengths of the application's payload and of the address behind it.
pub(super) fn split(payload: &[u8]) -> (usize, usize) {
    let whole = (payload.len(), 0);
    let Some(rest) = payload.strip_suffix(&MARK) else { return whole };
    let Some((rest, len)) = rest.split_last_chunk::<2>() else { return whole };
    let address = usize::from(u16::from_le_bytes(*len));
    match rest.len().checked_sub(address) {
        Some(payload) => (payload, address),
        None => whole,
    }
}

/// `inbox#id` as the inbox and the id.
pub(super) fn parse(address: &[u8]) -> Option<(&[u8], u64)> {
    let hash = address.iter().rposition(|byte| *byte == b'#')?;
    let id = std::str::from_utf8(&address[hash + 1..]).ok()?.parse().ok()?;
    Some((&address[..hash], id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_name_an_inbox_and_an_id() {
        assert_eq!(parse(b"_inbox.7#12"), Some((&b"_inbox.7"[..], 12)));
        assert_eq!(parse(b"#0"), Some((&b""[..], 0)));
        assert_eq!(parse(b"_inbox.7"), None);
        assert_eq!(parse(b"_inbox#x"), None);
    }

    proptest! {
        #[test]
        fn what_is_put_together_comes_apart(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            marks in 0..3usize,
            address in "[a-z.#0-9]{0,30}",
        ) {
            let mut payload = payload;
            payload.extend_from_slice(&MARK.repeat(marks));
            for (body, expected) in [
                (plain(b"c", &payload), ""),
                (addressed(b"c", &payload, address.as_bytes()), &*address),
            ] {
                let (len, address) = split(body.payload());
                let envelope = body.envelope(len, address);
                prop_assert_eq!(envelope.payload(), &payload[..]);
                prop_assert_eq!(envelope.reply(), expected.as_bytes());
            }
        }

        #[test]
        fn any_bytes_come_apart(payload in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut payload = payload;
            payload.extend_from_slice(&MARK);
            let (len, address) = split(&payload);
            prop_assert!(len + address <= payload.len());
        }
    }
}
