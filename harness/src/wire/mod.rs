//! The wire room: nodes behind real sockets.
//!
//! **What it is for.** [`server::Server`] hosts any broker whose protocol brings
//! a codec ([`broker_contract::Codec`]), and nothing else: it accepts, reads,
//! decodes, feeds the node, encodes what the node sends, writes, and tells the
//! node what the transport took. [`link::Link`] is one end of one connection, the
//! same for a server and for a client.
//!
//! **What it never does.** It knows no protocol and no broker. It never decides
//! for the node: limits of the protocol are the node's, limits of the machine
//! (memory, descriptors, peers that send half a frame and stop) are its own.
//!
//! One thread does it all: it waits in `poll`, reads what came, feeds the node,
//! and writes once for each connection at the end of the turn, so that whatever
//! a turn has for one subscriber leaves in one gathered write. There is no task
//! and no buffer for a connection that is silent, which is what an idle
//! connection costs the least with, and no hand-over between threads on a
//! message's way.
//!
//! **Where to start reading.** [`server`], then [`link`] and [`outbox`].

pub mod descriptors;
pub mod link;
pub mod listen;
pub mod metrics;
pub mod outbox;
pub mod protocols;
pub mod server;
pub mod settings;
mod spin;
pub mod stream;
pub mod tls;
