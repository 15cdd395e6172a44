//! What is no command, or a command with a wrong number of arguments.

use broker_contract::{Effects, Time};

use crate::frame::Text;
use crate::node::Redis;

/// Bytes of the name, and of all arguments together, that an error repeats.
const SHOWN: usize = 128;

/// Commands that exist, so that what arrives here has the wrong arguments.
const COMMANDS: &[&str] = &[
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "unsubscribe",
    "punsubscribe",
    "sunsubscribe",
    "publish",
    "spublish",
    "ping",
    "echo",
    "hello",
    "select",
    "quit",
    "reset",
];

/// Commands that have subcommands, and these.
const CONTAINERS: &[(&str, &[&str])] = &[
    ("pubsub", &["channels", "numsub", "numpat", "shardchannels", "shardnumsub", "help"]),
    ("client", &["setname", "getname", "id"]),
];

impl Redis {
    pub(super) fn unknown(
        &mut self,
        now: Time,
        conn: u32,
        name: &[u8],
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let lower = String::from_utf8_lossy(name).to_ascii_lowercase();
        if COMMANDS.contains(&&*lower) {
            self.wrong_arity(now, conn, &lower, out);
        } else if let Some((_, subcommands)) =
            CONTAINERS.iter().find(|(container, _)| *container == lower)
        {
            self.unknown_subcommand(now, conn, &lower, subcommands, args, out);
        } else {
            let text = unknown_command(name, args);
            self.error(now, conn, &text, out);
        }
    }

    pub(super) fn wrong_arity(
        &mut self,
        now: Time,
        conn: u32,
        name: &str,
        out: &mut Effects<Self>,
    ) {
        let text = format!("ERR wrong number of arguments for '{name}' command");
        self.error(now, conn, &text, out);
    }

    fn unknown_subcommand(
        &mut self,
        now: Time,
        conn: u32,
        container: &str,
        subcommands: &[&str],
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let Some(given) = args.first() else {
            self.wrong_arity(now, conn, container, out);
            return;
        };
        let given = shown(given, SHOWN);
        let lower = given.to_ascii_lowercase();
        let upper = container.to_ascii_uppercase();
        let text = match &*lower {
            // These two take an optional argument, which the original checks by itself.
            "channels" | "shardchannels" if container == "pubsub" => format!(
                "ERR unknown subcommand or wrong number of arguments for '{given}'. Try {upper} \
                 HELP."
            ),
            _ if subcommands.contains(&&*lower) => {
                format!("ERR wrong number of arguments for '{container}|{lower}' command")
            }
            _ => format!("ERR unknown subcommand '{given}'. Try {upper} HELP."),
        };
        self.error(now, conn, &text, out);
    }
}

fn unknown_command(name: &[u8], args: &[Text]) -> String {
    let mut list = String::new();
    for arg in args {
        if list.len() >= SHOWN {
            break;
        }
        list += &format!("'{}' ", shown(arg, SHOWN - list.len()));
    }
    format!("ERR unknown command '{}', with args beginning with: {list}", shown(name, SHOWN))
}

/// At most `max` bytes as text.
fn shown(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
}
