//! The bytes of the canary: what a broker with nothing in it needs to have clients
//! behind sockets.
//!
//! A publish is its length and its payload, everything else eight bytes of ticket.

use broker_contract::{Codec, Decoder, Envelope, FrameError, Sink, Step, Ticket};

use crate::modes::embedded::canary::{Down, NullNode, Up};

/// Bytes in front of what a frame carries: its kind, and a length.
const HEAD: usize = 5;
/// The longest payload there is; nobody but the lab itself sends these bytes.
const LONGEST: usize = 64 << 20;
const TICKET: u8 = 0;
const MESSAGE: u8 = 1;

/// The canary's codec.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct NullBytes;

/// Reads either direction.
#[derive(Debug, Default)]
pub(super) struct NullDecoder<F>(std::marker::PhantomData<fn() -> F>);

/// A frame, whichever way it goes.
trait Of: Sized + 'static {
    fn of(ticket: Ticket, message: Option<&[u8]>) -> Self;
}

impl Of for Up {
    fn of(ticket: Ticket, message: Option<&[u8]>) -> Up {
        match message {
            Some(payload) => Up::Publish(Envelope::compose(b"", b"", b"", payload)),
            None => Up::Subscribe(ticket),
        }
    }
}

impl Of for Down {
    fn of(ticket: Ticket, message: Option<&[u8]>) -> Down {
        match message {
            Some(payload) => Down::Message(ticket, Envelope::compose(b"", b"", b"", payload)),
            None => Down::Subscribed(ticket),
        }
    }
}

impl<F: Of> Decoder for NullDecoder<F> {
    type Frame = F;

    fn decode(&mut self, input: &[u8]) -> Result<Step<F>, FrameError> {
        let Some((head, rest)) = input.split_first_chunk::<HEAD>() else {
            return Ok(Step::More { used: 0 });
        };
        let [kind, len @ ..] = *head;
        let len = u32::from_le_bytes(len) as usize;
        if kind > MESSAGE || len > LONGEST {
            return Err(FrameError("not a frame of the canary".to_owned()));
        }
        let Some(body) = rest.get(..len) else { return Ok(Step::More { used: 0 }) };
        let Some((ticket, payload)) = body.split_first_chunk::<8>() else {
            return Err(FrameError("a frame of the canary without a ticket".to_owned()));
        };
        let ticket = Ticket(u64::from_le_bytes(*ticket));
        let frame = F::of(ticket, (kind == MESSAGE).then_some(payload));
        Ok(Step::Frame { frame, used: HEAD + len })
    }
}

fn put(kind: u8, ticket: Ticket, message: Option<&Envelope>, out: &mut impl Sink) {
    let payload = message.map_or(&[][..], Envelope::payload);
    let mut head = [0; HEAD + 8];
    head[0] = kind;
    head[1..HEAD].copy_from_slice(&(8 + payload.len() as u32).to_le_bytes());
    head[HEAD..].copy_from_slice(&ticket.0.to_le_bytes());
    out.put(&head);
    out.put(payload);
}

impl Codec for NullBytes {
    type Broker = NullNode;
    type UpDecoder = NullDecoder<Up>;
    type DownDecoder = NullDecoder<Down>;

    fn up_decoder(&self) -> Self::UpDecoder {
        NullDecoder(std::marker::PhantomData)
    }

    fn down_decoder(&self) -> Self::DownDecoder {
        NullDecoder(std::marker::PhantomData)
    }

    fn encode_up(frame: &Up, out: &mut impl Sink) {
        match frame {
            Up::Subscribe(ticket) => put(TICKET, *ticket, None, out),
            Up::Publish(message) => put(MESSAGE, Ticket(0), Some(message), out),
        }
    }

    fn encode_down(frame: &Down, out: &mut impl Sink) {
        match frame {
            Down::Subscribed(ticket) => put(TICKET, *ticket, None, out),
            Down::Message(ticket, message) => put(MESSAGE, *ticket, Some(message), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use broker_contract::Frame;

    use super::*;

    #[test]
    fn what_is_written_reads_back_and_is_as_long_as_it_says() {
        let mut bytes = Vec::new();
        let message = Envelope::compose(b"c", b"", b"", b"payload");
        let up = [Up::Subscribe(Ticket(7)), Up::Publish(message.clone())];
        for frame in &up {
            let before = bytes.len();
            NullBytes::encode_up(frame, &mut bytes);
            assert_eq!(bytes.len() - before, frame.wire_len());
        }
        let mut decoder = NullBytes.up_decoder();
        for cut in 0..HEAD + 8 {
            assert!(matches!(decoder.decode(&bytes[..cut]), Ok(Step::More { used: 0 })));
        }
        let Ok(Step::Frame { frame: Up::Subscribe(Ticket(7)), used }) = decoder.decode(&bytes)
        else {
            panic!("a subscription was written");
        };
        let Ok(Step::Frame { frame: Up::Publish(read), used: more }) =
            decoder.decode(&bytes[used..])
        else {
            panic!("a message was written");
        };
        assert_eq!((read.payload(), used + more), (&b"payload"[..], bytes.len()));

        let mut bytes = Vec::new();
        let down = Down::Message(Ticket(9), message);
        NullBytes::encode_down(&down, &mut bytes);
        assert_eq!(bytes.len(), down.wire_len());
        let read = NullBytes.down_decoder().decode(&bytes);
        assert!(matches!(read, Ok(Step::Frame { frame: Down::Message(Ticket(9), _), .. })));
    }

    #[test]
    fn nonsense_is_an_error() {
        let mut decoder = NullBytes.up_decoder();
        assert!(decoder.decode(b"\x02\x08\0\0\0ticket").is_err(), "no such kind");
        assert!(decoder.decode(&[1, 255, 255, 255, 255, 0]).is_err(), "too long");
        assert!(decoder.decode(b"\x01\x02\0\0\0ab").is_err(), "too short for a ticket");
    }
}
