//! `lab report`: records from a run, and from strangers.

use std::fs;
use std::path::Path;

use lab_reports::record::{Mode, Record, Trial};

use crate::{assert_fits, lab};

fn record() -> String {
    let trial =
        Trial { contender: "nats".to_owned(), mode: Mode::Sim, valid: true, ..Trial::default() };
    let record = Record { trials: vec![trial], ..Record::default() };
    record.write().expect("finite")
}

fn report(file: &Path, format: &str) -> crate::Said {
    lab(["report".as_ref(), file.as_os_str(), "--format".as_ref(), format.as_ref()])
}

#[test]
fn a_record_is_found_in_its_folder_and_rendered() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    fs::write(&file, record()).expect("written");
    let text = report(folder.path(), "text");
    assert_eq!((text.code, text.err.as_str()), (0, ""));
    assert_fits(&text.out);
    assert_eq!(report(&file, "text").out, text.out);
    assert_eq!(report(&file, "json").out, record());
    assert!(report(&file, "csv").out.starts_with("contender,mode,repeat,valid,"));
    assert!(report(&file, "series-csv").out.starts_with("contender,mode,repeat,t_s,"));
    assert!(report(&file, "html").out.starts_with("<!doctype html>"));
    assert!(report(&file, "md").out.starts_with("# "));
    for format in ["svg", "png", "svg,csv"] {
        assert!(report(&file, format).one_line(2).contains("give a folder with --out"));
    }
    assert!(report(&file, "pdf").one_line(2).contains("there is no format `pdf`"));
}

#[test]
fn what_is_no_record_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("report.json");
    assert!(report(folder.path(), "text").one_line(2).contains("no report.json in this folder"));
    assert!(report(&file, "text").one_line(2).contains("there is no file"));
    let whole = record();
    for (text, expected) in [
        (&b""[..], "is empty"),
        (&whole.as_bytes()[..whole.len() / 2], "ends too early"),
        (b"title = 1", "not JSON"),
        (b"{}", "no record"),
        (b"{\"schema\": 9}", "schema 9"),
        (b"{\"schema\": 1, \"trials\": 3}", "line 1, column 25: "),
        (b"\xff\xfe", "not UTF-8"),
    ] {
        fs::write(&file, text).expect("written");
        let said = report(&file, "text");
        assert!(said.one_line(2).contains(expected), "{}", said.err);
    }
}
