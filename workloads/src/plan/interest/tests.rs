//! Expected scopes against text matching.

use broker_contract::SeedStream;
use proptest::prelude::*;

use super::super::testing::{
    field, publishers, scenario, steady, stream, subscribers, telemetry, template,
};
use super::*;
use crate::scenario::model::{Arrival, Field, FieldSource, Population, Template};

/// The scopes of `op` by comparing its channel with every member's filter.
fn by_text(interest: &Interest, scenario: &Scenario, channel: &str) -> Vec<u32> {
    let mut scopes = Vec::new();
    for (index, population) in scenario.populations.iter().enumerate() {
        if population.subscription().is_some() {
            for member in 0..population.count {
                if filter_matches(&interest.filter(index, member), channel) {
                    scopes.push(interest.scope(index, member));
                }
            }
        }
    }
    scopes.dedup();
    scopes
}

/// Compares the first `messages` of a plan, and returns how many copies they make.
fn check(scenario: &Scenario, messages: usize) -> usize {
    let mut plan = Plan::new(scenario, SeedStream::new(9));
    let interest = Interest::new(scenario);
    let mut channel = String::new();
    let mut copies = 0;
    for _ in 0..messages {
        let Some(op) = plan.next() else { break };
        plan.channel(&op, &mut channel);
        let mut scopes = Vec::new();
        interest.expected(&plan, &op, &mut |scope| scopes.push(scope));
        assert_eq!(scopes, by_text(&interest, scenario, &channel), "{channel}");
        copies += scopes.len();
    }
    copies
}

/// Few names, prefixes and widths, so that channels and filters often meet.
fn any_field(sources: impl Strategy<Value = FieldSource>) -> impl Strategy<Value = Field> {
    let prefix = prop_oneof![3 => Just(""), 2 => Just("r"), 1 => Just("a.")];
    (sources, prefix, 0usize..3).prop_map(|(source, prefix, width)| {
        // One name, one field: the values of equal names are drawn once.
        let name = format!("{source:?}{prefix}{width}").replace(['{', '}'], "");
        field(&name, source, prefix, width)
    })
}

fn any_source() -> impl Strategy<Value = FieldSource> {
    prop_oneof![
        Just(FieldSource::Member),
        (1u32..14).prop_map(|count| FieldSource::Spread { count })
    ]
}

fn any_channel_source() -> impl Strategy<Value = FieldSource> {
    let draw = (1u32..14).prop_map(|count| FieldSource::Draw { count, zipf_exponent: None });
    prop_oneof![any_source(), draw]
}

/// A token as text with at most two fields in it.
fn any_token(
    fields: impl Strategy<Value = Field> + Clone,
    wild: bool,
) -> impl Strategy<Value = (String, Vec<Field>)> {
    let literal = prop_oneof![
        Just("a"),
        Just("r"),
        Just("r1"),
        Just("r07"),
        Just("3"),
        Just("07"),
        Just("12"),
        Just("")
    ];
    let plain = literal.clone().prop_map(|text| (text.to_owned(), Vec::new()));
    let number = fields.clone().prop_map(|field| (format!("{{{}}}", field.name), vec![field]));
    let glued = (literal.clone(), fields.clone(), literal).prop_map(|(before, field, after)| {
        (format!("{before}{{{}}}{after}", field.name), vec![field])
    });
    let double = (fields.clone(), fields)
        .prop_map(|(one, two)| (format!("{{{}}}{{{}}}", one.name, two.name), vec![one, two]));
    let star = Just(("*".to_owned(), Vec::new()));
    let star_weight = if wild { 3 } else { 0 };
    prop_oneof![3 => plain, 4 => number, 1 => glued, 1 => double, star_weight => star]
}

fn any_template(
    fields: impl Strategy<Value = Field> + Clone,
    wild: bool,
) -> impl Strategy<Value = Template> {
    (prop::collection::vec(any_token(fields, wild), 1..4), any::<bool>()).prop_map(
        move |(tokens, tail)| {
            let mut text: Vec<_> = tokens.iter().map(|(text, _)| text.as_str()).collect();
            if wild && tail {
                text.push(">");
            }
            let fields: Vec<_> = tokens.iter().flat_map(|(_, fields)| fields.clone()).collect();
            template(&text.join("."), &fields)
        },
    )
}

fn any_publishers() -> impl Strategy<Value = Population> {
    let fields = any_field(any_channel_source().boxed()).boxed();
    (1u32..40, prop::collection::vec(any_template(fields, false), 1..3)).prop_map(
        |(count, channels)| {
            let streams = channels.into_iter().enumerate().map(|(index, channel)| {
                stream(&format!("s{index}"), channel, Arrival::Poisson { rate_per_s: 10.0 })
            });
            publishers("p", count, streams.collect())
        },
    )
}

fn any_subscribers() -> impl Strategy<Value = Population> {
    let fields = any_field(any_source().boxed()).boxed();
    (0u32..30, any_template(fields, true), any::<bool>())
        .prop_map(|(count, filter, group)| subscribers("s", count, filter, group.then_some("g")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn expected_is_what_text_says(
        senders in any_publishers(),
        receivers in prop::collection::vec(any_subscribers(), 1..8),
    ) {
        let mut populations = receivers;
        populations.insert(populations.len() / 2, senders);
        check(&scenario(steady(1), populations), 40);
    }
}

#[test]
fn telemetry_is_shared_out_as_its_filters_say() {
    let mut scenario = telemetry(500, steady(60));
    let edge = [field("region", FieldSource::Spread { count: 40 }, "r", 2)];
    let own = [field("device", FieldSource::Member, "d", 5)];
    scenario.populations.push(subscribers("edge", 90, template("*.{region}.>", &edge), None));
    scenario.populations.push(subscribers("twin", 500, template("*.*.{device}.*", &own), None));
    let copies = check(&scenario, 3_000);
    // The group, two or three of the 90, and the twin; now and then dashboard or alarms.
    assert!((3_000 * 4..3_000 * 5).contains(&copies), "{copies}");
}

#[test]
fn scopes_are_numbered_in_the_order_of_the_file() {
    let any = || template(">", &[]);
    let populations = vec![
        subscribers("one", 3, any(), None),
        subscribers("none", 0, any(), None),
        publishers(
            "p",
            1,
            vec![stream("s", template("a", &[]), Arrival::Poisson { rate_per_s: 1.0 })],
        ),
        subscribers("group", 5, any(), Some("g")),
        subscribers("two", 2, any(), None),
    ];
    let interest = Interest::new(&scenario(steady(1), populations));
    assert_eq!(interest.scopes(), 6);
    let all: Vec<_> =
        (0..6).map(|scope| (interest.population_of(scope), interest.member_of(scope))).collect();
    let wanted = [(0, Some(0)), (0, Some(1)), (0, Some(2)), (3, None), (4, Some(0)), (4, Some(1))];
    assert_eq!(all, wanted);
    assert_eq!(interest.scope(0, 2), 2);
    assert_eq!(interest.scope(3, 4), 3);
    assert_eq!(interest.scope(4, 1), 5);
}

#[test]
fn what_filters_take() {
    for (filter, channel, wanted) in [
        ("a.b", "a.b", true),
        ("a.b", "a.b.c", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.>", "a", false),
        ("a.>", "a.b.c", true),
        (">", "a", true),
        ("*.c", "a.c", true),
        // A `>` that is not last is a token like any other.
        (">.c", "a.c", false),
    ] {
        assert_eq!(filter_matches(filter, channel), wanted, "{filter} on {channel}");
    }
}
