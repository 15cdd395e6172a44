//! The rows of the table; `verb.rs` says what they mean.
//!
//! Names, arities, flags and categories are those that 7.0.15 lists, and 7.2 for
//! the two subcommands that came with it.

use super::verb::Spec;
use super::verb::flag::*;

/// Subscribing and unsubscribing.
const SUB: u16 = PUBSUB | NOSCRIPT | LOADING | STALE;
/// Publishing.
const PUB: u16 = PUBSUB | LOADING | STALE | FAST;
/// Looking at subscriptions.
const SHOW: u16 = PUBSUB | LOADING | STALE;
/// Reading, for everybody.
const HELP: u16 = LOADING | STALE;
/// Quick and harmless.
const FREE: u16 = LOADING | STALE | FAST;
/// What a client may do before it has authenticated.
const OPEN: u16 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;
/// A client's own connection.
const OWN: u16 = NOSCRIPT | LOADING | STALE;
/// Administration.
const RULE: u16 = ADMIN | NOSCRIPT | LOADING | STALE;
/// A command that has subcommands and works without.
const COMMAND: u16 = LOADING | STALE | CONTAINER;
/// What empties something.
const FLUSH: u16 = WRITE | NOSCRIPT;
/// The steps of a transaction.
const TURN: u16 = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY;
/// The end of a transaction.
const EXEC: u16 = NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG;

const KEYSPACE_DANGEROUS: u32 = 1 | DANGEROUS;
const DANGEROUS: u32 = 1 << 17;
const CONNECTION: u32 = 1 << 18;
const TRANSACTION: u32 = 1 << 19;
const SCRIPTING: u32 = 1 << 20;

macro_rules! verbs {
    ($($verb:ident $name:literal $arity:literal $flags:ident $categories:expr, $group:literal
       $since:literal $summary:literal;)*) => {
        /// A command or a subcommand.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Verb {
            $(#[doc = $summary] $verb,)*
        }

        /// In the order of [`Verb`].
        pub(super) const TABLE: &[Spec] = &[
            $(Spec {
                verb: Verb::$verb,
                name: $name,
                arity: $arity,
                flags: $flags,
                extra_categories: $categories,
                group: $group,
                since: $since,
                summary: $summary,
            },)*
        ];
    };
}

verbs! {
    Subscribe "subscribe" -2 SUB 0, "pubsub" "2.0.0"
        "Adds channels to what this connection hears.";
    Unsubscribe "unsubscribe" -1 SUB 0, "pubsub" "2.0.0"
        "Stops hearing channels, or all of them.";
    PSubscribe "psubscribe" -2 SUB 0, "pubsub" "2.0.0"
        "Adds glob patterns over channels.";
    PUnsubscribe "punsubscribe" -1 SUB 0, "pubsub" "2.0.0"
        "Stops hearing patterns, or all of them.";
    SSubscribe "ssubscribe" -2 SUB 0, "pubsub" "7.0.0"
        "Adds sharded channels.";
    SUnsubscribe "sunsubscribe" -1 SUB 0, "pubsub" "7.0.0"
        "Stops hearing sharded channels, or all of them.";
    Publish "publish" 3 PUB 0, "pubsub" "2.0.0"
        "Sends a message to a channel.";
    SPublish "spublish" 3 PUB 0, "pubsub" "7.0.0"
        "Sends a message to a sharded channel.";
    PubSub "pubsub" -2 CONTAINER 0, "pubsub" "2.8.0"
        "Shows what is subscribed to.";
    PubSubChannels "pubsub|channels" -2 SHOW 0, "pubsub" "2.8.0"
        "Lists channels with subscribers.";
    PubSubNumSub "pubsub|numsub" -2 SHOW 0, "pubsub" "2.8.0"
        "Counts the subscribers of channels.";
    PubSubNumPat "pubsub|numpat" 2 SHOW 0, "pubsub" "2.8.0"
        "Counts distinct patterns.";
    PubSubShardChannels "pubsub|shardchannels" -2 SHOW 0, "pubsub" "7.0.0"
        "Lists sharded channels with subscribers.";
    PubSubShardNumSub "pubsub|shardnumsub" -2 SHOW 0, "pubsub" "7.0.0"
        "Counts the subscribers of sharded channels.";
    PubSubHelp "pubsub|help" 2 HELP 0, "pubsub" "6.2.0"
        "Lists the subcommands.";
    Ping "ping" -1 FAST CONNECTION, "connection" "1.0.0"
        "Answers, so that a peer knows that it is heard.";
    Echo "echo" 2 FREE CONNECTION, "connection" "1.0.0"
        "Repeats its argument.";
    Hello "hello" -1 OPEN CONNECTION, "connection" "6.0.0"
        "Chooses the protocol's version; may authenticate.";
    Auth "auth" -2 OPEN CONNECTION, "connection" "1.0.0"
        "Proves who the client is.";
    Select "select" 2 FREE CONNECTION, "connection" "1.0.0"
        "Chooses a database; all of them are empty.";
    Quit "quit" -1 OPEN CONNECTION, "connection" "1.0.0"
        "Ends the connection.";
    Reset "reset" 1 OPEN CONNECTION, "connection" "6.2.0"
        "Puts the connection back into its first state.";
    Client "client" -2 CONTAINER 0, "connection" "2.4.0"
        "Looks after connections.";
    ClientGetName "client|getname" 2 OWN CONNECTION, "connection" "2.6.9"
        "Says this connection's name.";
    ClientHelp "client|help" 2 HELP CONNECTION, "connection" "5.0.0"
        "Lists the subcommands.";
    ClientId "client|id" 2 OWN CONNECTION, "connection" "5.0.0"
        "Says this connection's number.";
    ClientInfo "client|info" 2 OWN CONNECTION, "connection" "6.2.0"
        "Describes this connection.";
    ClientKill "client|kill" -3 RULE CONNECTION, "connection" "2.4.0"
        "Closes connections.";
    ClientList "client|list" -2 RULE CONNECTION, "connection" "2.4.0"
        "Describes connections.";
    ClientNoEvict "client|no-evict" 3 RULE CONNECTION, "connection" "7.0.0"
        "Spares this connection when memory is short.";
    ClientNoTouch "client|no-touch" 3 OWN CONNECTION, "connection" "7.2.0"
        "Leaves the age of keys alone; there are none.";
    ClientReply "client|reply" 3 OWN CONNECTION, "connection" "3.2.0"
        "Turns replies off and on.";
    ClientSetInfo "client|setinfo" 4 OWN CONNECTION, "connection" "7.2.0"
        "Tells the client library's name or version.";
    ClientSetName "client|setname" 3 OWN CONNECTION, "connection" "2.6.9"
        "Names this connection.";
    Info "info" -1 HELP DANGEROUS, "server" "1.0.0"
        "Describes the server, section by section.";
    Config "config" -2 CONTAINER 0, "server" "2.0.0"
        "Reads and changes settings.";
    ConfigGet "config|get" -3 RULE 0, "server" "2.0.0"
        "Shows the settings that match patterns.";
    ConfigHelp "config|help" 2 HELP 0, "server" "5.0.0"
        "Lists the subcommands.";
    ConfigResetStat "config|resetstat" 2 RULE 0, "server" "2.0.0"
        "Sets the statistics of INFO to zero.";
    ConfigRewrite "config|rewrite" 2 RULE 0, "server" "2.8.0"
        "Refused: there is no configuration file.";
    ConfigSet "config|set" -4 RULE 0, "server" "2.0.0"
        "Changes settings, all of them or none.";
    Command "command" -1 COMMAND CONNECTION, "server" "2.8.13"
        "Describes the commands.";
    CommandCount "command|count" 2 HELP CONNECTION, "server" "2.8.13"
        "Counts the commands.";
    CommandDocs "command|docs" -2 HELP CONNECTION, "server" "7.0.0"
        "Says what commands do.";
    CommandHelp "command|help" 2 HELP CONNECTION, "server" "5.0.0"
        "Lists the subcommands.";
    CommandInfo "command|info" -2 HELP CONNECTION, "server" "2.8.13"
        "Describes some commands.";
    CommandList "command|list" -2 HELP CONNECTION, "server" "7.0.0"
        "Lists the names of commands.";
    FlushAll "flushall" -1 WRITE KEYSPACE_DANGEROUS, "server" "1.0.0"
        "Does nothing: there are no keys.";
    FlushDb "flushdb" -1 WRITE KEYSPACE_DANGEROUS, "server" "1.0.0"
        "Does nothing: there are no keys.";
    Function "function" -2 CONTAINER 0, "scripting" "7.0.0"
        "Looks after functions; there are none.";
    FunctionFlush "function|flush" -2 FLUSH SCRIPTING, "scripting" "7.0.0"
        "Does nothing: there are no functions.";
    FunctionHelp "function|help" 2 HELP SCRIPTING, "scripting" "7.0.0"
        "Lists the subcommands.";
    Multi "multi" 1 TURN TRANSACTION, "transactions" "1.2.0"
        "Begins a transaction.";
    Exec "exec" 1 EXEC TRANSACTION, "transactions" "1.2.0"
        "Carries out the commands of a transaction.";
    Discard "discard" 1 TURN TRANSACTION, "transactions" "2.0.0"
        "Forgets the commands of a transaction.";
    Watch "watch" -2 TURN TRANSACTION, "transactions" "2.2.0"
        "Watches keys; none ever changes.";
    Unwatch "unwatch" 1 TURN TRANSACTION, "transactions" "2.2.0"
        "Stops watching keys.";
    Acl "acl" -2 CONTAINER 0, "server" "6.0.0"
        "Looks after users and what they may do.";
    AclCat "acl|cat" -2 OWN 0, "server" "6.0.0"
        "Lists the categories, or the commands of one.";
    AclDelUser "acl|deluser" -3 RULE 0, "server" "6.0.0"
        "Removes users and closes their connections.";
    AclDryRun "acl|dryrun" -4 RULE 0, "server" "7.0.0"
        "Says whether a user may run a command.";
    AclGenPass "acl|genpass" -2 OWN 0, "server" "6.0.0"
        "Refused: there is no randomness fit for a password.";
    AclGetUser "acl|getuser" 3 RULE 0, "server" "6.0.0"
        "Describes a user.";
    AclHelp "acl|help" 2 HELP 0, "server" "6.0.0"
        "Lists the subcommands.";
    AclList "acl|list" 2 RULE 0, "server" "6.0.0"
        "Lists the users with their rules.";
    AclLoad "acl|load" 2 RULE 0, "server" "6.0.0"
        "Refused: there is no file of users.";
    AclLog "acl|log" -2 RULE 0, "server" "6.0.0"
        "Lists what was denied lately.";
    AclSave "acl|save" 2 RULE 0, "server" "6.0.0"
        "Refused: there is no file of users.";
    AclSetUser "acl|setuser" -3 RULE 0, "server" "6.0.0"
        "Makes a user or changes its rules.";
    AclUsers "acl|users" 2 RULE 0, "server" "6.0.0"
        "Lists the names of users.";
    AclWhoAmI "acl|whoami" 2 OWN 0, "server" "6.0.0"
        "Says who this connection is.";
    Time "time" 1 FREE 0, "server" "2.6.0"
        "Says the time.";
}
