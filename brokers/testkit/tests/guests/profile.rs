//! What the prototypes share as contenders.

use broker_contract::{Claim, Durability, Feature, Profile, Promises, Proof};

/// A profile that claims publish and replay.
pub fn profile(name: &'static str, durable: Durability) -> Profile {
    let claim = |feature: &Feature| match feature {
        Feature::Publish | Feature::PublishAck | Feature::Replay => Claim::Native,
        _ => Claim::Unsupported("a prototype"),
    };
    Profile {
        name,
        title: name,
        summary: "A prototype.",
        claims: Feature::ALL.iter().map(|feature| (*feature, claim(feature))).collect(),
        promises: Promises {
            delivery: "at least once",
            order: "per partition",
            subscriber_away: "kept",
            slow_subscriber: "lags",
            crash: "kept",
            at_most_once: false,
        },
        proof: Proof { copies: 1, durable },
    }
}

/// The parts of [`broker_contract::Contender`] that prototypes do not need.
#[macro_export]
macro_rules! prototype {
    () => {
        fn presets() -> &'static [broker_contract::Preset] {
            &[]
        }

        fn lower(filter: &str, _: bool) -> broker_contract::Lowering {
            broker_contract::Lowering { native: filter.to_owned(), emulation: None }
        }

        fn seat_of(_: &str, _: u32) -> Option<u32> {
            None
        }
    };
}
