//! Up by doubling, in by bisection, and the edge once more.

use std::collections::BTreeMap;

/// What became of one run of a step.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Everything held.
    Met,
    /// Something did not.
    Missed,
    /// It was not run: the search may not go there, or has been told to stop.
    OutOfBounds,
}

/// How to search. Rates are factors on the scenario's own.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Rules {
    /// Lowest factor to try.
    pub floor: f64,
    /// Sides of the edge this far apart end the search (0.05: 5 %).
    pub bracket: f64,
    /// Runs that settle a step: the majority counts. A step that is met at its
    /// first run is taken as met on the way, because a noisy machine makes
    /// figures worse and never better; the edge gets all its runs.
    pub runs: u32,
    /// Whether a missed step is run again at once. Without noise it need not be.
    pub confirm: bool,
    /// Runs of steps that a search takes at most.
    pub most_runs: u32,
}

/// Runs of one step.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// That met everything.
    pub met: u32,
    /// All.
    pub runs: u32,
}

impl Level {
    /// Whether more than half of the runs met everything.
    pub const fn is_sustained(self) -> bool {
        self.met * 2 > self.runs
    }
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The highest factor that was sustained; `None` if none was.
    pub sustained: Option<f64>,
    /// The lowest factor above it that was not; `None` where the search ended
    /// before it met one.
    pub not_sustained: Option<f64>,
    /// The lowest factor from which on no run of any step met everything; `None`
    /// where the highest that was tried did.
    pub hopeless: Option<f64>,
    /// The highest factor up to which every run of every step met everything.
    pub surely: f64,
    /// Runs at the highest sustained factor.
    pub edge: Level,
    /// Whether the sides are as close as asked for.
    pub closed: bool,
    /// Runs that it took.
    pub runs: u32,
}

struct Search<'a> {
    rules: Rules,
    attempt: &'a mut dyn FnMut(f64, u32) -> Attempt,
    /// By the bits of the factor, which for positive numbers sort as they do.
    levels: BTreeMap<u64, Level>,
    runs: u32,
    stopped: bool,
}

/// Searches from factor 1. `attempt` runs one step: its factor, and how many runs
/// that factor has had before, for another seed.
pub fn search(rules: Rules, attempt: &mut dyn FnMut(f64, u32) -> Attempt) -> Found {
    let mut search = Search { rules, attempt, levels: BTreeMap::new(), runs: 0, stopped: false };
    search.frame();
    // A step that was lucky on the way may fall at the edge; then the edge is
    // below it, and is looked for there.
    loop {
        search.close_in();
        let Some(edge) = search.highest_sustained() else { break };
        search.settle(edge);
        let held = search.highest_sustained() == Some(edge);
        if search.stopped || (held && search.is_closed()) {
            break;
        }
    }
    search.found()
}

impl Search<'_> {
    fn run(&mut self, factor: f64) -> Option<Level> {
        if self.stopped || self.runs >= self.rules.most_runs {
            self.stopped = true;
            return None;
        }
        let before = self.levels.get(&factor.to_bits()).copied().unwrap_or_default();
        let attempt = (self.attempt)(factor, before.runs);
        if attempt == Attempt::OutOfBounds {
            self.stopped = true;
            return None;
        }
        self.runs += 1;
        let level = self.levels.entry(factor.to_bits()).or_default();
        level.runs += 1;
        level.met += u32::from(attempt == Attempt::Met);
        Some(*level)
    }

    /// Whether the step is sustained, as far as the way needs to know.
    fn decide(&mut self, factor: f64) -> Option<bool> {
        let mut level = self.run(factor)?;
        while self.rules.confirm && level.met < level.runs && level.runs < self.rules.runs {
            let missed = level.runs - level.met;
            if missed * 2 > self.rules.runs {
                break;
            }
            level = self.run(factor)?;
        }
        Some(level.is_sustained())
    }

    /// Brackets the edge between a factor and its double.
    fn frame(&mut self) {
        let mut factor = 1.0;
        let Some(first) = self.decide(factor) else { return };
        loop {
            factor = if first { factor * 2.0 } else { factor / 2.0 };
            if factor < self.rules.floor {
                return;
            }
            match self.decide(factor) {
                Some(sustained) if sustained == first => {}
                _ => return,
            }
        }
    }

    fn close_in(&mut self) {
        while !self.is_closed() {
            let (Some(low), Some(high)) = (self.highest_sustained(), self.lowest_missed()) else {
                return;
            };
            // The geometric middle halves the ratio.
            if self.decide((low * high).sqrt()).is_none() {
                return;
            }
        }
    }

    /// Gives the edge all its runs.
    fn settle(&mut self, factor: f64) {
        while self.levels.get(&factor.to_bits()).is_some_and(|level| {
            level.runs < self.rules.runs && (level.runs - level.met) * 2 <= self.rules.runs
        }) {
            if self.run(factor).is_none() {
                return;
            }
        }
    }

    /// The lowest factor that was not sustained bounds what counts: one that was
    /// above it was luck.
    fn lowest_missed(&self) -> Option<f64> {
        let missed = self.levels.iter().find(|(_, level)| !level.is_sustained());
        missed.map(|(bits, _)| f64::from_bits(*bits))
    }

    fn highest_sustained(&self) -> Option<f64> {
        let below = self.levels.iter().take_while(|(_, level)| level.is_sustained());
        below.last().map(|(bits, _)| f64::from_bits(*bits))
    }

    fn is_closed(&self) -> bool {
        match (self.highest_sustained(), self.lowest_missed()) {
            (Some(low), Some(high)) => high <= low * (1.0 + self.rules.bracket),
            _ => false,
        }
    }

    fn found(&self) -> Found {
        let sustained = self.highest_sustained();
        let surely = self.levels.iter().take_while(|(_, level)| level.met == level.runs);
        Found {
            sustained,
            not_sustained: self.lowest_missed(),
            hopeless: self
                .levels
                .iter()
                .rev()
                .take_while(|(_, level)| level.met == 0)
                .last()
                .map(|(bits, _)| f64::from_bits(*bits)),
            surely: surely.last().map_or(0.0, |(bits, _)| f64::from_bits(*bits)),
            edge: sustained
                .and_then(|factor| self.levels.get(&factor.to_bits()).copied())
                .unwrap_or_default(),
            closed: self.is_closed(),
            runs: self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXACT: Rules =
        Rules { floor: 1e-3, bracket: 0.05, runs: 3, confirm: false, most_runs: 60 };

    fn cliff(edge: f64, rules: Rules) -> Found {
        search(rules, &mut |factor, _| if factor <= edge { Attempt::Met } else { Attempt::Missed })
    }

    #[test]
    fn nothing_is_sustained_where_nothing_is() {
        let found = cliff(0.0, EXACT);
        assert_eq!((found.sustained, found.closed), (None, false));
        assert_eq!(found.runs, 10, "down to the floor, and no further");
    }

    #[test]
    fn bounds_end_the_search_with_what_there_is() {
        let found = search(EXACT, &mut |factor, _| {
            if factor > 100.0 { Attempt::OutOfBounds } else { Attempt::Met }
        });
        assert_eq!((found.sustained, found.not_sustained), (Some(64.0), None));
        assert!(!found.closed);
    }

    #[test]
    fn a_lucky_step_falls_at_the_edge() {
        // Sustained up to 4, except that the first run anywhere below 7 is lucky.
        let noisy = Rules { confirm: true, ..EXACT };
        let found = search(noisy, &mut |factor, before| {
            let lucky = before == 0 && factor < 7.0;
            if lucky || factor <= 4.0 { Attempt::Met } else { Attempt::Missed }
        });
        let (low, high) = (found.sustained.expect("some"), found.not_sustained.expect("some"));
        assert!(low <= 4.0 && high > 4.0 && found.closed, "{found:?}");
        assert!(found.hopeless > Some(6.0), "luck shows in the bracket: {found:?}");
        assert_eq!(found.edge.runs, 3);
    }

    #[test]
    fn one_bad_run_does_not_end_the_search() {
        // The machine hiccups at the first run of every fourth step.
        let noisy = Rules { confirm: true, ..EXACT };
        let mut steps = 0;
        let found = search(noisy, &mut |factor, before| {
            steps += u32::from(before == 0);
            let hiccup = before == 0 && steps % 4 == 0;
            if factor <= 11.0 && !hiccup { Attempt::Met } else { Attempt::Missed }
        });
        let low = found.sustained.expect("some");
        assert!(low <= 11.0 && low * 1.05 >= 10.4, "{found:?}");
        assert!(found.surely <= low, "a hiccup shows in the surer bound");
    }

    proptest! {
        #[test]
        fn an_edge_is_bracketed_to_five_per_cent(edge in 0.002_f64..5_000.0, confirm: bool) {
            let found = cliff(edge, Rules { confirm, ..EXACT });
            let (low, high) = (found.sustained.expect("some"), found.not_sustained.expect("some"));
            prop_assert!(low <= edge && edge < high, "{found:?}");
            prop_assert!(found.closed && high <= low * 1.05);
            prop_assert_eq!(found.surely, low);
            prop_assert_eq!(found.hopeless, Some(high));
            prop_assert_eq!(found.edge, Level { met: 3, runs: 3 });
        }

        #[test]
        fn any_machine_ends_the_search(answers in proptest::collection::vec(0_u8..8, 1..80)) {
            let mut at = 0;
            let rules = Rules { confirm: true, ..EXACT };
            let found = search(rules, &mut |_, _| {
                at += 1;
                match answers[at % answers.len()] {
                    0 => Attempt::OutOfBounds,
                    1..4 => Attempt::Missed,
                    _ => Attempt::Met,
                }
            });
            prop_assert!(found.runs <= 60);
            if let (Some(low), Some(high)) = (found.sustained, found.not_sustained) {
                prop_assert!(low < high);
            }
        }
    }
}
