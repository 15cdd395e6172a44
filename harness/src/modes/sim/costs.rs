//! What the simulated CPUs charge.

use std::time::Duration;

use serde::Deserialize;

/// Nanoseconds of one core for the parts of a contender's work.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// The node takes a frame.
    pub frame_in_ns: f64,
    /// Each byte of it.
    pub byte_in_ns: f64,
    /// The node sends a frame.
    pub frame_out_ns: f64,
    /// Each byte of it.
    pub byte_out_ns: f64,
    /// A client submits an operation and sends its frame.
    pub client_send_ns: f64,
    /// Each message in that frame, for clients that put many into one.
    #[serde(default)]
    pub client_record_ns: f64,
    /// A client receives a delivery and hands it to the application.
    pub client_receive_ns: f64,
    /// A disk write of one gathered batch, page cache.
    pub append_ns: f64,
    /// Each byte of it.
    #[serde(default)]
    pub append_byte_ns: f64,
    /// A sync of the disk.
    pub sync_ns: f64,
    /// Relative spread of the figures (0.1: they were seen to vary by 10 %).
    pub spread: f64,
    /// The day they were measured.
    pub date: String,
    /// How.
    pub source: String,
}

/// The cost table that ships with the lab; see the file for how it was measured.
const TABLE: &str = include_str!("costs.toml");

impl Costs {
    /// The costs of a contender.
    ///
    /// # Panics
    /// If the table that ships with the lab has no row for it; a test asks for
    /// every contender.
    pub fn of(contender: &str) -> Costs {
        let table: toml::Table = TABLE.parse().expect("the shipped cost table is valid TOML");
        let row = table
            .get(contender)
            .unwrap_or_else(|| panic!("the shipped cost table has a row for `{contender}`"));
        row.clone().try_into().expect("the shipped cost table has valid rows")
    }

    /// What each part is called, and what it costs in nanoseconds.
    pub fn parts(&self) -> [(&'static str, f64); 10] {
        [
            ("node, per frame in", self.frame_in_ns),
            ("node, per byte in", self.byte_in_ns),
            ("node, per frame out", self.frame_out_ns),
            ("node, per byte out", self.byte_out_ns),
            ("client, per frame sent", self.client_send_ns),
            ("client, per message in a frame", self.client_record_ns),
            ("client, per delivery", self.client_receive_ns),
            ("disk, per gathered write", self.append_ns),
            ("disk, per byte written", self.append_byte_ns),
            ("disk, per sync", self.sync_ns),
        ]
    }

    /// The same with one part, by its place in [`Costs::parts`], or all of them
    /// multiplied by `factor`.
    pub fn scaled(&self, part: Option<usize>, factor: f64) -> Costs {
        let mut costs = self.clone();
        let parts = [
            &mut costs.frame_in_ns,
            &mut costs.byte_in_ns,
            &mut costs.frame_out_ns,
            &mut costs.byte_out_ns,
            &mut costs.client_send_ns,
            &mut costs.client_record_ns,
            &mut costs.client_receive_ns,
            &mut costs.append_ns,
            &mut costs.append_byte_ns,
            &mut costs.sync_ns,
        ];
        for (index, value) in parts.into_iter().enumerate() {
            if part.is_none_or(|part| part == index) {
                *value *= factor;
            }
        }
        costs
    }

    /// The node's time for taking a frame of `bytes`.
    pub fn take(&self, bytes: u32) -> f64 {
        self.frame_in_ns + self.byte_in_ns * f64::from(bytes)
    }

    /// The node's time for sending a frame of `bytes`.
    pub fn send(&self, bytes: u32) -> f64 {
        self.frame_out_ns + self.byte_out_ns * f64::from(bytes)
    }

    /// The client's time for sending a frame with `messages` in it.
    pub fn client_send(&self, messages: u32) -> f64 {
        self.client_send_ns + self.client_record_ns * f64::from(messages)
    }

    /// The client's time for a delivery.
    pub fn receive(&self) -> Duration {
        Duration::from_nanos(self.client_receive_ns as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_touches_the_part_that_is_named() {
        let costs = Costs::of("nats");
        for part in 0..costs.parts().len() {
            let scaled = costs.scaled(Some(part), 2.0);
            for (index, (before, after)) in costs.parts().iter().zip(scaled.parts()).enumerate() {
                let factor = if index == part { 2.0 } else { 1.0 };
                assert_eq!(after.1, before.1 * factor, "{}", before.0);
            }
        }
        assert_eq!(costs.scaled(None, 0.5).scaled(None, 2.0), costs);
    }

    #[test]
    fn every_contender_has_costs_with_a_source() {
        for name in crate::contenders::names() {
            let costs = Costs::of(name);
            assert!(costs.frame_in_ns > 0.0 && !costs.source.is_empty(), "{name}");
        }
    }
}
