//! What the search must know of single contenders, as data.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What the search knows of one contender.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Particulars {
    /// Rare events that a search of some thousand seeds should reach, by the
    /// names under which its cores note them.
    pub rare: Vec<String>,
    /// Settings, and values of each that a run may draw.
    #[serde(default)]
    pub settings: BTreeMap<String, Vec<toml::Value>>,
}

/// The ledger's own rare event: a copy that the protocol marks as delivered before.
pub const REDELIVERED: &str = "redelivered";

const TABLE: &str = include_str!("contenders.toml");

/// The rows of all contenders, by name.
///
/// # Panics
/// If the table that ships with the lab is not sound; a test reads it.
pub fn table() -> BTreeMap<String, Particulars> {
    toml::from_str(TABLE).expect("the shipped table is sound")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders;

    #[test]
    fn every_value_is_one_that_its_setting_takes() {
        let table = table();
        for known in contenders::all_known() {
            let name = known.profile.name;
            let row = table.get(name).unwrap_or_else(|| panic!("there is a row for {name}"));
            for (key, values) in &row.settings {
                let spec = known.settings.iter().find(|spec| spec.name == key);
                let spec = spec.unwrap_or_else(|| panic!("{name} has no setting {key}"));
                for value in values {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    assert!(spec.parse(&text).is_ok(), "{name}: {key} = {value}");
                }
            }
        }
    }
}
