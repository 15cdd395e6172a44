//! The frames of the log: Kafka's requests up, its responses down.
//!
//! The structs of requests and responses are those of the crate
//! `kafka-protocol`; they are boxed here, because unboxed every input would be
//! as large as the largest of them. A frame knows its exact length in the
//! version that it was sent with. Reading one from a socket is the work of a
//! codec that does not live here; what such a codec cannot place (an unknown
//! key, a version outside of the known range) travels as [`Request::Other`].
//!
//! [`batch`] is the record batch, format version 2: the one thing that producers,
//! disk and consumers share, byte for byte.
//!
//! Start with [`Up`] and [`Down`], then [`batch`].

mod api;
pub mod batch;
mod compression;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use broker_contract::{Frame, FrameError};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiKey;

pub use api::{Request, Response};
pub use compression::{Codec, CompressionError};

/// Length, API key, version, correlation number, length of the client's name.
const REQUEST_PREFIX: usize = 4 + 2 + 2 + 4 + 2;
/// Length, correlation number.
const RESPONSE_PREFIX: usize = 4 + 4;

/// A request of a client.
#[derive(Clone, Debug)]
pub struct Up {
    /// The client's own number for this request; it comes back in the response.
    pub correlation: i32,
    /// The version of the request's API that the body is written in.
    pub version: i16,
    /// How the client calls itself, shared by all its requests.
    pub client_id: Option<Arc<str>>,
    /// What is asked for.
    pub request: Request,
}

/// A response of the node. Responses leave a connection in the order of its
/// requests.
#[derive(Clone, Debug)]
pub struct Down {
    /// The number of the request that this answers.
    pub correlation: i32,
    /// The version that the body is written in: that of the request, but for
    /// an API versions request in an unknown version, which is answered in 0.
    pub version: i16,
    /// The answer.
    pub response: Response,
}

/// Whether the header of a request of this API ends with tagged fields.
fn request_has_tags(key: i16, version: i16) -> bool {
    ApiKey::try_from(key).is_ok_and(|key| key.request_header_version(version) >= 2)
}

/// Whether the header of a response of this API ends with tagged fields.
fn response_has_tags(key: i16, version: i16) -> bool {
    ApiKey::try_from(key).is_ok_and(|key| key.response_header_version(version) >= 1)
}

impl Up {
    /// Bytes of the whole frame.
    ///
    /// # Errors
    /// [`FrameError`] when the body holds something that its version cannot say.
    pub fn checked_len(&self) -> Result<usize, FrameError> {
        self.request.body_len(self.version).map(|body| self.head_len() + body)
    }

    fn head_len(&self) -> usize {
        let name = self.client_id.as_ref().map_or(0, |name| name.len().min(i16::MAX as usize));
        let tags = usize::from(request_has_tags(self.request.key(), self.version));
        REQUEST_PREFIX + name + tags
    }

    /// Writes the whole frame, length first.
    ///
    /// # Errors
    /// [`FrameError`] when the body holds something that its version cannot say.
    pub fn encode(&self, buf: &mut BytesMut) -> Result<(), FrameError> {
        let start = buf.len();
        buf.put_i32(0);
        buf.put_i16(self.request.key());
        buf.put_i16(self.version);
        buf.put_i32(self.correlation);
        match &self.client_id {
            Some(name) => {
                buf.put_i16(name.len().min(i16::MAX as usize) as i16);
                buf.put_slice(&name.as_bytes()[..name.len().min(i16::MAX as usize)]);
            }
            None => buf.put_i16(-1),
        }
        if request_has_tags(self.request.key(), self.version) {
            buf.put_u8(0);
        }
        self.request.encode(self.version, buf)?;
        finish(start, buf)
    }
}

impl Down {
    /// Bytes of the whole frame.
    ///
    /// # Errors
    /// [`FrameError`] when the body holds something that its version cannot say.
    pub fn checked_len(&self) -> Result<usize, FrameError> {
        self.response.body_len(self.version).map(|body| self.head_len() + body)
    }

    fn head_len(&self) -> usize {
        RESPONSE_PREFIX + usize::from(response_has_tags(self.response.key(), self.version))
    }

    /// Writes the whole frame, length first.
    ///
    /// # Errors
    /// [`FrameError`] when the body holds something that its version cannot say.
    pub fn encode(&self, buf: &mut BytesMut) -> Result<(), FrameError> {
        let start = buf.len();
        buf.put_i32(0);
        buf.put_i32(self.correlation);
        if response_has_tags(self.response.key(), self.version) {
            buf.put_u8(0);
        }
        self.response.encode(self.version, buf)?;
        finish(start, buf)
    }
}

/// Puts the length in front of what was written from `start` on.
fn finish(start: usize, buf: &mut BytesMut) -> Result<(), FrameError> {
    let len = i32::try_from(buf.len() - start - 4)
        .map_err(|_| FrameError("the frame is longer than 2 GiB".to_owned()))?;
    buf[start..start + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        // One that cannot be written has no length; writing it says why.
        self.checked_len().unwrap_or_else(|_| self.head_len())
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Request::Produce(request) = &self.request {
            for topic in &request.topic_data {
                for partition in &topic.partition_data {
                    batch::each_value(partition.records.as_deref().unwrap_or_default(), visit);
                }
            }
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        self.checked_len().unwrap_or_else(|_| self.head_len())
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Response::Fetch(response) = &self.response {
            for topic in &response.responses {
                for partition in &topic.partitions {
                    batch::each_value(partition.records.as_deref().unwrap_or_default(), visit);
                }
            }
        }
    }
}
