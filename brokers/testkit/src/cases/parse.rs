//! Reads case files.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{AckPolicy, CrashKind, Feature, Settle, Start, units};
use serde::Deserialize;
use toml::Spanned;

use super::expand::expand;
use super::model::{
    Case, Checks, Ending, Group, Message, Order, Pace, Refusal, Step, Verb, WantText,
};

/// Why a case file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct CaseError {
    /// File and line.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    case: Vec<Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    feature: String,
    #[serde(default)]
    refused_with: Vec<String>,
    refusal: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, BTreeMap<String, String>>,
    clients: Vec<String>,
    steps: Vec<Spanned<RawStep>>,
}

macro_rules! raw_step {
    ($(verbs $verb:ident: $verb_type:ty;)* $(words $word:ident: $word_type:ty;)*) => {
        #[derive(Deserialize, Default)]
        #[serde(deny_unknown_fields)]
        struct RawStep {
            $($verb: Option<$verb_type>,)*
            $($word: Option<$word_type>,)*
            r#as: Option<String>,
        }

        impl RawStep {
            const VERBS: &'static [&'static str] = &[$(stringify!($verb),)*];

            /// Keys that nobody has taken yet, verbs first.
            fn left(&self) -> Vec<&'static str> {
                let mut left = Vec::new();
                $(if self.$verb.is_some() { left.push(stringify!($verb)); })*
                $(if self.$word.is_some() { left.push(stringify!($word)); })*
                if self.r#as.is_some() { left.push("as"); }
                left
            }
        }
    };
}

raw_step! {
    verbs open: String;
    verbs declare: String;
    verbs subscribe: String;
    verbs publish: String;
    verbs request: String;
    verbs reply: String;
    verbs unsubscribe: String;
    verbs fetch: String;
    verbs settle: String;
    verbs expect: Vec<String>;
    verbs share: Vec<String>;
    verbs outcome: String;
    verbs cut: String;
    verbs forget: Vec<String>;
    verbs shutdown: String;
    verbs kill: String;
    verbs pause: String;
    verbs resume: String;
    verbs crash: String;
    verbs restart: bool;
    verbs wait: String;
    words by: String;
    words filters: Vec<String>;
    words partitions: u32;
    words group: String;
    words seat: u32;
    words seats: u32;
    words start: String;
    words ack: String;
    words max_in_flight: u32;
    words durable: bool;
    words ack_wait: String;
    words max_deliver: u32;
    words backoff: Vec<String>;
    words payload: String;
    words payloads: Vec<String>;
    words headers: BTreeMap<String, String>;
    words key: String;
    words size: usize;
    words want: String;
    words once: u64;
    words timeout: String;
    words to: String;
    words after: u64;
    words max: u32;
    words of: String;
    words delay: String;
    words order: String;
    words via: String;
    words channels: Vec<String>;
    words redelivered: bool;
    words among: Vec<String>;
    words everybody: bool;
    words is: String;
    words answer: String;
    words within: String;
}

/// Reads a file of cases. `name` is its name in messages.
///
/// # Errors
/// [`CaseError`] for the first thing that is wrong.
pub fn parse_cases(name: &str, text: &str) -> Result<Vec<Case>, CaseError> {
    let line = |at: usize| {
        1 + text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count()
    };
    let file: RawFile = toml::from_str(text).map_err(|error| CaseError {
        place: format!("{name}:{}", error.span().map_or(1, |span| line(span.start))),
        what: error.message().to_owned(),
    })?;
    let mut cases = Vec::new();
    for raw in file.case {
        let place = format!("{name}:{}", line(raw.span().start));
        let raw = raw.into_inner();
        let title = raw.name.clone();
        let steps: Vec<_> = raw
            .steps
            .iter()
            .map(|step| {
                (line(step.span().start), text.get(step.span()).unwrap_or_default().to_owned())
            })
            .collect();
        let case = case(raw, place.clone(), &steps).map_err(|(step, what)| match step {
            Some(step) => CaseError {
                place: format!("{name}:{}", steps[step].0),
                what: format!("case `{title}`, step {}: {what}", step + 1),
            },
            None => CaseError { place, what: format!("case `{title}`: {what}") },
        })?;
        cases.push(case);
    }
    Ok(cases)
}

type Wrong = (Option<usize>, String);

fn case(raw: RawCase, place: String, texts: &[(usize, String)]) -> Result<Case, Wrong> {
    let feature = feature(&raw.feature).map_err(|what| (None, what))?;
    let refused_with: Result<Vec<_>, _> =
        raw.refused_with.iter().map(|name| self::feature(name)).collect();
    let refusal = match raw.refusal.as_deref() {
        None | Some("typed") => Refusal::Typed,
        Some("absent") => Refusal::Absent,
        Some(other) => return Err((None, choice("refusal", other, &["typed", "absent"]))),
    };
    let mut settings = Vec::new();
    for (contender, values) in raw.settings {
        for (setting, value) in values {
            settings.push((contender.clone(), setting, value));
        }
    }
    let mut known = raw.clients.clone();
    let mut labels: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for (index, spanned) in raw.steps.into_iter().enumerate() {
        let at = |what| (Some(index), what);
        let step = step(spanned.into_inner(), texts[index].1.clone()).map_err(at)?;
        if step.verb == Verb::Open {
            known.push(step.by.clone());
        }
        let mut named = vec![&step.by];
        match &step.verb {
            Verb::Share { among, .. } => named = among.iter().collect(),
            Verb::Forget { clients } => named = clients.iter().collect(),
            Verb::Crash(_) | Verb::Restart | Verb::Wait(_) => named.clear(),
            _ => {}
        }
        if let Some(stranger) = named.into_iter().find(|name| !known.contains(name)) {
            return Err(at(format!(
                "there is no client `{stranger}`; there is {}",
                known.join(", ")
            )));
        }
        let wants = match &step.verb {
            Verb::Unsubscribe { label, .. }
            | Verb::Fetch { label, .. }
            | Verb::Outcome { label, .. } => Some(label),
            Verb::Expect { via, .. } => via.as_ref(),
            _ => None,
        };
        if let Some(label) = wants.filter(|label| !labels.contains(label)) {
            return Err(at(format!("no step before it is called `{label}`")));
        }
        labels.extend(step.label.clone());
        if matches!(step.verb, Verb::Subscribe { .. }) {
            labels.push(step.by.clone());
        }
        steps.push(step);
    }
    if steps.is_empty() || raw.clients.is_empty() {
        return Err((None, "a case has clients and steps".to_owned()));
    }
    Ok(Case {
        name: raw.name,
        place,
        feature,
        refused_with: refused_with.map_err(|what| (None, what))?,
        refusal,
        settings,
        clients: raw.clients,
        steps,
    })
}

fn feature(name: &str) -> Result<Feature, String> {
    Feature::ALL.iter().copied().find(|feature| feature.name() == name).ok_or_else(|| {
        let names: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
        choice("feature", name, &names)
    })
}

fn choice(key: &str, given: &str, known: &[&str]) -> String {
    format!("`{key}` is one of {}, not `{given}`", known.join(", "))
}

fn pick<T: Copy>(
    key: &str,
    given: Option<String>,
    known: &[(&str, T)],
) -> Result<Option<T>, String> {
    let Some(given) = given else { return Ok(None) };
    let found = known.iter().find(|(name, _)| *name == given).map(|(_, value)| *value);
    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
    found.map(Some).ok_or_else(|| choice(key, &given, &names))
}

fn duration(key: &str, text: Option<String>) -> Result<Option<Duration>, String> {
    text.map(|text| units::parse_duration(&text).map_err(|error| format!("`{key}`: {error}")))
        .transpose()
}

fn need<T>(key: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("`{key}` is missing"))
}

fn expand_all(patterns: Vec<String>) -> Result<Vec<Vec<String>>, String> {
    patterns.iter().map(|pattern| expand(pattern)).collect()
}

fn message(raw: &mut RawStep) -> Message {
    Message {
        headers: raw.headers.take().unwrap_or_default().into_iter().collect(),
        key: raw.key.take(),
        size: raw.size.take().unwrap_or(0),
    }
}

/// Turns keys into a step. Every key is taken by the verb that knows it; what is
/// left over is an error.
fn step(mut raw: RawStep, text: String) -> Result<Step, String> {
    let verbs: Vec<_> = raw.left().into_iter().filter(|key| RawStep::VERBS.contains(key)).collect();
    let [name] = verbs[..] else {
        return Err(format!("one of {} says what to do, not {verbs:?}", RawStep::VERBS.join(", ")));
    };
    let label = raw.r#as.take();
    let mut by = None;
    let mut labelled = false;
    let verb = if let Some(client) = raw.open.take() {
        by = Some(client);
        Verb::Open
    } else if let Some(name) = raw.declare.take() {
        Verb::Declare {
            name,
            filters: need("filters", raw.filters.take())?,
            partitions: raw.partitions.take(),
        }
    } else if let Some(filter) = raw.subscribe.take() {
        labelled = true;
        let group = match raw.group.take() {
            Some(name) => Some(Group {
                name,
                seat: need("seat", raw.seat.take())?,
                seats: need("seats", raw.seats.take())?,
            }),
            None => None,
        };
        let starts = [("new", Start::New), ("all", Start::All), ("last", Start::Last)];
        let acks =
            [("none", AckPolicy::None), ("explicit", AckPolicy::Explicit), ("all", AckPolicy::All)];
        Verb::Subscribe {
            filter,
            group,
            start: pick("start", raw.start.take(), &starts)?.unwrap_or_default(),
            flow: Pace {
                ack: pick("ack", raw.ack.take(), &acks)?.unwrap_or_default(),
                max_in_flight: raw.max_in_flight.take(),
                durable: raw.durable.take().unwrap_or_default(),
                ack_wait: duration("ack_wait", raw.ack_wait.take())?,
                max_deliver: raw.max_deliver.take(),
                backoff: raw
                    .backoff
                    .take()
                    .unwrap_or_default()
                    .into_iter()
                    .map(|wait| need("backoff", duration("backoff", Some(wait))?))
                    .collect::<Result<_, _>>()?,
            },
        }
    } else if let Some(channel) = raw.publish.take() {
        labelled = true;
        let single = raw.payload.take().map(|payload| vec![payload]);
        let payloads = need("payload", single.or(raw.payloads.take()))?;
        let wants = [
            ("usual", WantText::Usual),
            ("nothing", WantText::Nothing),
            ("stored", WantText::Stored),
        ];
        let want = pick("want", raw.want.take(), &wants)?.unwrap_or(WantText::Usual);
        Verb::Publish {
            channel,
            message: message(&mut raw),
            payloads: expand_all(payloads)?.concat(),
            want: raw.once.take().map_or(want, WantText::StoredOnce),
        }
    } else if let Some(channel) = raw.request.take() {
        labelled = true;
        Verb::Request {
            channel,
            message: message(&mut raw),
            payload: need("payload", raw.payload.take())?,
            timeout: need("timeout", duration("timeout", raw.timeout.take())?)?,
        }
    } else if let Some(payload) = raw.reply.take() {
        Verb::Reply { payload, to: need("to", raw.to.take())? }
    } else if let Some(label) = raw.unsubscribe.take() {
        Verb::Unsubscribe { label, after: raw.after.take() }
    } else if let Some(label) = raw.fetch.take() {
        Verb::Fetch { label, max: need("max", raw.max.take())? }
    } else if let Some(settle) = raw.settle.take() {
        let delay = duration("delay", raw.delay.take())?;
        let known = [
            ("ack", Settle::Ack),
            ("nak", Settle::Nak { delay }),
            ("term", Settle::Term),
            ("working", Settle::Working),
        ];
        let settle = need("settle", pick("settle", Some(settle), &known)?)?;
        Verb::Settle { settle, of: need("of", raw.of.take())? }
    } else if let Some(payloads) = raw.expect.take() {
        let orders = [("exact", Order::Exact), ("each", Order::Each), ("any", Order::Any)];
        Verb::Expect {
            runs: expand_all(payloads)?,
            order: pick("order", raw.order.take(), &orders)?.unwrap_or(Order::Exact),
            via: raw.via.take(),
            checks: Checks {
                channels: raw.channels.take().unwrap_or_default(),
                headers: raw.headers.take().unwrap_or_default().into_iter().collect(),
                redelivered: raw.redelivered.take(),
            },
        }
    } else if let Some(payloads) = raw.share.take() {
        by = Some(String::new());
        Verb::Share {
            payloads: expand_all(payloads)?.concat(),
            among: need("among", raw.among.take())?,
            everybody: raw.everybody.take().unwrap_or_default(),
        }
    } else if let Some(label) = raw.outcome.take() {
        Verb::Outcome {
            label,
            is: need("is", pick("is", raw.is.take(), Ending::NAMES)?)?,
            answer: raw.answer.take(),
        }
    } else if let Some(clients) = raw.forget.take() {
        by = Some(String::new());
        Verb::Forget { clients }
    } else if let Some(kind) = raw.crash.take() {
        by = Some(String::new());
        let kinds = [("process", CrashKind::ProcessKill), ("power", CrashKind::PowerLoss)];
        Verb::Crash(need("crash", pick("crash", Some(kind), &kinds)?)?)
    } else if raw.restart.take().is_some() {
        by = Some(String::new());
        Verb::Restart
    } else if let Some(text) = raw.wait.take() {
        by = Some(String::new());
        Verb::Wait(if text == "quiet" { None } else { duration("wait", Some(text))? })
    } else {
        let (client, verb) = [
            (raw.cut.take(), Verb::Cut),
            (raw.shutdown.take(), Verb::Shutdown),
            (raw.kill.take(), Verb::Kill),
            (raw.pause.take(), Verb::Pause),
            (raw.resume.take(), Verb::Resume),
        ]
        .into_iter()
        .find(|(client, _)| client.is_some())
        .ok_or("nothing says what to do")?;
        by = client;
        verb
    };
    let by = match by {
        Some(by) => by,
        None => need("by", raw.by.take())?,
    };
    let within = duration("within", raw.within.take())?.unwrap_or(Duration::from_secs(5));
    if label.is_some() && !labelled {
        return Err(format!("`{name}` does not take `as`"));
    }
    match raw.left().first() {
        Some(key) => Err(format!("`{name}` does not take `{key}`")),
        None => Ok(Step { text, by, label, within, verb }),
    }
}
