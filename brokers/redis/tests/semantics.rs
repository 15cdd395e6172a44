//! The bus against the semantics cases: every claim of the profile holds, and
//! what it does not claim is refused with a reason.

#[test]
fn every_claim_holds() {
    broker_testkit::run_all_cases::<broker_redis::RedisPubSub>().assert_passed();
}
