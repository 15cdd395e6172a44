//! What was heard, with what must differ made alike.
//!
//! Everything that is not named here is compared as it came.

use super::script::{Part, Step};

/// The end of what a connection hears.
pub const END: &str = "{<end>}";

/// What a connection heard, as text that can be compared and printed.
pub type Heard = String;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Frame {
    /// A line: a status, an error, an integer, a null, a number.
    Line(char, String),
    /// A string with its length.
    Text(char, Vec<u8>),
    /// Several; a map has two for each entry.
    List(char, Vec<Frame>),
    /// The header of an EXEC's answer, whose answers follow.
    Answers(String),
    /// No frame: the end, or bytes that are none.
    Rest(Vec<u8>),
}

/// What `bytes` say after `step`, on a server that gave its connections `ids`.
pub fn alike(step: &Step, ids: &[u64], bytes: &[u8]) -> Heard {
    let mut frames = Vec::new();
    let mut rest = bytes;
    // Answers of a transaction that are still to come.
    let mut answers = 0_usize;
    while !rest.is_empty() {
        let is_exec = step.says(&["exec"]) && !bytes.windows(4).any(|text| text == b"EXEC");
        let is_help = frame(rest).is_some_and(|(frame, _)| sentences(&frame));
        if is_exec && rest[0] == b'*' && !is_help && answers == 0 {
            // What a client publishes to itself lies among the answers in 7.0; so
            // that its place can be ignored, the answers lie side by side.
            let (header, behind) = line(rest).unwrap_or((rest, &[]));
            let header = String::from_utf8_lossy(header).into_owned();
            answers = header[1..].parse().unwrap_or(0);
            frames.push(Frame::Answers(header));
            rest = behind;
            continue;
        }
        match frame(rest) {
            Some((frame, behind)) => {
                let is_message = kind(&frame).is_some_and(|name| name.ends_with("message"));
                answers = answers.saturating_sub(usize::from(!is_message));
                frames.push(frame);
                rest = behind;
            }
            None => {
                frames.push(Frame::Rest(rest.to_vec()));
                break;
            }
        }
    }
    let speaks_http = step.parts.iter().any(|part| {
        matches!(part, Part::Raw(raw) if raw.starts_with("Host:") || raw.starts_with("POST"))
    });
    if speaks_http && frames.last() == Some(&Frame::Rest(b"<end>".to_vec())) {
        // What was answered before in the same read is thrown away by the original.
        frames.drain(..frames.len() - 1);
    }
    frames.iter_mut().for_each(|frame| soften(step, ids, frame));
    if step.says(&["config"]) {
        sort_texts_behind_headers(&mut frames);
    }
    order(step, &mut frames);
    frames.iter().map(show).collect::<Vec<_>>().join(" ")
}

/// Beside an EXEC the list that CONFIG GET answers with looks like another one's, so
/// that its texts lie side by side, in the order that is each server's own.
fn sort_texts_behind_headers(frames: &mut [Frame]) {
    for at in 0..frames.len() {
        let Frame::Answers(header) = &frames[at] else { continue };
        let count: usize = header[1..].parse().unwrap_or(0);
        if let Some(texts) = frames.get_mut(at + 1..).and_then(|behind| behind.get_mut(..count))
            && texts.iter().all(|frame| matches!(frame, Frame::Text('$', _)))
        {
            texts.sort();
        }
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

fn frame(bytes: &[u8]) -> Option<(Frame, &[u8])> {
    let (head, mut rest) = line(bytes)?;
    let (mark, value) = (char::from(*head.first()?), String::from_utf8_lossy(&head[1..]));
    match mark {
        '+' | '-' | ':' | '_' | ',' | '#' => Some((Frame::Line(mark, value.into_owned()), rest)),
        '$' | '=' => {
            let Ok(len) = value.parse::<usize>() else {
                return Some((Frame::Line(mark, value.into_owned()), rest));
            };
            let text = rest.get(..len)?.to_vec();
            Some((Frame::Text(mark, text), rest.get(len + 2..)?))
        }
        '*' | '>' | '~' | '%' => {
            let Ok(count) = value.parse::<usize>() else {
                return Some((Frame::Line(mark, value.into_owned()), rest));
            };
            let mut elements = Vec::new();
            for _ in 0..if mark == '%' { count * 2 } else { count } {
                let (element, behind) = frame(rest)?;
                elements.push(element);
                rest = behind;
            }
            Some((Frame::List(mark, elements), rest))
        }
        _ => None,
    }
}

/// The kind of message or confirmation that a list is, if it is one.
fn kind(frame: &Frame) -> Option<&str> {
    match frame {
        Frame::List('*' | '>', elements) => match elements.first() {
            Some(Frame::Text('$', name)) => std::str::from_utf8(name).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it is the answer to HELP.
fn sentences(frame: &Frame) -> bool {
    let Frame::List(_, elements) = frame else { return false };
    elements.iter().all(|element| matches!(element, Frame::Line('+', _)))
        && elements.iter().any(|element| matches!(element, Frame::Line('+', s) if s.contains(' ')))
}

/// Takes out of one frame what must differ.
fn soften(step: &Step, ids: &[u64], frame: &mut Frame) {
    let hidden = |text: &str| Frame::Line('<', text.to_owned());
    if sentences(frame) {
        *frame = hidden("help");
        return;
    }
    match frame {
        Frame::Text(mark, text) => {
            if *mark == '=' && text.starts_with(b"txt:") {
                text.drain(..4);
            }
            let words = String::from_utf8_lossy(text).into_owned();
            if words.starts_with("id=") && words.contains(" addr=") {
                *text = clients(ids, &words).into_bytes();
            } else if words.starts_with("# ") && words.contains("\r\n") {
                *text = b"information".to_vec();
            } else if words.starts_with("user ") {
                // Rules about commands are listed in another way on purpose.
                let kept = words.split(' ').filter(|word| !word.starts_with(['+', '-']));
                *text = kept.collect::<Vec<_>>().join(" ").into_bytes();
            } else if text.len() >= 10 && text.iter().all(u8::is_ascii_digit) {
                *text = b"seconds".to_vec();
            }
        }
        Frame::List(mark, elements) => {
            elements.iter_mut().for_each(|element| soften(step, ids, element));
            if elements.len() >= 20 && (step.says(&["command"]) || step.says(&["exec"])) {
                *frame = hidden("commands");
                return;
            }
            for at in 1..elements.len() {
                let Frame::Text(_, key) = &elements[at - 1] else { continue };
                let is_hidden: &[&[u8]] =
                    &[b"age-seconds", b"client-info", b"commands", b"seconds"];
                let is_object = key == b"object";
                if is_hidden.contains(&&key[..]) {
                    elements[at] = hidden("hidden");
                } else if is_object && let Frame::Text(_, name) = &mut elements[at] {
                    // AUTH and HELLO are not named as they were typed.
                    name.make_ascii_lowercase();
                }
            }
            let is_text = |frame: &Frame| matches!(frame, Frame::Text('$', _));
            let is_free = match mark {
                '~' => true,
                '*' => {
                    elements.iter().all(is_text)
                        && (step.says(&["pubsub"])
                            || step.says(&["config"])
                            || step.says(&["acl"])
                            || step.says(&["exec"]))
                        && !matches!(&elements.first(), Some(Frame::Text(_, name))
                            if name.ends_with(b"message") || name == b"pong")
                }
                _ => false,
            };
            if is_free {
                elements.sort();
            }
            if *mark == '%' {
                let mut entries: Vec<_> = elements.chunks(2).map(<[Frame]>::to_vec).collect();
                if step.says(&["config"]) || step.says(&["exec"]) {
                    entries.sort();
                }
                *elements = entries.concat();
            }
        }
        Frame::Line(':', number) => {
            if let Some(own) = own(ids, number) {
                *number = own;
            } else if step.says(&["command", "count"]) && number.len() > 1 {
                *frame = hidden("count");
            }
        }
        Frame::Line('-', error) => {
            // The name of a subcommand is not repeated as it was typed.
            let mark = "unknown subcommand or wrong number of arguments for '";
            if let Some((before, after)) = error.split_once(mark)
                && let Some((name, rest)) = after.split_once('\'')
            {
                *error = format!("{before}{mark}{}'{rest}", name.to_uppercase());
            }
        }
        Frame::Line(..) | Frame::Answers(_) | Frame::Rest(_) => {}
    }
}

/// Which of a script's connections has this number.
fn own(ids: &[u64], number: &str) -> Option<String> {
    let id: u64 = number.parse().ok()?;
    ids.iter().position(|known| *known == id).map(|at| format!("#{at}"))
}

/// Lines of CLIENT LIST with the columns that both have and nothing moves.
fn clients(ids: &[u64], lines: &str) -> String {
    const KEPT: &[&str] = &[
        "id", "name", "flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir", "resp",
    ];
    let line = |line: &str| {
        let kept = line.split(' ').filter_map(|column| {
            let (name, value) = column.split_once('=')?;
            match name {
                "id" => Some(format!("id={}", own(ids, value).unwrap_or_else(|| "other".into()))),
                name if KEPT.contains(&name) => Some(column.to_owned()),
                _ => None,
            }
        });
        kept.collect::<Vec<_>>().join(" ")
    };
    lines.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Puts into one order what has none, or another one on purpose.
fn order(step: &Step, frames: &mut Vec<Frame>) {
    let is_message = |frame: &Frame| kind(frame).is_some_and(|name| name.ends_with("message"));
    let is_push = |frame: &Frame| matches!(frame, Frame::List('>', _));
    // A client that publishes to itself hears of it after the answer.
    let (pushed, mut others): (Vec<_>, Vec<_>) =
        frames.drain(..).partition(|frame| is_push(frame) && is_message(frame));
    others.extend(pushed);
    *frames = others;
    // Several patterns of one client that match one message.
    sort_runs(frames, |frame| kind(frame) == Some("pmessage"));
    let ends_all = ["unsubscribe", "punsubscribe", "sunsubscribe"].into_iter().any(|verb| {
        step.says(&["exec"])
            || step.parts.iter().any(|part| {
                matches!(part, Part::Words(words) | Part::Line(words)
                    if words.len() == 1 && words[0].eq_ignore_ascii_case(verb))
            })
    });
    if ends_all {
        // The names are in no order, the counts are.
        let mut at = 0;
        while at < frames.len() {
            let name = kind(&frames[at]).filter(|name| name.contains("unsub")).map(str::to_owned);
            let mut end = at + 1;
            if name.is_some() {
                while end < frames.len() && kind(&frames[end]) == name.as_deref() {
                    end += 1;
                }
                let mut names: Vec<Frame> = frames[at..end]
                    .iter()
                    .map(|frame| match frame {
                        Frame::List(_, elements) => elements[1].clone(),
                        _ => unreachable!("a confirmation is a list"),
                    })
                    .collect();
                names.sort();
                for (frame, name) in frames[at..end].iter_mut().zip(names) {
                    if let Frame::List(_, elements) = frame {
                        elements[1] = name;
                    }
                }
            }
            at = end;
        }
    }
}

fn sort_runs(frames: &mut [Frame], belongs: impl Fn(&Frame) -> bool) {
    let mut at = 0;
    while at < frames.len() {
        let mut end = at;
        while end < frames.len() && belongs(&frames[end]) {
            end += 1;
        }
        frames[at..end].sort();
        at = end.max(at) + 1;
    }
}

fn show(frame: &Frame) -> String {
    match frame {
        Frame::Line(mark, value) => format!("{mark}{value}"),
        Frame::Text(mark, text) => format!("{mark}\"{}\"", text.escape_ascii()),
        Frame::List(mark, elements) => {
            format!("{mark}[{}]", elements.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Frame::Answers(header) => format!("({header})"),
        Frame::Rest(bytes) => format!("{{{}}}", bytes.escape_ascii()),
    }
}
