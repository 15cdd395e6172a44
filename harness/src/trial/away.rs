//! When subscriptions were not in force.

use broker_contract::Time;
use lab_workloads::ledger::Away;

use super::cast::Cast;

/// A change in a seat's standing at the node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The node no longer has the subscription.
    Gone,
    /// The subscription is in force again, confirmed or seen to deliver.
    Back,
}

/// Changes of seats, from any thread, joined into intervals at the end.
#[derive(Clone, Debug, Default)]
pub struct AwayLog {
    changes: Vec<(Time, u32, Change)>,
}

impl AwayLog {
    /// Notes a change of `seat` at `at` on the driver's clock.
    pub fn note(&mut self, at: Time, seat: u32, change: Change) {
        self.changes.push((at, seat, change));
    }

    /// Takes over the changes that another thread noted.
    pub fn merge(&mut self, other: AwayLog) {
        self.changes.extend(other.changes);
    }

    /// The intervals on the run's clock. A seat that never came back stays away.
    pub fn intervals(mut self, cast: &Cast, zero: Time) -> Vec<Away> {
        self.changes.sort_by_key(|(at, seat, change)| (*seat, *at, *change == Change::Back));
        let mut intervals = Vec::new();
        let mut since: Option<(u32, Time)> = None;
        let close = |since: &mut Option<(u32, Time)>, until_ns: u64, all: &mut Vec<Away>| {
            if let Some((seat, from)) = since.take() {
                let place = &cast.seats[seat as usize];
                let population = place.population as usize;
                let grouped = cast.seats_per_scope[place.scope as usize] > 1;
                debug_assert!(cast.first_seat[population] <= seat);
                all.push(Away {
                    scope: place.scope,
                    seat: if grouped { place.member } else { 0 },
                    from_ns: from.nanos_since(zero),
                    until_ns,
                });
            }
        };
        for (at, seat, change) in self.changes {
            if since.is_some_and(|(open, _)| open != seat) {
                close(&mut since, u64::MAX, &mut intervals);
            }
            match change {
                Change::Gone => {
                    since.get_or_insert((seat, at));
                }
                Change::Back => close(&mut since, at.nanos_since(zero), &mut intervals),
            }
        }
        close(&mut since, u64::MAX, &mut intervals);
        intervals
    }
}
