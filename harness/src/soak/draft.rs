//! A scenario in the making: what a seed drew, before it is text.
//!
//! A draft is small enough to be taken apart by the shrinker, and is always
//! played by way of its text, so that what is printed is what was run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lab_workloads::scenario::{self, Known, Options, Scenario, ScenarioError};

use crate::contenders;

/// A scenario that the search made up. Times are whole milliseconds of virtual
/// time unless a name says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The seed it was drawn from, and that it is run with.
    pub seed: u64,
    /// How long is sent.
    pub send_ms: u64,
    /// A burst at the end of it: its length, and the factor on all rates.
    pub burst: Option<(u64, u32)>,
    /// How long the run may go on after the last message.
    pub drain_ms: u64,
    /// The network between everybody and the broker.
    pub link: LinkDraft,
    /// Who publishes or asks.
    pub senders: Vec<Sender>,
    /// Who subscribes or answers.
    pub receivers: Vec<Receiver>,
    /// What goes wrong.
    pub strikes: Vec<Strike>,
    /// Keys of `[contenders.NAME]` with their TOML values.
    pub settings: BTreeMap<String, Vec<(String, String)>>,
}

/// The network of a draft.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LinkDraft {
    /// There and back, microseconds.
    pub round_trip_us: u64,
    /// Added to each way at most, microseconds.
    pub jitter_us: u64,
    /// Of each connection and direction, kilobits per second.
    pub kbit_per_s: Option<u64>,
}

/// A population that sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    /// Its name.
    pub name: String,
    /// Members.
    pub count: u32,
    /// Connections that they share; `None`: one each.
    pub connections: Option<u32>,
    /// Its channel, in tokens.
    pub channel: Vec<Token>,
    /// Messages of one member over the whole run, on average.
    pub messages: u32,
    /// How they follow each other.
    pub rhythm: Rhythm,
    /// Payload bytes, smallest and largest.
    pub size: (u32, u32),
    /// Whether the messages of one member, not those of one channel, stay in order.
    pub keyed: bool,
    /// How long it waits for an answer, if it asks.
    pub asks_ms: Option<u64>,
}

/// A token of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// As it stands.
    Word(String),
    /// The member's number.
    Member,
    /// One of so many values, drawn for each message.
    Draw(u32),
}

/// How messages follow each other.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// Evenly.
    Periodic,
    /// At random.
    Poisson,
    /// So many at once, groups at random.
    Bursty(u32),
}

/// A population that receives.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Members.
    pub count: u32,
    /// Its filter.
    pub filter: String,
    /// Whether the members share the messages.
    pub grouped: bool,
    /// Time spent on each message, microseconds.
    pub processing_us: u64,
    /// Messages a member holds before it stops reading.
    pub inbox: Option<u32>,
    /// Whether it answers requests.
    pub answers: bool,
    /// Percent of the sending time after which it subscribes, if it is late.
    pub joins_percent: Option<u32>,
    /// What it wants of a contender that keeps messages.
    pub keeping: Keeping,
}

/// What a subscription wants of a contender that keeps messages.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keeping {
    /// `none`, `explicit` or `all`; empty stands for `none`.
    pub ack: &'static str,
    /// Percent of messages whose processing fails.
    pub fails_percent: u32,
    /// Percent of messages that are refused.
    pub naks_percent: u32,
    /// Delay asked for with a refusal.
    pub nak_delay_ms: Option<u64>,
    /// Percent of messages that fail at every delivery.
    pub poison_percent: u32,
    /// Time after which what is not acknowledged comes again.
    pub ack_wait_ms: Option<u64>,
    /// Deliveries of one message at most.
    pub max_deliver: Option<u32>,
    /// Waits between deliveries.
    pub backoff_ms: Vec<u64>,
    /// Whether a restarted member carries on.
    pub durable: bool,
    /// Whether it begins with the oldest message that is kept.
    pub from_start: bool,
    /// Unacknowledged messages at once.
    pub max_in_flight: Option<u32>,
}

/// Something that goes wrong in a draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Strike {
    /// What.
    pub kind: StrikeKind,
    /// When it begins.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum StrikeKind {
    /// Members of a receiving population stop and start anew.
    Restart {
        /// The population.
        of: String,
        /// The first member.
        first: u32,
        /// How many.
        members: u32,
        /// Whether they say goodbye.
        graceful: bool,
    },
    /// Members take their time.
    Slow {
        /// The population.
        of: String,
        /// At least this long for each message.
        at_least_ms: u64,
    },
    /// The broker's process ends.
    Crash {
        /// Whether unsynced bytes are lost as well.
        power_loss: bool,
    },
    /// No sync completes.
    Stall,
    /// The disk takes nothing more.
    Full,
}

impl Draft {
    /// Drops strikes at populations that are not there.
    pub fn drop_orphans(&mut self) {
        let receivers = &self.receivers;
        self.strikes.retain(|strike| match &strike.kind {
            StrikeKind::Restart { of, .. } | StrikeKind::Slow { of, .. } => {
                receivers.iter().any(|receiver| receiver.name == *of)
            }
            StrikeKind::Crash { .. } | StrikeKind::Stall | StrikeKind::Full => true,
        });
    }

    /// Whether the broker's process ends in it.
    pub fn crashes(&self) -> bool {
        self.strikes.iter().any(|strike| matches!(strike.kind, StrikeKind::Crash { .. }))
    }

    /// Whether the power goes in it.
    pub fn loses_power(&self) -> bool {
        let lost = StrikeKind::Crash { power_loss: true };
        self.strikes.iter().any(|strike| strike.kind == lost)
    }

    /// Whether the disk takes nothing for a while.
    pub fn fills_up(&self) -> bool {
        self.strikes.iter().any(|strike| strike.kind == StrikeKind::Full)
    }

    /// Whether receivers come and go in it.
    pub fn restarts(&self) -> bool {
        self.strikes.iter().any(|strike| matches!(strike.kind, StrikeKind::Restart { .. }))
    }

    /// The draft as a scenario file.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("a String takes every text");
        out
    }

    /// The draft as a checked scenario.
    ///
    /// # Errors
    /// What the parser says; a draft that the shrinker made may be nonsense.
    pub fn to_scenario(&self) -> Result<Scenario, Box<ScenarioError>> {
        let all = contenders::all_known();
        let known: Vec<Known<'_>> = all
            .iter()
            .map(|known| Known {
                name: known.profile.name,
                settings: known.settings,
                presets: known.presets,
            })
            .collect();
        let name = format!("soak-{}", self.seed);
        scenario::parse(&name, &self.to_toml(), &known, &Options::default())
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "title = \"Soak, seed {0}\"\nseed = {0}", self.seed)?;
        phase(out, "steady", self.send_ms)?;
        if let Some((burst_ms, rate)) = self.burst {
            phase(out, "burst", burst_ms)?;
            writeln!(out, "rate = {rate}")?;
        }
        phase(out, "drain", self.drain_ms)?;
        let link = &self.link;
        writeln!(out, "\n[links.net]\nround_trip = \"{}us\"", link.round_trip_us)?;
        writeln!(out, "jitter = \"{}us\"", link.jitter_us)?;
        if let Some(kbit) = link.kbit_per_s {
            writeln!(out, "bandwidth = \"{kbit}kbit/s\"")?;
        }
        for sender in &self.senders {
            self.write_sender(out, sender)?;
        }
        for receiver in &self.receivers {
            write_receiver(out, receiver)?;
        }
        for strike in &self.strikes {
            write_strike(out, strike)?;
        }
        for (name, settings) in self.settings.iter().filter(|(_, settings)| !settings.is_empty()) {
            writeln!(out, "\n[contenders.{name}]")?;
            for (key, value) in settings {
                writeln!(out, "{key} = {value}")?;
            }
        }
        Ok(())
    }

    fn write_sender(&self, out: &mut String, sender: &Sender) -> std::fmt::Result {
        let name = &sender.name;
        let role = if sender.asks_ms.is_some() { "requester" } else { "publisher" };
        writeln!(out, "\n[populations.{name}]\nrole = \"{role}\"\ncount = {}", sender.count)?;
        writeln!(out, "link = \"net\"")?;
        if let Some(connections) = sender.connections {
            writeln!(out, "connections = {connections}")?;
        }
        if let Some(timeout_ms) = sender.asks_ms {
            writeln!(out, "timeout = \"{timeout_ms}ms\"")?;
        }
        let mut channel = Vec::new();
        if sender.keyed {
            writeln!(out, "fields.member = {{ prefix = \"m\" }}")?;
        }
        for (at, token) in sender.channel.iter().enumerate() {
            match token {
                Token::Word(word) => channel.push(word.clone()),
                Token::Member => {
                    channel.push(format!("{{f{at}}}"));
                    writeln!(out, "fields.f{at} = {{ prefix = \"m\" }}")?;
                }
                Token::Draw(count) => {
                    channel.push(format!("{{f{at}}}"));
                    let of = format!("source = \"draw\", count = {count}, prefix = \"d\"");
                    writeln!(out, "fields.f{at} = {{ {of} }}")?;
                }
            }
        }
        writeln!(out, "\n[populations.{name}.streams.all]")?;
        writeln!(out, "channel = \"{}\"", channel.join("."))?;
        let (send_us, messages) = (self.send_ms * 1000, u64::from(sender.messages.max(1)));
        match sender.rhythm {
            Rhythm::Periodic => {
                let every_us = (send_us / messages).max(1);
                writeln!(out, "arrival = {{ kind = \"periodic\", every = \"{every_us}us\" }}")?;
            }
            Rhythm::Poisson => {
                let rate = messages as f64 * 1e6 / send_us as f64;
                writeln!(out, "arrival = {{ kind = \"poisson\", rate_per_s = {rate:.3} }}")?;
            }
            Rhythm::Bursty(burst) => {
                let rate = messages as f64 * 1e6 / send_us as f64 / f64::from(burst.max(1));
                let kind = format!("kind = \"bursty\", bursts_per_s = {rate:.3}");
                writeln!(
                    out,
                    "arrival = {{ {kind}, burst = {}, spacing = \"0s\" }}",
                    burst.max(1)
                )?;
            }
        }
        match sender.size {
            (min, max) if min == max => writeln!(out, "size = \"{min}B\"")?,
            (min, max) => {
                let range = format!("min = \"{min}B\", max = \"{max}B\"");
                writeln!(out, "size = {{ kind = \"uniform\", {range} }}")?;
            }
        }
        if sender.keyed {
            writeln!(out, "key = \"{{member}}\"")?;
        }
        Ok(())
    }
}

fn phase(out: &mut String, kind: &str, length_ms: u64) -> std::fmt::Result {
    writeln!(out, "\n[[phases]]\nkind = \"{kind}\"\nduration = \"{length_ms}ms\"")
}

fn write_receiver(out: &mut String, receiver: &Receiver) -> std::fmt::Result {
    let Receiver { name, count, filter, .. } = receiver;
    let role = if receiver.answers { "responder" } else { "subscriber" };
    writeln!(out, "\n[populations.{name}]\nrole = \"{role}\"\ncount = {count}")?;
    writeln!(out, "link = \"net\"\nfilter = \"{filter}\"")?;
    if receiver.grouped {
        writeln!(out, "group = \"{name}\"")?;
    }
    writeln!(out, "processing = \"{}us\"", receiver.processing_us)?;
    if let Some(inbox) = receiver.inbox {
        writeln!(out, "inbox = {inbox}")?;
    }
    let keeping = &receiver.keeping;
    if receiver.answers {
        return Ok(());
    }
    if !matches!(keeping.ack, "" | "none") {
        writeln!(out, "ack = \"{}\"", keeping.ack)?;
        writeln!(out, "failure_rate = {:.2}", f64::from(keeping.fails_percent) / 100.0)?;
        writeln!(out, "nak_rate = {:.2}", f64::from(keeping.naks_percent) / 100.0)?;
        if let Some(delay_ms) = keeping.nak_delay_ms.filter(|_| keeping.naks_percent > 0) {
            writeln!(out, "nak_delay = \"{delay_ms}ms\"")?;
        }
        writeln!(out, "poison = {:.2}", f64::from(keeping.poison_percent) / 100.0)?;
        if let Some(wait_ms) = keeping.ack_wait_ms {
            writeln!(out, "ack_wait = \"{wait_ms}ms\"")?;
        }
        if let Some(most) = keeping.max_deliver {
            writeln!(out, "max_deliver = {most}")?;
        }
        if let Some(max) = keeping.max_in_flight {
            writeln!(out, "max_in_flight = {max}")?;
        }
        if !keeping.backoff_ms.is_empty() {
            let waits: Vec<String> =
                keeping.backoff_ms.iter().map(|ms| format!("\"{ms}ms\"")).collect();
            writeln!(out, "backoff = [{}]", waits.join(", "))?;
        }
    }
    if let Some(percent) = receiver.joins_percent {
        writeln!(out, "joins = {:.2}", f64::from(percent) / 100.0)?;
    }
    if keeping.durable {
        writeln!(out, "durable = true")?;
    }
    if keeping.from_start {
        writeln!(out, "start = \"all\"")?;
    }
    Ok(())
}

fn write_strike(out: &mut String, strike: &Strike) -> std::fmt::Result {
    writeln!(out, "\n[[faults]]")?;
    match &strike.kind {
        StrikeKind::Restart { of, first, members, graceful } => {
            let how = if *graceful { "graceful" } else { "killed" };
            writeln!(out, "kind = \"subscriber-restart\"\npopulation = \"{of}\"")?;
            writeln!(out, "first = {first}\nmembers = {members}\nhow = \"{how}\"")?;
        }
        StrikeKind::Slow { of, at_least_ms } => {
            writeln!(out, "kind = \"slow-subscriber\"\npopulation = \"{of}\"")?;
            writeln!(out, "at_least = \"{at_least_ms}ms\"")?;
        }
        StrikeKind::Stall => writeln!(out, "kind = \"disk-stall\"")?,
        StrikeKind::Full => writeln!(out, "kind = \"disk-full\"")?,
        StrikeKind::Crash { power_loss } => {
            let how = if *power_loss { "power-loss" } else { "process-kill" };
            writeln!(out, "kind = \"broker-crash\"\nhow = \"{how}\"")?;
        }
    }
    writeln!(out, "at = \"{}ms\"\nfor = \"{}ms\"", strike.at_ms, strike.for_ms)
}
