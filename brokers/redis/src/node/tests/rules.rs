//! What commands answer and who gets what.

use broker_contract::{ConnId, FrameError, Identity, Input};

use super::{Bed, parse};
use crate::frame::{Up, text, texts};

#[test]
fn a_message_reaches_exact_subscribers_then_patterns_in_their_order() {
    let mut bed = Bed::open(4);
    bed.run(1, "PSUBSCRIBE n*");
    bed.run(2, "PSUBSCRIBE news.*");
    bed.run(3, "SUBSCRIBE news.art");
    bed.run(1, "PSUBSCRIBE *");
    bed.run(1, "SUBSCRIBE news.art");
    assert_eq!(
        bed.run(0, "PUBLISH news.art x"),
        [
            "3< message news.art x",
            "1< message news.art x",
            "1< pmessage n* news.art x",
            "2< pmessage news.* news.art x",
            "1< pmessage * news.art x",
            "0< :5",
        ]
    );
    assert_eq!(
        bed.run(0, "PUBLISH nobody x"),
        ["1< pmessage n* nobody x", "1< pmessage * nobody x", "0< :2"]
    );
}

#[test]
fn confirmations_count_channels_plus_patterns_and_shards_apart() {
    let mut bed = Bed::open(1);
    assert_eq!(
        bed.run(0, "SUBSCRIBE a b a"),
        ["0< subscribe a 1", "0< subscribe b 2", "0< subscribe a 2"]
    );
    assert_eq!(bed.run(0, "PSUBSCRIBE a*"), ["0< psubscribe a* 3"]);
    assert_eq!(bed.run(0, "SSUBSCRIBE a"), ["0< ssubscribe a 1"]);
    assert_eq!(bed.run(0, "UNSUBSCRIBE zz"), ["0< unsubscribe zz 3"]);
    assert_eq!(bed.run(0, "UNSUBSCRIBE"), ["0< unsubscribe a 2", "0< unsubscribe b 1"]);
    assert_eq!(bed.run(0, "UNSUBSCRIBE"), ["0< unsubscribe (nil) 1"]);
    assert_eq!(bed.run(0, "PUNSUBSCRIBE"), ["0< punsubscribe a* 0"]);
    assert_eq!(bed.run(0, "SUNSUBSCRIBE zz"), ["0< sunsubscribe zz 1"]);
    assert_eq!(bed.run(0, "SUNSUBSCRIBE"), ["0< sunsubscribe a 0"]);
    assert_eq!(bed.run(0, "SUNSUBSCRIBE"), ["0< sunsubscribe (nil) 0"]);
}

#[test]
fn sharded_channels_are_a_namespace_without_patterns() {
    let mut bed = Bed::open(3);
    bed.run(1, "SSUBSCRIBE a");
    bed.run(2, "SUBSCRIBE a");
    bed.run(2, "PSUBSCRIBE *");
    assert_eq!(bed.run(0, "SPUBLISH a x"), ["1< smessage a x", "0< :1"]);
    assert_eq!(bed.run(0, "PUBLISH a x"), ["2< message a x", "2< pmessage * a x", "0< :2"]);
    assert_eq!(bed.run(0, "SPUBLISH b x"), ["0< :0"]);
}

#[test]
fn a_subscribed_resp2_connection_may_do_little_else() {
    let mut bed = Bed::open(1);
    bed.run(0, "SSUBSCRIBE a");
    let refused = |name: &str| {
        format!(
            "0< -ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT \
             / RESET are allowed in this context"
        )
    };
    assert_eq!(bed.run(0, "PUBLISH a b"), [refused("publish")]);
    assert_eq!(bed.run(0, "HELLO 3"), [refused("hello")]);
    assert_eq!(bed.send(0, parse("CLIENT ID")), [refused("client|id")]);
    assert_eq!(
        bed.run(0, "GET x"),
        ["0< -ERR unknown command 'GET', with args beginning with: 'x' "]
    );
    assert_eq!(bed.run(0, "PING"), ["0< ['pong' '']"]);
    assert_eq!(bed.run(0, "PING x"), ["0< ['pong' 'x']"]);
    bed.run(0, "SUNSUBSCRIBE");
    assert_eq!(bed.run(0, "PUBLISH a b"), ["0< :0"]);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    assert_eq!(bed.run(0, "PING x"), ["0< 'x'"]);
}

#[test]
fn a_resp3_connection_may_do_anything_and_its_own_push_follows_the_reply() {
    let mut bed = Bed::open(2);
    bed.hello3(0);
    assert_eq!(bed.run(0, "SUBSCRIBE a"), ["0< >subscribe a 1"]);
    bed.run(0, "PSUBSCRIBE ?");
    bed.run(1, "SUBSCRIBE a");
    assert_eq!(
        bed.run(0, "PUBLISH a x"),
        ["1< message a x", "0< :3", "0< >message a x", "0< >pmessage ? a x"]
    );
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    bed.run(0, "PUNSUBSCRIBE");
    bed.run(0, "UNSUBSCRIBE");
    assert_eq!(bed.run(0, "UNSUBSCRIBE"), ["0< >unsubscribe (nil) 0"]);
}

#[test]
fn hello_switches_the_version_and_says_who_answers() {
    let mut bed = Bed::open(1);
    let answer = |proto: u8| {
        format!(
            "0< {{{proto} 'server' 'redis', 'version' '7.0.15', 'proto' :{proto}, 'id' :1, 'mode' \
             'standalone', 'role' 'master', 'modules' []}}"
        )
    };
    assert_eq!(bed.run(0, "HELLO 3"), [answer(3)]);
    assert_eq!(bed.run(0, "HELLO"), [answer(3)]);
    assert_eq!(bed.run(0, "HELLO 2 AUTH default any SETNAME me"), [answer(2)]);
    assert_eq!(bed.send(0, parse("CLIENT GETNAME")), ["0< 'me'"]);
    assert_eq!(bed.run(0, "HELLO 4"), ["0< -NOPROTO unsupported protocol version"]);
    assert_eq!(
        bed.run(0, "HELLO x"),
        ["0< -ERR Protocol version is not an integer or out of range"]
    );
    assert_eq!(bed.run(0, "HELLO 3 FOO"), ["0< -ERR Syntax error in HELLO option 'FOO'"]);
    assert_eq!(
        bed.run(0, "HELLO 3 AUTH x y"),
        ["0< -WRONGPASS invalid username-password pair or user is disabled."]
    );
    let hello = Up::Hello(texts(["3", "SETNAME", "a b"]));
    let refused = "0< -ERR Client names cannot contain spaces, newlines or special characters.";
    assert_eq!(bed.send(0, hello), [refused]);
    // The version is as it was; an option before a mistake has taken effect.
    assert_eq!(bed.run(0, "HELLO"), [answer(2)]);
    bed.run(0, "HELLO 3 SETNAME you FOO");
    assert_eq!(bed.run(0, "HELLO"), [answer(2)]);
    assert_eq!(bed.send(0, parse("CLIENT GETNAME")), ["0< 'you'"]);
}

#[test]
fn connection_commands_answer_as_the_original() {
    let mut bed = Bed::open(1);
    let get_name = || parse("CLIENT GETNAME");
    let set_name = |name: &str| Up::from_args(&["CLIENT", "SETNAME", name]).expect("words");
    assert_eq!(bed.send(0, get_name()), ["0< (nil 2)"]);
    assert_eq!(bed.send(0, set_name("me")), ["0< +OK"]);
    assert_eq!(bed.send(0, get_name()), ["0< 'me'"]);
    assert_eq!(bed.send(0, set_name("")), ["0< +OK"]);
    assert_eq!(bed.send(0, get_name()), ["0< (nil 2)"]);
    assert_eq!(bed.send(0, parse("CLIENT ID")), ["0< :1"]);
    assert_eq!(bed.run(0, "ECHO hi"), ["0< 'hi'"]);
    assert_eq!(bed.run(0, "SELECT 15"), ["0< +OK"]);
    assert_eq!(bed.run(0, "SELECT 16"), ["0< -ERR DB index is out of range"]);
    assert_eq!(bed.run(0, "SELECT x"), ["0< -ERR value is not an integer or out of range"]);
    assert_eq!(bed.run(0, "SELECT 01"), ["0< -ERR value is not an integer or out of range"]);
}

#[test]
fn reset_and_quit() {
    let mut bed = Bed::open(2);
    bed.hello3(0);
    bed.run(0, "SUBSCRIBE a b");
    bed.send(0, parse("CLIENT SETNAME me"));
    assert_eq!(bed.run(0, "RESET"), ["0< +RESET"]);
    assert_eq!(bed.send(0, parse("CLIENT GETNAME")), ["0< (nil 2)"]);
    assert_eq!(bed.run(1, "PUBLISH a x"), ["1< :0"]);
    bed.run(0, "SUBSCRIBE a");
    assert_eq!(bed.run(0, "QUIT"), ["0< +OK", "0 closed: Requested"]);
    assert_eq!(bed.run(1, "PUBLISH a x"), ["1< :0"]);
    // Commands behind a QUIT have nobody to answer to.
    assert_eq!(bed.run(0, "PING"), [] as [&str; 0]);
    // The number is used again by somebody else, who has another id.
    bed.connect(0);
    assert_eq!(bed.send(0, parse("CLIENT ID")), ["0< :3"]);
}

#[test]
fn pubsub_shows_what_is_subscribed_to() {
    let mut bed = Bed::open(3);
    bed.run(1, "SUBSCRIBE news.a news.b other");
    bed.run(2, "SUBSCRIBE news.a");
    bed.run(2, "PSUBSCRIBE a* b*");
    bed.run(1, "PSUBSCRIBE a*");
    bed.run(1, "SSUBSCRIBE s");
    let mut ask = |query: &str| bed.run(0, &format!("PUBSUB {query}"));
    assert_eq!(ask("CHANNELS"), ["0< ['news.a' 'news.b' 'other']"]);
    assert_eq!(ask("CHANNELS news.?"), ["0< ['news.a' 'news.b']"]);
    assert_eq!(ask("NUMSUB news.a x"), ["0< ['news.a' :2 'x' :0]"]);
    assert_eq!(ask("NUMSUB"), ["0< []"]);
    assert_eq!(ask("NUMPAT"), ["0< :2"]);
    assert_eq!(ask("SHARDCHANNELS"), ["0< ['s']"]);
    assert_eq!(ask("SHARDNUMSUB s"), ["0< ['s' :1]"]);
    assert!(ask("HELP")[0].contains("+numpat +Counts distinct patterns."));
}

#[test]
fn unknown_commands_and_wrong_arguments_get_the_original_errors() {
    let mut bed = Bed::open(1);
    let cases = [
        ("foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' "),
        ("FOO", "-ERR unknown command 'FOO', with args beginning with: "),
        ("PUBLISH a", "-ERR wrong number of arguments for 'publish' command"),
        ("SUBSCRIBE", "-ERR wrong number of arguments for 'subscribe' command"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("pubsub", "-ERR wrong number of arguments for 'pubsub' command"),
        ("pubsub foo", "-ERR unknown subcommand 'foo'. Try PUBSUB HELP."),
        ("pubsub numpat x", "-ERR wrong number of arguments for 'pubsub|numpat' command"),
        (
            "pubsub channels a b",
            "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
        ),
        ("client id x", "-ERR wrong number of arguments for 'client|id' command"),
        ("client foo x", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
    ];
    for (line, expected) in cases {
        assert_eq!(bed.run(0, line), [format!("0< {expected}")], "{line}");
    }
    let z = "z".repeat(50);
    let long = format!("foo {z} {z} {z} {z}");
    let expected = format!(
        "0< -ERR unknown command 'foo', with args beginning with: '{z}' '{z}' '{}' ",
        "z".repeat(22)
    );
    assert_eq!(bed.run(0, &long), [expected]);
    let lines = Up::Other { name: text("foo"), args: texts(["a\r\nb"]) };
    let expected = "0< -ERR unknown command 'foo', with args beginning with: 'a  b' ";
    assert_eq!(bed.send(0, lines), [expected]);
}

#[test]
fn bytes_that_are_no_frame_are_answered_and_the_connection_closed() {
    let mut bed = Bed::open(2);
    bed.run(0, "SUBSCRIBE a");
    let error = FrameError("invalid bulk length".to_owned());
    assert_eq!(
        bed.input(Input::Malformed { conn: ConnId(0), error }),
        ["0< -ERR Protocol error: invalid bulk length", "0 closed: Protocol error"]
    );
    assert_eq!(bed.run(1, "PUBLISH a x"), ["1< :0"]);
}

#[test]
fn a_message_that_nobody_gets_is_named() {
    let mut bed = Bed::open(2);
    let identity =
        Identity { producer: 1, sequence: 2, number: 42, key: 3, intended_ns: 4, lag_ns: 5 };
    let mut payload = [0; 40];
    identity.stamp(&mut payload);
    assert_eq!(
        bed.send(0, Up::publish(b"a", &payload)),
        ["dropped no_subscriber: Some(42)", "0< :0"]
    );
    bed.run(1, "SUBSCRIBE a");
    let effects = bed.send(0, Up::publish(b"a", &payload));
    assert_eq!((effects.len(), effects[1].as_str()), (2, "0< :1"));
}

#[test]
fn an_empty_channel_is_matched_by_no_pattern_but_the_empty_one() {
    let mut bed = Bed::open(2);
    bed.run(1, "PSUBSCRIBE *");
    assert_eq!(bed.send(0, Up::publish(b"", b"x")), ["0< :0"]);
}
