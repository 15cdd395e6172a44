//! Every claim of the profile, in virtual time.

use broker_nats::{CoreNats, JetStream};

#[test]
fn every_claim_holds() {
    broker_testkit::run_all_cases::<CoreNats>().assert_passed();
}

#[test]
fn every_claim_of_jetstream_holds() {
    broker_testkit::run_all_cases::<JetStream>().assert_passed();
}
