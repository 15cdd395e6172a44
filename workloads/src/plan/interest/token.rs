//! Tokens of templates, and what two of them have in common.

use super::super::texts::{Piece, Text, Value, push_number};

/// What stands between two dots of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The same in every text.
    Text(String),
    /// One number with what is glued to it.
    Number { before: String, value: Value, width: usize, after: String },
    /// Several numbers.
    Several,
}

/// When a token of a channel is the same as a token of a filter.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Sameness {
    Always,
    Never,
    /// When the channel's value is this number.
    ChannelIs(Value, u32),
    /// When the filter's value is this number.
    FilterIs(Value, u32),
    /// When the channel's value and the filter's are one number.
    Equal(Value, Value),
    /// Only their texts tell.
    Unknown,
}

/// The tokens of `text`.
pub(super) fn tokens(text: &Text) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut token = Token::Text(String::new());
    for piece in &text.pieces {
        match piece {
            Piece::Text(literal) => {
                for (index, part) in literal.split('.').enumerate() {
                    if index > 0 {
                        tokens.push(std::mem::replace(&mut token, Token::Text(String::new())));
                    }
                    match &mut token {
                        Token::Text(text) => text.push_str(part),
                        Token::Number { after, .. } => after.push_str(part),
                        Token::Several => {}
                    }
                }
            }
            Piece::Number { value, width } => {
                token = match token {
                    Token::Text(before) => {
                        Token::Number { before, value: *value, width: *width, after: String::new() }
                    }
                    Token::Number { .. } | Token::Several => Token::Several,
                };
            }
        }
    }
    tokens.push(token);
    tokens
}

/// Compares a channel's token with one of a filter that is no wildcard.
pub(super) fn compare(channel: &Token, filter: &Token) -> Sameness {
    match (channel, filter) {
        (Token::Text(channel), Token::Text(filter)) if channel == filter => Sameness::Always,
        (Token::Text(_), Token::Text(_)) => Sameness::Never,
        (number @ Token::Number { value, .. }, Token::Text(text)) => solve(number, text)
            .map_or(Sameness::Never, |wanted| Sameness::ChannelIs(*value, wanted)),
        (Token::Text(text), number @ Token::Number { value, .. }) => {
            solve(number, text).map_or(Sameness::Never, |wanted| Sameness::FilterIs(*value, wanted))
        }
        (
            Token::Number { before, value, width, after },
            Token::Number { before: b, value: v, width: w, after: a },
        ) if before == b && width.max(&1) == w.max(&1) && after == a => Sameness::Equal(*value, *v),
        _ => Sameness::Unknown,
    }
}

/// The number with which `token` reads `text`.
fn solve(token: &Token, text: &str) -> Option<u32> {
    let Token::Number { before, width, after, .. } = token else { return None };
    let digits = text.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    let mut written = String::new();
    push_number(&mut written, number, *width);
    (written == digits).then_some(number)
}
