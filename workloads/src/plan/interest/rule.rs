//! What decides whether the members of one population get the messages of one stream.

use super::super::Planned;
use super::super::texts::{Text, Texts, Value};
use super::filter_matches;
use super::token::{Sameness, Token, compare, tokens};

/// A subscription that takes at least some of a stream's messages.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its place among the subscribing populations.
    pub(super) subscriber: usize,
    /// What must hold of the message alone.
    message: Vec<(Value, u32)>,
    /// What must hold between the message and a member. The first leaves the
    /// fewest members, and they are visited directly.
    member: Vec<Bond>,
    /// Whether texts must be compared for what numbers do not decide.
    by_text: bool,
}

/// The member's number modulo `modulus` is the wanted one.
#[derive(Copy, Clone, Debug)]
struct Bond {
    modulus: u32,
    want: Want,
}

#[derive(Copy, Clone, Debug)]
enum Want {
    Number(u32),
    Of(Value),
}

/// The members that may get a message.
#[derive(Copy, Clone, Debug)]
pub(super) enum Candidates {
    None,
    /// `first`, `first + step` and so on; `settled` when each of them gets it.
    Some {
        first: u32,
        step: u32,
        settled: bool,
    },
}

impl Rule {
    /// Compares the channels of a stream with the filters of a population; `None`
    /// when no message can match. `members` and `drawn` bound the numbers that
    /// the channel can hold.
    pub(super) fn new(
        subscriber: usize,
        channel: &Text,
        members: u32,
        drawn: &[u32],
        filter: &Text,
    ) -> Option<Rule> {
        let mut rule = Rule { subscriber, message: Vec::new(), member: Vec::new(), by_text: false };
        let channel = tokens(channel);
        let filter = tokens(filter);
        let takes_tail = matches!(filter.last(), Some(Token::Text(last)) if last == ">");
        let compared = if takes_tail { filter.len() - 1 } else { filter.len() };
        if channel.len() < filter.len() || (!takes_tail && channel.len() > filter.len()) {
            return None;
        }
        for (channel, filter) in channel.iter().zip(&filter[..compared]) {
            if matches!(filter, Token::Text(text) if text == "*") {
                continue;
            }
            match compare(channel, filter) {
                Sameness::Always => {}
                Sameness::Never => return None,
                Sameness::ChannelIs(value, number) => {
                    let bound = match value {
                        Value::Member => members,
                        Value::Spread(count) => count,
                        Value::Drawn(place) => drawn.get(usize::from(place)).copied().unwrap_or(1),
                    };
                    if number >= bound {
                        return None;
                    }
                    rule.message.push((value, number));
                }
                Sameness::FilterIs(value, number) => {
                    rule.member.push(Bond::new(value, Want::Number(number)));
                }
                Sameness::Equal(channel, filter) => {
                    rule.member.push(Bond::new(filter, Want::Of(channel)));
                }
                Sameness::Unknown => rule.by_text = true,
            }
        }
        rule.member.sort_by_key(|bond| std::cmp::Reverse(bond.modulus));
        Some(rule)
    }

    /// The members that may get `op`.
    #[inline]
    pub(super) fn candidates(&self, op: &Planned) -> Candidates {
        if self.message.iter().any(|(value, number)| value.of(op) != *number) {
            return Candidates::None;
        }
        match self.member.first() {
            None => Candidates::Some { first: 0, step: 1, settled: !self.by_text },
            Some(bond) => {
                let first = bond.want.of(op);
                if first >= bond.modulus {
                    return Candidates::None;
                }
                let settled = self.member.len() == 1 && !self.by_text;
                Candidates::Some { first, step: bond.modulus, settled }
            }
        }
    }

    /// Whether `member`, one of the candidates, gets `op`.
    pub(super) fn holds(&self, op: &Planned, member: u32, texts: &Texts, filter: &Text) -> bool {
        let bound = |bond: &Bond| member % bond.modulus == bond.want.of(op);
        if !self.member.iter().skip(1).all(bound) {
            return false;
        }
        if !self.by_text {
            return true;
        }
        let (mut wanted, mut channel) = (String::new(), String::new());
        filter.write(&mut wanted, |value| value.of_member(member));
        texts.channel(op, &mut channel);
        filter_matches(&wanted, &channel)
    }
}

impl Bond {
    fn new(filter: Value, want: Want) -> Bond {
        let modulus = match filter {
            // No member has a higher number, so the modulus changes none.
            Value::Member => u32::MAX,
            Value::Spread(count) => count,
            // Nothing is drawn for a filter; its value is 0 for every member.
            Value::Drawn(_) => 1,
        };
        Bond { modulus, want }
    }
}

impl Want {
    #[inline]
    fn of(self, op: &Planned) -> u32 {
        match self {
            Want::Number(number) => number,
            Want::Of(value) => value.of(op),
        }
    }
}
