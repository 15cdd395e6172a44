//! From a seed to a draft.
//!
//! Scenarios are small (some hundred messages) and varied: what a promise rests
//! on shows as well with ten clients as with ten thousand. Faults are drawn the
//! swarm way: each run takes a random subset of the kinds, and a quarter of the
//! runs none, because faults that are always all there hide each other.

use std::collections::BTreeMap;

use broker_contract::SeedStream;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::draft::{
    Draft, Keeping, LinkDraft, Receiver, Rhythm, Sender, Strike, StrikeKind, Token,
};
use super::particulars::Particulars;
use crate::contenders;

/// The longest that a run goes on after its last message: several times the
/// longest time-out of any contender's defaults, and nearly free in virtual time.
const DRAIN_MS: u64 = 180_000;

/// Draws the draft of `seed`.
///
/// Network, senders, receivers, faults and each contender's settings draw from
/// streams of their own, so that a contender more or less changes none of the rest.
pub fn draw(seed: u64, particulars: &BTreeMap<String, Particulars>) -> Draft {
    let root = SeedStream::new(seed).fork("soak");
    let mut rng = root.fork("shape").rng();
    let send_ms = pick(&mut rng, &[200, 500, 1000, 1000, 2000, 3000]);
    let burst = one_in(&mut rng, 5).then(|| (pick(&mut rng, &[50, 200]), pick(&mut rng, &[3, 8])));
    let senders = senders(&mut root.fork("senders").rng());
    let receivers = receivers(&mut root.fork("receivers").rng(), &senders);
    let sending_ms = send_ms + burst.map_or(0, |(burst_ms, _)| burst_ms);
    let strikes = strikes(&mut root.fork("faults").rng(), sending_ms, &receivers);
    let link = link(&mut root.fork("network").rng());
    let settings = contenders::all_known()
        .iter()
        .map(|known| {
            let name = known.profile.name;
            let mut rng = root.fork("settings").fork(name).rng();
            let presets: Vec<&str> = known.presets.iter().map(|preset| preset.name).collect();
            (name.to_owned(), settings(&mut rng, &presets, particulars.get(name)))
        })
        .collect();
    Draft { seed, send_ms, burst, drain_ms: DRAIN_MS, link, senders, receivers, strikes, settings }
}

fn link(rng: &mut ChaCha8Rng) -> LinkDraft {
    LinkDraft {
        round_trip_us: pick(rng, &[20, 100, 500, 2_000, 20_000]),
        jitter_us: pick(rng, &[0, 0, 50, 1_000, 10_000]),
        kbit_per_s: one_in(rng, 6).then(|| pick(rng, &[2_000, 10_000, 100_000])),
    }
}

fn senders(rng: &mut ChaCha8Rng) -> Vec<Sender> {
    let populations = pick(rng, &[1, 1, 2, 2, 3]);
    let mut budget = pick(rng, &[20, 100, 200, 400, 800]);
    let mut senders = Vec::new();
    for at in 0..populations {
        let count = pick(rng, &[1, 1, 2, 3, 5]);
        let mine = if at + 1 == populations { budget } else { budget / 2 };
        budget -= mine;
        // Two populations may share a root, so that their messages meet.
        let root = rng.random_range(0..=at);
        let min = pick(rng, &[32, 64, 128, 512]);
        let spread = pick(rng, &[0, 0, 200, 2_000]);
        let large = one_in(rng, 8);
        let size = if large { (4_096, 16_384) } else { (min, min + spread) };
        senders.push(Sender {
            name: format!("p{at}"),
            count,
            connections: (count > 1 && one_in(rng, 4)).then_some(1),
            channel: channel(rng, root),
            messages: (mine / count).max(1),
            rhythm: match rng.random_range(0..3) {
                0 => Rhythm::Periodic,
                1 => Rhythm::Poisson,
                _ => Rhythm::Bursty(pick(rng, &[2, 10, 50])),
            },
            size,
            keyed: one_in(rng, 4),
            asks_ms: None,
        });
    }
    if one_in(rng, 7) {
        senders.push(Sender {
            name: "asking".to_owned(),
            count: pick(rng, &[1, 2]),
            connections: None,
            channel: vec![Token::Word("ask".to_owned()), Token::Draw(3)],
            messages: pick(rng, &[5, 40]),
            rhythm: Rhythm::Poisson,
            size: (64, 64),
            keyed: false,
            asks_ms: Some(pick(rng, &[500, 5_000])),
        });
    }
    senders
}

fn channel(rng: &mut ChaCha8Rng, root: u32) -> Vec<Token> {
    let mut tokens = vec![Token::Word(format!("r{root}"))];
    for _ in 0..rng.random_range(0..3) {
        tokens.push(match rng.random_range(0..4) {
            0 => Token::Word(pick(rng, &["x", "y"]).to_owned()),
            1 => Token::Member,
            _ => Token::Draw(pick(rng, &[2, 3, 10])),
        });
    }
    tokens
}

fn receivers(rng: &mut ChaCha8Rng, senders: &[Sender]) -> Vec<Receiver> {
    let mut receivers = Vec::new();
    let published: Vec<&Sender> = senders.iter().filter(|s| s.asks_ms.is_none()).collect();
    for at in 0..rng.random_range(1..=4) {
        let Some(of) = published.get(rng.random_range(0..published.len().max(1))) else { break };
        let grouped = one_in(rng, 2);
        let keeping = if one_in(rng, 3) { Keeping::default() } else { keeping(rng) };
        receivers.push(Receiver {
            name: format!("s{at}"),
            count: if grouped { pick(rng, &[1, 2, 3, 4]) } else { pick(rng, &[1, 1, 2]) },
            filter: filter(rng, &of.channel),
            grouped,
            processing_us: pick(rng, &[0, 10, 100, 1_000]),
            inbox: one_in(rng, 4).then(|| pick(rng, &[1, 8, 64])),
            answers: false,
            joins_percent: one_in(rng, 8).then(|| pick(rng, &[25, 60, 100])),
            keeping,
        });
    }
    if senders.iter().any(|sender| sender.asks_ms.is_some()) {
        receivers.push(Receiver {
            name: "answering".to_owned(),
            count: pick(rng, &[1, 2]),
            filter: pick(rng, &["ask.*", "ask.>"]).to_owned(),
            grouped: true,
            processing_us: 50,
            inbox: None,
            answers: true,
            joins_percent: None,
            keeping: Keeping::default(),
        });
    }
    receivers
}

/// A filter that takes at least some of what goes to `channel`.
fn filter(rng: &mut ChaCha8Rng, channel: &[Token]) -> String {
    let mut tokens: Vec<String> = Vec::new();
    // The tail wildcard stands for one token at least. A bare one would also take
    // what clients say among themselves, such as answers, which repeat the
    // identity of their question.
    let tail_at = (channel.len() > 1 && one_in(rng, 3)).then(|| rng.random_range(1..channel.len()));
    for (at, token) in channel.iter().enumerate() {
        if tail_at == Some(at) {
            tokens.push(">".to_owned());
            break;
        }
        let literal = match token {
            Token::Word(word) => word.clone(),
            Token::Member => "m0".to_owned(),
            Token::Draw(count) => format!("d{}", rng.random_range(0..*count)),
        };
        let wild = match token {
            Token::Word(_) => at > 0 && one_in(rng, 4),
            Token::Member | Token::Draw(_) => !one_in(rng, 3),
        };
        tokens.push(if wild { "*".to_owned() } else { literal });
    }
    tokens.join(".")
}

fn keeping(rng: &mut ChaCha8Rng) -> Keeping {
    let ack = pick(rng, &["none", "explicit", "explicit", "all"]);
    let max_deliver = one_in(rng, 4).then(|| pick(rng, &[2, 4, 6]));
    let backoff_ms = match max_deliver {
        // More waits than deliveries would be a contradiction to some.
        Some(most) if most > 3 && one_in(rng, 2) => vec![20, 100, 500],
        _ => Vec::new(),
    };
    let fails_percent = pick(rng, &[0, 0, 2, 10]);
    let naks_percent = pick(rng, &[0, 0, 5, 20]);
    let nak_delay_ms = one_in(rng, 2).then(|| pick(rng, &[5, 100, 1_000]));
    let durable = one_in(rng, 2);
    let from_start = one_in(rng, 3);
    let poison_percent = if max_deliver.is_some() { pick(rng, &[0, 2, 10]) } else { 0 };
    let ack_wait_ms = Some(pick(rng, &[50, 300, 1_000]));
    let max_in_flight = one_in(rng, 3).then(|| pick(rng, &[1, 10, 100]));
    let mut keeping = Keeping {
        ack,
        fails_percent,
        naks_percent,
        nak_delay_ms,
        durable,
        from_start,
        poison_percent,
        ack_wait_ms,
        max_deliver,
        backoff_ms,
        max_in_flight,
    };
    if keeping.max_in_flight == Some(1) {
        // Each wait holds up everything behind it: longer ones, hundreds of them,
        // would outlast the drain without anything being wrong.
        keeping.nak_delay_ms = keeping.nak_delay_ms.map(|delay_ms| delay_ms.min(5));
        keeping.ack_wait_ms = Some(50);
        keeping.backoff_ms.truncate(1);
    }
    keeping
}

fn strikes(rng: &mut ChaCha8Rng, sending_ms: u64, receivers: &[Receiver]) -> Vec<Strike> {
    let mut strikes = Vec::new();
    if one_in(rng, 4) {
        return strikes;
    }
    let (restarts, slows, crashes) = (one_in(rng, 2), one_in(rng, 3), one_in(rng, 2));
    for (kind, chosen) in [(StrikeKind::Stall, one_in(rng, 4)), (StrikeKind::Full, one_in(rng, 6))]
    {
        if chosen {
            let (at_ms, for_ms) = moment(rng, 0, sending_ms);
            strikes.push(Strike { kind, at_ms, for_ms });
        }
    }
    for receiver in receivers {
        if restarts && one_in(rng, 2) {
            let first = rng.random_range(0..receiver.count);
            let (at_ms, for_ms) = moment(rng, 0, sending_ms);
            let kind = StrikeKind::Restart {
                of: receiver.name.clone(),
                first,
                members: rng.random_range(1..=receiver.count - first),
                graceful: one_in(rng, 2),
            };
            strikes.push(Strike { kind, at_ms, for_ms });
        }
        if slows && one_in(rng, 2) {
            let (at_ms, for_ms) = moment(rng, 0, sending_ms);
            let at_least_ms = pick(rng, &[1, 20, 500]);
            let kind = StrikeKind::Slow { of: receiver.name.clone(), at_least_ms };
            strikes.push(Strike { kind, at_ms, for_ms });
        }
    }
    if crashes {
        let half_ms = sending_ms / 2;
        let twice = one_in(rng, 3);
        for (from_ms, until_ms) in [(0, half_ms), (half_ms, sending_ms)] {
            let (at_ms, for_ms) = moment(rng, from_ms, until_ms);
            let kind = StrikeKind::Crash { power_loss: one_in(rng, 2) };
            if twice || from_ms > 0 {
                strikes.push(Strike { kind, at_ms, for_ms });
            }
        }
    }
    strikes
}

/// A beginning and a length that lie within `from_ms..until_ms`, apart from its
/// last millisecond, so that two neighbours do not touch.
fn moment(rng: &mut ChaCha8Rng, from_ms: u64, until_ms: u64) -> (u64, u64) {
    let at_ms = rng.random_range(from_ms..until_ms.max(from_ms + 3) - 2);
    let room = until_ms.saturating_sub(at_ms + 1).max(1);
    (at_ms, rng.random_range(1..=room.min(800)))
}

/// A preset now and then, and values that bring limits within reach of a small run.
fn settings(
    rng: &mut ChaCha8Rng,
    presets: &[&str],
    particulars: Option<&Particulars>,
) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if !presets.is_empty() && one_in(rng, 4) {
        out.push(("preset".to_owned(), format!("\"{}\"", pick(rng, presets))));
    }
    for (key, values) in particulars.iter().flat_map(|particulars| &particulars.settings) {
        if one_in(rng, 4)
            && let Some(value) = values.get(rng.random_range(0..values.len().max(1)))
        {
            out.push((key.clone(), value.to_string()));
        }
    }
    out
}

fn one_in(rng: &mut ChaCha8Rng, n: u32) -> bool {
    rng.random_range(0..n) == 0
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::particulars;

    #[test]
    fn every_draft_is_a_sound_scenario() {
        let particulars = particulars::table();
        let (mut calm, mut struck) = (0, 0);
        for seed in 0..300 {
            let draft = draw(seed, &particulars);
            *if draft.strikes.is_empty() { &mut calm } else { &mut struck } += 1;
            let parsed = draft.to_scenario();
            assert!(parsed.is_ok(), "seed {seed}: {parsed:?}\n{}", draft.to_toml());
        }
        assert!(calm > 60 && struck > 150, "{calm} calm, {struck} struck");
    }

    #[test]
    fn the_same_seed_draws_the_same_draft() {
        let particulars = particulars::table();
        assert_eq!(draw(7, &particulars), draw(7, &particulars));
        assert_ne!(draw(7, &particulars).to_toml(), draw(8, &particulars).to_toml());
    }
}
