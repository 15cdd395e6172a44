//! What is refused, and how it reads.

use super::{FULL, SMALL, read, render, with};

/// `text` with the first `from` replaced by `to`.
fn edited(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is in the text");
    text.replacen(from, to, 1)
}

fn page(cases: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (name, text) in cases {
        let error = read(text).expect_err(name);
        out.push_str(&format!("# {name}\n{}\n", render(&error)));
    }
    out
}

fn case(name: &'static str, from: &str, to: &str) -> (&'static str, String) {
    (name, edited(FULL, from, to))
}

#[test]
fn wrong_keys_types_and_units() {
    let page = page(&[
        case("not TOML", "kind = \"warm-up\"", "kind = warm-up"),
        case("a key that is written twice", "count = 100\n", "count = 100\ncount = 200\n"),
        case("an unknown key", "connections = 4", "conections = 4"),
        case("an unknown table", "[sites.north]", "[sides.north]"),
        case("a key of another role", "count = 100\n", "count = 100\ngroup = \"all\"\n"),
        case("a key of another kind", "from = 1.0", "rate = 1.0"),
        case("a missing key", "duration = \"10s\"\n", ""),
        case("an unknown kind", "kind = \"steady\"", "kind = \"stedy\""),
        case("a duration without a unit", "round_trip = \"20ms\"", "round_trip = 20"),
        case("a duration with a wrong unit", "\"20ms\"", "\"20 parsecs\""),
        case("a negative duration", "\"20ms\"", "\"-20ms\""),
        case("a size without a unit", "reply_size = \"256B\"", "reply_size = 256"),
        case("a text for a number", "count = 3", "count = \"three\""),
        case("a name with spaces", "[links.far]", "[links.\"so far\"]"),
        ("a table for a list", edited(SMALL, "[[phases]]", "[phases]")),
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn impossible_values_and_contradictions() {
    let page = page(&[
        case("a negative rate", "rate_per_s = 10", "rate_per_s = -10"),
        case("a rate that is no number", "rate_per_s = 10", "rate_per_s = nan"),
        case("nobody", "count = 100", "count = 0"),
        case("a payload without room", "min = \"32B\"", "min = \"16B\""),
        case("bounds exchanged", "min = \"32B\", max = \"4KiB\"", "min = \"4KiB\", max = \"32B\""),
        case("a share above one", "failure_rate = 0.01", "failure_rate = 1.5"),
        case("failures without acknowledgements", "ack = \"explicit\"\n", ""),
        case("a jitter that reorders", "jitter = \"10ms\"", "jitter = \"80ms\""),
        case("phases that overlap", "start = \"14s\"", "start = \"12s\""),
        case(
            "something after the drain",
            "[links.far]",
            "[[phases]]\nkind = \"pause\"\nduration = \"1s\"\n\n[links.far]",
        ),
        case("no steady phase", "kind = \"steady\"", "kind = \"warm-up\""),
        case("an unknown link", "link = \"far\"", "link = \"fra\""),
        case("a site and a link", "site = \"north\"", "site = \"north\"\nlink = \"far\""),
        case(
            "a group and a filter of each member",
            "filter = \"edge.{site}.>\"",
            "filter = \"edge.{site}.>\"\ngroup = \"g\"",
        ),
        case("more connections than members", "connections = 4", "connections = 400"),
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn wrong_channels_and_filters() {
    let page = page(&[
        case("a tail in the middle", "\"edge.>\"", "\"edge.>.temperature\""),
        case("an empty token", "\"edge.>\"", "\"edge..temperature\""),
        case("a wildcard inside a token", "\"edge.>\"", "\"edge.temp*\""),
        case("a wildcard in a channel", "burst.{device}", "burst.*"),
        case("an undefined field", "burst.{device}", "burst.{devise}"),
        case(
            "a field nobody uses",
            "fields.device = { width = 3 }",
            "fields.device = { width = 3 }\nfields.extra = {}",
        ),
        case(
            "a drawn field in a filter",
            "{ source = \"member\", prefix = \"s\" }",
            "{ source = \"draw\", count = 5, prefix = \"s\" }",
        ),
        case("a filter that nobody publishes to", "\"edge.>\"", "\"egde.>\""),
        case("a responder that nobody asks", "filter = \"ask.*\"", "filter = \"edge.>\""),
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn wrong_faults_contenders_and_objectives() {
    let page = page(&[
        case("a fault beyond the end", "for = 0.1", "for = 0.6"),
        case("a fault after the end", "at = \"9s\"", "at = \"90s\""),
        case("members that are not there", "members = 2", "members = 4"),
        case("a fault of a publisher", "population = \"mirrors\"", "population = \"devices\""),
        case("a fault without effect", "factor = 10", "factor = 1"),
        case("an unknown contender", "[contenders.redis]", "[contenders.reddis]"),
        case("an unknown setting", "maxclients = 60_000", "max_clients = 60_000"),
        case("a setting of another kind", "\"64MiB\"", "\"64 bananas\""),
        case("an unknown preset", "preset = \"roomy\"", "preset = [\"rooomy\"]"),
        case("connections of nobody", "{ devices = 2 }", "{ device = 2 }"),
        case(
            "an objective on a publisher",
            "subscription = \"workers\"",
            "subscription = \"devices\"",
        ),
        case("a target of another kind", "p99_delivery = \"50ms\"", "p99_delivery = 0.5"),
        case("two metrics in one objective", "loss = 0.001", "loss = 0.001\norder = 0"),
        case("the same objective twice", "loss = 0.001", "p99_delivery = \"1s\""),
        case("a replay of what is not replayed", "start = \"all\"", "start = \"new\""),
        case("answers are not acknowledged", "throughput = 15", "acked_loss = 0"),
        case("more waits than deliveries", "max_deliver = 5", "max_deliver = 2"),
        case("a backoff that is no list", "[\"50ms\", \"500ms\"]", "\"50ms\""),
        case("a member that joins too late", "joins = 0.25", "joins = \"1h\""),
        case("a log without filters", "filters = [\"edge.>\"]", "filters = []"),
        case("partitions of no log", "{ burst = 3, edge = 2 }", "{ edges = 2 }"),
        case("no metric", "loss = 0.001\n", ""),
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn too_much_and_too_little() {
    let many = edited(SMALL, "rate_per_s = 5", "rate_per_s = 1e9");
    let few = edited(SMALL, "rate_per_s = 5", "rate_per_s = 0.001");
    let keys = edited(
        SMALL,
        "fields.device = {}",
        "fields.device = { source = \"draw\", count = 1_000_000_000 }",
    );
    let keys = edited(&keys, "rate_per_s = 5", "rate_per_s = 5_000_000");
    let members = edited(SMALL, "count = 10", "count = 4_000_000_000");
    let silent = edited(
        SMALL,
        "role = \"publisher\"\ncount = 10\nfields.device = {}\nstreams.readings.channel = \"a.{device}\"\nstreams.readings.arrival = { kind = \"poisson\", rate_per_s = 5 }",
        "role = \"subscriber\"\nfilter = \"b\"",
    );
    let page = page(&[
        ("more messages than numbers", many),
        ("an all but empty plan", few),
        ("more keys than numbers", keys),
        ("more members than memory", members),
        ("nobody sends", silent),
    ]);
    insta::assert_snapshot!(page);
}

#[test]
fn mistakes_of_the_command_line_point_at_the_argument() {
    let mut out = String::new();
    for set in [
        "populations.devics.count=5",
        "populations.devices.cuont=5",
        "populations.devices.count=0",
        "phases.3.duration=5s",
        "seed.of.life=5",
        "populations.devices.count=[1",
        "populations..count=1",
        "populations.devices.streams.readings.channel=a.{devise}",
        "title=1\nseed=2",
    ] {
        let error = with(SMALL, &[set]).expect_err(set);
        out.push_str(&format!("{}\n", render(&error)));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn an_error_prints_as_one_line() {
    let text = edited(FULL, "count = 100", "count = -1");
    let error = read(&text).expect_err("negative");
    assert_eq!(error.to_string(), "line 39: `count` takes a whole number of at least 1, not -1");
    let error = with(SMALL, &["seed=1.5"]).expect_err("not whole");
    assert_eq!(error.to_string(), "--set seed=1.5: `seed` takes a whole number, not a number");
}

#[test]
fn two_populations_cannot_share_a_group() {
    let text = format!(
        "{FULL}\n[populations.others]\nrole = \"subscriber\"\nfilter = \"edge.>\"\ngroup = \"workers\"\n"
    );
    let error = read(&text).expect_err("shared");
    assert!(error.message().contains("already that of the population `workers`"), "{error}");
}

#[test]
fn faults_that_strike_the_same_members_at_once_are_refused() {
    let again = "\n[[faults]]\nkind = \"subscriber-restart\"\npopulation = \"workers\"\nfirst = 1\nat = 0.55\nfor = 0.1\n";
    assert!(read(&format!("{FULL}{again}")).is_err());
    let later = again.replace("0.55", "0.65");
    assert!(read(&format!("{FULL}{later}")).is_ok());
    let other = again.replace("first = 1", "first = 2");
    assert!(read(&format!("{FULL}{other}")).is_ok());
}
