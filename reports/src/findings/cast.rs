//! Who is in a record: names for people, and a number and a colour for each.

use crate::charts::palette;
use crate::clean;
use crate::record::Record;

/// A contender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    /// As in the record.
    pub(crate) key: String,
    /// In charts and sentences, such as `Kafka (linger=0)`; clean.
    pub(crate) name: String,
    /// Its place among the contenders of the record.
    pub(crate) number: usize,
    /// Its number in the palette.
    pub(crate) colour: usize,
}

/// The contenders of a record, in the order in which they ran.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    all: Vec<Who>,
    stranger: Who,
}

impl Cast {
    pub(crate) fn of(record: &Record) -> Cast {
        let mut keys: Vec<&str> = Vec::new();
        let trials = record.trials.iter().map(|trial| trial.contender.as_str());
        let searched = record.capacity.iter().map(|capacity| capacity.contender.as_str());
        for key in trials.chain(searched) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let colours = palette::assign(&keys);
        let who = |number: usize, key: &str, colour: usize| Who {
            key: key.to_owned(),
            name: name(key),
            number,
            colour,
        };
        let all = keys
            .iter()
            .zip(colours)
            .enumerate()
            .map(|(number, (key, colour))| who(number, key, colour))
            .collect();
        Cast { all, stranger: who(98, "?", 5) }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[Who] {
        &self.all
    }

    /// The one that the record calls `key`.
    pub(crate) fn who(&self, key: &str) -> &Who {
        self.all.iter().find(|who| who.key == key).unwrap_or(&self.stranger)
    }

    /// Its name.
    pub(crate) fn name(&self, key: &str) -> &str {
        &self.who(key).name
    }
}

/// `Kafka (linger=0)` for `kafka:linger=0`.
fn name(key: &str) -> String {
    let key = clean::line(key, 48);
    let (base, rest) = key.split_once(':').map_or((key.as_str(), ""), |(base, rest)| (base, rest));
    let base = match base {
        "nats" => "NATS",
        "jetstream" => "JetStream",
        "redis" => "Redis",
        "kafka" => "Kafka",
        other => other,
    };
    match (base, rest) {
        ("", "") => "(no name)".to_owned(),
        (base, "") => base.to_owned(),
        (base, rest) => format!("{base} ({rest})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_people() {
        assert_eq!(name("nats"), "NATS");
        assert_eq!(name("kafka:linger=0"), "Kafka (linger=0)");
        assert_eq!(name("a\u{202e}<b>"), "a<b>");
        assert_eq!(name(""), "(no name)");
    }
}
