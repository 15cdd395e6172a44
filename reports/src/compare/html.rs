//! A comparison as a page for a browser: one file, no script, no network.

use super::text::{p_value, runs};
use super::{Comparison, Finding, Pair, Row, percent, range};
use crate::clean;
use crate::markup::attribute;
use crate::text::group::mode_label;

const STYLE: &str = include_str!("compare.css");

/// Half the width of the drawn scale, in pixels.
const HALF: f64 = 60.0;

/// The drawn scale reaches this far either way, at least and at most.
const REACH: (f64, f64) = (0.1, 1.0);

pub(super) fn render(comparison: &Comparison) -> String {
    let title = format!("{}: B against A", comparison.scenario);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        attribute(&title)
    );
    out.push_str(&format!(
        "<p class=\"over\">{}</p>\n<h1>B against A</h1>\n<p class=\"verdict {}\">{}</p>\n<dl>\n",
        attribute(&format!("{}: {}", comparison.scenario, comparison.title)),
        tone(comparison),
        attribute(&comparison.verdict()),
    ));
    for (letter, side) in ["A", "B"].into_iter().zip(&comparison.sides) {
        let when = format!("{}; {}; seed {}", side.started_at, side.lab, side.seed);
        out.push_str(&format!(
            "<dt>{letter}</dt><dd><code>{}</code><br><span class=\"dim\">{}<br>{}</span></dd>\n",
            attribute(&side.name),
            attribute(&when),
            attribute(&side.host),
        ));
    }
    out.push_str("</dl>\n");
    for pair in &comparison.pairs {
        out.push_str(&one(pair));
    }
    out.push_str(&notes(comparison));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn tone(comparison: &Comparison) -> &'static str {
    if comparison.found(Finding::Worse).next().is_some() {
        "worse"
    } else if comparison.found(Finding::Better).next().is_some() {
        "better"
    } else {
        "none"
    }
}

fn one(pair: &Pair) -> String {
    let mut out = format!(
        "<section>\n<h2>{} <small>{}</small></h2>\n",
        attribute(&pair.contender),
        mode_label(pair.mode)
    );
    if let Some(reason) = &pair.refused {
        out.push_str(&format!(
            "<p class=\"refused\"><b>Not compared:</b> {}.</p>\n</section>\n",
            attribute(reason)
        ));
        return out;
    }
    out.push_str(&format!("<p class=\"dim\">{}</p>\n", attribute(&runs(pair))));
    if pair.same_trace && pair.rows.iter().all(|row| row.reason == "the same") {
        out.push_str(
            "<p>Every simulated run has the same trace in both, so every figure is the \
             same.</p>\n</section>\n",
        );
        return out;
    }
    let reach = pair
        .rows
        .iter()
        .flat_map(|row| row.interval.into_iter().flatten().chain(row.change))
        .map(f64::abs)
        .filter(|change| change.is_finite())
        .fold(REACH.0, f64::max)
        .min(REACH.1);
    let interval = if pair.by_seed { "range over seeds" } else { "95 % interval" };
    out.push_str(&format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"figures of {0}, {1}\">\n\
         <table>\n<thead><tr><th scope=\"col\">figure</th><th scope=\"col\">finding</th><th scope=\"col\" class=\"n\">A</th><th \
         scope=\"col\" class=\"n\">B</th><th scope=\"col\" class=\"n\">change</th><th \
         scope=\"col\">{interval}, to ±{2}</th><th scope=\"col\" class=\"n\">p</th></tr></thead>\n<tbody>\n",
        attribute(&pair.contender),
        pair.mode,
        percent(reach).trim_start_matches('+'),
    ));
    for row in &pair.rows {
        out.push_str(&line(row, reach));
    }
    out.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    out
}

fn line(row: &Row, reach: f64) -> String {
    let figure = |value: Option<f64>| value.map_or("-".to_owned(), |v| row.unit.show(v));
    let class = match row.finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::NoEvidence => "none",
    };
    let reason = if row.reason.is_empty() {
        String::new()
    } else {
        format!("<br><span class=\"dim\">{}</span>", attribute(&row.reason))
    };
    format!(
        "<tr class=\"{class}\"><th scope=\"row\">{}</th><td><b>{}</b>{reason}</td><td \
         class=\"n\">{}</td><td \
         class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>\n",
        attribute(&row.title),
        row.finding.name(),
        figure(row.a),
        figure(row.b),
        row.change.map_or("-".to_owned(), percent),
        drawn(row, reach),
        attribute(&p_value(row)),
    )
}

/// The interval as a line with a dot at the change, around a mark for no change.
fn drawn(row: &Row, reach: f64) -> String {
    let words = range(row.interval);
    let place = |change: f64| HALF + (change / reach).clamp(-1.0, 1.0) * (HALF - 5.0);
    let mut inside = format!("<path class=\"zero\" d=\"M{HALF} 1V17\"/>");
    if let Some([low, high]) = row.interval {
        inside.push_str(&format!(
            "<path class=\"interval\" d=\"M{:.1} 9H{:.1}\"/>",
            place(low),
            place(high).max(place(low) + 1.0)
        ));
    }
    if let Some(change) = row.change {
        inside.push_str(&format!("<circle cx=\"{:.1}\" cy=\"9\" r=\"4\"/>", place(change)));
    }
    format!(
        "<svg width=\"120\" height=\"18\" viewBox=\"0 0 120 18\" role=\"img\" \
         aria-label=\"{0}\"><title>{0}</title>{inside}</svg> <span class=\"range\">{0}</span>",
        attribute(&words)
    )
}

fn notes(comparison: &Comparison) -> String {
    let mut out = "<section>\n<h2>To bear in mind</h2>\n<ul>\n".to_owned();
    for text in &comparison.warnings {
        out.push_str(&format!("<li><b>{}</b></li>\n", attribute(text)));
    }
    for text in comparison.remarks() {
        out.push_str(&format!("<li>{}</li>\n", attribute(&clean::line(&text, 400))));
    }
    out.push_str(&format!(
        "<li>Worse and better mean: p &lt; {} in the Mann-Whitney rank test, a 95 % bootstrap \
         interval over runs that leaves out zero, and a change of at least {}.</li>\n</ul>\n\
         </section>\n",
        comparison.alpha,
        percent(comparison.threshold).trim_start_matches('+'),
    ));
    out
}
