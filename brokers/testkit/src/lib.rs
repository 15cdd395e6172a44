//! Drives nodes and clients in virtual time, and holds the semantics cases.
//!
//! **What it is for.** Whoever writes a broker finds out here whether it does
//! what its profile claims:
//!
//! ```ignore
//! #[test]
//! fn every_claim_holds() {
//!     broker_testkit::run_all_cases::<MyBroker>().assert_passed();
//! }
//! ```
//!
//! Every [`Feature`](broker_contract::Feature) has cases. A claimed feature's
//! cases must pass, under several seeds and link latencies; a feature that is not
//! claimed must be refused with a typed reason. A failure names the case, the
//! step, what was expected and what was seen.
//!
//! **To add a case,** append a `[[case]]` to a file in `brokers/testkit/cases/`
//! (a new file is also named in `cases/mod.rs`):
//!
//! ```toml
//! [[case]]
//! name = "a star stands for exactly one token"
//! feature = "token_wildcard"
//! clients = ["pub", "sub"]
//! steps = [
//!     { subscribe = "a.*", by = "sub" },
//!     { publish = "a.b", by = "pub", payload = "one" },
//!     { publish = "a.b.c", by = "pub", payload = "two" },
//!     { expect = ["one"], by = "sub" },
//! ]
//! ```
//!
//! A step has one verb and says `by` whom. The verbs and their other keys:
//!
//! | verb | keys | does |
//! |---|---|---|
//! | `open = "client"` | | opens a client during the case, or again after its end |
//! | `declare = "name"` | `filters`, `partitions` | makes a stream or topic |
//! | `subscribe = "filter"` | `group` with `seat` and `seats`, `start` (new, all, last), `ack` (none, explicit, all), `ack_wait`, `max_deliver`, `backoff`, `max_in_flight`, `durable`, `as` | subscribes and waits until it is in force |
//! | `publish = "channel"` | `payload` or `payloads`, `headers`, `key`, `size`, `want` (usual, nothing, stored), `once`, `as` | publishes; `{n}` in the channel is the payload's place from 1; with `as` the outcome is left to a later step |
//! | `request = "channel"` | `payload`, `timeout`, `headers`, `key`, `size`, `as` | asks |
//! | `reply = "payload"` | `to` | answers the request with the payload `to` |
//! | `unsubscribe = "label"` | `after` | ends a subscription |
//! | `fetch = "label"` | `max` | pulls |
//! | `settle = "ack"` | `of` (a payload), `delay` | or nak, term, working |
//! | `expect = [payloads]` | `order` (exact, each, any), `via` (a label), `channels`, `headers`, `redelivered`, `within` | the client has received this since the last such step, and nothing else |
//! | `share = [payloads]` | `among`, `everybody`, `within` | the clients have received each payload once between them |
//! | `outcome = "label"` | `is`, `answer`, `within` | the operation has ended so |
//! | `cut = "client"` | `within` | the other side has ended the client's connection |
//! | `forget = ["client"]` | | what these have received does not matter |
//! | `shutdown`, `kill`, `pause`, `resume` `= "client"` | | says goodbye; ends; stops reading; reads again |
//! | `crash = "process"`, `"power"`; `restart = true` | | ends and boots the node |
//! | `wait = "1s"`, `"quiet"` | | lets time go by |
//!
//! A case that declares nothing has a stream or topic declared for each first
//! token that it publishes to, before its first step; contenders that store
//! nothing refuse that without consequence.
//!
//! In lists of payloads `m{1..20}` stands for m1 to m20. A subscription is called
//! `as` its label, or else as its client. What a client has received and no step
//! has expected fails the case at its end, and so does an operation that never
//! ends. `refused_with` names other features whose refusal takes this one with
//! it; `refusal = "absent"` marks a feature that no operation asks for: where it
//! is not claimed, the case must fail. `[case.settings.nats]` changes a
//! contender's settings for one case.
//!
//! **To run the cases in another mode,** implement [`Arena`] for its driver and
//! call [`run_cases_in`].
//!
//! [`codecs`] is what the tests of every codec share.
//!
//! **What it never does.** It measures nothing, and it knows no contender.
//!
//! **Where to start reading.** [`Arena`], then [`VirtualArena`], then the cases.

mod arena;
pub mod cases;
pub mod codecs;
mod virtual_time;

pub use arena::{Arena, ClientId};
pub use cases::{CaseReport, all_cases, run_all_cases, run_cases, run_cases_in};
pub use virtual_time::{BrokerOf, Link, VirtualArena, VirtualOptions};
