//! Declarations: topics that must exist.

use std::collections::BTreeMap;

use broker_contract::{Declaration, Failure, Outcome, Ticket};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::errors::{TOPIC_ALREADY_EXISTS, error_text, is_retriable};
use super::filter::Filter;
use super::metadata::Metadata;

/// How far a declaration is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Stage {
    ToSend,
    Sent,
    /// The topics exist; a list of all topics newer than this tells their shape.
    ToCheck(u64),
}

#[derive(Debug)]
struct Declared {
    topics: Vec<String>,
    partitions: Option<i32>,
    stage: Stage,
}

/// The declarations of a client that have not ended.
#[derive(Debug, Default)]
pub(super) struct Admin {
    open: BTreeMap<Ticket, Declared>,
}

/// The topics of a declaration: the literal prefixes of its filters, each once.
pub(super) fn topics_of(filters: &[&str]) -> Result<Vec<String>, Failure> {
    let mut topics: Vec<String> = Vec::new();
    for filter in filters {
        let parsed = Filter::parse(filter);
        let prefix = parsed.map(|filter| filter.literal_prefix()).filter(|name| !name.is_empty());
        let Some(prefix) = prefix else {
            let why = format!("`{filter}` has no literal prefix that could be a topic's name");
            return Err(Failure::Refused(why.into()));
        };
        if !topics.contains(&prefix) {
            topics.push(prefix);
        }
    }
    if topics.is_empty() {
        return Err(Failure::Refused("a declaration without filters names no topic".into()));
    }
    Ok(topics)
}

impl Admin {
    /// Begins a declaration.
    ///
    /// # Errors
    /// Why it makes no sense.
    pub fn declare(&mut self, ticket: Ticket, what: &Declaration<'_>) -> Result<(), Failure> {
        let topics = topics_of(what.filters)?;
        let partitions = match what.partitions.map(i32::try_from) {
            None => None,
            Some(Ok(partitions)) if partitions > 0 => Some(partitions),
            Some(_) => {
                let why = "a topic has between 1 and 2147483647 partitions";
                return Err(Failure::Refused(why.into()));
            }
        };
        self.open.insert(ticket, Declared { topics, partitions, stage: Stage::ToSend });
        Ok(())
    }

    /// A request that is to be sent, and the operation it belongs to.
    pub fn request(&mut self, timeout_ms: i32) -> Option<(Ticket, CreateTopicsRequest)> {
        let (ticket, declared) =
            self.open.iter_mut().find(|(_, declared)| declared.stage == Stage::ToSend)?;
        declared.stage = Stage::Sent;
        let topics = declared.topics.iter().map(|name| {
            CreatableTopic::default()
                .with_name(TopicName(StrBytes::from_string(name.clone())))
                // -1 leaves it to the broker's num.partitions and replication.
                .with_num_partitions(declared.partitions.unwrap_or(-1))
                .with_replication_factor(-1)
        });
        let request = CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(timeout_ms);
        Some((*ticket, request))
    }

    /// The answer; the operation's end where it failed.
    pub fn answered(
        &mut self,
        ticket: Ticket,
        response: &CreateTopicsResponse,
        metadata: &mut Metadata,
    ) -> Option<Outcome> {
        let declared = self.open.get_mut(&ticket)?;
        declared.stage = Stage::ToCheck(metadata.want());
        for topic in &response.topics {
            match topic.error_code {
                0 | TOPIC_ALREADY_EXISTS => {}
                code if is_retriable(code) => declared.stage = Stage::ToSend,
                code => {
                    let name = topic.name.0.as_str();
                    let mut why = format!("topic `{name}`: {}", error_text(code));
                    if let Some(message) = &topic.error_message {
                        why.push_str(&format!(": {}", message.as_str()));
                    }
                    self.open.remove(&ticket);
                    return Some(Outcome::Failed(Failure::Refused(why.into())));
                }
            }
        }
        None
    }

    /// The connection took the answer with it; topics that were made meanwhile
    /// are found to exist.
    pub fn lost(&mut self, ticket: Ticket) {
        if let Some(declared) = self.open.get_mut(&ticket) {
            declared.stage = Stage::ToSend;
        }
    }

    /// The declarations that the list of topics has settled.
    pub fn checked(&mut self, metadata: &mut Metadata) -> Vec<(Ticket, Outcome)> {
        let mut ended = Vec::new();
        for (ticket, declared) in &mut self.open {
            match declared.stage {
                Stage::ToCheck(before) if metadata.refreshes > before => {}
                _ => continue,
            }
            let mut outcome = Some(Outcome::Done);
            for name in &declared.topics {
                let count = metadata.named(name).map_or(0, |id| metadata.topic(id).epochs.len());
                match declared.partitions {
                    _ if count == 0 => outcome = None,
                    Some(wanted) if wanted as usize != count => {
                        let why = format!(
                            "topic `{name}` exists with {count} partitions, and not {wanted}"
                        );
                        outcome = Some(Outcome::Failed(Failure::Refused(why.into())));
                        break;
                    }
                    _ => {}
                }
            }
            match outcome {
                Some(outcome) => ended.push((*ticket, outcome)),
                None => {
                    // It is not in the list yet.
                    declared.stage = Stage::ToCheck(metadata.want());
                }
            }
        }
        for (ticket, _) in &ended {
            self.open.remove(ticket);
        }
        ended
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_the_literal_prefixes() {
        let names = |filters: &[&str]| topics_of(filters).ok();
        assert_eq!(names(&["orders.>"]), Some(vec!["orders".to_owned()]));
        assert_eq!(names(&["a", "a.>"]), Some(vec!["a".to_owned()]));
        assert_eq!(
            names(&["a.eu.*.x", "a.us.>"]),
            Some(vec!["a.eu".to_owned(), "a.us".to_owned()])
        );
        for wrong in [&[">"][..], &["*.a"], &["a..b"], &[]] {
            assert!(topics_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
