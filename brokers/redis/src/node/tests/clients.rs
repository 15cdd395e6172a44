//! CLIENT: names, lists, kills, replies that are not wanted.

use std::time::Duration;

use broker_contract::{ConnId, Input, Origin, Time};

use super::Bed;

fn from(bed: &mut Bed, conn: u32, address: &str) {
    let origin = Origin { address: Some(address.into()), ..Origin::default() };
    let effects = bed.input(Input::Opened { conn: ConnId(conn), origin });
    assert_eq!(effects, [] as [&str; 0]);
}

#[test]
fn a_client_that_wants_no_replies_gets_pushes_all_the_same() {
    let mut bed = Bed::open(1);
    let nothing = [] as [&str; 0];
    assert_eq!(bed.run(0, "CLIENT REPLY OFF"), nothing);
    assert_eq!(bed.run(0, "SUBSCRIBE a"), ["0< subscribe a 1"]);
    assert_eq!(bed.run(0, "PING"), nothing);
    assert_eq!(bed.run(0, "FOO"), nothing);
    assert_eq!(bed.run(0, "UNSUBSCRIBE a"), ["0< unsubscribe a 0"]);
    assert_eq!(bed.run(0, "PUBLISH a b"), nothing);
    assert_eq!(bed.run(0, "CLIENT REPLY SKIP"), nothing);
    assert_eq!(bed.run(0, "PING"), nothing);
    assert_eq!(bed.run(0, "CLIENT REPLY ON"), ["0< +OK"]);
    assert_eq!(bed.run(0, "CLIENT REPLY foo"), ["0< -ERR syntax error"]);
    bed.hello3(0);
    bed.run(0, "SUBSCRIBE a");
    bed.run(0, "CLIENT REPLY OFF");
    assert_eq!(bed.run(0, "PUBLISH a x"), ["0< >message a x"]);
    assert_eq!(bed.run(0, "RESET"), ["0< +RESET"]);
}

#[test]
fn a_skip_is_for_the_next_command_alone() {
    let mut bed = Bed::open(1);
    let nothing = [] as [&str; 0];
    for skipped in ["PING", "FOO", "PUBLISH a b"] {
        assert_eq!(bed.run(0, "CLIENT REPLY SKIP"), nothing);
        assert_eq!(bed.run(0, skipped), nothing);
        assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    }
    // In a transaction it is for the command behind EXEC.
    for line in ["MULTI", "PING", "CLIENT REPLY SKIP", "PING"] {
        bed.run(0, line);
    }
    assert_eq!(bed.run(0, "EXEC"), ["0< answers 3", "0< +PONG", "0< +PONG"]);
    assert_eq!(bed.run(0, "PING"), nothing);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    bed.run(0, "CLIENT REPLY SKIP");
    assert_eq!(bed.run(0, "CLIENT REPLY SKIP"), nothing);
    assert_eq!(bed.run(0, "PING"), nothing);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    bed.run(0, "CLIENT REPLY SKIP");
    assert_eq!(bed.run(0, "RESET"), nothing, "even this one");
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
}

#[test]
fn a_connection_is_described_in_a_line() {
    let mut bed = Bed::open(0);
    from(&mut bed, 0, "127.0.0.1:5000");
    bed.now = Time::ZERO + Duration::from_secs(7);
    bed.run(0, "CLIENT SETNAME me");
    bed.run(0, "CLIENT SETINFO LIB-NAME redis-py");
    bed.run(0, "CLIENT SETINFO lib-ver 5.0");
    bed.run(0, "CLIENT NO-EVICT on");
    bed.run(0, "SELECT 3");
    bed.run(0, "PUBLISH a b");
    bed.now = Time::ZERO + Duration::from_secs(9);
    let line = "id=1 addr=127.0.0.1:5000 laddr=?:0 fd=-1 name=me age=9 idle=0 flags=e db=3 sub=0 \
                psub=0 ssub=0 multi=-1 omem=29 events=r cmd=client|info user=default redir=-1 \
                resp=2 lib-name=redis-py lib-ver=5.0";
    assert_eq!(bed.run(0, "CLIENT INFO"), [format!("0< '{line}\n'")]);
    bed.run(0, "CLIENT NO-EVICT off");
    bed.hello3(0);
    bed.run(0, "SUBSCRIBE a b");
    bed.run(0, "PSUBSCRIBE *");
    bed.run(0, "SSUBSCRIBE s");
    bed.run(0, "MULTI");
    bed.run(0, "PING");
    bed.run(0, "CLIENT INFO");
    let line = bed.run(0, "EXEC").join(" ");
    assert!(line.contains("flags=Px db=3 sub=2 psub=1 ssub=1 multi=2"), "{line}");
    assert!(line.contains("cmd=exec") && line.contains("resp=3"), "{line}");
}

#[test]
fn lists_are_filtered() {
    let mut bed = Bed::open(3);
    bed.run(1, "SUBSCRIBE a");
    let ids = |lines: Vec<String>| -> Vec<String> {
        lines[0]
            .split(['\n', '\''])
            .filter_map(|line| line.strip_prefix("id="))
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(ids(bed.run(0, "CLIENT LIST")), ["1", "2", "3"]);
    assert_eq!(ids(bed.run(0, "CLIENT LIST TYPE pubsub")), ["2"]);
    assert_eq!(ids(bed.run(0, "CLIENT LIST TYPE NORMAL")), ["1", "3"]);
    assert_eq!(bed.run(0, "CLIENT LIST TYPE master"), ["0< ''"]);
    assert_eq!(ids(bed.run(0, "CLIENT LIST ID 3 99 1")), ["3", "1"], "as named");
    assert_eq!(ids(bed.run(0, "CLIENT LIST ID -1 2 2")), ["2", "2"]);
    assert_eq!(bed.run(0, "CLIENT LIST TYPE foo"), ["0< -ERR Unknown client type 'foo'"]);
    assert_eq!(bed.run(0, "CLIENT LIST ID 1 x"), ["0< -ERR Invalid client ID"]);
    for bad in ["CLIENT LIST FOO", "CLIENT LIST ID", "CLIENT LIST TYPE normal x"] {
        assert_eq!(bed.run(0, bad), ["0< -ERR syntax error"]);
    }
}

#[test]
fn lists_are_in_the_order_of_arrival() {
    let mut bed = Bed::open(3);
    bed.input(Input::Closed { conn: ConnId(0) });
    from(&mut bed, 0, "10.0.0.1:1");
    let list = bed.run(1, "CLIENT LIST").join("");
    let places: Vec<_> = ["id=2 ", "id=3 ", "id=4 "].map(|id| list.find(id)).into();
    assert!(places.is_sorted() && places[0].is_some(), "{list}");
    bed.run(0, "FOO");
    assert!(bed.run(1, "CLIENT LIST ID 4")[0].contains("cmd=NULL"), "no command, no name");
}

#[test]
fn kills_take_every_filter() {
    let mut bed = Bed::open(0);
    from(&mut bed, 0, "10.0.0.1:1");
    from(&mut bed, 1, "10.0.0.1:2");
    from(&mut bed, 2, "10.0.0.1:3");
    bed.run(2, "SUBSCRIBE a");
    let errors = [
        ("foo", "No such client"),
        ("ID x", "client-id should be greater than 0"),
        ("ID 0", "client-id should be greater than 0"),
        ("TYPE foo", "Unknown client type 'foo'"),
        ("USER foo", "No such user 'foo'"),
        ("FOO bar", "syntax error"),
        ("ID 5 SKIPME", "syntax error"),
        ("ID x SKIPME", "client-id should be greater than 0"),
        ("ADDR a SKIPME maybe", "syntax error"),
    ];
    for (filters, error) in errors {
        assert_eq!(bed.run(0, &format!("CLIENT KILL {filters}")), [format!("0< -ERR {error}")]);
    }
    assert_eq!(bed.run(0, "CLIENT KILL ID 999"), ["0< :0"]);
    assert_eq!(bed.run(0, "CLIENT KILL ID 1"), ["0< :0"], "oneself is spared");
    assert_eq!(bed.run(0, "CLIENT KILL LADDR 10.0.0.1:2"), ["0< :0"]);
    assert_eq!(bed.run(0, "CLIENT KILL TYPE pubsub ID 2"), ["0< :0"], "every filter has to fit");
    assert_eq!(
        bed.run(0, "CLIENT KILL ADDR 10.0.0.1:2 USER default"),
        ["1 closed: Killed", "0< :1"]
    );
    assert_eq!(bed.run(0, "CLIENT KILL TYPE pubsub"), ["2 closed: Killed", "0< :1"]);
    assert_eq!(bed.run(0, "PUBLISH a x"), ["0< :0"]);
    assert_eq!(bed.run(0, "CLIENT KILL 10.0.0.1:1"), ["0< +OK", "0 closed: Requested"]);
}

#[test]
fn what_a_library_says_about_itself_is_checked() {
    let mut bed = Bed::open(1);
    assert_eq!(bed.run(0, "CLIENT SETINFO foo x"), ["0< -ERR Unrecognized option 'foo'"]);
    assert_eq!(
        bed.send(0, crate::Up::from_args(&["CLIENT", "SETINFO", "lib-ver", "a b"]).expect("words")),
        ["0< -ERR lib-ver cannot contain spaces, newlines or special characters."]
    );
    assert_eq!(bed.run(0, "CLIENT NO-EVICT maybe"), ["0< -ERR syntax error"]);
    assert_eq!(bed.run(0, "CLIENT NO-TOUCH on"), ["0< +OK"]);
}
