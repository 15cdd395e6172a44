//! The testkit itself is tested: an honest contender passes, and every broken
//! one is caught.

mod common;

use broker_contract::Feature;
use broker_testkit::cases::parse_cases;
use broker_testkit::{CaseReport, all_cases, run_all_cases, run_cases};
use common::*;

#[test]
fn every_feature_has_a_case() {
    let cases = all_cases().expect("the case files are right");
    for feature in Feature::ALL {
        assert!(cases.iter().any(|case| case.feature == *feature), "{feature} has no case");
    }
}

#[test]
fn an_honest_bus_passes() {
    let report = run_all_cases::<Bus<HONEST>>();
    report.assert_passed();
    assert_eq!(report.refused.len(), 18, "{report}");
}

/// Asserts that a case of `feature` fails and that the report says `what`.
fn caught(report: &CaseReport, feature: Feature, what: &str) {
    let text = report.to_string();
    assert!(
        report.failures.iter().any(|failure| failure.feature == feature),
        "no case of {feature} fails:\n{text}"
    );
    assert!(text.contains(what), "nothing says {what:?}:\n{text}");
}

macro_rules! broken {
    ($($test:ident: $flaw:ident, $feature:ident, $what:literal;)*) => {
        $(#[test]
        fn $test() {
            caught(&run_all_cases::<Bus<$flaw>>(), Feature::$feature, $what);
        })*
    };
}

broken! {
    a_bus_that_drops_is_caught: DROPS, PublisherOrder, "missing \"m";
    a_bus_that_duplicates_is_caught: DUPLICATES, PublisherOrder, "too much \"m";
    a_bus_that_swaps_is_caught: SWAPS, PublisherOrder, "instead of";
    a_bus_that_ignores_groups_is_caught: IGNORES_GROUPS, Groups, "once among all";
    a_claim_that_does_not_hold_is_caught: CLAIMS_WHAT_IT_LACKS, Replay, "since replay is claimed";
    a_refusal_of_what_is_claimed_is_caught: REFUSES_WHAT_IT_CLAIMS, Headers, "refused: headers";
    a_star_that_crosses_dots_is_caught: STAR_CROSSES_DOTS, TokenWildcard, "too much";
    a_tail_that_takes_no_token_is_caught: TAIL_TAKES_NONE, TailWildcard, "too much \"none\"";
    silent_substitution_is_caught: ACCEPTS_WHAT_IT_LACKS, Replay, "no step is refused";
    a_refusal_for_another_reason_is_caught:
        REFUSES_FOR_ANOTHER_REASON, Replay, "for other reasons only";
    a_frame_on_a_closed_connection_is_caught: SENDS_AFTER_CLOSE, Publish, "which is not open";
    an_operation_that_ends_twice_is_caught: ENDS_TWICE, Publish, "ended already";
    an_operation_that_never_ends_is_caught: NEVER_ENDS, Publish, "none in 5s";
    a_drain_that_loses_is_caught: DRAINS_NOTHING, Drain, "missing \"m";
    a_bus_that_never_cuts_is_caught: NEVER_CUTS, SlowConsumerCut, "it is connected";
    a_payload_cut_short_is_caught: CUTS_SHORT, Publish, "9999 bytes";
    a_bus_that_does_not_repeat_is_caught: IS_MOODY, Groups, "the same trace from the same seed";
    an_emulation_called_native_is_caught:
        HIDES_EMULATION, UnsubscribeAfter, "all are answered as native";
    a_client_that_stays_away_is_caught: STAYS_AWAY, Publish, "missing \"after\"";
    answers_that_cross_are_caught: CROSSES_ANSWERS, RequestReply, "the answer \"a";
}

#[test]
fn a_deadline_that_no_tick_meets_is_caught() {
    let cases = all_cases().expect("the case files are right");
    caught(&run_cases::<Bus<SPINS>>(&cases[..1]), Feature::Publish, "time stands still");
}

#[test]
fn a_failure_names_case_step_expected_and_seen() {
    let text = run_all_cases::<Bus<TAIL_TAKES_NONE>>().to_string();
    let expected =
        r#"case `a tail stands for one token or more` (tail_wildcard), cases/wildcards.toml:"#;
    assert!(text.contains(expected), "{text}");
    for part in [
        "with seed 1, latency 50 to 50 us",
        r#"step 7: { expect = ["one", "three"], by = "sub" }"#,
        r#"expected: `sub` receives "one", "three", in this order"#,
        r#"seen:     "none", "one", "three"; too much "none""#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn a_wrong_case_file_is_refused_with_its_line() {
    let head = "[[case]]\nname = \"c\"\nfeature = \"publish\"\nclients = [\"a\"]\nsteps = [\n";
    for (step, message) in [
        (r#"{ publish = "x", by = "a" }"#, "f:6: case `c`, step 1: `payload` is missing"),
        (
            r#"{ publish = "x", by = "a", payload = "m", after = 3 }"#,
            "f:6: case `c`, step 1: `publish` does not take `after`",
        ),
        (
            r#"{ expect = [], by = "b" }"#,
            "f:6: case `c`, step 1: there is no client `b`; there is a",
        ),
        (
            r#"{ unsubscribe = "s", by = "a" }"#,
            "f:6: case `c`, step 1: no step before it is called `s`",
        ),
        (r#"{ wait = "5" }"#, "f:6: case `c`, step 1: `wait`: `5` needs a unit"),
        (r#"{ crash = "gently" }"#, "`crash` is one of process, power, not `gently`"),
        (r#"{ expect = ["m{5..1}"], by = "a" }"#, "counts upwards"),
        (r#"{ by = "a" }"#, "step 1: one of open, declare,"),
        (r#"{ publsh = "x" }"#, "f:6: unknown field `publsh`"),
        (r#"{ kill = "a", cut = "a" }"#, r#"not ["cut", "kill"]"#),
    ] {
        let error = parse_cases("f", &format!("{head}    {step},\n]\n")).expect_err(step);
        assert!(error.to_string().contains(message), "{error}\nlacks {message}");
    }
    let unknown = parse_cases("f", &head.replace("publish", "publsh").replace("[\n", "[]\n"));
    let error = unknown.expect_err("there is no such feature").to_string();
    assert!(error.contains("`feature` is one of publish, token_wildcard"), "{error}");
    assert!(parse_cases("f", "case = 3").is_err());
}
