//! What was denied lately: ACL LOG.

use std::collections::VecDeque;
use std::time::Duration;

use broker_contract::Time;

use crate::frame::Text;

/// Denials of the same kind within this time are one entry.
const SAME: Duration = Duration::from_secs(60);
/// Bytes of a denied object that are kept.
const OBJECT_MAX: usize = 1_024;

/// One entry.
#[derive(Clone, Debug)]
pub(in crate::node) struct Denied {
    /// `auth`, `command`, `channel` or `key`.
    pub reason: &'static str,
    /// `toplevel` or `multi`.
    pub context: &'static str,
    /// The command, the channel or the key.
    pub object: Text,
    pub user: Text,
    /// As CLIENT INFO shows it.
    pub client: String,
    pub count: u64,
    /// When it last happened.
    pub at: Time,
}

impl Denied {
    fn is_like(&self, other: &Denied) -> bool {
        (self.reason, self.context) == (other.reason, other.context)
            && self.object == other.object
            && self.user == other.user
            && other.at.since(self.at) <= SAME
    }
}

/// The entries, latest first.
#[derive(Debug, Default)]
pub(in crate::node) struct DeniedLog(VecDeque<Denied>);

impl DeniedLog {
    /// Adds an entry, or counts it where it was seen lately; the oldest beyond
    /// `max` goes.
    pub fn add(&mut self, mut entry: Denied, max: usize) {
        if entry.object.len() > OBJECT_MAX {
            entry.object = Text::from(&entry.object[..OBJECT_MAX]);
        }
        if let Some(at) = self.0.iter().position(|known| known.is_like(&entry))
            && let Some(known) = self.0.remove(at)
        {
            entry.count += known.count;
        }
        self.0.push_front(entry);
        self.0.truncate(max);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Denied> {
        self.0.iter()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::text;

    #[test]
    fn the_same_denial_is_counted_and_the_oldest_forgotten() {
        let mut log = DeniedLog::default();
        let denied = |object: &str, seconds: u64| Denied {
            reason: "channel",
            context: "toplevel",
            object: text(object),
            user: text("a"),
            client: String::new(),
            count: 1,
            at: Time::from_millis(seconds * 1_000),
        };
        log.add(denied("x", 0), 2);
        log.add(denied("y", 1), 2);
        log.add(denied("x", 60), 2);
        let shown = |log: &DeniedLog| -> Vec<(Vec<u8>, u64)> {
            log.iter().map(|entry| (entry.object.to_vec(), entry.count)).collect()
        };
        assert_eq!(shown(&log), [(b"x".to_vec(), 2), (b"y".to_vec(), 1)]);
        log.add(denied("x", 121), 2);
        assert_eq!(shown(&log), [(b"x".to_vec(), 1), (b"x".to_vec(), 2)]);
        log.add(denied(&"z".repeat(5_000), 121), 2);
        assert_eq!(shown(&log)[0].0.len(), OBJECT_MAX);
    }
}
