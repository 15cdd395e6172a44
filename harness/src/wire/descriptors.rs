//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets this process have `needed` descriptors, if it may. Returns how many it may
/// have now, which is fewer when the system does not allow more.
pub fn raise(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (current, most) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    if current >= needed {
        return current;
    }
    // Whoever may raise the upper limit does not need to be asked to.
    let attempts = [(needed, needed.max(most)), (needed.min(most), most)];
    for (current, maximum) in attempts {
        let wanted = Rlimit { current: Some(current), maximum: Some(maximum) };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            return current;
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_already_stays() {
        let now = raise(1);
        assert!(now >= 1);
        assert_eq!(raise(now), now);
    }
}
