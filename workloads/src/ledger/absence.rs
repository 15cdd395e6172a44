//! When a scope's members were not subscribed.

use super::reconcile::Away;

/// A stretch of time in nanoseconds, both ends included. Two stretches that
/// share only an end touch, because what happens within one nanosecond has no
/// order that a driver could vouch for.
type Stretch = (u64, u64);

/// The absences of every scope, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Absences {
    scopes: Vec<Option<Box<Scope>>>,
}

#[derive(Clone, Debug, Default)]
struct Scope {
    /// Of each seat that was ever away: ascending, apart from each other.
    seats: Vec<(u32, Vec<Stretch>)>,
    /// When all seats were away.
    everybody: Vec<Stretch>,
}

impl Absences {
    /// `seats` gives the number of seats of each scope, and counts as 1 where it
    /// is too short or zero.
    pub fn new(scopes: u32, seats: &[u32], away: &[Away]) -> Absences {
        let mut sorted: Vec<&Away> = away.iter().filter(|away| away.scope < scopes).collect();
        sorted.sort_by_key(|away| (away.scope, away.seat, away.from_ns, away.until_ns));
        let mut absences = Absences { scopes: vec![None; scopes as usize] };
        for of_scope in sorted.chunk_by(|left, right| left.scope == right.scope) {
            let index = of_scope[0].scope as usize;
            let by_seat: Vec<(u32, Vec<Stretch>)> = of_scope
                .chunk_by(|left, right| left.seat == right.seat)
                .map(|of_seat| (of_seat[0].seat, joined(of_seat)))
                .collect();
            let count = seats.get(index).copied().unwrap_or(1).max(1);
            // Somebody who was never away leaves no moment without anybody.
            let everybody = if by_seat.len() >= count as usize {
                let mut stretches = by_seat.iter().map(|(_, stretches)| stretches);
                let first = stretches.next().cloned().unwrap_or_default();
                stretches.fold(first, |all, stretches| common(&all, stretches))
            } else {
                Vec::new()
            };
            absences.scopes[index] = Some(Box::new(Scope { seats: by_seat, everybody }));
        }
        absences
    }

    /// Whether anybody of this scope was ever away.
    pub fn any(&self, scope: u32) -> bool {
        self.scopes[scope as usize].is_some()
    }

    /// Whether nobody of `scope` was there at some moment of the window; or, if
    /// `seat` is given, whether that seat was not.
    pub fn touch(&self, scope: u32, seat: Option<u32>, window: Stretch) -> bool {
        self.first_in(scope, seat, window).is_some()
    }

    /// Whether one and the same absence, as [`Absences::touch`] understands it,
    /// touches both `begin` and the window.
    pub fn span(&self, scope: u32, seat: Option<u32>, begin: Stretch, window: Stretch) -> bool {
        self.first_in(scope, seat, begin)
            .is_some_and(|(from, until)| from <= window.1 && window.0 <= until)
    }

    fn first_in(&self, scope: u32, seat: Option<u32>, window: Stretch) -> Option<Stretch> {
        let scope = self.scopes[scope as usize].as_ref()?;
        let stretches = match seat {
            None => &scope.everybody,
            Some(seat) => {
                let at = scope.seats.binary_search_by_key(&seat, |(seat, _)| *seat).ok()?;
                &scope.seats[at].1
            }
        };
        let next = stretches.partition_point(|(_, until)| *until < window.0);
        stretches.get(next).copied().filter(|(from, _)| *from <= window.1)
    }
}

/// One seat's absences, in order of their beginning, as stretches apart.
fn joined(of_seat: &[&Away]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for away in of_seat.iter().filter(|away| away.from_ns <= away.until_ns) {
        match stretches.last_mut() {
            Some((_, until)) if *until >= away.from_ns => *until = away.until_ns.max(*until),
            _ => stretches.push((away.from_ns, away.until_ns)),
        }
    }
    stretches
}

/// What two lists of stretches have in common.
fn common(left: &[Stretch], right: &[Stretch]) -> Vec<Stretch> {
    let (mut l, mut r, mut shared) = (0, 0, Vec::new());
    while l < left.len() && r < right.len() {
        let (from, until) = (left[l].0.max(right[r].0), left[l].1.min(right[r].1));
        if from <= until {
            shared.push((from, until));
        }
        if left[l].1 < right[r].1 {
            l += 1;
        } else {
            r += 1;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn away(seat: u32, from_ns: u64, until_ns: u64) -> Away {
        Away { scope: 0, seat, from_ns, until_ns }
    }

    #[test]
    fn a_group_is_away_only_when_all_its_seats_are() {
        let absences = Absences::new(1, &[2], &[away(0, 10, 20), away(1, 15, 30)]);
        assert!(absences.touch(0, None, (12, 16)));
        assert!(absences.touch(0, None, (20, 25)));
        assert!(!absences.touch(0, None, (10, 14)), "seat 1 was there");
        assert!(!absences.touch(0, None, (21, 40)), "seat 0 was back");
        assert!(absences.touch(0, Some(1), (21, 40)));
        assert!(!absences.touch(0, Some(2), (0, 100)));
    }

    #[test]
    fn a_seat_that_was_never_away_keeps_its_group_present() {
        let absences = Absences::new(2, &[3, 1], &[away(0, 0, 100), away(1, 0, 100)]);
        assert!(!absences.touch(0, None, (0, 100)));
        assert!(!absences.touch(1, None, (0, 100)));
        assert!(absences.any(0) && !absences.any(1));
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_every_moment(
            seats in 1..4_u32,
            list in prop::collection::vec((0..4_u32, 0..60_u64, 0..20_u64), 0..14),
            from in 0..80_u64, len in 0..20_u64, asked in prop::option::of(0..4_u32),
        ) {
            let list: Vec<Away> =
                list.into_iter().map(|(seat, at, len)| away(seat % seats, at, at + len)).collect();
            let absences = Absences::new(1, &[seats], &list);
            let gone = |seat: u32, at: u64| {
                list.iter().any(|a| a.seat == seat && a.from_ns <= at && at <= a.until_ns)
            };
            let naive = (from..=from + len).any(|at| match asked {
                Some(seat) => gone(seat, at),
                None => (0..seats).all(|seat| gone(seat, at)),
            });
            prop_assert_eq!(absences.touch(0, asked, (from, from + len)), naive);
        }
    }
}
