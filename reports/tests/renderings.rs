//! What people read, kept as snapshots, and what must hold of every page.

mod common;

use lab_reports::clean;
use lab_reports::record::{Capacity, CapacityPoint, Record};
use lab_reports::render::{Format, RenderError, Style, render};

fn text(record: &Record, width: usize) -> String {
    render(record, Format::Text, Style { colour: false, width }).expect("text")
}

fn csv(record: &Record, format: Format) -> String {
    render(record, format, Style::default()).expect("a table")
}

#[test]
fn a_whole_run_in_eighty_columns() {
    insta::assert_snapshot!(text(&common::sample(), 80));
}

/// Four contenders with presets in their names, in both modes, and what they sustain.
#[test]
fn four_contenders_with_long_names_fit() {
    let mut record = common::sample();
    let (sim, wall) = (record.trials[0].clone(), record.trials[1].clone());
    record.trials.clear();
    record.verdict.objectives.clear();
    let names = ["nats", "jetstream:sync=always", "redis:resp=2,buffer=32MiB", "kafka:linger=0"];
    for (at, name) in names.into_iter().enumerate() {
        for trial in [&sim, &wall] {
            let mut trial = trial.clone();
            trial.contender = name.to_owned();
            trial.by_subscription.retain(|subscription, _| subscription == "ingest");
            trial.ack_proves.copies = u32::from(at == 1 || at == 3);
            for point in &mut trial.series {
                point.p99_us = point.p99_us.map(|us| us * (1.0 + at as f64));
            }
            record.trials.push(trial);
        }
        let rate = 100_000.0 * (1.0 + at as f64);
        let point = |share: f64, p99_us: f64| CapacityPoint {
            rate_per_s: rate * share,
            achieved_per_s: rate * share.min(1.0),
            p50_us: Some(p99_us / 2.0),
            p99_us: Some(p99_us),
            met: share <= 1.0,
        };
        record.capacity.push(Capacity {
            contender: name.to_owned(),
            rate_per_s: rate,
            bracket: [rate, rate * 1.04],
            limited_by: if at == 2 { "generator" } else { "node CPU" }.to_owned(),
            at_least: at == 2,
            knee_per_s: (at != 2).then_some(rate * 0.5),
            edge_runs: [3, 3],
            curve: [(0.25, 600.0), (0.5, 640.0), (1.0, 1_900.0), (1.04, 9e3), (2.0, 8e5)]
                .map(|(share, p99)| point(share, p99))
                .into(),
            ..Capacity::default()
        });
    }
    let page = text(&record, 80);
    for line in page.lines() {
        assert!(clean::width(line) <= 80, "{line}");
    }
    insta::assert_snapshot!(page);
}

#[test]
fn an_interrupted_run_with_hardly_a_figure() {
    insta::assert_snapshot!(text(&common::nulls(), 80));
}

#[test]
fn a_hostile_record_is_shown_harmlessly() {
    insta::assert_snapshot!(text(&common::hostile(), 80));
}

#[test]
fn a_narrow_terminal_gets_lists_instead_of_columns() {
    insta::assert_snapshot!(text(&common::nulls(), 44));
}

#[test]
fn tables_for_a_spreadsheet() {
    insta::assert_snapshot!("trials_csv", csv(&common::sample(), Format::Csv));
    let mut short = common::sample();
    for trial in &mut short.trials {
        trial.series.truncate(2);
    }
    insta::assert_snapshot!("series_csv", csv(&short, Format::SeriesCsv));
    insta::assert_snapshot!("hostile_csv", csv(&common::hostile(), Format::Csv));
}

#[test]
fn no_line_is_wider_than_told_and_nothing_moves_a_cursor() {
    for record in [common::sample(), common::nulls(), common::hostile(), Record::default()] {
        for width in [20, 33, 44, 60, 72, 79, 80, 100, 160, 400] {
            for line in text(&record, width).lines() {
                assert!(clean::width(line) <= width, "{width}: {line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
                assert!(!line.contains('\u{202e}'));
                assert!(!line.ends_with(' '), "{line:?}");
            }
        }
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let record = common::sample();
    let coloured = render(&record, Format::Text, Style { colour: true, width: 80 }).expect("text");
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').expect("an escape ends").1;
    }
    plain.push_str(rest);
    let trimmed: Vec<&str> = plain.lines().map(str::trim_end).collect();
    assert_eq!(trimmed.join("\n"), text(&record, 80).trim_end());
    assert_ne!(plain, coloured);
}

#[test]
fn every_mode_stands_under_a_heading_of_its_own() {
    let page = text(&common::sample(), 80);
    let at = |needle: &str| page.find(needle).expect(needle);
    assert!(at("sim: simulated") < at("embedded: measured"));
    // The first table's simulated figure comes before the measured heading.
    assert!(at("1.22 ms") < at("embedded: measured"));
}

#[test]
fn a_record_survives_its_own_form() {
    for record in [common::sample(), common::nulls(), common::hostile()] {
        let json = render(&record, Format::Json, Style::default()).expect("finite");
        assert_eq!(Record::read(&json), Ok(record));
    }
}

#[test]
fn a_form_of_several_files_says_so_and_a_stranger_is_refused() {
    for format in [Format::Svg, Format::Png] {
        let error = render(&common::sample(), format, Style::default()).expect_err("files");
        assert_eq!(error, RenderError::SeveralFiles(format));
    }
    let error = "pdf".parse::<Format>().expect_err("unknown");
    assert_eq!(
        error.to_string(),
        "there is no format `pdf`; there is text, csv, series-csv, json, html, md, svg, png"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever numbers and texts a record holds, a page keeps its width and a
    /// table its columns.
    #[test]
    fn no_record_breaks_a_page(
        texts in proptest::collection::vec(".{0,50}", 5),
        numbers in proptest::collection::vec(proptest::num::f64::ANY, 12),
        count in proptest::num::u64::ANY,
        width in 0_usize..200,
    ) {
        let mut record = common::sample();
        record.scenario.title = texts[0].clone();
        record.verdict.objectives[0].metric = texts[1].clone();
        record.verdict.objectives[1].actual = Some(numbers[0]);
        record.verdict.objectives[2].target = numbers[1];
        for (at, trial) in record.trials.iter_mut().enumerate() {
            trial.contender = format!("{}{}", texts[2], at % 3);
            trial.delivered_per_s = numbers[2];
            trial.delivery.response.p50_us = Some(numbers[3]);
            trial.resources.cpu_us_per_message = Some(numbers[4]);
            trial.ledger.deliveries.lost_explained = count;
            trial.ledger.causes = [(texts[3].clone(), count)].into();
            trial.faults[0].target = texts[4].clone();
            trial.faults[0].at_s = numbers[5];
            trial.faults[0].until_s = numbers[6];
            trial.series[3].t_s = numbers[7];
            trial.series[4].p99_us = Some(numbers[8]);
            trial.series[5].p99_us = Some(numbers[9]);
            trial.generator.lag_p99_us = Some(numbers[10]);
        }
        for line in text(&record, width).lines() {
            proptest::prop_assert!(clean::width(line) <= width.max(20), "{}: {}", width, line);
            proptest::prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        }
        let table = csv(&record, Format::Csv);
        proptest::prop_assert_eq!(table.lines().count(), record.trials.len() + 1);
        let coloured = render(&record, Format::Text, Style { colour: true, width });
        proptest::prop_assert!(coloured.is_ok());
    }
}
