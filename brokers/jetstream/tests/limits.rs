//! Limits and purges against a model that is as plain as their definitions.

mod common;

use broker_contract::CrashKind;
use common::{Rig, Sent, small_blocks};
use proptest::prelude::*;

/// What a stream is limited to.
#[derive(Clone, Debug)]
struct Limits {
    messages: Option<usize>,
    bytes: Option<u64>,
    each: Option<usize>,
    age_ms: Option<u64>,
    discards_new: bool,
    /// Whether new messages give way at the limit of their subject, too.
    new_each: bool,
}

impl Limits {
    fn json(&self, in_memory: bool) -> String {
        let number = |value: Option<u64>| value.map_or("-1".to_owned(), |value| value.to_string());
        let new_each = self.new_each && self.discards_new && self.each.is_some();
        format!(
            "\"subjects\":[\"s.*\"],\"storage\":\"{}\",\"max_msgs\":{},\"max_bytes\":{},\
             \"max_msgs_per_subject\":{},\"max_age\":{},\"discard\":\"{}\",\
             \"discard_new_per_subject\":{new_each}",
            if in_memory { "memory" } else { "file" },
            number(self.messages.map(|most| most as u64)),
            number(self.bytes),
            number(self.each.map(|most| most as u64)),
            self.age_ms.unwrap_or(0) * 1_000_000,
            if self.discards_new { "new" } else { "old" },
        )
    }
}

#[derive(Copy, Clone, Debug)]
struct Kept {
    seq: u64,
    subject: u8,
    size: u64,
    at_ms: u64,
}

/// What a stream keeps, by the definition of its limits.
struct Model {
    limits: Limits,
    kept: Vec<Kept>,
    last: u64,
    now_ms: u64,
    /// Bytes of a message besides its subject and its payload.
    overhead: u64,
}

impl Model {
    fn bytes(&self) -> u64 {
        self.kept.iter().map(|one| one.size).sum()
    }

    fn on(&self, subject: u8) -> impl Iterator<Item = &Kept> {
        self.kept.iter().filter(move |one| one.subject == subject)
    }

    /// Why a message is refused, if it is.
    fn refusal(&self, subject: u8, size: u64) -> Option<&'static str> {
        let limits = &self.limits;
        if !limits.discards_new {
            return None;
        }
        let replaces = limits.each.is_some_and(|most| self.on(subject).count() >= most);
        if replaces && limits.new_each {
            return Some("maximum messages per subject exceeded");
        }
        if !replaces && limits.messages.is_some_and(|most| self.kept.len() >= most) {
            return Some("maximum messages exceeded");
        }
        let is_over = limits.bytes.is_some_and(|most| self.bytes() + size > most);
        let frees = self.on(subject).next().filter(|_| replaces).map_or(0, |first| first.size);
        (is_over && frees < size).then_some("maximum bytes exceeded")
    }

    fn publish(&mut self, subject: u8, payload: usize) -> Option<&'static str> {
        let size = 3 + payload as u64 + self.overhead;
        let refusal = self.refusal(subject, size);
        if refusal.is_none() {
            self.last += 1;
            self.kept.push(Kept { seq: self.last, subject, size, at_ms: self.now_ms });
            self.enforce();
        }
        refusal
    }

    fn enforce(&mut self) {
        self.enforce_each();
        self.enforce_all();
    }

    fn enforce_each(&mut self) {
        if let Some(age) = self.limits.age_ms {
            self.kept.retain(|one| one.at_ms + age > self.now_ms);
        }
        if let Some(most) = self.limits.each {
            for subject in 0..4 {
                while self.on(subject).count() > most {
                    let first = self.on(subject).next().expect("has one").seq;
                    self.kept.retain(|one| one.seq != first);
                }
            }
        }
    }

    fn enforce_all(&mut self) {
        let Limits { messages, bytes, discards_new, .. } = self.limits;
        while !discards_new
            && (messages.is_some_and(|most| self.kept.len() > most)
                || bytes.is_some_and(|most| self.bytes() > most))
        {
            self.kept.remove(0);
        }
    }

    fn purge(&mut self, filter: Option<u8>, seq: u64, keep: usize) -> usize {
        let before = self.kept.len();
        let takes = |one: &Kept| filter.is_none_or(|subject| subject == one.subject);
        let matching = self.kept.iter().filter(|one| takes(one)).count();
        let mut left = if keep > 0 { matching.saturating_sub(keep) } else { matching };
        self.kept.retain(|one| {
            let goes = takes(one) && left > 0 && (seq == 0 || one.seq < seq);
            left -= usize::from(goes);
            !goes
        });
        before - self.kept.len()
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    let some = prop::option::of::<BoxedStrategy<u64>>;
    (
        some((1..25_u64).boxed()),
        some((100..2_500_u64).boxed()),
        some((1..6_u64).boxed()),
        some((1_000..9_000_u64).boxed()),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(messages, bytes, each, age_ms, discards_new, new_each)| Limits {
            messages: messages.map(|most| most as usize),
            bytes,
            each: each.map(|most| most as usize),
            age_ms,
            discards_new,
            new_each: new_each && discards_new && each.is_some(),
        })
}

#[derive(Clone, Debug)]
enum Step {
    Publish { subject: u8, payload: usize },
    Delete(usize),
    Purge { filter: Option<u8>, seq: u64, keep: usize },
    Wait(u64),
    Update(Limits),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..4_u8, 0..150_usize)
            .prop_map(|(subject, payload)| Step::Publish { subject, payload }),
        2 => (0..40_usize).prop_map(Step::Delete),
        1 => (prop::option::of(0..4_u8), 0..80_u64, 0..6_usize).prop_map(|(filter, seq, keep)| {
            // The original refuses both at once.
            Step::Purge { filter, seq, keep: if seq > 0 { 0 } else { keep } }
        }),
        2 => (0..4_000_u64).prop_map(Step::Wait),
        1 => limits().prop_map(Step::Update),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn limits_keep_what_they_are_defined_to_keep(
        limits in limits(),
        steps in steps(),
        in_memory in any::<bool>(),
    ) {
        let mut rig = Rig::with(small_blocks());
        rig.stream("S", &limits.json(in_memory));
        let overhead = if in_memory { 16 } else { 30 };
        let mut model = Model { limits, kept: Vec::new(), last: 0, now_ms: 0, overhead };
        for step in steps {
            match step {
                Step::Publish { subject, payload } => {
                    let answer = rig.publish(&format!("s.{subject}"), &"x".repeat(payload));
                    match model.publish(subject, payload) {
                        Some(refusal) => prop_assert!(answer.contains(refusal), "{}", answer),
                        None => prop_assert!(!answer.contains("error"), "{}", answer),
                    }
                }
                Step::Delete(at) => {
                    if let Some(seq) = model.kept.get(at).map(|one| one.seq) {
                        model.kept.remove(at);
                        rig.api("STREAM.MSG.DELETE.S", &format!("{{\"seq\":{seq}}}"));
                    }
                }
                Step::Purge { filter, seq, keep } => {
                    let subject = filter.map_or(String::new(), |subject| format!("s.{subject}"));
                    let body =
                        format!("{{\"filter\":\"{subject}\",\"seq\":{seq},\"keep\":{keep}}}");
                    let purged = rig.api_value("STREAM.PURGE.S", &body)["purged"].as_u64();
                    prop_assert_eq!(purged, Some(model.purge(filter, seq, keep) as u64));
                }
                Step::Wait(millis) => {
                    rig.advance(millis);
                    model.now_ms += millis;
                    model.enforce();
                }
                Step::Update(limits) => {
                    let body = format!("{{\"name\":\"S\",{}}}", limits.json(in_memory));
                    let answer = rig.api("STREAM.UPDATE.S", &body);
                    prop_assert!(!answer.contains("error"), "{}", answer);
                    rig.work();
                    model.limits = limits;
                    model.enforce_all();
                    model.enforce_each();
                }
                Step::Crash if in_memory => {}
                Step::Crash => rig.crash(CrashKind::ProcessKill, |_| 0),
            }
            let first = model.kept.first().map_or(model.last + 1, |one| one.seq);
            let first = if model.last == 0 { 0 } else { first };
            let info = rig.api_value("STREAM.INFO.S", "");
            prop_assert_eq!(&info["state"]["bytes"], model.bytes());
            prop_assert_eq!(rig.state("S"), (model.kept.len() as u64, first, model.last));
        }
        rig.consumer("S", "all", "\"mem_storage\":true");
        let got = rig.pull("S", "all", "{\"batch\":1000,\"no_wait\":true}");
        let seqs: Vec<u64> =
            got.iter().filter(|sent| sent.is_delivery()).map(|sent| sent.number(1)).collect();
        let expected: Vec<u64> = model.kept.iter().map(|one| one.seq).collect();
        prop_assert_eq!(seqs, expected);
        for subject in 0..4 {
            let body = format!("{{\"last_by_subj\":\"s.{subject}\"}}");
            let answer = rig.api_value("STREAM.MSG.GET.S", &body);
            let expected = model.on(subject).last().map(|one| one.seq);
            prop_assert_eq!(answer["message"]["seq"].as_u64(), expected);
        }
    }

    /// A message is a duplicate as long as its window lasts, and no longer, whatever
    /// ends in between.
    #[test]
    fn the_duplicate_window_slides(
        steps in prop::collection::vec((0..6_u8, 0..700_u64), 1..80),
    ) {
        let mut rig = Rig::new();
        rig.stream("S", "\"duplicate_window\":1000000000");
        let (mut known, mut last, mut now): (Vec<(u8, u64, u64)>, u64, u64) = (Vec::new(), 0, 0);
        for (id, millis) in steps {
            if id == 5 {
                rig.crash(CrashKind::ProcessKill, |_| 0);
                continue;
            }
            rig.advance(millis);
            now += millis;
            known.retain(|(_, at, _)| at + 1_000 > now);
            let answer = rig.request_with("S", &[("Nats-Msg-Id", &id.to_string())], "x");
            let earlier = known.iter().find(|(other, ..)| *other == id).map(|(.., seq)| *seq);
            let expected = match earlier {
                Some(seq) => format!("{{\"stream\":\"S\",\"seq\":{seq},\"duplicate\": true}}"),
                None => {
                    last += 1;
                    known.push((id, now, last));
                    format!("{{\"stream\":\"S\",\"seq\":{last}}}")
                }
            };
            prop_assert_eq!(answer, expected);
        }
    }
}

/// As `nats-server` 2.15.1 answered.
#[test]
fn a_limit_that_comes_down_spares_the_old_where_the_new_give_way() {
    let mut rig = Rig::new();
    let base = "\"subjects\":[\"x.*\"],\"storage\":\"memory\"";
    let update = |rig: &mut Rig, fields: &str| {
        let answer = rig.api("STREAM.UPDATE.X", &format!("{{\"name\":\"X\",{base},{fields}}}"));
        assert!(!answer.contains("error"), "{answer}");
        rig.state("X")
    };
    rig.stream("X", &format!("{base},\"discard\":\"new\",\"max_msgs\":5"));
    for number in 0..5 {
        rig.publish(&format!("x.{}", number % 2), "a");
    }
    assert_eq!(update(&mut rig, "\"discard\":\"new\",\"max_msgs\":2"), (5, 1, 5));
    let each = "\"discard\":\"new\",\"max_msgs_per_subject\":1,\"discard_new_per_subject\":true";
    assert_eq!(update(&mut rig, each), (2, 4, 5));
    assert_eq!(update(&mut rig, "\"max_msgs\":1"), (1, 5, 5));
    // A message larger than everything the stream may hold is taken, and goes.
    assert_eq!(update(&mut rig, "\"max_bytes\":100"), (1, 5, 5));
    assert_eq!(rig.publish("x.1", &"a".repeat(200)), r#"{"stream":"X","seq":6}"#);
    assert_eq!(rig.state("X"), (0, 7, 6));
    let consumer_sees: Vec<Sent> = {
        rig.consumer("X", "C", "");
        rig.pull("X", "C", "{\"no_wait\":true}")
    };
    assert_eq!(consumer_sees[0].status(), Some("404 No Messages"));
}
