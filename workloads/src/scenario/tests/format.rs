//! `scenarios/FORMAT.md` says what the parser does.

use super::super::keys::{ALL, Absent, markdown};
use super::super::tree::{Place, of_default};
use super::{Origin, read};

const FORMAT: &str = include_str!("../../../../scenarios/FORMAT.md");

#[test]
fn every_table_of_keys_is_documented_word_for_word() {
    for table in ALL {
        let expected = markdown(table);
        assert!(FORMAT.contains(&expected), "put this under `{}`:\n{expected}", table.path);
    }
}

#[test]
fn every_default_is_toml() {
    let place = Place { origin: Origin::File, span: None };
    for key in ALL.iter().flat_map(|table| table.keys) {
        if let Absent::Default(toml) = key.absent {
            of_default(toml, &place);
        }
    }
}

/// An example is a whole scenario, or a part to which the rest is added.
#[test]
fn every_example_is_a_scenario() {
    let mut examples = 0;
    for block in FORMAT.split("```toml\n").skip(1) {
        let example = block.split("```").next().expect("a fence ends");
        let has = |head: &str| example.lines().any(|line| line.starts_with(head));
        let mut text = String::new();
        if !has("title") {
            text.push_str("title = \"Example\"\n");
        }
        text.push_str(example);
        if !has("[[phases]]") {
            text.push_str("\n[[phases]]\nkind = \"steady\"\nduration = \"10s\"\n");
        }
        if !has("[populations.devices") {
            text.push_str(
                "\n[populations.devices]\nrole = \"publisher\"\ncount = 100\n\
                 streams.readings.channel = \"telemetry.r07.d1.reading\"\n\
                 streams.readings.arrival = { kind = \"poisson\", rate_per_s = 1 }\n",
            );
        }
        if !has("[populations.ingest]") {
            text.push_str(
                "\n[populations.ingest]\nrole = \"subscriber\"\ncount = 4\nfilter = \"telemetry.>\"\n",
            );
        }
        if let Err(error) = read(&text) {
            panic!("{error}\nin\n{text}");
        }
        examples += 1;
    }
    assert!(examples >= 10, "{examples} examples");
}
