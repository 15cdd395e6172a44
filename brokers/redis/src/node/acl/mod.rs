//! Who may do what.
//!
//! A user has passwords, commands that it may run and channels that it may use;
//! keys are read and mean something to WATCH alone. Rules are those of ACL SETUSER, one
//! word each (`rules.rs`); `user.rs` asks a user for permission; `log.rs` keeps
//! what was denied. Passwords are kept as SHA-256 only.

mod log;
mod rules;
mod user;

use std::collections::BTreeMap;

use crate::frame::{Text, text};
pub(super) use log::{Denied, DeniedLog};
pub(super) use user::{Refused, User, hex};

/// Names a user while it exists.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct UserId(u16);

impl UserId {
    /// The user that every connection begins as, and who always exists.
    pub const DEFAULT: UserId = UserId(0);
}

/// All users.
#[derive(Debug)]
pub(super) struct Users {
    /// The default user, and behind it the others with holes.
    slots: Vec<Option<Box<User>>>,
    by_name: BTreeMap<Text, UserId>,
}

impl Users {
    /// The default user alone: no password, and everything allowed.
    pub fn new() -> Users {
        let name = text("default");
        let default = User::all_powerful(name.clone());
        Users {
            slots: vec![Some(Box::new(default))],
            by_name: BTreeMap::from([(name, UserId::DEFAULT)]),
        }
    }

    /// A user by its number; the default user if there is none of that number.
    #[inline]
    pub fn get(&self, id: UserId) -> &User {
        let slot = self.slots.get(usize::from(id.0)).and_then(Option::as_deref);
        match slot.or(self.slots[0].as_deref()) {
            Some(user) => user,
            None => unreachable!("the default user cannot be removed"),
        }
    }

    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// Every user, by name.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_name.values().map(|id| self.get(*id))
    }

    /// Puts `user` in the place of the one with its name, or adds it. `None` when
    /// there are 65,536 already.
    pub fn put(&mut self, user: User) -> Option<UserId> {
        if let Some(id) = self.find(&user.name) {
            self.slots[usize::from(id.0)] = Some(Box::new(user));
            return Some(id);
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let id = UserId(u16::try_from(free).ok()?);
        self.by_name.insert(user.name.clone(), id);
        if free == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[free] = Some(Box::new(user));
        Some(id)
    }

    /// Removes a user, but not the default one.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        let id = self.find(name).filter(|id| *id != UserId::DEFAULT)?;
        self.by_name.remove(name);
        self.slots[usize::from(id.0)] = None;
        Some(id)
    }

    /// Who has this name and password, if anybody who is enabled has.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<UserId> {
        let id = self.find(name)?;
        let user = self.get(id);
        (user.enabled && user.accepts(password)).then_some(id)
    }

    /// Whether a connection has to say who it is before it may do anything.
    pub fn must_authenticate(&self) -> bool {
        let default = self.get(UserId::DEFAULT);
        !default.nopass || !default.enabled
    }

    /// An estimate.
    pub fn memory_bytes(&self) -> u64 {
        (self.by_name.len() * (size_of::<User>() + 64)) as u64
    }
}

/// Reads `user alice on >secret +@all`, with or without its first word.
///
/// # Errors
/// What is wrong with it, in a line.
pub(super) fn read_user(users: &Users, line: &str, all_channels: bool) -> Result<User, String> {
    let mut words = line.split_ascii_whitespace().peekable();
    if words.peek().is_some_and(|word| word.eq_ignore_ascii_case("user")) {
        words.next();
    }
    let name = words.next().ok_or("a user has no name")?;
    let mut user = match users.find(name.as_bytes()) {
        Some(id) => users.get(id).clone(),
        None => User::powerless(text(name), all_channels),
    };
    for word in words {
        user.apply(word.as_bytes(), all_channels)
            .map_err(|why| format!("user `{name}`, rule `{word}`: {why}"))?;
    }
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_removed_users_are_used_again() {
        let mut users = Users::new();
        let put = |users: &mut Users, name: &str| {
            users.put(User::powerless(text(name), false)).expect("there is room")
        };
        let a = put(&mut users, "a");
        let b = put(&mut users, "b");
        assert_eq!(users.remove(b"a"), Some(a));
        assert_eq!(users.remove(b"a"), None);
        assert_eq!(users.remove(b"default"), None);
        assert_eq!(put(&mut users, "c"), a);
        assert_eq!(put(&mut users, "b"), b);
        let names: Vec<&[u8]> = users.iter().map(|user| &user.name[..]).collect();
        assert_eq!(names, [&b"b"[..], b"c", b"default"]);
    }

    #[test]
    fn passwords_open_enabled_users_only() {
        let mut users = Users::new();
        assert_eq!(users.authenticate(b"default", b"anything"), Some(UserId::DEFAULT));
        assert!(!users.must_authenticate());
        let user = read_user(&users, "user a >one >two off", false).expect("reads");
        let id = users.put(user);
        assert_eq!(users.authenticate(b"a", b"one"), None);
        let user = read_user(&users, "a on", false).expect("reads");
        users.put(user);
        assert_eq!(users.authenticate(b"a", b"one"), id);
        assert_eq!(users.authenticate(b"a", b"two"), id);
        assert_eq!(users.authenticate(b"a", b"three"), None);
        assert_eq!(users.authenticate(b"nobody", b"one"), None);
        let why = read_user(&users, "a +frobnicate", false).expect_err("is no command");
        assert_eq!(why, "user `a`, rule `+frobnicate`: Unknown command or category name in ACL");
    }
}
