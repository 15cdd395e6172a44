//! AUTH, HELLO AUTH, requirepass, ACL.

use broker_contract::{
    Boot, BootError, Broker as _, Effects, MemoryDisk, NodeId, SeedStream, Time,
};

use super::{Bed, RedisConfig};
use crate::node::Redis;

const NOAUTH: [&str; 1] = ["0< -NOAUTH Authentication required."];
const WRONGPASS: [&str; 1] = ["0< -WRONGPASS invalid username-password pair or user is disabled."];

fn no_channel(conn: u32) -> [String; 1] {
    let why = "this user has no permissions to access one of the channels used as arguments";
    [format!("{conn}< -NOPERM {why}")]
}

fn no_command(conn: u32, name: &str) -> [String; 1] {
    [format!("{conn}< -NOPERM this user has no permissions to run the '{name}' command")]
}

fn locked() -> Bed {
    let config = RedisConfig { requirepass: "sekret".to_owned(), ..RedisConfig::default() };
    let mut bed = Bed::new(config);
    bed.connect(0);
    bed
}

#[test]
fn without_the_password_nothing_runs() {
    let mut bed = locked();
    for line in ["PING", "SUBSCRIBE a", "PUBLISH a b", "MULTI", "WATCH a"] {
        assert_eq!(bed.run(0, line), NOAUTH);
    }
    // What is wrong is told to everybody.
    assert_eq!(bed.run(0, "PUBLISH"), ["0< -ERR wrong number of arguments for 'publish' command"]);
    assert!(
        bed.run(0, "HELLO 3")[0].starts_with("0< -NOAUTH HELLO must be called with the client")
    );
    assert_eq!(bed.run(0, "HELLO 3 AUTH default bad"), WRONGPASS);
    assert_eq!(bed.run(0, "PING"), NOAUTH);
    assert_eq!(bed.run(0, "AUTH bad"), WRONGPASS);
    assert_eq!(bed.run(0, "AUTH default bad"), WRONGPASS);
    assert_eq!(bed.run(0, "AUTH a b c"), ["0< -ERR syntax error"]);
    assert_eq!(bed.run(0, "AUTH sekret"), ["0< +OK"]);
    assert_eq!(bed.run(0, "PUBLISH a b"), ["0< :0"]);
    assert_eq!(bed.run(0, "AUTH bad"), WRONGPASS);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"], "it stays who it is");
    assert_eq!(bed.run(0, "RESET"), ["0< +RESET"]);
    assert_eq!(bed.run(0, "PING"), NOAUTH);
    assert!(bed.run(0, "HELLO 3 AUTH default sekret SETNAME me")[0].contains("'proto' :3"));
    assert_eq!(bed.run(0, "CLIENT GETNAME"), ["0< 'me'"]);
    assert_eq!(bed.run(0, "QUIT"), ["0< +OK", "0 closed: Requested"]);
    let trust = [false, true, false, true].map(|is_proven| (0, is_proven));
    assert_eq!(bed.trust, trust, "a driver hears of each change, once");
}

#[test]
fn a_password_that_is_set_later_is_for_those_who_come_later() {
    let mut bed = Bed::open(1);
    assert_eq!(
        bed.run(0, "AUTH x"),
        ["0< -ERR AUTH <password> called without any password configured for the default user. \
          Are you sure your configuration is correct?"]
    );
    assert_eq!(bed.run(0, "CONFIG SET requirepass sekret"), ["0< +OK"]);
    assert_eq!(bed.run(0, "PING"), ["0< +PONG"]);
    bed.connect(1);
    assert_eq!(bed.run(1, "PING"), ["1< -NOAUTH Authentication required."]);
    let hash = "bb757689c39373a6cac9ef6ba55616c6249d7500ca4d443f1130c4766453a412";
    assert_eq!(bed.run(0, "ACL LIST"), [format!("0< ['user default on #{hash} ~* &* +@all']")]);
    assert_eq!(bed.run(0, "CONFIG GET requirepass"), ["0< {2 'requirepass' 'sekret'}"]);
    assert_eq!(bed.run(0, "CONFIG SET requirepass ''"), ["0< +OK"]);
    assert_eq!(bed.run(1, "PING"), ["1< +PONG"]);
    assert_eq!(bed.run(0, "ACL LIST"), ["0< ['user default on nopass ~* &* +@all']"]);
}

#[test]
fn a_user_may_do_what_its_rules_say() {
    let mut bed = Bed::open(2);
    let rules = "on >pw resetchannels &news.* -@all +@pubsub +ping";
    assert_eq!(bed.run(0, &format!("ACL SETUSER b {rules}")), ["0< +OK"]);
    assert_eq!(bed.run(1, "AUTH b pw"), ["1< +OK"]);
    assert_eq!(bed.run(1, "ACL WHOAMI"), no_command(1, "acl|whoami"));
    assert_eq!(bed.run(1, "PING"), ["1< +PONG"]);
    assert_eq!(bed.run(1, "PUBLISH news.1 x"), ["1< :0"]);
    assert_eq!(bed.run(1, "PUBLISH other x"), no_channel(1));
    assert_eq!(bed.run(1, "SPUBLISH q x"), no_channel(1));
    assert_eq!(bed.run(1, "SUBSCRIBE news.1 zz"), no_channel(1));
    assert_eq!(bed.run(1, "PUBSUB NUMSUB news.1"), ["1< ['news.1' :0]"]);
    assert_eq!(bed.run(1, "SUBSCRIBE news.1"), ["1< subscribe news.1 1"]);
    assert_eq!(bed.run(1, "PSUBSCRIBE news.*"), ["1< psubscribe news.* 2"]);
    assert_eq!(bed.run(1, "PSUBSCRIBE news.a*"), no_channel(1));
    assert_eq!(bed.run(1, "SSUBSCRIBE q"), no_channel(1));
    assert_eq!(bed.run(1, "UNSUBSCRIBE zzz"), ["1< unsubscribe zzz 2"]);
    // Permission comes before the rules of the subscribed state.
    assert_eq!(bed.run(1, "ECHO x"), no_command(1, "echo"));
    assert_eq!(bed.run(0, "ACL SETUSER b +echo"), ["0< +OK"]);
    assert!(bed.run(1, "ECHO x")[0].starts_with("1< -ERR Can't execute 'echo'"));
    bed.run(1, "RESET");
    assert_eq!(bed.run(1, "ACL WHOAMI"), ["1< 'default'"]);
}

#[test]
fn a_denied_command_spoils_a_transaction_and_exec_asks_again() {
    let mut bed = Bed::open(2);
    bed.run(0, "ACL SETUSER b on nopass &* +@all -echo");
    bed.run(1, "AUTH b x");
    bed.run(1, "MULTI");
    assert_eq!(bed.run(1, "ECHO x"), no_command(1, "echo"));
    assert_eq!(
        bed.run(1, "EXEC"),
        ["1< -EXECABORT Transaction discarded because of previous errors."]
    );
    for line in ["MULTI", "TIME", "PUBLISH a b", "PING"] {
        bed.run(1, line);
    }
    bed.run(0, "ACL SETUSER b -time resetchannels");
    let changed = "NOPERM ACLs rules changed between the moment the transaction was accumulated \
                   and the EXEC call. This command is no longer allowed for the following reason: \
                   no permission to";
    assert_eq!(
        bed.run(1, "EXEC"),
        [
            "1< answers 3".to_owned(),
            format!("1< -{changed} execute the command or subcommand"),
            format!("1< -{changed} access one of the channels used as arguments"),
            "1< +PONG".to_owned(),
        ]
    );
    assert_eq!(bed.run(0, "ACL LOG")[0].matches("'context' 'multi'").count(), 3);
    bed.run(0, "ACL SETUSER b -exec");
    assert_eq!(
        bed.run(1, "EXEC"),
        ["1< -EXECABORT Transaction discarded because of: NOPERM this user has no permissions to \
          run the 'exec' command"]
    );
}

#[test]
fn subscriptions_that_are_no_longer_allowed_end_with_their_connections() {
    let mut bed = Bed::open(4);
    bed.run(0, "ACL SETUSER b on nopass &news.* &* +@all");
    for conn in 1..4 {
        assert_eq!(bed.run(conn, "AUTH b x"), [format!("{conn}< +OK")]);
    }
    bed.run(1, "SUBSCRIBE news.1");
    bed.run(2, "PSUBSCRIBE news.1");
    assert_eq!(bed.run(0, "ACL SETUSER b resetchannels &new*"), ["2 closed: Killed", "0< +OK"]);
    assert_eq!(bed.run(0, "ACL SETUSER b off"), ["0< +OK"]);
    assert_eq!(bed.run(3, "PING"), ["3< +PONG"], "whoever is in stays in");
    bed.connect(2);
    assert_eq!(
        bed.run(2, "AUTH b x"),
        ["2< -WRONGPASS invalid username-password pair or user is disabled."]
    );
    assert_eq!(
        bed.run(0, "ACL DELUSER b nobody"),
        ["1 closed: Killed", "3 closed: Killed", "0< :1"]
    );
    assert_eq!(bed.run(0, "ACL USERS"), ["0< ['default']"]);
}

#[test]
fn whoever_deletes_itself_gets_its_answer() {
    let mut bed = Bed::open(2);
    bed.run(0, "ACL SETUSER b on nopass +@all");
    bed.run(1, "AUTH b x");
    assert_eq!(bed.run(1, "ACL DELUSER b"), ["1< :1", "1 closed: Requested"]);
}

#[test]
fn users_are_shown() {
    let mut bed = Bed::open(1);
    assert_eq!(
        bed.run(0, "ACL GETUSER default"),
        ["0< {2 'flags' <'on' 'nopass'>, 'passwords' [], 'commands' '+@all', 'keys' '~*', \
          'channels' '&*', 'selectors' []}"]
    );
    assert_eq!(bed.run(0, "ACL GETUSER x"), ["0< (nil 2)"]);
    bed.run(0, "ACL SETUSER a");
    assert_eq!(
        bed.run(0, "ACL LIST"),
        ["0< ['user a off resetchannels -@all' 'user default on nopass ~* &* +@all']"]
    );
    assert_eq!(
        bed.run(0, "ACL SETUSER a on foo"),
        ["0< -ERR Error in ACL SETUSER modifier 'foo': Syntax error"]
    );
    assert!(bed.run(0, "ACL GETUSER a")[0].contains("<'off'>"), "nothing of it is done");
    assert_eq!(bed.run(0, "ACL DELUSER default"), ["0< -ERR The 'default' user cannot be removed"]);
    assert!(bed.run(0, "ACL CAT")[0].starts_with("0< ['keyspace' 'read' 'write'"));
    assert_eq!(
        bed.run(0, "ACL CAT transaction"),
        ["0< ['multi' 'exec' 'discard' 'watch' 'unwatch']"]
    );
    assert_eq!(bed.run(0, "ACL CAT foo"), ["0< -ERR Unknown category 'foo'"]);
    assert_eq!(
        bed.run(0, "ACL CAT a b"),
        ["0< -ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP."]
    );
    assert!(bed.run(0, "ACL GENPASS")[0].starts_with("0< -ERR ACL GENPASS is refused"));
    assert!(bed.run(0, "ACL LOAD")[0].starts_with("0< -ERR This Redis instance is not"));
}

#[test]
fn a_dry_run_says_what_would_be_refused() {
    let mut bed = Bed::open(1);
    bed.run(0, "ACL SETUSER a nopass on");
    assert_eq!(bed.run(0, "ACL DRYRUN default ping"), ["0< +OK"]);
    assert_eq!(bed.run(0, "ACL DRYRUN x ping"), ["0< -ERR User 'x' not found"]);
    assert_eq!(bed.run(0, "ACL DRYRUN default foo"), ["0< -ERR Command 'foo' not found"]);
    assert_eq!(
        bed.run(0, "ACL DRYRUN default publish"),
        ["0< -ERR wrong number of arguments for 'publish' command"]
    );
    assert_eq!(bed.run(0, "ACL DRYRUN default client foo"), ["0< -ERR Command 'client' not found"]);
    assert_eq!(bed.run(0, "ACL DRYRUN default ping a b c"), ["0< +OK"]);
    let denied = "This user has no permissions to";
    assert_eq!(
        bed.run(0, "ACL DRYRUN a publish x y"),
        [format!("0< '{denied} run the 'publish' command'")]
    );
    bed.run(0, "ACL SETUSER a +publish");
    assert_eq!(
        bed.run(0, "ACL DRYRUN a publish x y"),
        [format!("0< '{denied} access the 'x' channel'")]
    );
}

#[test]
fn what_was_denied_is_logged() {
    let mut bed = Bed::open(2);
    bed.run(0, "ACL SETUSER b on >pw &news.* -@all +publish");
    bed.run(1, "AUTH b bad");
    bed.run(1, "AUTH b pw");
    bed.run(1, "PUBLISH other x");
    bed.now = Time::from_millis(1_500);
    bed.run(1, "PING");
    bed.run(1, "PUBLISH other x");
    let entries = bed.run(0, "ACL LOG");
    let shown: Vec<&str> = entries[0].split("{2 ").skip(1).collect();
    assert_eq!(shown.len(), 3, "{entries:?}");
    let starts = [
        "'count' :2, 'reason' 'channel', 'context' 'toplevel', 'object' 'other', 'username' 'b', \
         'age-seconds' '0.000'",
        "'count' :1, 'reason' 'command', 'context' 'toplevel', 'object' 'ping', 'username' 'b'",
        "'count' :1, 'reason' 'auth', 'context' 'toplevel', 'object' 'AUTH', 'username' 'b', \
         'age-seconds' '1.500'",
    ];
    for (entry, start) in shown.iter().zip(starts) {
        assert!(entry.starts_with(start), "{entry}");
        assert!(entry.contains("'client-info' 'id=2 "), "{entry}");
    }
    assert_eq!(bed.run(0, "ACL LOG 1")[0].matches("count").count(), 1);
    assert_eq!(bed.run(0, "ACL LOG x"), ["0< -ERR value is not an integer or out of range"]);
    assert_eq!(bed.run(0, "ACL LOG RESET"), ["0< +OK"]);
    assert_eq!(bed.run(0, "ACL LOG -1"), ["0< []"]);
}

#[test]
fn users_come_from_the_configuration() {
    let config = RedisConfig {
        users: vec![
            "user default off".to_owned(),
            "alice on >pw &news.* +@all -@dangerous".to_owned(),
        ],
        ..RedisConfig::default()
    };
    let mut bed = Bed::new(config);
    bed.connect(0);
    assert_eq!(bed.run(0, "PING"), NOAUTH);
    assert_eq!(bed.run(0, "AUTH alice pw"), ["0< +OK"]);
    assert_eq!(bed.run(0, "PUBLISH news.1 x"), ["0< :0"]);
    assert_eq!(bed.run(0, "CONFIG GET *"), no_command(0, "config|get"));

    let config = RedisConfig { users: vec!["alice +fly".to_owned()], ..RedisConfig::default() };
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let mut out = Effects::new(Box::new(MemoryDisk::new()));
    let refused = Redis::boot(&config, boot, Time::ZERO, &mut out).expect_err("no such command");
    let why = "user `alice`, rule `+fly`: Unknown command or category name in ACL";
    assert_eq!(refused, BootError::Config(why.to_owned()));
}

#[test]
fn who_may_not_look_at_a_key_cannot_watch_it() {
    let mut bed = Bed::new(RedisConfig::default());
    bed.connect(0);
    assert_eq!(bed.run(0, "ACL SETUSER a on nopass +@all &* %R~x* ~z %W~w"), ["0< +OK"]);
    bed.connect(1);
    assert_eq!(bed.run(1, "AUTH a any"), ["1< +OK"]);
    assert_eq!(bed.run(1, "WATCH x1 z"), ["1< +OK"]);
    let denied = "NOPERM this user has no permissions to access one of the keys used as arguments";
    assert_eq!(bed.run(1, "WATCH x1 w"), [format!("1< -{denied}")]);
    assert_eq!(bed.run(1, "PUBLISH w text"), ["1< :0"], "a channel is no key");
    assert!(bed.run(1, "ACL LOG")[0].contains("'reason' 'key'"), "{:?}", bed.run(1, "ACL LOG"));
    let dry = bed.run(0, "ACL DRYRUN a WATCH y");
    assert!(dry[0].contains("This user has no permissions to access the 'y' key"), "{dry:?}");
    assert_eq!(bed.run(0, "ACL SETUSER a allkeys"), ["0< +OK"]);
    assert_eq!(bed.run(1, "WATCH w"), ["1< +OK"]);
}
