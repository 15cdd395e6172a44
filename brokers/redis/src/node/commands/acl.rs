//! ACL.

use broker_contract::{Effects, Time};

use super::config::set_password;
use super::connection::NOT_INTEGER;
use super::options::{integer, is, lossy};
use crate::frame::verb::{CATEGORIES, category};
use crate::frame::{Kind, Mistake, Proto, Reply, Text, Up, Verb, resolve, text};
use crate::node::acl::{Denied, Refused, User, UserId, Users, hex, read_user};
use crate::node::conn::gate;
use crate::node::{Redis, RedisConfig};

const NO_FILE: &str = "ERR This Redis instance is not configured to use an ACL file. You may want \
                       to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE \
                       (assuming you have a Redis configuration file set) in order to store users \
                       in the Redis configuration.";
const NO_RANDOMNESS: &str =
    "ERR ACL GENPASS is refused: a node has no randomness that would make a good password";
const BAD_USER_NAME: &str = "ERR Usernames can't contain spaces or null characters";
const TOO_MANY: &str = "ERR there are too many users";

/// The users that a configuration names.
///
/// # Errors
/// What is wrong with one of them, in a line.
pub(in crate::node) fn boot_users(config: &RedisConfig) -> Result<Users, String> {
    let mut users = Users::new();
    for line in &config.users {
        let user = read_user(&users, line, config.acl_all_channels)?;
        users.put(user).ok_or("there are too many users")?;
    }
    if !config.requirepass.is_empty() {
        let mut default = users.get(UserId::DEFAULT).clone();
        set_password(&mut default, &config.requirepass);
        users.put(default);
    }
    Ok(users)
}

impl Redis {
    pub(super) fn acl(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let proto = self.conns.get(conn).proto;
        let reply = match (verb, args) {
            (Verb::AclWhoAmI, _) => Ok(Reply::Bulk(self.user(conn).name.clone())),
            (Verb::AclUsers, _) => {
                let names = self.users.iter().map(|user| Reply::Bulk(user.name.clone()));
                Ok(Reply::Array(names.collect()))
            }
            (Verb::AclList, _) => {
                let lines = self.users.iter().map(|user| Reply::bulk(user.describe()));
                Ok(Reply::Array(lines.collect()))
            }
            (Verb::AclGetUser, [name]) => Ok(match self.users.find(name) {
                Some(id) => shown(proto, self.users.get(id)),
                None => Reply::Null(proto),
            }),
            (Verb::AclSetUser, [name, rules @ ..]) => self.set_user(conn, name, rules, out),
            (Verb::AclDelUser, names) => self.delete_users(conn, names, out),
            (Verb::AclCat, []) => {
                Ok(Reply::Array(CATEGORIES.iter().map(|name| Reply::bulk(&name[1..])).collect()))
            }
            (Verb::AclCat, [name]) => of_category(name),
            (Verb::AclLog, []) => Ok(self.denied_list(now, proto, 10)),
            (Verb::AclLog, [word]) if is(word, "reset") => {
                self.denied.clear();
                Ok(Reply::Simple("OK"))
            }
            (Verb::AclLog, [count]) => match integer(count) {
                Some(count) => {
                    let count = usize::try_from(count).unwrap_or(0);
                    Ok(self.denied_list(now, proto, count))
                }
                None => Err(NOT_INTEGER.to_owned()),
            },
            (Verb::AclDryRun, [name, words @ ..]) => self.dry_run(name, words),
            (Verb::AclGenPass, _) => Err(NO_RANDOMNESS.to_owned()),
            (Verb::AclLoad | Verb::AclSave, _) => Err(NO_FILE.to_owned()),
            _ => return self.wrong_options(now, conn, verb, out),
        };
        match reply {
            Ok(reply) => self.reply(now, conn, reply, out),
            Err(text) => self.error(now, conn, &text, out),
        }
    }

    /// Notes for ACL LOG that somebody was denied something.
    pub(super) fn note_denied(
        &mut self,
        now: Time,
        conn: u32,
        reason: &'static str,
        context: &'static str,
        object: Text,
        user: Text,
    ) {
        let client = self.describe(now, conn);
        let entry = Denied { reason, context, object, user, client, count: 1, at: now };
        let max = usize::try_from(self.config.acllog_max_len).unwrap_or(usize::MAX);
        self.denied.add(entry, max);
    }

    /// All rules, or none.
    fn set_user(
        &mut self,
        conn: u32,
        name: &Text,
        rules: &[Text],
        out: &mut Effects<Self>,
    ) -> Result<Reply, String> {
        if name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return Err(BAD_USER_NAME.to_owned());
        }
        let mut user = match self.users.find(name) {
            Some(id) => self.users.get(id).clone(),
            None => User::powerless(name.clone(), self.config.acl_all_channels),
        };
        for rule in rules {
            user.apply(rule, self.config.acl_all_channels).map_err(|why| {
                format!("ERR Error in ACL SETUSER modifier '{}': {why}", lossy(rule))
            })?;
        }
        let id = self.users.put(user).ok_or(TOO_MANY)?;
        self.review(conn, id, out);
        Ok(Reply::Simple("OK"))
    }

    /// Connections of a user whose rules have changed are looked at: what each
    /// command has to ask, and whether subscriptions are still allowed.
    fn review(&mut self, killer: u32, id: UserId, out: &mut Effects<Self>) {
        let user = self.users.get(id);
        let guarded = !user.is_unlimited();
        let mut forbidden = Vec::new();
        for (at, state) in self.conns.iter() {
            if state.user != id || user.all_channels || !state.has_subscriptions() {
                continue;
            }
            let allowed = |kind: Kind| {
                self.topics.names_of(&self.conns, at, kind).iter().all(|name| match kind {
                    Kind::Pattern => user.may_use_pattern(name),
                    Kind::Channel | Kind::Shard => user.may_use(name),
                })
            };
            if ![Kind::Channel, Kind::Pattern, Kind::Shard].into_iter().all(allowed) {
                forbidden.push(at);
            }
        }
        for state in self.conns.iter_mut().filter(|state| state.user == id) {
            state.set(gate::GUARDED, guarded);
        }
        for at in forbidden {
            self.kill(killer, at, out);
        }
    }

    /// Their connections end with them.
    fn delete_users(
        &mut self,
        conn: u32,
        names: &[Text],
        out: &mut Effects<Self>,
    ) -> Result<Reply, String> {
        if names.iter().any(|name| **name == *b"default") {
            return Err("ERR The 'default' user cannot be removed".to_owned());
        }
        let mut removed = 0;
        for name in names {
            let Some(id) = self.users.remove(name) else { continue };
            removed += 1;
            let of_it = self.conns.iter().filter(|(_, state)| state.user == id);
            let of_it: Vec<u32> = of_it.map(|(at, _)| at).collect();
            for at in of_it {
                // Nobody is left with a number that another user may get.
                self.become_user(at, UserId::DEFAULT, false, out);
                self.kill(conn, at, out);
            }
        }
        Ok(Reply::Integer(removed))
    }

    fn denied_list(&self, now: Time, proto: Proto, count: usize) -> Reply {
        let shown = |entry: &Denied| {
            let millis = now.since(entry.at).as_millis();
            let age = format!("{}.{:03}", millis / 1_000, millis % 1_000);
            let entries = [
                ("count", Reply::Integer(entry.count as i64)),
                ("reason", Reply::bulk(entry.reason)),
                ("context", Reply::bulk(entry.context)),
                ("object", Reply::Bulk(entry.object.clone())),
                ("username", Reply::Bulk(entry.user.clone())),
                ("age-seconds", Reply::Double(proto, text(age))),
                ("client-info", Reply::bulk(&entry.client)),
            ];
            Reply::Map(proto, entries.map(|(key, value)| (Reply::bulk(key), value)).into())
        };
        Reply::Array(self.denied.iter().take(count).map(shown).collect())
    }

    /// Whether a user may run a command, without running it.
    fn dry_run(&self, name: &Text, words: &[Text]) -> Result<Reply, String> {
        let user = self.users.find(name);
        let user = user.ok_or_else(|| format!("ERR User '{}' not found", lossy(name)))?;
        let Some((first, args)) = words.split_first() else {
            return Err("ERR wrong number of arguments for 'acl|dryrun' command".to_owned());
        };
        let verb = match resolve(first, args) {
            Ok((verb, _)) => verb,
            Err(Mistake::Arity(verb)) => {
                let name = verb.name();
                return Err(format!("ERR wrong number of arguments for '{name}' command"));
            }
            Err(Mistake::Unknown | Mistake::Subcommand(_)) => {
                return Err(format!("ERR Command '{}' not found", lossy(first)));
            }
        };
        let up = Up::from_args(words).unwrap_or(Up::Quit);
        Ok(match self.users.get(user).check(verb, &up) {
            Ok(()) => Reply::Simple("OK"),
            Err(Refused::Command(verb)) => Reply::bulk(format!(
                "This user has no permissions to run the '{}' command",
                verb.name()
            )),
            Err(Refused::Channel(channel)) => Reply::bulk(format!(
                "This user has no permissions to access the '{}' channel",
                lossy(&channel)
            )),
            Err(Refused::Key(key)) => Reply::bulk(format!(
                "This user has no permissions to access the '{}' key",
                lossy(&key)
            )),
        })
    }
}

fn of_category(name: &Text) -> Result<Reply, String> {
    let at = category(name).ok_or_else(|| format!("ERR Unknown category '{}'", lossy(name)))?;
    let of_it = Verb::all().filter(|verb| verb.categories() & (1 << at) != 0);
    Ok(Reply::Array(of_it.map(|verb| Reply::bulk(verb.name())).collect()))
}

/// A user as ACL GETUSER shows it.
fn shown(proto: Proto, user: &User) -> Reply {
    let flags = user.flags().into_iter().map(Reply::bulk).collect();
    let passwords = user.passwords.iter().map(|hash| Reply::bulk(hex(hash))).collect();
    let keys: Vec<&[u8]> = user.keys.iter().map(|key| &key[..]).collect();
    let entries = [
        ("flags", Reply::Set(proto, flags)),
        ("passwords", Reply::Array(passwords)),
        ("commands", Reply::bulk(&user.command_rules)),
        ("keys", Reply::bulk(keys.join(&b' '))),
        ("channels", Reply::bulk(user.channel_rules())),
        ("selectors", Reply::Array([].into())),
    ];
    Reply::Map(proto, entries.map(|(key, value)| (Reply::bulk(key), value)).into())
}
