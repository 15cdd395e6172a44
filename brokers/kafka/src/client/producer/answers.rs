//! What becomes of batches that were sent.

use broker_contract::{Failure, Note, Outcome, Time};
use kafka_protocol::messages::{InitProducerIdResponse, ProduceResponse};

use super::{Cx, Identification, Producer, ProducerId, Sending};
use crate::client::errors::{
    DUPLICATE_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER,
    UNKNOWN_PRODUCER_ID, UNKNOWN_TOPIC_OR_PARTITION, error_text, is_retriable,
};

impl Producer {
    /// A produce request was answered.
    pub fn answered(&mut self, sent: Vec<Sending>, response: &ProduceResponse, cx: &mut Cx<'_>) {
        self.in_flight -= 1;
        for sending in sent {
            let partition = &self.partitions[sending.queue as usize];
            let name = &cx.metadata.topic(partition.topic).name;
            let answer = response
                .responses
                .iter()
                .filter(|topic| topic.name == *name)
                .flat_map(|topic| &topic.partition_responses)
                .find(|answer| answer.index == partition.index);
            match answer.map(|answer| (answer.error_code, answer.error_message.as_ref())) {
                Some((0 | DUPLICATE_SEQUENCE_NUMBER, _)) => {
                    self.partitions[sending.queue as usize].queue.ended();
                    let acked = Outcome::Acked(cx.config.proof);
                    self.end_batch(sending.batch, &acked, cx.out);
                }
                Some((code, message)) => {
                    let text = match message {
                        Some(message) => format!("{}: {}", error_text(code), message.as_str()),
                        None => error_text(code).into(),
                    };
                    self.refused(sending, code, text, cx);
                }
                None => self.again(sending, cx),
            }
        }
        self.drain(cx);
    }

    fn refused(&mut self, sending: Sending, code: i16, text: String, cx: &mut Cx<'_>) {
        let queue = &mut self.partitions[sending.queue as usize].queue;
        match code {
            // It follows one that is to be sent again; its turn comes after that.
            OUT_OF_ORDER_SEQUENCE_NUMBER if queue.has_earlier(&sending.batch) => {
                self.again(sending, cx);
            }
            // The log has lost what this producer had there (a power loss, a
            // topic made anew): the numbering starts again in a new epoch.
            OUT_OF_ORDER_SEQUENCE_NUMBER | UNKNOWN_PRODUCER_ID | INVALID_PRODUCER_EPOCH => {
                queue.renumber();
                self.again(sending, cx);
            }
            code if is_retriable(code) => {
                if code == UNKNOWN_TOPIC_OR_PARTITION {
                    cx.metadata.want();
                }
                self.again(sending, cx);
            }
            _ => {
                queue.ended();
                // Its number will never be used, and the broker waits for it.
                queue.renumber();
                let outcome = Outcome::Failed(Failure::Refused(text.into()));
                self.end_batch(sending.batch, &outcome, cx.out);
            }
        }
    }

    /// A batch is sent again after the backoff, unless it is too old for that.
    fn again(&mut self, sending: Sending, cx: &mut Cx<'_>) {
        let Sending { queue: id, batch } = sending;
        let partition = &mut self.partitions[id as usize];
        if batch.created + cx.config.delivery_timeout <= cx.now {
            partition.queue.ended();
            partition.queue.renumber();
            self.give_up(batch, "delivery_timeout", cx.out);
            return;
        }
        partition.queue.came_back(batch, cx.now + cx.config.retry_backoff);
        if !cx.config.is_idempotent() && partition.queue.is_under_way() {
            // Without numbers the broker takes what follows before it, as in the
            // original: that is what idempotence is for.
            cx.out.note(Note::Sometimes("overtaken by a retry's successor"));
        }
        if !std::mem::replace(&mut partition.is_active, true) {
            self.active.push_back(id);
        }
    }

    /// The connection took the answer with it.
    pub fn lost(&mut self, sent: Vec<Sending>, cx: &mut Cx<'_>) {
        self.in_flight -= 1;
        for sending in sent {
            self.again(sending, cx);
        }
    }

    /// The broker's answer to who this producer is.
    pub fn identified(&mut self, response: &InitProducerIdResponse, cx: &mut Cx<'_>) {
        if response.error_code == 0 {
            let (id, epoch) = (response.producer_id.0, response.producer_epoch);
            self.identification = Identification::Given(ProducerId { id, epoch });
            self.drain(cx);
        } else {
            self.identification = Identification::None;
            self.identify_at = Some(cx.now + cx.config.retry_backoff);
        }
    }

    /// The connection took that answer with it.
    pub fn unidentified(&mut self, now: Time) {
        self.identification = Identification::None;
        self.identify_at = Some(now);
    }
}
