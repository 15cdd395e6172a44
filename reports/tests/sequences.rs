//! The life of a message, as text and as a picture.

use lab_reports::clean;
use lab_reports::sequence::{Lane, Sequence, Step, svg, text};
use lab_reports::text::Style;

fn step(from: Lane, to: Lane, times_us: [u64; 2], who: &str, what: &str) -> Step {
    Step {
        from,
        to,
        leaves_ns: times_us[0] * 1_000,
        arrives_ns: times_us[1] * 1_000,
        who: who.to_owned(),
        what: what.to_owned(),
    }
}

fn sequence(contender: &str, steps: Vec<Step>) -> Sequence {
    Sequence {
        contender: contender.to_owned(),
        message: 1_000,
        channel: "telemetry.r07.d00042.reading".to_owned(),
        steps,
    }
}

/// A log that waits to fill a batch, and a broker that sends at once.
fn two() -> Vec<Sequence> {
    use Lane::{Consumer, Disk, Node, Publisher};
    vec![
        sequence(
            "kafka:linger=5ms,flush=1",
            vec![
                step(Publisher, Publisher, [0, 0], "gateways[2]", "publish (128 B)"),
                step(
                    Publisher,
                    Node,
                    [5_000, 5_512],
                    "gateways[2]",
                    "sends 9,310 B, a batch of 48",
                ),
                step(Node, Node, [5_512, 5_530], "", "waits for the node's core"),
                step(Node, Disk, [5_530, 5_536], "", "appends 9,204 B to the page cache"),
                step(Disk, Disk, [5_540, 6_540], "", "sync"),
                step(Disk, Node, [6_540, 6_540], "", "synced: it survives a power loss"),
                step(
                    Node,
                    Publisher,
                    [6_541, 7_050],
                    "gateways[2]",
                    "acknowledged: 1 copy, synced",
                ),
                step(Node, Consumer, [6_542, 6_642], "ingest[0]", "sends 9,260 B, a batch of 48"),
                step(Consumer, Consumer, [6_700, 6_700], "ingest[0]", "takes it"),
            ],
        ),
        sequence(
            "nats",
            vec![
                step(Publisher, Publisher, [0, 0], "devices[42]", "publish (128 B)"),
                step(Publisher, Node, [0, 512], "devices[42]", "sends 181 B"),
                step(Node, Consumer, [512, 612], "ingest[3]", "sends 183 B"),
                step(Consumer, Consumer, [612, 612], "ingest[3]", "takes it"),
            ],
        ),
    ]
}

/// One message to two hundred caches.
fn fan_out() -> Sequence {
    let copies = (0..200_u64).flat_map(|at| {
        let who = format!("nodes[{at}]");
        [
            step(Lane::Node, Lane::Consumer, [500 + at, 600 + at], &who, "sends 90 B"),
            step(Lane::Consumer, Lane::Consumer, [600 + at, 600 + at], &who, "takes it"),
        ]
    });
    sequence("redis", copies.collect())
}

#[test]
fn contenders_one_after_the_other() {
    insta::assert_snapshot!(text(&two(), Style::default()));
}

#[test]
fn contenders_side_by_side() {
    insta::assert_snapshot!(svg(&two()));
}

#[test]
fn of_many_consumers_the_first_and_the_last_are_drawn() {
    let page = text(&[fan_out()], Style::default());
    insta::assert_snapshot!(page);
    assert!(page.contains("nodes[199]") && page.contains("196 more"));
}

#[test]
fn strangers_texts_are_harmless_and_every_line_fits() {
    let evil = "\u{1b}[2J\u{202e}</text><script>x</script>\r\n".repeat(20);
    let mut hostile = two();
    for sequence in &mut hostile {
        sequence.contender = evil.clone();
        sequence.channel = evil.clone();
        for step in &mut sequence.steps {
            step.who = evil.clone();
            step.what = evil.clone();
            step.arrives_ns = u64::MAX;
        }
    }
    hostile.push(sequence("empty", Vec::new()));
    for line in text(&hostile, Style::default()).lines() {
        assert!(clean::width(line) <= 80 && !line.chars().any(char::is_control), "{line:?}");
    }
    let picture = svg(&hostile);
    assert!(!picture.contains("<script") && !picture.contains(['\u{1b}', '\u{202e}']));
    assert!(svg(&[]).ends_with("</svg>\n"));
}
