//! `lab capacity` and `lab trace` as a user meets them.

use std::fs;

use lab_reports::record::Record;

use crate::{assert_fits, lab};

/// Ten senders, one worker that takes 1 ms a message: it sustains just under
/// 1,000 a second, whatever the broker.
const WORKER: &str = r#"
title = "One worker"
question = "How much can it take?"
seed = 7
[[phases]]
kind = "steady"
duration = "2s"
[links.near]
round_trip = "100us"
[populations.senders]
role = "publisher"
count = 10
link = "near"
[populations.senders.streams.jobs]
channel = "jobs.new"
arrival = { kind = "periodic", every = "100ms" }
size = "64B"
[populations.worker]
role = "subscriber"
link = "near"
filter = "jobs.*"
processing = "1ms"
[[objectives]]
subscription = "worker"
p99_delivery = "50ms"
"#;

fn scenario(folder: &tempfile::TempDir) -> String {
    let file = folder.path().join("worker.toml");
    fs::write(&file, WORKER).expect("written");
    file.to_string_lossy().into_owned()
}

#[test]
fn a_simulated_capacity_is_the_workers_and_repeats() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = scenario(&folder);
    let searched = |out: &str| {
        let out = folder.path().join(out).to_string_lossy().into_owned();
        let args = ["capacity", &file, "--mode", "sim", "--quick", "--json", "--out", &out];
        let said = lab(args);
        assert_eq!(said.code, 0, "{}", said.err);
        Record::read(&said.out).expect("a record")
    };
    let (first, again) = (searched("a"), searched("b"));
    assert_eq!(first.capacity, again.capacity, "virtual time repeats");
    for row in &first.capacity {
        assert!((900.0..=1_010.0).contains(&row.rate_per_s), "{row:?}");
        assert!(row.bracket[0] <= row.rate_per_s && row.rate_per_s < row.bracket[1]);
        assert!(row.bracket[1] <= row.bracket[0] * 1.051, "{row:?}");
        assert_eq!((row.limited_by.as_str(), row.at_least), ("client", false));
        assert_eq!(row.edge_runs, [3, 3]);
        assert!(row.curve.is_sorted_by(|a, b| a.rate_per_s < b.rate_per_s));
    }
    let page = lab(["report", &folder.path().join("a").to_string_lossy()]);
    assert_fits(&page.out);
    assert!(page.out.contains("Highest sustained rate") && !page.out.contains("no trial"));
    let compared = lab([
        "compare",
        &folder.path().join("a").to_string_lossy(),
        &folder.path().join("b").to_string_lossy(),
        "--gate",
    ]);
    assert_eq!(compared.code, 0, "{}", compared.out);
}

#[test]
fn a_capacity_that_cannot_be_searched_is_refused_in_one_line() {
    let says = |args: &[&str]| lab([&["capacity"], args].concat()).one_line(2).to_owned();
    assert!(says(&["nosuch"]).contains("nosuch"));
    assert!(says(&["iot-50k", "--mode", "real"]).contains("not there yet"));
    assert!(says(&["iot-50k", "--contenders", "rabbit"]).contains("no contender `rabbit`"));
}

#[test]
fn a_message_is_drawn_as_text_and_as_a_picture() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = scenario(&folder);
    let said = lab(["trace", &file, "--message", "20"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_fits(&said.out);
    assert!(said.out.contains("message 20 on jobs.new") && said.out.contains("takes it"));
    let picture = folder.path().join("life.svg").to_string_lossy().into_owned();
    let said = lab(["trace", &file, "--message", "20", "--format", "svg", "--out", &picture]);
    assert_eq!((said.code, said.out.as_str()), (0, ""));
    assert!(fs::read_to_string(&picture).expect("a file").starts_with("<svg "));
    let nowhere = folder.path().join("no/such/folder.svg").to_string_lossy().into_owned();
    let said = lab(["trace", &file, "--message", "20", "--out", &nowhere]);
    assert!(said.one_line(1).contains("cannot be written"));
    assert!(lab(["trace", &file, "--message", "9999"]).one_line(2).contains("no message 9999"));
}

#[test]
fn a_soak_of_the_sockets_tells_people_and_programs_what_came() {
    // One round has fewer strangers than there are kinds, so the search is weak.
    let args = ["soak", "--sockets", "--seed", "7", "--rounds", "1"];
    let told = lab(args);
    assert_eq!(told.code, 4, "{}{}", told.out, told.err);
    assert_fits(&told.out);
    assert!(told.out.contains("\nNo promise was seen broken; "), "{}", told.out);
    let told = lab(args.into_iter().chain(["--json"]));
    let value: serde_json::Value = serde_json::from_str(&told.out).expect("nothing but JSON");
    assert_eq!(
        (told.code, &value["rounds"], &value["broken"]),
        (4, &1.into(), &serde_json::json!([]))
    );
    for name in ["nats", "redis"] {
        let server = &value["servers"][name];
        assert!(server["deliveries"].as_u64() > server["messages"].as_u64(), "{server}");
        assert_eq!(
            (&server["connections_left"], &server["buffered_bytes_left"]),
            (&0.into(), &0.into())
        );
    }
    // What belongs to the other search is refused.
    assert_eq!(lab(["soak", "--sockets", "--seeds", "5"]).code, 2);
}
