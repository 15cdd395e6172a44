//! CONFIG GET and CONFIG SET, for the settings that exist here and those that
//! clients ask for before they begin.

use std::time::Duration;

use broker_contract::{Effects, Time};

use super::connection::{DATABASES, SYNTAX};
use super::options::{integer, is, lossy};
use crate::frame::{Reply, Text};
use crate::glob;
use crate::node::acl::{User, UserId};
use crate::node::{OutputLimit, Redis, RedisConfig};

const LIMIT_COUNT: &str = "Wrong number of arguments in buffer limit configuration.";
const LIMIT_CLASS: &str = "Invalid client class specified in buffer limit configuration.";
const LIMIT_VALUE: &str =
    "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
const NOT_INTEGER: &str = "argument couldn't be parsed into an integer";
const IMMUTABLE: &str = "can't set immutable config";
const NOTHING_KEPT: &str = "the bus keeps nothing, so that this cannot be changed";
const RESET_OR_ALL: &str = "argument(s) must be one of the following: allchannels, resetchannels";

/// A setting: its name, its value, and what to do with a new one.
struct Setting {
    name: &'static str,
    get: fn(&RedisConfig) -> String,
    set: fn(&mut RedisConfig, &[u8]) -> Result<(), String>,
}

/// In the order in which CONFIG GET lists them.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "acl-pubsub-default",
        get: |config| {
            if config.acl_all_channels { "allchannels" } else { "resetchannels" }.to_owned()
        },
        set: |config, value| {
            config.acl_all_channels = match () {
                () if is(value, "allchannels") => true,
                () if is(value, "resetchannels") => false,
                () => return Err(RESET_OR_ALL.to_owned()),
            };
            Ok(())
        },
    },
    Setting { name: "aclfile", get: |_| String::new(), set: |_, _| Err(IMMUTABLE.to_owned()) },
    Setting {
        name: "acllog-max-len",
        get: |config| config.acllog_max_len.to_string(),
        set: |config, value| {
            config.acllog_max_len = number(value, 0, i64::MAX)?.unsigned_abs();
            Ok(())
        },
    },
    Setting {
        name: "appendonly",
        get: |_| "no".to_owned(),
        set: |_, value| if is(value, "no") { Ok(()) } else { Err(NOTHING_KEPT.to_owned()) },
    },
    Setting {
        name: "client-output-buffer-limit",
        get: |config| {
            let shown = |limit: &OutputLimit| {
                format!("{} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft.as_secs())
            };
            // Replicas do not exist here; their limit is the original's.
            format!(
                "normal {} slave 268435456 67108864 60 pubsub {}",
                shown(&config.normal),
                shown(&config.pubsub)
            )
        },
        set: set_limits,
    },
    Setting {
        name: "client-query-buffer-limit",
        get: |config| config.query_buffer_bytes.to_string(),
        set: |config, value| {
            let bytes = memory(value).ok_or("argument must be a memory value")?;
            if bytes < 1 << 20 {
                let text = "argument must be between 1048576 and 9223372036854775807 inclusive";
                return Err(text.to_owned());
            }
            config.query_buffer_bytes = bytes;
            Ok(())
        },
    },
    Setting {
        name: "databases",
        get: |_| DATABASES.to_string(),
        set: |_, _| Err(IMMUTABLE.to_owned()),
    },
    Setting {
        name: "maxclients",
        get: |config| config.maxclients.to_string(),
        set: |config, value| {
            config.maxclients = number(value, 1, i64::from(u32::MAX))? as u32;
            Ok(())
        },
    },
    Setting {
        name: "port",
        get: |config| config.port.to_string(),
        set: |_, _| Err(IMMUTABLE.to_owned()),
    },
    Setting {
        name: "requirepass",
        get: |config| config.requirepass.clone(),
        set: |config, value| {
            let text = std::str::from_utf8(value).map_err(|_| "the password is not UTF-8")?;
            config.requirepass = text.to_owned();
            Ok(())
        },
    },
    Setting {
        name: "save",
        get: |_| String::new(),
        set: |_, value| if value.is_empty() { Ok(()) } else { Err(NOTHING_KEPT.to_owned()) },
    },
    Setting {
        name: "timeout",
        get: |config| config.timeout.as_secs().to_string(),
        set: |config, value| {
            let seconds = number(value, 0, i64::from(i32::MAX))?;
            config.timeout = Duration::from_secs(seconds.unsigned_abs());
            Ok(())
        },
    },
];

impl Redis {
    /// `CONFIG GET pattern ...`; letters of either case match, and a name is given
    /// back as it was written.
    pub(super) fn config_get(
        &mut self,
        now: Time,
        conn: u32,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let mut found: Vec<(&[u8], &Setting)> = Vec::new();
        let mut add = |name, setting| {
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, setting));
            }
        };
        for arg in args {
            if arg.iter().any(|byte| b"[*?".contains(byte)) {
                let pattern = arg.to_ascii_lowercase();
                SETTINGS
                    .iter()
                    .filter(|setting| glob::matches(&pattern, setting.name.as_bytes()))
                    .for_each(|setting| add(setting.name.as_bytes(), setting));
            } else {
                SETTINGS
                    .iter()
                    .filter(|setting| arg.eq_ignore_ascii_case(setting.name.as_bytes()))
                    .for_each(|setting| add(arg, setting));
            }
        }
        let entry = |(name, setting): (&[u8], &Setting)| {
            (Reply::bulk(name), Reply::bulk((setting.get)(&self.config)))
        };
        let entries = found.into_iter().map(entry).collect();
        let proto = self.conns.get(conn).proto;
        self.reply(now, conn, Reply::Map(proto, entries), out);
    }

    /// `CONFIG SET name value ...`: all of it, or nothing.
    pub(super) fn config_set(
        &mut self,
        now: Time,
        conn: u32,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        match changed(&self.config, args) {
            Ok(config) => {
                self.reconfigure(now, config);
                self.ok(now, conn, out);
            }
            Err(text) => self.error(now, conn, &text, out),
        }
    }

    /// Puts a new configuration into force.
    fn reconfigure(&mut self, now: Time, config: RedisConfig) {
        let old = std::mem::replace(&mut self.config, config);
        if old.timeout != self.config.timeout {
            self.timers.forget_idle();
            if self.config.timeout > Duration::ZERO {
                for (at, state) in self.conns.iter() {
                    let due = state.last_active + self.config.timeout;
                    self.timers.watch_idle(due.max(now), state.id, at);
                }
            }
        }
        if (old.normal, old.pubsub) != (self.config.normal, self.config.pubsub) {
            let over = self.conns.iter().filter(|(_, state)| state.soft_since != Time::MAX);
            for (at, state) in over {
                let due = state.soft_since + self.config.limit(state.class()).soft;
                self.timers.watch_soft(due.max(now), state.id, at);
            }
        }
        if old.requirepass != self.config.requirepass {
            let mut default = self.users.get(UserId::DEFAULT).clone();
            set_password(&mut default, &self.config.requirepass);
            self.users.put(default);
            // Whoever is here already stays authenticated.
        }
    }
}

/// The default user has one password, or none.
pub(super) fn set_password(default: &mut User, password: &str) {
    let rules = if password.is_empty() {
        vec!["nopass".to_owned()]
    } else {
        vec!["resetpass".to_owned(), format!(">{password}")]
    };
    for rule in rules {
        // These rules exist, and none of them asks what a new user may.
        let applied = default.apply(rule.as_bytes(), false);
        debug_assert_eq!(applied, Ok(()));
    }
}

/// The configuration with the given changes.
fn changed(config: &RedisConfig, args: &[Text]) -> Result<RedisConfig, String> {
    let unknown = |name: &[u8]| {
        format!("ERR Unknown option or number of arguments for CONFIG SET - '{}'", lossy(name))
    };
    let failed = |name: &str, why: &str| {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    let (pairs, rest) = args.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SYNTAX.to_owned());
    }
    let mut settings: Vec<(&Setting, &Text)> = Vec::new();
    for [name, value] in pairs {
        let setting = SETTINGS.iter().find(|setting| is(name, setting.name));
        let setting = setting.ok_or_else(|| unknown(name))?;
        if settings.iter().any(|(other, _)| other.name == setting.name) {
            return Err(failed(setting.name, "duplicate parameter"));
        }
        settings.push((setting, value));
    }
    let mut config = config.clone();
    for (setting, value) in settings {
        (setting.set)(&mut config, value).map_err(|why| failed(setting.name, &why))?;
    }
    Ok(config)
}

fn number(value: &[u8], min: i64, max: i64) -> Result<i64, String> {
    let number = integer(value).ok_or(NOT_INTEGER)?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

/// `class hard soft seconds`, as often as one likes; not at all changes nothing.
fn set_limits(config: &mut RedisConfig, value: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(value);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (groups, rest) = words.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(LIMIT_COUNT.to_owned());
    }
    for [class, hard, soft, seconds] in groups {
        let read = || {
            Some(OutputLimit {
                hard_bytes: memory(hard.as_bytes())?,
                soft_bytes: memory(soft.as_bytes())?,
                soft: Duration::from_secs(u64::try_from(integer(seconds.as_bytes())?).ok()?),
            })
        };
        let place = match class.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut config.normal),
            "pubsub" => Some(&mut config.pubsub),
            "slave" | "replica" => None,
            _ => return Err(LIMIT_CLASS.to_owned()),
        };
        let limit = read().ok_or(LIMIT_VALUE)?;
        if let Some(place) = place {
            *place = limit;
        }
    }
    Ok(())
}

/// `512`, `1kb` (1,024), `1k` (1,000) and so on.
fn memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1_000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    std::str::from_utf8(number).ok()?.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_units() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("512", Some(512)),
            ("1kb", Some(1_024)),
            ("1k", Some(1_000)),
            ("2MB", Some(2 << 20)),
            ("1gb", Some(1 << 30)),
            ("1x", None),
            ("-1", None),
            ("", None),
            ("99999999999999999999", None),
            ("18446744073709551615gb", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(memory(text.as_bytes()), *bytes, "{text}");
        }
    }
}
