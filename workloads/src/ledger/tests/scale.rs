//! What the logs weigh, counted in what they allocate.

use super::*;

/// Nothing is full: every twentieth attempt has an unknown end, and every
/// 5,000th copy does not come. Sequences of 50,000 keys.
fn weigh(messages: u32) -> (usize, Account) {
    const KEYS: u32 = 50_000;
    let mut run = Run::new(1);
    for number in 0..messages {
        run.sent.attempt(number);
        run.sent.expect(0, number);
        if number % 20 != 0 {
            run.sent.outcome(number, Attempt::Acked);
        }
        if number % 5_000 != 1 {
            run.seen.record(0, identity(number, KEYS), false);
        }
    }
    (run.sent.heap_bytes() + run.seen.heap_bytes(), run.account())
}

#[test]
fn ten_million_messages_fit_in_four_megabytes() {
    let (bytes, account) = weigh(10_000_000);
    assert!(bytes < 4_000_000, "{bytes}");
    assert_eq!(account.deliveries.lost_unexplained, 2_000);
    assert_eq!(account.messages.unknown, 500_000);
}

#[test]
#[ignore = "ten seconds: the bench does the same, payloads included"]
fn a_hundred_million_messages_fit_in_two_hundred_megabytes() {
    let (bytes, account) = weigh(100_000_000);
    assert!(bytes < 40_000_000, "{bytes}");
    assert_eq!(account.deliveries.lost_unexplained, 20_000);
}

#[test]
fn the_worst_pages_of_a_hundred_million_fit_too() {
    // Whatever a run does, a page of one set costs at most a bitmap, and a run of
    // one scope has six sets: attempted, acknowledged, failed, sent, expected, seen.
    let mut worst = numbers::Numbers::default();
    for number in (0..numbers::PAGE * 16).filter(|number| number % 16 != 3) {
        worst.insert(number);
    }
    let page = worst.heap_bytes() / 16;
    let pages = 100_000_000_usize.div_ceil(numbers::PAGE as usize);
    assert!(6 * pages * page < 80_000_000, "{page} bytes a page");
}

#[test]
fn a_thousand_scopes_that_all_see_everything_cost_one_page_each() {
    let mut run = Run::new(1_000);
    for scope in 0..1_000 {
        for number in 0..66_000 {
            run.sent.expect(scope, number);
        }
    }
    let bytes = run.sent.heap_bytes();
    assert!(bytes < 1_000 * 2_000, "{bytes}");
}

#[test]
fn a_scope_that_sees_one_message_in_five_hundred_costs_bytes_not_bitmaps() {
    let (mut seen, scopes) = (SeenLog::new(200), 200);
    for number in (0..1_000_000).step_by(500) {
        for scope in 0..scopes {
            seen.record(scope, identity(number, 50_000), false);
        }
    }
    // 2,000 messages each, two bytes a number and less than twice that reserved,
    // and a hundred keys.
    let each = seen.heap_bytes() / scopes as usize;
    assert!(each < 12_000, "{each} bytes a scope");
}
