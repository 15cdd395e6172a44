//! Core NATS as a contender: claims, settings and how a scenario maps onto it.

use std::sync::Arc;

use broker_contract::{
    Claim, Configured, Contender, Feature, Lowering, Preset, Profile, Promises, Proof,
    SettingError, SettingKind, SettingSpec, Settings,
};

use crate::client::{
    ClientConfig, NO_ACK, NO_DEDUPLICATION, NO_DURABLE, NO_PULL, NO_REDELIVERY, NO_STORE,
    NatsClient,
};
use crate::node::NatsConfig;

/// Core NATS: the node, the client and what they promise.
#[derive(Copy, Clone, Debug)]
pub struct CoreNats;

pub(crate) const fn spec(
    name: &'static str,
    kind: SettingKind,
    default: &'static str,
    doc: &'static str,
) -> SettingSpec {
    SettingSpec { name, kind, default, doc }
}

pub(crate) const SETTINGS: &[SettingSpec] = &[
    spec("max_payload", SettingKind::Bytes, "1MiB", "Largest payload, headers included."),
    spec(
        "max_pending",
        SettingKind::Bytes,
        "64MiB",
        "Bytes pending for a connection above which it is closed as a slow consumer.",
    ),
    spec(
        "write_deadline",
        SettingKind::Duration,
        "10s",
        "Time without progress after which a connection with bytes pending is closed.",
    ),
    spec(
        "max_control_line",
        SettingKind::Bytes,
        "4KiB",
        "Length of the arguments of a line, which bounds a subject.",
    ),
    spec("max_connections", SettingKind::Count, "65536", "Connections at once."),
    spec(
        "max_subscriptions",
        SettingKind::Count,
        "0",
        "Subscriptions of one connection; 0 for no limit.",
    ),
    spec(
        "ping_interval",
        SettingKind::Duration,
        "2m",
        "Time between two looks at whether a connection is alive.",
    ),
    spec("ping_max", SettingKind::Count, "2", "Unanswered pings before a connection is stale."),
    spec(
        "lame_duck_grace_period",
        SettingKind::Duration,
        "10s",
        "When the server goes: time between the announcement and the first close.",
    ),
    spec(
        "lame_duck_duration",
        SettingKind::Duration,
        "2m",
        "When the server goes: time between the announcement and the last close.",
    ),
    spec("echo", SettingKind::Flag, "true", "Whether clients receive their own messages."),
    spec(
        "no_responders",
        SettingKind::Flag,
        "true",
        "Whether a request that nobody hears fails at once.",
    ),
    spec(
        "client_ping_interval",
        SettingKind::Duration,
        "2m",
        "Time between two pings of a client; `ping_max` counts for it too.",
    ),
    spec(
        "reconnect_wait",
        SettingKind::Duration,
        "2s",
        "Wait of a client between attempts to connect; the first comes at once.",
    ),
    spec(
        "reconnect_jitter",
        SettingKind::Duration,
        "100ms",
        "Added to `reconnect_wait`, at random up to this much.",
    ),
    spec("max_reconnect", SettingKind::Count, "60", "Attempts in a row before a client gives up."),
    spec(
        "reconnect_buffer",
        SettingKind::Bytes,
        "8MiB",
        "Bytes of messages that a client holds while it is not connected.",
    ),
];

const PRESETS: &[Preset] = &[Preset {
    name: "fleet",
    doc: "Room for two million connections on one server.",
    values: &[("max_connections", "2000000")],
}];

impl Contender for CoreNats {
    type Client = NatsClient;
    const NAME: &'static str = "nats";

    fn profile() -> Profile {
        Profile {
            name: Self::NAME,
            title: "core NATS",
            summary: "Messages go to whoever is subscribed at that moment, groups share them, and \
                      nothing is kept.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(*feature))).collect(),
            promises: Promises {
                delivery: "at most once",
                order: "per publisher, to each subscriber; members of a group overtake each other",
                subscriber_away: "misses what is published meanwhile; in a group, others take it",
                slow_subscriber: "is disconnected at its pending limit, and what was pending for \
                                  it is lost",
                crash: "everything in flight, and nothing else, because nothing is kept",
                at_most_once: true,
            },
            proof: Proof::NOTHING,
        }
    }

    fn settings() -> &'static [SettingSpec] {
        SETTINGS
    }

    fn presets() -> &'static [Preset] {
        PRESETS
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let (node, client) = core_configs(settings)?;
        Ok(Configured { node, client: Arc::new(client), proof: Proof::NOTHING })
    }

    fn lower(filter: &str, grouped: bool) -> Lowering {
        let native = if grouped {
            // The scenario names the group where it prints this.
            format!("SUB {filter} <group>")
        } else {
            format!("SUB {filter}")
        };
        Lowering { native, emulation: None }
    }

    fn seat_of(_channel: &str, _seats: u32) -> Option<u32> {
        None
    }
}

/// What the settings of core NATS make of a node and a client, JetStream aside.
pub(crate) fn core_configs(
    settings: &Settings,
) -> Result<(NatsConfig, ClientConfig), SettingError> {
    let ping_max = count(settings, "ping_max")?;
    let node = NatsConfig {
        max_payload: settings.bytes("max_payload"),
        max_pending: settings.bytes("max_pending"),
        max_control_line: settings.bytes("max_control_line"),
        max_connections: count(settings, "max_connections")?,
        max_subscriptions: count(settings, "max_subscriptions")?,
        ping_interval: settings.duration("ping_interval"),
        ping_max,
        write_deadline: settings.duration("write_deadline"),
        lame_duck_grace_period: settings.duration("lame_duck_grace_period"),
        lame_duck_duration: settings.duration("lame_duck_duration"),
        ..NatsConfig::default()
    };
    node.check().map_err(|text| SettingError::Contradiction(text.to_owned()))?;
    let client = ClientConfig {
        echo: settings.flag("echo"),
        no_responders: settings.flag("no_responders"),
        ping_interval: settings.duration("client_ping_interval"),
        ping_max,
        reconnect_wait: settings.duration("reconnect_wait"),
        reconnect_jitter: settings.duration("reconnect_jitter"),
        max_reconnect: settings.count("max_reconnect"),
        reconnect_buffer: settings.bytes("reconnect_buffer"),
    };
    if client.ping_interval.is_zero() || client.reconnect_wait.is_zero() {
        let text = "`client_ping_interval` and `reconnect_wait` are longer than zero";
        return Err(SettingError::Contradiction(text.to_owned()));
    }
    Ok((node, client))
}

/// A count that has to fit in 32 bits.
pub(crate) fn count(settings: &Settings, name: &str) -> Result<u32, SettingError> {
    let value = settings.count(name);
    u32::try_from(value).map_err(|_| {
        SettingError::Contradiction(format!("`{name}` is at most {}, not {value}", u32::MAX))
    })
}

fn claim(feature: Feature) -> Claim {
    match feature {
        Feature::Publish
        | Feature::TokenWildcard
        | Feature::TailWildcard
        | Feature::Groups
        | Feature::RequestReply
        | Feature::NoResponders
        | Feature::Headers
        | Feature::UnsubscribeAfter
        | Feature::PublisherOrder
        | Feature::SlowConsumerCut
        | Feature::Drain => Claim::Native,
        Feature::PublishAck => Claim::Unsupported(NO_ACK),
        Feature::Replay => Claim::Unsupported(NO_STORE),
        Feature::Redelivery => Claim::Unsupported(NO_REDELIVERY),
        Feature::DurableConsumer => Claim::Unsupported(NO_DURABLE),
        Feature::Deduplication => Claim::Unsupported(NO_DEDUPLICATION),
        Feature::Pull => Claim::Unsupported(NO_PULL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_types() {
        let settings = Settings::resolve(SETTINGS, []).expect("the defaults read");
        let configured = CoreNats::configure(&settings).expect("the defaults agree");
        assert_eq!(configured.node, NatsConfig::default());
        assert_eq!(*configured.client, ClientConfig::default());
        assert_eq!(configured.proof, Proof::NOTHING);
    }

    #[test]
    fn contradictions_are_refused() {
        for change in [
            ("max_payload", "2GiB"),
            ("ping_interval", "0"),
            ("lame_duck_grace_period", "2m"),
            ("max_connections", "0"),
            ("max_connections", "5000000000"),
            ("reconnect_wait", "0"),
        ] {
            let settings = Settings::resolve(SETTINGS, [change]).expect("reads");
            let refused = CoreNats::configure(&settings);
            assert!(matches!(refused, Err(SettingError::Contradiction(_))), "{change:?}");
        }
    }

    #[test]
    fn presets_and_claims_are_complete() {
        for preset in CoreNats::presets() {
            let settings = Settings::resolve(SETTINGS, preset.values.iter().copied());
            assert!(settings.is_ok_and(|settings| CoreNats::configure(&settings).is_ok()));
        }
        assert_eq!(CoreNats::profile().claims.len(), Feature::ALL.len());
    }

    #[test]
    fn filters_are_shown_as_they_are_sent() {
        let lowering = CoreNats::lower("telemetry.*.*.reading", false);
        assert_eq!(lowering.native, "SUB telemetry.*.*.reading");
        let lowering = CoreNats::lower("telemetry.>", true);
        assert_eq!(
            (lowering.native.as_str(), lowering.emulation),
            ("SUB telemetry.> <group>", None)
        );
    }
}
