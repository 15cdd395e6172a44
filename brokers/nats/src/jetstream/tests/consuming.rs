//! What comes out of consumers, and how it keeps coming.

use super::*;

/// A consumer that is made again, after the stream was asked how far it is.
fn remade(rig: &mut Rig, last_seq: u64) -> Made {
    let requests = rig.published();
    let info = requests
        .iter()
        .find(|request| request.subject().starts_with(b"$JS.API.STREAM.INFO."))
        .expect("the stream is asked");
    let body = json!({ "state": { "first_seq": 1, "last_seq": last_seq } }).to_string();
    rig.answer(info, b"", &body);
    rig.make_consumer(0)
}

/// Answers the question how far the stream is, and then which message is at
/// `position`: one that was stored at `time`, or none.
fn compared(rig: &mut Rig, last_seq: u64, position: u64, time: Option<&str>) {
    let requests = rig.published();
    let info = requests
        .iter()
        .find(|request| request.subject().starts_with(b"$JS.API.STREAM.INFO."))
        .expect("the stream is asked");
    let body = json!({ "state": { "first_seq": 1, "last_seq": last_seq } }).to_string();
    rig.answer(info, b"", &body);
    let get = rig.only();
    assert_eq!(get.subject(), b"$JS.API.STREAM.MSG.GET.S");
    assert_eq!(text(get.payload()), format!("{{\"seq\":{position}}}"));
    let body = match time {
        Some(time) => json!({ "message": { "subject": "a.b", "seq": position, "time": time } }),
        None => json!({ "error": { "code": 404, "err_code": 10037,
            "description": "no message found" } }),
    };
    rig.answer(&get, b"", &body.to_string());
}

const FIRST_SECOND: &str = "1970-01-01T00:00:01.000000000Z";
const SECOND: u64 = 1_000_000_000;

#[test]
fn an_ordered_consumer_hands_messages_on_without_their_reply_subject() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", None, Flow::default());
    rig.deliver(&made, 1, 4, 1);
    let delivery = &rig.delivered[0];
    assert_eq!((delivery.subscription, delivery.token), (Ticket(ticket), 0));
    assert!(!delivery.redelivered && delivery.message.reply().is_empty());
    assert_eq!(delivery.message.channel(), b"a.b");
}

#[test]
fn a_gap_makes_an_ordered_consumer_anew() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, Flow::default());
    rig.deliver(&first, 1, 4, 1);
    rig.deliver(&first, 1, 6, 3);
    let second = remade(&mut rig, 9);
    assert_ne!(second.name, first.name);
    assert_eq!(second.config["opt_start_seq"], 5);
    // What the first one sends still does not count.
    rig.deliver(&first, 1, 7, 4);
    for (seq, place) in [(5, 1), (6, 2)] {
        rig.deliver(&second, 1, seq, place);
    }
    assert_eq!(rig.payloads(), ["m4", "m5", "m6"]);
}

#[test]
fn a_heartbeat_shows_what_is_missing_and_takes_no_place() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, made) = rig.subscribed("a.*", None, Flow::default());
    let inbox = made.config["deliver_subject"].as_str().expect("text").to_owned();
    rig.deliver(&made, 1, 1, 1);
    rig.published();
    rig.status(inbox.as_bytes(), "100 Idle Heartbeat\r\nNats-Last-Consumer: 1");
    assert!(rig.published().is_empty());
    rig.deliver(&made, 1, 2, 2);
    assert_eq!(rig.payloads(), ["m1", "m2"]);
    rig.status(inbox.as_bytes(), "100 Idle Heartbeat\r\nNats-Last-Consumer: 3");
    assert_eq!(remade(&mut rig, 3).config["opt_start_seq"], 3);
}

#[test]
fn flow_control_is_answered() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, made) = rig.subscribed("a.*", None, Flow::default());
    let inbox = made.config["deliver_subject"].as_str().expect("text").to_owned();
    rig.published();
    let block = b"NATS/1.0 100 FlowControl Request\r\n\r\n";
    let asks = Message::new(inbox.as_bytes(), b"$JS.FC.S.c.1", block, b"");
    rig.down(Down::message(2, false, asks));
    assert_eq!(rig.only().subject(), b"$JS.FC.S.c.1");
    rig.status(
        inbox.as_bytes(),
        "100 Idle Heartbeat\r\nNats-Last-Consumer: 0\r\nNats-Consumer-Stalled: $JS.FC.S.c.2",
    );
    assert_eq!(rig.only().subject(), b"$JS.FC.S.c.2");
}

#[test]
fn an_ordered_consumer_that_is_silent_is_made_anew() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    rig.subscribed("a.*", None, Flow::default());
    rig.published();
    rig.pass(Duration::from_millis(9_999));
    assert!(rig.published().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_eq!(remade(&mut rig, 0).config["opt_start_seq"], 1);
}

#[test]
fn a_new_connection_carries_on_behind_the_last_message() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, Flow::default());
    rig.deliver(&first, 1, 4, 1);
    rig.lose();
    rig.greet();
    // As a server writes what ends in zeros.
    compared(&mut rig, 9, 4, Some("1970-01-01T00:00:00Z"));
    let second = rig.make_consumer(4);
    assert_eq!(second.config["opt_start_seq"], 5);
    assert!(!rig.notes.contains(&Note::Sometimes("a stream had lost its end")));
}

#[test]
fn a_stream_that_lost_its_end_is_carried_on_by_time() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, Flow::default());
    rig.deliver_stored_at(&first, 1, 4, 1, SECOND);
    rig.lose();
    rig.greet();
    let second = remade(&mut rig, 2);
    let start = (&second.config["deliver_policy"], &second.config["opt_start_time"]);
    assert_eq!(start, (&json!("by_start_time"), &json!(FIRST_SECOND)));
    assert!(rig.notes.contains(&Note::Sometimes("a stream had lost its end")));
    // What is stored next has a number that is behind the old place.
    rig.deliver_stored_at(&second, 1, 3, 1, 2 * SECOND);
    assert_eq!(rig.payloads(), ["m4", "m3"]);
}

#[test]
fn numbers_that_were_given_anew_are_not_passed_over() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, Flow::default());
    for seq in 1..=4 {
        rig.deliver_stored_at(&first, 1, seq, seq, SECOND);
    }
    assert_eq!(rig.payloads(), ["m1", "m2", "m3", "m4"]);
    rig.lose();
    rig.greet();
    // The power took 3 and 4, and the stream has grown past them again.
    compared(&mut rig, 9, 4, Some("1970-01-01T00:00:02Z"));
    let second = rig.make_consumer(0);
    assert_eq!(second.config["opt_start_time"], FIRST_SECOND);
    assert!(rig.notes.contains(&Note::Sometimes("a stream had lost its end")));
    // What is left of the old messages was stored at that very moment, and was had.
    for (seq, time) in [(1, SECOND), (2, SECOND), (3, 2 * SECOND), (4, 2 * SECOND)] {
        rig.deliver_stored_at(&second, 1, seq, seq, time);
    }
    assert_eq!(rig.payloads(), ["m3", "m4"]);
    // From here on the new numbers count.
    rig.lose();
    rig.greet();
    compared(&mut rig, 9, 4, Some("1970-01-01T00:00:02Z"));
    assert_eq!(rig.make_consumer(4).config["opt_start_seq"], 5);
}

#[test]
fn where_the_message_at_the_place_is_gone_time_decides() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, Flow::default());
    rig.deliver_stored_at(&first, 1, 4, 1, SECOND);
    rig.lose();
    rig.greet();
    compared(&mut rig, 9, 4, None);
    let second = rig.make_consumer(2);
    assert_eq!(second.config["opt_start_time"], FIRST_SECOND);
    for (seq, place) in [(3, 1), (5, 2)] {
        rig.deliver_stored_at(&second, 1, seq, place, SECOND);
    }
    assert_eq!(rig.payloads(), ["m4", "m5"], "3 came before 4 did");
}

#[test]
fn who_has_had_nothing_yet_carries_on_from_when_it_began() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe("a.*", None, Start::New, Flow::default());
    rig.name_streams(&["S"]);
    let request = rig.only();
    let place = json!({ "consumer_seq": 0, "stream_seq": 7 });
    let body = json!({ "created": "1970-01-01T00:00:01Z", "delivered": place });
    rig.answer(&request, b"", &body.to_string());
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done")]));
    rig.lose();
    rig.greet();
    compared(&mut rig, 9, 7, Some("1970-01-01T00:00:03Z"));
    assert_eq!(rig.make_consumer(5).config["opt_start_time"], FIRST_SECOND);
}

#[test]
fn a_handler_that_never_settles_costs_no_more_with_each_delivery() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    for delivered in 1..=50 {
        rig.deliver(&made, delivered, 3, delivered);
    }
    assert_eq!(rig.client.js.held.of(2).count(), 1);
    // The first delivery may still be the one that is settled.
    rig.published();
    let tokens: Vec<u64> = rig.delivered.iter().map(|delivery| delivery.token).collect();
    rig.settle(ticket, tokens[0], Settle::Ack);
    let ack = rig.published().remove(0);
    assert_eq!(text(ack.subject()), format!("$JS.ACK.S.{}.1.3.1.0.0", made.name));
    let late = rig.settle(ticket, tokens[9], Settle::Ack);
    let refused = "failed: refused: this delivery is settled, or needs no acknowledgement";
    assert!(rig.outcomes().contains(&(late, refused.to_owned())));
}

#[test]
fn pulls_keep_the_window_full_and_no_fuller() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { max_in_flight: Some(4), ..EXPLICIT };
    let (ticket, made) = rig.subscribed("a.*", Some("g"), flow);
    assert_eq!(pull_body(&rig.only())["batch"], 4);
    for seq in 1..=4 {
        rig.deliver(&made, 1, seq, seq);
    }
    assert!(rig.published().is_empty(), "four are in the application's hands");
    let tokens: Vec<u64> = rig.delivered.iter().map(|delivery| delivery.token).collect();
    rig.settle(ticket, tokens[2], Settle::Ack);
    let ack = rig.only();
    assert_eq!(text(ack.subject()), format!("$JS.ACK.S.{}.1.3.3.0.0", made.name));
    assert_eq!(ack.payload(), b"+ACK");
    rig.settle(ticket, tokens[0], Settle::Term);
    let sent = rig.published();
    assert_eq!(sent[0].payload(), b"+TERM");
    assert_eq!(pull_body(&sent[1])["batch"], 2);
    let outcomes = rig.outcomes();
    assert!(outcomes.iter().all(|(_, text)| text == "sent"), "{outcomes:?}");
}

#[test]
fn refusals_wait_as_the_backoff_says() {
    let wait = Duration::from_secs;
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { backoff: &[wait(1), wait(5)], ..EXPLICIT };
    let (ticket, made) = rig.subscribed("a.*", Some("g"), flow);
    for (delivered, delay, body) in [
        (1, None, r#"-NAK {"delay": 1000000000}"#),
        (2, None, r#"-NAK {"delay": 5000000000}"#),
        (7, None, r#"-NAK {"delay": 5000000000}"#),
        (1, Some(wait(3)), r#"-NAK {"delay": 3000000000}"#),
    ] {
        rig.deliver(&made, delivered, 1, 1);
        let delivery = rig.delivered.pop().expect("it came");
        assert_eq!(delivery.redelivered, delivered > 1);
        rig.published();
        rig.settle(ticket, delivery.token, Settle::Nak { delay });
        assert_eq!(text(rig.published()[0].payload()), body);
    }
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (ticket, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    rig.deliver(&made, 1, 1, 1);
    rig.published();
    rig.settle(ticket, 1, Settle::Nak { delay: None });
    assert_eq!(rig.published()[0].payload(), b"-NAK");
}

#[test]
fn working_settles_nothing_and_one_acknowledgement_may_stand_for_all() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { ack: AckPolicy::All, max_in_flight: Some(4), ..EXPLICIT };
    let (ticket, made) = rig.subscribed("a.*", Some("g"), flow);
    for seq in 1..=4 {
        rig.deliver(&made, 1, seq, seq);
    }
    rig.published();
    rig.settle(ticket, 3, Settle::Working);
    assert_eq!(rig.only().payload(), b"+WPI");
    rig.settle(ticket, 3, Settle::Ack);
    let sent = rig.published();
    assert!(sent[..3].iter().all(|message| message.payload() == b"+ACK"), "each by itself");
    assert_eq!(pull_body(&sent[3])["batch"], 3);
    rig.outcomes();
    let late = rig.settle(ticket, 2, Settle::Ack);
    let refused = "failed: refused: this delivery is settled, or needs no acknowledgement";
    assert_eq!(rig.outcomes(), ends(&[(late, refused)]));
}

#[test]
fn an_acknowledgement_may_wait_for_the_server() {
    let mut config = JetStreamClientConfig::default();
    config.consumer.double_ack = true;
    let mut rig = Rig::new(config);
    let (ticket, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    for seq in 1..=2 {
        rig.deliver(&made, 1, seq, seq);
    }
    rig.published();
    let first = rig.settle(ticket, 1, Settle::Ack);
    let request = rig.only();
    assert_eq!(rig.outcomes(), []);
    rig.answer(&request, b"", "");
    assert_eq!(rig.outcomes(), ends(&[(first, "done")]));
    let second = rig.settle(ticket, 2, Settle::Ack);
    let request = rig.only();
    rig.answer_unheard(&request);
    assert_eq!(rig.outcomes(), ends(&[(second, "failed: refused: the consumer is gone")]));
}

#[test]
fn pulls_that_end_are_made_again() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, made) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    let pull = rig.only();
    rig.deliver(&made, 1, 1, 1);
    rig.status(pull.reply(), "408 Request Timeout\r\nNats-Pending-Messages: 499");
    let pull = rig.only();
    assert_eq!(pull_body(&pull)["batch"], 500);
    // Asking at once would not help here.
    rig.status(pull.reply(), "409 Exceeded MaxWaiting");
    assert!(rig.published().is_empty());
    rig.pass(Duration::from_millis(250));
    let pull = rig.only();
    assert_eq!(pull_body(&pull)["batch"], 500);
    // A silent one is given up after two heartbeats.
    rig.pass(Duration::from_secs(29));
    rig.status(pull.reply(), "100 Idle Heartbeat");
    rig.pass(Duration::from_secs(29));
    assert!(rig.published().is_empty());
    rig.pass(Duration::from_secs(1));
    assert_eq!(pull_body(&rig.only())["batch"], 500);
    // And a new connection asks anew: the inbox was nobody's meanwhile.
    rig.lose();
    rig.greet();
    assert_eq!(pull_body(&rig.only())["batch"], 500);
}

#[test]
fn a_consumer_that_is_gone_is_made_again() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", None, EXPLICIT);
    let pull = rig.only();
    for seq in 3..=5 {
        rig.deliver(&first, 1, seq, seq - 2);
    }
    rig.settle(0, 1, Settle::Ack);
    rig.published();
    rig.answer_gone(&pull);
    rig.pass(Duration::from_millis(250));
    let second = remade(&mut rig, 9);
    assert_ne!(second.name, first.name);
    // What is not acknowledged comes again.
    assert_eq!(second.config["opt_start_seq"], 4);
    assert_eq!(pull_body(&rig.only())["batch"], 500);
}

impl Rig {
    fn answer_gone(&mut self, pull: &Message) {
        let block = headers::no_responders(pull.subject());
        self.down(Down::message(2, false, Message::new(pull.reply(), b"", &block, b"")));
    }
}

#[test]
fn a_durable_consumer_is_made_again_under_its_name() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let (_, first) = rig.subscribed("a.*", Some("g"), EXPLICIT);
    let pull = rig.only();
    rig.deliver(&first, 1, 3, 1);
    rig.answer_gone(&pull);
    rig.pass(Duration::from_millis(250));
    let requests = rig.published();
    rig.answer(&requests[0], b"", r#"{"state":{"last_seq":9}}"#);
    let request = rig.only();
    let second = Made::new(&request);
    assert_eq!((&second.name, &second.config), (&first.name, &first.config));
    // Another member was faster, and began elsewhere.
    let error = json!({ "error": { "code": 400, "err_code": 10012, "description": "" } });
    rig.answer(&request, b"", &error.to_string());
    assert_eq!(pull_body(&rig.only())["batch"], 500);
}

#[test]
fn only_fetches_ask_where_nothing_may_be_in_flight() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { max_in_flight: Some(0), ..Flow::default() };
    let (ticket, made) = rig.subscribed("a.*", None, flow);
    assert!(rig.published().is_empty());
    let fetch = |max| Op::Fetch { subscription: Ticket(ticket), max };
    let first = rig.submit(&fetch(2));
    assert_eq!(pull_body(&rig.only())["batch"], 2);
    for seq in 1..=2 {
        rig.deliver(&made, 1, seq, seq);
    }
    assert_eq!(rig.outcomes(), ends(&[(first, "done")]));
    let second = rig.submit(&fetch(5));
    let pull = rig.only();
    rig.deliver(&made, 1, 3, 3);
    rig.status(pull.reply(), "408 Request Timeout\r\nNats-Pending-Messages: 4");
    assert_eq!(rig.outcomes(), ends(&[(second, "done")]));
    assert_eq!(rig.payloads(), ["m1", "m2", "m3"]);
    assert!(rig.published().is_empty());
}

#[test]
fn what_lapsed_does_not_hold_the_window() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { max_in_flight: Some(1), ..EXPLICIT };
    let (_, made) = rig.subscribed("a.*", Some("g"), flow);
    rig.published();
    rig.deliver(&made, 1, 1, 1);
    assert!(rig.published().is_empty());
    // The application never settles it, and the server gives it to another.
    rig.pass(Duration::from_secs(61));
    assert_eq!(pull_body(&rig.published()[0])["batch"], 1);
}
