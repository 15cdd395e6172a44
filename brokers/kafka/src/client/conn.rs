//! One connection of the client, and what is expected on it.
//!
//! Answers come in the order of the requests, so what waits for them is a queue.
//! A connection begins with the versions that the broker speaks; one that does
//! not speak this client's is given up.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{Actions, LinkId, NodeId, SeedStream, Ticket, Time};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::StrBytes;

use super::consumer::Ask;
use super::producer::Sending;
use super::{ClientConfig, KafkaClient};
use crate::frame::{Request, Up};

/// The versions that this client speaks.
const VERSIONS: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::OffsetCommit, 8),
    (ApiKey::OffsetFetch, 7),
    (ApiKey::FindCoordinator, 3),
    (ApiKey::JoinGroup, 7),
    (ApiKey::Heartbeat, 4),
    (ApiKey::LeaveGroup, 4),
    (ApiKey::SyncGroup, 5),
    (ApiKey::ApiVersions, 3),
    (ApiKey::CreateTopics, 5),
    (ApiKey::InitProducerId, 4),
    (ApiKey::OffsetForLeaderEpoch, 4),
];

fn version_of(key: i16) -> i16 {
    let known = VERSIONS.iter().find(|(api, _)| *api as i16 == key);
    known.map_or(0, |(_, version)| *version)
}

/// What an answer belongs to.
#[derive(Debug)]
pub(super) enum Pending {
    /// The versions that the broker speaks.
    ApiVersions,
    /// A produce request with these batches.
    Produce(Vec<Sending>),
    /// The producer's identity.
    ProducerId,
    /// The list of all topics (`true`), or of some.
    Metadata(bool),
    /// New topics, on behalf of an operation.
    CreateTopics(Ticket),
    /// Something that the consumer in this slot asked for.
    Consumer(u16, Ask),
}

#[derive(Debug)]
struct Expected {
    correlation: i32,
    until: Time,
    pending: Pending,
}

/// How far a connection is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Never asked for, or closed on purpose.
    #[default]
    Idle,
    /// Asked for.
    Connecting,
    /// There; the broker's versions are not known yet.
    Greeting,
    /// Usable.
    Ready,
    /// Lost; asked for again at this time.
    Waiting(Time),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub link: LinkId,
    state: State,
    attempts: u32,
    correlation: i32,
    expected: VecDeque<Expected>,
}

impl Conn {
    pub fn new(link: LinkId) -> Conn {
        Conn { link, state: State::Idle, attempts: 0, correlation: 0, expected: VecDeque::new() }
    }

    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Asks for it, if that is due.
    pub fn ask_for(&mut self, now: Time, out: &mut Actions<KafkaClient>) {
        match self.state {
            State::Idle => {}
            State::Waiting(until) if until <= now => {}
            _ => return,
        }
        self.state = State::Connecting;
        out.connect(self.link, NodeId(0));
    }

    /// It is there: the greeting goes out.
    pub fn connected(
        &mut self,
        now: Time,
        config: &ClientConfig,
        name: &Arc<str>,
        out: &mut Actions<KafkaClient>,
    ) {
        if self.state != State::Connecting {
            return;
        }
        self.state = State::Greeting;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("lab"))
            .with_client_software_version(StrBytes::from_static_str("1"));
        let until = now + config.request_timeout;
        self.send(request.into(), Some(Pending::ApiVersions), until, name, out);
    }

    /// The broker's versions: whether they include all of this client's.
    pub fn greeted(&mut self, response: &ApiVersionsResponse) -> bool {
        let speaks = VERSIONS.iter().all(|(key, version)| {
            response.api_keys.iter().any(|known| {
                known.api_key == *key as i16
                    && (known.min_version..=known.max_version).contains(version)
            })
        });
        if response.error_code != 0 || !speaks {
            return false;
        }
        self.state = State::Ready;
        self.attempts = 0;
        true
    }

    /// Sends a request; without `pending` it has no answer.
    pub fn send(
        &mut self,
        request: Request,
        pending: Option<Pending>,
        until: Time,
        name: &Arc<str>,
        out: &mut Actions<KafkaClient>,
    ) {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let (correlation, version) = (self.correlation, version_of(request.key()));
        if let Some(pending) = pending {
            self.expected.push_back(Expected { correlation, until, pending });
        }
        let client_id = Some(Arc::clone(name));
        out.send(self.link, Up { correlation, version, client_id, request });
    }

    /// What an answer belongs to; `None` when it is not the one expected next.
    pub fn answers(&mut self, correlation: i32) -> Option<Pending> {
        if self.expected.front()?.correlation != correlation {
            return None;
        }
        self.expected.pop_front().map(|expected| expected.pending)
    }

    /// Whether an answer is overdue.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.expected.iter().any(|expected| expected.until <= now)
    }

    /// It ended: what was expected on it will not come.
    pub fn lost(&mut self, now: Time, config: &ClientConfig, seed: SeedStream) -> Vec<Pending> {
        let seed = seed.fork("reconnect").nth(u64::from(self.link.0));
        let wait = backoff(config, seed, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        self.state = State::Waiting(now + wait);
        self.expected.drain(..).map(|expected| expected.pending).collect()
    }

    /// Closes it on purpose. What was expected on it will not come.
    pub fn close(&mut self, out: &mut Actions<KafkaClient>) {
        if matches!(self.state, State::Connecting | State::Greeting | State::Ready) {
            out.close(self.link);
        }
        self.state = State::Idle;
        self.expected.clear();
    }

    /// Whether the driver knows it, so that it can be closed.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Connecting | State::Greeting | State::Ready)
    }

    /// When it needs a tick.
    pub fn deadline(&self) -> Option<Time> {
        let overdue = self.expected.iter().map(|expected| expected.until).min();
        match self.state {
            State::Waiting(until) => Some(until),
            _ => overdue,
        }
    }
}

/// Doubles with every attempt up to the maximum; a fifth more or less is drawn,
/// as in the original, so that clients that lost a broker together do not come
/// back together.
fn backoff(config: &ClientConfig, seed: SeedStream, attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(20)).unwrap_or(u32::MAX);
    let whole = config.reconnect_backoff.saturating_mul(factor).min(config.reconnect_backoff_max);
    let whole = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let draw = seed.nth(u64::from(attempts)).bits() % (whole / 5 * 2).max(1);
    Duration::from_nanos(whole - whole / 5) + Duration::from_nanos(draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let config = ClientConfig::default();
        for attempt in 0..60 {
            let wait = backoff(&config, SeedStream::new(7), attempt);
            let whole = Duration::from_millis(50 << attempt.min(20)).min(Duration::from_secs(1));
            assert!(whole * 4 / 5 <= wait && wait <= whole * 6 / 5, "{attempt}: {wait:?}");
        }
    }
}
