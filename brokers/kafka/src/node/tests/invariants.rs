//! What a search asks a node about itself.

use super::groups::commit;
use super::*;
use crate::node::LogConfig;

fn check(stand: &mut Stand) -> Result<(), String> {
    let node = stand.node.as_ref().expect("runs");
    node.check_invariants(stand.out.disk())
}

fn used() -> Stand {
    let log = LogConfig { segment_bytes: 400, index_interval: 100, ..LogConfig::default() };
    let mut stand = Stand::new(KafkaConfig { log, ..KafkaConfig::default() });
    stand.create("t", 2, &[]);
    for _ in 0..12 {
        stand.produce("t", batch(&["a", "b"]));
    }
    assert_eq!(commit(&mut stand, "", -1, 3), 0);
    stand
}

#[test]
fn a_node_agrees_with_its_disk_before_and_after_a_crash() {
    let mut stand = used();
    assert_eq!(check(&mut stand), Ok(()));
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(check(&mut stand), Ok(()));
    stand.crash(CrashKind::PowerLoss, |unsynced| unsynced / 2);
    stand.boot().expect("boots");
    assert_eq!(check(&mut stand), Ok(()));
}

#[test]
fn what_does_not_agree_is_named() {
    let first = "t-0/00000000000000000000.log";
    let mut stand = used();
    let file = stand.disk().open(first).expect("opens");
    stand.disk().append(file, &[b"more"]).expect("appends");
    let error = check(&mut stand).expect_err("the file is longer");
    assert!(error.starts_with("t-0/00000000000000000000.log: the file has"), "{error}");

    let mut stand = used();
    let file = stand.disk().open(first).expect("opens");
    let mut bytes = crate::node::log::read_all(stand.disk(), file).expect("reads");
    *bytes.last_mut().expect("has bytes") ^= 1;
    stand.disk().truncate(file, 0).expect("cuts");
    stand.disk().append(file, &[&bytes]).expect("appends");
    let error = check(&mut stand).expect_err("a bit is flipped");
    assert!(error.contains("CRC-32C"), "{error}");

    let mut stand = used();
    let node = stand.node.as_mut().expect("runs");
    let (group, _) = node.groups.get_mut(&text("g")).expect("is there");
    group.offsets.clear();
    let error = check(&mut stand).expect_err("memory forgot a position");
    assert!(error.starts_with("position of (\"g\", \"t\", 0): None in memory"), "{error}");
}
