//! Random sequences against a model that is too simple to be wrong.

use std::collections::BTreeSet;

use broker_contract::{ConnId, Input};
use proptest::prelude::*;

use super::Bed;
use crate::frame::{Kind, Up, text, texts};
use crate::glob;

const CONNS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    Subscribe(u32, Kind, String),
    Unsubscribe(u32, Kind, String),
    UnsubscribeAll(u32, Kind),
    Reconnect(u32),
    Publish(bool, String),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Channel), Just(Kind::Pattern), Just(Kind::Shard)];
    let name = prop_oneof!["[ab]{1,2}", "[ab]?\\*[ab]?"];
    let conn = 1..=CONNS;
    prop_oneof![
        6 => (conn.clone(), kind.clone(), name.clone()).prop_map(|(c, k, n)| Step::Subscribe(c, k, n)),
        4 => (conn.clone(), kind.clone(), name).prop_map(|(c, k, n)| Step::Unsubscribe(c, k, n)),
        1 => (conn.clone(), kind).prop_map(|(c, k)| Step::UnsubscribeAll(c, k)),
        1 => conn.prop_map(Step::Reconnect),
        4 => (any::<bool>(), "[ab]{1,2}").prop_map(|(s, n)| Step::Publish(s, n)),
    ]
}

/// Who is subscribed to what, and nothing else.
#[derive(Default)]
struct Model(BTreeSet<(u32, Kind, String)>);

impl Model {
    fn count(&self, conn: u32, kind: Kind) -> usize {
        let counted = |other: Kind| (other == Kind::Shard) == (kind == Kind::Shard);
        self.0.iter().filter(|(c, k, _)| *c == conn && counted(*k)).count()
    }

    /// Deliveries, in no particular order.
    fn receivers(&self, sharded: bool, channel: &str) -> Vec<String> {
        let mut lines: Vec<String> = self
            .0
            .iter()
            .filter_map(|(conn, kind, name)| match kind {
                Kind::Channel if !sharded && name == channel => {
                    Some(format!("{conn}< message {channel} x"))
                }
                Kind::Shard if sharded && name == channel => {
                    Some(format!("{conn}< smessage {channel} x"))
                }
                Kind::Pattern if !sharded && glob::matches(name.as_bytes(), channel.as_bytes()) => {
                    Some(format!("{conn}< pmessage {name} {channel} x"))
                }
                _ => None,
            })
            .collect();
        lines.sort();
        lines
    }
}

fn last_count(lines: &[String]) -> usize {
    let line = lines.last().expect("a confirmation");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("ends with the count")
}

proptest! {
    #[test]
    fn counts_and_deliveries_are_those_of_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut bed = Bed::open(CONNS + 1);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Subscribe(conn, kind, name) => {
                    let lines = bed.send(conn, Up::subscribe(kind, text(&name)));
                    model.0.insert((conn, kind, name));
                    prop_assert_eq!(last_count(&lines), model.count(conn, kind));
                }
                Step::Unsubscribe(conn, kind, name) => {
                    let lines = bed.send(conn, Up::unsubscribe(kind, text(&name)));
                    model.0.remove(&(conn, kind, name));
                    prop_assert_eq!(last_count(&lines), model.count(conn, kind));
                }
                Step::UnsubscribeAll(conn, kind) => {
                    let had = model.0.iter().filter(|(c, k, _)| *c == conn && *k == kind).count();
                    let lines = bed.send(conn, Up::Unsubscribe { kind, topics: texts([""; 0]) });
                    model.0.retain(|(c, k, _)| *c != conn || *k != kind);
                    prop_assert_eq!(lines.len(), had.max(1));
                    prop_assert_eq!(last_count(&lines), model.count(conn, kind));
                }
                Step::Reconnect(conn) => {
                    bed.input(Input::Closed { conn: ConnId(conn) });
                    bed.connect(conn);
                    model.0.retain(|(c, ..)| *c != conn);
                }
                Step::Publish(sharded, channel) => {
                    let body = crate::Body::new(channel.as_bytes(), b"x");
                    let mut lines = bed.send(0, Up::Publish { sharded, body });
                    let expected = model.receivers(sharded, &channel);
                    prop_assert_eq!(lines.pop(), Some(format!("0< :{}", expected.len())));
                    let exact = lines.iter().take_while(|line| !line.contains("pmessage")).count();
                    prop_assert!(lines[exact..].iter().all(|line| line.contains("pmessage")));
                    lines.sort();
                    prop_assert_eq!(lines, expected);
                }
            }
        }
    }

    #[test]
    fn subscribers_keep_their_order_whoever_leaves(
        count in 1..200_u32,
        leaving in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let mut bed = Bed::open(count + 1);
        for conn in 1..=count {
            bed.run(conn, "SUBSCRIBE a");
        }
        let mut left: Vec<u32> = (1..=count).collect();
        for at in leaving {
            if left.is_empty() {
                break;
            }
            let conn = left.remove(at.index(left.len()));
            bed.run(conn, "UNSUBSCRIBE a");
        }
        let mut expected: Vec<String> =
            left.iter().map(|conn| format!("{conn}< message a x")).collect();
        expected.push(format!("0< :{}", left.len()));
        prop_assert_eq!(bed.run(0, "PUBLISH a x"), expected);
    }
}

#[test]
fn one_client_may_hold_very_many_subscriptions() {
    let mut bed = Bed::open(2);
    let names: Vec<String> = (0..100_000).map(|n| format!("c{n}")).collect();
    let all = texts(&names);
    bed.node.config.pubsub = crate::OutputLimit::default();
    bed.send(1, Up::Subscribe { kind: Kind::Channel, topics: all.clone() });
    // Twice is once, and neither direction takes quadratic time.
    bed.send(1, Up::Subscribe { kind: Kind::Channel, topics: all.clone() });
    assert_eq!(bed.run(0, "PUBLISH c77777 x"), ["1< message c77777 x", "0< :1"]);
    let lines = bed.send(1, Up::Unsubscribe { kind: Kind::Channel, topics: all });
    assert_eq!(last_count(&lines), 0);
    assert_eq!(bed.run(0, "PUBLISH c77777 x"), ["0< :0"]);
}
