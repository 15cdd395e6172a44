//! The static table of contenders.
//!
//! Generic code runs once for each contender that is asked for: [`with`] turns a
//! name into a type. There is no other place where the harness names a broker.

use broker_contract::{
    Client, Codec, Contender, Preset, Profile, SettingError, SettingSpec, Settings,
};

/// Something to do with a contender whose type the name decides.
pub trait Visit {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<C: Contender>(self) -> Self::Out;
}

macro_rules! table {
    ($($contender:ty),* $(,)?) => {
        /// The names of all contenders, in the order in which reports list them.
        pub const fn names() -> &'static [&'static str] {
            &[$(<$contender as Contender>::NAME,)*]
        }

        /// Runs `visit` for the contender called `name`; `None` if there is none.
        pub fn with<V: Visit>(name: &str, visit: V) -> Option<V::Out> {
            match name {
                $(name if name == <$contender as Contender>::NAME => {
                    Some(visit.visit::<$contender>())
                })*
                _ => {
                    drop(visit);
                    None
                }
            }
        }

        /// What each claims, in the order of [`names`].
        pub fn profiles() -> Vec<Profile> {
            vec![$(<$contender as Contender>::profile(),)*]
        }
    };
}

table! {
    broker_nats::CoreNats,
    broker_nats::JetStream,
    broker_redis::RedisPubSub,
    broker_kafka::KafkaLog,
}

/// Something to do with a contender that has a codec.
pub trait VisitWired {
    /// What comes of it.
    type Out;
    /// Does it.
    fn visit<C: Contender, K: Codec<Broker = <C::Client as Client>::Broker>>(
        self,
        codec: K,
    ) -> Self::Out;
}

/// Runs `visit` for the contender called `name`; `None` if it has no codec, and so
/// cannot be played over TCP.
pub fn with_codec<V: VisitWired>(name: &str, visit: V) -> Option<V::Out> {
    match name {
        name if name == broker_nats::CoreNats::NAME => {
            let codec = broker_nats::codec::NatsText::default();
            Some(visit.visit::<broker_nats::CoreNats, _>(codec))
        }
        name if name == broker_nats::JetStream::NAME => {
            let codec = broker_nats::codec::NatsText::default();
            Some(visit.visit::<broker_nats::JetStream, _>(codec))
        }
        name if name == broker_redis::RedisPubSub::NAME => {
            let codec = broker_redis::codec::Resp::default();
            Some(visit.visit::<broker_redis::RedisPubSub, _>(codec))
        }
        _ => None,
    }
}

/// Whether the contender called `name` can be played over TCP.
pub fn has_codec(name: &str) -> bool {
    struct Look;
    impl VisitWired for Look {
        type Out = ();
        fn visit<C: Contender, K: Codec<Broker = <C::Client as Client>::Broker>>(self, _: K) {}
    }
    with_codec(name, Look).is_some()
}

/// A contender as the command line names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContenderSpec {
    /// Its name in the table.
    pub name: String,
    /// As given, such as `kafka:linger=0`; the name in the record.
    pub label: String,
    /// Presets, in order.
    pub presets: Vec<String>,
    /// Settings and values as text, in order; they come after the presets.
    pub settings: Vec<(String, String)>,
}

impl ContenderSpec {
    /// The contender `name` as it comes.
    pub fn plain(name: &str) -> ContenderSpec {
        ContenderSpec { name: name.to_owned(), label: name.to_owned(), ..Default::default() }
    }

    /// The settings of `C`: its defaults, then the scenario's presets and
    /// settings, then those of the command line. What comes later wins.
    ///
    /// # Errors
    /// [`SettingError`] for a preset or setting that `C` does not have, or a
    /// value that it does not take.
    pub fn resolve<C: Contender>(
        &self,
        scenario_presets: &[String],
        scenario_settings: &[(String, String)],
    ) -> Result<Settings, SettingError> {
        let mut changes: Vec<(&str, &str)> = Vec::new();
        for (presets, settings) in
            [(scenario_presets, scenario_settings), (&self.presets[..], &self.settings[..])]
        {
            for preset in presets {
                for value in preset_values::<C>(preset)? {
                    changes.push(value);
                }
            }
            changes.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        Settings::resolve(C::settings(), changes)
    }
}

fn preset_values<C: Contender>(
    name: &str,
) -> Result<impl Iterator<Item = (&'static str, &'static str)> + use<C>, SettingError> {
    let presets = C::presets();
    let preset = presets.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let known: Vec<&str> = presets.iter().map(|preset| preset.name).collect();
        SettingError::Unknown {
            name: name.to_owned(),
            known: if known.is_empty() { "no preset".to_owned() } else { known.join(", ") },
        }
    })?;
    Ok(preset.values.iter().copied())
}

/// Reads `nats,redis:client_output_buffer_hard=64MiB`: names, each with presets
/// and settings after a colon. A piece with `=` and no colon belongs to the
/// contender before it.
///
/// # Errors
/// One line that says what is wrong and what there is.
pub fn parse_specs(text: &str) -> Result<Vec<ContenderSpec>, String> {
    let mut specs: Vec<ContenderSpec> = Vec::new();
    for piece in text.split(',').map(str::trim) {
        let colon = piece.find(':').filter(|at| piece.find('=').is_none_or(|equals| *at < equals));
        match (colon, specs.last_mut()) {
            (Some(at), _) => {
                let mut spec = ContenderSpec::plain(piece[..at].trim());
                known(&spec.name)?;
                add(&mut spec, piece[at + 1..].trim())?;
                specs.push(spec);
            }
            (None, Some(last)) if piece.contains('=') => add(last, piece)?,
            (None, _) => {
                known(piece)?;
                specs.push(ContenderSpec::plain(piece));
            }
        }
    }
    for (at, spec) in specs.iter().enumerate() {
        if specs[..at].iter().any(|earlier| earlier.label == spec.label) {
            return Err(format!("the contender `{}` is given twice", spec.label));
        }
    }
    for spec in &specs {
        check(spec)?;
    }
    Ok(specs)
}

/// Adds a preset or a setting to `spec`, and to its label.
fn add(spec: &mut ContenderSpec, item: &str) -> Result<(), String> {
    if item.is_empty() {
        return Err(format!("`{}:` needs a preset or a setting after the colon", spec.label));
    }
    match item.split_once('=') {
        Some((name, value)) => {
            spec.settings.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        None => spec.presets.push(item.to_owned()),
    }
    let separator = if spec.label == spec.name { ':' } else { ',' };
    spec.label.push(separator);
    spec.label.push_str(item);
    Ok(())
}

/// Refuses a name that is not in the table.
fn known(name: &str) -> Result<(), String> {
    if names().contains(&name) {
        return Ok(());
    }
    let name = lab_reports::clean::line(name, 60);
    Err(format!("there is no contender `{name}`; there is {}", listed()))
}

/// The names there are, for messages.
pub fn listed() -> String {
    names().join(", ")
}

/// Refuses presets and settings that the contender does not take.
fn check(spec: &ContenderSpec) -> Result<(), String> {
    struct Check<'a>(&'a ContenderSpec);
    impl Visit for Check<'_> {
        type Out = Result<(), SettingError>;
        fn visit<C: Contender>(self) -> Self::Out {
            let settings = self.0.resolve::<C>(&[], &[])?;
            C::configure(&settings).map(|_| ())
        }
    }
    match with(&spec.name, Check(spec)) {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(format!("contender `{}`: {error}", spec.label)),
        None => known(&spec.name),
    }
}

/// What the table knows of a contender without being generic over it.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it claims.
    pub profile: Profile,
    /// Its settings.
    pub settings: &'static [SettingSpec],
    /// Its presets.
    pub presets: &'static [Preset],
}

/// All contenders, in the order of [`names`].
pub fn all_known() -> Vec<Known> {
    struct Look;
    impl Visit for Look {
        type Out = Known;
        fn visit<C: Contender>(self) -> Known {
            Known { profile: C::profile(), settings: C::settings(), presets: C::presets() }
        }
    }
    names().iter().filter_map(|name| with(name, Look)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_carry_presets_and_settings_and_a_label() {
        let names = names();
        let text = names.join(",");
        let labels: Vec<String> =
            parse_specs(&text).expect("known").into_iter().map(|spec| spec.label).collect();
        assert_eq!(labels, names);
        for known in all_known() {
            let name = known.profile.name;
            for setting in known.settings {
                let item = format!("{}={}", setting.name, setting.default);
                let specs = parse_specs(&format!("{name}:{item}, {item},{name}")).expect("known");
                assert_eq!(specs[0].label, format!("{name}:{item},{item}"));
                assert_eq!(specs[0].settings.len(), 2);
                assert_eq!(specs[1], ContenderSpec::plain(name));
            }
            for preset in known.presets.iter().map(|preset| preset.name) {
                let specs = parse_specs(&format!("{name}:{preset}")).expect("known");
                assert_eq!(specs[0].presets, [preset]);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_spec_is_said_in_one_line() {
        for text in ["", ",", "nosuch", "a=b", ":x", "\u{1b}[2J"] {
            let error = parse_specs(text).expect_err(text);
            assert!(!error.contains(char::is_control), "{error}");
        }
        for name in names() {
            for text in [":", ":nosuch", ":nosuch=1", ",", ",,"] {
                assert!(parse_specs(&format!("{name}{text}")).is_err(), "{name}{text}");
            }
            assert!(parse_specs(&format!("{name},{name}")).is_err());
        }
    }

    #[test]
    fn every_profile_is_whole_and_carries_its_name() {
        for (profile, name) in profiles().iter().zip(names()) {
            assert_eq!(profile.name, *name);
            for feature in broker_contract::Feature::ALL {
                let claims = profile.claims.iter().filter(|(claimed, _)| claimed == feature);
                assert_eq!(claims.count(), 1, "{name}: {feature}");
            }
        }
    }
}
