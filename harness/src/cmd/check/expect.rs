//! How many messages and deliveries the rates of a scenario come to.
//!
//! Estimates for a reader: what a run really expects, its ledger counts.

use lab_workloads::scenario::model::{
    Arrival, Field, FieldSource, PhaseKind, Population, Scenario, Stream, Subscription, Template,
    TemplatePart,
};

/// Messages per second of one member at factor 1.
pub(super) fn rate_per_member(arrival: &Arrival) -> f64 {
    match arrival {
        Arrival::Periodic { every, .. } => 1.0 / every.as_secs_f64(),
        Arrival::Poisson { rate_per_s } => *rate_per_s,
        Arrival::Bursty { bursts_per_s, burst, .. } => bursts_per_s * f64::from(*burst),
    }
}

/// Messages of `stream` over the whole run.
pub(super) fn messages(scenario: &Scenario, population: &Population, stream: &Stream) -> f64 {
    let seconds_at_full_rate: f64 = scenario
        .phases
        .iter()
        .filter(|phase| !matches!(phase.kind, PhaseKind::Pause | PhaseKind::Drain))
        .map(|phase| {
            let seconds = phase.end_ns.saturating_sub(phase.start_ns) as f64 / 1e9;
            seconds * f64::midpoint(phase.rate_from, phase.rate_to)
        })
        .sum();
    rate_per_member(&stream.arrival) * f64::from(population.count) * seconds_at_full_rate
}

/// Deliveries that `receivers` are owed over the whole run; `None` where the
/// templates are too involved for an estimate.
pub(super) fn deliveries(
    scenario: &Scenario,
    receivers: &Population,
    subscription: &Subscription,
) -> Option<f64> {
    let mut sum = 0.0;
    for sender in &scenario.populations {
        for stream in sender.streams() {
            let channel = tokens(&stream.channel);
            let mut per_message = 0.0;
            if has_fields(&subscription.filter) {
                // Many members have the same filter's shape; a sample of them is enough.
                let sample = receivers.count.min(512);
                for member in 0..sample {
                    let at = u64::from(member) * u64::from(receivers.count) / u64::from(sample);
                    let filter = rendered(&subscription.filter, at as u32);
                    per_message += share(&channel, &filter, sender.count)?;
                }
                per_message *= f64::from(receivers.count) / f64::from(sample);
                if subscription.group.is_some() {
                    per_message = f64::min(per_message, 1.0);
                }
            } else {
                let filter = rendered(&subscription.filter, 0);
                let members =
                    if subscription.group.is_some() { 1.0 } else { f64::from(receivers.count) };
                per_message = share(&channel, &filter, sender.count)? * members;
            }
            sum += per_message * messages(scenario, sender, stream);
        }
    }
    Some(sum)
}

/// The text of `template` for one member; a drawn field shows its first value.
pub(super) fn rendered(template: &Template, member: u32) -> String {
    template
        .parts
        .iter()
        .map(|part| match part {
            TemplatePart::Literal(text) => text.clone(),
            TemplatePart::Field(field) => {
                let number = match field.source {
                    FieldSource::Member => member,
                    FieldSource::Spread { count } => member % count.max(1),
                    FieldSource::Draw { .. } => 0,
                };
                format!("{}{number:0width$}", field.prefix, width = field.width)
            }
        })
        .collect()
}

fn has_fields(template: &Template) -> bool {
    template.parts.iter().any(|part| matches!(part, TemplatePart::Field(_)))
}

/// One token of a channel: text, or text around one field.
enum Token<'a> {
    Text(String),
    Field {
        before: String,
        field: &'a Field,
        after: String,
    },
    /// More than one field: no estimate.
    Involved,
}

fn tokens(template: &Template) -> Vec<Token<'_>> {
    let mut tokens = vec![Token::Text(String::new())];
    for part in &template.parts {
        match part {
            TemplatePart::Literal(text) => {
                for (at, piece) in text.split('.').enumerate() {
                    if at > 0 {
                        tokens.push(Token::Text(String::new()));
                    }
                    match tokens.last_mut() {
                        Some(Token::Text(so_far)) => so_far.push_str(piece),
                        Some(Token::Field { after, .. }) => after.push_str(piece),
                        Some(Token::Involved) | None => {}
                    }
                }
            }
            TemplatePart::Field(field) => {
                let token = tokens.pop();
                tokens.push(match token {
                    Some(Token::Text(before)) => {
                        Token::Field { before, field, after: String::new() }
                    }
                    _ => Token::Involved,
                });
            }
        }
    }
    tokens
}

/// The share of a stream's messages whose channel matches `filter`.
fn share(channel: &[Token<'_>], filter: &str, senders: u32) -> Option<f64> {
    let mut share = 1.0;
    let mut rest = channel.iter();
    for wanted in filter.split('.') {
        if wanted == ">" {
            return Some(if rest.next().is_some() { share } else { 0.0 });
        }
        let Some(token) = rest.next() else { return Some(0.0) };
        share *= match token {
            _ if wanted == "*" => 1.0,
            Token::Text(text) => f64::from(u8::from(text == wanted)),
            Token::Field { before, field, after } => {
                let values = match field.source {
                    FieldSource::Member => senders,
                    FieldSource::Spread { count } | FieldSource::Draw { count, .. } => count,
                };
                let number = wanted
                    .strip_prefix(before.as_str())
                    .and_then(|text| text.strip_suffix(after.as_str()))
                    .and_then(|text| text.strip_prefix(field.prefix.as_str()))
                    .filter(|digits| digits.len() >= field.width)
                    .and_then(|digits| digits.parse::<u32>().ok());
                match number {
                    Some(number) if number < values => draw_share(&field.source, number, values),
                    _ => 0.0,
                }
            }
            Token::Involved => return None,
        };
    }
    Some(if rest.next().is_none() { share } else { 0.0 })
}

/// How often value `number` of `values` comes.
fn draw_share(source: &FieldSource, number: u32, values: u32) -> f64 {
    match source {
        FieldSource::Draw { zipf_exponent: Some(exponent), .. } => {
            let weight = |rank: u32| f64::from(rank + 1).powf(-exponent);
            // The tail of a long law of small weights changes nothing that is printed.
            let sum: f64 = (0..values.min(100_000)).map(weight).sum();
            weight(number) / sum
        }
        _ => 1.0 / f64::from(values.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(source: FieldSource) -> TemplatePart {
        TemplatePart::Field(Field {
            name: "f".to_owned(),
            source,
            prefix: "r".to_owned(),
            width: 2,
        })
    }

    fn literal(text: &str) -> TemplatePart {
        TemplatePart::Literal(text.to_owned())
    }

    fn template(parts: Vec<TemplatePart>) -> Template {
        Template { parts, text: String::new() }
    }

    #[test]
    fn shares_follow_the_tokens() {
        let channel = template(vec![
            literal("t."),
            field(FieldSource::Spread { count: 40 }),
            literal("."),
            field(FieldSource::Member),
            literal(".reading"),
        ]);
        let channel = tokens(&channel);
        let share = |filter: &str| share(&channel, filter, 1_000).expect("simple tokens");
        assert_eq!(share("t.>"), 1.0);
        assert_eq!(share("t.*.*.reading"), 1.0);
        assert_eq!(share("t.*.*.alarm"), 0.0);
        assert_eq!(share("t.*.*"), 0.0);
        assert_eq!(share("t.*.*.reading.>"), 0.0);
        assert_eq!(share("t.r07.>"), 1.0 / 40.0);
        assert_eq!(share("t.r40.>"), 0.0);
        assert_eq!(share("t.7.>"), 0.0);
        assert_eq!(share("t.r07.r0999.reading"), 1.0 / 40_000.0);
    }

    #[test]
    fn a_zipf_draw_weighs_its_values() {
        let source = FieldSource::Draw { count: 2, zipf_exponent: Some(1.0) };
        assert!((draw_share(&source, 0, 2) - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_template_is_rendered_for_a_member() {
        let filter = template(vec![
            literal("edge."),
            field(FieldSource::Spread { count: 4 }),
            literal(".>"),
        ]);
        assert_eq!(rendered(&filter, 6), "edge.r02.>");
    }
}
