//! The header block: `NATS/1.0\r\nName: value\r\n\r\n`, or with a status behind
//! the version.

const VERSION: &[u8] = b"NATS/1.0";

/// The status of a request that nobody hears.
pub const STATUS_NO_RESPONDERS: &[u8] = b"503";

/// The block with these pairs; empty when there are none. `None` when a name or
/// a value cannot stand in it.
pub fn encode(pairs: &[(&str, &str)]) -> Option<Vec<u8>> {
    if pairs.is_empty() {
        return Some(Vec::new());
    }
    let len: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut block = Vec::with_capacity(VERSION.len() + 2 + len + 2);
    block.extend_from_slice(VERSION);
    block.extend_from_slice(b"\r\n");
    for (name, value) in pairs {
        let breaks = |text: &str| text.contains(['\r', '\n']);
        if name.is_empty() || name.contains(':') || breaks(name) || breaks(value) {
            return None;
        }
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(b": ");
        block.extend_from_slice(value.as_bytes());
        block.extend_from_slice(b"\r\n");
    }
    block.extend_from_slice(b"\r\n");
    Some(block)
}

/// The block that says that nobody hears `subject`.
pub fn no_responders(subject: &[u8]) -> Vec<u8> {
    [VERSION, b" ", STATUS_NO_RESPONDERS, b"\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat()
}

/// The status behind the version, such as `503`; `None` when there is none.
pub fn status(block: &[u8]) -> Option<&[u8]> {
    let rest = block.strip_prefix(VERSION)?.strip_prefix(b" ")?;
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b'\r'))?;
    Some(&rest[..end])
}

/// The pairs in the block, in order, as text that lies in it.
pub fn pairs(block: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let lines = block.split(|byte| *byte == b'\n').skip(1);
    lines.filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
        let (name, value) = line.split_once(':')?;
        Some((name, value.trim_matches([' ', '\t'])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_read_back() {
        let block = encode(&[("Trace", "17"), ("Empty", ""), ("Colon", "a:b")]).expect("fits");
        assert_eq!(block, b"NATS/1.0\r\nTrace: 17\r\nEmpty: \r\nColon: a:b\r\n\r\n");
        let read: Vec<_> = pairs(&block).collect();
        assert_eq!(read, [("Trace", "17"), ("Empty", ""), ("Colon", "a:b")]);
        assert_eq!(status(&block), None);
        assert_eq!(encode(&[]), Some(Vec::new()));
    }

    #[test]
    fn what_would_break_the_block_is_refused() {
        for pair in [("", "x"), ("a:b", "x"), ("a\nb", "x"), ("a", "x\r\ny")] {
            assert_eq!(encode(&[pair]), None, "{pair:?}");
        }
    }

    #[test]
    fn the_status_is_read() {
        let block = no_responders(b"a.b");
        assert_eq!(block, b"NATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n");
        assert_eq!(status(&block), Some(STATUS_NO_RESPONDERS));
        assert_eq!(status(b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"), Some(&b"100"[..]));
        assert_eq!(status(b""), None);
    }
}
