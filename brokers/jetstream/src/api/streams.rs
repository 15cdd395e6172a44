//! Making, changing, listing, purging and deleting streams.

use std::collections::BTreeMap;

use broker_contract::Time;
use serde::{Deserialize, Serialize};

use super::json::parse_or_default;
use super::{LIST_PAGE, NAMES_PAGE, Page, PageRequest, body, page_of, parse, reply};
use crate::calendar;
use crate::error::ApiError;
use crate::host::{Host, Published};
use crate::server::JetStream;
use crate::store::Matcher;
use crate::stream::Stream;
use crate::stream::config::StreamConfig;
use crate::subject;

/// Subjects in one answer.
const SUBJECTS_PAGE: usize = 100_000;
/// Removed sequences in one answer.
const DELETED_LIST: usize = 100_000;

#[derive(Debug, Serialize)]
struct LostInfo {
    /// Ranges of sequences, first and last.
    ranges: Vec<(u64, u64)>,
    msgs: u64,
}

#[derive(Debug, Serialize)]
struct StateInfo {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    first_ts: String,
    last_seq: u64,
    last_ts: String,
    #[serde(skip_serializing_if = "is_zero")]
    num_subjects: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "is_none_deleted")]
    num_deleted: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<LostInfo>,
    consumer_count: usize,
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn is_none_deleted(value: &u64) -> bool {
    *value == 0
}

/// The JSON of a stream's state. The order of the fields is the original's.
#[derive(Debug, Serialize)]
pub(super) struct StreamInfo<'a> {
    #[serde(flatten)]
    page: Option<Page>,
    config: &'a StreamConfig,
    created: String,
    state: StateInfo,
    ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    did_create: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InfoRequest {
    deleted_details: bool,
    subjects_filter: String,
    offset: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PurgeRequest {
    seq: u64,
    keep: u64,
    filter: String,
}

/// An answer that says how many even when it refuses.
#[derive(Debug, Serialize)]
struct Purged {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ApiError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    purged: u64,
}

impl Stream {
    /// The wall clock's reading of the first message.
    fn first_time_text(&mut self, host: &mut dyn Host) -> String {
        match self.store.first_time(host.disk()) {
            Ok(Some(time)) => calendar::rfc3339(time),
            _ if self.store.state().last_time > 0 => {
                calendar::rfc3339(self.store.state().last_time)
            }
            _ => calendar::ZERO.to_owned(),
        }
    }

    fn state_info(&mut self, host: &mut dyn Host, request: Option<&InfoRequest>) -> StateInfo {
        let first_ts = self.first_time_text(host);
        let state = *self.store.state();
        // Nothing was ever stored, so nothing is first.
        let is_new = state.last == 0;
        let lost = self.store.lost();
        let lost = (!lost.is_empty()).then(|| LostInfo {
            ranges: lost.to_vec(),
            msgs: lost.iter().map(|(first, last)| last - first + 1).sum(),
        });
        let wants_deleted = request.is_some_and(|request| request.deleted_details);
        StateInfo {
            messages: state.messages,
            bytes: state.bytes,
            first_seq: if is_new { 0 } else { state.first },
            first_ts,
            last_seq: state.last,
            last_ts: if state.last_time == 0 {
                calendar::ZERO.to_owned()
            } else {
                calendar::rfc3339(state.last_time)
            },
            num_subjects: self.store.subject_count(),
            subjects: None,
            num_deleted: self.store.deleted(),
            deleted: if wants_deleted { self.store.deleted_list(DELETED_LIST) } else { Vec::new() },
            lost,
            consumer_count: self.consumer_count(),
        }
    }
}

impl JetStream {
    pub(super) fn stream_request(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        verb: &str,
        rest: &[&str],
        message: &Published<'_>,
    ) {
        match (verb, rest) {
            ("CREATE", [name]) => self.create_stream(now, host, name, message),
            ("UPDATE", [name]) => self.update_stream(now, host, name, message),
            ("INFO", [name]) => self.stream_info(now, host, name, message),
            ("DELETE", [name]) => self.remove_stream(now, host, name, message),
            ("PURGE", [name]) => self.purge_stream(now, host, name, message),
            ("NAMES", []) => self.stream_names(host, message),
            ("LIST", []) => self.stream_list(now, host, message),
            ("MSG", ["GET", name]) => self.get_message(now, host, name, message),
            ("MSG", ["DELETE", name]) => self.delete_message(now, host, name, message),
            _ => {}
        }
    }

    /// The configuration in a request, complete and checked.
    fn read_config(name: &str, message: &Published<'_>) -> Result<StreamConfig, ApiError> {
        let config: StreamConfig = parse_or_default(message.payload)?;
        if config.name != name {
            return Err(ApiError::stream_mismatch());
        }
        Ok(config)
    }

    fn create_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) {
        const KIND: &str = "stream_create";
        let config = Self::read_config(name, message).and_then(|config| {
            if config.sealed {
                let text = "stream configuration for create can not be sealed";
                return Err(ApiError::stream_config(text));
            }
            config.complete()
        });
        let config = match config {
            Ok(config) => config,
            Err(error) => return self.answer(host, message, KIND, Err::<(), _>(error)),
        };
        if let Some(place) = self.find_stream(name.as_bytes()) {
            let same =
                self.streams[place as usize].as_ref().is_some_and(|stream| stream.config == config);
            if !same {
                let text = "stream name already in use with a different configuration";
                let error = ApiError::new(400, 10058, text);
                return self.answer(host, message, KIND, Err::<(), _>(error));
            }
            return self.answer_with_stream(now, host, place, message, KIND, Some(true));
        }
        if config.subjects.iter().any(|one| self.routes.overlaps(one.as_bytes(), None)) {
            let error = ApiError::new(400, 10065, "subjects overlap with an existing stream");
            return self.answer(host, message, KIND, Err::<(), _>(error));
        }
        let mut cx = self.cx(now, host, 0);
        let stream = match Stream::create(&mut cx, config) {
            Ok(stream) => stream,
            Err(error) => {
                let error = ApiError::new(500, 10049, error.to_string());
                return self.answer(host, message, KIND, Err::<(), _>(error));
            }
        };
        let place = self.seat(stream);
        self.advise_stream(now, host, place, name, "CREATED", "create");
        self.answer_with_stream(now, host, place, message, KIND, Some(true));
    }

    fn update_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) {
        const KIND: &str = "stream_update";
        let result = self.try_update(now, host, name, message);
        match result {
            Ok(place) => {
                self.advise_stream(now, host, place, name, "UPDATED", "modify");
                self.answer_with_stream(now, host, place, message, KIND, None);
            }
            Err(error) => self.answer(host, message, KIND, Err::<(), _>(error)),
        }
    }

    fn try_update(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) -> Result<u32, ApiError> {
        let config = Self::read_config(name, message)?.complete()?;
        let place = self.find_stream(name.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        if config.subjects.iter().any(|one| self.routes.overlaps(one.as_bytes(), Some(place))) {
            return Err(ApiError::new(400, 10065, "subjects overlap with an existing stream"));
        }
        let subjects = config.subjects.clone();
        self.with_stream(now, host, place, |stream, cx| stream.update(cx, config))
            .unwrap_or_else(|| Err(ApiError::stream_not_found()))?;
        self.routes.remove(place);
        self.routes.add(place, &subjects);
        Ok(place)
    }

    /// Answers with the state of a stream, once it is durable.
    fn answer_with_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        place: u32,
        message: &Published<'_>,
        kind: &str,
        did_create: Option<bool>,
    ) {
        let refusal =
            body(kind, Err::<(), _>(&ApiError::store_failed("the store could not be synced")));
        self.with_stream(now, host, place, |stream, cx| {
            let state = stream.state_info(cx.host, None);
            let info = StreamInfo {
                page: None,
                config: &stream.config,
                created: calendar::rfc3339(stream.created),
                state,
                ts: calendar::rfc3339(cx.unix),
                did_create,
            };
            let body = body(kind, Ok(info));
            stream.answer_api(cx, message.reply, body, refusal);
        });
    }

    fn stream_info(&mut self, now: Time, host: &mut dyn Host, name: &str, message: &Published<'_>) {
        const KIND: &str = "stream_info";
        #[derive(Serialize)]
        struct Missing {
            error: ApiError,
            #[serde(flatten)]
            page: Page,
        }
        let Some(place) = self.find_stream(name.as_bytes()) else {
            self.refusals += 1;
            let missing = Missing { error: ApiError::stream_not_found(), page: Page::default() };
            return reply(host, message, &body(KIND, Ok(missing)));
        };
        // The original reads what it can and ignores the rest.
        let request: InfoRequest = parse_or_default(message.payload).unwrap_or_default();
        let answer = self.with_stream(now, host, place, |stream, cx| {
            let mut state = stream.state_info(cx.host, Some(&request));
            let mut page = Page::default();
            if !request.subjects_filter.is_empty() {
                let filter = request.subjects_filter.as_bytes();
                let mut all: Vec<(String, u64)> = stream
                    .store
                    .subjects()
                    .filter(|(_, subject)| subject::matches(filter, &subject.text))
                    .map(|(_, subject)| {
                        (String::from_utf8_lossy(&subject.text).into_owned(), subject.count)
                    })
                    .collect();
                all.sort();
                let shown;
                (shown, page) = page_of(&all, request.offset, SUBJECTS_PAGE);
                if !shown.is_empty() {
                    state.subjects = Some(shown.iter().cloned().collect());
                }
            }
            let info = StreamInfo {
                page: Some(page),
                config: &stream.config,
                created: calendar::rfc3339(stream.created),
                state,
                ts: calendar::rfc3339(cx.unix),
                did_create: None,
            };
            body(KIND, Ok(info))
        });
        reply(host, message, &answer.unwrap_or_default());
    }

    fn remove_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) {
        #[derive(Serialize)]
        struct Done {
            success: bool,
        }
        const KIND: &str = "stream_delete";
        let Some(place) = self.find_stream(name.as_bytes()) else {
            let error = ApiError::stream_not_found();
            return self.answer(host, message, KIND, Err::<(), _>(error));
        };
        self.delete_stream(now, host, place);
        self.advise_stream(now, host, place, name, "DELETED", "delete");
        self.answer(host, message, KIND, Ok(Done { success: true }));
    }

    fn purge_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) {
        const KIND: &str = "stream_purge";
        match self.try_purge(now, host, name, message) {
            Ok((place, purged)) => {
                let purged = Purged { error: None, success: Some(true), purged };
                let body = body(KIND, Ok(purged));
                let failed = ApiError::store_failed("the store could not be synced");
                let purged = Purged { error: Some(failed), success: None, purged: 0 };
                let refusal = super::body(KIND, Ok(purged));
                self.with_stream(now, host, place, |stream, cx| {
                    stream.answer_api(cx, message.reply, body, refusal);
                });
            }
            Err(error) => {
                self.refusals += 1;
                let purged = Purged { error: Some(error), success: None, purged: 0 };
                reply(host, message, &body(KIND, Ok(purged)));
            }
        }
    }

    fn try_purge(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) -> Result<(u32, u64), ApiError> {
        let place = self.find_stream(name.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        let request: PurgeRequest = parse_or_default(message.payload)?;
        if request.seq > 0 && request.keep > 0 {
            return Err(ApiError::bad_request());
        }
        let filters: &[String] =
            if request.filter.is_empty() { &[] } else { std::slice::from_ref(&request.filter) };
        let matcher = Matcher::new(filters);
        let purged = self.with_stream(now, host, place, |stream, cx| {
            if stream.config.deny_purge || stream.config.sealed {
                return Err(ApiError::new(500, 10110, "stream purge not permitted"));
            }
            Ok(stream.begin_purge(cx, matcher, Some(request.seq), Some(request.keep)))
        });
        Ok((place, purged.unwrap_or_else(|| Err(ApiError::stream_not_found()))?))
    }

    fn stream_names(&mut self, host: &mut dyn Host, message: &Published<'_>) {
        #[derive(Serialize)]
        struct Names {
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<ApiError>,
            #[serde(flatten)]
            page: Page,
            streams: Option<Vec<String>>,
        }
        const KIND: &str = "stream_names";
        let request: PageRequest = match parse_or_default(message.payload) {
            Ok(request) => request,
            Err(error) => {
                self.refusals += 1;
                let names = Names { error: Some(error), page: Page::default(), streams: None };
                return reply(host, message, &body(KIND, Ok(names)));
            }
        };
        let all = self.matching_streams(&request.subject);
        let names: Vec<String> = all.iter().map(|(name, _)| name.to_string()).collect();
        let (shown, page) = page_of(&names, request.offset, NAMES_PAGE);
        let streams = (!shown.is_empty()).then(|| shown.to_vec());
        self.answer(host, message, KIND, Ok(Names { error: None, page, streams }));
    }

    fn matching_streams(&self, filter: &str) -> Vec<(&str, u32)> {
        let listens = |place: &u32| {
            filter.is_empty()
                || self.streams[*place as usize].as_ref().is_some_and(|stream| {
                    let mut subjects = stream.config.subjects.iter();
                    subjects.any(|one| subject::overlap(one.as_bytes(), filter.as_bytes()))
                })
        };
        let named = self.by_name.iter().filter(|(_, place)| listens(place));
        named.map(|(name, place)| (&**name, *place)).collect()
    }

    fn stream_list(&mut self, now: Time, host: &mut dyn Host, message: &Published<'_>) {
        #[derive(Serialize)]
        struct List<'a> {
            #[serde(flatten)]
            page: Page,
            streams: Vec<StreamInfo<'a>>,
        }
        const KIND: &str = "stream_list";
        let request: PageRequest = match parse_or_default(message.payload) {
            Ok(request) => request,
            Err(error) => return self.answer(host, message, KIND, Err::<(), _>(error)),
        };
        let places: Vec<u32> =
            self.matching_streams(&request.subject).into_iter().map(|(_, place)| place).collect();
        let (shown, page) = page_of(&places, request.offset, LIST_PAGE);
        let ts = calendar::rfc3339(self.unix(now));
        let mut states = Vec::new();
        for place in shown {
            if let Some(stream) = &mut self.streams[*place as usize] {
                states.push((*place, stream.state_info(host, None)));
            }
        }
        let streams = states
            .into_iter()
            .filter_map(|(place, state)| {
                let stream = self.streams[place as usize].as_ref()?;
                let created = calendar::rfc3339(stream.created);
                let (config, ts) = (&stream.config, ts.clone());
                Some(StreamInfo { page: None, config, created, state, ts, did_create: None })
            })
            .collect();
        let body = body(KIND, Ok(List { page, streams }));
        reply(host, message, &body);
    }

    pub(super) fn advise_stream(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        place: u32,
        stream: &str,
        verb: &str,
        action: &str,
    ) {
        #[derive(Serialize)]
        struct Body<'a> {
            stream: &'a str,
            action: &'a str,
        }
        let mut cx = self.cx(now, host, place);
        let subject = format!("$JS.EVENT.ADVISORY.STREAM.{verb}.{stream}");
        cx.advise(subject, "stream_action", &Body { stream, action });
    }
}

/// Reads a request that must not be empty.
pub(super) fn required<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    if text.trim_ascii().is_empty() {
        return Err(ApiError::bad_request());
    }
    parse(text)
}
