//! The log against the semantics cases: every claim of the profile holds, and
//! what it does not claim is refused with a reason. Then its own cases, which
//! turn settings that no other contender has.

use broker_kafka::KafkaLog;
use broker_testkit::cases::parse_cases;
use broker_testkit::{run_all_cases, run_cases};

#[test]
fn every_claim_holds() {
    run_all_cases::<KafkaLog>().assert_passed();
}

#[test]
fn the_log_does_what_its_settings_say() {
    let cases = parse_cases("cases.toml", include_str!("cases.toml")).expect("the cases are right");
    let report = run_cases::<KafkaLog>(&cases);
    report.assert_passed();
    assert_eq!(report.passed.len(), cases.len());
}
