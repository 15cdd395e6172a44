//! How subscriptions and clients end.

use super::*;

fn subjects(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| text(message.subject())).collect()
}

#[test]
fn an_ended_subscription_delivers_until_the_server_confirms() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", None, Flow::default());
    let op = Op::Unsubscribe { subscription: Ticket(ticket), after: None };
    let end = rig.submit(&op);
    assert!(rig.sent.contains(&Up::Unsubscribe { sid: 2, max: None }));
    rig.sent.clear();
    rig.deliver(&made, 1, 1, 1);
    assert_eq!(rig.payloads(), ["m1"]);
    rig.down(Down::Pong);
    assert_eq!(rig.outcomes(), ends(&[(end, "done")]));
    let delete = format!("$JS.API.CONSUMER.DELETE.S.{}", made.name);
    assert_eq!(subjects(&rig.published()), [delete]);
    let again = rig.submit(&op);
    assert_eq!(rig.outcomes(), ends(&[(again, "failed: no such subscription")]));
}

#[test]
fn the_client_counts_where_a_number_ends_it() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    rig.deliver(&made, 1, 1, 1);
    let op = Op::Unsubscribe { subscription: Ticket(ticket), after: Some(2) };
    let (end, support) = rig.submit_as(&op);
    assert!(matches!(support, Support::Emulated(_)));
    assert_eq!(rig.outcomes(), ends(&[(end, "done")]));
    for seq in 2..=3 {
        rig.deliver(&made, 1, seq, seq);
    }
    assert_eq!(rig.payloads(), ["m1", "m2"]);
    assert!(rig.sent.contains(&Up::Unsubscribe { sid: 2, max: None }));
    // The group's consumer stays.
    assert!(subjects(&rig.published()).iter().all(|subject| !subject.contains("DELETE")));
    // What was delivered can still be settled.
    let settled = rig.settle(ticket, 2, Settle::Ack);
    assert_eq!(rig.outcomes(), ends(&[(settled, "sent")]));
}

#[test]
fn a_client_that_goes_waits_for_what_is_awaited() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    let publish = rig.publish("a.b", Want::Usual);
    let request = rig.published().pop().expect("it was sent");
    rig.handle(ClientInput::Shutdown);
    rig.deliver(&made, 1, 1, 1);
    rig.down(Down::Pong);
    assert_eq!(rig.closes, 0);
    rig.answer(&request, b"", r#"{"stream":"S","seq":1}"#);
    assert_eq!(rig.closes, 0);
    let settled = rig.settle(ticket, 1, Settle::Ack);
    assert_eq!(rig.outcomes(), ends(&[(publish, "acked"), (settled, "sent")]));
    rig.down(Down::Pong);
    assert_eq!(rig.closes, 1);
    let late = rig.publish("a.b", Want::Usual);
    let closed = "failed: the client gave up: the connection is closed";
    assert_eq!(rig.outcomes(), ends(&[(late, closed)]));
    assert_eq!(rig.client.deadline(), None);
}

#[test]
fn a_client_that_goes_does_not_wait_for_ever() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, made) = rig.subscribed("a.*", None, EXPLICIT);
    rig.deliver(&made, 1, 1, 1);
    rig.handle(ClientInput::Shutdown);
    rig.down(Down::Pong);
    rig.pass(Duration::from_millis(29_999));
    assert_eq!(rig.closes, 0);
    rig.published();
    rig.pass(Duration::from_millis(1));
    let delete = format!("$JS.API.CONSUMER.DELETE.S.{}", made.name);
    assert_eq!(subjects(&rig.published()), [delete]);
    rig.down(Down::Pong);
    assert_eq!(rig.closes, 1);
}

#[test]
fn a_client_that_goes_while_away_says_what_it_does_not_know() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let once = rig.publish("a.b", Want::StoredOnce(1));
    rig.lose();
    let held = rig.publish("a.b", Want::Usual);
    let sub = rig.subscribe("a", None, Start::All, EXPLICIT);
    rig.lose();
    rig.handle(ClientInput::Shutdown);
    let why = "the client gave up: shut down before the acknowledgement";
    assert_eq!(
        rig.outcomes(),
        [
            (once, format!("unknown: {why}")),
            (held, format!("failed: {why}")),
            (sub, format!("failed: {why}")),
        ]
    );
    assert_eq!(rig.client.deadline(), None);
}

#[test]
fn it_says_so_when_no_connection_comes_any_more() {
    let core = Arc::new(crate::ClientConfig { max_reconnect: 1, ..Default::default() });
    let mut rig = Rig::new(JetStreamClientConfig { core, ..Default::default() });
    rig.lose();
    let held = rig.publish("a.b", Want::Usual);
    rig.lose();
    rig.pass(Duration::from_secs(3));
    rig.lose();
    let why = "the client gave up: no connection after many attempts";
    assert_eq!(rig.outcomes(), [(held, format!("failed: {why}"))]);
}
