//! Filters over channels, and what they mean for topics.
//!
//! The topic of a channel is the longest existing topic that is a dotted prefix
//! of it, and its first token where none exists. A filter therefore reads every
//! topic that may hold a channel it accepts, and the rest is checked here.

/// The topic that carries answers to requests; no filter reads it but an inbox.
pub(super) const REPLY_TOPIC: &str = "lab-replies";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Literal(Box<str>),
    Any,
    Tail,
}

/// A filter, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    tokens: Vec<Token>,
    is_literal: bool,
    text: Box<str>,
}

impl Filter {
    /// Reads a filter; `None` when it is no path of dotted tokens.
    pub fn parse(text: &str) -> Option<Filter> {
        let mut tokens = Vec::new();
        for token in text.split('.') {
            if token.is_empty() || tokens.last() == Some(&Token::Tail) {
                return None;
            }
            tokens.push(match token {
                "*" => Token::Any,
                ">" => Token::Tail,
                literal => Token::Literal(literal.into()),
            });
        }
        let is_literal = tokens.iter().all(|token| matches!(token, Token::Literal(_)));
        Some(Filter { tokens, is_literal, text: text.into() })
    }

    /// Whether `channel` is one of those it stands for.
    #[inline]
    pub fn accepts(&self, channel: &[u8]) -> bool {
        if self.is_literal {
            return channel == self.text.as_bytes();
        }
        let mut rest = Some(channel);
        for token in &self.tokens {
            let Some(now) = rest else { return false };
            let end = now.iter().position(|byte| *byte == b'.');
            let (first, after) = match end {
                Some(end) => (&now[..end], Some(&now[end + 1..])),
                None => (now, None),
            };
            match token {
                Token::Tail => return true,
                Token::Any => {}
                Token::Literal(literal) if literal.as_bytes() == first => {}
                Token::Literal(_) => return false,
            }
            rest = after;
        }
        rest.is_none()
    }

    /// Whether a channel that it accepts may lie in `topic`.
    pub fn may_be_in(&self, topic: &str) -> bool {
        let mut tokens = self.tokens.iter();
        for part in topic.split('.') {
            match tokens.next() {
                Some(Token::Tail) => return topic != REPLY_TOPIC,
                Some(Token::Any) => {}
                Some(Token::Literal(literal)) if **literal == *part => {}
                _ => return false,
            }
        }
        topic != REPLY_TOPIC || self.first_literal() == Some(REPLY_TOPIC)
    }

    /// The tokens before the first wildcard; empty where it begins with one.
    pub fn literal_prefix(&self) -> String {
        let literals = self.tokens.iter().map_while(|token| match token {
            Token::Literal(literal) => Some(&**literal),
            Token::Any | Token::Tail => None,
        });
        literals.collect::<Vec<_>>().join(".")
    }

    /// The first token, unless it is a wildcard.
    pub fn first_literal(&self) -> Option<&str> {
        match self.tokens.first() {
            Some(Token::Literal(literal)) => Some(literal),
            _ => None,
        }
    }

    /// Whether its topic can hold nothing that it does not accept: a filter of
    /// one literal token, whose topic nobody publishes below.
    pub fn is_plain(&self) -> bool {
        self.is_literal && self.tokens.len() == 1
    }
}

/// The first token of a channel.
pub(crate) fn first_token(channel: &str) -> &str {
    channel.split('.').next().unwrap_or(channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn accepts(filter: &str, channel: &str) -> bool {
        Filter::parse(filter).expect("a filter").accepts(channel.as_bytes())
    }

    #[test]
    fn filters_accept_what_they_stand_for() {
        for (filter, yes, no) in [
            ("a.b", &["a.b"][..], &["a", "a.b.c", "a.bb"][..]),
            ("a.*", &["a.b"], &["a", "a.b.c", "b.b"]),
            ("*", &["a"], &["a.b"]),
            ("a.>", &["a.b", "a.b.c"], &["a", "ab.c"]),
            (">", &["a", "a.b"], &[]),
            ("a.*.>", &["a.b.c", "a.b.c.d"], &["a.b"]),
            ("t.f*o.*", &["t.f*o.1"], &["t.fxo.1"]),
        ] {
            for channel in yes {
                assert!(accepts(filter, channel), "{filter} {channel}");
            }
            for channel in no {
                assert!(!accepts(filter, channel), "{filter} {channel}");
            }
        }
        for wrong in ["", ".", "a..b", "a.", ">.a", "a.>.b"] {
            assert!(Filter::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn prefixes_end_at_the_first_wildcard() {
        let prefix = |filter| Filter::parse(filter).expect("a filter").literal_prefix();
        assert_eq!(prefix("telemetry.*.*.reading"), "telemetry");
        assert_eq!(prefix("orders.eu.>"), "orders.eu");
        assert_eq!(prefix("a.b"), "a.b");
        assert_eq!(prefix(">"), "");
    }

    proptest! {
        #[test]
        fn the_topic_of_an_accepted_channel_is_read(
            filter in "([ab*])(\\.([ab]|\\*)){0,3}(\\.>)?",
            channel in "[ab](\\.[ab]){0,4}",
            depth in 1..5usize,
        ) {
            let filter = Filter::parse(&filter).expect("a filter");
            let topic = channel.split('.').take(depth).collect::<Vec<_>>().join(".");
            if filter.accepts(channel.as_bytes()) {
                prop_assert!(filter.may_be_in(&topic), "{} {}", channel, topic);
            }
        }
    }
}
