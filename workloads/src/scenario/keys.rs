//! The keys of a scenario file, as data.
//!
//! The parser takes its names and defaults from here, and a test holds
//! `scenarios/FORMAT.md` to it: what is documented is what is read.

/// What stands when a key is left out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It cannot be left out.
    Needed,
    /// This value, as TOML.
    Default(&'static str),
    /// Nothing; in words.
    Nothing(&'static str),
}

/// A key of a table.
#[derive(Copy, Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes, with the unit.
    pub takes: &'static str,
    /// What stands when it is left out.
    pub absent: Absent,
    /// The kinds (or roles) of the table in which it may stand; empty for all.
    pub only: &'static [&'static str],
    /// What it means.
    pub doc: &'static str,
}

/// A table.
#[derive(Copy, Clone, Debug)]
pub struct TableKeys {
    /// Its path, with names that the author chooses in capitals.
    pub path: &'static str,
    /// The key that says which kind it is, if there are kinds.
    pub kind_key: Option<&'static str>,
    /// Its keys.
    pub keys: &'static [Key],
}

impl TableKeys {
    /// The key called `name` in a table of this `kind`.
    pub fn key(&self, name: &str, kind: &str) -> Option<&'static Key> {
        self.keys
            .iter()
            .find(|key| key.name == name && (key.only.is_empty() || key.only.contains(&kind)))
    }

    /// The names that may stand in a table of this `kind`.
    pub fn names<'a>(&self, kind: &'a str) -> impl Iterator<Item = &'static str> + use<'a> {
        self.keys
            .iter()
            .filter(move |key| key.only.is_empty() || key.only.contains(&kind))
            .map(|key| key.name)
    }
}

use Absent::{Default, Needed, Nothing};

const fn key(name: &'static str, takes: &'static str, absent: Absent, doc: &'static str) -> Key {
    Key { name, takes, absent, only: &[], doc }
}

const fn of(only: &'static [&'static str], key: Key) -> Key {
    Key { only, ..key }
}

const PUBLISHER: &str = "publisher";
const SUBSCRIBER: &str = "subscriber";
const REQUESTER: &str = "requester";
const RESPONDER: &str = "responder";

/// The file itself.
pub const TOP: TableKeys = TableKeys {
    path: "",
    kind_key: None,
    keys: &[
        key("title", "text, one line", Needed, "what the scenario is called in reports"),
        key("question", "text", Default("\"\""), "what it asks, as a question"),
        key("lesson", "text", Default("\"\""), "what a student takes home"),
        key("seed", "whole number, 0 to 2^53", Default("1"), "decides everything random"),
        key("phases", "list of tables", Needed, "the stretches of the run, in time order"),
        key("links", "tables by name", Nothing("only `local`"), "network paths to the broker"),
        key("sites", "tables by name", Nothing("none"), "places, each with its link"),
        key("populations", "tables by name", Needed, "who takes part"),
        key(
            "logs",
            "tables by name",
            Nothing("one for each literal prefix that is published to"),
            "what brokers that store keep messages in: streams, topics",
        ),
        key("faults", "list of tables", Nothing("none"), "what goes wrong on purpose"),
        key("contenders", "tables by name", Nothing("none"), "settings of single contenders"),
        key("objectives", "list of tables", Nothing("none"), "what must hold"),
    ],
};

/// `[[phases]]`.
pub const PHASE: TableKeys = TableKeys {
    path: "phases",
    kind_key: Some("kind"),
    keys: &[
        key("kind", "warm-up, steady, ramp, burst, pause or drain", Needed, "what it is for"),
        key("duration", "duration", Needed, "how long it lasts; a drain: at most"),
        key(
            "start",
            "duration since the run's zero",
            Nothing("the end of the phase before"),
            "a later start leaves a pause before it",
        ),
        of(
            &["warm-up", "steady"],
            key("rate", "factor", Default("1.0"), "on the rates of all populations"),
        ),
        of(&["burst"], key("rate", "factor", Needed, "on the rates of all populations")),
        of(&["ramp"], key("from", "factor", Needed, "on all rates, at its beginning")),
        of(&["ramp"], key("to", "factor", Needed, "on all rates, at its end")),
    ],
};

/// `[links.NAME]`.
pub const LINK: TableKeys = TableKeys {
    path: "links.NAME",
    kind_key: None,
    keys: &[
        key("round_trip", "duration", Default("\"100us\""), "there and back, without load"),
        key(
            "jitter",
            "duration",
            Default("\"0s\""),
            "added to each way, uniformly between nothing and this, never reordering",
        ),
        key(
            "bandwidth",
            "bits per second such as \"100Mbit/s\", or \"unlimited\"",
            Default("\"unlimited\""),
            "of each connection, in each direction",
        ),
    ],
};

/// `[sites.NAME]`.
pub const SITE: TableKeys = TableKeys {
    path: "sites.NAME",
    kind_key: None,
    keys: &[key("link", "name of a link", Needed, "how this place reaches the broker")],
};

const RECEIVES: &[&str] = &[SUBSCRIBER, RESPONDER];
const SENDS: &[&str] = &[PUBLISHER, REQUESTER];

/// `[populations.NAME]`.
pub const POPULATION: TableKeys = TableKeys {
    path: "populations.NAME",
    kind_key: Some("role"),
    keys: &[
        key("role", "publisher, subscriber, requester or responder", Needed, "what members do"),
        key("count", "whole number, at least 1", Default("1"), "members"),
        key("link", "name of a link", Default("\"local\""), "how they reach the broker"),
        key("site", "name of a site", Nothing("none"), "instead of `link`: where they are"),
        key(
            "connections",
            "\"per-member\" or a whole number",
            Default("\"per-member\""),
            "a number is shared: member i uses connection i modulo it",
        ),
        key("fields", "tables by name", Nothing("none"), "the fields in braces of its channels"),
        of(SENDS, key("streams", "tables by name", Needed, "what each member sends")),
        of(
            &[REQUESTER],
            key("timeout", "duration", Default("\"2s\""), "how long it waits for an answer"),
        ),
        of(
            RECEIVES,
            key(
                "filter",
                "channel filter",
                Needed,
                "what it receives: `*` is one token, a last `>` one or more",
            ),
        ),
        of(
            RECEIVES,
            key(
                "group",
                "name",
                Nothing("every member gets every message"),
                "members share the messages, one each",
            ),
        ),
        of(
            RECEIVES,
            key(
                "processing",
                "duration, or a spread of durations",
                Default("\"0s\""),
                "work on each message, one at a time per member",
            ),
        ),
        of(
            RECEIVES,
            key(
                "inbox",
                "whole number, at least 1",
                Default("65_536"),
                "messages a member holds before it stops reading",
            ),
        ),
        of(&[RESPONDER], key("reply_size", "bytes", Default("\"128B\""), "payload of an answer")),
        of(
            &[SUBSCRIBER],
            key(
                "start",
                "new, all, last, { sequence = N } or { time = duration }",
                Default("\"new\""),
                "where it begins in what is kept",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "ack",
                "none, explicit or all",
                Default("\"none\""),
                "whether messages are acknowledged, one by one or each for all before it",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "failure_rate",
                "share, 0 to 1",
                Default("0.0"),
                "messages whose processing ends without an acknowledgement",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key("nak_rate", "share, 0 to 1", Default("0.0"), "messages that are refused"),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "nak_delay",
                "duration",
                Nothing("none"),
                "wait before a refused message comes again",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "poison",
                "share, 0 to 1",
                Default("0.0"),
                "messages whose processing fails each time, at every delivery",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "ack_wait",
                "duration",
                Nothing("the contender's own"),
                "time without an acknowledgement after which a message comes again",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "max_deliver",
                "whole number, at least 1",
                Nothing("no limit"),
                "deliveries of one message, after which it is given up",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "backoff",
                "list of durations",
                Nothing("`ack_wait` each time"),
                "waits before the second, third, ... delivery; the last stands for the rest",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "joins",
                "fraction of the sending part, or a duration",
                Nothing("before anything is sent"),
                "when its members subscribe; 1.0 is when sending has ended",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "durable",
                "true or false",
                Default("false"),
                "whether a restarted member carries on where it stopped",
            ),
        ),
        of(
            &[SUBSCRIBER],
            key(
                "max_in_flight",
                "whole number, at least 1",
                Nothing("the contender's own"),
                "unacknowledged messages allowed at once",
            ),
        ),
    ],
};

/// `[populations.NAME.fields.FIELD]`.
pub const FIELD: TableKeys = TableKeys {
    path: "populations.NAME.fields.FIELD",
    kind_key: Some("source"),
    keys: &[
        key(
            "source",
            "member, spread or draw",
            Default("\"member\""),
            "the member's number; that modulo `count`; or drawn for each message",
        ),
        of(
            &["spread", "draw"],
            key("count", "whole number, at least 1", Needed, "distinct values"),
        ),
        of(
            &["draw"],
            key(
                "zipf_exponent",
                "number above 0",
                Nothing("uniform"),
                "value k is drawn in proportion to 1 / (k + 1)^exponent",
            ),
        ),
        key("prefix", "text", Default("\"\""), "in front of the number"),
        key("width", "whole number, 0 to 20", Default("0"), "digits at least, padded with zeros"),
    ],
};

/// `[populations.NAME.streams.STREAM]`.
pub const STREAM: TableKeys = TableKeys {
    path: "populations.NAME.streams.STREAM",
    kind_key: None,
    keys: &[
        key("channel", "channel, with fields in braces", Needed, "where it publishes"),
        key("arrival", "table", Needed, "when messages are due"),
        key(
            "size",
            "bytes, or a spread of sizes",
            Default("\"128B\""),
            "payload; 32 bytes of it are the message's identity",
        ),
        key(
            "key",
            "text, with fields in braces",
            Nothing("the channel"),
            "what stays in order, and goes to one partition where there are any",
        ),
    ],
};

/// `arrival = { ... }`.
pub const ARRIVAL: TableKeys = TableKeys {
    path: "populations.NAME.streams.STREAM.arrival",
    kind_key: Some("kind"),
    keys: &[
        key("kind", "periodic, poisson or bursty", Needed, "how messages follow each other"),
        of(&["periodic"], key("every", "duration", Needed, "between two messages of a member")),
        of(
            &["periodic"],
            key(
                "jitter",
                "duration, at most half of `every`",
                Default("\"0s\""),
                "each message is moved by up to this, either way",
            ),
        ),
        of(
            &["poisson"],
            key("rate_per_s", "messages per second", Needed, "of each member, on average"),
        ),
        of(
            &["bursty"],
            key("bursts_per_s", "groups per second", Needed, "of each member, on average"),
        ),
        of(&["bursty"], key("burst", "whole number, at least 1", Needed, "messages in a group")),
        of(
            &["bursty"],
            key("spacing", "duration", Default("\"0s\""), "between two messages of a group"),
        ),
    ],
};

/// `size = { ... }`.
pub const SIZE: TableKeys = TableKeys {
    path: "populations.NAME.streams.STREAM.size",
    kind_key: Some("kind"),
    keys: &[
        key("kind", "uniform, log-normal or zipf", Needed, "how sizes spread"),
        of(&["log-normal"], key("median", "bytes", Needed, "half of the messages are smaller")),
        of(
            &["log-normal"],
            key("sigma", "number, 0 to 10", Needed, "standard deviation of the logarithm"),
        ),
        of(
            &["zipf"],
            key(
                "exponent",
                "number above 0",
                Needed,
                "a size of k times `min` comes in proportion to 1 / k^exponent",
            ),
        ),
        key("min", "bytes, at least 32", Needed, "smallest"),
        key("max", "bytes, at most 64MiB", Needed, "largest"),
    ],
};

/// `processing = { ... }`.
pub const PROCESSING: TableKeys = TableKeys {
    path: "populations.NAME.processing",
    kind_key: Some("kind"),
    keys: &[
        key("kind", "uniform, exponential or log-normal", Needed, "how durations spread"),
        of(&["uniform"], key("min", "duration", Needed, "shortest")),
        of(&["uniform"], key("max", "duration", Needed, "longest")),
        of(&["exponential"], key("mean", "duration", Needed, "the mean")),
        of(&["log-normal"], key("median", "duration", Needed, "half are shorter")),
        of(
            &["log-normal"],
            key("sigma", "number, 0 to 10", Needed, "standard deviation of the logarithm"),
        ),
    ],
};

/// `start = { ... }`.
pub const START: TableKeys = TableKeys {
    path: "populations.NAME.start",
    kind_key: None,
    keys: &[
        key("sequence", "whole number", Nothing("none"), "from this sequence or offset on"),
        key(
            "time",
            "duration since the run's zero",
            Nothing("none"),
            "from the first message stored then or later",
        ),
    ],
};

const RESTART: &str = "subscriber-restart";
const SLOW: &str = "slow-subscriber";
const CRASH: &str = "broker-crash";

/// `[logs.NAME]`.
pub const LOG: TableKeys = TableKeys {
    path: "logs.NAME",
    kind_key: None,
    keys: &[
        key("filters", "list of channel filters", Needed, "the channels that it takes"),
        key(
            "partitions",
            "whole number, at least 1",
            Nothing("the contender's own"),
            "partitions, where there are any",
        ),
    ],
};

/// `[[faults]]`.
pub const FAULT: TableKeys = TableKeys {
    path: "faults",
    kind_key: Some("kind"),
    keys: &[
        key(
            "kind",
            "subscriber-restart, slow-subscriber, broker-crash, disk-stall or disk-full",
            Needed,
            "what goes wrong",
        ),
        of(
            &[RESTART, SLOW],
            key(
                "population",
                "name of a population that receives",
                Needed,
                "whose members it strikes",
            ),
        ),
        of(
            &[RESTART, SLOW],
            key("first", "whole number", Default("0"), "the first member, counted from 0"),
        ),
        of(
            &[RESTART, SLOW],
            key("members", "whole number, at least 1", Default("1"), "how many, from `first` on"),
        ),
        of(
            &[RESTART],
            key(
                "how",
                "killed or graceful",
                Default("\"killed\""),
                "whether it says goodbye first",
            ),
        ),
        of(
            &[CRASH],
            key(
                "how",
                "process-kill or power-loss",
                Default("\"process-kill\""),
                "whether what was written but not synced survives",
            ),
        ),
        of(&[SLOW], key("factor", "number, at least 1", Default("1.0"), "on the processing time")),
        of(&[SLOW], key("at_least", "duration", Default("\"0s\""), "shortest processing time")),
        key("at", "fraction of the sending part, or a duration", Needed, "when it begins"),
        key("for", "fraction of the sending part, or a duration", Needed, "how long it lasts"),
    ],
};

/// `[contenders.NAME]`; the contender's own settings come on top.
pub const CONTENDER: TableKeys = TableKeys {
    path: "contenders.NAME",
    kind_key: None,
    keys: &[
        key("preset", "name, or list of names", Nothing("none"), "named groups of settings"),
        key(
            "connections",
            "table: population = \"per-member\" or a whole number",
            Nothing("as the populations say"),
            "connections for this contender alone",
        ),
        key(
            "partitions",
            "table: log = whole number, at least 1",
            Nothing("as the logs say"),
            "partitions for this contender alone",
        ),
    ],
};

/// `[[objectives]]`.
pub const OBJECTIVE: TableKeys = TableKeys {
    path: "objectives",
    kind_key: None,
    keys: &[
        key(
            "subscription",
            "name of a population that receives or asks",
            Needed,
            "whose deliveries are judged",
        ),
        key("p50_delivery", "duration", Nothing("not judged"), "largest median delivery time"),
        key("p90_delivery", "duration", Nothing("not judged"), "largest 90th percentile"),
        key("p99_delivery", "duration", Nothing("not judged"), "largest 99th percentile"),
        key("p999_delivery", "duration", Nothing("not judged"), "largest 99.9th percentile"),
        key("max_delivery", "duration", Nothing("not judged"), "largest delivery time"),
        key(
            "loss",
            "share, 0 to 1",
            Nothing("not judged"),
            "largest share of expected deliveries that do not come",
        ),
        key(
            "acked_loss",
            "whole number",
            Nothing("not judged"),
            "most acknowledged messages that do not come",
        ),
        key(
            "duplicates",
            "share, 0 to 1",
            Nothing("not judged"),
            "largest share of deliveries that come again, marked or not",
        ),
        key(
            "unmarked",
            "share, 0 to 1",
            Nothing("not judged"),
            "largest share of deliveries that come again and are not marked as redeliveries",
        ),
        key(
            "unprocessed",
            "share, 0 to 1",
            Nothing("not judged"),
            "largest share of deliveries whose processing never succeeds, poison left out",
        ),
        key(
            "replay_complete",
            "share, 0 to 1",
            Nothing("not judged"),
            "least share of what is kept that a replay yields",
        ),
        key(
            "order",
            "whole number",
            Nothing("not judged"),
            "most deliveries out of their key's order",
        ),
        key(
            "throughput",
            "deliveries per second",
            Nothing("not judged"),
            "least deliveries per second in the steady phases",
        ),
    ],
};

/// All tables, in the order in which they are documented.
pub const ALL: &[&TableKeys] = &[
    &TOP,
    &PHASE,
    &LINK,
    &SITE,
    &POPULATION,
    &FIELD,
    &STREAM,
    &ARRIVAL,
    &SIZE,
    &PROCESSING,
    &START,
    &LOG,
    &FAULT,
    &CONTENDER,
    &OBJECTIVE,
];

/// The keys of a table as a Markdown table, as `scenarios/FORMAT.md` prints it.
pub fn markdown(table: &TableKeys) -> String {
    let mut out = String::from("| key | takes | default | meaning |\n|---|---|---|---|\n");
    for key in table.keys {
        let absent = match key.absent {
            Needed => "needed".to_owned(),
            Default(toml) => format!("`{toml}`"),
            Nothing(words) => words.to_owned(),
        };
        let only = match key.only {
            [] => String::new(),
            kinds => format!(" ({})", kinds.join(", ")),
        };
        let row = format!("| `{}`{only} | {} | {absent} | {} |\n", key.name, key.takes, key.doc);
        out.push_str(&row);
    }
    out
}
