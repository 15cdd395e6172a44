//! The binary as a user meets it: help, errors, exit codes, pages, pipes.

mod comparing;
mod errors;
mod pages;
mod records;
mod tools;

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// What the binary said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// Refused in one line on standard error, with nothing on standard output.
    fn one_line(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.out, "");
        let line = self.err.trim_end_matches('\n');
        assert!(!line.is_empty() && !line.contains('\n'), "{}", self.err);
        line
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.stdin(Stdio::null()).env_remove("NO_COLOR").env("TERM", "xterm-256color");
    command
}

fn lab<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Said {
    said(command().args(args).output().expect("the binary runs"))
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code().expect("ended by itself"),
        out: String::from_utf8(output.stdout).expect("UTF-8"),
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// No line is wider than 80 columns, and none holds a control character.
fn assert_fits(page: &str) {
    for line in page.lines() {
        assert!(lab_reports::clean::width(line) <= 80, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}
