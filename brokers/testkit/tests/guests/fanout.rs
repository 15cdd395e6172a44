//! A bus that does nothing but fan out, as Redis does it: one buffer, and a
//! reference to it for every subscriber.

use broker_contract::{
    Boot, BootError, Broker, ConnId, Effects, Envelope, Frame, Input, NoPeer, Time,
};

#[derive(Clone, Debug)]
pub enum Up {
    Subscribe,
    Publish(Envelope),
}

impl Up {
    pub fn publish(channel: &[u8], payload: &[u8]) -> Up {
        Up::Publish(Envelope::compose(channel, b"", b"", payload))
    }
}

#[derive(Clone, Debug)]
pub enum Down {
    Message(Envelope),
}

/// `*3 $7 message $n channel $m payload`, with the digits of n and m.
fn resp_len(message: &Envelope) -> usize {
    let bulk = |len: usize| 5 + len.checked_ilog10().unwrap_or(0) as usize + 1 + len;
    4 + bulk(7) + bulk(message.channel().len()) + bulk(message.payload().len())
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        match self {
            Up::Subscribe => 20,
            Up::Publish(message) => resp_len(message),
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Up::Publish(message) = self {
            visit(message.payload());
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        let Down::Message(message) = self;
        resp_len(message)
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        let Down::Message(message) = self;
        visit(message.payload());
    }
}

#[derive(Debug, Default)]
pub struct Bus {
    subscribers: Vec<ConnId>,
}

impl Broker for Bus {
    type Config = ();
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot((): &(), _: Boot, _: Time, _: &mut Effects<Self>) -> Result<Self, BootError> {
        Ok(Bus::default())
    }

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame: Up::Subscribe } => self.subscribers.push(conn),
            Input::Frame { frame: Up::Publish(message), .. } => {
                for conn in &self.subscribers {
                    out.send(*conn, Down::Message(message.clone()));
                }
            }
            Input::Closed { conn } => self.subscribers.retain(|other| *other != conn),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn memory_bytes(&self) -> u64 {
        (self.subscribers.capacity() * size_of::<ConnId>()) as u64
    }
}
