//! The commands of the bus, as one table.
//!
//! Everything that is known of a command without carrying it out is here: its
//! name, how many arguments it takes, its flags and its categories of access
//! control. The parser, COMMAND, ACL CAT, the rules of the subscribed state and
//! INFO all read this table, so that they cannot disagree.

use super::verb_table::TABLE;

/// A command or a subcommand; see [`Spec`] for what is known of it.
pub use super::verb_table::Verb;

/// What is known of a command.
#[derive(Debug)]
pub struct Spec {
    /// Which one.
    pub verb: Verb,
    /// Its name in lower case, a subcommand behind a bar: `client|id`.
    pub name: &'static str,
    /// Words, its own name included (two words for a subcommand); a negative
    /// number is a minimum.
    pub arity: i8,
    /// See [`flag`].
    pub flags: u16,
    /// Bits of [`CATEGORIES`] that do not follow from the flags.
    pub extra_categories: u32,
    /// The group in COMMAND DOCS.
    pub group: &'static str,
    /// The release that brought it.
    pub since: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
}

/// Flags of commands, in the order in which COMMAND lists them.
pub mod flag {
    /// Changes the data set.
    pub const WRITE: u16 = 1;
    /// Administers the server.
    pub const ADMIN: u16 = 1 << 1;
    /// Belongs to Pub/Sub.
    pub const PUBSUB: u16 = 1 << 2;
    /// Not for scripts.
    pub const NOSCRIPT: u16 = 1 << 3;
    /// Allowed while a data set is loading.
    pub const LOADING: u16 = 1 << 4;
    /// Allowed on a stale replica.
    pub const STALE: u16 = 1 << 5;
    /// Never in the slow log.
    pub const SKIP_SLOWLOG: u16 = 1 << 6;
    /// Takes constant or logarithmic time.
    pub const FAST: u16 = 1 << 7;
    /// Allowed before authentication.
    pub const NO_AUTH: u16 = 1 << 8;
    /// Allowed while a script is busy.
    pub const ALLOW_BUSY: u16 = 1 << 9;
    /// Has subcommands.
    pub const CONTAINER: u16 = 1 << 10;

    /// The names that COMMAND gives them; [`CONTAINER`] has none.
    pub const NAMES: [&str; 10] = [
        "write",
        "admin",
        "pubsub",
        "noscript",
        "loading",
        "stale",
        "skip_slowlog",
        "fast",
        "no_auth",
        "allow_busy",
    ];
}

/// The categories of access control, in the order of ACL CAT. Those of keyspace
/// commands are known and nearly empty, so that rules written for the original
/// can be read. Each has the sign in front with which rules and COMMAND name it.
pub const CATEGORIES: [&str; 21] = [
    "@keyspace",
    "@read",
    "@write",
    "@set",
    "@sortedset",
    "@list",
    "@hash",
    "@string",
    "@bitmap",
    "@hyperloglog",
    "@geo",
    "@stream",
    "@pubsub",
    "@admin",
    "@fast",
    "@slow",
    "@blocking",
    "@dangerous",
    "@connection",
    "@transaction",
    "@scripting",
];

/// The place of a category in [`CATEGORIES`], without its sign and whatever its
/// case.
pub fn category(name: &[u8]) -> Option<u32> {
    let is = |known: &str| known.as_bytes()[1..].eq_ignore_ascii_case(name);
    let at = CATEGORIES.iter().position(|known| is(known));
    at.map(|at| at as u32)
}

// Access control keeps a bit of a `u128` for each.
const _: () = assert!(Verb::COUNT <= 128);

impl Verb {
    /// How many there are.
    pub const COUNT: usize = TABLE.len();

    /// All of them; a command is followed by its subcommands.
    pub fn all() -> impl Iterator<Item = Verb> {
        TABLE.iter().map(|spec| spec.verb)
    }

    /// What is known of it.
    #[inline]
    pub fn spec(self) -> &'static Spec {
        &TABLE[self as usize]
    }

    /// Its name in lower case, a subcommand behind a bar.
    #[inline]
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// Whether it has a flag of [`flag`].
    #[inline]
    pub fn has(self, flag: u16) -> bool {
        self.spec().flags & flag != 0
    }

    /// The command that this is a subcommand of.
    pub fn parent(self) -> Option<Verb> {
        let (parent, _) = self.name().split_once('|')?;
        Verb::all().find(|verb| verb.name() == parent)
    }

    /// Its subcommands.
    pub fn subcommands(self) -> impl Iterator<Item = Verb> {
        Verb::all().filter(move |verb| verb.parent() == Some(self))
    }

    /// The command called `name`, whatever its case.
    pub fn find(name: &[u8]) -> Option<Verb> {
        let known = |verb: &Verb| verb.name().as_bytes().eq_ignore_ascii_case(name);
        // A bar is part of no command, so that subcommands are not found here
        // unless they are asked for as such.
        Verb::all().find(known)
    }

    /// The subcommand called `name`, whatever its case.
    pub fn subcommand(self, name: &[u8]) -> Option<Verb> {
        let known = |verb: &Verb| {
            let own = verb.name().split_once('|');
            own.is_some_and(|(parent, own)| {
                parent == self.name() && own.as_bytes().eq_ignore_ascii_case(name)
            })
        };
        Verb::all().find(known)
    }

    /// Whether `words`, its own name included, are a number that it takes.
    pub fn takes(self, words: usize) -> bool {
        let arity = self.spec().arity;
        let wanted = usize::from(arity.unsigned_abs());
        if arity < 0 { words >= wanted } else { words == wanted }
    }

    /// Its categories, a bit for each of [`CATEGORIES`].
    pub fn categories(self) -> u32 {
        let bit = |name: &str| category(name.as_bytes()).map_or(0, |at| 1 << at);
        let given = |flag: u16, names: &[&str]| {
            if self.has(flag) { names.iter().map(|name| bit(name)).sum() } else { 0 }
        };
        let speed = if self.has(flag::FAST) { bit("fast") } else { bit("slow") };
        self.spec().extra_categories
            | speed
            | given(flag::WRITE, &["write"])
            | given(flag::PUBSUB, &["pubsub"])
            | given(flag::ADMIN, &["admin", "dangerous"])
    }

    /// Their names, as COMMAND lists them.
    pub fn category_names(self) -> impl Iterator<Item = &'static str> {
        let bits = self.categories();
        let numbered = CATEGORIES.iter().enumerate();
        numbered.filter(move |(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name)
    }

    /// The names of its flags, as COMMAND lists them.
    pub fn flag_names(self) -> impl Iterator<Item = &'static str> {
        let numbered = flag::NAMES.iter().enumerate();
        numbered.filter(move |(at, _)| self.has(1 << at)).map(|(_, name)| *name)
    }

    /// Whether a RESP2 connection with subscriptions may send it.
    pub fn allowed_while_subscribed(self) -> bool {
        use Verb::{
            PSubscribe, PUnsubscribe, Ping, Quit, Reset, SSubscribe, SUnsubscribe, Subscribe,
            Unsubscribe,
        };
        matches!(
            self,
            Subscribe
                | Unsubscribe
                | PSubscribe
                | PUnsubscribe
                | SSubscribe
                | SUnsubscribe
                | Ping
                | Quit
                | Reset
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_verb() {
        for (at, spec) in TABLE.iter().enumerate() {
            assert_eq!(spec.verb as usize, at, "{}", spec.name);
            assert_eq!(Verb::find(spec.name.to_uppercase().as_bytes()), Some(spec.verb));
        }
    }

    #[test]
    fn subcommands_know_their_command() {
        assert_eq!(Verb::ClientId.parent(), Some(Verb::Client));
        assert_eq!(Verb::Client.subcommand(b"Id"), Some(Verb::ClientId));
        assert_eq!(Verb::Client.subcommand(b"numpat"), None);
        assert_eq!(Verb::Ping.parent(), None);
        for verb in Verb::all() {
            assert_eq!(verb.has(flag::CONTAINER), verb.subcommands().next().is_some(), "{verb:?}");
        }
    }

    #[test]
    fn categories_are_the_flags_and_a_little_more() {
        let names = |verb: Verb| verb.category_names().collect::<Vec<_>>();
        assert_eq!(names(Verb::Subscribe), ["@pubsub", "@slow"]);
        assert_eq!(names(Verb::ClientKill), ["@admin", "@slow", "@dangerous", "@connection"]);
        assert_eq!(names(Verb::FlushAll), ["@keyspace", "@write", "@slow", "@dangerous"]);
        assert_eq!(names(Verb::Multi), ["@fast", "@transaction"]);
        assert_eq!(names(Verb::PubSub), ["@slow"]);
    }

    #[test]
    fn a_negative_arity_is_a_minimum() {
        assert!(Verb::Publish.takes(3) && !Verb::Publish.takes(4) && !Verb::Publish.takes(2));
        assert!(Verb::Ping.takes(1) && Verb::Ping.takes(9) && !Verb::Ping.takes(0));
        assert!(Verb::ClientId.takes(2) && !Verb::ClientId.takes(3));
    }
}
