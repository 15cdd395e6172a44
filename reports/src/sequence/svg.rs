//! Sequences side by side, as a vector picture.

use super::text::{shown, words};
use super::{Lane, Sequence, Step};
use crate::clean;
use crate::markup::attribute;

/// Pixels of one contender's panel, its left margin with the times included.
const PANEL: f64 = 640.0;
/// Left of the first lifeline.
const LEFT: f64 = 96.0;
/// From one lifeline to the next.
const COLUMN: f64 = 162.0;
/// From one step to the next.
const ROW: f64 = 46.0;
/// Above the first step.
const TOP: f64 = 122.0;
/// Below the last step, for the bar.
const FOOT: f64 = 104.0;
/// How far an arrow falls while its frame is on the way.
const FALL: f64 = 12.0;
/// Pixels of a letter of a label, on average.
const LETTER: f64 = 6.7;

/// Plain colours first, for viewers that know no media queries.
const STYLE: &str = "\
svg{font:13px system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
.paper{fill:#fff}text{fill:#1d2129}.dim{fill:#5c6470;font-size:12px}\
.name{font-size:19px;font-weight:700}.head{font-weight:600;text-anchor:middle}\
.time{fill:#5c6470;font-size:12px;text-anchor:end;font-variant-numeric:tabular-nums}\
.life,.frame{stroke:#c9ced6;fill:none}.life{stroke-width:1.5;stroke-dasharray:2 4}\
.mid{text-anchor:middle}.end{text-anchor:end}\
.halo{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}\
@media(prefers-color-scheme:dark){.paper{fill:#14171c}text{fill:#e6e9ee}\
.dim,.time{fill:#9aa3b0}.life,.frame{stroke:#3d4450}.halo{stroke:#14171c}}";

/// The sequences as one SVG, on one scale at the foot.
pub fn svg(sequences: &[Sequence]) -> String {
    let rows = sequences.iter().map(|sequence| sequence.drawn().0.len()).max().unwrap_or(0);
    let width = PANEL * sequences.len().max(1) as f64;
    let height = TOP + rows as f64 * ROW + FOOT;
    let names: Vec<String> = sequences.iter().map(|s| clean::name(&s.contender, 30)).collect();
    let message = sequences.first().map_or(0, |sequence| sequence.message);
    let title = format!("Message {message} through {}, in virtual time", names.join(", "));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"t\">\n\
         <title id=\"t\">{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n",
        attribute(&title)
    );
    let longest = sequences.iter().filter_map(Sequence::received_ns).max().unwrap_or(0);
    for (at, sequence) in sequences.iter().enumerate() {
        out.push_str(&panel(sequence, at, rows, longest));
    }
    out.push_str("</svg>\n");
    out
}

/// Colours that people with any kind of colour blindness tell apart (Okabe and
/// Ito); a contender has the same one in every picture.
fn colour(contender: &str, at: usize) -> &'static str {
    match contender.split(':').next().unwrap_or_default() {
        "nats" => "#0072b2",
        "jetstream" => "#009e73",
        "redis" => "#d55e00",
        "kafka" => "#cc79a7",
        _ => ["#56b4e9", "#e69f00", "#8a8a8a"][at % 3],
    }
}

fn x(lane: Lane) -> f64 {
    LEFT + COLUMN * lane as usize as f64
}

fn panel(sequence: &Sequence, at: usize, rows: usize, longest: u64) -> String {
    let colour = colour(&sequence.contender, at);
    let bottom = TOP + rows as f64 * ROW;
    let mut out = format!(
        "<g transform=\"translate({} 0)\">\n<text class=\"name\" x=\"16\" y=\"36\" \
         style=\"fill:{colour}\">{}</text>\n<text class=\"dim\" x=\"16\" y=\"57\">{}</text>\n",
        PANEL * at as f64,
        attribute(&clean::name(&sequence.contender, 40)),
        attribute(&clean::name(
            &format!("message {} on {}", sequence.message, sequence.channel),
            84
        )),
    );
    for lane in Lane::ALL {
        let x = x(lane);
        out.push_str(&format!(
            "<text class=\"head\" x=\"{x}\" y=\"90\">{}</text>\n<path class=\"life\" d=\"M{x} \
             98V{bottom}\"/>\n",
            lane.title()
        ));
    }
    let (steps, left_out) = sequence.drawn();
    for (row, step) in steps.iter().enumerate() {
        out.push_str(&drawn(step, TOP + row as f64 * ROW, colour));
    }
    out.push_str(&foot(sequence, bottom + 34.0, longest, colour, left_out));
    out.push_str("</g>\n");
    out
}

fn drawn(step: &Step, y: f64, colour: &str) -> String {
    let mut out = format!(
        "<text class=\"time\" x=\"{}\" y=\"{}\">{}</text>\n",
        LEFT - 20.0,
        y + 4.0,
        attribute(&shown(step.leaves_ns))
    );
    let (from, to) = (x(step.from), x(step.to));
    if step.from == step.to {
        // Text runs into the picture: to the left of the last two lifelines.
        let right = step.from <= Lane::Node;
        let room = if right { PANEL - from - 20.0 } else { from - LEFT - 10.0 };
        let (class, dx) = if right { ("halo", 12.0) } else { ("halo end", -12.0) };
        out.push_str(&format!(
            "<circle cx=\"{from}\" cy=\"{y}\" r=\"5.5\" fill=\"{colour}\"/>\n<text class=\"{class}\" \
             x=\"{}\" y=\"{}\">{}</text>\n",
            from + dx,
            y + 4.5,
            label(step, room)
        ));
        return out;
    }
    let fall = if step.arrives_ns > step.leaves_ns { FALL } else { 0.0 };
    let (side, end) = ((to - from).signum(), y + fall);
    let tip = to - side * 2.0;
    // The head follows the slope of its arrow.
    let slope = fall / (to - from).abs();
    let back = tip - side * 11.0;
    let middle = end - 11.0 * slope;
    out.push_str(&format!(
        "<path d=\"M{from} {y}L{back:.1} {middle:.1}\" stroke=\"{colour}\" stroke-width=\"2.2\"/>\n\
         <path d=\"M{tip:.1} {end}L{back:.1} {:.1}V{:.1}Z\" fill=\"{colour}\"/>\n",
        middle - 5.0,
        middle + 5.0,
    ));
    // One lifeline apart there is little room, so the label may reach beyond.
    let room = ((to - from).abs() - 10.0).max(COLUMN * 2.7);
    let half = room.min(words(step).chars().count() as f64 * LETTER) / 2.0;
    let centre =
        ((from + to) / 2.0).clamp(LEFT + half - 8.0, (PANEL - half - 8.0).max(LEFT + half));
    out.push_str(&format!(
        "<text class=\"halo mid\" x=\"{centre:.1}\" y=\"{:.1}\">{}</text>\n",
        y - 7.0,
        label(step, room)
    ));
    out
}

fn label(step: &Step, room: f64) -> String {
    attribute(&clean::name(&words(step), (room / LETTER) as usize))
}

/// A bar from the moment the message was due to its first consumer, on the same
/// scale for everybody.
fn foot(sequence: &Sequence, y: f64, longest: u64, colour: &str, left_out: usize) -> String {
    let full = PANEL - LEFT - 40.0;
    let mut out = match sequence.received_ns() {
        Some(at) => {
            let long = (at as f64 / longest.max(1) as f64 * full).max(2.0);
            format!(
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{full}\" height=\"12\" rx=\"3\" \
                 class=\"frame\"/>\n<rect x=\"{LEFT}\" y=\"{y}\" \
                 width=\"{long:.1}\" height=\"12\" rx=\"3\" fill=\"{colour}\"/>\n<text x=\"{LEFT}\" \
                 y=\"{}\">{} from due to the first consumer</text>\n",
                y + 32.0,
                attribute(&shown(at))
            )
        }
        None => format!("<text x=\"{LEFT}\" y=\"{}\">no consumer received it</text>\n", y + 32.0),
    };
    if left_out > 0 {
        out.push_str(&format!(
            "<text class=\"dim\" x=\"{LEFT}\" y=\"{}\">{left_out} more consumers are left \
             out</text>\n",
            y + 50.0
        ));
    }
    out
}
