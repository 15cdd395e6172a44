//! Requests to `$JS.API.>`, and their answers as JSON.
//!
//! - `streams.rs`: making, changing, listing, purging and deleting streams;
//! - `messages.rs`: reading and deleting single messages;
//! - `direct.rs`: reading without JSON;
//! - `consumers.rs`: making, listing, pausing and deleting consumers;
//! - `json.rs`: mistakes in JSON in the words of the original.

mod consumers;
mod direct;
mod json;
mod messages;
mod streams;

use broker_contract::Time;
use serde::Serialize;

pub(crate) use self::json::{json, json_error, parse};
use crate::error::ApiError;
use crate::host::{Host, Published};
use crate::server::JetStream;

/// Names on one page.
const NAMES_PAGE: usize = 1_024;
/// Streams or consumers on one page.
const LIST_PAGE: usize = 256;

/// An answer with its type in front.
#[derive(Debug, Serialize)]
struct Typed<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    body: T,
}

/// An answer that is an error.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    error: &'a ApiError,
}

/// Where an answer begins among those that there are.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Page {
    total: usize,
    offset: usize,
    limit: usize,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct PageRequest {
    offset: usize,
    subject: String,
}

/// Whose answer it is: `kind` of `io.nats.jetstream.api.v1.<kind>_response`.
fn body(kind: &str, result: Result<impl Serialize, &ApiError>) -> Vec<u8> {
    let kind = format!("io.nats.jetstream.api.v1.{kind}_response");
    match result {
        Ok(body) => json(&Typed { kind: &kind, body }),
        Err(error) => json(&Typed { kind: &kind, body: Refused { error } }),
    }
}

impl JetStream {
    /// Takes a request; `rest` is what follows `$JS.API.`. Returns whether there is
    /// anybody to take it.
    pub(crate) fn api(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        rest: &[u8],
        message: &Published<'_>,
    ) -> bool {
        let Ok(rest) = std::str::from_utf8(rest) else { return true };
        let tokens: Vec<&str> = rest.split('.').collect();
        if let ["CONSUMER", "MSG", "NEXT", stream, consumer] = tokens[..] {
            return self.next_message(now, host, stream, consumer, message);
        }
        if let ["DIRECT", "GET", stream, ..] = tokens[..] {
            let subject = rest.splitn(4, '.').nth(3);
            return self.direct_get(now, host, stream, subject, message);
        }
        self.requests += 1;
        let refusals = self.refusals;
        match tokens[..] {
            ["INFO"] => self.account_info(host, message),
            ["STREAM", verb, ..] => self.stream_request(now, host, verb, &tokens[2..], message),
            ["CONSUMER", verb, ..] => {
                let filter = rest.splitn(5, '.').nth(4);
                self.consumer_request(now, host, verb, &tokens[2..], filter, message);
            }
            // The original listens to all of `$JS.API.>` and answers nothing here.
            _ => {}
        }
        debug_assert!(refusals <= self.refusals);
        true
    }

    /// Answers a request at once.
    fn answer(
        &mut self,
        host: &mut dyn Host,
        message: &Published<'_>,
        kind: &str,
        result: Result<impl Serialize, ApiError>,
    ) {
        if result.is_err() {
            self.refusals += 1;
        }
        let body = body(kind, result.as_ref());
        reply(host, message, &body);
    }

    fn account_info(&mut self, host: &mut dyn Host, message: &Published<'_>) {
        #[derive(Serialize)]
        struct Limits {
            max_memory: i64,
            max_storage: i64,
            max_streams: i64,
            max_consumers: i64,
            max_ack_pending: i64,
            memory_max_stream_bytes: i64,
            storage_max_stream_bytes: i64,
            max_bytes_required: bool,
        }
        #[derive(Serialize)]
        struct Api {
            level: u32,
            total: u64,
            errors: u64,
        }
        #[derive(Serialize)]
        struct Account {
            memory: u64,
            storage: u64,
            reserved_memory: u64,
            reserved_storage: u64,
            streams: usize,
            consumers: usize,
            limits: Limits,
            api: Api,
        }
        use crate::stream::config::Storage;
        let bytes = |storage| -> u64 {
            let streams = self.streams.iter().flatten();
            let taken = streams.filter(|stream| stream.config.storage == storage);
            taken.map(|stream| stream.store.state().bytes).sum()
        };
        let account = Account {
            memory: bytes(Storage::Memory),
            storage: bytes(Storage::File),
            reserved_memory: 0,
            reserved_storage: 0,
            streams: self.by_name.len(),
            consumers: self.streams.iter().flatten().map(|stream| stream.consumer_count()).sum(),
            limits: Limits {
                max_memory: -1,
                max_storage: -1,
                max_streams: -1,
                max_consumers: -1,
                max_ack_pending: -1,
                memory_max_stream_bytes: -1,
                storage_max_stream_bytes: -1,
                max_bytes_required: false,
            },
            api: Api { level: 5, total: self.requests - 1, errors: self.refusals },
        };
        self.answer(host, message, "account_info", Ok(account));
    }
}

/// Sends an answer, if somebody asked.
fn reply(host: &mut dyn Host, message: &Published<'_>, body: &[u8]) {
    if !message.reply.is_empty() {
        host.send(message.reply, message.reply, &[], &[], body);
    }
}

/// The part of `all` that a page shows, and the page.
fn page_of<T>(all: &[T], offset: usize, limit: usize) -> (&[T], Page) {
    let offset = offset.min(all.len());
    let end = (offset + limit).min(all.len());
    (&all[offset..end], Page { total: all.len(), offset, limit })
}
