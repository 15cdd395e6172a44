//! One user, and what it may do.

use sha2::{Digest as _, Sha256};

use crate::frame::verb::flag;
use crate::frame::{Text, Up, Verb};
use crate::glob;

/// A password as it is kept.
pub(super) type Hash = [u8; 32];

/// A user of the node.
#[derive(Clone, Debug)]
pub(in crate::node) struct User {
    pub name: Text,
    pub enabled: bool,
    /// Whether any password will do.
    pub nopass: bool,
    /// What was said about payloads of RESTORE, which the bus does not have.
    pub sanitize: Option<bool>,
    pub passwords: Vec<Hash>,
    /// A bit for each [`Verb`].
    pub commands: u128,
    /// Whether it may run every command.
    pub all_commands: bool,
    /// How the commands came to be, as ACL LIST shows them.
    pub command_rules: String,
    /// Patterns of keys as they were written; there is WATCH to ask them, and nothing
    /// else.
    pub keys: Vec<Text>,
    pub channels: Vec<Text>,
    pub all_channels: bool,
}

/// Why a command is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum Refused {
    Command(Verb),
    Channel(Text),
    Key(Text),
}

impl User {
    /// Without a password and without a limit.
    pub fn all_powerful(name: Text) -> User {
        let mut user = User::powerless(name, true);
        user.enabled = true;
        user.nopass = true;
        user.allow_everything();
        user.keys = vec![Text::from(*b"~*")];
        user
    }

    /// As a new user is: it may do nothing, and is off.
    pub fn powerless(name: Text, all_channels: bool) -> User {
        User {
            name,
            enabled: false,
            nopass: false,
            sanitize: None,
            passwords: Vec::new(),
            commands: 0,
            all_commands: false,
            command_rules: "-@all".to_owned(),
            keys: Vec::new(),
            channels: Vec::new(),
            all_channels,
        }
    }

    /// Whether nothing has to be asked.
    pub fn is_unlimited(&self) -> bool {
        self.all_commands && self.all_channels && self.has_all_keys()
    }

    /// Whether a password is one of its own.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let given = hash(password);
        // Every hash is compared to its end, whatever is found.
        let equal =
            |known: &Hash| known.iter().zip(&given).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
        self.passwords.iter().fold(self.nopass, |found, known| found | equal(known))
    }

    /// Whether it may run a command, whatever the arguments.
    pub fn may_run(&self, verb: Verb) -> bool {
        self.all_commands || verb.has(flag::NO_AUTH) || self.commands & bit(verb) != 0
    }

    /// Whether it may publish to a channel or subscribe to it.
    pub fn may_use(&self, channel: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|pattern| glob::matches(pattern, channel))
    }

    /// Whether it may subscribe to a pattern, which has to be one of its own.
    pub fn may_use_pattern(&self, pattern: &[u8]) -> bool {
        self.all_channels || self.channels.iter().any(|own| **own == *pattern)
    }

    /// Whether it may look at a key.
    pub fn may_read(&self, key: &[u8]) -> bool {
        let matches = |rule: &Text| {
            let pattern = rule.strip_prefix(b"~").or_else(|| rule.strip_prefix(b"%R~"));
            pattern.is_some_and(|pattern| glob::matches(pattern, key))
        };
        self.has_all_keys() || self.keys.iter().any(matches)
    }

    /// Whether it may carry out a command with its arguments.
    ///
    /// # Errors
    /// What it may not.
    pub fn check(&self, verb: Verb, up: &Up) -> Result<(), Refused> {
        use crate::frame::Kind;
        if !self.may_run(verb) {
            return Err(Refused::Command(verb));
        }
        let refused = match up {
            Up::Call { verb: Verb::Watch, args } => {
                let key = args.iter().find(|key| !self.may_read(key));
                return key.map_or(Ok(()), |key| Err(Refused::Key(key.clone())));
            }
            Up::Publish { body, .. } if !self.may_use(body.channel()) => {
                Some(Text::from(body.channel()))
            }
            Up::Subscribe { kind: Kind::Pattern, topics } => {
                topics.iter().find(|topic| !self.may_use_pattern(topic)).cloned()
            }
            Up::Subscribe { topics, .. } => {
                topics.iter().find(|topic| !self.may_use(topic)).cloned()
            }
            _ => None,
        };
        refused.map_or(Ok(()), |channel| Err(Refused::Channel(channel)))
    }

    /// As ACL LIST shows it.
    pub fn describe(&self) -> Vec<u8> {
        let mut line = [b"user ", &self.name[..]].concat();
        let mut word = |word: &[u8]| {
            line.push(b' ');
            line.extend_from_slice(word);
        };
        self.flags().iter().for_each(|flag| word(flag.as_bytes()));
        self.passwords.iter().for_each(|hash| word(format!("#{}", hex(hash)).as_bytes()));
        self.keys.iter().for_each(|pattern| word(pattern));
        if self.all_channels {
            word(b"&*");
        } else {
            word(b"resetchannels");
            self.channels.iter().for_each(|pattern| word(&[b"&", &pattern[..]].concat()));
        }
        word(self.command_rules.as_bytes());
        line
    }

    /// The flags of ACL GETUSER.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.nopass {
            flags.push("nopass");
        }
        match self.sanitize {
            Some(true) => flags.push("sanitize-payload"),
            Some(false) => flags.push("skip-sanitize-payload"),
            None => {}
        }
        flags
    }

    /// The channels of ACL GETUSER.
    pub fn channel_rules(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let patterns: Vec<Vec<u8>> =
            self.channels.iter().map(|pattern| [b"&", &pattern[..]].concat()).collect();
        patterns.join(&b' ')
    }

    pub(super) fn allow_everything(&mut self) {
        self.commands = u128::MAX;
        self.all_commands = true;
        self.command_rules = "+@all".to_owned();
    }
}

/// The place of a command in [`User::commands`].
pub(super) fn bit(verb: Verb) -> u128 {
    1 << (verb as u8)
}

/// What is kept of a password.
pub(super) fn hash(password: &[u8]) -> Hash {
    Sha256::digest(password).into()
}

/// Bytes in lower case hexadecimal digits.
pub(in crate::node) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::text;

    #[test]
    fn a_pattern_has_to_be_one_of_the_users_own() {
        let mut user = User::powerless(text("a"), false);
        user.channels = vec![text("news.*")];
        assert!(user.may_use(b"news.art"));
        assert!(!user.may_use(b"other"));
        assert!(user.may_use_pattern(b"news.*"));
        assert!(!user.may_use_pattern(b"news.a*"));
        assert!(!user.may_use_pattern(b"*"));
    }

    #[test]
    fn passwords_are_kept_as_the_original_keeps_them() {
        assert_eq!(
            hex(&hash(b"pw")),
            "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4"
        );
    }
}
