//! One connection of the client: whether it is there, what is expected on it.

use std::collections::VecDeque;
use std::time::Duration;

use broker_contract::{Frame, Identity, SeedStream, Ticket, Time};

use super::ClientConfig;
use crate::frame::{Kind, Text, Up};

/// Bytes that may wait for the very first connection, which every client library
/// waits for.
const FIRST_CONNECT_BYTES: u64 = 8 << 20;

/// What the next answer on a connection belongs to. Answers and confirmations
/// come in the order of the commands; messages come in between.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// A PUBLISH of the application: the number of receivers, which says nothing
    /// about delivery. The identity is kept for the case that it is refused.
    Published(Option<Identity>),
    /// The PUBLISH of a request: no receivers means no responders.
    Requested(u64),
    /// HELLO or AUTH.
    Hello,
    /// The confirmation of a topic, in its `epoch`-th subscription.
    Subscribed { kind: Kind, name: Text, epoch: u32 },
    /// The confirmation that a topic has ended, and the operation that asked.
    Unsubscribed { ticket: Option<Ticket> },
    /// The confirmation of the topic that a shutdown ends.
    Farewell { kind: Kind, name: Text },
    /// QUIT.
    Quit,
}

/// A command that waits for its connection.
#[derive(Debug)]
pub(super) struct Held {
    /// The operation that ends when it is sent, if one does.
    pub ticket: Option<Ticket>,
    /// The command.
    pub up: Up,
    /// What will answer it.
    pub expect: Expect,
}

/// How far a connection is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Never asked for.
    #[default]
    Idle,
    /// Asked for.
    Connecting,
    /// There.
    Ready,
    /// Lost; asked for again at this time.
    Waiting(Time),
    /// Given up for good.
    Over,
}

/// One connection.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub state: State,
    /// Whether it has ever been there.
    seen: bool,
    /// Attempts that failed since it was last there.
    attempts: u32,
    held_bytes: u32,
    pub expected: VecDeque<Expect>,
    pub held: Vec<Held>,
}

impl Link {
    /// Notes what answers the command that is sent now.
    #[inline]
    pub fn expect(&mut self, expect: Expect) {
        if self.expected.capacity() == 0 {
            // A device has one message under way at a time, and there are many
            // devices: an ordinary first growth would be four times as large.
            self.expected.reserve_exact(1);
        }
        self.expected.push_back(expect);
    }

    /// Keeps a command for later; gives it back when there is no room.
    pub fn hold(&mut self, held: Held, config: &ClientConfig) -> Result<(), Held> {
        let room = match self.state {
            State::Over => 0,
            _ if self.seen || self.attempts > 0 => config.reconnect_buffer,
            _ => FIRST_CONNECT_BYTES,
        };
        let bytes = u64::from(self.held_bytes) + held.up.wire_len() as u64;
        match u32::try_from(bytes) {
            Ok(bytes) if u64::from(bytes) <= room => {
                self.held_bytes = bytes;
                self.held.push(held);
                Ok(())
            }
            _ => Err(held),
        }
    }

    /// Takes what was held.
    pub fn take_held(&mut self) -> Vec<Held> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    pub fn connected(&mut self) {
        self.state = State::Ready;
        self.seen = true;
        self.attempts = 0;
    }

    /// The connection ended: what was expected on it will not come.
    pub fn lost(&mut self, now: Time, config: &ClientConfig, seed: SeedStream) -> VecDeque<Expect> {
        let wait = backoff(config, seed, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Waiting(now + wait);
        std::mem::take(&mut self.expected)
    }

    /// Takes what no longer fits what may be held while reconnecting.
    pub fn overflow(&mut self, config: &ClientConfig) -> Vec<Held> {
        if u64::from(self.held_bytes) <= config.reconnect_buffer {
            return Vec::new();
        }
        let mut over = Vec::new();
        for held in self.take_held() {
            if let Err(held) = self.hold(held, config) {
                over.push(held);
            }
        }
        over
    }

    pub fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Waiting(until) => Some(until),
            _ => None,
        }
    }
}

/// Doubles with every attempt up to the maximum; between a half and the whole of
/// that is waited, so that clients that lost a broker together do not come back
/// together.
fn backoff(config: &ClientConfig, seed: SeedStream, attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(31)).unwrap_or(u32::MAX);
    let whole = config.reconnect_wait.saturating_mul(factor).min(config.reconnect_wait_max);
    let half = u64::try_from(whole.as_nanos() / 2).unwrap_or(u64::MAX);
    let extra = seed.fork("reconnect").nth(u64::from(attempts)).bits() % half.max(1);
    Duration::from_nanos(half) + Duration::from_nanos(extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let config = ClientConfig {
            reconnect_wait: Duration::from_millis(50),
            reconnect_wait_max: Duration::from_secs(2),
            ..ClientConfig::default()
        };
        for attempt in 0..60 {
            let wait = backoff(&config, SeedStream::new(7), attempt);
            let whole = Duration::from_millis(50 << attempt.min(20)).min(Duration::from_secs(2));
            assert!(whole / 2 <= wait && wait <= whole, "{attempt}: {wait:?}");
        }
    }
}
