//! The log as a contender: claims and how a scenario maps onto it. Its settings
//! are in `settings.rs`.

use std::sync::Arc;

use broker_contract::{
    Claim, Configured, Contender, Durability, Feature, Lowering, Preset, Profile, Promises, Proof,
    SettingError, SettingSpec, Settings,
};

use crate::client::{
    AFTER_EMULATION, FILTER_EMULATION, Filter, KafkaClient, NO_DEDUPLICATION, REDELIVERY_EMULATION,
    REQUEST_EMULATION,
};
use crate::settings;

/// The Kafka-style log: the node, the client and what they promise.
#[derive(Copy, Clone, Debug)]
pub struct KafkaLog;

const PROOF: Proof = Proof { copies: 1, durable: Durability::PageCache };

impl Contender for KafkaLog {
    type Client = KafkaClient;
    const NAME: &'static str = "kafka";

    fn profile() -> Profile {
        Profile {
            name: Self::NAME,
            title: "Kafka-style log",
            summary: "A log of topics in partitions: producers append batches, and consumers read \
                      by position, at their own pace and as often as they like.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(*feature))).collect(),
            promises: Promises {
                delivery: "at least once: a position is committed behind what is done, and what \
                           lies after it is read again",
                order: "per partition, and so per key, unless a record is handed out again",
                subscriber_away: "misses nothing that retention keeps: a durable one carries on \
                                  from its committed position",
                slow_subscriber: "lags, and is never cut off",
                crash: "nothing acknowledged when the process is killed; when the power goes, what \
                        was not synced, since one node has no replica",
                at_most_once: false,
            },
            proof: PROOF,
        }
    }

    fn settings() -> &'static [SettingSpec] {
        settings::SETTINGS
    }

    fn presets() -> &'static [Preset] {
        settings::PRESETS
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let client = settings::client(settings)?;
        let node = settings::node(settings)?;
        let proof = client.proof;
        Ok(Configured { node, client: Arc::new(client), proof })
    }

    /// A topic for the tokens before the first wildcard. The topic of a channel
    /// is the longest that exists and is a dotted prefix of it, else its first
    /// token, which the broker creates; the channel travels as the record's key,
    /// or in a header where the scenario has a key of its own. What a consumer
    /// reads and its filter does not want is thrown away, and counted.
    fn lower(filter: &str, grouped: bool) -> Lowering {
        let Some(parsed) = Filter::parse(filter) else {
            return Lowering {
                native: "refused: no path of dotted tokens".to_owned(),
                emulation: None,
            };
        };
        let prefix = parsed.literal_prefix();
        let topics = if prefix.is_empty() {
            "every topic".to_owned()
        } else {
            format!("topic {prefix}, or the longest prefix of it that is one")
        };
        let how = if grouped { "a group reads" } else { "a consumer reads" };
        Lowering {
            native: format!("{how} {topics}"),
            emulation: (!parsed.is_plain()).then_some(FILTER_EMULATION),
        }
    }

    fn seat_of(_channel: &str, _seats: u32) -> Option<u32> {
        None
    }
}

fn claim(feature: Feature) -> Claim {
    match feature {
        Feature::Publish
        | Feature::Groups
        | Feature::Headers
        | Feature::PublisherOrder
        | Feature::PublishAck
        | Feature::Replay
        | Feature::DurableConsumer
        | Feature::Pull => Claim::Native,
        Feature::TokenWildcard | Feature::TailWildcard => Claim::Emulated(FILTER_EMULATION),
        Feature::RequestReply => Claim::Emulated(REQUEST_EMULATION),
        Feature::UnsubscribeAfter => Claim::Emulated(AFTER_EMULATION),
        Feature::Redelivery => Claim::Emulated(REDELIVERY_EMULATION),
        Feature::Drain => Claim::Emulated(
            "batches go out at once, the fetch under way is handed out, positions are committed",
        ),
        Feature::NoResponders => Claim::Unsupported("the log does not know who reads a topic"),
        Feature::Deduplication => Claim::Unsupported(NO_DEDUPLICATION),
        Feature::SlowConsumerCut => {
            Claim::Unsupported("a consumer reads at its own pace, and lags")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientConfig;
    use std::time::Duration;

    fn configured(changes: &[(&str, &str)]) -> Result<Configured<KafkaLog>, SettingError> {
        let settings = Settings::resolve(KafkaLog::settings(), changes.iter().copied())?;
        KafkaLog::configure(&settings)
    }

    #[test]
    fn the_defaults_are_those_of_the_original_and_of_the_types() {
        let configured = configured(&[]).expect("the defaults agree");
        assert_eq!(*configured.client, ClientConfig::default());
        assert_eq!(configured.node, crate::KafkaConfig::default());
        assert_eq!(configured.proof, PROOF);
    }

    #[test]
    fn the_proof_follows_the_settings() {
        let proof = |changes: &[(&str, &str)]| configured(changes).map(|c| c.proof).ok();
        let synced = Proof { copies: 1, durable: Durability::Synced };
        assert_eq!(proof(&[("flush", "1")]), Some(synced));
        assert_eq!(proof(&[("flush", "100")]), Some(PROOF));
        assert_eq!(proof(&[("acks", "1")]), Some(PROOF));
        assert_eq!(proof(&[("acks", "0")]), Some(Proof::NOTHING));
        assert_eq!(proof(&[("acks", "0"), ("flush", "1")]), Some(Proof::NOTHING));
    }

    #[test]
    fn short_names_change_what_they_say() {
        let configured = configured(&[("linger", "0"), ("flush", "1")]).expect("they agree");
        assert_eq!(configured.client.linger, Duration::ZERO);
        assert_eq!(configured.node.log.flush_messages, Some(1));
    }

    #[test]
    fn contradictions_are_refused() {
        for (name, value) in [
            ("batch_size", "0"),
            ("max_in_flight_requests", "0"),
            ("num_partitions", "0"),
            ("max_poll_records", "0"),
            ("reconnect_backoff", "1h"),
            ("delivery_timeout", "1s"),
            ("heartbeat_interval", "50s"),
            ("fetch_max_bytes", "4GiB"),
        ] {
            let refused = configured(&[(name, value)]);
            assert!(matches!(refused, Err(SettingError::Contradiction(_))), "{name}: {refused:?}");
        }
    }

    #[test]
    fn presets_and_claims_are_complete() {
        for preset in KafkaLog::presets() {
            assert!(configured(preset.values).is_ok(), "{}", preset.name);
        }
        assert_eq!(KafkaLog::profile().claims.len(), Feature::ALL.len());
    }

    #[test]
    fn filters_are_shown_as_topics() {
        let shown = |filter, grouped| {
            let lowering = KafkaLog::lower(filter, grouped);
            (lowering.native, lowering.emulation)
        };
        assert_eq!(
            shown("telemetry.*.*.reading", true),
            (
                "a group reads topic telemetry, or the longest prefix of it that is one".to_owned(),
                Some(FILTER_EMULATION)
            )
        );
        assert_eq!(shown(">", false).0, "a consumer reads every topic");
        assert_eq!(shown("news", false).1, None);
        assert!(shown("a..b", false).0.starts_with("refused"));
    }
}
