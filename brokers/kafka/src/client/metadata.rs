//! What the client knows of topics: their names, partitions and leader epochs.
//!
//! Topics keep their number for as long as the client lives, so that others can
//! name them by it; one that is deleted has no partitions any more.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::Time;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use rustc_hash::FxHashMap;

use super::errors::{error_text, is_retriable};

/// No topic has a longer name; what claims to be one is left out.
const NAME_MAX: usize = 249;

/// A topic by its number in [`Metadata`].
pub(super) type TopicId = u32;

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    /// Its name.
    pub name: TopicName,
    /// The leader epoch of each partition.
    pub epochs: Vec<i32>,
    is_internal: bool,
    tokens: usize,
}

/// What is known of topics, and what is being found out.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    topics: Vec<Topic>,
    by_name: FxHashMap<Box<str>, TopicId>,
    /// Tokens of the longest topic's name.
    longest: usize,
    last_located: Cell<Option<TopicId>>,
    /// Counts answers, so that others see when there is news.
    pub version: u64,
    /// The number of the newest question for all topics that was answered; 0
    /// before the first.
    pub refreshes: u64,
    /// The number of the newest question for all topics.
    asked: u64,
    fetched_at: Option<Time>,
    wanted: bool,
    in_flight: bool,
    retry_at: Option<Time>,
    /// Topics to be created by naming them.
    missing: BTreeMap<Box<str>, ()>,
    /// Topics that the broker will not have, and why.
    refused: BTreeMap<Box<str>, Box<str>>,
}

impl Metadata {
    /// Asks for the list of all topics, as soon as the connection allows. What
    /// `refreshes` must exceed for the list to be newer than now: one that is
    /// under way already may be older.
    pub fn want(&mut self) -> u64 {
        self.wanted = true;
        // One under way counts as asked, whether its answer comes or is lost.
        self.asked
    }

    /// Asks for one topic, which is created if the broker does that by itself.
    pub fn want_topic(&mut self, name: &str) {
        if !self.missing.contains_key(name) && !self.refused.contains_key(name) {
            self.missing.insert(name.into(), ());
        }
    }

    /// Why the broker will not have a topic, once that is known.
    pub fn refusal(&self, name: &str) -> Option<&str> {
        self.refused.get(name).map(|why| &**why)
    }

    /// The topic of a channel: the longest that is a dotted prefix of it.
    #[inline]
    pub fn locate(&self, channel: &str) -> Option<TopicId> {
        // Nothing is longer than a topic of as many tokens as any has, so a
        // producer that stays with one need not look it up.
        if let Some((id, topic)) = self.last_located.get().zip(self.last_topic())
            && topic.tokens == self.longest
            && !topic.epochs.is_empty()
            && let Some(rest) = channel.strip_prefix(topic.name.0.as_str())
            && (rest.is_empty() || rest.starts_with('.'))
        {
            return Some(id);
        }
        let found = self.look_up(channel);
        self.last_located.set(found);
        found
    }

    fn last_topic(&self) -> Option<&Topic> {
        self.topics.get(self.last_located.get()? as usize)
    }

    fn look_up(&self, channel: &str) -> Option<TopicId> {
        // No topic has more tokens than `longest`, so what lies behind as many
        // is never looked at.
        let mut tokens = 1;
        let mut end = channel.len();
        for (at, byte) in channel.bytes().enumerate() {
            if byte == b'.' {
                if tokens == self.longest {
                    end = at;
                    break;
                }
                tokens += 1;
            }
        }
        loop {
            if let Some(topic) = self.by_name.get(&channel[..end])
                && !self.topics[*topic as usize].epochs.is_empty()
            {
                return Some(*topic);
            }
            end = channel[..end].rfind('.')?;
        }
    }

    /// A topic by its number.
    #[inline]
    pub fn topic(&self, topic: TopicId) -> &Topic {
        &self.topics[topic as usize]
    }

    /// A topic by its name.
    pub fn named(&self, name: &str) -> Option<TopicId> {
        self.by_name.get(name).copied()
    }

    /// All topics that applications may read, in the order of their numbers.
    pub fn readable(&self) -> impl Iterator<Item = (TopicId, &Topic)> {
        let numbered = self.topics.iter().enumerate().map(|(id, topic)| (id as TopicId, topic));
        numbered.filter(|(_, topic)| !topic.is_internal && !topic.epochs.is_empty())
    }

    /// The request to send now, if any, and whether it asks for all topics.
    pub fn request(&mut self, now: Time, max_age: Duration) -> Option<(MetadataRequest, bool)> {
        if self.in_flight || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let is_old = self.fetched_at.is_some_and(|at| at + max_age <= now);
        let all = self.wanted || is_old;
        if !all && self.missing.is_empty() {
            return None;
        }
        self.in_flight = true;
        self.retry_at = None;
        let topics = (!all).then(|| {
            let names = self.missing.keys().map(|name| {
                let name = TopicName(StrBytes::from_string(name.to_string()));
                MetadataRequestTopic::default().with_name(Some(name))
            });
            names.collect()
        });
        if all {
            self.wanted = false;
            self.asked += 1;
        }
        let request =
            MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(!all);
        Some((request, all))
    }

    /// Takes the answer.
    pub fn answered(
        &mut self,
        now: Time,
        response: &MetadataResponse,
        all: bool,
        retry_backoff: Duration,
    ) {
        self.in_flight = false;
        self.version += 1;
        if all {
            self.refreshes = self.asked;
            self.fetched_at = Some(now);
            for topic in &mut self.topics {
                topic.epochs.clear();
            }
        }
        for topic in &response.topics {
            let Some(name) = topic.name.as_ref().filter(|name| name.len() <= NAME_MAX) else {
                continue;
            };
            if topic.error_code != 0 {
                self.failed(now, name, topic.error_code, retry_backoff);
                continue;
            }
            let mut epochs = vec![-1; topic.partitions.len()];
            for partition in &topic.partitions {
                let at = usize::try_from(partition.partition_index).unwrap_or(usize::MAX);
                if let Some(epoch) = epochs.get_mut(at) {
                    *epoch = partition.leader_epoch;
                }
            }
            self.missing.remove(name.0.as_str());
            self.refused.remove(name.0.as_str());
            match self.by_name.get(name.0.as_str()) {
                Some(known) => self.topics[*known as usize].epochs = epochs,
                None => {
                    let id = self.topics.len() as TopicId;
                    self.by_name.insert(name.0.as_str().into(), id);
                    let tokens = name.0.split('.').count();
                    self.longest = self.longest.max(tokens);
                    let is_internal = topic.is_internal;
                    self.topics.push(Topic { name: name.clone(), epochs, is_internal, tokens });
                }
            }
        }
    }

    fn failed(&mut self, now: Time, name: &TopicName, code: i16, retry_backoff: Duration) {
        // A topic that is being created has no leader for a moment.
        let again = is_retriable(code)
            || code == ResponseError::UnknownTopicOrPartition.code()
            || code == ResponseError::LeaderNotAvailable.code();
        if again {
            self.retry_at = Some(now + retry_backoff);
        } else if self.missing.remove(name.0.as_str()).is_some() {
            self.refused.insert(name.0.as_str().into(), error_text(code));
        }
    }

    /// The connection took the answer with it.
    pub fn lost(&mut self, all: bool) {
        self.in_flight = false;
        self.wanted |= all;
    }

    /// Whether something is to be asked, or being asked.
    pub fn is_busy(&self) -> bool {
        self.wanted || self.in_flight || !self.missing.is_empty()
    }

    /// When there is something to do next.
    pub fn deadline(&self, max_age: Duration) -> Option<Time> {
        if self.in_flight {
            return None;
        }
        self.retry_at.or_else(|| self.fetched_at.map(|at| at + max_age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::metadata_response::{
        MetadataResponsePartition, MetadataResponseTopic,
    };

    fn response(topics: &[(&str, i32)]) -> MetadataResponse {
        let topics = topics.iter().map(|(name, partitions)| {
            let partitions = (0..*partitions).map(|index| {
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_epoch(3)
            });
            MetadataResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_string((*name).to_owned()))))
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default().with_topics(topics.collect())
    }

    #[test]
    fn the_longest_topic_takes_a_channel() {
        let mut metadata = Metadata::default();
        let list = response(&[("a", 1), ("a.b", 2), ("a.b.c.d", 1)]);
        metadata.answered(Time::ZERO, &list, true, Duration::ZERO);
        let topic = |channel| {
            metadata.locate(channel).map(|topic| metadata.topic(topic).name.0.as_str().to_owned())
        };
        assert_eq!(topic("a"), Some("a".to_owned()));
        assert_eq!(topic("a.x"), Some("a".to_owned()));
        assert_eq!(topic("a.b"), Some("a.b".to_owned()));
        assert_eq!(topic("a.b.c"), Some("a.b".to_owned()));
        assert_eq!(topic("a.b.c.d.e.f"), Some("a.b.c.d".to_owned()));
        assert_eq!(topic("ab.c"), None);
    }

    #[test]
    fn a_topic_that_is_deleted_takes_nothing() {
        let mut metadata = Metadata::default();
        metadata.answered(Time::ZERO, &response(&[("a", 1), ("a.b", 1)]), true, Duration::ZERO);
        metadata.answered(Time::ZERO, &response(&[("a", 1)]), true, Duration::ZERO);
        assert_eq!(metadata.locate("a.b.c"), metadata.named("a"));
        assert_eq!(metadata.readable().count(), 1);
    }

    #[test]
    fn who_asked_while_a_question_was_under_way_that_is_lost_is_served_by_the_next() {
        let mut metadata = Metadata::default();
        let age = Duration::from_secs(300);
        metadata.want();
        assert!(metadata.request(Time::ZERO, age).is_some());
        let newer_than = metadata.want();
        metadata.lost(true);
        assert!(metadata.request(Time::ZERO, age).is_some());
        metadata.answered(Time::ZERO, &response(&[("a", 1)]), true, Duration::ZERO);
        assert!(metadata.refreshes > newer_than);
    }

    #[test]
    fn one_request_at_a_time_and_what_is_lost_is_asked_again() {
        let mut metadata = Metadata::default();
        let age = Duration::from_secs(300);
        assert!(metadata.request(Time::ZERO, age).is_none());
        metadata.want();
        assert!(metadata.request(Time::ZERO, age).is_some_and(|(_, all)| all));
        assert!(metadata.request(Time::ZERO, age).is_none());
        metadata.lost(true);
        assert!(metadata.request(Time::ZERO, age).is_some());
        metadata.answered(Time::ZERO, &response(&[]), true, Duration::ZERO);
        metadata.want_topic("new");
        let (request, all) = metadata.request(Time::ZERO, age).expect("one is missing");
        assert!(!all && request.allow_auto_topic_creation);
        let refused = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("new"))))
            .with_error_code(17);
        let refused = MetadataResponse::default().with_topics(vec![refused]);
        metadata.answered(Time::ZERO, &refused, false, Duration::ZERO);
        assert!(metadata.refusal("new").is_some());
        assert!(!metadata.is_busy());
        assert_eq!(metadata.deadline(age), Some(Time::ZERO + age));
    }
}
