//! What the client makes up for: filters, groups, requests, counted ends.

use broker_contract::{
    AckPolicy, Declaration, Feature, Flow, Op, Publish, Settle, Start, Support, Ticket, Want,
};

use super::{NONE, World, message, resp3};
use crate::client::ClientConfig;

#[test]
fn a_wildcard_is_checked_where_the_pattern_is_wider() {
    for config in [ClientConfig::default(), resp3()] {
        let mut world = World::new(config);
        let (publisher, subscriber) = (world.client(), world.client());
        world.subscribe(subscriber, 1, "a.*.c");
        world.subscribe(subscriber, 2, "a.>");
        world.subscribe(subscriber, 3, "a.b.c");
        world.settle();
        assert_eq!(world.outcomes(subscriber), ["1 Done", "2 Done", "3 Done"]);
        world.publish(publisher, 1, "a.b.c", b"x");
        world.settle();
        assert_eq!(world.outcomes(publisher), ["1 Sent"]);
        assert_eq!(world.deliveries(subscriber), ["3 a.b.c x", "1 a.b.c x", "2 a.b.c x"]);
        assert_eq!(world.wasted(subscriber), 0);
        world.publish(publisher, 2, "a.b.b.c", b"y");
        world.settle();
        assert_eq!(world.deliveries(subscriber), ["2 a.b.b.c y"]);
        assert_eq!(world.wasted(subscriber), 1);
    }
}

#[test]
fn subscriptions_that_share_a_filter_share_the_wire() {
    let mut world = World::new(ClientConfig::default());
    let (publisher, subscriber) = (world.client(), world.client());
    world.subscribe(subscriber, 1, "a");
    world.subscribe(subscriber, 2, "a");
    world.settle();
    world.subscribe(subscriber, 3, "a");
    world.settle();
    assert_eq!(world.outcomes(subscriber), ["1 Done", "2 Done", "3 Done"]);
    assert_eq!(world.seen[subscriber].commands.len(), 1);
    world.publish(publisher, 1, "a", b"x");
    world.settle();
    assert_eq!(world.deliveries(subscriber), ["1 a x", "2 a x", "3 a x"]);
    world.unsubscribe(subscriber, 10, 1, None);
    world.unsubscribe(subscriber, 11, 3, None);
    world.unsubscribe(subscriber, 12, 3, None);
    world.settle();
    assert_eq!(
        world.outcomes(subscriber),
        ["10 Done", "11 Done", "12 failed: no such subscription"]
    );
    world.publish(publisher, 2, "a", b"y");
    world.settle();
    assert_eq!(world.deliveries(subscriber), ["2 a y"]);
    world.unsubscribe(subscriber, 13, 2, None);
    assert_eq!(world.outcomes(subscriber), NONE, "the node has to confirm it");
    world.settle();
    assert_eq!(world.outcomes(subscriber), ["13 Done"]);
}

#[test]
fn every_message_of_a_group_goes_to_one_seat() {
    let mut world = World::new(ClientConfig::default());
    let publisher = world.client();
    let seats: Vec<usize> = (0..3).map(|_| world.client()).collect();
    for (seat, client) in seats.iter().enumerate() {
        world.subscribe_as(*client, 1, "t.*.r", Some((seat as u32, 3)));
    }
    world.settle();
    for device in 0..300 {
        world.publish(publisher, device, &format!("t.{device}.r"), b"x");
    }
    world.settle();
    let (mut taken, mut wasted) = (Vec::new(), 0);
    for (seat, client) in seats.iter().enumerate() {
        for line in world.deliveries(*client) {
            let channel = line.split(' ').nth(1).expect("a channel").to_owned();
            assert_eq!(super::super::seat_of(channel.as_bytes(), 3), seat as u32);
            taken.push(channel);
        }
        wasted += world.wasted(*client);
    }
    taken.sort();
    taken.dedup();
    assert_eq!((taken.len(), wasted), (300, 600));
}

#[test]
fn a_request_is_answered() {
    for config in [ClientConfig::default(), resp3()] {
        let mut world = World::new(config);
        let (asking, answering) = (world.client(), world.client());
        world.subscribe(answering, 1, "service.*");
        world.settle();
        world.request(asking, 5, "service.sum", b"1+1");
        world.request(asking, 6, "service.sum", b"2+2");
        world.settle();
        let questions: Vec<_> = world.seen[answering].deliveries.drain(..).collect();
        assert_eq!(questions.len(), 2);
        // The second answer comes first.
        for (question, answer) in questions.iter().zip(["2", "4"]).rev() {
            let reply = question.message.reply().to_vec();
            let op = Op::Reply { to: &reply, payload: answer.as_bytes() };
            world.submit(answering, 9, op).expect("is supported");
        }
        world.settle();
        assert_eq!(world.outcomes(asking), ["6 replied: 4", "5 replied: 2"]);
        assert_eq!(questions[0].message.payload(), b"1+1");
        world.advance(2_000);
        assert_eq!(world.outcomes(asking), NONE, "an answered request does not time out");
    }
}

#[test]
fn a_request_without_responder_fails_at_once_and_without_answer_in_time() {
    let mut world = World::new(ClientConfig::default());
    let (asking, silent) = (world.client(), world.client());
    world.request(asking, 1, "nobody", b"?");
    world.settle();
    assert_eq!(world.outcomes(asking), ["1 failed: no responders"]);
    world.subscribe(silent, 1, "silent");
    world.settle();
    world.request(asking, 2, "silent", b"?");
    world.settle();
    assert_eq!(world.outcomes(asking), NONE);
    world.advance(999);
    assert_eq!(world.outcomes(asking), NONE);
    world.advance(1);
    assert_eq!(world.outcomes(asking), ["2 failed: timed out"]);
    // An answer that comes now is thrown away.
    let question = world.seen[silent].deliveries.remove(0);
    let op = Op::Reply { to: question.message.reply(), payload: b"late" };
    world.submit(silent, 3, op).expect("is supported");
    world.settle();
    assert_eq!((world.outcomes(asking), world.wasted(asking)), (vec![], 1));
}

#[test]
fn a_reply_address_of_somebody_else_is_refused() {
    let mut world = World::new(ClientConfig::default());
    let client = world.client();
    world.submit(client, 1, Op::Reply { to: b"", payload: b"x" }).expect("is supported");
    let refused = "1 failed: refused: the reply address is none of this bus";
    assert_eq!(world.outcomes(client), [refused]);
}

#[test]
fn a_subscription_ends_after_its_last_delivery() {
    let mut world = World::new(ClientConfig::default());
    let (publisher, subscriber) = (world.client(), world.client());
    world.subscribe(subscriber, 1, "a");
    world.settle();
    world.unsubscribe(subscriber, 2, 1, Some(2));
    for ticket in 0..4 {
        world.publish(publisher, ticket, "a", b"x");
    }
    world.settle();
    assert_eq!(world.deliveries(subscriber), ["1 a x", "1 a x"]);
    assert_eq!(world.wasted(subscriber), 2);
    assert_eq!(world.outcomes(subscriber), ["1 Done", "2 Done"]);
    world.publish(publisher, 9, "a", b"x");
    world.settle();
    assert_eq!(world.wasted(subscriber), 0, "the node has been told");
    world.unsubscribe(subscriber, 3, 1, Some(5));
    assert_eq!(world.outcomes(subscriber), ["3 failed: no such subscription"]);
}

#[test]
fn what_the_bus_lacks_is_refused_with_its_feature() {
    let mut world = World::new(ClientConfig::default());
    let client = world.client();
    let subscribe = |start, ack, durable| Op::Subscribe {
        filter: "a",
        group: None,
        start,
        flow: Flow { ack, durable, ..Flow::default() },
    };
    let mut with_headers = message("a", b"x");
    with_headers.headers = &[("name", "value")];
    let settle = Op::Settle { subscription: Ticket(1), token: 0, settle: Settle::Ack };
    let wanting = |want| Op::Publish(Publish { want, ..message("a", b"x") });
    let cases = [
        (Op::Publish(with_headers), Feature::Headers),
        (wanting(Want::Stored), Feature::PublishAck),
        (wanting(Want::StoredOnce(1)), Feature::Deduplication),
        (subscribe(Start::All, AckPolicy::None, false), Feature::Replay),
        (subscribe(Start::New, AckPolicy::Explicit, false), Feature::Redelivery),
        (subscribe(Start::New, AckPolicy::None, true), Feature::DurableConsumer),
        (Op::Fetch { subscription: Ticket(1), max: 1 }, Feature::Pull),
        (settle, Feature::Redelivery),
        (
            Op::Declare(Declaration { name: "s", filters: &["a"], partitions: None }),
            Feature::Replay,
        ),
    ];
    for (op, feature) in cases {
        let refused = world.submit(client, 1, op).expect_err("is not supported");
        assert_eq!(refused.feature, feature);
    }
    assert_eq!(world.outcomes(client), NONE);
    let op =
        Op::Subscribe { filter: "a.>.b", group: None, start: Start::New, flow: Flow::default() };
    assert_eq!(world.submit(client, 2, op), Ok(Support::Native));
    let refused = "2 failed: refused: the filter is no path of dotted tokens";
    assert_eq!(world.outcomes(client), [refused]);
}
