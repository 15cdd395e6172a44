//! How the leader of a group divides the partitions among its members.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::config::Assignor;

/// A partition by its topic's name and its index.
pub(crate) type Named = (Box<str>, i32);

/// What a member says of itself when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its identifier in the group.
    pub id: Box<str>,
    /// What orders members: a static member keeps its place across restarts.
    pub order: Box<str>,
    /// The topics that it reads.
    pub topics: Vec<Box<str>>,
    /// The partitions that it has, as it says.
    pub owned: Vec<Named>,
    /// The generation in which it was given them.
    pub generation: i32,
}

/// Who gets what; every member is in it.
pub(crate) type Assignment = BTreeMap<Box<str>, Vec<Named>>;

/// Divides the partitions of `topics` (a name and how many) among `members`.
pub(crate) fn assign(
    strategy: Assignor,
    members: &[Member],
    topics: &BTreeMap<Box<str>, i32>,
) -> Assignment {
    match strategy {
        Assignor::Range => range(members, topics),
        Assignor::CooperativeSticky => {
            let wanted = sticky(members, topics);
            hold_back(members, wanted)
        }
    }
}

fn empty(members: &[Member]) -> Assignment {
    members.iter().map(|member| (member.id.clone(), Vec::new())).collect()
}

/// Each topic by itself: its readers in their order take contiguous ranges, and
/// the first ones one partition more where it does not come out even.
fn range(members: &[Member], topics: &BTreeMap<Box<str>, i32>) -> Assignment {
    let mut assignment = empty(members);
    for (topic, partitions) in topics {
        let mut readers: Vec<_> =
            members.iter().filter(|member| member.topics.contains(topic)).collect();
        readers.sort_by_key(|member| (&member.order, &member.id));
        let count = readers.len() as i32;
        let mut next = 0;
        for (place, reader) in (0_i32..).zip(&readers) {
            let share = partitions / count + i32::from(place < partitions % count);
            let taken = assignment.entry(reader.id.clone()).or_default();
            taken.extend((next..next + share).map(|index| (topic.clone(), index)));
            next += share;
        }
    }
    assignment
}

/// What each member has, as far as nobody contradicts it: of two that claim a
/// partition, the one of the later generation has it, and of the same, neither.
fn claims<'a>(
    members: &'a [Member],
    topics: &BTreeMap<Box<str>, i32>,
) -> BTreeMap<&'a Named, &'a Member> {
    let mut best: BTreeMap<&Named, (i32, Option<&Member>)> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            let exists = topics.get(&partition.0).is_some_and(|count| partition.1 < *count);
            if !exists || !member.topics.contains(&partition.0) {
                continue;
            }
            let claim = best.entry(partition).or_insert((member.generation, Some(member)));
            if claim.1.is_some_and(|other| other.id == member.id) {
                continue;
            }
            if member.generation > claim.0 {
                *claim = (member.generation, Some(member));
            } else if member.generation == claim.0 {
                claim.1 = None;
            }
        }
    }
    best.into_iter().filter_map(|(partition, (_, member))| Some((partition, member?))).collect()
}

/// Everybody keeps what they have; the rest goes to whoever has least; then one
/// partition after the other moves from a member that has at least two more than
/// another that may read it.
fn sticky(members: &[Member], topics: &BTreeMap<Box<str>, i32>) -> Assignment {
    let mut assignment = empty(members);
    let claims = claims(members, topics);
    for (partition, member) in &claims {
        assignment.entry(member.id.clone()).or_default().push((*partition).clone());
    }
    let readers = |topic: &str| -> Vec<&str> {
        let reads = |member: &&Member| member.topics.iter().any(|known| **known == *topic);
        members.iter().filter(reads).map(|member| &*member.id).collect()
    };
    for (topic, count) in topics {
        for index in 0..*count {
            let partition = (topic.clone(), index);
            if claims.contains_key(&partition) {
                continue;
            }
            if let Some(id) = least_loaded(readers(topic), &assignment) {
                assignment.entry(id.into()).or_default().push(partition);
            }
        }
    }
    while let Some((from, place, to)) = next_move(&assignment, readers) {
        let moved = assignment.get_mut(&from).map(|partitions| partitions.remove(place));
        if let (Some(moved), Some(partitions)) = (moved, assignment.get_mut(&to)) {
            partitions.push(moved);
        }
    }
    for partitions in assignment.values_mut() {
        partitions.sort();
    }
    assignment
}

fn load(assignment: &Assignment, id: &str) -> usize {
    assignment.get(id).map_or(0, Vec::len)
}

/// The member with the fewest partitions; of several, the first by name.
fn least_loaded<'a>(members: Vec<&'a str>, assignment: &Assignment) -> Option<&'a str> {
    members.into_iter().min_by_key(|id| (load(assignment, id), *id))
}

/// A move that makes the division more even, from the fullest member on: from
/// whom, at which place, to whom.
fn next_move<'a>(
    assignment: &Assignment,
    readers: impl Fn(&str) -> Vec<&'a str>,
) -> Option<(Box<str>, usize, Box<str>)> {
    let mut fullest: Vec<_> = assignment.iter().collect();
    fullest.sort_by_key(|(id, partitions)| (std::cmp::Reverse(partitions.len()), *id));
    let least = fullest.last().map_or(0, |(_, partitions)| partitions.len());
    for (from, partitions) in fullest {
        if partitions.len() < least + 2 {
            return None;
        }
        for (place, (topic, _)) in partitions.iter().enumerate().rev() {
            let to = least_loaded(readers(topic), assignment);
            if let Some(to) = to.filter(|to| load(assignment, to) + 2 <= partitions.len()) {
                return Some((from.clone(), place, to.into()));
            }
        }
    }
    None
}

/// The cooperative part: nobody is given what another member still has. Whoever
/// loses something lets go of it and joins again, and then it is free.
fn hold_back(members: &[Member], mut wanted: Assignment) -> Assignment {
    let mut owners: BTreeMap<&Named, BTreeSet<&str>> = BTreeMap::new();
    for member in members {
        for partition in &member.owned {
            owners.entry(partition).or_default().insert(&member.id);
        }
    }
    for (id, partitions) in &mut wanted {
        partitions.retain(|partition| {
            owners.get(partition).is_none_or(|owners| owners.iter().all(|owner| *owner == &**id))
        });
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(id: &str, topics: &[&str]) -> Member {
        Member {
            id: id.into(),
            order: id.into(),
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            owned: Vec::new(),
            generation: -1,
        }
    }

    fn topics(list: &[(&str, i32)]) -> BTreeMap<Box<str>, i32> {
        list.iter().map(|(topic, count)| ((*topic).into(), *count)).collect()
    }

    fn everything(topics: &BTreeMap<Box<str>, i32>) -> BTreeSet<Named> {
        topics.iter().flat_map(|(t, count)| (0..*count).map(move |i| (t.clone(), i))).collect()
    }

    /// Everybody does what the protocol asks until nothing moves any more.
    fn settle(members: &mut [Member], topics: &BTreeMap<Box<str>, i32>) -> (Assignment, u32) {
        for round in 1..10 {
            let given = assign(Assignor::CooperativeSticky, members, topics);
            let mut moved = false;
            for member in members.iter_mut() {
                let mine = &given[&member.id];
                moved |= member.owned.iter().any(|partition| !mine.contains(partition));
                member.owned = mine.clone();
                member.generation += 1;
            }
            if !moved {
                return (given, round);
            }
        }
        panic!("it never comes to rest");
    }

    #[test]
    fn ranges_are_contiguous_and_the_first_take_the_rest() {
        let members = [member("b", &["t", "u"]), member("a", &["t", "u"]), member("c", &["t"])];
        let given = assign(Assignor::Range, &members, &topics(&[("t", 7), ("u", 3)]));
        let of = |id: &str| {
            given[id].iter().map(|(topic, index)| format!("{topic}{index}")).collect::<Vec<_>>()
        };
        assert_eq!(of("a"), ["t0", "t1", "t2", "u0", "u1"]);
        assert_eq!(of("b"), ["t3", "t4", "u2"]);
        assert_eq!(of("c"), ["t5", "t6"]);
    }

    #[test]
    fn a_newcomer_takes_from_the_fullest_and_only_after_they_let_go() {
        let topics = topics(&[("t", 6)]);
        let mut members = vec![member("a", &["t"]), member("b", &["t"])];
        settle(&mut members, &topics);
        members.push(member("c", &["t"]));
        let first = assign(Assignor::CooperativeSticky, &members, &topics);
        assert!(first["c"].is_empty(), "{first:?}");
        let (last, rounds) = settle(&mut members, &topics);
        assert_eq!(rounds, 2);
        assert!(last.values().all(|partitions| partitions.len() == 2), "{last:?}");
    }

    #[test]
    fn of_two_claims_the_later_generation_counts() {
        let topics = topics(&[("t", 1)]);
        let mut members = [member("a", &["t"]), member("b", &["t"])];
        for (place, generation) in [(0, 3), (1, 4)] {
            members[place].owned = vec![("t".into(), 0)];
            members[place].generation = generation;
        }
        let wanted = sticky(&members, &topics);
        assert_eq!(wanted["b"], [("t".into(), 0)]);
    }

    proptest! {
        #[test]
        fn every_partition_has_one_reader_and_the_division_is_even(
            count in 1..8usize, partitions in 0..40i32, strategy in prop_oneof![
                Just(Assignor::Range), Just(Assignor::CooperativeSticky)
            ],
        ) {
            let members: Vec<_> = (0..count).map(|n| member(&format!("m{n}"), &["t"])).collect();
            let topics = topics(&[("t", partitions)]);
            let given = assign(strategy, &members, &topics);
            let loads: Vec<_> = given.values().map(Vec::len).collect();
            let (least, most) = (loads.iter().min(), loads.iter().max());
            prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{:?}", loads);
            let all: Vec<_> = given.values().flatten().cloned().collect();
            prop_assert_eq!(all.len(), partitions as usize);
            prop_assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), everything(&topics));
        }

        #[test]
        fn changes_move_as_little_as_balance_allows(
            before in 1..7usize, gone in 0..6usize, come in 0..4usize, partitions in 1..30i32,
        ) {
            let topics = topics(&[("t", partitions)]);
            let mut members: Vec<_> =
                (0..before).map(|n| member(&format!("m{n}"), &["t"])).collect();
            settle(&mut members, &topics);
            let kept = before - gone.min(before - 1);
            members.truncate(kept);
            members.extend((0..come).map(|n| member(&format!("n{n}"), &["t"])));
            let had: BTreeMap<_, _> =
                members.iter().map(|member| (member.id.clone(), member.owned.clone())).collect();
            let (last, _) = settle(&mut members, &topics);
            let floor = partitions as usize / members.len();
            for (id, had) in had {
                let stays = last[&id].iter().filter(|partition| had.contains(partition)).count();
                prop_assert!(stays >= had.len().min(floor), "{}: {} of {}", id, stays, had.len());
            }
            let all: BTreeSet<_> = last.values().flatten().cloned().collect();
            prop_assert_eq!(all, everything(&topics));
        }

        #[test]
        fn nobody_is_given_what_another_still_has(
            claims in prop::collection::vec((0..4usize, 0..6i32), 0..10),
        ) {
            let topics = topics(&[("t", 6)]);
            let mut members: Vec<_> = (0..4).map(|n| member(&format!("m{n}"), &["t"])).collect();
            for (owner, index) in claims {
                members[owner].owned.push(("t".into(), index));
                members[owner].generation = 1;
            }
            let given = assign(Assignor::CooperativeSticky, &members, &topics);
            for (id, partitions) in given {
                for other in members.iter().filter(|member| member.id != id) {
                    prop_assert!(partitions.iter().all(|p| !other.owned.contains(p)));
                }
            }
        }
    }
}
