//! `lab compare`: exit codes of the gate, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use lab_reports::record::{AckProves, Mode, Quantiles, Record, Trial};

use crate::{assert_fits, lab};

/// A record of three simulated seeds whose p99 is `p99_us`.
fn record(p99_us: f64) -> Record {
    let trial = |repeat| {
        let mut trial = Trial {
            contender: "nats".to_owned(),
            mode: Mode::Sim,
            repeat,
            valid: true,
            trace_hash: Some(format!("{p99_us}-{repeat}")),
            ..Trial::default()
        };
        trial.delivery.response =
            Quantiles { count: 50_000, p99_us: Some(p99_us), ..Quantiles::default() };
        trial
    };
    Record { trials: (0..3).map(trial).collect(), ..Record::default() }
}

fn saved(folder: &Path, name: &str, record: &Record) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir(&path).expect("made");
    fs::write(path.join("report.json"), record.write().expect("finite")).expect("written");
    path
}

fn compare(a: &Path, b: &Path, rest: &[&str]) -> crate::Said {
    let mut args = vec!["compare".as_ref(), a.as_os_str(), b.as_os_str()];
    args.extend(rest.iter().map(|arg| std::ffi::OsStr::new(*arg)));
    lab(args)
}

#[test]
fn a_gate_tells_worse_from_the_rest_by_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = saved(folder.path(), "before", &record(1_000.0));
    let slower = saved(folder.path(), "slower", &record(1_300.0));
    let said = compare(&before, &slower, &[]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "without --gate a finding is a result");
    assert_fits(&said.out);
    assert!(said.out.contains("+30 %") && said.out.contains("worse"), "{}", said.out);
    assert_eq!(compare(&before, &slower, &["--gate"]).code, 3);
    assert_eq!(compare(&slower, &before, &["--gate"]).code, 0, "better passes");
    assert_eq!(compare(&before, &before, &["--gate"]).code, 0);
    assert_eq!(compare(&before, &slower, &["--gate", "--threshold", "40%"]).code, 0);
    assert_eq!(compare(&before, &slower, &["--gate", "--metrics", "delivery"]).code, 3);

    let mut lossy = record(1_000.0);
    lossy.trials[1].ledger.deliveries.lost_unexplained = 1;
    let lossy = saved(folder.path(), "lossy", &lossy);
    assert_eq!(compare(&before, &lossy, &["--gate"]).code, 5);

    let mut unequal = record(1_000.0);
    for trial in &mut unequal.trials {
        trial.ack_proves = AckProves { copies: 1, ..AckProves::default() };
    }
    let unequal = saved(folder.path(), "unequal", &unequal);
    let said = compare(&before, &unequal, &["--gate"]);
    assert_eq!(said.code, 4);
    assert!(said.out.contains("the contracts differ"), "{}", said.out);
    assert_eq!(compare(&before, &unequal, &["--gate", "--allow", "acks"]).code, 0);
}

#[test]
fn every_form_is_made_and_what_is_no_record_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = saved(folder.path(), "before", &record(1_000.0));
    let begins = |format: &str, expected: &str| {
        let said = compare(&before, &before, &["--format", format]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert!(said.out.starts_with(expected), "{}", said.out);
    };
    begins("md", "### B against A");
    begins("html", "<!doctype html>");
    begins("junit", "<?xml version");
    begins("json", "{");
    let said = compare(&before, &before, &["--format", "pdf"]);
    assert!(said.one_line(2).contains("there is no format `pdf`"));

    let file = folder.path().join("cut.json");
    let whole = record(1.0).write().expect("finite");
    fs::write(&file, &whole[..whole.len() / 2]).expect("written");
    assert!(compare(&before, &file, &[]).one_line(2).contains("ends too early"));
    fs::write(&file, "{\"schema\": 2}").expect("written");
    assert!(compare(&file, &before, &[]).one_line(2).contains("schema 2"));
    fs::write(&file, Record::default().write().expect("finite")).expect("written");
    assert!(compare(&before, &file, &[]).one_line(2).contains("no trial and no capacity"));
}
