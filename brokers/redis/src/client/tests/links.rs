//! Connections: how many, what happens when they break, how they end.

use broker_contract::{Cause, Client, LinkId, Note};

use super::{NONE, World, resp3};
use crate::RedisConfig;
use crate::client::{ClientConfig, RedisClient};
use crate::frame::{Down, Kind, Reply, Up};

const FIRST: LinkId = LinkId(0);
const SECOND: LinkId = LinkId(1);

#[test]
fn a_client_has_as_many_connections_as_it_needs() {
    let mut world = World::new(ClientConfig::default());
    let (publisher, subscriber, both) = (world.client(), world.client(), world.client());
    world.publish(publisher, 1, "a", b"x");
    world.subscribe(subscriber, 1, "a");
    world.publish(both, 1, "a", b"x");
    world.subscribe(both, 2, "a");
    world.settle();
    world.publish(both, 3, "a", b"x");
    world.settle();
    assert_eq!(world.links(publisher), [FIRST].into());
    assert_eq!(world.links(subscriber), [FIRST].into());
    assert_eq!(world.links(both), [FIRST, SECOND].into());
    assert_eq!(world.deliveries(both), ["2 a x"]);

    let mut world = World::new(resp3());
    let both = world.client();
    world.subscribe(both, 1, "a");
    world.settle();
    world.publish(both, 2, "a", b"x");
    world.settle();
    assert_eq!(world.links(both), [FIRST].into());
    assert_eq!(world.deliveries(both), ["1 a x"]);
    assert!(matches!(world.seen[both].commands[0], (FIRST, Up::Hello(_))));
}

#[test]
fn a_publisher_is_small() {
    assert!(size_of::<RedisClient>() <= 136, "{}", size_of::<RedisClient>());
    let mut world = World::new(ClientConfig::default());
    let publisher = world.client();
    for ticket in 0..5 {
        world.publish(publisher, ticket, "a", b"x");
        world.settle();
    }
    assert!(world.clients[publisher].more.is_none(), "what subscribers need is not there");
    let expected = &world.clients[publisher].first.expected;
    let heap = expected.capacity() * size_of_val(&expected.front());
    assert!(size_of::<RedisClient>() + heap <= 200, "{heap} bytes of heap");
}

#[test]
fn a_client_says_who_it_is_before_anything_else() {
    let known = |password: &str| Some(("default".to_owned(), password.to_owned()));
    for config in [ClientConfig::default(), resp3()] {
        let node = RedisConfig { requirepass: "sekret".to_owned(), ..RedisConfig::default() };
        let right = ClientConfig { auth: known("sekret"), ..config.clone() };
        let mut world = World::with(right, node.clone());
        let both = world.client();
        world.subscribe(both, 1, "a");
        world.settle();
        world.publish(both, 2, "a", b"x");
        world.settle();
        assert_eq!(world.deliveries(both), ["1 a x"], "on either of its connections");

        for auth in [known("wrong"), None] {
            let mut world = World::with(ClientConfig { auth, ..config.clone() }, node.clone());
            let stranger = world.client();
            world.subscribe(stranger, 1, "a");
            world.settle();
            world.publish(stranger, 2, "a", b"x");
            world.settle();
            assert_eq!(world.deliveries(stranger), NONE);
        }
    }
}

#[test]
fn a_lost_connection_comes_back_with_its_subscriptions() {
    for config in [ClientConfig::default(), resp3()] {
        let mut world = World::new(config);
        let (publisher, subscriber) = (world.client(), world.client());
        world.subscribe(subscriber, 1, "a");
        world.subscribe(subscriber, 2, "b.*");
        world.settle();
        world.outcomes(subscriber);
        world.reachable = false;
        world.cut(subscriber);
        world.publish(publisher, 1, "a", b"missed");
        // The publisher's first connection cannot be made either.
        world.settle();
        assert_eq!(world.outcomes(publisher), ["1 failed: the client gave up: not connected"]);
        world.advance(500);
        assert_eq!(world.links(subscriber), [].into());
        world.reachable = true;
        world.advance(4_000);
        world.publish(publisher, 2, "a", b"x");
        world.publish(publisher, 3, "b.c", b"y");
        world.settle();
        assert_eq!(world.outcomes(publisher), ["2 Sent", "3 Sent"]);
        assert_eq!(world.deliveries(subscriber), ["1 a x", "2 b.c y"]);
        assert_eq!(world.outcomes(subscriber), NONE, "a subscription is confirmed once");
    }
}

#[test]
fn without_a_buffer_a_publish_fails_while_disconnected_and_with_one_it_waits() {
    let mut config = ClientConfig::default();
    for (buffer, failed, sent) in [(0, vec![0, 1, 2], vec![]), (100, vec![2], vec![0, 1])] {
        config.reconnect_buffer = buffer;
        let mut world = World::new(config.clone());
        let client = world.client();
        world.publish(client, 100, "a", b"x");
        world.settle();
        world.outcomes(client);
        world.cut(client);
        // A PUBLISH of 40 bytes.
        for ticket in 0..3 {
            world.publish(client, ticket, "abc", b"1234567");
        }
        let why = |ticket| format!("{ticket} failed: the client gave up: not connected");
        assert_eq!(world.outcomes(client), failed.into_iter().map(why).collect::<Vec<_>>());
        world.advance(2_000);
        let sent: Vec<_> = sent.into_iter().map(|ticket: u64| format!("{ticket} Sent")).collect();
        assert_eq!(world.outcomes(client), sent);
    }
}

#[test]
fn a_request_on_a_lost_connection_is_unknown() {
    let mut world = World::new(ClientConfig::default());
    let (asking, silent) = (world.client(), world.client());
    world.subscribe(silent, 1, "a");
    world.settle();
    world.request(asking, 1, "b", b"first, to have the inbox");
    world.settle();
    world.outcomes(asking);
    world.request(asking, 2, "a", b"?");
    // The reply to the PUBLISH never arrives.
    world.cut(asking);
    assert_eq!(world.outcomes(asking), ["2 unknown: the connection was lost"]);
    world.advance(5_000);
    assert_eq!(world.outcomes(asking), NONE);
}

#[test]
fn a_refused_publish_is_noted_with_its_message() {
    let mut world = World::new(ClientConfig::default());
    let client = world.client();
    world.publish(client, 1, "a", &[0; 32]);
    world.settle();
    world.publish(client, 2, "a", &[7; 32]);
    world.inject(client, FIRST, Down::Reply(Reply::Error("NOPERM no".into())));
    assert_eq!(world.outcomes(client), ["1 Sent", "2 Sent"]);
    let refused = world.seen[client].notes.iter().find_map(|note| match note {
        Note::Dropped { cause: Cause::Refused, message, .. } => message.clone(),
        _ => None,
    });
    assert_eq!(refused.map(|message| message.number), Some(0x0707_0707));
}

#[test]
fn a_refused_subscription_fails() {
    let mut world = World::new(ClientConfig::default());
    let client = world.client();
    world.subscribe(client, 1, "a");
    world.settle();
    world.outcomes(client);
    world.subscribe(client, 2, "b");
    world.inject(client, FIRST, Down::Reply(Reply::Error("NOPERM no".into())));
    assert_eq!(world.outcomes(client), ["2 failed: refused: NOPERM no"]);
}

#[test]
fn an_old_confirmation_does_not_confirm_a_new_subscription() {
    let mut world = World::new(ClientConfig::default());
    let (publisher, client) = (world.client(), world.client());
    world.subscribe(client, 1, "z");
    world.settle();
    world.subscribe(client, 2, "a");
    world.unsubscribe(client, 3, 2, None);
    world.subscribe(client, 4, "a");
    world.publish(publisher, 1, "a", b"x");
    world.settle();
    assert_eq!(
        world.outcomes(client),
        [
            "1 Done",
            "2 failed: the client gave up: unsubscribed before it was confirmed",
            "3 Done",
            "4 Done"
        ]
    );
    assert_eq!(world.deliveries(client), ["4 a x"]);
}

#[test]
fn a_goodbye_takes_along_what_is_on_its_way() {
    for config in [ClientConfig::default(), resp3()] {
        let mut world = World::new(config);
        let (publisher, client) = (world.client(), world.client());
        world.subscribe(client, 1, "a.*");
        world.publish(client, 2, "b", b"x");
        world.settle();
        world.publish(publisher, 1, "x", b"connect");
        world.settle();
        // These are ahead of the UNSUBSCRIBE at the node.
        world.publish(publisher, 2, "a.1", b"x");
        world.publish(publisher, 3, "a.2", b"y");
        world.shut_down(client);
        assert_eq!(world.deliveries(client), ["1 a.1 x", "1 a.2 y"]);
        assert_eq!(world.links(client), [].into());
        let last: Vec<_> =
            world.seen[client].commands.iter().rev().map(|(_, up)| up.clone()).collect();
        assert_eq!(last[0], Up::Quit);
        assert!(last.iter().any(|up| matches!(up, Up::Unsubscribe { kind: Kind::Pattern, .. })));
        assert_eq!(world.clients[client].deadline(), None);
        world.outcomes(client);
        world.publish(client, 9, "a", b"x");
        assert_eq!(world.outcomes(client), ["9 failed: the client gave up: shutting down"]);
    }
}

#[test]
fn a_goodbye_before_the_connection_is_there_sends_what_was_held() {
    let mut world = World::new(ClientConfig::default());
    let client = world.client();
    world.publish(client, 1, "a", b"x");
    world.shut_down(client);
    assert_eq!(world.outcomes(client), ["1 Sent"]);
    assert_eq!(world.links(client), [].into());
}

#[test]
fn a_goodbye_without_a_connection_ends_everything() {
    let mut world = World::new(ClientConfig { reconnect_buffer: 1_000, ..ClientConfig::default() });
    world.reachable = false;
    let client = world.client();
    world.publish(client, 1, "a", b"x");
    world.subscribe(client, 2, "a");
    world.request(client, 3, "a", b"?");
    world.settle();
    world.shut_down(client);
    let mut outcomes = world.outcomes(client);
    outcomes.sort();
    assert_eq!(
        outcomes,
        [
            "1 failed: the client gave up: shut down while not connected",
            "2 failed: the connection was lost",
            "3 failed: the connection was lost"
        ]
    );
    assert_eq!(world.clients[client].deadline(), None);
}
