//! The frames of the NATS client protocol, read into types.
//!
//! A frame knows its exact length as text; turning it into bytes and back is the
//! work of [`crate::codec`] (the JSON of INFO and CONNECT is
//! written here, because its length has to be known). Verbs are case-insensitive
//! and arguments may be set apart by tabs on the wire; the codec takes care of
//! both.
//!
//! Start with [`Message`], the one allocation that a message is, then [`Up`] and
//! [`Down`].

mod down;
pub mod headers;
mod info;
mod message;
mod size;
mod up;

pub use down::{Down, ServerError};
pub use info::{ConnectOptions, Info, ServerInfo};
pub use message::Message;
pub(crate) use size::digits;
pub use up::{Subscribe, Up};

#[cfg(test)]
mod tests;
