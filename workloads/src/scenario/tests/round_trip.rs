//! Resolved scenarios read back as what they are.

use proptest::prelude::*;

use super::super::{built_in, template_text};
use super::{FULL, Options, SMALL, known, parse, read};

fn comes_back(text: &str, options: &Options<'_>) {
    let first =
        parse("test", text, &known(), options).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let written = first.to_toml();
    let again = read(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(again, first, "{written}");
    assert_eq!(again.to_toml(), written);
}

#[test]
fn what_the_lab_carries_reads_back() {
    for (name, text) in built_in() {
        comes_back(text, &Options::default());
        comes_back(text, &Options { quick: true, seed: Some(3), ..Options::default() });
        assert!(!name.is_empty());
    }
    comes_back(template_text(), &Options::default());
    comes_back(template_text(), &Options { quick: true, ..Options::default() });
    comes_back(FULL, &Options::default());
    comes_back(SMALL, &Options::default());
}

#[test]
fn the_resolved_iot_50k() {
    let (name, text) = built_in()[0];
    let scenario = parse(name, text, &known(), &Options::default()).expect("reads");
    insta::assert_snapshot!("resolved_iot_50k", scenario.to_toml());
    insta::assert_snapshot!("non_defaults_of_iot_50k", scenario.non_defaults.join("\n"));
    assert_eq!(scenario.hash.len(), 16);
}

#[test]
fn the_template_offers_a_few_thousand_messages_a_second() {
    let scenario = read(template_text()).expect("reads");
    assert_eq!(scenario.populations[0].count, 500);
    assert_eq!(scenario.window_s(), 5.0);
}

fn duration() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..2_000_000_000u64).prop_map(|n| format!("\"{n}ns\"")),
        (1..5_000u64).prop_map(|n| format!("\"{n}us\"")),
        (1..5_000u64).prop_map(|n| format!("\"{}.{:03}ms\"", n / 1000 + 1, n % 1000)),
    ]
}

fn arrival() -> impl Strategy<Value = String> {
    prop_oneof![
        duration().prop_map(|every| format!("{{ kind = \"periodic\", every = {every} }}")),
        (0.2..1e5f64).prop_map(|rate| format!("{{ kind = \"poisson\", rate_per_s = {rate:?} }}")),
        (0.2..1e3f64, 1..100u32, duration()).prop_map(|(rate, burst, spacing)| format!(
            "{{ kind = \"bursty\", bursts_per_s = {rate:?}, burst = {burst}, spacing = {spacing} }}"
        )),
    ]
}

fn size() -> impl Strategy<Value = String> {
    prop_oneof![
        (32..100_000u32).prop_map(|n| format!("\"{n}B\"")),
        (1..64u32).prop_map(|n| format!("\"{n}KiB\"")),
        (32..500u32, 500..900u32)
            .prop_map(|(a, b)| format!("{{ kind = \"uniform\", min = \"{a}B\", max = \"{b}B\" }}")),
        (32..500u32, 0.0..3.0f64, 500..9000u32).prop_map(|(a, sigma, b)| format!(
            "{{ kind = \"log-normal\", median = \"500B\", sigma = {sigma:?}, min = \"{a}B\", max = \"{b}B\" }}"
        )),
        (0.1..3.0f64, 500..9000u32).prop_map(|(exponent, b)| format!(
            "{{ kind = \"zipf\", exponent = {exponent:?}, min = \"32B\", max = \"{b}B\" }}"
        )),
    ]
}

fn processing() -> impl Strategy<Value = String> {
    prop_oneof![
        duration(),
        duration().prop_map(|mean| format!("{{ kind = \"exponential\", mean = {mean} }}")),
        (duration(), 0.0..2.0f64).prop_map(|(median, sigma)| format!(
            "{{ kind = \"log-normal\", median = {median}, sigma = {sigma:?} }}"
        )),
    ]
}

fn phase() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("kind = \"warm-up\"".to_owned()),
        Just("kind = \"pause\"".to_owned()),
        (0.1..9.0f64).prop_map(|rate| format!("kind = \"steady\"\nrate = {rate:?}")),
        (0.1..9.0f64).prop_map(|rate| format!("kind = \"burst\"\nrate = {rate:?}")),
        (0.0..9.0f64).prop_map(|from| format!("kind = \"ramp\"\nfrom = {from:?}\nto = 1.5")),
    ];
    (kind, duration())
        .prop_map(|(kind, length)| format!("[[phases]]\n{kind}\nduration = {length}\n"))
}

prop_compose! {
    fn scenario()(
        title in "[ -~äß]{0,20}",
        lesson in "[ -~\n\t]{0,40}",
        phases in prop::collection::vec(phase(), 0..5),
        steady in 5..50u32,
        arrivals in prop::collection::vec((arrival(), size(), any::<bool>()), 1..4),
        count in 1..1000u32,
        spread in 1..1000u32,
        width in 0..20u32,
        work in processing(),
        ack in any::<bool>(),
        shares in (0.0..1.0f64, 0.0..1.0f64),
        fault in prop::option::of((0.0..0.9f64, 0.001..0.0999f64)),
        link in prop::option::of((duration(), duration(), 1..10_000_000u32)),
        target in duration(),
    ) -> String {
        let quoted = |text: &str| super::super::text::Toml::toml(text);
        let mut out = format!("title = {}\nlesson = {}\n", quoted(&title), quoted(&lesson));
        phases.iter().for_each(|phase| out.push_str(phase));
        out.push_str(&format!("[[phases]]\nkind = \"steady\"\nduration = \"{steady}s\"\n"));
        if let Some((round_trip, jitter, kbit)) = &link {
            out.push_str(&format!(
                "[links.l]\nround_trip = {round_trip}\njitter = {jitter}\nbandwidth = \"{kbit}kbit/s\"\n"
            ));
        }
        let on = if link.is_some() { "link = \"l\"\n" } else { "" };
        out.push_str(&format!(
            "[populations.p]\nrole = \"publisher\"\ncount = {count}\n{on}\
             fields.m = {{ width = {width} }}\n\
             fields.s = {{ source = \"spread\", count = {spread}, prefix = \"s\" }}\n"
        ));
        for (index, (arrival, size, keyed)) in arrivals.iter().enumerate() {
            let key = if *keyed { "key = \"k{m}\"\n" } else { "" };
            out.push_str(&format!(
                "[populations.p.streams.n{index}]\nchannel = \"c.{{s}}.{{m}}\"\narrival = {arrival}\nsize = {size}\n{key}"
            ));
        }
        let ack = if ack {
            format!("ack = \"explicit\"\nfailure_rate = {:?}\nnak_rate = {:?}\n", shares.0, shares.1)
        } else {
            String::new()
        };
        out.push_str(&format!(
            "[populations.q]\nrole = \"subscriber\"\nfilter = \"c.*.>\"\ngroup = \"g\"\nprocessing = {work}\n{ack}"
        ));
        if let Some((at, length)) = fault {
            out.push_str(&format!(
                "[[faults]]\nkind = \"broker-crash\"\nat = {at:?}\nfor = {length:?}\n"
            ));
        }
        out.push_str(&format!("[[objectives]]\nsubscription = \"q\"\np99_delivery = {target}\n"));
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_scenario_reads_back(text in scenario()) {
        // A periodic arrival every nanosecond is refused; everything else is fine.
        if let Err(error) = read(&text) {
            prop_assert!(error.message().contains("messages"), "{}\n{}", error, text);
        } else {
            comes_back(&text, &Options::default());
        }
    }
}
