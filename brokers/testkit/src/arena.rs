//! What a semantics case needs of a mode.

use std::time::Duration;

use broker_contract::{CrashKind, Delivery, Op, Outcome, Support, Ticket, Unsupported};

/// A client in an arena, dense from 0 in the order of opening. A client that was
/// killed and opened again under its name is another one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// One node and some clients, driven by somebody: in virtual time, on threads of
/// this process, or behind sockets. The same cases run in all of them.
///
/// Nothing here says how time passes. `advance` lets a given time go by and
/// `settle` waits for quiet; both may simulate or sleep. What goes wrong between
/// the driver and the cores (a frame on a closed connection, a ticket that ends
/// twice, a node that does not boot) is no outcome of an operation: it is a
/// [`fault`](Arena::fault), and it fails the case.
pub trait Arena {
    /// Makes a client and lets it connect ahead of its first operation.
    fn open(&mut self, name: &str) -> ClientId;

    /// Starts an operation. The arena numbers the tickets.
    ///
    /// # Errors
    /// [`Unsupported`] when the contender does not have it.
    fn submit(&mut self, client: ClientId, op: &Op<'_>) -> Result<(Ticket, Support), Unsupported>;

    /// Lets `by` go by.
    fn advance(&mut self, by: Duration);

    /// Lets time go by until nothing has moved for a while: no frame is on its
    /// way to somebody who reads, no sync is running, and no client or node has
    /// sent anything. Returns after a bounded time all the same.
    fn settle(&mut self);

    /// What arrived for the client's application since the last call, in order.
    fn take_deliveries(&mut self, client: ClientId) -> Vec<Delivery>;

    /// How an operation ended, if it has.
    fn outcome(&mut self, client: ClientId, ticket: Ticket) -> Option<Outcome>;

    /// Tells a client to finish what is under way and to say goodbye.
    fn shutdown(&mut self, client: ClientId);

    /// Ends a client's process at this instant; its connections break.
    fn kill(&mut self, client: ClientId);

    /// Stops a client from reading its connections, or lets it go on. Meanwhile
    /// the transport fills, and then bytes wait at the node.
    fn set_reading(&mut self, client: ClientId, reading: bool);

    /// Ends the node. All connections break.
    fn crash(&mut self, kind: CrashKind);

    /// Boots the node again from what its disk kept.
    fn restart(&mut self);

    /// How often a connection of this client was ended by the other side, as
    /// far as the client has noticed.
    fn cuts(&mut self, client: ClientId) -> u32;

    /// What broke the contract between driver and cores first, if anything did.
    fn fault(&mut self) -> Option<String>;
}
