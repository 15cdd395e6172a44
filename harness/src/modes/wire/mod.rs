//! The same nodes and clients, with real sockets between them.
//!
//! **What it is for.** [`run`] plays a scenario as [`super::embedded`] does, with
//! the same generator, the same clients and the same books; but the node sits
//! behind [`crate::wire::server`], and everything between it and its clients is
//! the protocol's own bytes over TCP on the loopback interface.
//!
//! **What it never does.** It knows no protocol: a contender plays if it brings a
//! codec. Faults that strike the node itself are not applied here; what a link of
//! the scenario would add is not, either.
//!
//! **Where to start reading.** [`run`], then [`way`] for the clients' end, with
//! [`dial`] for how it connects, and [`books`] for what is written down at the
//! node's. [`arena`] runs the semantics cases over the same sockets.

pub mod arena;
mod books;
pub(crate) mod dial;
mod limit;
mod null;
mod way;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{Boot, Codec, Configured, Contender, NodeId, SeedStream};
use lab_workloads::scenario::model::Scenario;

use self::books::Books;
use self::dial::Ports;
use self::way::TcpWay;
use super::embedded::node::NodeEnd;
use super::embedded::{Backdrop, Backing, RECEIVERS, SENDERS, play};
use super::sim::engine::BrokerOf;
use crate::trial::{RawTrial, Watch};
use crate::wire::descriptors;
use crate::wire::listen::Listener;
use crate::wire::server::Server;
use crate::wire::settings::{Limits, Place};

pub use self::limit::{Unlimited, generator_limit};

/// Descriptors beside those of connections.
const DESCRIPTORS: u64 = 256;
/// How long a server waits for its connections at the end. A trial ends when
/// nothing moves any more, so what has not come by then does not come later.
const DRAIN: Duration = Duration::from_secs(1);

/// Runs `scenario` once over TCP.
pub fn run<C: Contender, K: Codec<Broker = BrokerOf<C>>>(
    codec: K,
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    seed: SeedStream,
    watch: &Watch,
) -> RawTrial {
    play(scenario, configured, seed, watch, |backdrop| {
        over_tcp(codec, backdrop).map_err(|error| error.to_string())
    })
}

/// A server on a thread, and ways that are sockets.
fn over_tcp<C: Contender, K: Codec<Broker = BrokerOf<C>>>(
    codec: K,
    backdrop: &Backdrop<'_, C>,
) -> Result<Backing<C>, Box<dyn std::error::Error>> {
    // Both ends of each connection, and what everything else has open.
    let needed = backdrop.clients as u64 * 2 + DESCRIPTORS;
    let got = descriptors::raise(needed);
    if got < needed {
        return Err(format!(
            "{} connections with both ends in this process need {needed} descriptors and it may \
             have {got}; raise the limit (`ulimit -Hn`), or let clients share connections \
             (`--set populations.NAME.connections=1000`)",
            backdrop.clients
        )
        .into());
    }
    let boot = Boot { seed: backdrop.seed.nth(0), node: NodeId(0), peers: vec![NodeId(0)] };
    let books = Books::<BrokerOf<C>>::new(backdrop.shared.clone(), backdrop.step);
    let server = Server::open(
        codec.clone(),
        &backdrop.configured.node,
        boot,
        &[Place::Tcp([127, 0, 0, 1].into(), 0)],
        Limits { drain: DRAIN, ..Limits::default() },
        backdrop.clock.started(),
        books,
    )?;
    let address = server
        .listeners()
        .find_map(|listener| match listener {
            Listener::Tcp(_, address) => Some(*address),
            Listener::Unix(..) => None,
        })
        .ok_or_else(|| io::Error::other("the server listens on no port"))?;
    let handle = server.handle();
    let ports = Arc::new(Ports::default());
    let way = |thread| -> io::Result<TcpWay<K>> {
        TcpWay::new(
            codec.clone(),
            address,
            backdrop.clock,
            ports.clone(),
            backdrop.shared.clone(),
            thread == RECEIVERS,
        )
    };
    let (senders, receivers) = (way(SENDERS)?, way(RECEIVERS)?);
    let node = move || -> NodeEnd<BrokerOf<C>> {
        match server.run() {
            Ok((counts, books)) => books.close(&counts, &ports),
            Err(error) => NodeEnd::broken(format!("the server failed: {error}")),
        }
    };
    Ok(Backing {
        ways: [Box::new(senders), Box::new(receivers)],
        node: Box::new(node),
        end: Box::new(move || handle.stop()),
        late: Box::new(|| (Vec::new(), Vec::new())),
    })
}
