//! What a node is configured with.

use std::time::Duration;

use broker_jetstream::JetStreamConfig;

/// Limits and timers of a node, with the original's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatsConfig {
    /// The largest payload, headers included, in bytes.
    pub max_payload: u64,
    /// Bytes pending for one connection above which it is closed.
    pub max_pending: u64,
    /// Bytes of arguments in a control line.
    pub max_control_line: u64,
    /// Connections at once.
    pub max_connections: u32,
    /// Subscriptions of one connection; 0 for no limit.
    pub max_subscriptions: u32,
    /// Time between two looks at whether a connection is alive.
    pub ping_interval: Duration,
    /// Pings without an answer after which a connection is stale.
    pub ping_max: u32,
    /// Time without progress after which a connection with bytes pending is closed.
    pub write_deadline: Duration,
    /// Lame duck: time between the announcement and the first close.
    pub lame_duck_grace_period: Duration,
    /// Lame duck: time between the announcement and the last close.
    pub lame_duck_duration: Duration,
    /// The address that INFO names.
    pub host: Box<str>,
    /// The port that INFO names.
    pub port: u16,
    /// Whether the driver expects TLS behind the first INFO, which says so.
    pub tls_required: bool,
    /// Whether it expects a certificate of the client, too.
    pub tls_verify: bool,
    /// JetStream, where the node hosts it.
    pub jetstream: Option<JetStreamConfig>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        NatsConfig {
            max_payload: 1 << 20,
            max_pending: 64 << 20,
            max_control_line: 4_096,
            max_connections: 65_536,
            max_subscriptions: 0,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
            lame_duck_grace_period: Duration::from_secs(10),
            lame_duck_duration: Duration::from_secs(120),
            host: "0.0.0.0".into(),
            port: 4222,
            tls_required: false,
            tls_verify: false,
            jetstream: None,
        }
    }
}

impl NatsConfig {
    /// Whether the values agree with each other. The original also refuses a
    /// `max_payload` above `max_pending`; here a scenario may lower the second
    /// alone, and a message above it closes whoever receives it.
    ///
    /// # Errors
    /// A sentence that says which do not.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.max_payload > 1 << 30 {
            return Err("`max_payload` is larger than 1 GiB");
        }
        if self.max_control_line == 0 || self.max_connections == 0 {
            return Err("`max_control_line` and `max_connections` are at least 1");
        }
        if self.ping_interval.is_zero() || self.write_deadline.is_zero() {
            return Err("`ping_interval` and `write_deadline` are longer than zero");
        }
        if self.lame_duck_duration <= self.lame_duck_grace_period {
            return Err("`lame_duck_duration` is longer than `lame_duck_grace_period`");
        }
        self.jetstream.as_ref().map_or(Ok(()), JetStreamConfig::check)
    }
}
