//! JetStream as a contender: claims, settings and how a scenario maps onto it.

use std::sync::Arc;

use broker_contract::{
    Claim, Configured, Contender, Durability, Feature, Lowering, Preset, Profile, Promises, Proof,
    SettingError, SettingKind, SettingSpec, Settings,
};

use broker_jetstream::{JetStreamConfig, SyncPolicy};

use super::config::{ConsumerSettings, JetStreamClientConfig, Resend, StreamSettings};
use super::{JetStreamClient, names};
use crate::contender::{SETTINGS as CORE, core_configs, count, spec};

/// JetStream: the node with streams, the client and what they promise.
#[derive(Copy, Clone, Debug)]
pub struct JetStream;

pub(super) const CLIENT_COUNTS: &str =
    "the client counts the deliveries and ends its consumer behind the last";
const WAITED_FOR: &str =
    "a consumer that reads slowly is waited for: flow control and max_ack_pending hold back";

const OWN: &[SettingSpec] = &[
    spec(
        "sync",
        SettingKind::DurationOr(&["always"]),
        "2m",
        "How often stores are synced (`sync_interval`); `always`: before each acknowledgement.",
    ),
    spec(
        "storage",
        SettingKind::Choice(&["file", "memory"]),
        "file",
        "Where the streams that clients declare keep their messages.",
    ),
    spec(
        "retention",
        SettingKind::Choice(&["limits", "interest", "workqueue"]),
        "limits",
        "What a stream keeps: all within its limits, what a consumer still needs, or what none \
         has taken.",
    ),
    spec(
        "discard",
        SettingKind::Choice(&["old", "new"]),
        "old",
        "What goes when a limit is reached: the oldest message, or the publish.",
    ),
    spec("max_msgs", SettingKind::Count, "0", "Messages of a stream; 0 for no limit."),
    spec("max_bytes", SettingKind::Bytes, "0", "Bytes of a stream; 0 for no limit."),
    spec("max_age", SettingKind::Duration, "0", "Age of a message; 0 for no limit."),
    spec(
        "max_msgs_per_subject",
        SettingKind::Count,
        "0",
        "Messages of one subject in a stream; 0 for no limit.",
    ),
    spec("max_msg_size", SettingKind::Bytes, "0", "Bytes of one message; 0 for no limit."),
    spec("max_consumers", SettingKind::Count, "0", "Consumers of a stream; 0 for no limit."),
    spec(
        "duplicate_window",
        SettingKind::Duration,
        "2m",
        "How long a stream knows a `Nats-Msg-Id` again; at most `max_age`.",
    ),
    spec(
        "ack_wait",
        SettingKind::Duration,
        "30s",
        "Time without an acknowledgement after which a message comes again.",
    ),
    spec(
        "max_deliver",
        SettingKind::Count,
        "0",
        "Deliveries of one message at most; 0 for no limit.",
    ),
    spec(
        "max_ack_pending",
        SettingKind::Count,
        "1000",
        "Unacknowledged messages of a consumer, over all who share it; 0 for no limit.",
    ),
    spec(
        "max_waiting",
        SettingKind::Count,
        "512",
        "Pull requests that may wait at a consumer, over all who share it.",
    ),
    spec(
        "inactive_threshold",
        SettingKind::Duration,
        "5s",
        "Time without interest after which an ephemeral consumer goes.",
    ),
    spec(
        "pull_max_messages",
        SettingKind::Count,
        "500",
        "Messages that a client asks for at once; it asks again when half have come.",
    ),
    spec("pull_expiry", SettingKind::Duration, "30s", "How long a pull request stands."),
    spec(
        "pull_heartbeat",
        SettingKind::Duration,
        "15s",
        "How often the server says that a pull request still stands.",
    ),
    spec(
        "idle_heartbeat",
        SettingKind::Duration,
        "5s",
        "How often an ordered consumer says that there is nothing new.",
    ),
    spec(
        "double_ack",
        SettingKind::Flag,
        "false",
        "Whether a consumer's acknowledgement waits until the server confirms it.",
    ),
    spec(
        "max_async_pending",
        SettingKind::Count,
        "4000",
        "Publishes of a client without an acknowledgement; the rest waits in the client.",
    ),
    spec(
        "ack_timeout",
        SettingKind::Duration,
        "5s",
        "How long the acknowledgement of a publish may take.",
    ),
    spec(
        "resend",
        SettingKind::Choice(&["stored_once", "always", "never"]),
        "stored_once",
        "When a publish without one is sent again: if it carries a `Nats-Msg-Id`, always (it may \
         be stored twice), or never.",
    ),
    spec(
        "retry_attempts",
        SettingKind::Count,
        "2",
        "How often a publish is sent again, for that or because no stream took it.",
    ),
    spec(
        "retry_wait",
        SettingKind::Duration,
        "250ms",
        "Wait before something is tried again that nobody took.",
    ),
    spec("api_timeout", SettingKind::Duration, "5s", "How long an answer of the API may take."),
    spec(
        "stream_wait",
        SettingKind::Duration,
        "1s",
        "How long a subscription looks for a stream before it becomes one of core NATS, or is \
         refused.",
    ),
    spec(
        "drain_timeout",
        SettingKind::Duration,
        "30s",
        "How long a client that goes waits for acknowledgements.",
    ),
];

/// The settings of core NATS, which is the same server, and then its own.
const SETTINGS: [SettingSpec; CORE.len() + OWN.len()] = {
    let mut all = [OWN[0]; CORE.len() + OWN.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < CORE.len() { CORE[at] } else { OWN[at - CORE.len()] };
        at += 1;
    }
    all
};

const PRESETS: &[Preset] = &[
    Preset {
        name: "durable",
        doc: "An acknowledgement proves the disk: what was acknowledged survives a power loss.",
        values: &[("sync", "always")],
    },
    Preset {
        name: "memory",
        doc: "Streams in memory: as fast as it gets, and gone with the process.",
        values: &[("storage", "memory")],
    },
    Preset {
        name: "confirmed",
        doc: "The server confirms the acknowledgements of consumers too, and all is on the disk.",
        values: &[("sync", "always"), ("double_ack", "true")],
    },
    Preset {
        name: "fleet",
        doc: "Room for two million connections on one server.",
        values: &[("max_connections", "2000000")],
    },
];

impl Contender for JetStream {
    type Client = JetStreamClient;
    const NAME: &'static str = "jetstream";

    fn profile() -> Profile {
        Profile {
            name: Self::NAME,
            title: "NATS JetStream",
            summary: "Streams keep what is published to their subjects, and consumers read them \
                      at their own pace and acknowledge what they have done.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(*feature))).collect(),
            promises: Promises {
                delivery: "at least once to consumers that acknowledge; a publish with a number \
                           is stored once within the duplicate window",
                order: "per stream, in the order in which it stored; redeliveries apart, and workers \
                        of one consumer overtake each other",
                subscriber_away: "finds what it missed, if it is durable or in a group and the \
                                  stream's limits leave it",
                slow_subscriber: "is waited for: deliveries stop at max_ack_pending",
                crash: "nothing that was acknowledged, if the process alone ends; a power loss \
                        takes what was not synced, up to the sync interval",
                at_most_once: false,
            },
            proof: Proof { copies: 1, durable: Durability::PageCache },
        }
    }

    fn settings() -> &'static [SettingSpec] {
        &SETTINGS
    }

    fn presets() -> &'static [Preset] {
        PRESETS
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let (mut node, core) = core_configs(settings)?;
        let durable = match (settings.choice("storage"), settings.duration_or_word("sync")) {
            ("memory", _) => Durability::None,
            (_, Err(_always)) => Durability::Synced,
            (_, Ok(_)) => Durability::PageCache,
        };
        let proof = Proof { copies: 1, durable };
        let attempts = settings.count("retry_attempts");
        let client = JetStreamClientConfig {
            core: Arc::new(core),
            stream: stream(settings),
            consumer: consumer(settings)?,
            max_async_pending: count(settings, "max_async_pending")? as usize,
            ack_timeout: settings.duration("ack_timeout"),
            resend: match settings.choice("resend") {
                "always" => Resend::Always,
                "never" => Resend::Never,
                _ => Resend::StoredOnce,
            },
            retry_attempts: u8::try_from(attempts)
                .ok()
                .filter(|attempts| *attempts < u8::MAX)
                .ok_or_else(|| contradiction("`retry_attempts` is at most 254"))?,
            retry_wait: settings.duration("retry_wait"),
            api_timeout: settings.duration("api_timeout"),
            stream_wait: settings.duration("stream_wait"),
            drain_timeout: settings.duration("drain_timeout"),
            proof,
            ..JetStreamClientConfig::default()
        };
        check(&client).map_err(contradiction)?;
        node.jetstream = Some(JetStreamConfig {
            sync: match settings.duration_or_word("sync") {
                Ok(interval) => SyncPolicy::Interval(interval),
                Err(_always) => SyncPolicy::Always,
            },
            epoch_unix_ns: client.epoch_unix_ns,
            ..JetStreamConfig::default()
        });
        node.check().map_err(contradiction)?;
        Ok(Configured { node, client: Arc::new(client), proof })
    }

    fn lower(filter: &str, grouped: bool) -> Lowering {
        let native = if grouped {
            // The scenario names the group where it prints this.
            let consumer = names::durable("", filter);
            format!("pull consumer <group>{consumer} on each stream, filter {filter}")
        } else {
            format!(
                "ordered push consumer, or a pull consumer with acknowledgements, on each \
                 stream, filter {filter}"
            )
        };
        Lowering { native, emulation: None }
    }

    fn seat_of(_channel: &str, _seats: u32) -> Option<u32> {
        None
    }
}

fn contradiction(text: &str) -> SettingError {
    SettingError::Contradiction(text.to_owned())
}

fn stream(settings: &Settings) -> StreamSettings {
    StreamSettings {
        storage: settings.choice("storage").into(),
        retention: settings.choice("retention").into(),
        discard: settings.choice("discard").into(),
        max_msgs: settings.count("max_msgs"),
        max_bytes: settings.bytes("max_bytes"),
        max_age: settings.duration("max_age"),
        max_msgs_per_subject: settings.count("max_msgs_per_subject"),
        max_msg_size: settings.bytes("max_msg_size"),
        max_consumers: settings.count("max_consumers"),
        duplicate_window: settings.duration("duplicate_window"),
    }
}

fn consumer(settings: &Settings) -> Result<ConsumerSettings, SettingError> {
    Ok(ConsumerSettings {
        ack_wait: settings.duration("ack_wait"),
        max_deliver: settings.count("max_deliver"),
        max_ack_pending: settings.count("max_ack_pending"),
        max_waiting: settings.count("max_waiting"),
        inactive_threshold: settings.duration("inactive_threshold"),
        pull_max_messages: count(settings, "pull_max_messages")?,
        pull_expiry: settings.duration("pull_expiry"),
        pull_heartbeat: settings.duration("pull_heartbeat"),
        idle_heartbeat: settings.duration("idle_heartbeat"),
        double_ack: settings.flag("double_ack"),
    })
}

/// Whether the values agree with each other, and with what the server takes.
fn check(client: &JetStreamClientConfig) -> Result<(), &'static str> {
    let consumer = &client.consumer;
    if client.max_async_pending == 0 || consumer.pull_max_messages == 0 {
        return Err("`max_async_pending` and `pull_max_messages` are at least 1");
    }
    if consumer.max_waiting == 0 {
        return Err("`max_waiting` is at least 1");
    }
    if consumer.pull_heartbeat.is_zero() || consumer.idle_heartbeat.is_zero() {
        return Err("`pull_heartbeat` and `idle_heartbeat` are longer than zero");
    }
    if consumer.pull_heartbeat * 2 > consumer.pull_expiry {
        return Err("`pull_expiry` is at least twice `pull_heartbeat`");
    }
    if consumer.ack_wait.is_zero() || consumer.inactive_threshold.is_zero() {
        return Err("`ack_wait` and `inactive_threshold` are longer than zero");
    }
    let waits = [client.ack_timeout, client.retry_wait, client.api_timeout];
    if waits.iter().any(std::time::Duration::is_zero) {
        return Err("`ack_timeout`, `retry_wait` and `api_timeout` are longer than zero");
    }
    Ok(())
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
        | Feature::PublisherOrder
        | Feature::PublishAck
        | Feature::Replay
        | Feature::Redelivery
        | Feature::DurableConsumer
        | Feature::Deduplication
        | Feature::Pull
        | Feature::Drain => Claim::Native,
        Feature::UnsubscribeAfter => Claim::Emulated(CLIENT_COUNTS),
        Feature::SlowConsumerCut => Claim::Unsupported(WAITED_FOR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(changes: &[(&str, &str)]) -> Result<Configured<JetStream>, SettingError> {
        let settings = Settings::resolve(&SETTINGS, changes.iter().copied())?;
        JetStream::configure(&settings)
    }

    #[test]
    fn the_defaults_are_those_of_the_types() {
        let configured = configured(&[]).expect("the defaults agree");
        assert_eq!(*configured.client, JetStreamClientConfig::default());
        assert_eq!(configured.proof, JetStream::profile().proof);
    }

    #[test]
    fn an_acknowledgement_proves_what_the_settings_make_of_it() {
        for (changes, durable) in [
            (&[][..], Durability::PageCache),
            (&[("sync", "10s")], Durability::PageCache),
            (&[("sync", "always")], Durability::Synced),
            (&[("sync", "always"), ("storage", "memory")], Durability::None),
        ] {
            let configured = configured(changes).expect("agrees");
            assert_eq!(configured.proof, Proof { copies: 1, durable }, "{changes:?}");
            assert_eq!(configured.client.proof, configured.proof);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for change in [
            ("pull_heartbeat", "16s"),
            ("max_async_pending", "0"),
            ("pull_max_messages", "5000000000"),
            ("retry_attempts", "255"),
            ("ack_wait", "0"),
            ("max_waiting", "0"),
            ("idle_heartbeat", "0"),
            ("retry_wait", "0"),
            ("ping_interval", "0"),
            ("sync", "0"),
        ] {
            let refused = configured(&[change]);
            assert!(matches!(refused, Err(SettingError::Contradiction(_))), "{change:?}");
        }
    }

    #[test]
    fn presets_claims_and_settings_are_complete() {
        for preset in JetStream::presets() {
            assert!(configured(preset.values).is_ok(), "{}", preset.name);
        }
        assert_eq!(JetStream::profile().claims.len(), Feature::ALL.len());
        let mut names: Vec<&str> = SETTINGS.iter().map(|spec| spec.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SETTINGS.len());
    }

    #[test]
    fn filters_are_shown_as_they_are_used() {
        let grouped = JetStream::lower("telemetry.*.reading", true).native;
        assert_eq!(
            grouped,
            "pull consumer <group>--telemetry_-star_reading on each stream, \
             filter telemetry.*.reading"
        );
        assert!(JetStream::lower("telemetry.>", false).native.ends_with("filter telemetry.>"));
    }
}
