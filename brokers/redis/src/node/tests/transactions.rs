//! MULTI, EXEC, DISCARD, WATCH.

use broker_contract::{ConnId, Input};

use super::{Bed, RedisConfig};

#[test]
fn commands_wait_for_exec_and_answer_in_order() {
    let mut bed = Bed::open(2);
    bed.run(1, "SUBSCRIBE a");
    assert_eq!(bed.run(0, "MULTI"), ["0< +OK"]);
    assert_eq!(bed.run(0, "PUBLISH a x"), ["0< +QUEUED"]);
    assert_eq!(bed.run(0, "PING"), ["0< +QUEUED"]);
    assert_eq!(bed.run(0, "SELECT 99"), ["0< +QUEUED"]);
    assert_eq!(
        bed.run(0, "EXEC"),
        ["0< answers 3", "1< message a x", "0< :1", "0< +PONG", "0< -ERR DB index is out of range"]
    );
    assert_eq!(bed.run(0, "EXEC"), ["0< -ERR EXEC without MULTI"]);
    bed.run(0, "MULTI");
    assert_eq!(bed.run(0, "EXEC"), ["0< answers 0"]);
    bed.run(0, "MULTI");
    bed.run(0, "SSUBSCRIBE a");
    let refused = "0< -ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
    assert_eq!(bed.run(0, "EXEC"), ["0< answers 1", refused]);
}

#[test]
fn what_a_transaction_publishes_to_itself_follows_its_answer() {
    let mut bed = Bed::open(1);
    for line in ["MULTI", "SUBSCRIBE a b", "PUBLISH a x", "UNSUBSCRIBE", "PING"] {
        bed.run(0, line);
    }
    assert_eq!(
        bed.run(0, "EXEC"),
        [
            "0< answers 4",
            "0< subscribe a 1",
            "0< subscribe b 2",
            "0< :1",
            "0< unsubscribe a 1",
            "0< unsubscribe b 0",
            "0< +PONG",
            "0< message a x",
        ]
    );
}

#[test]
fn a_refused_command_spoils_its_transaction() {
    let mut bed = Bed::open(1);
    let abort = ["0< -EXECABORT Transaction discarded because of previous errors."];
    for bad in ["FOO", "PUBLISH a", "CLIENT FOO"] {
        bed.run(0, "MULTI");
        assert!(bed.run(0, bad)[0].starts_with("0< -ERR"));
        assert_eq!(bed.run(0, "PING"), ["0< +QUEUED"]);
        assert_eq!(bed.run(0, "EXEC"), abort, "{bad}");
        assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    }
    // These are wrong, but do not stop it.
    bed.run(0, "MULTI");
    assert_eq!(bed.run(0, "PING a b"), ["0< +QUEUED"]);
    let wrong = "0< -ERR wrong number of arguments for 'ping' command";
    assert_eq!(bed.run(0, "EXEC"), ["0< answers 1", wrong]);
    bed.run(0, "MULTI");
    assert_eq!(bed.run(0, "MULTI"), ["0< -ERR MULTI calls can not be nested"]);
    assert_eq!(bed.run(0, "WATCH a"), ["0< -ERR WATCH inside MULTI is not allowed"]);
    assert_eq!(bed.run(0, "EXEC"), ["0< answers 0"]);
    bed.run(0, "MULTI");
    assert_eq!(
        bed.run(0, "EXEC x"),
        ["0< -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' \
          command"]
    );
    assert_eq!(bed.run(0, "EXEC"), ["0< -ERR EXEC without MULTI"]);
}

#[test]
fn discard_reset_and_the_end_of_the_connection_forget_it() {
    let mut bed = Bed::open(1);
    assert_eq!(bed.run(0, "DISCARD"), ["0< -ERR DISCARD without MULTI"]);
    bed.run(0, "MULTI");
    bed.run(0, "PUBLISH");
    assert_eq!(bed.run(0, "DISCARD"), ["0< +OK"]);
    bed.run(0, "MULTI");
    assert_eq!(bed.run(0, "RESET"), ["0< +RESET"]);
    assert_eq!(bed.run(0, "EXEC"), ["0< -ERR EXEC without MULTI"]);
    bed.run(0, "MULTI");
    bed.input(Input::Closed { conn: ConnId(0) });
    bed.connect(0);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    assert_eq!(bed.run(0, "WATCH a"), ["0< +OK"]);
    assert_eq!(bed.run(0, "UNWATCH"), ["0< +OK"]);
    bed.run(0, "MULTI");
    assert_eq!(bed.run(0, "QUIT"), ["0< +OK", "0 closed: Requested"]);
}

#[test]
fn a_transaction_without_end_is_closed() {
    let config = RedisConfig { query_buffer_bytes: 100, ..RedisConfig::default() };
    let mut bed = Bed::new(config);
    bed.connect(0);
    bed.run(0, "MULTI");
    for _ in 0..7 {
        assert_eq!(bed.run(0, "PING"), ["0< +QUEUED"]);
    }
    assert_eq!(bed.run(0, "PING"), ["0 closed: a transaction is too long"]);
}

#[test]
fn whoever_kills_itself_in_a_transaction_gets_its_answer() {
    let mut bed = Bed::open(2);
    bed.run(0, "MULTI");
    bed.run(0, "CLIENT KILL ID 1 SKIPME no");
    bed.run(0, "CLIENT KILL ID 2");
    bed.run(0, "PING");
    assert_eq!(
        bed.run(0, "EXEC"),
        ["0< answers 3", "0< :1", "1 closed: Killed", "0< :1", "0< +PONG", "0 closed: Requested"]
    );
}
