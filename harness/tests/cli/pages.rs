//! Help, lists and tables.

use std::process::Stdio;

use crate::{assert_fits, command, lab, said};

const VERBS: [&str; 8] =
    ["run", "check", "list", "new", "matrix", "report", "trace", "completions"];

#[test]
fn every_verb_has_help_with_examples_in_eighty_columns() {
    for verb in VERBS {
        let said = lab([verb, "--help"]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert!(said.out.contains("Examples:\n  lab "), "{verb}");
        assert_fits(&said.out);
    }
    let said = lab(["--help"]);
    assert_eq!(said.code, 0);
    assert_fits(&said.out);
    for verb in VERBS {
        assert!(said.out.contains(verb), "{verb}");
    }
}

#[test]
fn the_help_of_the_lab_and_of_run() {
    insta::assert_snapshot!("help", lab(["--help"]).out);
    insta::assert_snapshot!("help_run", lab(["run", "--help"]).out);
}

#[test]
fn the_list() {
    let said = lab(["list"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_fits(&said.out);
    insta::assert_snapshot!(said.out);
    let list: serde_json::Value = serde_json::from_str(&lab(["list", "--json"]).out).expect("JSON");
    assert!(list["scenarios"].is_array() && list["contenders"].is_array());
}

#[test]
fn the_matrix() {
    let said = lab(["matrix"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_fits(&said.out);
    insta::assert_snapshot!(said.out);
    let matrix: serde_json::Value =
        serde_json::from_str(&lab(["matrix", "--json"]).out).expect("JSON");
    for contender in matrix["contenders"].as_array().expect("a list") {
        for (feature, claim) in contender["features"].as_object().expect("by name") {
            let native = claim["support"] == "native";
            assert_eq!(native, claim["reason"].is_null(), "{feature}: a reason unless native");
        }
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let said = lab(["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("matrix"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["matrix"],
        &["completions", "bash"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = command()
            .args(args)
            .stdout(Stdio::from(writer))
            .stderr(Stdio::piped())
            .output()
            .expect("the binary runs");
        let said = said(output);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
    }
}
