//! What a killed server has acknowledged, the next one still has.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::{Served, command, say};

/// A client of JetStream, byte by byte.
struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    fn new(served: &Served) -> Client {
        let socket = served.connect("nats");
        let mut client =
            Client { writer: socket.try_clone().expect("cloned"), reader: BufReader::new(socket) };
        assert!(client.line().expect("INFO comes").contains("\"jetstream\":true"));
        say(&mut client.writer, "CONNECT {\"verbose\":false}\r\nSUB _I.> 1\r\n");
        client
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(len) if len > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// The next message: the number of its subject's last token, and its payload;
    /// `None` when the server is gone.
    fn message(&mut self) -> Option<(u64, String)> {
        loop {
            let line = self.line()?;
            if line == "PING" {
                self.writer.write_all(b"PONG\r\n").ok()?;
                continue;
            }
            let mut words = line.strip_prefix("MSG _I.").expect("a message").split(' ');
            let number = words.next()?.parse().expect("a number");
            let len: usize = words.next_back()?.parse().expect("a length");
            let mut payload = vec![0; len + 2];
            self.reader.read_exact(&mut payload).ok()?;
            payload.truncate(len);
            return Some((number, String::from_utf8(payload).expect("text")));
        }
    }

    fn ask(&mut self, subject: &str, body: &str) -> String {
        say(&mut self.writer, &format!("PUB {subject} _I.0 {}\r\n{body}\r\n", body.len()));
        self.message().expect("an answer comes").1
    }
}

/// A field of a flat JSON object that is a number.
fn number(json: &str, field: &str) -> Option<u64> {
    let from = json.find(&format!("\"{field}\":"))? + field.len() + 3;
    let digits = json[from..].split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Publishes until some messages more are acknowledged and kills the server while
/// others are on their way, several times over one store. Each message that was
/// ever acknowledged is where the acknowledgement says.
fn killed(sync: &str) {
    let store = tempfile::tempdir().expect("a folder");
    let dir = store.path().display().to_string();
    let args = ["nats", "--dir", &dir, "--sync-interval", sync];
    let mut acknowledged = BTreeMap::new();
    let mut published = 0_u64;
    for _ in 0..4 {
        let served = Served::start(&args);
        let mut client = Client::new(&served);
        let made = client.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
        assert!(!made.contains("\"error\""), "{made}");
        for (seq, text) in &acknowledged {
            let got = client.ask("$JS.API.STREAM.MSG.GET.S", &format!("{{\"seq\":{seq}}}"));
            assert!(got.contains(text), "{seq} is not {text}: {got}");
        }
        let mut texts = BTreeMap::new();
        let enough = acknowledged.len() + 100;
        while acknowledged.len() < enough {
            // Some are always under way when the end comes.
            while texts.len() < 40 {
                published += 1;
                // As the API shows it: base64 of the digits.
                texts.insert(published, format!("{published:09}"));
                say(&mut client.writer, &format!("PUB s.x _I.{published} 9\r\n{published:09}\r\n"));
            }
            let (id, answer) = client.message().expect("it is not killed yet");
            let seq = number(&answer, "seq").unwrap_or_else(|| panic!("refused: {answer}"));
            let text = texts.remove(&id).expect("it was asked for once");
            assert_eq!(acknowledged.insert(seq, base64(&text)), None, "{seq} twice");
        }
        served.kill();
    }
}

/// Base64 of a text whose length three divides.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks(3).flat_map(|group| {
        let bits = group.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    });
    groups.collect()
}

#[test]
fn what_was_acknowledged_after_its_sync_outlives_a_kill() {
    killed("always");
}

#[test]
fn what_was_acknowledged_before_its_sync_outlives_a_kill_of_the_process() {
    killed("2m");
}

#[test]
fn a_store_belongs_to_one_server_at_a_time() {
    let store = tempfile::tempdir().expect("a folder");
    let dir = store.path().display().to_string();
    let served = Served::start(&["nats", "--dir", &dir]);
    let second = command(&["nats", "--port", "0", "--dir", &dir]).output().expect("it runs");
    let said = String::from_utf8(second.stderr).expect("UTF-8");
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert_eq!(said, format!("lab: nats: the store `{dir}/nats` is in use by another process\n"));
    served.kill();
    // A killed process holds nothing.
    drop(Served::start(&["nats", "--dir", &dir]));
}

#[test]
fn a_store_that_is_no_folder_is_refused() {
    let store = tempfile::tempdir().expect("a folder");
    let dir = store.path().display().to_string();
    std::fs::write(store.path().join("file"), "no folder").expect("written");
    let file = format!("{dir}/file");
    let refused = command(&["nats", "--port", "0", "--dir", &file]).output().expect("it runs");
    let said = String::from_utf8(refused.stderr).expect("UTF-8");
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with(&format!("lab: nats: the store `{file}/nats` cannot be used: ")));
}

#[test]
fn without_a_directory_streams_are_in_memory_and_bounded() {
    let served = Served::start(&["nats", "--store-memory", "64KiB"]);
    let mut client = Client::new(&served);
    let made = client.ask("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
    assert!(!made.contains("\"error\""), "{made}");
    let body = "x".repeat(4_000);
    let answers: Vec<String> = (0..40).map(|_| client.ask("s.x", &body)).collect();
    assert!(number(&answers[0], "seq") == Some(1), "{}", answers[0]);
    let last = answers.last().expect("forty");
    assert!(last.contains("\"error\""), "160 kB fit nowhere: {last}");
    drop(client);
    assert!(served.folder().join("ready").exists());
}
