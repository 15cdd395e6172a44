//! A direct bus: the smallest honest contender, and its broken variants.
//!
//! `Bus<HONEST>` keeps every claim. Each other flaw breaks one thing, and the
//! runner must catch it.

mod arena;
mod client;
mod node;

use broker_contract::{
    Claim, Configured, Contender, Feature, Frame, Lowering, Preset, Profile, Promises, Proof,
    SettingError, SettingSpec, Settings, Support,
};

pub use client::BusClient;
pub use node::BusNode;

macro_rules! flaws {
    ($($name:ident = $number:literal,)*) => { $(pub const $name: u8 = $number;)* };
}

flaws! {
    HONEST = 0,
    DROPS = 1,
    DUPLICATES = 2,
    SWAPS = 3,
    IGNORES_GROUPS = 4,
    CLAIMS_WHAT_IT_LACKS = 5,
    REFUSES_WHAT_IT_CLAIMS = 6,
    STAR_CROSSES_DOTS = 7,
    ACCEPTS_WHAT_IT_LACKS = 8,
    SENDS_AFTER_CLOSE = 9,
    ENDS_TWICE = 10,
    DRAINS_NOTHING = 11,
    NEVER_CUTS = 12,
    CUTS_SHORT = 13,
    IS_MOODY = 14,
    HIDES_EMULATION = 15,
    NEVER_ENDS = 16,
    SPINS = 17,
    STAYS_AWAY = 18,
    REFUSES_FOR_ANOTHER_REASON = 19,
    CROSSES_ANSWERS = 20,
    TAIL_TAKES_NONE = 21,
}

/// A contender with one flaw.
pub struct Bus<const FLAW: u8>;

/// Bytes that may wait for a subscriber.
pub const MAX_PENDING: u64 = 128 << 10;

#[derive(Clone, Debug)]
pub enum Up {
    Subscribe {
        sid: u64,
        filter: String,
        group: Option<String>,
    },
    Unsubscribe {
        sid: u64,
    },
    Publish {
        channel: String,
        reply: Option<String>,
        headers: Vec<u8>,
        payload: Vec<u8>,
        ticket: u64,
    },
    Bye,
}

#[derive(Clone, Debug)]
pub enum Down {
    Done { ticket: u64 },
    Nobody { ticket: u64 },
    Message { sid: u64, message: broker_contract::Envelope },
    Bye,
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        match self {
            Up::Subscribe { filter, group, .. } => {
                16 + filter.len() + group.as_ref().map_or(0, String::len)
            }
            Up::Unsubscribe { .. } | Up::Bye => 9,
            Up::Publish { channel, reply, headers, payload, .. } => {
                24 + channel.len()
                    + reply.as_ref().map_or(0, String::len)
                    + headers.len()
                    + payload.len()
            }
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Up::Publish { payload, .. } = self {
            visit(payload);
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        match self {
            Down::Message { message, .. } => {
                24 + message.channel().len()
                    + message.reply().len()
                    + message.headers().len()
                    + message.payload().len()
            }
            _ => 9,
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Down::Message { message, .. } = self {
            visit(message.payload());
        }
    }
}

impl<const FLAW: u8> Contender for Bus<FLAW> {
    type Client = BusClient<FLAW>;
    const NAME: &'static str = "bus";

    fn profile() -> Profile {
        let claim = |feature: &Feature| match feature {
            Feature::Replay if FLAW == CLAIMS_WHAT_IT_LACKS => Claim::Native,
            Feature::UnsubscribeAfter => Claim::Emulated("the client counts"),
            Feature::PublishAck
            | Feature::Replay
            | Feature::Redelivery
            | Feature::DurableConsumer
            | Feature::Deduplication
            | Feature::Pull => Claim::Unsupported("nothing is stored"),
            _ => Claim::Native,
        };
        Profile {
            name: "bus",
            title: "Direct bus",
            summary: "A bus for testing the testkit.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(feature))).collect(),
            promises: Promises {
                delivery: "at most once",
                order: "per publisher",
                subscriber_away: "lost",
                slow_subscriber: "cut",
                crash: "lost",
                at_most_once: true,
            },
            proof: Proof::NOTHING,
        }
    }

    fn settings() -> &'static [SettingSpec] {
        &[]
    }

    fn presets() -> &'static [Preset] {
        &[]
    }

    fn configure(_: &Settings) -> Result<Configured<Self>, SettingError> {
        Ok(Configured { node: (), client: (), proof: Proof::NOTHING })
    }

    fn lower(filter: &str, _: bool) -> Lowering {
        Lowering { native: filter.to_owned(), emulation: None }
    }

    fn seat_of(_: &str, _: u32) -> Option<u32> {
        None
    }
}

/// How the client says that it counts.
pub fn counting(flaw: u8) -> Support {
    if flaw == HIDES_EMULATION { Support::Native } else { Support::Emulated("the client counts") }
}
