//! How a server ends, and what it says of its life.

use std::io::Read;

use crate::{Served, command, expect, say};

#[test]
fn a_signal_lets_clients_go_and_the_server_says_when_it_came_and_went() {
    let mut served = Served::start(&["all", "--drain", "5s", "--metrics-port", "0"]);
    let (mut bus, mut nats) = (served.connect("redis"), served.connect("nats"));
    say(&mut bus, "SUBSCRIBE news\r\n");
    expect(&mut bus, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let mut info = [0; 6];
    nats.read_exact(&mut info).expect("INFO comes");
    let mut metrics = served.connect("metrics");
    say(&mut metrics, "GET /healthz HTTP/1.1\r\n\r\n");
    let mut page = String::new();
    metrics.read_to_string(&mut page).expect("answered and closed");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    served.terminate();
    let mut rest = Vec::new();
    bus.read_to_end(&mut rest).expect("a proper end");
    nats.read_to_end(&mut rest).expect("a proper end");
    drop((bus, nats));
    let file = served.folder().join("ready");
    let (status, said) = served.output();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!file.exists(), "nobody is told to come any more");
    for line in ["redis: listening on 127.0.0.1:", "nats: listening on 127.0.0.1:"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.contains("redis: stopped; 1 connections, 1 frames in, 1 out"), "{said}");
    assert!(said.contains("nats: stopped; 1 connections, 0 frames in,"), "{said}");
}

#[test]
fn the_second_signal_does_not_wait() {
    let mut served = Served::start(&["nats", "--drain", "1h", "--log-level", "error"]);
    let mut peer = served.connect("nats");
    let mut byte = [0];
    peer.read_exact(&mut byte).expect("INFO comes");
    served.terminate();
    // It has begun to stop when it listens no more; this client stays.
    let address = served.address("nats").to_owned();
    while std::net::TcpStream::connect(&address).is_ok() {
        std::thread::yield_now();
    }
    served.terminate();
    let (status, said) = served.output();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_debug_log_has_connections_and_why_they_ended() {
    let mut served = Served::start(&["redis", "--log-level", "debug"]);
    let mut peer = served.connect("redis");
    say(&mut peer, "QUIT\r\n");
    expect(&mut peer, "+OK\r\n");
    assert_eq!(peer.read(&mut [0; 1]).expect("a proper end"), 0);
    let from = peer.local_addr().expect("it has one");
    let mut other = served.connect("redis");
    say(&mut other, "*1\r\nfoo\r\n");
    let mut rest = String::new();
    other.read_to_string(&mut rest).expect("a proper end");
    assert_eq!(rest, "-ERR Protocol error: expected '$', got 'f'\r\n");
    drop((peer, other));
    served.terminate();
    let (_, said) = served.output();
    assert!(said.contains(&format!("connection 0 from {from}\n")), "{said}");
    assert!(said.contains(": connection 0 ended: requested\n"), "{said}");
    assert!(said.contains(" ended: protocol\n"), "{said}");
}

#[test]
fn nothing_is_served_that_cannot_be_served_as_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let (nothing, words) = (folder.path().join("nothing"), folder.path().join("words"));
    std::fs::write(&words, "words\n").expect("written");
    let (nothing, words) = (nothing.display().to_string(), words.display().to_string());
    let ready = folder.path().join("ready");
    let file = ready.display().to_string();
    let tls = ["--tls-cert", &words, "--tls-key", &nothing];
    for (args, code, text) in [
        ([&["redis"][..], &tls].concat(), 1, format!("`{words}` holds no certificate")),
        (
            vec!["redis", "--tls-cert", &nothing, "--tls-key", &words],
            1,
            format!("`{nothing}` cannot be read: "),
        ),
        ([&["nats", "--tls-port", "0"][..], &tls].concat(), 2, "no `--tls-port`".to_owned()),
        ([&["nats", "--unix", &nothing][..], &tls].concat(), 2, "none on `--unix`".to_owned()),
        (vec!["redis", "--dir", &nothing], 2, "keeps nothing".to_owned()),
        (vec!["nats", "--host", "0.0.0.0"], 2, "`--tls-ca`".to_owned()),
        (vec!["redis", "--host", "0.0.0.0", "--user", "a on >b"], 2, "`--requirepass`".to_owned()),
    ] {
        let args = [&args[..], &["--port", "0", "--ready-file", &file]].concat();
        let refused = command(&args).output().expect("it runs");
        let said = String::from_utf8(refused.stderr).expect("UTF-8");
        assert_eq!((refused.status.code(), said.lines().count()), (Some(code), 1), "{said}");
        assert!(said.contains(&text), "{args:?}: {said}");
        assert!(!ready.exists());
    }
}

#[test]
fn a_port_that_is_taken_and_rules_that_are_none_end_it_before_anybody_is_served() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = holder.local_addr().expect("it has one").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let ready = folder.path().join("ready");
    let file = ready.display().to_string();
    for (args, text) in [
        (&["redis", "--port", &taken][..], format!("redis: 127.0.0.1:{taken} ")),
        (&["nats", "--port", &taken], format!("nats: 127.0.0.1:{taken} ")),
        (
            &["all", "--port", "0", "--maxclients", "9", "--metrics-port", &taken],
            format!("metrics: 127.0.0.1:{taken}: "),
        ),
        (&["redis", "--port", "0", "--user", "alice on bogus"], "bogus".to_owned()),
    ] {
        let args = [args, &["--ready-file", &file]].concat();
        let refused = command(&args).output().expect("it runs");
        let said = String::from_utf8(refused.stderr).expect("UTF-8");
        assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
        assert!(said.contains(&text), "{args:?}: {said}");
        assert!(!ready.exists());
    }
}

#[test]
fn a_served_bus_names_its_port_and_the_time() {
    let since_1970 = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).expect("it is later").as_secs()
    };
    let before = since_1970();
    let served = Served::start(&["redis"]);
    let port = served.address("redis").rsplit(':').next().expect("a port").to_owned();
    let mut peer = served.connect("redis");
    say(&mut peer, "CONFIG GET port\r\n");
    expect(&mut peer, &format!("*2\r\n$4\r\nport\r\n${}\r\n{port}\r\n", port.len()));
    say(&mut peer, "TIME\r\nINFO server\r\nQUIT\r\n");
    let mut text = String::new();
    peer.read_to_string(&mut text).expect("answered and closed");
    assert!(text.contains(&format!("\r\ntcp_port:{port}\r\n")), "{text}");
    let after = since_1970();
    let seconds = text.lines().nth(2).and_then(|line| line.parse().ok()).expect("seconds");
    assert!((before..=after).contains(&seconds), "{seconds} is not now");
}
