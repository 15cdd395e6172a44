//! The same script for Debian's redis-server and for `lab serve redis`: what each
//! connection hears must be the same, byte for byte.
//!
//! It needs a redis-server 7.0.15, so it runs only where it is asked for:
//! `.ci/differential-redis` names the binary in `LAB_REDIS_SERVER`. `LAB_SEED` is the
//! first seed (1), `LAB_SEEDS` how many are searched (1), `LAB_CASES` the scripts of
//! each (300), and `LAB_SECONDS` ends the search in any case (100). A script that
//! shows a difference is made smaller and printed with what either side said.
//!
//! What must differ (numbers of connections, ages, addresses, texts that are not ours
//! to copy) is made alike in `reply.rs`; what differs on purpose is in
//! `brokers/redis/DIFFERENCES.md`. Start with [`play`], then `script.rs` for what is
//! said.

mod peer;
mod reply;
mod script;

use std::time::{Duration, Instant};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::peer::Pair;
use self::reply::Heard;
use self::script::Script;

/// Plays a script on both sides.
///
/// # Errors
/// The first step after which they said different things, with what they said.
fn play(pair: &mut Pair, script: &Script) -> Result<(), String> {
    pair.reset();
    let [theirs, ours] = pair.sides();
    theirs.begin(script.connections());
    ours.begin(script.connections());
    let mut is_silent = false;
    for (number, step) in script.steps.iter().enumerate() {
        is_silent |= step.says(&["client", "reply"]);
        let (expected, got) = (theirs.step(step), ours.step(step));
        let alike = |heard: &[Vec<u8>], ids: &[u64]| -> Vec<Heard> {
            heard.iter().map(|bytes| reply::alike(step, ids, bytes)).collect()
        };
        let (mut expected, got) = (alike(&expected, theirs.ids()), alike(&got, ours.ids()));
        for (conn, heard) in got.iter().enumerate() {
            // The original does not close before it has sent a reply, and waits for
            // one that it does not send.
            if is_silent
                && heard.strip_suffix(reply::END).map(str::trim_end) == Some(&expected[conn])
            {
                theirs.end(conn);
                expected[conn].clone_from(heard);
            }
        }
        if let Some(conn) = (0..expected.len()).find(|at| expected[*at] != got[*at]) {
            return Err(format!(
                "step {} ({step}), connection {conn}:\n  redis-server: {}\n  the lab:      {}",
                number + 1,
                expected[conn],
                got[conn],
            ));
        }
    }
    Ok(())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "needs a redis-server: run .ci/differential-redis"]
fn the_bus_answers_as_the_original_does() {
    let server = std::env::var("LAB_REDIS_SERVER").expect("LAB_REDIS_SERVER names a redis-server");
    let (first, seeds) = (number("LAB_SEED", 1), number("LAB_SEEDS", 1));
    let ends = Instant::now() + Duration::from_secs(number("LAB_SECONDS", 100));
    let mut pair = Pair::start(&server);
    let (mut played, mut said, mut differences) = (0_u32, 0, Vec::new());
    for seed in first..first + seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: number("LAB_CASES", 300) as u32,
            max_shrink_iters: 400,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let counts = std::cell::RefCell::new((&mut pair, &mut played, &mut said));
        let result = runner.run(&script::any_script(), |script| {
            if Instant::now() > ends {
                return Ok(());
            }
            let (pair, played, said) = &mut *counts.borrow_mut();
            **played += 1;
            **said += script.steps.len();
            play(pair, &script).map_err(TestCaseError::fail)
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(why, script)) => {
                differences.push(format!("seed {seed}, the script\n{script}\n{why}"));
            }
            Err(TestError::Abort(why)) => panic!("the search gave up: {why}"),
        }
        if Instant::now() > ends {
            break;
        }
    }
    println!("{played} scripts with {said} steps were played on both sides");
    assert!(differences.is_empty(), "\n{}", differences.join("\n\n"));
    assert!(said > 500, "a search that says nothing finds nothing");
}
