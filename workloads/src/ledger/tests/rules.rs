//! Each rule alone.

use broker_contract::Cause;

use super::*;

/// One scope, ten messages that end as `how`, of which number 4 does not come.
fn one_missing(how: Attempt) -> Run {
    let mut run = Run::new(1);
    for number in 0..10 {
        run.send(number, how);
        if number != 4 {
            run.deliver(0, identity(number, 1), false);
        }
    }
    run
}

fn fates(run: &Run) -> (u64, u64, u64, u64) {
    let of = run.account().deliveries;
    assert_eq!(of.expected, of.delivered + of.lost_explained + of.lost_unexplained + of.undrained);
    (of.delivered, of.lost_explained, of.lost_unexplained, of.undrained)
}

#[test]
fn a_silent_loss_is_unexplained_and_named() {
    for how in [Attempt::Acked, Attempt::Sent] {
        let account = one_missing(how).account();
        assert_eq!(account.deliveries.lost_unexplained, 1);
        assert_eq!(account.unexplained_examples, [(4, 0)]);
        assert!(!account.is_sound());
    }
}

#[test]
fn unknown_outcomes_are_never_losses_and_recover_when_seen() {
    let account = one_missing(Attempt::Unknown).account();
    assert_eq!((account.deliveries.expected, account.recovered), (9, 9));
    assert_eq!(account.messages.unknown, 10);
    assert!(account.is_sound());
}

#[test]
fn failed_attempts_are_not_expected_and_must_not_come() {
    let account = one_missing(Attempt::Failed).account();
    assert_eq!((account.deliveries.expected, account.aborted_reads), (0, 9));
    assert_eq!(account.messages.failed, 10);
    assert!(!account.is_sound());
}

#[test]
fn whole_pages_are_not_taken_for_granted() {
    let mut run = Run::new(1);
    for number in 0..70_000 {
        let how = match number {
            300 => Attempt::Failed,
            301 => Attempt::Unknown,
            _ => Attempt::Acked,
        };
        run.send(number, how);
        run.seen.record(0, identity(number, 1), false);
    }
    let account = run.account();
    assert_eq!((account.aborted_reads, account.recovered), (1, 1));
    assert_eq!((account.deliveries.expected, account.deliveries.delivered), (69_999, 69_999));
}

#[test]
fn the_first_definite_outcome_stays() {
    let mut run = one_missing(Attempt::Unknown);
    assert!(run.sent.outcome(4, Attempt::Acked), "an acknowledgement after a time-out");
    assert!(!run.sent.outcome(4, Attempt::Failed));
    assert!(!run.sent.outcome(99, Attempt::Acked), "never attempted");
    assert_eq!(run.account().messages.acked, 1);
    assert_eq!(fates(&run), (9, 0, 1, 0));
}

#[test]
fn a_drop_explains_exactly_its_copy() {
    let mut run = one_missing(Attempt::Sent);
    run.drops = vec![Drop { number: 5, scope: None, cause: Cause::SlowConsumer }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "another message's drop");
    run.drops.push(Drop { number: 4, scope: Some(7), cause: Cause::SlowConsumer });
    assert_eq!(fates(&run), (9, 0, 1, 0), "another scope's drop");
    run.drops.push(Drop { number: 4, scope: None, cause: Cause::ConnectionDropped });
    assert_eq!(fates(&run), (9, 1, 0, 0));
    run.drops.push(Drop { number: 4, scope: Some(0), cause: Cause::SlowConsumer });
    run.drops.push(Drop { number: 4, scope: Some(0), cause: Cause::MaxDeliver });
    let causes = run.account().causes;
    assert_eq!(causes.into_iter().collect::<Vec<_>>(), [("max_deliver", 1)], "the last of its own");
}

#[test]
fn nobody_had_subscribed_is_believed_only_of_a_scope_that_was_away() {
    for cause in [Cause::NoSubscriber, Cause::SubscriberAway] {
        let mut run = one_missing(Attempt::Sent);
        run.drops = vec![Drop { number: 4, scope: None, cause }];
        assert_eq!(fates(&run), (9, 0, 1, 0));
        run.away = vec![Away { scope: 0, seat: 0, from_ns: 6, until_ns: 8 }];
        assert_eq!(fates(&run), (9, 0, 1, 0), "away later");
        run.transit_ns = 2;
        assert_eq!(fates(&run), (9, 1, 0, 0), "away when it reached the node");
        assert_eq!(run.account().causes.get(cause.name()), Some(&1));
    }
}

#[test]
fn copies_under_way_at_the_cut_are_undrained() {
    let mut run = one_missing(Attempt::Acked);
    run.undrained = vec![(0, 4), (0, 4), (0, 5), (3, 4)];
    assert_eq!(fates(&run), (9, 0, 0, 1), "and one that came is delivered");
    run.undrained.clear();
    run.lagging = vec![9, 0];
    assert_eq!(fates(&run), (9, 0, 0, 1));
}

#[test]
fn a_group_is_away_when_all_its_seats_are_at_one_moment() {
    let mut run = one_missing(Attempt::Sent);
    run.seats = vec![2];
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 0, until_ns: 20 }];
    assert_eq!(fates(&run), (9, 0, 1, 0));
    run.away.push(Away { scope: 0, seat: 1, from_ns: 0, until_ns: 3 });
    assert_eq!(fates(&run), (9, 0, 1, 0));
    run.away.push(Away { scope: 0, seat: 1, from_ns: 4, until_ns: 5 });
    assert_eq!(fates(&run), (9, 1, 0, 0));
    assert_eq!(run.account().causes.get("subscriber_away"), Some(&1));
}

#[test]
fn in_an_emulated_group_the_owner_decides() {
    let mut run = one_missing(Attempt::Sent);
    run.seats = vec![3];
    run.emulated = vec![true];
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 0, until_ns: 20 }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "seat 1 takes number 4");
    run.away[0].seat = 1;
    assert_eq!(fates(&run), (9, 1, 0, 0));
}

#[test]
fn what_was_acknowledged_must_be_kept_for_subscribers_that_are_away() {
    let mut run = one_missing(Attempt::Acked);
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 0, until_ns: 20 }];
    run.drops = vec![Drop { number: 4, scope: Some(0), cause: Cause::NoSubscriber }];
    assert_eq!(fates(&run), (9, 1, 0, 0));
    run.duty = Duty::Kept;
    assert_eq!(fates(&run), (9, 0, 1, 0));
    let mut run = one_missing(Attempt::Sent);
    run.duty = Duty::Kept;
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 0, until_ns: 20 }];
    assert_eq!(fates(&run), (9, 1, 0, 0), "not acknowledged, so not promised");
}

#[test]
fn what_waits_for_a_subscription_is_forgotten_when_it_ends() {
    let mut run = one_missing(Attempt::Acked);
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 50, until_ns: 60 }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "it was sent and should have come long before");
    run.duty = Duty::Waiting;
    assert_eq!(fates(&run), (9, 1, 0, 0), "it may have waited until then");
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 0, until_ns: 3 }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "the subscription was in force again, and stayed");
}

#[test]
fn what_was_acknowledged_comes_again_until_it_is_settled() {
    let dropped = |cause, scope| {
        let mut run = one_missing(Attempt::Acked);
        run.drops = vec![Drop { number: 4, scope, cause }];
        run
    };
    for cause in [Cause::ConnectionDropped, Cause::BrokerCrash, Cause::ConsumerStopped] {
        let mut run = dropped(cause, Some(0));
        run.duty = Duty::Settled;
        assert_eq!(fates(&run), (9, 0, 1, 0), "{cause:?} on the way does not end it");
        run.duty = Duty::Kept;
        assert_eq!(fates(&run), (9, 1, 0, 0), "a consumer that acknowledges nothing");
        let mut run = dropped(cause, None);
        run.duty = Duty::Kept;
        assert_eq!(fates(&run), (9, 0, 1, 0), "an attempt before the one that was acknowledged");
    }
    for cause in [Cause::MaxDeliver, Cause::Retention] {
        let mut run = dropped(cause, Some(0));
        run.duty = Duty::Settled;
        assert_eq!(fates(&run), (9, 1, 0, 0), "{cause:?} ends it for good");
    }
    let mut run = one_missing(Attempt::Sent);
    run.duty = Duty::Settled;
    run.drops = vec![Drop { number: 4, scope: None, cause: Cause::BrokerCrash }];
    assert_eq!(fates(&run), (9, 1, 0, 0), "not acknowledged, so not promised");
}

#[test]
fn a_crash_explains_only_what_was_not_safe_from_it() {
    let mut run = one_missing(Attempt::Acked);
    run.duty = Duty::Settled;
    let cause = Cause::PowerLoss;
    run.outages = vec![Outage { at_ns: 9, lost_from_ns: 5, cause }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "it was safe before");
    run.transit_ns = 1;
    assert_eq!(fates(&run), (9, 1, 0, 0), "it may have been stored at 5");
    let account = run.account();
    assert_eq!(account.acked_lost.into_iter().collect::<Vec<_>>(), [("power_loss", 1)]);
    assert_eq!(account.oldest_lost_ns, Some(5));
    run.outages = vec![Outage { at_ns: 3, lost_from_ns: 0, cause }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "it was sent afterwards");
}

#[test]
fn a_crash_takes_the_places_of_those_whom_it_cut_off() {
    let mut run = one_missing(Attempt::Acked);
    run.duty = Duty::Settled;
    let cause = Cause::PowerLoss;
    run.outages = vec![Outage { at_ns: 2, lost_from_ns: 1, cause }];
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 2, until_ns: 4 }];
    assert_eq!(fates(&run), (9, 1, 0, 0), "nobody knew any more where it had been");
    assert_eq!(run.account().oldest_lost_ns, None, "it was stored after the crash");
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 3, until_ns: 4 }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "the crash was over when it left");
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 2, until_ns: 3 }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "it was back in time");
    run.away = vec![Away { scope: 0, seat: 0, from_ns: 2, until_ns: 4 }];
    run.outages = vec![Outage { at_ns: 2, lost_from_ns: u64::MAX, cause }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "everything was synced");
}

#[test]
fn a_forgotten_position_explains_what_was_sent_until_its_owner_was_back() {
    let mut run = one_missing(Attempt::Acked);
    run.duty = Duty::Settled;
    let cause = Cause::PowerLoss;
    run.outages = vec![Outage { at_ns: 3, lost_from_ns: 0, cause }];
    run.forgotten = vec![Forgotten { scope: 0, until_ns: 3, cause }];
    assert_eq!(fates(&run), (9, 0, 1, 0), "it was back before that was sent");
    run.forgotten = vec![Forgotten { scope: 0, until_ns: 6, cause }];
    assert_eq!(fates(&run), (9, 1, 0, 0));
}

#[test]
fn a_late_subscription_is_owed_nothing_from_before() {
    let mut run = one_missing(Attempt::Acked);
    run.joined_ns = vec![5];
    assert_eq!(fates(&run), (9, 0, 0, 0), "and what came although it was older counts");
    run.joined_ns = vec![4];
    assert_eq!(fates(&run), (9, 0, 1, 0));
}

#[test]
fn further_copies_and_redeliveries_say_nothing_of_order() {
    let mut run = Run::new(1);
    (0..5).for_each(|number| run.send(number, Attempt::Acked));
    assert!(matches!(run.deliver(0, identity(2, 1), false), Seen::First(_)));
    assert!(matches!(run.deliver(0, identity(0, 1), true), Seen::First(_)), "marked: exempt");
    assert!(matches!(run.deliver(0, identity(2, 1), true), Seen::Redelivered(_)));
    assert!(matches!(run.deliver(0, identity(2, 1), false), Seen::Duplicate(_)));
    assert_eq!(run.account().reordered, 0);
    assert!(matches!(run.deliver(0, identity(1, 1), false), Seen::First(_)));
    assert!(matches!(run.deliver(0, identity(4, 1), true), Seen::First(_)), "marked: no yardstick");
    assert!(matches!(run.deliver(0, identity(3, 1), false), Seen::First(_)));
    let account = run.account();
    assert_eq!((account.reordered, account.duplicates, account.redelivered), (1, 1, 1));
    assert!(account.is_sound());
}

#[test]
fn a_payload_that_is_no_message_is_corrupt() {
    let mut log = SeenLog::new(1);
    assert_eq!(log.deliver(0, b"", false), Seen::Corrupt);
    assert_eq!(log.deliver(0, &[0; 31], true), Seen::Corrupt);
    assert_eq!(log.deliver(0, &[7; 64], false).delivered(), None);
    let mut run = Run::new(1);
    run.seen = log;
    assert_eq!(run.account().corrupt, 3);
}

#[test]
fn what_two_threads_saw_becomes_one_log() {
    let mut run = Run::new(1);
    (0..6).for_each(|number| run.send(number, Attempt::Acked));
    let mut logs = [(); 3].map(|()| SeenLog::new(1));
    // Number 1 is handled by one member, then by another after a redelivery;
    // number 2 twice for no reason; number 3 comes twice as a redelivery, and once
    // as if it were new.
    for (log, number, redelivered) in [
        (0, 0, false),
        (0, 1, false),
        (1, 1, true),
        (1, 2, false),
        (0, 2, false),
        (0, 3, true),
        (1, 3, true),
        (2, 3, false),
        (2, 4, false),
        (1, 5, false),
    ] {
        logs[log].record(0, identity(number, 1), redelivered);
    }
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        run.seen = SeenLog::new(1);
        order.into_iter().for_each(|log| run.seen.merge(logs[log].clone()));
        let account = run.account();
        assert_eq!(account.deliveries.delivered, 6);
        assert_eq!((account.duplicates, account.redelivered), (1, 3), "merged as {order:?}");
    }
}
