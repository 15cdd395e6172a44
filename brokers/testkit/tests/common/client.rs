//! The bus's client.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{
    AckPolicy, Actions, Client, ClientInput, ClientStart, Delivery, Envelope, Failure, Feature,
    LinkId, NodeId, Op, Outcome, Publish, Start, Support, Ticket, Time, Unsupported, Want,
};

use super::*;

const LINK: LinkId = LinkId(0);
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug)]
struct Sub {
    filter: String,
    group: Option<String>,
    left: Option<u64>,
    seen: u64,
    is_confirmed: bool,
}

#[derive(Debug)]
pub struct BusClient<const FLAW: u8> {
    id: u32,
    connected: bool,
    leaving: bool,
    retry_at: Option<Time>,
    waiting: Vec<Up>,
    subs: BTreeMap<u64, Sub>,
    requests: BTreeMap<u64, Time>,
}

impl<const FLAW: u8> BusClient<FLAW> {
    fn send(&mut self, frame: Up, out: &mut Actions<Self>) {
        if self.connected { out.send(LINK, frame) } else { self.waiting.push(frame) }
    }

    fn publish(
        &mut self,
        publish: &Publish<'_>,
        reply: Option<String>,
        ticket: Ticket,
        out: &mut Actions<Self>,
    ) -> Result<(), Unsupported> {
        let no = |feature| Unsupported { feature, reason: "nothing is stored" };
        match publish.want {
            Want::Stored => return Err(no(Feature::PublishAck)),
            Want::StoredOnce(_) => return Err(no(Feature::Deduplication)),
            _ => {}
        }
        if !publish.headers.is_empty() && FLAW == REFUSES_WHAT_IT_CLAIMS {
            return Err(no(Feature::Headers));
        }
        let headers: Vec<_> =
            publish.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let frame = Up::Publish {
            channel: publish.channel.to_owned(),
            reply,
            headers: headers.concat().into_bytes(),
            payload: publish.payload.to_vec(),
            ticket: ticket.0,
        };
        self.send(frame, out);
        Ok(())
    }

    fn message(&mut self, sid: u64, message: Envelope, out: &mut Actions<Self>) {
        if message.channel().starts_with(b"_reply.") {
            let sid = if FLAW == CROSSES_ANSWERS {
                self.requests.keys().next().copied().unwrap_or(sid)
            } else {
                sid
            };
            if self.requests.remove(&sid).is_some() {
                out.outcome(Ticket(sid), Outcome::Replied(message));
                self.send(Up::Unsubscribe { sid }, out);
            }
            return;
        }
        let Some(sub) = self.subs.get_mut(&sid) else { return };
        sub.seen += 1;
        let ends = sub.left.is_some_and(|left| sub.seen >= left);
        out.deliver(Delivery { subscription: Ticket(sid), token: 0, redelivered: false, message });
        if ends {
            self.subs.remove(&sid);
            self.send(Up::Unsubscribe { sid }, out);
        }
    }
}

impl<const FLAW: u8> Client for BusClient<FLAW> {
    type Broker = BusNode<FLAW>;
    type Config = ();

    fn new((): &(), start: ClientStart) -> Self {
        BusClient {
            id: start.id,
            connected: false,
            leaving: false,
            retry_at: None,
            waiting: Vec::new(),
            subs: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
    }

    fn connect(&mut self, _: Time, out: &mut Actions<Self>) {
        out.connect(LINK, NodeId(0));
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        let no = |feature| Err(Unsupported { feature, reason: "nothing is stored" });
        match op {
            Op::Publish(publish) => {
                self.publish(publish, None, ticket, out)?;
                if FLAW != NEVER_ENDS {
                    out.outcome(ticket, Outcome::Sent);
                }
                if FLAW == ENDS_TWICE {
                    out.outcome(ticket, Outcome::Sent);
                }
            }
            Op::Request { publish, timeout } => {
                let reply = format!("_reply.{}.{}", self.id, ticket.0);
                let inbox = Up::Subscribe { sid: ticket.0, filter: reply.clone(), group: None };
                self.send(inbox, out);
                self.publish(publish, Some(reply), ticket, out)?;
                self.requests.insert(ticket.0, now + *timeout);
            }
            Op::Reply { to, payload } => {
                let channel = String::from_utf8_lossy(to).into_owned();
                let frame = Up::Publish {
                    channel,
                    reply: None,
                    headers: Vec::new(),
                    payload: payload.to_vec(),
                    ticket: ticket.0,
                };
                self.send(frame, out);
                out.outcome(ticket, Outcome::Sent);
            }
            Op::Subscribe { filter, group, start, flow } => {
                if flow.durable {
                    return no(Feature::DurableConsumer);
                }
                if flow.ack != AckPolicy::None {
                    return no(Feature::Redelivery);
                }
                if *start != Start::New && FLAW != ACCEPTS_WHAT_IT_LACKS {
                    let other = FLAW == REFUSES_FOR_ANOTHER_REASON;
                    return no(if other { Feature::Groups } else { Feature::Replay });
                }
                let group = group.map(|group| group.name.to_owned());
                let sub = Sub {
                    filter: (*filter).to_owned(),
                    group: group.clone(),
                    left: None,
                    seen: 0,
                    is_confirmed: false,
                };
                self.subs.insert(ticket.0, sub);
                let filter = (*filter).to_owned();
                self.send(Up::Subscribe { sid: ticket.0, filter, group }, out);
            }
            Op::Unsubscribe { subscription, after } => {
                let sid = subscription.0;
                let ends = self.subs.get_mut(&sid).is_none_or(|sub| {
                    sub.left = *after;
                    after.is_none_or(|after| sub.seen >= after)
                });
                if ends {
                    self.subs.remove(&sid);
                    self.send(Up::Unsubscribe { sid }, out);
                }
                out.outcome(ticket, Outcome::Done);
                return Ok(if after.is_some() { counting(FLAW) } else { Support::Native });
            }
            Op::Declare(_) if FLAW == ACCEPTS_WHAT_IT_LACKS => {
                out.outcome(ticket, Outcome::Done);
            }
            Op::Declare(_) => return no(Feature::PublishAck),
            Op::Fetch { .. } => return no(Feature::Pull),
            Op::Settle { .. } => return no(Feature::Redelivery),
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, now: Time, event: ClientInput<BusNode<FLAW>>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Connected { .. } => {
                self.connected = true;
                for (sid, sub) in self.subs.iter().filter(|(_, sub)| sub.is_confirmed) {
                    let (filter, group) = (sub.filter.clone(), sub.group.clone());
                    out.send(LINK, Up::Subscribe { sid: *sid, filter, group });
                }
                for frame in std::mem::take(&mut self.waiting) {
                    out.send(LINK, frame);
                }
            }
            ClientInput::Frame { frame, .. } => match frame {
                Down::Done { ticket } => {
                    if let Some(sub) = self.subs.get_mut(&ticket)
                        && !sub.is_confirmed
                    {
                        sub.is_confirmed = true;
                        out.outcome(Ticket(ticket), Outcome::Done);
                    }
                }
                Down::Nobody { ticket } => {
                    if self.requests.remove(&ticket).is_some() {
                        out.outcome(Ticket(ticket), Outcome::Failed(Failure::NoResponders));
                    }
                }
                Down::Message { sid, message } => self.message(sid, message, out),
                Down::Bye => {
                    self.connected = false;
                    out.close(LINK);
                }
            },
            ClientInput::Closed { .. } => {
                self.connected = false;
                if !self.leaving && FLAW != STAYS_AWAY {
                    self.retry_at = Some(now + RETRY);
                }
            }
            ClientInput::Tick => {
                if self.retry_at.is_some_and(|at| at <= now) {
                    self.retry_at = None;
                    out.connect(LINK, NodeId(0));
                }
                let late: Vec<_> =
                    self.requests.iter().filter(|(_, at)| **at <= now).map(|(t, _)| *t).collect();
                for ticket in late {
                    self.requests.remove(&ticket);
                    out.outcome(Ticket(ticket), Outcome::Failed(Failure::Timeout));
                }
            }
            ClientInput::Shutdown if FLAW == DRAINS_NOTHING => {
                self.leaving = true;
                self.connected = false;
                out.close(LINK);
            }
            ClientInput::Shutdown => {
                self.leaving = true;
                self.send(Up::Bye, out);
            }
            ClientInput::Malformed { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.requests.values().copied().chain(self.retry_at).min()
    }
}
