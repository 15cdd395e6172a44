//! Deliveries that are broken on purpose. Whoever changes the ledger learns
//! here whether it still catches them; the kill count is printed at the end.

use broker_contract::Cause;

use super::*;

/// Enough for one in a million to happen twice.
const MANY: u32 = 2_000_000;
/// Enough for what is not about rarity; one in 100,000 happens twice.
const SOME: u32 = 200_000;
const KEYS: u32 = 1_000;
const GROUP: u32 = 0;
const DASHBOARD: u32 = 1;

/// What a broken broker does to one message.
#[derive(Clone, Debug, PartialEq)]
enum Does {
    Delivers,
    Loses,
    Twice,
    WithTheNext,
    Damages,
    ToTheOther,
}

/// A group that takes everything, and a dashboard that takes every fourth
/// message; each is delivered faithfully but for what `does` says of the group.
fn through(messages: u32, how: Attempt, does: impl Fn(u32) -> Does) -> Run {
    let mut run = Run::new(2);
    run.seats = vec![4, 1];
    let mut payload = [0x11; 40];
    let mut copy = |run: &mut Run, scope: u32, number: u32, damage: bool| {
        identity(number, KEYS).stamp(&mut payload);
        payload[37] ^= u8::from(damage) << 3;
        run.seen.deliver(scope, &payload, false);
        payload[37] = 0x11;
    };
    let mut late = None;
    for number in 0..messages {
        run.sent.attempt(number);
        run.sent.expect(GROUP, number);
        run.sent.outcome(number, how);
        if number % 4 == 0 {
            run.sent.expect(DASHBOARD, number);
            copy(&mut run, DASHBOARD, number, false);
        }
        match does(number) {
            Does::Delivers => copy(&mut run, GROUP, number, false),
            Does::Loses => {}
            Does::Twice => {
                copy(&mut run, GROUP, number, false);
                copy(&mut run, GROUP, number, false);
            }
            // The next of the same key.
            Does::WithTheNext => late = Some((number, number + KEYS)),
            Does::Damages => copy(&mut run, GROUP, number, true),
            Does::ToTheOther => {
                copy(&mut run, GROUP, number, false);
                copy(&mut run, DASHBOARD, number, false);
            }
        }
        if let Some((first, _)) = late.take_if(|(_, next)| *next == number) {
            copy(&mut run, GROUP, first, false);
        }
    }
    run
}

#[test]
fn eight_of_eight_broken_deliveries_are_caught_and_a_sound_one_passes() {
    let rarely = |one_in: u32, what: Does| {
        move |n: u32| if n % one_in == one_in / 3 * 2 + 1 { what.clone() } else { Does::Delivers }
    };
    let mut caught = Vec::new();
    let mut catch = |what: &'static str, found: u64, account: &Account, injected: u64| {
        assert_eq!(found, injected, "{what}");
        assert!(account.messages.attempted >= u64::from(SOME));
        caught.push(what);
    };

    let sound = through(MANY, Attempt::Sent, |_| Does::Delivers).account();
    assert!(sound.is_sound());
    assert_eq!((sound.duplicates, sound.redelivered, sound.reordered, sound.corrupt), (0, 0, 0, 0));
    assert_eq!(sound.deliveries.delivered, u64::from(MANY + MANY / 4));
    assert_eq!(sound.deliveries.expected, sound.deliveries.delivered);

    let account = through(MANY, Attempt::Sent, rarely(1_000_000, Does::Loses)).account();
    catch("drops one in a million", account.deliveries.lost_unexplained, &account, 2);
    assert_eq!(account.unexplained_examples, [(666_667, GROUP), (1_666_667, GROUP)]);

    let account = through(SOME, Attempt::Sent, rarely(100_000, Does::Twice)).account();
    catch("duplicates", account.duplicates, &account, 2);
    assert!(account.is_sound(), "annoying, and legal");

    let account = through(SOME, Attempt::Sent, rarely(100_000, Does::WithTheNext)).account();
    catch("swaps two of one key", account.reordered, &account, 2);
    assert_eq!(account.scopes[DASHBOARD as usize].reordered, 0);

    // The group's subscription is forgotten after the first half, and the broker
    // says truthfully that nobody subscribes.
    let half = SOME / 2;
    let mut forgets =
        through(SOME, Attempt::Sent, |n| if n < half { Does::Delivers } else { Does::Loses });
    forgets.drops = (half..SOME)
        .map(|number| Drop { number, scope: None, cause: Cause::NoSubscriber })
        .collect();
    let lost = u64::from(half);
    let account = forgets.account();
    catch("forgets a subscription", account.deliveries.lost_unexplained, &account, lost);
    // One member restarts at that time: three of the four were still there.
    let gone = |seat| Away { scope: GROUP, seat, from_ns: u64::from(half), until_ns: u64::MAX };
    forgets.away = vec![gone(2)];
    let account = forgets.account();
    catch("forgets it beside a restart", account.deliveries.lost_unexplained, &account, lost);
    // All of them being away is the other story.
    forgets.away = (0..4).map(gone).collect();
    assert!(forgets.account().is_sound());
    assert_eq!(forgets.account().causes.get("no_subscriber"), Some(&lost));

    let account = through(SOME, Attempt::Sent, rarely(100_000, Does::Damages)).account();
    catch("corrupts one bit", account.corrupt, &account, 2);
    assert_eq!((account.deliveries.lost_unexplained, account.misdelivered), (2, 0));

    let account = through(SOME, Attempt::Sent, rarely(100_000, Does::ToTheOther)).account();
    catch("misdelivers to another scope", account.misdelivered, &account, 2);
    assert_eq!((account.corrupt, account.scopes[DASHBOARD as usize].misdelivered), (2, 2));
    assert_eq!(account.deliveries.lost_unexplained, 0);

    // The group was away, which excuses a broker that promised nothing.
    let mut loses = through(SOME, Attempt::Acked, rarely(100_000, Does::Loses));
    loses.duty = Duty::Kept;
    loses.away = (0..4).map(|seat| Away { from_ns: 0, ..gone(seat) }).collect();
    let account = loses.account();
    catch("acknowledges and loses", account.deliveries.lost_unexplained, &account, 2);

    println!("caught {} of 8 broken deliveries: {}", caught.len(), caught.join(", "));
    assert_eq!(caught.len(), 8);
}

#[test]
fn a_message_that_nobody_sent_is_misdelivered() {
    let mut run = through(SOME, Attempt::Sent, |_| Does::Delivers);
    run.deliver(GROUP, identity(SOME + 70_000, KEYS), false);
    let account = run.account();
    assert_eq!((account.misdelivered, account.corrupt), (1, 1));
    assert_eq!(account.deliveries.expected, account.deliveries.delivered);
}
