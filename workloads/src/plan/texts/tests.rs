//! Texts against formatting.

use proptest::prelude::*;

use super::super::testing::{field, publishers, scenario, steady, stream, template};
use super::*;
use crate::scenario::model::Arrival;

fn op(member: u32, drawn: [u32; DRAWN_MAX]) -> Planned {
    Planned {
        number: 0,
        at_ns: 0,
        population: 0,
        stream: 0,
        member,
        producer: 0,
        sequence: 0,
        key: 0,
        size: 32,
        drawn,
    }
}

proptest! {
    #[test]
    fn numbers_are_padded_as_formatting_pads_them(number in 0u32.., width in 0usize..30) {
        let mut text = String::new();
        push_number(&mut text, number, width);
        prop_assert_eq!(text, format!("{number:0width$}"));
    }
}

#[test]
fn channels_and_keys_share_what_is_drawn() {
    let draw = |count| FieldSource::Draw { count, zipf_exponent: None };
    let fields = [
        field("region", FieldSource::Spread { count: 40 }, "r", 2),
        field("device", FieldSource::Member, "", 0),
        field("kind", draw(3), "k", 0),
        field("lot", draw(1000), "", 4),
    ];
    let mut readings = stream(
        "readings",
        template("t.{region}-{device}{kind}.x", &fields),
        Arrival::Poisson { rate_per_s: 1.0 },
    );
    readings.key = Some(template("{lot}/{kind}", &fields));
    let events = stream("events", template("fixed", &[]), Arrival::Poisson { rate_per_s: 1.0 });
    let texts = Texts::new(&scenario(steady(1), vec![publishers("p", 50, vec![readings, events])]));
    let mut text = String::from("something longer that was there before");
    let op = op(47, [2, 77, 0, 0]);
    texts.channel(&op, &mut text);
    assert_eq!(text, "t.r07-47k2.x");
    assert!(texts.key_text(&op, &mut text));
    assert_eq!(text, "0077/k2");
    let op = Planned { stream: 1, ..op };
    texts.channel(&op, &mut text);
    assert_eq!(text, "fixed");
    assert!(!texts.key_text(&op, &mut text));
    assert_eq!(text, "");
}
