//! Reading and deleting single messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use broker_contract::Time;
use serde::{Deserialize, Serialize};

use super::streams::required;
use crate::calendar;
use crate::error::ApiError;
use crate::host::{Host, Published};
use crate::server::JetStream;
use crate::store::record::Record;
use crate::store::{Matcher, Step};
use crate::stream::Stream;

/// Which message is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GetRequest {
    pub seq: u64,
    pub last_by_subj: String,
    pub next_by_subj: String,
    pub batch: u64,
    pub max_bytes: u64,
    pub multi_last: Vec<String>,
    pub up_to_seq: u64,
    pub up_to_time: Option<String>,
    pub start_time: Option<String>,
    #[serde(rename = "no_hdr")]
    pub no_headers: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeleteRequest {
    seq: u64,
    #[serde(rename = "no_erase")]
    _no_erase: bool,
}

#[derive(Debug, Serialize)]
struct Stored {
    subject: String,
    seq: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    hdrs: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    data: String,
    time: String,
}

#[derive(Debug, Serialize)]
struct Got {
    message: Stored,
}

impl From<&Record<'_>> for Stored {
    fn from(record: &Record<'_>) -> Stored {
        Stored {
            subject: String::from_utf8_lossy(record.subject).into_owned(),
            seq: record.seq,
            hdrs: STANDARD.encode(record.headers),
            data: STANDARD.encode(record.payload),
            time: calendar::rfc3339(record.time),
        }
    }
}

impl Stream {
    /// The sequence of the message that a request names; `None` when it names none.
    pub(super) fn find_message(&self, request: &GetRequest) -> Option<Option<u64>> {
        if !request.last_by_subj.is_empty() {
            let matcher = Matcher::new(std::slice::from_ref(&request.last_by_subj));
            return Some(self.store.last_matching(&matcher, u64::MAX));
        }
        if !request.next_by_subj.is_empty() {
            let matcher = Matcher::new(std::slice::from_ref(&request.next_by_subj));
            return Some(self.next_matching(&matcher, request.seq));
        }
        (request.seq > 0).then(|| self.store.has(request.seq).then_some(request.seq))
    }

    /// The first message at or behind `from` that the matcher takes in.
    pub(super) fn next_matching(&self, matcher: &Matcher, from: u64) -> Option<u64> {
        let wanted = |id: u32| matcher.takes(&self.store.subject(id).text);
        match self.store.search(from, u64::MAX, wanted) {
            Step::Found(seq) => Some(seq),
            Step::End | Step::More(_) => None,
        }
    }
}

impl JetStream {
    pub(super) fn get_message(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) {
        let result = self.try_get(now, host, name, message);
        self.answer(host, message, "stream_msg_get", result);
    }

    fn try_get(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) -> Result<Got, ApiError> {
        let place = self.find_stream(name.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        let request: GetRequest = required(message.payload)?;
        let found = self.with_stream(now, host, place, |stream, cx| {
            let seq = stream
                .find_message(&request)
                .ok_or_else(ApiError::bad_request)?
                .ok_or_else(ApiError::no_message)?;
            match stream.store.get(cx.host.disk(), seq) {
                Ok(Some(record)) => {
                    let mut message = Stored::from(&record);
                    if request.no_headers {
                        message.hdrs.clear();
                    }
                    Ok(Got { message })
                }
                Ok(None) => Err(ApiError::no_message()),
                Err(error) => Err(ApiError::new(500, 10051, error.to_string())),
            }
        });
        found.unwrap_or_else(|| Err(ApiError::stream_not_found()))
    }

    pub(super) fn delete_message(
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
        let result = self.try_delete(now, host, name, message).map(|()| Done { success: true });
        self.answer(host, message, "stream_msg_delete", result);
    }

    fn try_delete(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        message: &Published<'_>,
    ) -> Result<(), ApiError> {
        let place = self.find_stream(name.as_bytes()).ok_or_else(ApiError::stream_not_found)?;
        let request: DeleteRequest = required(message.payload)?;
        let result = self.with_stream(now, host, place, |stream, cx| {
            if stream.config.deny_delete || stream.config.sealed {
                return Err(ApiError::new(500, 10057, "message delete not permitted"));
            }
            if request.seq == 0 || !stream.delete_message(cx, request.seq) {
                let text = format!("sequence {} not found", request.seq);
                return Err(ApiError::new(400, 10043, text));
            }
            Ok(())
        });
        result.unwrap_or_else(|| Err(ApiError::stream_not_found()))
    }
}
