//! What is said: commands of the bus in every shape, and what is none.

use std::fmt;

use proptest::prelude::*;

/// Some steps, each on one of a few connections.
#[derive(Clone, Debug)]
pub struct Script {
    /// What is said, in order.
    pub steps: Vec<Step>,
}

/// Bytes that are written at once on one connection.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which connection says it.
    pub conn: usize,
    /// What it says.
    pub parts: Vec<Part>,
}

/// A command, or what is none.
#[derive(Clone, Debug)]
pub enum Part {
    /// An array of bulk strings.
    Words(Vec<String>),
    /// The same words in a line.
    Line(Vec<String>),
    /// Bytes as they are.
    Raw(&'static str),
}

const CONNECTIONS: usize = 3;

/// Commands with their arguments. A word in braces is drawn: `{c}` a channel, `{p}` a
/// pattern, `{t}` a text, `{u}` a user, `{w}` a password, `{r}` a rule, `{i}` the
/// number of a connection, `{n}` a number or what looks like one.
const COMMANDS: &[&str] = &[
    "PING",
    "PING {t}",
    "SUBSCRIBE {c}",
    "SUBSCRIBE {c} {c} {c}",
    "PSUBSCRIBE {p}",
    "PSUBSCRIBE {p} {p}",
    "SSUBSCRIBE {c}",
    "SSUBSCRIBE {c} {c}",
    "UNSUBSCRIBE",
    "UNSUBSCRIBE {c}",
    "UNSUBSCRIBE {c} {c}",
    "PUNSUBSCRIBE",
    "PUNSUBSCRIBE {p}",
    "SUNSUBSCRIBE",
    "SUNSUBSCRIBE {c}",
    "PUBLISH {c} {t}",
    "PUBLISH {c} {t}",
    "PUBLISH {c} {t}",
    "PUBLISH {c} {t}",
    "SPUBLISH {c} {t}",
    "SPUBLISH {c} {t}",
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO 3",
    "HELLO {n}",
    "HELLO 3 AUTH {u} {w}",
    "HELLO 3 SETNAME {t}",
    "HELLO 2 AUTH {u} {w} SETNAME {t}",
    "HELLO 3 {t} {t}",
    "HELLO 3 AUTH {u}",
    "AUTH {w}",
    "AUTH {u} {w}",
    "AUTH {u} {w} {t}",
    "ECHO {t}",
    "SELECT {n}",
    "SELECT 1",
    "QUIT",
    "QUIT {t}",
    "RESET",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH {c}",
    "UNWATCH",
    "PUBSUB",
    "PUBSUB CHANNELS",
    "PUBSUB CHANNELS {p}",
    "PUBSUB CHANNELS {p} {t}",
    "PUBSUB NUMSUB",
    "PUBSUB NUMSUB {c} {c}",
    "PUBSUB NUMPAT",
    "PUBSUB NUMPAT {t}",
    "PUBSUB SHARDCHANNELS",
    "PUBSUB SHARDCHANNELS {p}",
    "PUBSUB SHARDNUMSUB",
    "PUBSUB SHARDNUMSUB {c}",
    "PUBSUB HELP",
    "PUBSUB {t}",
    "CLIENT",
    "CLIENT ID",
    "CLIENT ID {t}",
    "CLIENT GETNAME",
    "CLIENT SETNAME {t}",
    "CLIENT SETNAME",
    "CLIENT INFO",
    "CLIENT LIST",
    "CLIENT LIST TYPE normal",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST TYPE {t}",
    "CLIENT LIST ID {i}",
    "CLIENT LIST ID {i} {i}",
    "CLIENT LIST ID {n}",
    "CLIENT LIST {t}",
    "CLIENT KILL ID {i}",
    "CLIENT KILL ID {n}",
    "CLIENT KILL ID {i} SKIPME no",
    "CLIENT KILL ID {i} TYPE normal",
    "CLIENT KILL TYPE pubsub",
    "CLIENT KILL TYPE replica",
    "CLIENT KILL TYPE {t}",
    "CLIENT KILL USER {u} ID {i}",
    "CLIENT KILL USER nobody",
    "CLIENT KILL ADDR 127.0.0.1:1",
    "CLIENT KILL SKIPME {t}",
    "CLIENT KILL 127.0.0.1:1",
    "CLIENT KILL {t} {t} {t}",
    "CLIENT KILL",
    "CLIENT REPLY ON",
    "CLIENT REPLY OFF",
    "CLIENT REPLY SKIP",
    "CLIENT REPLY {t}",
    "CLIENT REPLY",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT off",
    "CLIENT NO-EVICT {t}",
    "CLIENT HELP",
    "CLIENT {t}",
    "CONFIG",
    "CONFIG GET maxclients",
    "CONFIG GET MaxClients timeout",
    "CONFIG GET acl*",
    "CONFIG GET client-output-buffer-limit",
    "CONFIG GET nothing",
    "CONFIG GET",
    "CONFIG SET timeout {n}",
    "CONFIG SET timeout 100 timeout 200",
    "CONFIG SET nothing {t}",
    "CONFIG SET maxclients {n}x",
    "CONFIG SET acllog-max-len {n}",
    "CONFIG SET acl-pubsub-default {t}",
    "CONFIG SET acl-pubsub-default allchannels",
    "CONFIG SET client-output-buffer-limit {t}",
    "CONFIG SET timeout",
    "CONFIG HELP",
    "CONFIG {t}",
    "CONFIG REWRITE",
    "COMMAND COUNT {t}",
    "COMMAND INFO ping publish subscribe",
    "COMMAND INFO nothing",
    "COMMAND INFO client|id pubsub|channels acl|whoami",
    "COMMAND {t}",
    "INFO",
    "INFO nothing",
    "INFO server",
    "ACL",
    "ACL WHOAMI",
    "ACL WHOAMI {t}",
    "ACL USERS",
    "ACL LIST",
    "ACL CAT {t}",
    "ACL CAT pubsub {t}",
    "ACL SETUSER {u} {r}",
    "ACL SETUSER {u} on nopass {r} {r}",
    "ACL SETUSER u1 on >p allcommands resetchannels &a",
    "ACL SETUSER u2 on >q allcommands allchannels",
    "ACL SETUSER {u} {r} {r} {r}",
    "ACL SETUSER {t}",
    "ACL SETUSER",
    "ACL GETUSER {u}",
    "ACL GETUSER nobody",
    "ACL DELUSER {u}",
    "ACL DELUSER nobody {u}",
    "ACL DELUSER default",
    "ACL DRYRUN {u} PUBLISH {c} {t}",
    "ACL DRYRUN {u} SUBSCRIBE {c} {c}",
    "ACL DRYRUN {u} PSUBSCRIBE {p}",
    "ACL DRYRUN {u} PING",
    "ACL DRYRUN {u} {t}",
    "ACL DRYRUN nobody PING",
    "ACL LOG",
    "ACL LOG {n}",
    "ACL LOG RESET",
    "ACL LOAD",
    "ACL SAVE",
    "ACL HELP",
    "ACL {t}",
    "FLUSHALL",
    "FLUSHALL ASYNC",
    "FLUSHALL {t}",
    "FLUSHDB SYNC",
    "FUNCTION FLUSH",
    "FUNCTION FLUSH {t}",
    "FUNCTION {t}",
    "TIME",
    "TIME {t}",
    "NOTHING",
    "NOTHING {t} {t}",
    "",
];

const CHANNELS: &[&str] = &["a", "news", "news.1", "b", "news.*", "", "A", "a b"];
const PATTERNS: &[&str] =
    &["*", "a", "n*", "news.?", "[ab]", "[^a]", "news.*", "\\a", "", "[z-a]", "[a", "a**"];
const TEXTS: &[&str] =
    &["x", "hello", "", "with space", "a\r\nb", "on", "\u{1}\"'\\", "CHANNELS", "-1", "name"];
const USERS: &[&str] = &["u1", "u2", "default"];
const PASSWORDS: &[&str] = &["p", "q", "", "wrong"];
const RULES: &[&str] = &[
    "on",
    "off",
    ">p",
    ">q",
    "<p",
    "nopass",
    "resetpass",
    "&a",
    "&news*",
    "&*",
    "allchannels",
    "resetchannels",
    "+@all",
    "-@all",
    "allcommands",
    "nocommands",
    "+publish",
    "-publish",
    "+@pubsub",
    "-@pubsub",
    "+client|id",
    "+ping",
    "~*",
    "allkeys",
    "resetkeys",
    "reset",
    "~a",
    "&",
    "+@nothing",
    "wrong",
    ">",
    "<none",
    "#abc",
    "!abc",
    "+@dangerous",
    "-subscribe",
    "#2c624232cdd221771294dfbb310aca000a0df6ac8b66b696d90ef06fdefb64a3",
    "%R~*",
    "sanitize-payload",
];
const NUMBERS: &[&str] =
    &["0", "1", "2", "3", "15", "16", "-1", "x", "", "01", " 1", "9223372036854775808", "1.5"];

/// Bytes that are no command, or one in an odd shape.
const RAW: &[&str] = &[
    "\r\n",
    "\n",
    "*0\r\n",
    "*-1\r\n",
    "*-5\r\n",
    "PING\n",
    "  PING   \r\n",
    "ping 'a b' \"\\x41\\n\"\r\n",
    "PUBLISH a 'it\\'s'\r\n",
    "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$0\r\n\r\n",
    "*2\r\n$4\r\n",
    "ECHO\r\n\r\n",
    "*a\r\n",
    "*\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n$a\r\n",
    "*1\r\n$\r\n",
    "*1\r\n$600000000\r\n",
    "*2147483648\r\n",
    "*1025\r\n",
    "*01\r\n",
    "*+1\r\n",
    "* 1\r\n",
    "*1\r\n$04\r\nPING\r\n",
    "ping 'unbalanced\r\n",
    "ping \"a\"b\r\n",
    "$4\r\nPING\r\n",
    "+OK\r\n",
    "Host: a\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    "*1\r\n$20000\r\n",
];

fn pick(pool: &[&'static str], draw: u8) -> String {
    pool[usize::from(draw) % pool.len()].to_owned()
}

fn fill(template: &'static str, draws: &[u8]) -> Vec<String> {
    let mut draws = draws.iter().copied().cycle();
    template
        .split(' ')
        .map(|word| {
            let draw = draws.next().unwrap_or(0);
            let pool = match word {
                "{c}" => CHANNELS,
                "{p}" => PATTERNS,
                "{t}" => TEXTS,
                "{u}" => USERS,
                "{w}" => PASSWORDS,
                "{r}" => RULES,
                "{n}" => NUMBERS,
                "{n}x" => return pick(NUMBERS, draw) + "x",
                "{i}" => return format!("{{id{}}}", usize::from(draw) % CONNECTIONS),
                word => return word.to_owned(),
            };
            pick(pool, draw)
        })
        .collect()
}

fn any_part() -> impl Strategy<Value = Part> {
    let words = (prop::sample::select(COMMANDS), prop::array::uniform8(any::<u8>()), 0..20_u8);
    let words = words.prop_map(|(template, draws, twist)| {
        let mut words = fill(template, &draws);
        match twist {
            16 => words[0] = words[0].to_lowercase(),
            17 => words.iter_mut().take(2).for_each(|word| *word = word.to_lowercase()),
            18 => words.push(pick(TEXTS, draws[7])),
            19 if words.len() > 1 => drop(words.pop()),
            _ => {}
        }
        words
    });
    prop_oneof![
        16 => words.clone().prop_map(Part::Words),
        2 => words.prop_map(Part::Line),
        1 => prop::sample::select(RAW).prop_map(Part::Raw),
    ]
}

/// A script of up to 25 steps.
pub fn any_script() -> impl Strategy<Value = Script> {
    let parts = prop_oneof![
        5 => prop::collection::vec(any_part(), 1),
        1 => prop::collection::vec(any_part(), 2..4),
    ];
    let step = (0..CONNECTIONS, parts).prop_map(|(conn, parts)| Step { conn, parts });
    prop::collection::vec(step, 1..25).prop_map(|mut steps| {
        // A line with nothing in it uses up a CLIENT REPLY SKIP in the original.
        if steps.iter().any(|step| step.says(&["client", "reply", "skip"])) {
            let is_empty = |part: &Part| matches!(part, Part::Raw(raw)
                if raw.starts_with(['\r', '\n', ' ']) || raw.starts_with("*0") || raw.starts_with("*-")
                    || raw.starts_with("ECHO"));
            steps.iter_mut().for_each(|step| step.parts.retain(|part| !is_empty(part)));
        }
        Script { steps }
    })
}

impl Script {
    /// Connections that it uses.
    pub fn connections(&self) -> usize {
        CONNECTIONS
    }
}

impl Step {
    /// What is written, where connections have these numbers.
    pub fn bytes(&self, ids: &[u64]) -> Vec<u8> {
        let id = |word: &String| {
            let at = word.strip_prefix("{id").and_then(|rest| rest.strip_suffix('}'));
            let id = at.and_then(|at| ids.get(at.parse::<usize>().ok()?));
            id.map_or_else(|| word.clone(), u64::to_string)
        };
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Raw(raw) => bytes.extend_from_slice(raw.as_bytes()),
                Part::Words(words) => {
                    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
                    for word in words.iter().map(id) {
                        bytes
                            .extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
                    }
                }
                Part::Line(words) => {
                    let quoted = |word: String| {
                        let is_plain =
                            !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
                        if is_plain && !word.contains(['"', '\'', '\\']) {
                            return word;
                        }
                        let hex = word.bytes().map(|byte| format!("\\x{byte:02x}"));
                        format!("\"{}\"", hex.collect::<String>())
                    };
                    let line: Vec<String> = words.iter().map(id).map(quoted).collect();
                    bytes.extend_from_slice(format!("{}\r\n", line.join(" ")).as_bytes());
                }
            }
        }
        bytes
    }

    /// Whether one of its commands begins with these words.
    pub fn says(&self, words: &[&str]) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Words(said) | Part::Line(said) => {
                said.len() >= words.len()
                    && said.iter().zip(words).all(|(said, word)| said.eq_ignore_ascii_case(word))
            }
            Part::Raw(_) => false,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.conn)?;
        for part in &self.parts {
            match part {
                Part::Raw(raw) => write!(f, " raw {raw:?}")?,
                Part::Words(words) => write!(f, " {words:?}")?,
                Part::Line(words) => write!(f, " line {words:?}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "  {:2} {step}", number + 1)?;
        }
        Ok(())
    }
}
