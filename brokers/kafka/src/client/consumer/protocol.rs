//! What the members of a group tell each other, as bytes that the broker passes on
//! unread.
//!
//! They are read here and not by the protocol's crate, which takes room for as many
//! entries as a number in front of them says: whoever joins a group could end all
//! its members with six bytes.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment as assigned;
use kafka_protocol::messages::consumer_protocol_subscription as subscribed;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};

use super::assignor::Named;

/// The version of what members tell each other; it names what they own.
const SUBSCRIPTION_VERSION: i16 = 2;
const ASSIGNMENT_VERSION: i16 = 1;

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    /// The topics that it wants to read.
    pub topics: Vec<Box<str>>,
    /// The partitions that it still has.
    pub owned: Vec<Named>,
    /// The generation in which it was given them; -1 where it does not say.
    pub generation: i32,
}

/// The bytes of a subscription.
pub(super) fn subscription(topics: &[TopicName], owned: &[Named], generation: i32) -> Bytes {
    let owned = by_topic(owned).into_iter().map(|(topic, partitions)| {
        subscribed::TopicPartition::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions)
    });
    let subscription = ConsumerProtocolSubscription::default()
        .with_topics(topics.iter().map(|topic| topic.0.clone()).collect())
        .with_owned_partitions(owned.collect())
        .with_generation_id(generation);
    versioned(SUBSCRIPTION_VERSION, &subscription)
}

/// The bytes of an assignment.
pub(super) fn assignment(partitions: &[Named]) -> Bytes {
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        assigned::TopicPartition::default()
            .with_topic(topic_name(topic))
            .with_partitions(partitions)
    });
    let assignment =
        ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect());
    versioned(ASSIGNMENT_VERSION, &assignment)
}

fn versioned(version: i16, message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version);
    message.encode(&mut bytes, version).expect(
        "the fields set here exist in the constant versions given, and names are short enough: \
         metadata takes no long ones, and nothing longer than fits is read here",
    );
    bytes.freeze()
}

/// Partitions by topic, as the protocol lists them.
fn by_topic(owned: &[Named]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in owned {
        topics.entry(topic).or_default().push(*index);
    }
    topics
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// Reads a subscription of any version; `None` for bytes that are none.
pub(super) fn read_subscription(mut bytes: &[u8]) -> Option<Subscription> {
    let version = short(&mut bytes)?;
    let mut said = Subscription { generation: -1, ..Subscription::default() };
    for _ in 0..int(&mut bytes)? {
        said.topics.push(text(&mut bytes)?);
    }
    skip_user_data(&mut bytes)?;
    if version >= 1 {
        said.owned = partitions(&mut bytes)?;
    }
    if version >= 2 {
        said.generation = int(&mut bytes)?;
    }
    Some(said)
}

/// Reads an assignment of any version; `None` for bytes that are none.
pub(super) fn read_assignment(mut bytes: &[u8]) -> Option<Vec<Named>> {
    short(&mut bytes)?;
    partitions(&mut bytes)
}

fn partitions(bytes: &mut &[u8]) -> Option<Vec<Named>> {
    let mut all = Vec::new();
    for _ in 0..int(bytes)? {
        let topic = text(bytes)?;
        for _ in 0..int(bytes)? {
            all.push((topic.clone(), int(bytes)?));
        }
    }
    Some(all)
}

fn skip_user_data(bytes: &mut &[u8]) -> Option<()> {
    let len = usize::try_from(int(bytes)?).unwrap_or(0);
    *bytes = bytes.get(len..)?;
    Some(())
}

fn text(bytes: &mut &[u8]) -> Option<Box<str>> {
    let len = usize::try_from(short(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(Into::into)
}

fn short(bytes: &mut &[u8]) -> Option<i16> {
    take(bytes).map(i16::from_be_bytes)
}

fn int(bytes: &mut &[u8]) -> Option<i32> {
    take(bytes).map(i32::from_be_bytes)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owned() -> Vec<Named> {
        vec![("a".into(), 0), ("a".into(), 2), ("b.c".into(), 1)]
    }

    #[test]
    fn what_a_member_says_is_read_back() {
        let topics = [topic_name("a"), topic_name("b.c")];
        let bytes = subscription(&topics, &owned(), 7);
        let topics = vec!["a".into(), "b.c".into()];
        let said = Subscription { topics, owned: owned(), generation: 7 };
        assert_eq!(read_subscription(&bytes), Some(said));
        assert_eq!(read_assignment(&assignment(&owned())), Some(owned()));
        for len in 0..bytes.len() {
            assert_eq!(read_subscription(&bytes[..len]), None, "cut at {len}");
        }
    }

    #[test]
    fn other_versions_are_read() {
        // Version 0: topics and user data; what follows is not looked at.
        let zero = b"\0\0\0\0\0\x01\0\x01a\xff\xff\xff\xff";
        let said = read_subscription(zero).expect("reads");
        assert_eq!((said.topics, said.owned, said.generation), (vec!["a".into()], vec![], -1));
        // Version 3 has the member's rack behind the generation.
        let mut three = subscription(&[], &owned(), 7).to_vec();
        three[1] = 3;
        three.extend_from_slice(b"\0\x01r");
        assert_eq!(read_subscription(&three).map(|said| said.owned), Some(owned()));
    }

    #[test]
    fn a_count_takes_no_room_before_its_entries_are_there() {
        for bytes in [&b"\0\x01\x7f\xff\xff\xff"[..], b"\0\x01\0\0\0\x01\0\x01a\x7f\xff\xff\xff"] {
            assert_eq!(read_subscription(bytes), None);
            assert_eq!(read_assignment(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = (read_subscription(&bytes), read_assignment(&bytes));
        }
    }
}
