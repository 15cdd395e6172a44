//! From a draft that breaks a promise to a smaller one that breaks it too.

use super::draft::{Draft, Keeping, StrikeKind};

/// Makes `draft` smaller as long as `fails` says that it still breaks the same
/// promise, trying at most `budget` drafts. Returns the smallest found, and how
/// many were tried.
///
/// Each round tries the largest cuts first and starts anew from the first that
/// still fails, so the result is one from which no single cut can be made (or
/// the budget's end).
pub fn shrink(draft: &Draft, budget: u32, mut fails: impl FnMut(&Draft) -> bool) -> (Draft, u32) {
    let mut best = draft.clone();
    let mut tried = 0;
    'rounds: loop {
        for candidate in cuts(&best) {
            if tried >= budget {
                break 'rounds;
            }
            tried += 1;
            if fails(&candidate) {
                best = candidate;
                continue 'rounds;
            }
        }
        break;
    }
    (best, tried)
}

/// All drafts that are one cut smaller, the largest cuts first.
fn cuts(draft: &Draft) -> Vec<Draft> {
    let mut all = Vec::new();
    let mut cut = |change: &dyn Fn(&mut Draft)| {
        let mut smaller = draft.clone();
        change(&mut smaller);
        smaller.drop_orphans();
        if smaller != *draft && !smaller.senders.is_empty() {
            all.push(smaller);
        }
    };
    if !draft.strikes.is_empty() {
        cut(&|d| d.strikes.clear());
    }
    for at in 0..draft.receivers.len() {
        cut(&|d| drop(d.receivers.remove(at)));
    }
    for at in 0..draft.senders.len() {
        cut(&|d| drop(d.senders.remove(at)));
    }
    for at in 0..draft.strikes.len() {
        cut(&|d| drop(d.strikes.remove(at)));
    }
    for name in draft.settings.keys() {
        for at in 0..draft.settings[name].len() {
            cut(&|d| {
                if let Some(settings) = d.settings.get_mut(name) {
                    settings.remove(at);
                }
            });
        }
    }
    cut(&|d| d.burst = None);
    if draft.send_ms > 20 {
        // Rates stay, and faults move along.
        cut(&|d| {
            d.send_ms /= 2;
            d.senders.iter_mut().for_each(|s| s.messages = (s.messages / 2).max(1));
            for strike in &mut d.strikes {
                strike.at_ms /= 2;
                strike.for_ms = (strike.for_ms / 2).max(1);
            }
        });
    }
    for at in 0..draft.senders.len() {
        cut(&|d| d.senders[at].messages = (d.senders[at].messages / 2).max(1));
        cut(&|d| d.senders[at].count = (d.senders[at].count / 2).max(1));
        cut(&|d| d.senders[at].connections = None);
        cut(&|d| d.senders[at].keyed = false);
        cut(&|d| d.senders[at].size = (64, 64));
    }
    for at in 0..draft.receivers.len() {
        cut(&|d| halve_members(d, at));
        cut(&|d| d.receivers[at].grouped = false);
        cut(&|d| d.receivers[at].joins_percent = None);
        cut(&|d| d.receivers[at].keeping = Keeping::default());
        cut(&|d| {
            let keeping = &mut d.receivers[at].keeping;
            keeping.max_deliver = None;
            keeping.poison_percent = 0;
            keeping.backoff_ms.clear();
        });
        cut(&|d| d.receivers[at].keeping.max_in_flight = None);
        cut(&|d| d.receivers[at].keeping.fails_percent = 0);
        cut(&|d| d.receivers[at].keeping.naks_percent = 0);
        cut(&|d| d.receivers[at].inbox = None);
        cut(&|d| d.receivers[at].processing_us = 0);
    }
    for at in 0..draft.strikes.len() {
        cut(&|d| d.strikes[at].for_ms = (d.strikes[at].for_ms / 2).max(1));
    }
    cut(&|d| d.link.jitter_us = 0);
    cut(&|d| d.link.kbit_per_s = None);
    all
}

/// Halves a receiving population; strikes at members that are gone go as well.
fn halve_members(draft: &mut Draft, at: usize) {
    let receiver = &mut draft.receivers[at];
    receiver.count = (receiver.count / 2).max(1);
    let (name, count) = (receiver.name.clone(), receiver.count);
    draft.strikes.retain_mut(|strike| match &mut strike.kind {
        StrikeKind::Restart { of, first, members, .. } if *of == name => {
            *members = (*members).min(count.saturating_sub(*first));
            *members > 0
        }
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::{draw::draw, particulars};

    #[test]
    fn what_does_not_matter_goes_and_what_does_stays() {
        let particulars = particulars::table();
        let has_crash = |draft: &Draft| draft.crashes();
        let draft = (0..).map(|seed| draw(seed, &particulars)).find(has_crash).expect("some");
        let (small, tried) = shrink(&draft, 10_000, |draft| draft.crashes());
        assert!(tried > 5);
        assert!(small.receivers.is_empty() && small.senders.len() == 1 && small.strikes.len() == 1);
        assert_eq!((small.strikes[0].for_ms, small.senders[0].messages), (1, 1));
    }

    #[test]
    fn a_budget_is_kept() {
        let draft = draw(3, &particulars::table());
        let mut asked = 0;
        let (_, tried) = shrink(&draft, 7, |_| {
            asked += 1;
            true
        });
        assert_eq!((tried, asked), (7, 7));
    }
}
