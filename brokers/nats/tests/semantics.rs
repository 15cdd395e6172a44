//! Every claim of the profile, in virtual time.

use broker_nats::CoreNats;

#[test]
fn every_claim_holds() {
    broker_testkit::run_all_cases::<CoreNats>().assert_passed();
}
