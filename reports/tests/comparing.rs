//! Two records side by side: what is found, what is refused, and what is read.

mod common;

use lab_reports::clean;
use lab_reports::compare::{Allow, CompareError, Comparison, Finding, Form, Options, compare};
use lab_reports::record::{Capacity, Mode, Record};
use lab_reports::text::Style;

/// The sample record with `runs` runs of everything, whose times and costs are
/// `factor` as large and a little different from run to run.
fn runs(runs: u32, factor: f64) -> Record {
    let mut record = common::sample();
    let once = std::mem::take(&mut record.trials);
    for repeat in 0..runs {
        for trial in &once {
            let mut trial = trial.clone();
            trial.repeat = repeat;
            (trial.valid, trial.invalid_reason) = (true, None);
            trial.ledger.deliveries.lost_unexplained = 0;
            trial.trace_hash = trial.trace_hash.map(|hash| format!("{hash}{repeat}{factor}"));
            let scale = factor * (1.0 + f64::from(repeat * 7 % 5) * 0.01);
            let latencies =
                std::iter::once(&mut trial.delivery).chain(trial.by_subscription.values_mut());
            for latency in latencies {
                let times = &mut latency.response;
                for us in [&mut times.p50_us, &mut times.p99_us, &mut times.p999_us] {
                    *us = us.map(|us| us * scale);
                }
                times.limited.clear();
            }
            trial.resources.cpu_us_per_message = Some(6.0 * scale);
            record.trials.push(trial);
        }
    }
    record
}

fn rate(mode: Mode, low: f64, high: f64, at_least: bool) -> Capacity {
    Capacity {
        contender: "nats".to_owned(),
        mode,
        rate_per_s: low,
        bracket: [low, high],
        limited_by: "node CPU".to_owned(),
        at_least,
        ..Capacity::default()
    }
}

fn against(a: &Record, b: &Record) -> Comparison {
    compare(("main/report.json", a), ("change/report.json", b), &Options::default())
        .expect("comparable")
}

fn finding(comparison: &Comparison, contender: &str, mode: Mode, metric: &str) -> Finding {
    let pair = comparison.pairs.iter().find(|p| p.contender == contender && p.mode == mode);
    let rows = &pair.expect("the pair").rows;
    rows.iter().find(|row| row.metric == metric).expect("the row").finding
}

fn render(comparison: &Comparison, form: Form) -> String {
    comparison.render(form, Style::default()).expect("finite figures")
}

/// Five against five runs, a third slower, with a contract that changed for one.
fn regression() -> (Record, Record) {
    let (a, mut b) = (runs(5, 1.0), runs(5, 1.35));
    for trial in &mut b.trials {
        if trial.contender == "redis" && trial.mode == Mode::Sim {
            trial.ack_proves.copies = 1;
        }
        if trial.mode == Mode::Embedded && trial.contender == "redis" {
            trial.delivery.response.limited = vec!["p99".to_owned()];
            trial.ledger.deliveries.lost_unexplained = u64::from(trial.repeat == 3);
        }
    }
    (a, b)
}

#[test]
fn five_against_five_runs_show_a_third_more_time() {
    let (a, b) = regression();
    let comparison = against(&a, &b);
    insta::assert_snapshot!("text", render(&comparison, Form::Text));
    insta::assert_snapshot!("markdown", render(&comparison, Form::Markdown));
    insta::assert_snapshot!("junit", render(&comparison, Form::Junit));
    let found = |contender, mode, metric| finding(&comparison, contender, mode, metric);
    assert_eq!(found("nats", Mode::Embedded, "delivery_p99"), Finding::Worse);
    assert_eq!(found("nats", Mode::Sim, "delivery_p50"), Finding::Worse);
    assert_eq!(found("nats", Mode::Embedded, "delivered_per_s"), Finding::NoEvidence);
    assert_eq!(found("redis", Mode::Embedded, "delivery_p99"), Finding::NoEvidence, "limited");
    assert_eq!(found("redis", Mode::Embedded, "unexplained"), Finding::Worse, "one is enough");
    assert_eq!(comparison.refused().count(), 1);
    let back = against(&b, &a);
    assert_eq!(finding(&back, "nats", Mode::Embedded, "delivery_p99"), Finding::Better);
}

#[test]
fn three_against_three_runs_decide_nothing_and_say_so() {
    let comparison = against(&runs(3, 1.0), &runs(3, 1.5));
    assert_eq!(finding(&comparison, "nats", Mode::Embedded, "delivery_p99"), Finding::NoEvidence);
    let page = render(&comparison, Form::Text);
    assert!(page.contains("3 against 3 runs cannot reach p < 0.05"), "{page}");
    // Virtual time has no noise: three seeds that agree are three facts.
    assert_eq!(finding(&comparison, "nats", Mode::Sim, "delivery_p99"), Finding::Worse);
}

#[test]
fn a_change_below_the_threshold_is_none() {
    let comparison = against(&runs(8, 1.0), &runs(8, 1.045));
    assert_eq!(finding(&comparison, "nats", Mode::Embedded, "delivery_p99"), Finding::NoEvidence);
    let finer = Options { threshold: 0.02, ..Options::default() };
    let (a, b) = (runs(8, 1.0), runs(8, 1.045));
    let comparison = compare(("a", &a), ("b", &b), &finer).expect("comparable");
    assert_eq!(finding(&comparison, "nats", Mode::Embedded, "delivery_p99"), Finding::Worse);
}

#[test]
fn a_record_against_itself_shows_nothing() {
    let record = runs(5, 1.0);
    let comparison = against(&record, &record);
    assert_eq!(comparison.found(Finding::Worse).count(), 0);
    assert_eq!(comparison.found(Finding::Better).count(), 0);
    assert!(comparison.pairs.iter().any(|pair| pair.same_trace));
    insta::assert_snapshot!("the_same", render(&comparison, Form::Text));
}

#[test]
fn what_differs_is_refused_in_one_line_unless_allowed() {
    let a = runs(1, 1.0);
    let refused = |b: &Record| {
        let error = compare(("a", &a), ("b", b), &Options::default()).expect_err("refused");
        assert!(!error.to_string().contains('\n'));
        error
    };
    let mut other = a.clone();
    other.scenario.hash = "0badcafe".to_owned();
    insta::assert_snapshot!(refused(&other), @"the scenarios differ: `iot-50k` (91be00aa) against `iot-50k` (0badcafe); run the same one, or allow it with `--allow scenario`");
    let allow =
        Options { allow: Allow { scenario: true, ..Allow::default() }, ..Options::default() };
    let comparison = compare(("a", &a), ("b", &other), &allow).expect("allowed");
    assert!(comparison.warnings.iter().any(|text| text.contains("scenarios differ")));

    let mut renamed = a.clone();
    renamed.trials.retain(|trial| trial.mode == Mode::Sim && trial.contender == "nats");
    renamed.trials[0].mode = Mode::Real;
    insta::assert_snapshot!(refused(&renamed), @"nothing ran in both: the first has nats sim, nats embedded, redis sim, redis embedded; the second has nats real; figures of different contenders or modes are not compared");
    renamed.trials.clear();
    insta::assert_snapshot!(refused(&renamed), @"the second record has no trial and no capacity; run the scenario to its end");

    let mut machine = a.clone();
    machine.host.cores = 64;
    let comparison = against(&a, &machine);
    let says = |comparison: &Comparison, mode: Mode| {
        let pair = comparison.pairs.iter().find(|pair| pair.mode == mode).expect("a pair");
        pair.refused.clone().unwrap_or_default()
    };
    assert_eq!(says(&comparison, Mode::Sim), "", "virtual time is the same everywhere");
    insta::assert_snapshot!(says(&comparison, Mode::Embedded), @"the machines differ: `A processor`, 2 cores against `A processor`, 64 cores; allow it with `--allow host`");

    let mut set = a.clone();
    for trial in &mut set.trials {
        trial.settings.get_mut("max_pending").expect("a setting").value = "1MiB".to_owned();
    }
    insta::assert_snapshot!(says(&against(&a, &set), Mode::Sim), @"the settings differ: max_pending = 32MiB against 1MiB; allow it with `--allow settings`");
}

#[test]
fn brackets_of_capacity_are_compared_as_brackets() {
    let with = |rate: Capacity| {
        let mut record = runs(1, 1.0);
        record.capacity = vec![rate];
        record.trials.clear();
        record
    };
    let judged = |a: Capacity, b: Capacity| {
        let mode = a.mode;
        finding(&against(&with(a), &with(b)), "nats", mode, "capacity")
    };
    use Mode::{Embedded, Sim};
    let sim = |low, high| rate(Sim, low, high, false);
    assert_eq!(judged(sim(100e3, 105e3), sim(80e3, 84e3)), Finding::Worse);
    assert_eq!(judged(sim(80e3, 84e3), sim(100e3, 105e3)), Finding::Better);
    assert_eq!(judged(sim(100e3, 105e3), sim(98e3, 102e3)), Finding::NoEvidence, "overlap");
    let wall = |low, high, at_least| rate(Embedded, low, high, at_least);
    assert_eq!(
        judged(wall(100e3, 104e3, false), wall(93e3, 97e3, false)),
        Finding::NoEvidence,
        "a wall clock is not that sure"
    );
    assert_eq!(judged(wall(100e3, 104e3, true), wall(50e3, 52e3, false)), Finding::Worse);
    assert_eq!(judged(wall(50e3, 52e3, true), wall(100e3, 104e3, false)), Finding::NoEvidence);
}

#[test]
fn only_the_metrics_asked_for_are_compared() {
    let record = runs(2, 1.0);
    let only = |names: &[&str]| {
        let metrics = names.iter().map(|name| (*name).to_owned()).collect();
        compare(("a", &record), ("b", &record), &Options { metrics, ..Options::default() })
    };
    let comparison = only(&["delivery_p99"]).expect("there");
    let names: Vec<&str> = comparison.pairs[0].rows.iter().map(|row| row.metric.as_str()).collect();
    assert_eq!(names, ["delivery_p99", "delivery_p99.dashboard", "delivery_p99.ingest"]);
    assert!(matches!(only(&["velocity"]), Err(CompareError::NoMetric(_))));
}

#[test]
fn hostile_and_empty_figures_are_shown_harmlessly() {
    let hostile = common::hostile();
    let mut pairs = vec![(hostile.clone(), hostile)];
    pairs.push((common::nulls(), common::sample()));
    pairs.push((common::sample(), common::nulls()));
    for (a, b) in &pairs {
        let comparison = compare(
            ("<script>\u{202e}x", a),
            ("b\u{1b}[2J", b),
            &Options {
                allow: Allow { scenario: true, host: true, settings: true, acks: true },
                ..Options::default()
            },
        )
        .expect("comparable");
        for line in render(&comparison, Form::Text).lines() {
            assert!(clean::width(line) <= 80 && !line.chars().any(char::is_control), "{line:?}");
        }
        for form in [Form::Markdown, Form::Html, Form::Junit, Form::Json] {
            let page = render(&comparison, form);
            assert!(!page.contains("<script") || form == Form::Json, "{page}");
            assert!(!page.contains(['\u{202e}', '\u{1b}']));
        }
    }
}

#[test]
fn pages_are_well_formed() {
    let (a, b) = regression();
    let comparison = against(&a, &b);
    for (form, root) in [(Form::Junit, "testsuites"), (Form::Html, "html")] {
        let page = render(&comparison, form);
        let mut open: Vec<String> = Vec::new();
        for tag in page.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap_or_default();
            let name: String =
                tag.trim_start_matches('/').chars().take_while(|c| c.is_alphanumeric()).collect();
            let void = tag.ends_with('/') || ["meta", "br"].contains(&name.as_str());
            if tag.starts_with(['!', '?']) || void {
                continue;
            }
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
            } else {
                open.push(name);
            }
        }
        assert!(open.is_empty() && page.contains(&format!("</{root}>")), "{open:?}");
        assert!(!page.contains("http"), "no network");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    #[test]
    fn whatever_the_figures_every_form_is_made(
        figures in proptest::collection::vec(proptest::num::f64::ANY, 8),
        count in proptest::num::u64::ANY,
        repeats in 1_u32..7,
    ) {
        let (mut a, mut b) = (runs(repeats, 1.0), runs(repeats, 1.1));
        for (at, trial) in a.trials.iter_mut().chain(&mut b.trials).enumerate() {
            trial.delivered_per_s = figures[at % 8];
            trial.delivery.response.p99_us = Some(figures[(at + 3) % 8]);
            trial.resources.cpu_us_per_message = Some(figures[(at + 5) % 8]);
            trial.ledger.deliveries.expected = count;
            trial.ledger.duplicates = count;
        }
        let comparison = against(&a, &b);
        for line in render(&comparison, Form::Text).lines() {
            proptest::prop_assert!(clean::width(line) <= 80, "{}", line);
        }
        for form in [Form::Markdown, Form::Html, Form::Junit, Form::Json] {
            proptest::prop_assert!(!render(&comparison, form).is_empty());
        }
    }
}
