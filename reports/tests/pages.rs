//! The page for a browser, and the files beside it: what must hold of them
//! whatever is in a record. What a browser makes of the page, `.ci/browser` says.

mod common;

use lab_reports::record::{Mode, Record};
use lab_reports::render::{File, Format, Style, files, render};

fn page(record: &Record) -> String {
    render(record, Format::Html, Style::default()).expect("a page")
}

fn everything() -> Vec<(&'static str, Record)> {
    vec![
        ("sample", common::sample()),
        ("large", common::large::record()),
        ("nulls", common::nulls()),
        ("hostile", common::hostile()),
        ("one contender", common::single()),
        ("empty", Record::default()),
    ]
}

/// Elements that a page opens and does not close, or the other way round.
fn unbalanced(page: &str) -> Vec<String> {
    const VOID: [&str; 5] = ["meta", "link", "br", "!doctype", "img"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[..end];
        let name: String =
            tag.trim_start_matches('/').chars().take_while(|c| !" >/\n".contains(*c)).collect();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.last().is_some_and(|last| last == closed) {
                open.pop();
            } else {
                return vec![format!("</{closed}> where {:?} is open", open.last())];
            }
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            // Scripts and styles may hold anything but their own end.
            if name == "script" || name == "style" {
                let close = format!("</{name}>");
                let skip = rest.find(&close).expect("it is closed");
                rest = &rest[skip + close.len()..];
                continue;
            }
            open.push(name);
        }
    }
    open
}

#[test]
fn every_page_is_whole_and_asks_for_nothing() {
    for (name, record) in everything() {
        let page = page(&record);
        assert_eq!(unbalanced(&page), Vec::<String>::new(), "{name}");
        assert!(page.len() < 1 << 20, "{name}: {} bytes", page.len());
        for loads in [" src=", "@import", "url(", "fetch(", "XMLHttp", "import("] {
            assert!(!page.contains(loads), "{name}: {loads}");
        }
        // The only addresses are names of namespaces.
        let strange: Vec<&str> = page
            .match_indices("http")
            .map(|(at, _)| &page[at..page.len().min(at + 30)])
            .filter(|text| !text.starts_with("http-equiv"))
            .filter(|text| !text.starts_with("http://www.w3.org/2000/svg"))
            .collect();
        assert!(strange.is_empty(), "{name}: {strange:?}");
        assert!(!page.contains("NaN") && !page.contains("inf\""), "{name}");
    }
}

#[test]
fn hostile_texts_stay_texts() {
    let page = page(&common::hostile());
    assert!(!page.contains("<script>alert"));
    for forbidden in ['\u{202e}', '\u{200f}', '\u{1b}', '\u{9b}', '\u{0}', '\u{2028}'] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
    // A title of 10 KB is cut where it is shown.
    assert!(page.matches("long long").count() < 200);
}

#[test]
fn a_page_says_what_a_chooser_must_know_in_this_order() {
    let page = page(&common::large::record());
    let mut from = 0;
    for id in [
        "verdict",
        "comparison",
        "percentiles",
        "latency",
        "throughput",
        "load",
        "anatomy",
        "ledger",
        "promises",
        "change",
        "method",
        "settings",
        "repeat",
    ] {
        let section = format!("<section id=\"{id}\"");
        let at = page[from..].find(&section).unwrap_or_else(|| panic!("{id} after the one before"));
        from += at;
    }
    for text in ["In a crash:", "What is p99?", "lab run iot-50k", "changed"] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_picture_holds_figures_of_one_kind_and_says_which() {
    for (name, record) in everything() {
        for file in files(&record, Format::Svg).expect("charts") {
            let text = String::from_utf8(file.bytes).expect("text");
            let mode = [Mode::Sim, Mode::Embedded, Mode::Wire, Mode::Real]
                .into_iter()
                .find(|mode| file.name.ends_with(&format!("-{mode}.svg")))
                .expect("its mode is in its name");
            let says = if mode.is_simulated() { "simulated" } else { "measured" };
            assert!(text.contains(says), "{name}: {}", file.name);
            let other = if mode.is_simulated() { "measured" } else { "simulated" };
            assert!(!text.contains(other), "{name}: {}", file.name);
            assert!(!text.contains("<script"), "{name}: {}", file.name);
            assert_eq!(unbalanced(&text), Vec::<String>::new(), "{name}: {}", file.name);
        }
    }
}

#[test]
fn pictures_come_as_vectors_and_as_pixels() {
    let record = common::sample();
    let names = |format: Format| -> Vec<String> {
        let stem = |file: File| file.name.rsplit_once('.').expect("an ending").0.to_owned();
        files(&record, format).expect("charts").into_iter().map(stem).collect()
    };
    assert_eq!(names(Format::Svg), names(Format::Png));
    for file in files(&record, Format::Png).expect("charts") {
        assert!(file.bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{}", file.name);
        let (wide, high) = size(&file.bytes);
        assert_eq!(wide, 1_800, "{}", file.name);
        assert!((300..3_000).contains(&high), "{}: {high}", file.name);
    }
}

/// Width and height of a PNG.
fn size(bytes: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
    (number(16), number(20))
}

#[test]
fn a_note_for_a_pull_request() {
    insta::assert_snapshot!("sample", markdown(&common::sample()));
    insta::assert_snapshot!("nulls", markdown(&common::nulls()));
    insta::assert_snapshot!("hostile", markdown(&common::hostile()));
}

fn markdown(record: &Record) -> String {
    render(record, Format::Markdown, Style::default()).expect("text")
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(24))]

    /// Whatever numbers and texts a record holds, every form of it can be made
    /// and its elements are closed.
    #[test]
    fn no_record_breaks_a_page(
        texts in proptest::collection::vec(".{0,50}", 6),
        numbers in proptest::collection::vec(proptest::num::f64::ANY, 14),
        count in proptest::num::u64::ANY,
    ) {
        let mut record = common::large::record();
        for trial in &mut record.trials {
            trial.series.truncate(40);
        }
        record.scenario.title = texts[0].clone();
        record.verdict.text = texts[1].clone();
        record.verdict.objectives[0].metric = texts[1].clone();
        record.verdict.objectives[1].actual = Some(numbers[0]);
        record.capacity[0].rate_per_s = numbers[1];
        record.capacity[0].curve[0].p99_us = Some(numbers[2]);
        record.capacity[0].curve[1].rate_per_s = numbers[3];
        for (at, trial) in record.trials.iter_mut().enumerate() {
            trial.contender = format!("{}{}", texts[2], at % 3);
            trial.delivered_per_s = numbers[4];
            trial.delivery.response.p50_us = Some(numbers[5]);
            trial.delivery.response.count = count;
            for point in trial.delivery.response.curve.iter_mut().take(2) {
                point.q = numbers[6];
                point.us = numbers[7];
            }
            trial.ledger.deliveries.lost_explained = count;
            trial.ledger.causes = [(texts[3].clone(), count)].into();
            trial.faults[0].target = texts[4].clone();
            trial.faults[0].at_s = numbers[8];
            trial.faults[0].until_s = numbers[9];
            trial.series[3].t_s = numbers[10];
            trial.series[4].p99_us = Some(numbers[11]);
            trial.series[5].backlog = count;
            trial.anatomy.insert("in_broker".to_owned(), numbers[12]);
            trial.generator.lag_p99_us = Some(numbers[13]);
        }
        let page = page(&record);
        proptest::prop_assert_eq!(unbalanced(&page), Vec::<String>::new());
        for format in [Format::Markdown, Format::Svg] {
            proptest::prop_assert!(files(&record, format).is_ok());
        }
    }
}
