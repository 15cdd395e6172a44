//! Small pieces of sentences.

use crate::clean;
use crate::record::{AckProves, Durable, Mode};

/// `A`, `A and B`, `A, B and C`.
pub(crate) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// How much longer something takes: `23 % longer`, `3.4 times as long`.
pub(crate) fn longer(ratio: f64) -> String {
    if ratio < 1.95 {
        format!("{:.0} % longer", (ratio - 1.0) * 100.0)
    } else if ratio < 9.95 {
        format!("{ratio:.1} times as long")
    } else {
        format!("{ratio:.0} times as long")
    }
}

/// `1 run`, `3 runs`.
pub(crate) fn plural(count: u64, one: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{} {one}{many}", crate::text::count(count))
}

/// `subscriber away` for `subscriber_away`.
pub(crate) fn cause(name: &str) -> String {
    clean::line(name, 48).replace('_', " ")
}

/// The first letter large.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// One word for what a mode's figures are.
pub(crate) const fn provenance(mode: Mode) -> &'static str {
    match mode {
        Mode::Sim => "simulated",
        Mode::Embedded => "embedded",
        Mode::Wire => "wire",
        Mode::Real => "real",
    }
}

/// What a mode is, in a sentence.
pub(crate) const fn mode_sentence(mode: Mode) -> &'static str {
    match mode {
        Mode::Sim => {
            "Virtual time with modelled links, processors and disks. The scenario's network \
             applies; the costs are a model's."
        }
        Mode::Embedded => {
            "Measured by the wall clock: the same code on threads of this machine, with real \
             files and without a network."
        }
        Mode::Wire => "Measured by the wall clock: the same nodes behind TCP on this machine.",
        Mode::Real => {
            "Measured by the wall clock: a broker of its own makers, driven by the same clients."
        }
    }
}

/// What an acknowledgement proves, for a cell of a table.
pub(crate) fn proof(proves: AckProves) -> String {
    match (proves.copies, proves.durable) {
        (0, _) => "nothing".to_owned(),
        (copies, Durable::None) => format!("{} in memory", copied(copies)),
        (copies, Durable::PageCache) => format!("{} in the page cache", copied(copies)),
        (copies, Durable::Synced) => format!("{} on disk, synced", copied(copies)),
    }
}

fn copied(copies: u32) -> String {
    if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") }
}

/// What a crash leaves of what was acknowledged.
pub(crate) fn crash(proves: AckProves) -> &'static str {
    match (proves.copies, proves.durable) {
        (0, _) => "nothing is acknowledged and nothing kept: what is in flight is gone",
        (_, Durable::None) => "acknowledged messages are in memory only: they go with the process",
        (1, Durable::PageCache) => {
            "acknowledged messages survive a killed process; a power loss takes those not yet \
             synced to the disk"
        }
        (_, Durable::PageCache) => {
            "acknowledged messages survive a killed process, and a power loss that leaves another \
             copy's machine alive"
        }
        (_, Durable::Synced) => {
            "acknowledged messages are synced to the disk: they survive a power loss"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_well() {
        assert_eq!(list(&["A"]), "A");
        assert_eq!(list(&["A", "B"]), "A and B");
        assert_eq!(list(&["A", "B", "C"]), "A, B and C");
        assert_eq!(longer(1.234), "23 % longer");
        assert_eq!(longer(3.41), "3.4 times as long");
        assert_eq!(longer(52.3), "52 times as long");
        assert_eq!(plural(1, "run"), "1 run");
        assert_eq!(plural(1_200, "run"), "1,200 runs");
        assert_eq!(sentence("ä b"), "Ä b");
    }
}
