//! Crashes and damage, through the node.

use proptest::prelude::*;

use super::*;
use crate::node::LogConfig;

#[test]
fn a_killed_process_loses_nothing_and_a_power_loss_what_was_not_synced() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    for _ in 0..10 {
        stand.produce("t", batch(&["a"]));
    }
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0).len(), 10);
    // Acknowledged from the page cache: that is the original's default.
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0), []);
    // The topic itself was synced when it was created.
    assert_eq!(stand.produce("t", batch(&["b"])).base_offset, 0);
}

#[test]
fn an_epoch_of_which_a_power_loss_left_nothing_ended_where_the_next_one_begins() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a", "b"]));
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    // Who has read up to 2 in epoch 0 must come back to 0, before and after
    // something else takes the place of what is gone.
    assert_eq!(stand.end_of_epoch("t", 0), (0, 0));
    for _ in 0..3 {
        stand.produce("t", batch(&["c"]));
    }
    assert_eq!(stand.end_of_epoch("t", 0), (0, 0));
    assert_eq!(stand.end_of_epoch("t", 1), (1, 3));
}

#[test]
fn a_node_boots_on_a_full_disk_and_gives_no_epoch_twice() {
    let disk = MemoryDisk::with_capacity(4_000);
    let mut stand = Stand::on(disk, KafkaConfig::default()).expect("boots");
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.fill_disk();
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0).len(), 1);
    assert_eq!(stand.produce("t", batch(&["b"])).error_code, 56, "a storage error");
    // This boot could not be noted, so its epoch is nobody's position yet.
    assert_eq!(stand.list_epoch("t"), 0);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.make_room();
    stand.boot().expect("boots");
    assert_eq!(stand.list_epoch("t"), 1);
    assert_eq!(stand.produce("t", batch(&["c"])).base_offset, 1);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.fill_disk();
    stand.boot().expect("boots");
    stand.make_room();
    assert_eq!(stand.produce("t", batch(&["d"])).base_offset, 2);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.list_epoch("t"), 3, "the boot was noted with the first append");
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    for _ in 0..3 {
        stand.produce("t", batch(&["a"]));
    }
    let len = batch(&["a"]).len();
    stand.crash(CrashKind::PowerLoss, |unsynced| unsynced.saturating_sub(5));
    stand.boot().expect("boots");
    assert!(stand.saw("torn tail cut"));
    let cuts = stand.node().cuts().to_vec();
    assert_eq!(cuts.len(), 1);
    assert_eq!(cuts[0].file, "t-0/00000000000000000000.log");
    assert_eq!((cuts[0].offset, cuts[0].bytes), (2 * len as u64, len as u64 - 5));
    assert_eq!(stand.read("t", 0).len(), 2);
}

#[test]
fn damage_is_cut_where_nothing_was_synced_and_ends_the_boot_where_it_was() {
    let damage = |stand: &mut Stand| {
        let file = stand.disk().open("t-0/00000000000000000000.log").expect("opens");
        let mut bytes = crate::node::log::read_all(stand.disk(), file).expect("reads");
        bytes[16] = 9;
        stand.disk().truncate(file, 0).expect("cuts");
        stand.disk().append(file, &[&bytes]).expect("appends");
    };
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    stand.crash(CrashKind::ProcessKill, |_| 0);
    damage(&mut stand);
    stand.boot().expect("boots");
    assert!(stand.saw("corrupt batch cut"));
    assert_eq!(stand.node().cuts()[0].reason, "the batch's magic is 9, and only 2 is known");

    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    stand.input(Input::Drain);
    stand.crash(CrashKind::ProcessKill, |_| 0);
    damage(&mut stand);
    let error = stand.boot().expect_err("is damaged").to_string();
    assert_eq!(
        error,
        "t-0/00000000000000000000.log at byte 0: the batch's magic is 9, and only 2 is known"
    );
}

#[test]
fn an_orderly_end_syncs_everything_and_lets_everybody_go() {
    let mut stand = Stand::plain();
    stand.create("t", 1, &[]);
    stand.produce("t", batch(&["a"]));
    let waits = stand.open();
    let fetch = fetch_request("t", 0, 1).with_max_wait_ms(60_000);
    stand.send(waits, 12, fetch);
    stand.input(Input::Drain);
    assert!(stand.answer(waits).is_some(), "the parked fetch is answered");
    stand.advance(Duration::from_millis(1));
    assert!(stand.closed.contains(&(waits, CloseReason::Shutdown)));
    assert!(stand.saw("clean shutdown"));
    let late = stand.open();
    assert_eq!(stand.closed.last(), Some(&(late, CloseReason::Shutdown)));
    stand.crash(CrashKind::PowerLoss, |_| 0);
    stand.boot().expect("boots");
    assert_eq!(stand.read("t", 0).len(), 1);
    assert!(stand.node().cuts().is_empty());
}

#[test]
fn a_foreign_store_is_refused() {
    let mut disk = MemoryDisk::new();
    let file = disk.open("stream/1.blk").expect("opens");
    disk.append(file, &[b"something else"]).expect("appends");
    let error = Stand::on(disk, KafkaConfig::default()).err().expect("is refused").to_string();
    assert!(error.starts_with("meta at byte 0: this is no store of the log"), "{error}");
}

#[test]
fn contradicting_settings_are_refused() {
    let config = KafkaConfig { num_partitions: 0, ..KafkaConfig::default() };
    let error = Stand::on(MemoryDisk::new(), config).err().expect("is refused").to_string();
    assert!(error.contains("num.partitions"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With `flush.messages=1` a power loss at any moment loses nothing that was
    /// acknowledged, and nobody has seen what it loses.
    #[test]
    fn what_is_acknowledged_as_synced_survives_a_power_loss(
        steps in proptest::collection::vec((0..3usize, 0..6u8), 1..60),
        torn in 0usize..300,
    ) {
        let log = LogConfig { flush_messages: Some(1), segment_bytes: 500, ..LogConfig::default() };
        let mut stand = Stand::new(KafkaConfig { log, ..KafkaConfig::default() });
        stand.create("t", 1, &[]);
        stand.syncs_at_once = false;
        let conns: Vec<_> = (0..3).map(|_| stand.open()).collect();
        let (mut acked, mut seen, mut sent) = (Vec::new(), 0_i64, 0);
        for (by, then) in steps {
            let value = format!("v{sent}");
            sent += 1;
            stand.send(conns[by], 9, produce_request("t", 0, batch(&[&value]), -1));
            if then < 3 && let Some((file, token, len)) = stand.syncs.pop_front() {
                stand.disk().complete_sync_to(file, len);
                stand.input(Input::Synced { token, result: Ok(()) });
            }
            for conn in &conns {
                while let Some(frame) = stand.answer(*conn) {
                    let Response::Produce(response) = frame.response else { continue };
                    let answer = &response.responses[0].partition_responses[0];
                    prop_assert_eq!(answer.error_code, 0);
                    acked.push(answer.base_offset);
                }
            }
            seen = seen.max(stand.fetch("t", 0).high_watermark);
        }
        stand.crash(CrashKind::PowerLoss, |unsynced| torn.min(unsynced));
        stand.boot().expect("boots");
        stand.syncs_at_once = true;
        let kept: Vec<i64> = stand.read("t", 0).into_iter().map(|(offset, _)| offset).collect();
        for offset in acked {
            prop_assert!(kept.contains(&offset), "{offset} was acknowledged and is gone");
        }
        prop_assert!(kept.len() as i64 >= seen, "what was seen is gone");
    }
}
