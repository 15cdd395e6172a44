//! The header block of a message: `NATS/1.0\r\nName: value\r\n\r\n`.

/// The first line without a status.
pub(crate) const FIRST_LINE: &[u8] = b"NATS/1.0\r\n";

pub(crate) const MSG_ID: &str = "Nats-Msg-Id";
pub(crate) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub(crate) const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
pub(crate) const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
pub(crate) const EXPECTED_LAST_MSG_ID: &str = "Nats-Expected-Last-Msg-Id";
pub(crate) const ROLLUP: &str = "Nats-Rollup";
pub(crate) const TTL: &str = "Nats-TTL";
pub(crate) const INCREMENT: &str = "Nats-Incr";
pub(crate) const BATCH_ID: &str = "Nats-Batch-Id";
pub(crate) const SCHEDULE: &str = "Nats-Schedule";

/// The value of the first header called `name`, without the blanks around it.
pub(crate) fn value<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(block).find_map(|line| {
        let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b":")?;
        Some(rest.trim_ascii())
    })
}

/// Whether any header of the block begins with `Nats-`, so that the usual block
/// is looked through once.
pub(crate) fn has_control(block: &[u8]) -> bool {
    lines(block).any(|line| line.starts_with(b"Nats-"))
}

fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    block.split(|byte| *byte == b'\n').skip(1).map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// A block without payload that carries a status, such as `404 No Messages`.
pub(crate) fn status(text: &str, fields: &[(&str, u64)]) -> Vec<u8> {
    let mut block = format!("NATS/1.0 {text}\r\n");
    for (name, value) in fields {
        block.push_str(name);
        block.push_str(": ");
        block.push_str(&value.to_string());
        block.push_str("\r\n");
    }
    block.push_str("\r\n");
    block.into_bytes()
}

/// `block` (empty for none) with more headers behind those it has.
pub(crate) fn extended(block: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = match block.strip_suffix(b"\r\n") {
        Some(kept) => kept.to_vec(),
        None => FIRST_LINE.to_vec(),
    };
    for (name, value) in more {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let block = b"NATS/1.0\r\nNats-Msg-Id-2: no\r\nNats-Msg-Id:  17 \r\n\r\n";
        assert_eq!(value(block, MSG_ID), Some(&b"17"[..]));
        assert_eq!(value(block, TTL), None);
        assert!(has_control(block));
        assert!(!has_control(b"NATS/1.0\r\nTrace: 1\r\n\r\n"));
        assert!(!has_control(b""));
    }

    #[test]
    fn blocks_are_written_as_the_original_writes_them() {
        assert_eq!(
            status("408 Request Timeout", &[("Nats-Pending-Messages", 1)]),
            b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 1\r\n\r\n"
        );
        assert_eq!(extended(b"", &[("A", b"1")]), b"NATS/1.0\r\nA: 1\r\n\r\n");
        assert_eq!(
            extended(b"NATS/1.0\r\nK: v\r\n\r\n", &[("A", b"1")]),
            b"NATS/1.0\r\nK: v\r\nA: 1\r\n\r\n"
        );
    }
}
