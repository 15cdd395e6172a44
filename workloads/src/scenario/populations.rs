//! Links, sites and populations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::{AckPolicy, Start, Time};

use super::error::{did_you_mean, shown};
use super::faults::Stretch;
use super::keys::{FIELD, LINK, POPULATION, SITE, STREAM};
use super::model::{
    Connections, Field, FieldSource, Link, Population, Role, Stream, Subscription, Template,
    TemplatePart,
};
use super::phases::nanos;
use super::read::{Context, Reader, Spot, join};
use super::spreads;
use super::template::{self, Purpose};
use super::text::{Bandwidth, Toml};
use super::tree::Value;
use super::{Result, keys};

/// For how long messages are sent, and for how long they would have been as the
/// file has it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Sending {
    pub(super) ns: u64,
    pub(super) written_ns: u64,
}

/// The link of populations that name none.
pub(super) const LOCAL: &str = "local";
/// Most populations; reports list each of them.
const POPULATIONS_MAX: usize = 256;
/// Most streams of a population.
const STREAMS_MAX: usize = 64;
/// Most members of all populations together.
const MEMBERS_MAX: u64 = 1 << 24;
/// Fields that a stream may draw for each message; the plan keeps a place for each.
const DRAWN_MAX: usize = 4;
/// Largest width of a field's number.
const WIDTH_MAX: u32 = 20;
/// Longest text of a channel, filter or key, before its fields are filled in.
const TEMPLATE_MAX: usize = 1_024;

/// Reads `[links]`, `[sites]` and `[populations]`.
///
/// Messages are sent for `sending`, as in [`faults`](super::faults::faults).
pub(super) fn read(
    cx: &Context<'_>,
    top: &Reader<'_>,
    sending: Sending,
) -> Result<(Vec<Link>, Vec<Population>)> {
    let mut links = Vec::new();
    for (name, spot) in top.named("links")? {
        links.push(link(name, &Reader::open(spot, &LINK)?)?);
    }
    let written = links.iter().map(|link| link.name.clone()).collect::<Vec<_>>();
    let mut names: BTreeMap<&str, usize> =
        written.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    // `local` is there for everybody; it is listed only where it is used.
    let local = *names.entry(LOCAL).or_insert(links.len());
    let mut sites = BTreeMap::new();
    for (name, spot) in top.named("sites")? {
        let reader = Reader::open(spot, &SITE)?;
        let link = reader.need("link", |spot| chosen(spot, &names, "links"))?;
        sites.insert(name, link);
    }
    let spots = top.named("populations")?;
    if spots.is_empty() {
        return Err(top.missing("populations"));
    }
    let mut populations = Vec::new();
    let mut members = 0u64;
    for (name, spot) in spots {
        if populations.len() >= POPULATIONS_MAX {
            let message = format!("more than {POPULATIONS_MAX} populations");
            return Err(spot.error(message, "join some of them; `count` makes many members"));
        }
        let reader = Reader::open(spot, &POPULATION)?;
        let population = population(name, &reader, &names, &sites, sending)?;
        members += u64::from(population.count);
        if members > MEMBERS_MAX {
            let place = reader.get("count").unwrap_or_else(|| reader.spot().clone());
            return Err(place.error(
                format!("the populations have more than {MEMBERS_MAX} members together"),
                "each member takes memory of its own; let fewer members send more often",
            ));
        }
        populations.push(population);
    }
    if local == links.len() && populations.iter().any(|population| population.link == local) {
        let default = |key: &str| match LINK.key(key, "").map(|key| key.absent) {
            Some(keys::Absent::Default(toml)) => toml.trim_matches('"'),
            _ => "0",
        };
        let duration =
            |key| broker_contract::units::parse_duration(default(key)).unwrap_or_default();
        links.push(Link {
            name: LOCAL.to_owned(),
            round_trip: duration("round_trip"),
            jitter: duration("jitter"),
            bandwidth_bps: None,
        });
    }
    groups(cx, &populations)?;
    Ok((links, populations))
}

fn link(name: &str, reader: &Reader<'_>) -> Result<Link> {
    let round_trip = reader.or_default("round_trip", |spot| spot.duration())?;
    let jitter = reader.or_default("jitter", |spot| spot.duration())?;
    let Bandwidth(bandwidth_bps) = reader.or_default("bandwidth", |spot| spot.bandwidth())?;
    Ok(Link { name: name.to_owned(), round_trip, jitter, bandwidth_bps })
}

fn chosen(spot: &Spot<'_>, names: &BTreeMap<&str, usize>, what: &str) -> Result<usize> {
    let text = spot.text()?;
    names.get(text.as_str()).copied().ok_or_else(|| {
        spot.error(
            format!("there is no `{}` in `{what}`", shown(&text)),
            did_you_mean(&text, what, names.keys().copied()),
        )
    })
}

fn population(
    name: &str,
    reader: &Reader<'_>,
    links: &BTreeMap<&str, usize>,
    sites: &BTreeMap<&str, usize>,
    sending: Sending,
) -> Result<Population> {
    let count = reader.or_default("count", |spot| spot.count(1, u32::MAX))?;
    let link = path(reader, links, sites)?;
    let connections = reader.or_default("connections", |spot| connections(spot, Some(count)))?;
    let fields = fields(reader)?;
    let mut used = BTreeSet::new();
    let role = match reader.kind() {
        "publisher" => Role::Publisher { streams: streams(reader, &fields, &mut used)? },
        "requester" => Role::Requester {
            streams: streams(reader, &fields, &mut used)?,
            timeout: reader.or_default("timeout", |spot| spot.some_duration())?,
        },
        "responder" => Role::Responder {
            subscription: subscription(reader, &fields, &mut used, sending)?,
            reply_size: reader.or_default("reply_size", |spot| spot.size())?.0,
        },
        _ => Role::Subscriber(subscription(reader, &fields, &mut used, sending)?),
    };
    if let Some(unused) = fields.keys().find(|name| !used.contains(*name)) {
        let fields = reader.get("fields");
        let place = fields.as_ref().and_then(|fields| fields.table().ok()?.entry(unused));
        let place = place.map_or(&reader.spot().node.place, |entry| &entry.key_place);
        return Err(reader.spot().cx.error(
            place,
            format!("the field `{unused}` is defined and not used"),
            format!("write {{{unused}}} in a channel or key, or take the definition out"),
        ));
    }
    Ok(Population { name: name.to_owned(), count, link, connections, role })
}

/// The link, named directly or through a site.
fn path(
    reader: &Reader<'_>,
    links: &BTreeMap<&str, usize>,
    sites: &BTreeMap<&str, usize>,
) -> Result<usize> {
    let cx = reader.spot().cx;
    let index = match (reader.get("site"), reader.get("link")) {
        (Some(site), Some(_)) => {
            return Err(site.error(
                "a population has a `site` or a `link`, not both",
                "take one out; a site stands for its link",
            ));
        }
        (Some(site), None) => chosen(&site, sites, "sites")?,
        (None, Some(link)) => chosen(&link, links, "links")?,
        (None, None) => return Ok(links.get(LOCAL).copied().unwrap_or_default()),
    };
    let name = links.iter().find(|(_, at)| **at == index).map_or(LOCAL, |(name, _)| name);
    if name != LOCAL {
        cx.note(&join(&reader.spot().path, "link"), &name.toml());
    }
    Ok(index)
}

/// Connections of a population, of `count` members where that matters.
pub(super) fn connections(spot: &Spot<'_>, count: Option<u32>) -> Result<Connections> {
    if let Ok(text) = spot.text() {
        return match text.as_str() {
            "per-member" => Ok(Connections::PerMember),
            _ => Err(spot.wrong(
                &format!("\"per-member\" or a whole number, not `{}`", shown(&text)),
                "a number of connections is written without quotes",
            )),
        };
    }
    let shared = spot.count(1, u32::MAX)?;
    if let Some(count) = count.filter(|count| shared > *count) {
        return Err(spot.error(
            format!("{shared} connections are more than the {count} members that would share them"),
            "lower it, raise `count`, or write \"per-member\"",
        ));
    }
    Ok(Connections::Shared(shared))
}

fn fields(reader: &Reader<'_>) -> Result<BTreeMap<String, Field>> {
    // Sorted, so that what is noted does not depend on the order of the file.
    let spots: BTreeMap<&str, Spot<'_>> = reader.named("fields")?.into_iter().collect();
    let mut fields = BTreeMap::new();
    for (name, spot) in spots {
        let reader = Reader::open(spot, &FIELD)?;
        let count = |reader: &Reader<'_>| reader.need("count", |spot| spot.count(1, u32::MAX));
        reader.or_default("source", |spot| spot.text())?;
        let source = match reader.kind() {
            "spread" => FieldSource::Spread { count: count(&reader)? },
            "draw" => FieldSource::Draw {
                count: count(&reader)?,
                zipf_exponent: reader.maybe("zipf_exponent", |spot| spot.positive(10.0))?,
            },
            _ => FieldSource::Member,
        };
        let prefix = reader.or_default("prefix", |spot| {
            let prefix = spot.text()?;
            template::check_prefix(&prefix)
                .map_err(|problem| spot.error(problem, "write the dots into the channel"))?;
            Ok(prefix)
        })?;
        let width = reader.or_default("width", |spot| spot.count(0, WIDTH_MAX))? as usize;
        fields.insert(name.to_owned(), Field { name: name.to_owned(), source, prefix, width });
    }
    Ok(fields)
}

fn templated(
    spot: &Spot<'_>,
    purpose: Purpose,
    fields: &BTreeMap<String, Field>,
) -> Result<Template> {
    let text = spot.text()?;
    if text.len() > TEMPLATE_MAX {
        return Err(spot.wrong(&format!("at most {TEMPLATE_MAX} bytes"), "shorten it"));
    }
    template::parse(&text, purpose, fields)
        .map_err(|problem| spot.error_within(problem.range, problem.message, problem.help))
}

fn fields_of(template: &Template) -> impl Iterator<Item = &Field> {
    template.parts.iter().filter_map(|part| match part {
        TemplatePart::Field(field) => Some(field),
        TemplatePart::Literal(_) => None,
    })
}

fn streams(
    reader: &Reader<'_>,
    fields: &BTreeMap<String, Field>,
    used: &mut BTreeSet<String>,
) -> Result<Vec<Stream>> {
    let spots = reader.named("streams")?;
    if spots.is_empty() {
        return Err(reader.missing("streams"));
    }
    let mut streams = Vec::new();
    for (name, spot) in spots {
        if streams.len() >= STREAMS_MAX {
            let message = format!("more than {STREAMS_MAX} streams in one population");
            return Err(spot.error(message, "join some, or divide the population"));
        }
        let reader = Reader::open(spot, &STREAM)?;
        let channel = reader.need("channel", |spot| templated(spot, Purpose::Channel, fields))?;
        let arrival = reader.need("arrival", spreads::arrival)?;
        let size = reader.or_default("size", spreads::sizes)?;
        let key = match reader.get("key") {
            None => None,
            Some(spot) => {
                let key = templated(&spot, Purpose::Key, fields)?;
                spot.cx.note(&spot.path, &key.text.toml());
                Some(key)
            }
        };
        let mut drawn = BTreeSet::new();
        for field in fields_of(&channel).chain(key.iter().flat_map(fields_of)) {
            used.insert(field.name.clone());
            if matches!(field.source, FieldSource::Draw { .. }) {
                drawn.insert(field.name.as_str());
            }
        }
        if drawn.len() > DRAWN_MAX {
            return Err(reader.spot().error(
                format!("{} fields are drawn for each message", drawn.len()),
                format!("draw at most {DRAWN_MAX}; the others can be \"member\" or \"spread\""),
            ));
        }
        streams.push(Stream { name: name.to_owned(), channel, arrival, size, key });
    }
    Ok(streams)
}

fn subscription(
    reader: &Reader<'_>,
    fields: &BTreeMap<String, Field>,
    used: &mut BTreeSet<String>,
    sending: Sending,
) -> Result<Subscription> {
    let filter = reader.need("filter", |spot| templated(spot, Purpose::Filter, fields))?;
    used.extend(fields_of(&filter).map(|field| field.name.clone()));
    let group = reader.maybe("group", |spot| spot.name())?;
    if let (Some(_), Some(field)) = (&group, fields_of(&filter).next()) {
        let spot = reader.get("group").unwrap_or_else(|| reader.spot().clone());
        return Err(spot.error(
            format!(
                "the members of a group share one filter, and `{{{}}}` gives each its own",
                field.name
            ),
            "take the group out, or write a wildcard instead of the field",
        ));
    }
    let processing = reader.or_default("processing", spreads::durations)?;
    let inbox = reader.or_default("inbox", |spot| spot.count(1, u32::MAX))?;
    let mut subscription = Subscription {
        filter,
        group,
        start: Start::New,
        processing,
        failure_rate: 0.0,
        nak_rate: 0.0,
        nak_delay: None,
        poison: 0.0,
        ack_wait: None,
        max_deliver: None,
        backoff: Vec::new(),
        joins_ns: 0,
        ack: AckPolicy::None,
        durable: false,
        max_in_flight: None,
        inbox,
    };
    if reader.kind() == "subscriber" {
        paced(reader, &mut subscription)?;
        subscription.joins_ns = joins(reader, sending)?;
    }
    Ok(subscription)
}

/// The keys that only subscribers have.
fn paced(reader: &Reader<'_>, subscription: &mut Subscription) -> Result<()> {
    subscription.start = reader.or_default("start", start)?;
    subscription.ack = reader.or_default("ack", |spot| {
        Ok(match spot.word(&["none", "explicit", "all"])?.as_str() {
            "explicit" => AckPolicy::Explicit,
            "all" => AckPolicy::All,
            _ => AckPolicy::None,
        })
    })?;
    subscription.failure_rate = reader.or_default("failure_rate", |spot| spot.share())?;
    subscription.nak_rate = reader.or_default("nak_rate", |spot| spot.share())?;
    subscription.nak_delay = reader.maybe("nak_delay", |spot| spot.duration())?;
    subscription.durable = reader.or_default("durable", |spot| spot.flag())?;
    subscription.max_in_flight = reader.maybe("max_in_flight", |spot| spot.count(1, u32::MAX))?;
    subscription.poison = reader.or_default("poison", |spot| spot.share())?;
    subscription.ack_wait = reader.maybe("ack_wait", |spot| spot.some_duration())?;
    subscription.max_deliver = reader.maybe("max_deliver", |spot| spot.count(1, u32::MAX))?;
    subscription.backoff = reader.maybe("backoff", backoff)?.unwrap_or_default();
    let without_ack = subscription.ack == AckPolicy::None;
    for (key, given) in [
        ("failure_rate", subscription.failure_rate > 0.0),
        ("nak_rate", subscription.nak_rate > 0.0),
        ("nak_delay", subscription.nak_delay.is_some()),
        ("max_in_flight", subscription.max_in_flight.is_some()),
        ("poison", subscription.poison > 0.0),
        ("ack_wait", subscription.ack_wait.is_some()),
        ("max_deliver", subscription.max_deliver.is_some()),
        ("backoff", !subscription.backoff.is_empty()),
    ] {
        if let (true, true, Some(spot)) = (given, without_ack, reader.get(key)) {
            return Err(spot.error(
                format!("`{key}` means nothing while `ack` is \"none\""),
                "add ack = \"explicit\", or take this out",
            ));
        }
    }
    if let (Some(spot), Some(most)) = (reader.get("backoff"), subscription.max_deliver)
        && subscription.backoff.len() >= most as usize
    {
        return Err(spot.error(
            format!(
                "{} waits are more than lie between {most} deliveries",
                subscription.backoff.len()
            ),
            "raise `max_deliver` above the number of waits, or take the last ones out",
        ));
    }
    if let (Some(spot), true) = (reader.get("nak_delay"), subscription.nak_rate == 0.0) {
        return Err(spot.error(
            "`nak_delay` means nothing while `nak_rate` is 0",
            "give a nak_rate, or take this out",
        ));
    }
    Ok(())
}

/// Most waits of a backoff.
const BACKOFF_MAX: usize = 32;

fn backoff(spot: &Spot<'_>) -> Result<Vec<Duration>> {
    let Value::List(list) = &spot.node.value else {
        return Err(spot.wrong(
            &format!("a list of durations, not {}", spot.node.value.kind()),
            "write for example [\"50ms\", \"500ms\"]",
        ));
    };
    if list.is_empty() || list.len() > BACKOFF_MAX {
        return Err(spot.wrong(
            &format!("1 to {BACKOFF_MAX} durations"),
            "the last one stands for all that follow; leave it out to wait `ack_wait`",
        ));
    }
    list.iter()
        .map(|node| Spot { cx: spot.cx, node, path: spot.path.clone() }.some_duration())
        .collect()
}

fn joins(reader: &Reader<'_>, sending: Sending) -> Result<u64> {
    let Some(spot) = reader.get("joins") else { return Ok(0) };
    let at_ns = Stretch::read(&spot)?.nanos(sending.ns, sending.written_ns);
    if at_ns > sending.ns {
        let end = Duration::from_nanos(sending.ns).toml();
        return Err(spot.error(
            format!("it would join after sending has ended, at {end}"),
            "1.0 is when sending ends, and the drain begins",
        ));
    }
    if at_ns > 0 {
        spot.cx.note(&spot.path, &Duration::from_nanos(at_ns).toml());
    }
    Ok(at_ns)
}

fn start(spot: &Spot<'_>) -> Result<Start> {
    if spot.table().is_err() {
        return Ok(match spot.word(&["new", "all", "last"])?.as_str() {
            "all" => Start::All,
            "last" => Start::Last,
            _ => Start::New,
        });
    }
    let reader = Reader::open(spot.clone(), &keys::START)?;
    match (reader.get("sequence"), reader.get("time")) {
        (Some(sequence), None) => Ok(Start::Sequence(sequence.whole(0, i64::MAX as u64)?)),
        (None, Some(time)) => {
            let time: Duration = time.duration()?;
            Ok(Start::Time(Time::from_nanos(nanos(time))))
        }
        _ => Err(spot.error(
            "`start` has a `sequence` or a `time`, and one of them only",
            "write { sequence = 100 } or { time = \"2s\" }",
        )),
    }
}

/// Two populations in one group would share what the ledger expects twice.
fn groups(cx: &Context<'_>, populations: &[Population]) -> Result<()> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for population in populations {
        let group = population.subscription().and_then(|subscription| subscription.group.as_ref());
        let Some(group) = group else { continue };
        if let Some(first) = seen.insert(group, &population.name) {
            let spot = cx.spot(&format!("populations.{}.group", population.name));
            return Err(spot.error(
                format!("the group `{group}` is already that of the population `{first}`"),
                "a group belongs to one population: raise its count, or choose another name",
            ));
        }
    }
    Ok(())
}
