//! Templates: dotted paths with fields in braces.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::{did_you_mean, shown};
use super::model::{Field, FieldSource, Template, TemplatePart};

/// Longest channel or filter, with its fields filled in. Brokers refuse longer
/// ones sooner or later; NATS reads a whole command of at most 4 KiB.
const LENGTH_MAX: usize = 512;

/// What a template is for, which decides what may stand in it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A channel to publish to: tokens, no wildcards.
    Channel,
    /// A filter: tokens and wildcards, no drawn fields.
    Filter,
    /// A key: any text.
    Key,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Channel => "channel",
            Purpose::Filter => "filter",
            Purpose::Key => "key",
        }
    }
}

/// What is wrong with a template; the range is within its text.
#[derive(Debug)]
pub(super) struct TemplateProblem {
    pub(super) message: String,
    pub(super) help: String,
    pub(super) range: Range<usize>,
}

fn problem<T>(
    range: Range<usize>,
    message: String,
    help: impl Into<String>,
) -> Result<T, TemplateProblem> {
    Err(TemplateProblem { message, help: help.into(), range })
}

/// Reads `text`, whose fields are defined in `fields`.
pub(super) fn parse(
    text: &str,
    purpose: Purpose,
    fields: &BTreeMap<String, Field>,
) -> Result<Template, TemplateProblem> {
    let what = purpose.name();
    if text.is_empty() {
        return problem(0..0, format!("the {what} is empty"), "write a dotted path such as a.b.c");
    }
    let mut parts: Vec<TemplatePart> = Vec::new();
    let mut literal = String::new();
    let mut rest = text.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '{' => {
                let Some(length) = text[at..].find('}') else {
                    return problem(
                        at..at + 1,
                        format!("this brace of the {what} is not closed"),
                        "a field is written as {name}",
                    );
                };
                let name = &text[at + 1..at + length];
                let range = at..at + length + 1;
                let Some(field) = fields.get(name) else {
                    return problem(
                        range,
                        format!("the field `{}` is not defined", shown(name)),
                        undefined_help(name, fields),
                    );
                };
                if purpose == Purpose::Filter && matches!(field.source, FieldSource::Draw { .. }) {
                    return problem(
                        range,
                        format!("`{name}` is drawn for each message, and a filter never changes"),
                        "use a field with source \"member\" or \"spread\", or a wildcard",
                    );
                }
                if !literal.is_empty() {
                    parts.push(TemplatePart::Literal(std::mem::take(&mut literal)));
                }
                parts.push(TemplatePart::Field(field.clone()));
                while rest.clone().next().is_some_and(|(next, _)| next < range.end) {
                    rest.next();
                }
            }
            '}' => {
                return problem(
                    at..at + 1,
                    format!("this brace of the {what} was never opened"),
                    "a field is written as {name}",
                );
            }
            c if c.is_control() => {
                return problem(
                    at..at + c.len_utf8(),
                    format!("the {what} holds a control character"),
                    "use letters, digits, `-` and `_`",
                );
            }
            c => literal.push(c),
        }
    }
    if !literal.is_empty() {
        parts.push(TemplatePart::Literal(literal));
    }
    if purpose != Purpose::Key {
        check_tokens(text, purpose)?;
    }
    let longest: usize = parts.iter().map(longest_part).sum();
    if longest > LENGTH_MAX {
        return problem(
            0..text.len(),
            format!("the {what} can reach {longest} bytes"),
            format!("keep it within {LENGTH_MAX} bytes"),
        );
    }
    Ok(Template { parts, text: text.to_owned() })
}

fn undefined_help(name: &str, fields: &BTreeMap<String, Field>) -> String {
    if fields.is_empty() {
        return format!("define it: fields.{} = {{ source = \"member\" }}", shown(name));
    }
    did_you_mean(name, "fields of this population", fields.keys().map(String::as_str))
}

fn longest_part(part: &TemplatePart) -> usize {
    match part {
        TemplatePart::Literal(text) => text.len(),
        // Ten digits hold every 32-bit number.
        TemplatePart::Field(field) => field.prefix.len() + field.width.max(10),
    }
}

fn check_tokens(text: &str, purpose: Purpose) -> Result<(), TemplateProblem> {
    let what = purpose.name();
    let last = text.split('.').count() - 1;
    let mut at = 0;
    for (index, token) in text.split('.').enumerate() {
        let range = at..at + token.len();
        at = range.end + 1;
        if token.is_empty() {
            // There is always a dot beside an empty token, except in an empty text.
            let dot = range.start.saturating_sub(1);
            return problem(
                dot..(dot + 1).min(text.len()),
                format!("the {what} has an empty token"),
                "put something between the dots, and no dot at either end",
            );
        }
        if token.contains(char::is_whitespace) {
            return problem(
                range,
                format!("the {what} has a space in a token"),
                "tokens are separated by dots; use `-` or `_` inside them",
            );
        }
        if !token.contains(['*', '>']) {
            continue;
        }
        if purpose == Purpose::Channel {
            return problem(
                range,
                "a channel to publish to has no wildcards".to_owned(),
                "wildcards belong into the filters of subscribers",
            );
        }
        match token {
            "*" => {}
            ">" if index == last => {}
            ">" => {
                return problem(
                    range,
                    "`>` stands for the rest of a channel, so it comes last".to_owned(),
                    "use `*` for one token in the middle",
                );
            }
            _ => {
                return problem(
                    range,
                    format!("`{}` has a wildcard inside a token", shown(token)),
                    "a wildcard is a token by itself: `*` for one, a last `>` for the rest",
                );
            }
        }
    }
    Ok(())
}

/// What is wrong with a field's prefix.
pub(super) fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let forbidden =
        |c: char| matches!(c, '.' | '*' | '>' | '{' | '}') || c.is_whitespace() || c.is_control();
    if prefix.contains(forbidden) {
        return Err("a prefix is part of one token: it has no dot, brace, wildcard or space");
    }
    if prefix.len() > 64 {
        return Err("a prefix has at most 64 bytes");
    }
    Ok(())
}

/// Whether some message on `channel` can match `filter`, as far as tokens can
/// be told apart one by one. How many members there are does not matter: a
/// smaller run, in which a region has no device, is still a sound scenario.
pub(super) fn may_match(filter: &Template, channel: &Template) -> bool {
    let filter = tokens(filter);
    let channel = tokens(channel);
    let tail = filter.last().is_some_and(|token| is_literal(token, ">"));
    let fixed = filter.len() - usize::from(tail);
    let lengths_fit = if tail { channel.len() > fixed } else { channel.len() == fixed };
    lengths_fit
        && filter[..fixed]
            .iter()
            .zip(&channel)
            .all(|(filter, channel)| is_literal(filter, "*") || tokens_meet(filter, channel))
}

/// A stretch of a token.
#[derive(Debug)]
enum Piece {
    Text(String),
    /// A number below the bound, with at least this many digits.
    Number {
        bound: u64,
        width: usize,
    },
}

fn tokens(template: &Template) -> Vec<Vec<Piece>> {
    let mut tokens: Vec<Vec<Piece>> = vec![Vec::new()];
    let add = |tokens: &mut Vec<Vec<Piece>>, text: &str| {
        let Some(token) = tokens.last_mut() else { return };
        match token.last_mut() {
            Some(Piece::Text(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => token.push(Piece::Text(text.to_owned())),
        }
    };
    for part in &template.parts {
        match part {
            TemplatePart::Literal(text) => {
                for (index, text) in text.split('.').enumerate() {
                    if index > 0 {
                        tokens.push(Vec::new());
                    }
                    add(&mut tokens, text);
                }
            }
            TemplatePart::Field(field) => {
                add(&mut tokens, &field.prefix);
                let bound = match field.source {
                    FieldSource::Member => u32::MAX,
                    FieldSource::Spread { count } | FieldSource::Draw { count, .. } => count,
                };
                if let Some(token) = tokens.last_mut() {
                    token.push(Piece::Number { bound: u64::from(bound), width: field.width });
                }
            }
        }
    }
    tokens
}

fn is_literal(token: &[Piece], text: &str) -> bool {
    matches!(token, [Piece::Text(literal)] if literal == text)
}

fn tokens_meet(a: &[Piece], b: &[Piece]) -> bool {
    match (a, b) {
        ([Piece::Text(text)], pattern) | (pattern, [Piece::Text(text)]) => fits(text, pattern),
        // Two patterns: only what stands in front is compared.
        _ => match (a.first(), b.first()) {
            (Some(Piece::Text(a)), Some(Piece::Text(b))) => {
                // The shorter text may go on with digits of its number.
                a.starts_with(b.as_str()) || b.starts_with(a.as_str())
            }
            _ => true,
        },
    }
}

/// Whether `text` is one of the texts that `pattern` stands for. All ends that
/// the pieces so far can have are followed at once, so that a pattern of many
/// numbers costs no more than its length.
fn fits(text: &str, pattern: &[Piece]) -> bool {
    let mut ends = vec![0usize];
    for piece in pattern {
        let mut next: Vec<usize> = Vec::new();
        for end in ends {
            let rest = &text[end..];
            match piece {
                Piece::Text(literal) if rest.starts_with(literal.as_str()) => {
                    next.push(end + literal.len());
                }
                Piece::Text(_) => {}
                Piece::Number { bound, width } => {
                    let digits = rest.bytes().take(20).take_while(u8::is_ascii_digit).count();
                    let is_number = |length: &usize| {
                        let number = &rest[..*length];
                        let padded = *length == (*width).max(1) || !number.starts_with('0');
                        *length >= *width
                            && padded
                            && number.parse::<u64>().is_ok_and(|number| number < *bound)
                    };
                    next.extend((1..=digits).filter(is_number).map(|length| end + length));
                }
            }
        }
        next.sort_unstable();
        next.dedup();
        ends = next;
    }
    ends.contains(&text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> BTreeMap<String, Field> {
        let field = |name: &str, source, prefix: &str, width| {
            (
                name.to_owned(),
                Field { name: name.to_owned(), source, prefix: prefix.to_owned(), width },
            )
        };
        BTreeMap::from([
            field("region", FieldSource::Spread { count: 40 }, "r", 2),
            field("device", FieldSource::Member, "", 0),
            field("topic", FieldSource::Draw { count: 5, zipf_exponent: None }, "", 0),
        ])
    }

    fn read(text: &str, purpose: Purpose) -> Template {
        parse(text, purpose, &fields()).expect(text)
    }

    #[test]
    fn a_template_is_literals_and_fields() {
        let template = read("t.{region}.{device}x", Purpose::Channel);
        let names: Vec<String> = template
            .parts
            .iter()
            .map(|part| match part {
                TemplatePart::Literal(text) => text.clone(),
                TemplatePart::Field(field) => format!("{{{}}}", field.name),
            })
            .collect();
        assert_eq!(names, ["t.", "{region}", ".", "{device}", "x"]);
    }

    #[test]
    fn wrong_templates_are_refused_at_the_place() {
        for (text, purpose, at) in [
            ("a..b", Purpose::Channel, 1..2),
            (".a", Purpose::Filter, 0..1),
            ("a.", Purpose::Filter, 1..2),
            ("a.>.b", Purpose::Filter, 2..3),
            ("a.b*", Purpose::Filter, 2..4),
            ("a.*", Purpose::Channel, 2..3),
            ("a b.c", Purpose::Channel, 0..3),
            ("a.{devise}", Purpose::Channel, 2..10),
            ("a.{topic}", Purpose::Filter, 2..9),
            ("a.{device", Purpose::Channel, 2..3),
            ("a}", Purpose::Key, 1..2),
            ("", Purpose::Channel, 0..0),
        ] {
            let problem = parse(text, purpose, &fields()).expect_err(text);
            assert_eq!(problem.range, at, "{text}: {}", problem.message);
        }
    }

    #[test]
    fn filters_are_compared_with_what_is_published() {
        let channel = read("telemetry.{region}.{device}.reading", Purpose::Channel);
        for (filter, meets) in [
            ("telemetry.*.*.reading", true),
            ("telemetry.>", true),
            ("telemetry.r07.>", true),
            ("telemetry.r40.>", false),
            ("telemetry.r7.>", false),
            ("telemetry.*.99.reading", true),
            ("telemetry.*.x1.reading", false),
            ("telemetry.*.*.reading.>", false),
            ("telemetry.*.*", false),
            ("telemetri.>", false),
            ("telemetry.{region}.>", true),
            ("telemetry.{device}.>", true),
            (">", true),
        ] {
            let filter = read(filter, Purpose::Filter);
            assert_eq!(may_match(&filter, &channel), meets, "{}", filter.text);
        }
    }
}
