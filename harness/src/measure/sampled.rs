//! Moments of sampled messages.

/// When something happened to each sampled message, in nanoseconds on the run's
/// clock: every message whose number is a multiple of the step.
///
/// The numbers of sampled messages are dense once they are divided by the step,
/// so an array holds them; a hash map of 200,000 entries was a cache miss or two
/// for each, and had to grow.
#[derive(Clone, Debug)]
pub struct Moments {
    step: u32,
    /// By number divided by step; [`NONE`] where nothing has happened yet.
    at_ns: Vec<u64>,
}

/// No moment.
const NONE: u64 = u64::MAX;

impl Moments {
    /// No moments so far. A step of 0 counts as 1.
    pub fn new(step: u32) -> Moments {
        Moments { step: step.max(1), at_ns: Vec::new() }
    }

    /// Notes the moment of message `number`, if it is sampled. A retry keeps the
    /// first moment.
    #[inline]
    pub fn note(&mut self, number: u32, at_ns: u64) {
        let place = number / self.step;
        if place * self.step == number {
            self.keep(place as usize, at_ns);
        }
    }

    fn keep(&mut self, place: usize, at_ns: u64) {
        if place >= self.at_ns.len() {
            self.at_ns.resize(place + 1, NONE);
        }
        if self.at_ns[place] == NONE {
            self.at_ns[place] = at_ns;
        }
    }

    /// The moment of message `number`, if it is sampled and has one.
    #[inline]
    pub fn get(&self, number: u32) -> Option<u64> {
        if !number.is_multiple_of(self.step) {
            return None;
        }
        let at_ns = *self.at_ns.get((number / self.step) as usize)?;
        (at_ns != NONE).then_some(at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_moment_of_a_sampled_message_stays() {
        let mut moments = Moments::new(3);
        moments.note(6, 70);
        moments.note(6, 60);
        moments.note(7, 80);
        moments.note(0, 90);
        moments.note(0, 95);
        let all: Vec<_> =
            (0..12).filter_map(|number| Some((number, moments.get(number)?))).collect();
        assert_eq!(all, [(0, 90), (6, 70)]);
    }

    #[test]
    fn the_largest_number_has_a_place() {
        let mut moments = Moments::new(u32::MAX);
        moments.note(u32::MAX, 1);
        moments.note(u32::MAX - 1, 2);
        assert_eq!((moments.get(u32::MAX), moments.get(u32::MAX - 1)), (Some(1), None));
    }
}
