//! A contender: a client and its broker under one name.

use std::fmt;

use crate::{Broker, Client, Preset, Profile, Proof, SettingError, SettingSpec, Settings};

/// A contender's node and client configured from the same settings.
pub struct Configured<C: Contender> {
    /// For the node.
    pub node: <<C::Client as Client>::Broker as Broker>::Config,
    /// For every client.
    pub client: <C::Client as Client>::Config,
    /// What an acknowledgement proves with these settings.
    pub proof: Proof,
}

// Derived implementations would ask the contender itself to be `Clone`, which no
// contender needs to be: it is a name, and never a value.
impl<C: Contender> Clone for Configured<C> {
    fn clone(&self) -> Self {
        Configured { node: self.node.clone(), client: self.client.clone(), proof: self.proof }
    }
}

impl<C: Contender> fmt::Debug for Configured<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configured")
            .field("node", &self.node)
            .field("client", &self.client)
            .field("proof", &self.proof)
            .finish()
    }
}

/// How a filter of a scenario becomes one of the contender's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lowering {
    /// In the contender's own terms, such as `PSUBSCRIBE telemetry.*`.
    pub native: String,
    /// What the client adds to make up the difference, if anything.
    pub emulation: Option<&'static str>,
}

/// A client, its broker, its settings and its promises under one name.
pub trait Contender: Sized + Send + Sync + 'static {
    /// The client, which names the broker.
    type Client: Client;
    /// The name on the command line and in records.
    const NAME: &'static str;

    /// What it claims and promises.
    fn profile() -> Profile;

    /// Its settings with their defaults (the original's) and what they mean.
    fn settings() -> &'static [SettingSpec];

    /// Named groups of settings.
    fn presets() -> &'static [Preset];

    /// Node and client configurations from resolved settings.
    ///
    /// # Errors
    /// [`SettingError`] when values that are valid one by one contradict each other.
    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError>;

    /// How a channel filter and a group are expressed.
    fn lower(filter: &str, grouped: bool) -> Lowering;

    /// Which seat of an emulated group takes `channel`; `None` where the broker
    /// itself shares the work.
    fn seat_of(channel: &str, seats: u32) -> Option<u32>;
}
