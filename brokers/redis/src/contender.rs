//! The bus as a contender: claims, settings and how a scenario maps onto it.

use std::sync::Arc;

use broker_contract::{
    Claim, Configured, Contender, Durability, Feature, Lowering, Preset, Profile, Promises, Proof,
    SettingError, SettingKind, SettingSpec, Settings,
};

use crate::client::{
    self, AFTER_EMULATION, ClientConfig, GROUP_EMULATION, NO_ACK, NO_DURABLE, NO_HEADERS,
    NO_PUBLISH_ACK, NO_PULL, NO_STORE, REQUEST_EMULATION, RedisClient, WILDCARD_EMULATION,
};
use crate::frame::{Kind, Proto};
use crate::node::{OutputLimit, RedisConfig};

/// Redis Pub/Sub: the node, the client and what they promise.
#[derive(Copy, Clone, Debug)]
pub struct RedisPubSub;

const BOTH_EMULATION: &str =
    "glob pattern, a check in the client, and client-side sharding over a full copy";

const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "maxclients",
        kind: SettingKind::Count,
        default: "10000",
        doc: "Connections at once; the next one is refused.",
    },
    SettingSpec {
        name: "timeout",
        kind: SettingKind::Duration,
        default: "0",
        doc: "Idle time after which a connection without subscriptions is closed; 0 for never.",
    },
    SettingSpec {
        name: "client_output_buffer_limit_pubsub_hard",
        kind: SettingKind::Bytes,
        default: "32MiB",
        doc: "Bytes pending for a subscriber at which it is cut at once; 0 for no limit.",
    },
    SettingSpec {
        name: "client_output_buffer_limit_pubsub_soft",
        kind: SettingKind::Bytes,
        default: "8MiB",
        doc: "Bytes pending for a subscriber that it may not exceed for long; 0 for no limit.",
    },
    SettingSpec {
        name: "client_output_buffer_limit_pubsub_soft_seconds",
        kind: SettingKind::Duration,
        default: "60s",
        doc: "How long a subscriber may be over the soft limit.",
    },
    SettingSpec {
        name: "resp",
        kind: SettingKind::Choice(&["2", "3"]),
        default: "2",
        doc: "Protocol version of the clients; in 2 a client that publishes and subscribes has \
               two connections.",
    },
    SettingSpec {
        name: "reconnect_wait",
        kind: SettingKind::Duration,
        default: "50ms",
        doc: "Wait before a client's first attempt to reconnect; it doubles.",
    },
    SettingSpec {
        name: "reconnect_wait_max",
        kind: SettingKind::Duration,
        default: "2s",
        doc: "Longest wait between attempts to reconnect.",
    },
    SettingSpec {
        name: "reconnect_buffer",
        kind: SettingKind::Bytes,
        default: "0",
        doc: "Bytes of commands that a client holds while it reconnects; 0 to fail at once.",
    },
];

impl Contender for RedisPubSub {
    type Client = RedisClient;
    const NAME: &'static str = "redis";

    fn profile() -> Profile {
        Profile {
            name: Self::NAME,
            title: "Redis Pub/Sub",
            summary: "An in-memory bus that pushes each message to whoever is subscribed at that \
                      moment, and keeps nothing.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(*feature))).collect(),
            promises: Promises {
                delivery: "at most once",
                order: "per connection, in the order in which the node executed the publishes",
                subscriber_away: "misses what is published meanwhile",
                slow_subscriber: "is disconnected at its output buffer limit, and what was pending \
                                  for it is lost",
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
        const PRESETS: &[Preset] = &[Preset {
            name: "resp3",
            doc: "Clients speak RESP3, and publish and subscribe on one connection.",
            values: &[("resp", "3")],
        }];
        PRESETS
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let maxclients = settings.count("maxclients");
        let maxclients = match u32::try_from(maxclients) {
            Ok(count) if count > 0 => count,
            _ => {
                let text = format!("`maxclients` is between 1 and {}, not {maxclients}", u32::MAX);
                return Err(SettingError::Contradiction(text));
            }
        };
        let (wait, longest) =
            (settings.duration("reconnect_wait"), settings.duration("reconnect_wait_max"));
        if wait > longest {
            let text = "`reconnect_wait` is longer than `reconnect_wait_max`";
            return Err(SettingError::Contradiction(text.to_owned()));
        }
        let node = RedisConfig {
            maxclients,
            timeout: settings.duration("timeout"),
            pubsub: OutputLimit {
                hard_bytes: settings.bytes("client_output_buffer_limit_pubsub_hard"),
                soft_bytes: settings.bytes("client_output_buffer_limit_pubsub_soft"),
                soft: settings.duration("client_output_buffer_limit_pubsub_soft_seconds"),
            },
            ..RedisConfig::default()
        };
        let client = ClientConfig {
            proto: if settings.choice("resp") == "3" { Proto::Resp3 } else { Proto::Resp2 },
            auth: None,
            reconnect_wait: wait,
            reconnect_wait_max: longest,
            reconnect_buffer: settings.bytes("reconnect_buffer"),
        };
        let proof = Proof { copies: 0, durable: Durability::None };
        Ok(Configured { node, client: Arc::new(client), proof })
    }

    fn lower(filter: &str, grouped: bool) -> Lowering {
        let Some(lowered) = client::lower(filter) else {
            return Lowering {
                native: "refused: no path of dotted tokens".to_owned(),
                emulation: None,
            };
        };
        let name = String::from_utf8_lossy(&lowered.name);
        let (command, wildcard) = match lowered.kind {
            Kind::Pattern => ("PSUBSCRIBE", true),
            Kind::Channel | Kind::Shard => ("SUBSCRIBE", false),
        };
        let emulation = match (wildcard, grouped) {
            (false, false) => None,
            (true, false) => Some(WILDCARD_EMULATION),
            (false, true) => Some(GROUP_EMULATION),
            (true, true) => Some(BOTH_EMULATION),
        };
        Lowering { native: format!("{command} {name}"), emulation }
    }

    fn seat_of(channel: &str, seats: u32) -> Option<u32> {
        Some(client::seat_of(channel.as_bytes(), seats))
    }
}

fn claim(feature: Feature) -> Claim {
    match feature {
        Feature::Publish | Feature::PublisherOrder | Feature::SlowConsumerCut => Claim::Native,
        Feature::TokenWildcard | Feature::TailWildcard => Claim::Emulated(WILDCARD_EMULATION),
        Feature::Groups => Claim::Emulated(GROUP_EMULATION),
        Feature::RequestReply => Claim::Emulated(REQUEST_EMULATION),
        Feature::NoResponders => Claim::Emulated("PUBLISH answers with the number of receivers"),
        Feature::UnsubscribeAfter => Claim::Emulated(AFTER_EMULATION),
        Feature::Drain => Claim::Emulated(
            "unsubscribe, wait for the confirmations behind the last messages, QUIT",
        ),
        Feature::Headers => Claim::Unsupported(NO_HEADERS),
        Feature::PublishAck => Claim::Unsupported(NO_PUBLISH_ACK),
        Feature::Replay | Feature::Deduplication => Claim::Unsupported(NO_STORE),
        Feature::Redelivery => Claim::Unsupported(NO_ACK),
        Feature::DurableConsumer => Claim::Unsupported(NO_DURABLE),
        Feature::Pull => Claim::Unsupported(NO_PULL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_original_and_of_the_types() {
        let settings = Settings::resolve(SETTINGS, []).expect("the defaults read");
        let configured = RedisPubSub::configure(&settings).expect("the defaults agree");
        assert_eq!(configured.node, RedisConfig::default());
        assert_eq!(*configured.client, ClientConfig::default());
        assert_eq!(configured.node.maxclients, 10_000);
        assert_eq!(configured.node.pubsub.hard_bytes, 33_554_432);
        assert_eq!(configured.node.pubsub.soft_bytes, 8_388_608);
        assert_eq!(configured.proof, Proof::NOTHING);
    }

    #[test]
    fn contradictions_are_refused() {
        for (name, value) in [("maxclients", "0"), ("reconnect_wait", "1h")] {
            let settings = Settings::resolve(SETTINGS, [(name, value)]).expect("reads");
            let refused = RedisPubSub::configure(&settings);
            assert!(matches!(refused, Err(SettingError::Contradiction(_))), "{name}");
        }
    }

    #[test]
    fn presets_and_claims_are_complete() {
        for preset in RedisPubSub::presets() {
            let settings = Settings::resolve(SETTINGS, preset.values.iter().copied());
            assert!(settings.is_ok_and(|settings| RedisPubSub::configure(&settings).is_ok()));
        }
        let profile = RedisPubSub::profile();
        assert_eq!(profile.claims.len(), Feature::ALL.len());
    }

    #[test]
    fn filters_are_shown_as_commands() {
        let shown = |filter, grouped| {
            let lowering = RedisPubSub::lower(filter, grouped);
            (lowering.native, lowering.emulation)
        };
        assert_eq!(shown("a.b", false), ("SUBSCRIBE a.b".to_owned(), None));
        assert_eq!(
            shown("telemetry.*.*.reading", true),
            ("PSUBSCRIBE telemetry.*.*.reading".to_owned(), Some(BOTH_EMULATION))
        );
        assert_eq!(shown("a.>", false), ("PSUBSCRIBE a.*".to_owned(), Some(WILDCARD_EMULATION)));
        assert_eq!(shown("a", true).1, Some(GROUP_EMULATION));
        assert!(RedisPubSub::seat_of("a.b", 3).is_some_and(|seat| seat < 3));
    }
}
