//! How much the generator could send: where it stops being the instrument.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use broker_contract::{Contender, SeedStream, Settings};
use lab_workloads::scenario::model::{Phase, PhaseKind, Scenario};

use super::null::NullBytes;
use crate::modes::embedded::canary::{Canary, NullConfig};
use crate::modes::sim::engine::expected_messages;
use crate::trial::Watch;

/// Messages per second that are asked for: more than one core can send.
const WANTED_PER_S: f64 = 4e6;

/// The generator at its limit.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Unlimited {
    /// Messages per second that the sink has read.
    pub messages_per_s: f64,
    /// System calls that wrote, per message.
    pub writes_a_message: f64,
    /// CPU seconds per second: of the generator's thread, and of the sink's.
    pub busy: [f64; 2],
}

/// Plays the plan of `scenario` far faster than it can be sent, for `time`, over
/// the same sockets and threads as a trial, with the canary's bytes and a node that
/// reads and drops them. `None` when that cannot be done or was interrupted.
pub fn generator_limit(
    scenario: &Scenario,
    seed: SeedStream,
    time: Duration,
    interrupt: &Arc<AtomicBool>,
) -> Option<Unlimited> {
    let (expected, sends_s) =
        (expected_messages(scenario), scenario.sending_ends_ns() as f64 / 1e9);
    if expected == 0 || sends_s <= 0.0 {
        return None;
    }
    let factor = (WANTED_PER_S * sends_s / expected as f64).max(1.0);
    let mut flat_out = scenario.clone();
    flat_out.faults.clear();
    flat_out.contenders.clear();
    flat_out.phases = vec![Phase {
        kind: PhaseKind::Steady,
        start_ns: 0,
        end_ns: time.as_nanos() as u64,
        rate_from: factor,
        rate_to: factor,
    }];
    let mut configured = Canary::configure(&Settings::default()).ok()?;
    configured.node = NullConfig { is_sink: true };
    let watch = Watch::new(interrupt.clone());
    let raw = super::run(NullBytes, &Arc::new(flat_out), &configured, seed, &watch);
    let [server, generator, _] = raw.calls?;
    if raw.broken.is_some() || raw.interrupted || server.frames_in == 0 {
        return None;
    }
    let seconds = time.as_secs_f64();
    Some(Unlimited {
        messages_per_s: server.frames_in as f64 / seconds,
        writes_a_message: generator.writes as f64 / server.frames_in as f64,
        busy: [raw.clients_cpu_s[0] / seconds, raw.resources.node_cpu_s / seconds],
    })
}
