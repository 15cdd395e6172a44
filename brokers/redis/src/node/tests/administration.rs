//! CONFIG, INFO, COMMAND, TIME and what is tolerated.

use std::time::Duration;

use broker_contract::{Broker, ConnId, Input, Time};

use super::{Bed, RedisConfig};
use crate::frame::Up;

fn seconds(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn set(bed: &mut Bed, words: &[&str]) -> String {
    let words = [&["CONFIG", "SET"], words].concat();
    bed.send(0, Up::from_args(&words).expect("words"))[0].clone()
}

#[test]
fn settings_are_shown_by_pattern() {
    let mut bed = Bed::open(1);
    assert_eq!(bed.run(0, "CONFIG GET save"), ["0< {2 'save' ''}"]);
    assert_eq!(bed.run(0, "CONFIG GET appendonly"), ["0< {2 'appendonly' 'no'}"]);
    assert_eq!(
        bed.run(0, "CONFIG GET MAXC* timeout maxclients"),
        ["0< {2 'maxclients' '10000', 'timeout' '0'}"]
    );
    assert_eq!(bed.run(0, "CONFIG GET TimeOut"), ["0< {2 'TimeOut' '0'}"], "as written");
    assert_eq!(bed.run(0, "CONFIG GET nothing"), ["0< {2 }"]);
    assert_eq!(
        bed.run(0, "CONFIG GET client-output*"),
        ["0< {2 'client-output-buffer-limit' 'normal 0 0 0 slave 268435456 67108864 60 pubsub \
          33554432 8388608 60'}"]
    );
    bed.hello3(0);
    assert_eq!(bed.run(0, "CONFIG GET databases"), ["0< {3 'databases' '16'}"]);
}

#[test]
fn what_cannot_be_set_is_refused_with_the_original_errors() {
    let mut bed = Bed::open(1);
    let limit = "client-output-buffer-limit";
    let unknown = "Unknown option or number of arguments for CONFIG SET - 'foo'";
    let failed = |name: &str, why: &str| {
        format!("CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    let cases: &[(&[&str], String)] = &[
        (&["foo", "bar"], unknown.to_owned()),
        (&["timeout", "5", "foo", "3"], unknown.to_owned()),
        (&["timeout", "5", "maxclients"], "syntax error".to_owned()),
        (&["databases", "3"], failed("databases", "can't set immutable config")),
        (&["timeout", "x"], failed("timeout", "argument couldn't be parsed into an integer")),
        (
            &["timeout", "-1"],
            failed("timeout", "argument must be between 0 and 2147483647 inclusive"),
        ),
        (
            &["maxclients", "0"],
            failed("maxclients", "argument must be between 1 and 4294967295 inclusive"),
        ),
        (&["maxclients", "1", "MAXCLIENTS", "2"], failed("maxclients", "duplicate parameter")),
        (
            &[limit, "foo"],
            failed(limit, "Wrong number of arguments in buffer limit configuration."),
        ),
        (
            &[limit, "foo 1 2 3"],
            failed(limit, "Invalid client class specified in buffer limit configuration."),
        ),
        (
            &[limit, "pubsub 1x 2 3"],
            failed(
                limit,
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
        ),
        (
            &["appendonly", "yes"],
            failed("appendonly", "the bus keeps nothing, so that this cannot be changed"),
        ),
    ];
    for (words, error) in cases {
        assert_eq!(set(&mut bed, words), format!("0< -ERR {error}"));
    }
    let before = RedisConfig::default();
    assert_eq!(bed.node.config, before, "nothing of a refused command is done");
    assert_eq!(set(&mut bed, &["appendonly", "no", "save", ""]), "0< +OK");
}

#[test]
fn a_new_limit_is_in_force_at_once() {
    let mut bed = Bed::open(2);
    bed.run(1, "SUBSCRIBE a");
    let limit = "client-output-buffer-limit";
    assert_eq!(set(&mut bed, &[limit, "pubsub 1kb 100b 10 replica 1 1 1"]), "0< +OK");
    bed.send(0, Up::publish(b"a", &[0; 100]));
    assert_eq!(bed.node.deadline(), Some(seconds(10)));
    // A shorter time counts from when it went over, too.
    assert_eq!(set(&mut bed, &[limit, "pubsub 1kb 100b 3"]), "0< +OK");
    assert_eq!(bed.node.deadline(), Some(seconds(3)));
    bed.now = seconds(3);
    assert_eq!(bed.input(Input::Tick), ["1 closed: SlowConsumer"]);
    bed.connect(1);
    bed.run(1, "SUBSCRIBE a");
    let effects = bed.send(0, Up::publish(b"a", &[0; 1_000]));
    assert_eq!(effects.last().map(String::as_str), Some("1 closed: SlowConsumer"));
}

#[test]
fn ordinary_clients_have_limits_when_they_are_given_some() {
    let mut bed = Bed::open(2);
    set(&mut bed, &["client-output-buffer-limit", "normal 100 0 0"]);
    let word = "x".repeat(200);
    assert_eq!(
        bed.run(1, &format!("ECHO {word}")).last().map(String::as_str),
        Some("1 closed: SlowConsumer")
    );
}

#[test]
fn the_time_over_a_limit_is_that_of_the_class() {
    let mut config = RedisConfig::default();
    (config.normal.soft_bytes, config.normal.soft) = (100, Duration::from_secs(5));
    (config.pubsub.soft_bytes, config.pubsub.soft) = (100, Duration::from_secs(50));
    let mut bed = Bed::new(config);
    bed.connect(0);
    bed.run(0, &format!("ECHO {}", "x".repeat(200)));
    assert_eq!(bed.node.deadline(), Some(seconds(5)));
    bed.now = seconds(4);
    bed.run(0, "SUBSCRIBE a");
    bed.now = seconds(5);
    assert_eq!(bed.input(Input::Tick), [] as [&str; 0]);
    assert_eq!(bed.node.deadline(), Some(seconds(54)));
    bed.now = seconds(54);
    assert_eq!(bed.input(Input::Tick), ["0 closed: SlowConsumer"]);
}

#[test]
fn an_idle_timeout_can_be_set_and_taken_back() {
    let mut bed = Bed::open(2);
    bed.now = seconds(100);
    assert_eq!(set(&mut bed, &["timeout", "10"]), "0< +OK");
    // Connection 1 has been idle for long enough already.
    assert_eq!(bed.node.deadline(), Some(seconds(100)));
    assert_eq!(bed.input(Input::Tick), ["1 closed: Stale"]);
    assert_eq!(bed.node.deadline(), Some(seconds(110)));
    assert_eq!(set(&mut bed, &["timeout", "0"]), "0< +OK");
    assert_eq!(bed.node.deadline(), None);
}

#[test]
fn info_has_sections() {
    let mut bed = Bed::open(2);
    bed.now = seconds(90_000);
    bed.run(1, "SUBSCRIBE a");
    bed.run(0, "PUBLISH a x");
    bed.run(0, "FOO");
    bed.run(0, "PUBLISH a");
    let info = |bed: &mut Bed, sections: &str| bed.run(0, &format!("INFO{sections}"))[0].clone();
    let default = info(&mut bed, "");
    for line in [
        "# Server\r\n",
        "redis_version:7.0.15\r\n",
        "uptime_in_seconds:90000\r\n",
        "uptime_in_days:1\r\n",
        "\r\n\r\n# Clients\r\nconnected_clients:2\r\nmaxclients:10000\r\n",
        "pubsub_channels:1\r\n",
        "total_connections_received:2\r\n",
        "total_commands_processed:3\r\n",
        "errorstat_ERR:count=2\r\n",
        "role:master\r\n",
        "# Keyspace\r\n",
    ] {
        assert!(default.contains(line), "{line} is not in {default}");
    }
    assert!(!default.contains("Commandstats"));
    assert_eq!(
        info(&mut bed, " commandstats"),
        "0< '# Commandstats\r\ncmdstat_subscribe:calls=1,rejected_calls=0,failed_calls=0\r\n\
         cmdstat_publish:calls=1,rejected_calls=1,failed_calls=0\r\n\
         cmdstat_info:calls=2,rejected_calls=0,failed_calls=0\r\n'"
    );
    assert_eq!(info(&mut bed, " foo"), "0< ''");
    assert_eq!(
        info(&mut bed, " KEYSPACE cluster"),
        "0< '# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n'"
    );
    assert!(info(&mut bed, " all").contains("# Commandstats"));
    assert_eq!(bed.run(0, "CONFIG RESETSTAT"), ["0< +OK"]);
    assert_eq!(info(&mut bed, " errorstats"), "0< '# Errorstats\r\n'");
}

#[test]
fn commands_are_described_as_the_original_describes_them() {
    let mut bed = Bed::open(1);
    assert_eq!(
        bed.run(0, "COMMAND INFO foo ping"),
        ["0< [(nil 2) ['ping' :-1 <+fast> :0 :0 :0 <+@fast +@connection> \
          <'request_policy:all_shards' 'response_policy:all_succeeded'> <> <>]]"]
    );
    assert_eq!(
        bed.run(0, "COMMAND INFO ssubscribe"),
        ["0< [['ssubscribe' :-2 <+pubsub +noscript +loading +stale> :1 :-1 :1 <+@pubsub +@slow> \
          <> <{2 'flags' <+not_key>, 'begin_search' {2 'type' 'index', 'spec' {2 'index' :1}}, \
          'find_keys' {2 'type' 'range', 'spec' {2 'lastkey' :-1, 'keystep' :1, 'limit' :0}}}> \
          <>]]"]
    );
    assert_eq!(
        bed.run(0, "COMMAND INFO client|id client|foo"),
        ["0< [['client|id' :2 <+noscript +loading +stale> :0 :0 :0 <+@slow +@connection> <> <> \
          <>] (nil 2)]"]
    );
    let count = bed.run(0, "COMMAND COUNT");
    let all = bed.run(0, "COMMAND");
    assert_eq!(
        count,
        [format!("0< :{}", all[0].matches("[\'").count())].map(|line| {
            // Subcommands are listed inside of their commands.
            let inner = crate::Verb::all().filter(|verb| verb.parent().is_some()).count();
            let total: usize = line[4..].parse().expect("a number");
            format!("0< :{}", total - inner)
        })
    );
    assert_eq!(bed.run(0, "COMMAND LIST FILTERBY PATTERN *PUBLISH"), ["0< ['publish' 'spublish']"]);
    assert_eq!(
        bed.run(0, "COMMAND LIST FILTERBY ACLCAT transaction"),
        ["0< ['multi' 'exec' 'discard' 'watch' 'unwatch']"]
    );
    assert_eq!(bed.run(0, "COMMAND LIST FILTERBY ACLCAT foo"), ["0< []"]);
    assert_eq!(bed.run(0, "COMMAND LIST FILTERBY MODULE foo"), ["0< []"]);
    assert_eq!(bed.run(0, "COMMAND LIST FILTERBY X y"), ["0< -ERR syntax error"]);
    assert_eq!(
        bed.run(0, "COMMAND DOCS foo echo"),
        ["0< {2 'echo' {2 'summary' 'Repeats its argument.', 'since' '1.0.0', 'group' \
          'connection'}}"]
    );
    assert!(bed.run(0, "COMMAND DOCS function")[0].contains("'function|flush' {2 'summary'"));
}

#[test]
fn the_time_is_that_of_the_run() {
    let mut bed = Bed::new(RedisConfig {
        epoch: Duration::from_secs(1_700_000_000),
        ..RedisConfig::default()
    });
    bed.connect(0);
    bed.now = Time::from_micros(2_000_345);
    assert_eq!(bed.run(0, "TIME"), ["0< ['1700000002' '345']"]);
}

#[test]
fn what_empties_a_data_set_is_tolerated() {
    let mut bed = Bed::open(1);
    for line in ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB sync", "FUNCTION FLUSH"] {
        assert_eq!(bed.run(0, line), ["0< +OK"]);
    }
    assert_eq!(bed.run(0, "FLUSHALL X"), ["0< -ERR syntax error"]);
    assert_eq!(
        bed.run(0, "FUNCTION FLUSH X"),
        ["0< -ERR FUNCTION FLUSH only supports SYNC|ASYNC option"]
    );
    assert_eq!(
        bed.run(0, "CONFIG REWRITE"),
        ["0< -ERR The server is running without a config file"]
    );
    assert_eq!(
        bed.run(0, "GET a"),
        ["0< -ERR unknown command 'GET', with args beginning with: 'a' "]
    );
}

#[test]
fn a_browser_that_was_sent_here_is_closed() {
    let mut bed = Bed::open(1);
    assert_eq!(bed.run(0, "POST / HTTP/1.1"), ["0 closed: HTTP is not spoken here"]);
    bed.input(Input::Closed { conn: ConnId(0) });
    bed.connect(0);
    assert_eq!(bed.run(0, "Host: example"), ["0 closed: HTTP is not spoken here"]);
}
