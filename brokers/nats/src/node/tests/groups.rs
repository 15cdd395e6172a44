//! Queue groups and their draw.

use super::*;

fn shares(rig: &mut Rig, members: u32, messages: usize, subject: &str) -> Vec<usize> {
    for _ in 0..messages {
        rig.publish(0, subject, "x");
    }
    (1..=members).map(|conn| rig.messages(conn).len()).collect()
}

#[test]
fn each_group_gets_one_copy_drawn_uniformly() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    for conn in 1..=4 {
        rig.open(conn);
        rig.subscribe(conn, "a.*", Some("workers"), 1);
    }
    rig.open(5);
    rig.subscribe(5, "a.b", Some("audit"), 1);
    rig.open(6);
    rig.subscribe(6, "a.b", None, 1);
    let shares = shares(&mut rig, 6, 40_000, "a.b");
    assert_eq!(shares[4..], [40_000, 40_000]);
    assert_eq!(shares[..4].iter().sum::<usize>(), 40_000);
    // Four standard deviations of a binomial with 40,000 draws of 1 in 4.
    for share in &shares[..4] {
        assert!(share.abs_diff(10_000) < 350, "{shares:?}");
    }
}

#[test]
fn a_group_on_several_filters_is_one_draw() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    for (conn, filter) in [(1, "a.b"), (2, "a.*"), (3, "a.>"), (4, "a.>")] {
        rig.open(conn);
        rig.subscribe(conn, filter, Some("workers"), 1);
    }
    let shares = shares(&mut rig, 4, 40_000, "a.b");
    assert_eq!(shares.iter().sum::<usize>(), 40_000);
    for share in &shares {
        assert!(share.abs_diff(10_000) < 350, "{shares:?}");
    }
}

#[test]
fn the_next_who_accepts_takes_it() {
    let mut rig = Rig::new(NatsConfig::default());
    // A member that published the message itself and wants no echo is passed over.
    rig.open_with(0, ConnectOptions { echo: Some(false), ..usual() });
    rig.subscribe(0, "a", Some("workers"), 1);
    rig.open(1);
    rig.subscribe(1, "a", Some("workers"), 1);
    for _ in 0..50 {
        rig.publish(0, "a", "x");
    }
    assert_eq!((rig.messages(0).len(), rig.messages(1).len()), (0, 50));
    // Alone, it leaves nobody.
    rig.handle(Input::Closed { conn: ConnId(1) });
    rig.publish(0, "a", &"x".repeat(32));
    assert_eq!(rig.messages(0).len(), 0);
    assert!(matches!(rig.notes[..], [Note::Dropped { cause: Cause::NoSubscriber, .. }]));
}
