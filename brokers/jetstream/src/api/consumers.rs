//! Making, listing, pausing and deleting consumers, and pull requests.

use broker_contract::Time;
use serde::{Deserialize, Serialize};

use super::json::parse_or_default;
use super::{LIST_PAGE, NAMES_PAGE, Page, PageRequest, body, page_of, parse, reply};
use crate::calendar;
use crate::consumer::ConsumerInfo;
use crate::consumer::config::ConsumerConfig;
use crate::error::ApiError;
use crate::host::{Host, Published};
use crate::server::JetStream;
use crate::stream::Intent;

const CREATE: &str = "consumer_create";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    stream_name: String,
    config: ConsumerConfig,
    action: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PauseRequest {
    pause_until: Option<String>,
}

#[derive(Debug, Serialize)]
struct Paused {
    paused: bool,
    pause_until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_remaining: Option<u64>,
}

/// How a request names the consumer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Naming<'a> {
    /// `CONSUMER.CREATE.S`: an ephemeral consumer, named by the server if at all.
    Ephemeral,
    /// `CONSUMER.CREATE.S.C` with or without a filter behind it.
    Named(&'a str, Option<&'a str>),
    /// `CONSUMER.DURABLE.CREATE.S.C`.
    Durable(&'a str),
}

impl JetStream {
    /// `rest` are the tokens behind the verb, `filter` everything from the fifth
    /// token of the request on.
    pub(super) fn consumer_request(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        verb: &str,
        rest: &[&str],
        filter: Option<&str>,
        message: &Published<'_>,
    ) {
        match (verb, rest) {
            ("CREATE", [stream]) => {
                self.create_consumer(now, host, stream, Naming::Ephemeral, message);
            }
            ("CREATE", [stream, name, ..]) => {
                let naming = Naming::Named(name, filter);
                self.create_consumer(now, host, stream, naming, message);
            }
            ("DURABLE", ["CREATE", stream, name]) => {
                self.create_consumer(now, host, stream, Naming::Durable(name), message);
            }
            ("INFO", [stream, name]) => self.consumer_info(now, host, stream, name, message),
            ("DELETE", [stream, name]) => self.delete_consumer(now, host, stream, name, message),
            ("PAUSE", [stream, name]) => self.pause_consumer(now, host, stream, name, message),
            ("NAMES", [stream]) => self.consumer_names(host, stream, message),
            ("LIST", [stream]) => self.consumer_list(now, host, stream, message),
            _ => {}
        }
    }

    fn create_consumer(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        naming: Naming<'_>,
        message: &Published<'_>,
    ) {
        match self.try_create(now, host, stream, naming, message) {
            Ok((place, consumer)) => self.answer_with_consumer(now, host, place, consumer, message),
            Err(error) => self.answer(host, message, CREATE, Err::<(), _>(error)),
        }
    }

    fn try_create(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        naming: Naming<'_>,
        message: &Published<'_>,
    ) -> Result<(u32, u32), ApiError> {
        let mut request: CreateRequest = parse(message.payload)?;
        if request.stream_name != stream {
            return Err(ApiError::stream_mismatch());
        }
        let intent = match request.action.as_str() {
            "" => Intent::CreateOrUpdate,
            "create" => Intent::Create,
            "update" => Intent::Update,
            other => return Err(ApiError::bad_json(&format!("unknown consumer action {other:?}"))),
        };
        let config = &mut request.config;
        let refuse = |code: u16, text: &str| Err(ApiError::new(400, code, text));
        match naming {
            Naming::Ephemeral => {
                if !config.durable_name.is_empty() {
                    return refuse(
                        10020,
                        "consumer expected to be ephemeral but a durable name was set in request",
                    );
                }
            }
            Naming::Durable(name) => {
                if config.durable_name.is_empty() {
                    return refuse(
                        10018,
                        "consumer expected to be durable but a durable name was not set",
                    );
                }
                if config.durable_name != name {
                    return refuse(
                        10017,
                        "consumer name in subject does not match durable name in request",
                    );
                }
                if config.name.is_empty() {
                    name.clone_into(&mut config.name);
                }
            }
            Naming::Named(name, filter) => {
                if let Some(filter) = filter
                    && filter != config.filter_subject
                {
                    return refuse(
                        10131,
                        "Consumer create request did not match filtered subject from create subject",
                    );
                }
                if !config.durable_name.is_empty() && config.durable_name != name {
                    return refuse(
                        10017,
                        "consumer name in subject does not match durable name in request",
                    );
                }
                if config.name.is_empty() {
                    name.clone_into(&mut config.name);
                } else if config.name != name {
                    return refuse(
                        10131,
                        "Consumer create request did not match filtered subject from create subject",
                    );
                }
            }
        }
        if !config.durable_name.is_empty() && config.durable_name != config.name {
            return refuse(
                10017,
                "consumer name in subject does not match durable name in request",
            );
        }
        let place = self.find_stream(stream.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        let name =
            if config.name.is_empty() { self.agenda.draw_name(8) } else { config.name.clone() };
        let made = self.with_stream(now, host, place, |stream, cx| {
            let config = request.config.complete(&stream.config)?;
            stream.put_consumer(cx, &name, config, intent, message.conn)
        });
        let consumer = made.unwrap_or_else(|| Err(ApiError::stream_not_found()))?;
        Ok((place, consumer))
    }

    fn answer_with_consumer(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        place: u32,
        consumer: u32,
        message: &Published<'_>,
    ) {
        let failed = ApiError::store_failed("the store could not be synced");
        let refusal = body(CREATE, Err::<(), _>(&failed));
        self.with_stream(now, host, place, |stream, cx| {
            let name = stream.config.name.clone();
            let Some(consumer) = stream.consumer_mut(consumer) else { return };
            let is_kept = consumer.is_kept();
            let body = body(CREATE, Ok(consumer.info(&name, cx.unix)));
            if is_kept {
                stream.answer_api(cx, message.reply, body, refusal);
            } else {
                reply(cx.host, message, &body);
            }
        });
    }

    fn consumer_info(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        name: &str,
        message: &Published<'_>,
    ) {
        const KIND: &str = "consumer_info";
        let unix = self.unix(now);
        let found = self
            .find_stream(stream.as_bytes())
            .and_then(|place| self.streams[place as usize].as_deref())
            .ok_or_else(ApiError::stream_not_found)
            .and_then(|stream| stream.consumer(name).ok_or_else(ApiError::consumer_not_found));
        match found {
            Ok((_, consumer)) => {
                let body = body(KIND, Ok(consumer.info(stream, unix)));
                reply(host, message, &body);
            }
            Err(error) => self.answer(host, message, KIND, Err::<(), _>(error)),
        }
    }

    /// The place of a stream and of one of its consumers.
    fn find_consumer(&self, stream: &str, name: &str) -> Result<(u32, u32), ApiError> {
        let place = self.find_stream(stream.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        let stream = self.streams[place as usize].as_deref();
        let found = stream.and_then(|stream| stream.consumer(name));
        found.map(|(consumer, _)| (place, consumer)).ok_or_else(ApiError::consumer_not_found)
    }

    fn delete_consumer(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        name: &str,
        message: &Published<'_>,
    ) {
        #[derive(Serialize)]
        struct Done {
            success: bool,
        }
        const KIND: &str = "consumer_delete";
        let (place, consumer) = match self.find_consumer(stream, name) {
            Ok(found) => found,
            Err(error) => return self.answer(host, message, KIND, Err::<(), _>(error)),
        };
        let done = body(KIND, Ok(Done { success: true }));
        let failed = ApiError::store_failed("the store could not be synced");
        let refusal = body(KIND, Err::<(), _>(&failed));
        self.with_stream(now, host, place, |stream, cx| {
            stream.delete_consumer(cx, consumer);
            stream.after_work(cx);
            stream.answer_api(cx, message.reply, done, refusal);
        });
    }

    fn pause_consumer(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        name: &str,
        message: &Published<'_>,
    ) {
        const KIND: &str = "consumer_pause";
        let result = self.try_pause(now, host, stream, name, message);
        self.answer(host, message, KIND, result);
    }

    fn try_pause(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        name: &str,
        message: &Published<'_>,
    ) -> Result<Paused, ApiError> {
        let (place, consumer) = self.find_consumer(stream, name)?;
        let request: PauseRequest = parse_or_default(message.payload)?;
        let until = match &request.pause_until {
            None => None,
            Some(text) => {
                let time = calendar::unix_ns(text).ok_or_else(|| ApiError::bad_time(text))?;
                (time > 0).then_some(time)
            }
        };
        let unix = self.unix(now);
        self.with_stream(now, host, place, |stream, cx| {
            let known = stream.consumer_mut(consumer).map(|consumer| {
                (consumer.name().to_owned(), consumer.config_paused(until.map(calendar::rfc3339)))
            });
            let (name, config) = known.ok_or_else(ApiError::consumer_not_found)?;
            stream.put_consumer(cx, &name, config, Intent::Update, message.conn)?;
            Ok(())
        })
        .unwrap_or_else(|| Err(ApiError::stream_not_found()))?;
        let remaining = until.and_then(|until| until.checked_sub(unix)).filter(|left| *left > 0);
        Ok(Paused {
            paused: remaining.is_some(),
            pause_until: until.map_or_else(|| calendar::ZERO.to_owned(), calendar::rfc3339),
            pause_remaining: remaining,
        })
    }

    fn consumer_names(&mut self, host: &mut dyn Host, stream: &str, message: &Published<'_>) {
        #[derive(Serialize)]
        struct Names {
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<ApiError>,
            #[serde(flatten)]
            page: Page,
            consumers: Vec<String>,
        }
        let found = self.find_stream(stream.as_bytes()).ok_or_else(ApiError::stream_not_found);
        let request =
            found.and_then(|place| Ok((place, parse_or_default::<PageRequest>(message.payload)?)));
        let names = match request {
            Ok((place, request)) => {
                let stream = self.streams[place as usize].as_deref();
                let all: Vec<String> = stream
                    .map(|stream| stream.consumer_names().map(str::to_owned).collect())
                    .unwrap_or_default();
                let (shown, page) = page_of(&all, request.offset, NAMES_PAGE);
                Names { error: None, page, consumers: shown.to_vec() }
            }
            Err(error) => {
                self.refusals += 1;
                Names { error: Some(error), page: Page::default(), consumers: Vec::new() }
            }
        };
        reply(host, message, &body("consumer_names", Ok(names)));
    }

    fn consumer_list(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        message: &Published<'_>,
    ) {
        #[derive(Serialize)]
        struct List<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<ApiError>,
            #[serde(flatten)]
            page: Page,
            consumers: Vec<ConsumerInfo<'a>>,
        }
        let unix = self.unix(now);
        let found = self.find_stream(stream.as_bytes()).ok_or_else(ApiError::stream_not_found);
        let request =
            found.and_then(|place| Ok((place, parse_or_default::<PageRequest>(message.payload)?)));
        let answer = match request {
            Ok((place, request)) => {
                let known = self.streams[place as usize].as_deref();
                let all: Vec<_> = known
                    .iter()
                    .flat_map(|stream| {
                        stream.consumer_names().filter_map(|name| stream.consumer(name))
                    })
                    .collect();
                let (shown, page) = page_of(&all, request.offset, LIST_PAGE);
                let consumers =
                    shown.iter().map(|(_, consumer)| consumer.info(stream, unix)).collect();
                body("consumer_list", Ok(List { error: None, page, consumers }))
            }
            Err(error) => {
                self.refusals += 1;
                let (page, consumers) = (Page::default(), Vec::new());
                body("consumer_list", Ok(List { error: Some(error), page, consumers }))
            }
        };
        reply(host, message, &answer);
    }

    /// Takes a pull request. Returns whether there is such a consumer.
    pub(super) fn next_message(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        stream: &str,
        name: &str,
        message: &Published<'_>,
    ) -> bool {
        let Ok((place, consumer)) = self.find_consumer(stream, name) else { return false };
        self.with_stream(now, host, place, |stream, cx| {
            stream.with_consumer(cx, consumer, |consumer, cx, ground| {
                consumer.request(cx, ground, message.reply, message.payload, message.conn);
            });
            stream.after_work(cx);
        });
        true
    }
}
