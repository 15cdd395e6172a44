//! What a trial over TCP asked of the system, and what its generator could send.

use crate::record::{Trial, WireThread};
use crate::text::figures::{rate, share};
use crate::text::group::Group;

/// From this share of the generator's limit on, it is what bounds a trial.
const BOTTLENECK: f64 = 0.8;

/// What there is to say of the generator.
#[derive(Debug)]
pub(crate) struct Generator {
    /// A sentence.
    pub(crate) text: String,
    /// Whether the generator is what bounds the trial.
    pub(crate) is_bottleneck: bool,
}

/// How near to its own limit the generator was; `None` where that is not known.
pub(crate) fn generator(group: &Group<'_>) -> Option<Generator> {
    let limit = group.median(|trial| trial.generator.limit_per_s).filter(|limit| *limit > 0.0)?;
    let peak = group.median(|trial| trial.generator.peak_per_s)?;
    let used = peak / limit;
    let head = format!(
        "to a sink that only reads, the generator sends {} messages/s from its core; the busiest \
         second of the plan asks for {}, {} of it",
        rate(limit),
        rate(peak),
        share(used)
    );
    let is_bottleneck = used >= BOTTLENECK;
    let text = if is_bottleneck {
        format!("{head}: the generator is the bottleneck here, not the broker")
    } else {
        format!("{head}; from {} on it would be the bottleneck", rate(limit * BOTTLENECK))
    };
    Some(Generator { text, is_bottleneck })
}

/// One thread of a contender's trials: medians over repeats.
#[derive(Debug)]
pub(crate) struct Thread {
    /// `generator`, `server` or `receivers`.
    pub(crate) name: &'static str,
    /// CPU time, as a share of the time that it covers.
    pub(crate) busy: Option<f64>,
    /// Per attempted message: calls that read, wrote, waited; bytes in and out.
    pub(crate) a_message: [Option<f64>; 5],
}

/// The threads of a group in the order of a message's way; none where there were
/// no sockets.
pub(crate) fn threads(group: &Group<'_>) -> Vec<Thread> {
    let Some(shown) = &group.shown().wire else { return Vec::new() };
    let names = shown.threads().map(|(name, _)| name);
    let of = |at: usize, figure: fn(&WireThread) -> u64| {
        group.median(|trial: &Trial| {
            let attempted = trial.ledger.messages.attempted;
            let thread = trial.wire.as_ref()?.threads()[at].1;
            (attempted > 0).then(|| figure(thread) as f64 / attempted as f64)
        })
    };
    (0..)
        .zip(names)
        .map(|(at, name)| Thread {
            name,
            busy: group.median(|trial| {
                let wire = trial.wire.as_ref().filter(|wire| wire.over_s > 0.0)?;
                Some(wire.threads()[at].1.cpu_s / wire.over_s)
            }),
            a_message: [
                of(at, |thread| thread.reads),
                of(at, |thread| thread.writes),
                of(at, |thread| thread.polls),
                of(at, |thread| thread.bytes_in),
                of(at, |thread| thread.bytes_out),
            ],
        })
        .collect()
}
