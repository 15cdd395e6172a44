//! The rules of ACL SETUSER, one word each.
//!
//! Rules about commands are kept as they were given, the way releases since 7.2
//! do it: a rule replaces an earlier one about the same command, and one about a
//! command those about its subcommands.

use super::user::{Hash, User, bit, hash};
use crate::frame::verb::category;
use crate::frame::{Text, Verb, text};

const SYNTAX: &str = "Syntax error";
const UNKNOWN: &str = "Unknown command or category name in ACL";
const NO_PASSWORD: &str = "The password you are trying to remove from the user does not exist";
const BAD_HASH: &str = "The password hash must be exactly 64 characters and contain only lowercase \
                        hexadecimal characters";
const AFTER_ALL_KEYS: &str = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not \
                              valid and does not have any effect. Try 'resetkeys' to start with an \
                              empty list of patterns";
const AFTER_ALL_CHANNELS: &str = "Adding a pattern after the * pattern (or the 'allchannels' flag) \
                                  is not valid and does not have any effect. Try 'resetchannels' \
                                  to start with an empty list of channels";
const NO_SELECTORS: &str = "Selectors are not supported: a user has one set of rules";

impl User {
    /// Applies one rule. `all_channels` is what a new user may, to which `reset`
    /// comes back.
    ///
    /// # Errors
    /// Why it is none; the user is as it was.
    pub fn apply(&mut self, rule: &[u8], all_channels: bool) -> Result<(), &'static str> {
        if let [sign, rest @ ..] = rule {
            match sign {
                b'>' => {
                    self.add_password(hash(rest));
                    return Ok(());
                }
                b'#' => {
                    self.add_password(read_hash(rest)?);
                    return Ok(());
                }
                b'<' => return self.remove_password(hash(rest)),
                b'!' => return self.remove_password(read_hash(rest)?),
                b'~' => return self.add_key(rest, true, true),
                b'%' if self.has_all_keys() => return Err(AFTER_ALL_KEYS),
                b'%' => {
                    let (kinds, pattern) = split(rest, b'~').ok_or(SYNTAX)?;
                    let (read, write) = match kinds.to_ascii_uppercase().as_slice() {
                        b"R" => (true, false),
                        b"W" => (false, true),
                        b"RW" | b"WR" => (true, true),
                        _ => return Err(SYNTAX),
                    };
                    return self.add_key(pattern, read, write);
                }
                b'&' => return self.add_channel(rest),
                b'(' => return Err(NO_SELECTORS),
                b'+' | b'-' => return self.command_rule(*sign == b'+', rest),
                _ => {}
            }
        }
        let word = rule.to_ascii_lowercase();
        match &word[..] {
            // An empty word is passed over.
            b"" => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.nopass = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.nopass = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.sanitize = Some(true),
            b"skip-sanitize-payload" => self.sanitize = Some(false),
            b"allkeys" => self.keys = vec![text("~*")],
            b"resetkeys" => self.keys.clear(),
            b"allchannels" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"allcommands" => self.allow_everything(),
            b"nocommands" => self.allow_nothing(),
            b"clearselectors" => {}
            b"reset" => {
                *self = User::powerless(self.name.clone(), all_channels);
                self.sanitize = Some(true);
            }
            _ => return Err(SYNTAX),
        }
        Ok(())
    }

    fn add_password(&mut self, hash: Hash) {
        self.nopass = false;
        if !self.passwords.contains(&hash) {
            self.passwords.push(hash);
        }
    }

    fn remove_password(&mut self, hash: Hash) -> Result<(), &'static str> {
        let at = self.passwords.iter().position(|known| *known == hash).ok_or(NO_PASSWORD)?;
        self.passwords.remove(at);
        Ok(())
    }

    pub(super) fn has_all_keys(&self) -> bool {
        self.keys.iter().any(|known| **known == *b"~*")
    }

    fn add_key(&mut self, pattern: &[u8], read: bool, write: bool) -> Result<(), &'static str> {
        let sign: &[u8] = match (read, write) {
            (true, false) => b"%R~",
            (false, true) => b"%W~",
            _ => b"~",
        };
        if sign == b"~" && pattern == b"*" {
            self.keys = vec![text("~*")];
            return Ok(());
        }
        if self.has_all_keys() {
            return Err(AFTER_ALL_KEYS);
        }
        add_pattern(&mut self.keys, &[sign, pattern].concat())
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), &'static str> {
        if *pattern == *b"*" {
            self.all_channels = true;
            self.channels.clear();
            return Ok(());
        }
        if self.all_channels {
            return Err(AFTER_ALL_CHANNELS);
        }
        add_pattern(&mut self.channels, pattern)
    }

    fn allow_nothing(&mut self) {
        self.commands = 0;
        self.all_commands = false;
        self.command_rules = "-@all".to_owned();
    }

    /// `+` or `-` and a command, a subcommand or a category.
    fn command_rule(&mut self, allow: bool, what: &[u8]) -> Result<(), &'static str> {
        let (bits, name) = match what.strip_prefix(b"@") {
            Some(name) if name.eq_ignore_ascii_case(b"all") => {
                if allow {
                    self.allow_everything();
                } else {
                    self.allow_nothing();
                }
                return Ok(());
            }
            Some(name) => {
                let category = category(name).ok_or(UNKNOWN)?;
                let of_it = |verb: &Verb| verb.categories() & (1 << category) != 0;
                let bits = Verb::all().filter(of_it).map(bit).fold(0, |all, one| all | one);
                (bits, String::from_utf8_lossy(what).to_ascii_lowercase())
            }
            None => {
                let verb = Verb::find(what).ok_or(UNKNOWN)?;
                let bits = verb.subcommands().map(bit).fold(bit(verb), |all, one| all | one);
                (bits, verb.name().to_owned())
            }
        };
        if allow {
            self.commands |= bits;
        } else {
            self.commands &= !bits;
            self.all_commands = false;
        }
        self.note_rule(allow, &name);
        Ok(())
    }

    /// Adds a rule to the list, in the place of those that it makes pointless.
    fn note_rule(&mut self, allow: bool, name: &str) {
        let about_it = |rule: &&str| {
            let rule = rule.get(1..).unwrap_or_default();
            rule == name || rule.strip_prefix(name).is_some_and(|rest| rest.starts_with('|'))
        };
        let kept: Vec<&str> =
            self.command_rules.split(' ').filter(|rule| !about_it(rule)).collect();
        let sign = if allow { '+' } else { '-' };
        self.command_rules = format!("{} {sign}{name}", kept.join(" "));
    }
}

fn add_pattern(list: &mut Vec<Text>, pattern: &[u8]) -> Result<(), &'static str> {
    // A space or a null would end the rule where rules are listed.
    if pattern.iter().any(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        return Err(SYNTAX);
    }
    if !list.iter().any(|known| **known == *pattern) {
        list.push(text(pattern));
    }
    Ok(())
}

fn read_hash(digits: &[u8]) -> Result<Hash, &'static str> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() {
        return Err(BAD_HASH);
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let high = digit(pair[0]).ok_or(BAD_HASH)?;
        *byte = high << 4 | digit(pair[1]).ok_or(BAD_HASH)?;
    }
    Ok(hash)
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((&text[..place], &text[place + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(rules: &str) -> User {
        let mut user = User::powerless(text("a"), false);
        for rule in rules.split(' ') {
            user.apply(rule.as_bytes(), false).unwrap_or_else(|why| panic!("{rule}: {why}"));
        }
        user
    }

    fn listed(rules: &str) -> String {
        String::from_utf8(after(rules).describe()).expect("is text")
    }

    #[test]
    fn users_are_listed_as_the_original_lists_them() {
        let pw = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
        assert_eq!(listed("off"), "user a off resetchannels -@all");
        assert_eq!(
            listed("on >pw ~k* &news.* +publish +subscribe -@all +@pubsub -publish +client|id"),
            format!("user a on {pw} ~k* resetchannels &news.* -@all +@pubsub -publish +client|id")
        );
        assert_eq!(listed("reset"), "user a off sanitize-payload resetchannels -@all");
        assert_eq!(listed("on nopass &a >pw"), format!("user a on {pw} resetchannels &a -@all"));
        assert_eq!(listed("on >pw nopass"), "user a on nopass resetchannels -@all");
        assert_eq!(
            listed("on ~* allkeys &* -@all +@pubsub -client +client|id +client"),
            "user a on ~* &* -@all +@pubsub +client"
        );
        assert_eq!(listed("allchannels resetchannels &y &y"), "user a off resetchannels &y -@all");
        assert_eq!(listed("%R~x ~y %wr~z %w~x"), "user a off %R~x ~y ~z %W~x resetchannels -@all");
    }

    #[test]
    fn rules_add_up_in_their_order() {
        let user = after("+@pubsub -publish +client -client|kill");
        assert!(user.may_run(Verb::Subscribe) && !user.may_run(Verb::Publish));
        assert!(user.may_run(Verb::ClientId) && !user.may_run(Verb::ClientKill));
        assert!(!user.may_run(Verb::Ping));
        assert!(user.may_run(Verb::Auth), "whoever may do nothing may still say who it is");
        let user = after("+@all -@dangerous");
        assert!(user.may_run(Verb::Publish) && !user.may_run(Verb::ConfigSet));
        assert!(!user.all_commands);
        assert!(after("+@all ~*").is_unlimited() == after("+@all").all_channels);
        assert!(after("+@all &* ~*").is_unlimited());
        assert!(!after("+@all &* ~a").is_unlimited());
    }

    #[test]
    fn what_is_no_rule_is_refused_and_changes_nothing() {
        let long_hash = format!("#{}", "0".repeat(65));
        let cases = [
            ("foo", SYNTAX),
            ("+", UNKNOWN),
            ("-", UNKNOWN),
            ("+foo", UNKNOWN),
            ("+@foo", UNKNOWN),
            ("+client|foo", UNKNOWN),
            ("+ping|x", UNKNOWN),
            ("#zz", BAD_HASH),
            (&long_hash, BAD_HASH),
            ("<nopw", NO_PASSWORD),
            ("&a b", SYNTAX),
            ("~a b", SYNTAX),
            ("%x", SYNTAX),
            ("%Q~x", SYNTAX),
            ("%rr~x", SYNTAX),
            ("(+ping)", NO_SELECTORS),
        ];
        for (rule, why) in cases {
            let mut user = after("on >pw");
            let before = user.describe();
            assert_eq!(user.apply(rule.as_bytes(), false), Err(why), "{rule}");
            assert_eq!(user.describe(), before, "{rule}");
        }
        let mut user = after("allchannels ~*");
        assert_eq!(user.apply(b"&y", false), Err(AFTER_ALL_CHANNELS));
        assert_eq!(user.apply(b"~y", false), Err(AFTER_ALL_KEYS));
        assert_eq!(user.apply(b"%X~y", false), Err(AFTER_ALL_KEYS));
        assert_eq!(user.apply(b"~*", false), Ok(()));
    }

    proptest! {
        /// What ACL LIST shows makes the same user again.
        #[test]
        fn a_listed_user_is_read_back(
            rules in prop::collection::vec(
                prop::sample::select(vec![
                    "on", "off", "nopass", ">a", ">b", "resetpass", "~x", "~*", "resetkeys",
                    "&a*", "&b", "allchannels", "resetchannels", "+@all", "-@all", "+publish",
                    "-publish", "+@pubsub", "-@pubsub", "+client", "-client|kill", "+client|kill",
                ]),
                0..12,
            ),
            any_bytes in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let mut user = User::powerless(text("a"), false);
            for rule in rules {
                let _ = user.apply(rule.as_bytes(), false);
            }
            let _ = user.apply(&any_bytes, false);
            prop_assume!(user.describe().is_ascii());
            let line = String::from_utf8(user.describe()).expect("is ascii");
            let users = super::super::Users::new();
            let again = super::super::read_user(&users, &line, false).expect("is a list of rules");
            prop_assert_eq!(again.describe(), user.describe());
            for verb in Verb::all() {
                prop_assert_eq!(again.may_run(verb), user.may_run(verb), "{:?}", verb);
            }
        }
    }
}
