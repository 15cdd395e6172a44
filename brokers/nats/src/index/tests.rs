//! The index against the one filter, one subject oracle.

use proptest::prelude::*;

use super::*;

/// A subscription in the model.
#[derive(Clone, Debug)]
struct Known {
    conn: u32,
    sid: u64,
    filter: String,
    queue: Option<String>,
}

/// What a subject reaches: (connection, sid, group), in order.
type Reached = Vec<(u32, u64, Option<String>)>;

fn reached(index: &mut Index, subject: &str) -> Reached {
    let mut found = Vec::new();
    index.matches(subject.as_bytes(), &mut found);
    let mut reached = Vec::new();
    for filter in found {
        for id in Filters(&index.filters).plain(filter) {
            let subscription = index.get(*id);
            reached.push((subscription.conn, subscription.sid, None));
        }
        for (group, members) in Filters(&index.filters).groups(filter) {
            let name = String::from_utf8_lossy(&index.groups[group].name).into_owned();
            for id in members {
                let subscription = index.get(*id);
                reached.push((subscription.conn, subscription.sid, Some(name.clone())));
            }
        }
    }
    reached.sort();
    reached
}

fn expected(model: &[Known], subject: &str) -> Reached {
    let takes = |known: &&Known| subject::matches(known.filter.as_bytes(), subject.as_bytes());
    let mut reached: Vec<_> = model
        .iter()
        .filter(takes)
        .map(|known| (known.conn, known.sid, known.queue.clone()))
        .collect();
    reached.sort();
    reached
}

fn token() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just("a"),
        4 => Just("b"),
        1 => Just("a-token-that-is-too-long-to-be-held-inline"),
        3 => Just("*"),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    (prop::collection::vec(token(), 1..5), any::<bool>()).prop_map(|(mut tokens, tail)| {
        if tail {
            tokens.push(">");
        }
        tokens.join(".")
    })
}

fn subject_text() -> impl Strategy<Value = String> {
    let token = prop_oneof![8 => token(), 1 => Just(""), 1 => Just(">")];
    prop::collection::vec(token, 1..6).prop_map(|tokens| tokens.join("."))
}

#[derive(Clone, Debug)]
enum Step {
    Insert { conn: u32, filter: String, queue: Option<&'static str> },
    Remove { which: prop::sample::Index },
    Close { conn: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let queue = prop::option::of(prop_oneof![Just("q1"), Just("q2")]);
    prop_oneof![
        6 => (0..4u32, filter(), queue)
            .prop_map(|(conn, filter, queue)| Step::Insert { conn, filter, queue }),
        3 => any::<prop::sample::Index>().prop_map(|which| Step::Remove { which }),
        1 => (0..4u32).prop_map(|conn| Step::Close { conn }),
    ]
}

proptest! {
    #[test]
    fn it_finds_what_the_oracle_finds(
        steps in prop::collection::vec(step(), 0..80),
        subjects in prop::collection::vec(subject_text(), 1..20),
    ) {
        let mut index = Index::default();
        let mut owned: Vec<Owned> = (0..4).map(|_| Owned::default()).collect();
        let mut model: Vec<Known> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert { conn, filter, queue } => {
                    let sid = number as u64;
                    let list = &mut owned[conn as usize];
                    let queue_bytes = queue.map(str::as_bytes);
                    index.insert(conn, list, sid, filter.as_bytes(), queue_bytes);
                    model.push(Known { conn, sid, filter, queue: queue.map(str::to_owned) });
                }
                Step::Remove { which } if !model.is_empty() => {
                    let known = model.swap_remove(which.index(model.len()));
                    let id = index.find(known.conn, known.sid);
                    prop_assert!(id.is_some());
                    let id = id.unwrap_or(NONE);
                    prop_assert_eq!(index.filter(id), known.filter.as_bytes());
                    index.remove(id, &mut owned[known.conn as usize]);
                    prop_assert_eq!(index.find(known.conn, known.sid), None);
                }
                Step::Remove { .. } => {}
                Step::Close { conn } => {
                    index.remove_all(&mut owned[conn as usize]);
                    model.retain(|known| known.conn != conn);
                }
            }
            for subject in &subjects {
                prop_assert_eq!(reached(&mut index, subject), expected(&model, subject));
            }
            prop_assert_eq!(index.len(), model.len());
            for (conn, list) in owned.iter().enumerate() {
                let count = model.iter().filter(|known| known.conn as usize == conn).count();
                prop_assert_eq!(list.len as usize, count);
            }
        }
        for list in &mut owned {
            index.remove_all(list);
        }
        prop_assert!(index.is_empty());
        prop_assert_eq!(index.trie.nodes(), 0);
        prop_assert_eq!(index.filters.len(), 0);
        prop_assert_eq!(index.groups.len(), 0);
    }
}

#[test]
fn removing_all_frees_all() {
    let mut index = Index::default();
    let mut owned = Owned::default();
    for number in 0..20_000 {
        let (filter, queue) = match number % 4 {
            0 => (format!("inbox.{number}"), None),
            1 => (format!("device.{number}.>"), None),
            2 => (format!("a.token.that.is.rather.long.*.{number}"), Some(&b"group"[..])),
            _ => ("broadcast.all".to_owned(), None),
        };
        index.insert(0, &mut owned, number, filter.as_bytes(), queue);
    }
    let full = index.memory_bytes();
    assert!(full > 1_000_000, "{full}");
    index.remove_all(&mut owned);
    let left = index.memory_bytes();
    assert!(left < 1_000, "{left} of {full} bytes are left");
}

/// A connection with one literal subscription, the usual inbox or command
/// subject, has to fit in 250 bytes with everything that the node holds of it.
#[test]
fn a_subscription_is_compact() {
    let mut index = Index::default();
    let count = 1 << 17;
    for conn in 0..count {
        let filter = format!("cmd.r{}.d{conn}", conn % 40);
        index.insert(conn, &mut Owned::default(), 1, filter.as_bytes(), None);
    }
    let each = index.memory_bytes() / u64::from(count);
    assert!(each <= 160, "{each} bytes");
}

/// The cache comes on at [`CACHE_FROM`] filters, and no result outlives a change.
#[test]
fn cached_results_are_those_of_the_oracle() {
    let mut index = Index::default();
    let mut owned = Owned::default();
    let mut model = Vec::new();
    let mut insert = |index: &mut Index, model: &mut Vec<Known>, filter: String, sid: u64| {
        index.insert(0, &mut owned, sid, filter.as_bytes(), None);
        model.push(Known { conn: 0, sid, filter, queue: None });
    };
    for sid in 0..600 {
        insert(&mut index, &mut model, format!("a.{sid}"), sid);
    }
    for (sid, filter) in ["a.*", "a.>", "*.7", ">", "*.*", "a.7"].into_iter().enumerate() {
        for _ in 0..3 {
            assert_eq!(reached(&mut index, "a.7"), expected(&model, "a.7"));
            assert_eq!(reached(&mut index, "a.none"), expected(&model, "a.none"));
        }
        insert(&mut index, &mut model, filter.to_owned(), 1_000 + sid as u64);
    }
    let mut owned = Owned::default();
    let id = index.insert(1, &mut owned, 1, b"a.new", None);
    assert_eq!(reached(&mut index, "a.new").len(), 5);
    index.remove(id, &mut owned);
    assert_eq!(reached(&mut index, "a.new").len(), 4);
}
