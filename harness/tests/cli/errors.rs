//! What is refused, with which exit code, and how.

use std::fs;

use crate::lab;

#[test]
fn what_cannot_be_served_is_refused_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it has one").port().to_string();
    let serve = |args: &[&str]| lab([&["serve"], args].concat());
    for (args, code, text) in [
        (&["kafka"][..], 2, "codec is not there"),
        (&["rabbit"], 2, "no broker `rabbit`"),
        (&["redis", "--host", "0.0.0.0"], 2, "--allow-unauthenticated"),
        (&["redis", "--port", &port], 1, "another process has it"),
        (&["redis", "--port", "0", "--unix", "/"], 1, "no socket is there"),
        (&["redis", "--port", "0", "--ready-file", "/nosuch/file"], 1, "cannot be written"),
        (&["redis", "--port", "0", "--metrics-port", &port], 1, "metrics: "),
    ] {
        let said = serve(args);
        let line = said.one_line(code);
        assert!(line.contains(text), "{args:?}: {line}");
    }
}

#[test]
fn a_mode_or_contender_that_is_not_there_is_refused_in_one_line() {
    let says = |args: &[&str]| lab([&["run", "iot-50k"], args].concat()).one_line(2).to_owned();
    assert!(says(&["--mode", "real"]).contains("`real` is not there yet"));
    assert!(says(&["--mode", "sim,dream"]).contains("no mode `dream`"));
    assert!(says(&["--contenders", "jetstream:sync=0"]).contains("sync interval"));
    assert!(says(&["--contenders", "kafka:acks=2"]).contains("`acks` takes one of all, 1, 0"));
    assert!(says(&["--contenders", "rabbit"]).contains("no contender `rabbit`"));
    assert!(says(&["--contenders", "redis:resp=9"]).contains("`resp` takes one of 2, 3"));
    assert!(says(&["--contenders", "redis:nosuch"]).contains("nosuch"));
    assert!(says(&["--contenders", "redis,redis"]).contains("given twice"));
    assert!(says(&["--contenders", "redis", "--require", "nats"]).contains("does not run"));
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for args in [
        &["run"][..],
        &["run", "iot-50k", "--seed", "-1"],
        &["run", "iot-50k", "--seed", "9007199254740993"],
        &["run", "iot-50k", "--duration", "5 parsecs"],
        &["run", "iot-50k", "--duration", "0s"],
        &["run", "iot-50k", "--repeats", "0"],
        &["run", "iot-50k", "--set", "novalue"],
        &["run", "iot-50k", "--force"],
        &["trace", "iot-50k"],
        &["nosuchverb"],
        &[],
    ] {
        let said = lab(args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        assert_eq!(said.out, "");
    }
}

#[test]
fn a_scenario_that_cannot_be_read_is_refused_and_nothing_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    fs::write(at("latin.toml"), b"title = \"caf\xe9\"").expect("written");
    fs::write(at("noise.toml"), vec![b'#'; 3 << 20]).expect("written");
    fs::create_dir(at("folder.toml")).expect("made");
    let before = fs::read_dir(folder.path()).expect("listed").count();
    for verb in ["run", "check"] {
        for (file, expected) in [
            (at("missing.toml"), "no such file"),
            (at("latin.toml/x.toml"), "no such file"),
            (at("folder.toml"), "is a folder"),
            (at("latin.toml"), "is not UTF-8 (byte 12)"),
            (at("noise.toml"), "longer than 1 MiB"),
            ("/dev/zero".to_owned(), "longer than 1 MiB"),
            ("nosuchname".to_owned(), "`lab list` shows the names"),
            ("a\u{1b}[2Jb\nc".to_owned(), "no scenario `a[2Jb c`"),
        ] {
            let out = at("results");
            let mut args = vec![verb, &file];
            if verb == "run" {
                args.extend(["--out", &out]);
            }
            let said = lab(&args);
            assert!(said.one_line(2).contains(expected), "{}", said.err);
        }
    }
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), before);
}

#[test]
fn a_new_scenario_never_overwrites() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("mine.toml");
    fs::write(&file, "precious").expect("written");
    let said = lab(["new".as_ref(), file.as_os_str()]);
    assert!(said.one_line(1).contains("exists already and is left alone"));
    assert_eq!(fs::read_to_string(&file).expect("read"), "precious");
    let nowhere = folder.path().join("no/such/folder/mine.toml");
    assert!(lab(["new".as_ref(), nowhere.as_os_str()]).one_line(1).contains("cannot be written"));
}
