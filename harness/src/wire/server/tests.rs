//! A server over real sockets, spoken to byte by byte; `secure.rs` has those with TLS.

mod secure;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use broker_contract::{NodeId, SeedStream};
use broker_redis::RedisConfig;
use broker_redis::codec::{Resp, RespLimits};

use super::*;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<io::Result<(Counts, Unwatched)>>,
}

fn serve(config: RedisConfig, limits: Limits, codec: Resp, more: &[Place]) -> Served {
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let mut places = vec![Place::Tcp([127, 0, 0, 1].into(), 0)];
    places.extend_from_slice(more);
    let server = Server::open(codec, &config, boot, &places, limits, Instant::now(), Unwatched)
        .expect("a port is free");
    let address = match server.listeners().next() {
        Some(Listener::Tcp(_, address)) => *address,
        other => panic!("a port was asked for: {other:?}"),
    };
    let handle = server.handle();
    Served { address, handle, thread: std::thread::spawn(move || server.run()) }
}

fn plain() -> Served {
    serve(RedisConfig::default(), Limits::default(), Resp::default(), &[])
}

impl Served {
    fn connect(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("it listens");
        peer.set_read_timeout(Some(LONG)).expect("set");
        peer
    }

    fn end(self) -> Counts {
        self.handle.stop();
        self.thread.join().expect("no panic").expect("no error").0
    }
}

/// Reads exactly `expected`.
fn expect(peer: &mut impl Read, expected: &str) {
    let mut got = vec![0; expected.len()];
    peer.read_exact(&mut got).expect("an answer comes");
    assert_eq!(String::from_utf8_lossy(&got), expected);
}

/// Reads to the end, which must come.
fn rest(peer: &mut TcpStream) -> String {
    let mut got = Vec::new();
    // A reset is an end, too: what was not read by a server that closed.
    let _ = peer.read_to_end(&mut got);
    String::from_utf8_lossy(&got).into_owned()
}

fn say(peer: &mut impl Write, text: &str) {
    peer.write_all(text.as_bytes()).expect("it is listened to");
}

#[test]
fn a_subscriber_hears_what_is_published_whatever_the_pieces() {
    let served = plain();
    let (mut reader, mut writer) = (served.connect(), served.connect());
    for byte in b"SUBSCRIBE news\r\n" {
        reader.write_all(&[*byte]).expect("sent");
    }
    expect(&mut reader, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let large = "x".repeat(300_000);
    say(&mut writer, &format!("PUBLISH news hello\r\nPUBLISH news {}\r\n", "y".repeat(60_000)));
    say(
        &mut writer,
        &format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$300000\r\n{large}\r\nPING\r\n"),
    );
    expect(&mut writer, ":1\r\n:1\r\n:1\r\n+PONG\r\n");
    expect(&mut reader, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    expect(
        &mut reader,
        &format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$60000\r\n{}\r\n", "y".repeat(60_000)),
    );
    expect(&mut reader, &format!("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$300000\r\n{large}\r\n"));
    say(&mut writer, "QUIT\r\n");
    assert_eq!(rest(&mut writer), "+OK\r\n");
    let counts = served.end();
    assert_eq!((counts.accepted_total, counts.connections), (2, 0));
    assert_eq!(counts.buffered_bytes, 0, "what is closed holds nothing");
}

#[test]
fn a_flood_of_publishes_to_many_subscribers_arrives_whole() {
    let served = plain();
    let mut readers: Vec<TcpStream> = (0..20).map(|_| served.connect()).collect();
    for reader in &mut readers {
        say(reader, "SUBSCRIBE c\r\n");
        expect(reader, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    }
    let mut writer = served.connect();
    let (count, length) = (3_000, 7);
    let input: String = (0..count).map(|at| format!("PUBLISH c {at:0length$}\r\n")).collect();
    let mut answers = writer.try_clone().expect("cloned");
    let taking = std::thread::spawn(move || expect(&mut answers, &":20\r\n".repeat(count)));
    say(&mut writer, &input);
    for reader in &mut readers {
        let expected: String = (0..count)
            .map(|at| format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$7\r\n{at:0length$}\r\n"))
            .collect();
        expect(reader, &expected);
    }
    taking.join().expect("all answers came");
    assert_eq!(served.end().frames_in_total, 20 + count as u64);
}

#[test]
fn nonsense_gets_the_original_answer_and_an_end() {
    let served = plain();
    let mut peer = served.connect();
    say(&mut peer, "PING\r\n*1\r\nfoo\r\nPING\r\n");
    assert_eq!(rest(&mut peer), "+PONG\r\n-ERR Protocol error: expected '$', got 'f'\r\n");
    assert_eq!(served.end().malformed_total, 1);
}

#[test]
fn a_peer_that_closes_its_half_still_gets_its_answers() {
    let served = plain();
    let mut peer = served.connect();
    say(&mut peer, "PING\r\nPING\r\n");
    peer.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!(rest(&mut peer), "+PONG\r\n+PONG\r\n");
    served.end();
}

#[test]
fn an_end_behind_more_than_one_read_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bus");
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let (config, places) = (RedisConfig::default(), [Place::Unix(path.clone())]);
    let (limits, codec) = (Limits::default(), Resp::default());
    let server = Server::open(codec, &config, boot, &places, limits, Instant::now(), Unwatched)
        .expect("the path is free");
    // Everything is there before the server looks for the first time, so that it
    // hears of the bytes and of the end together, and nothing is answered that would
    // make the system tell of the end again.
    let mut peer = UnixStream::connect(&path).expect("it listens");
    peer.set_read_timeout(Some(LONG)).expect("set");
    say(&mut peer, &format!("CLIENT REPLY OFF\r\n{}", "PING\r\n".repeat(12_000)));
    peer.shutdown(Shutdown::Write).expect("half closed");
    let handle = server.handle();
    let thread = std::thread::spawn(move || server.run());
    let mut answers = String::new();
    peer.read_to_string(&mut answers).expect("a proper end");
    assert_eq!(answers, "");
    handle.stop();
    let (counts, _) = thread.join().expect("no panic").expect("no error");
    assert_eq!((counts.ended_by(Ended::Peer), counts.connections), (1, 0));
}

#[test]
fn a_subscriber_that_does_not_read_is_cut_and_others_go_on() {
    let mut config = RedisConfig::default();
    config.pubsub.hard_bytes = 4 << 20;
    let served = serve(config, Limits::default(), Resp::default(), &[]);
    let (mut slow, mut writer) = (served.connect(), served.connect());
    say(&mut slow, "SUBSCRIBE c\r\n");
    expect(&mut slow, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let payload = "z".repeat(100_000);
    let message = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$100000\r\n{payload}\r\n");
    // What the two kernels' buffers take, and the limit, is far less than this.
    let mut heard = 0;
    for _ in 0..1_000 {
        say(&mut writer, &message);
        let mut answer = [0; 4];
        writer.read_exact(&mut answer).expect("answered");
        heard += u32::from(&answer == b":1\r\n");
        if heard > 0 && &answer == b":0\r\n" {
            break;
        }
    }
    assert!((40..1_000).contains(&heard), "{heard} messages were taken before the cut");
    let counts = served.end();
    assert_eq!((counts.ended_by(Ended::SlowConsumer), counts.buffered_bytes), (1, 0));
}

#[test]
fn half_a_command_does_not_wait_for_ever_and_does_not_fill_memory() {
    let limits = Limits { partial: Duration::from_millis(50), ..Limits::default() };
    let served = serve(RedisConfig::default(), limits, Resp::default(), &[]);
    let (mut slow, mut patient) = (served.connect(), served.connect());
    say(&mut patient, "PING\r\n");
    expect(&mut patient, "+PONG\r\n");
    say(&mut slow, "*2\r\n$4\r\nECHO\r\n$100\r\nab");
    assert_eq!(rest(&mut slow), "", "closed without a word");
    // A connection that owes nothing is left alone, however long it is silent.
    say(&mut patient, "PING\r\n");
    expect(&mut patient, "+PONG\r\n");
    assert_eq!(served.end().ended_by(Ended::Partial), 1);

    let limits = Limits { buffered_bytes: 1 << 20, ..Limits::default() };
    let served = serve(RedisConfig::default(), limits, Resp::default(), &[]);
    let mut greedy = served.connect();
    say(&mut greedy, "*2\r\n$4\r\nECHO\r\n$100000000\r\n");
    let chunk = vec![b'x'; 1 << 20];
    let refused = (0..64).any(|_| greedy.write_all(&chunk).is_err());
    assert!(refused, "it is closed long before it has sent all");
    let counts = served.end();
    assert_eq!((counts.ended_by(Ended::Memory), counts.buffered_bytes), (1, 0));
}

#[test]
fn one_client_too_many_is_told_so() {
    let config = RedisConfig { maxclients: 1, ..RedisConfig::default() };
    let served = serve(config, Limits::default(), Resp::default(), &[]);
    let mut first = served.connect();
    say(&mut first, "PING\r\n");
    expect(&mut first, "+PONG\r\n");
    let mut second = served.connect();
    assert_eq!(rest(&mut second), "-ERR max number of clients reached\r\n");
    drop(first);
    // Its place is free as soon as the server has seen the end of it.
    let again = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        let mut third = served.connect();
        third.write_all(b"PING\r\n").is_ok() && rest_of_line(&mut third) == "+PONG\r\n"
    });
    assert!(again);
    served.end();
}

fn rest_of_line(peer: &mut TcpStream) -> String {
    let mut line = [0; 7];
    match peer.read_exact(&mut line) {
        Ok(()) => String::from_utf8_lossy(&line).into_owned(),
        Err(_) => String::new(),
    }
}

#[test]
fn limits_of_the_codec_hold() {
    let codec = Resp { limits: RespLimits { bulk: 10, frame: 100 } };
    let served = serve(RedisConfig::default(), Limits::default(), codec, &[]);
    let mut peer = served.connect();
    say(&mut peer, "*2\r\n$4\r\nECHO\r\n$11\r\n");
    assert_eq!(rest(&mut peer), "-ERR Protocol error: invalid bulk length\r\n");
    served.end();
}

/// `ECHO` with that many arguments of that length.
fn arguments(count: usize, len: usize) -> String {
    let argument = format!("${len}\r\n{}\r\n", "x".repeat(len));
    format!("*{}\r\n$4\r\nECHO\r\n{}", count + 1, argument.repeat(count))
}

#[test]
fn a_stranger_is_held_to_small_commands_until_it_has_said_who_it_is() {
    let config = RedisConfig { requirepass: "sekret".to_owned(), ..RedisConfig::default() };
    let served = serve(config, Limits::default(), Resp::default(), &[]);
    let (many, long) = (arguments(10, 1), arguments(1, 16_385));
    for (said, answer) in [
        (&many, "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (&long, "-ERR Protocol error: unauthenticated bulk length\r\n"),
        // A password that is not right makes nobody known.
        (
            &format!("AUTH wrong\r\n{long}"),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n\
             -ERR Protocol error: unauthenticated bulk length\r\n",
        ),
        // Nor does a reset leave anybody known.
        (
            &format!("AUTH sekret\r\nRESET\r\n{long}"),
            "+OK\r\n+RESET\r\n-ERR Protocol error: unauthenticated bulk length\r\n",
        ),
    ] {
        let mut stranger = served.connect();
        say(&mut stranger, said);
        assert_eq!(rest(&mut stranger), answer);
    }
    let mut edge = served.connect();
    let ten = format!("*10\r\n$11\r\nUNSUBSCRIBE\r\n{}", "$1\r\nx\r\n".repeat(9));
    say(&mut edge, &format!("{ten}{}", arguments(1, 16_384)));
    expect(&mut edge, &"-NOAUTH Authentication required.\r\n".repeat(2));
    // All in one write: what follows the password is not a stranger's any more.
    say(&mut edge, &format!("AUTH sekret\r\n{long}{many}PING\r\n"));
    let echo = format!("$16385\r\n{}\r\n", "x".repeat(16_385));
    let wrong = "-ERR wrong number of arguments for 'echo' command\r\n";
    expect(&mut edge, &format!("+OK\r\n{echo}{wrong}+PONG\r\n"));
    say(&mut edge, "QUIT\r\n");
    assert_eq!(rest(&mut edge), "+OK\r\n");
    drop(edge);
    let counts = served.end();
    assert_eq!((counts.malformed_total, counts.ended_by(Ended::Requested)), (4, 1));
}

#[test]
fn a_unix_socket_is_served_and_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bus");
    let more = [Place::Unix(path.clone())];
    let served = serve(RedisConfig::default(), Limits::default(), Resp::default(), &more);
    let mut peer = UnixStream::connect(&path).expect("it listens");
    say(&mut peer, "ECHO hi\r\n");
    expect(&mut peer, "$2\r\nhi\r\n");
    served.end();
    assert!(!path.exists());
}

#[test]
fn stopping_closes_every_connection_after_what_it_is_owed() {
    let served = plain();
    let mut peers: Vec<TcpStream> = (0..50).map(|_| served.connect()).collect();
    for peer in &mut peers {
        say(peer, "PING\r\n");
        expect(peer, "+PONG\r\n");
    }
    let address = served.address;
    let counts = served.end();
    assert_eq!((counts.accepted_total, counts.connections), (50, 0));
    assert_eq!(counts.ended_by(Ended::Shutdown), 50);
    for peer in &mut peers {
        assert_eq!(rest(peer), "");
    }
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_node_that_refuses_its_configuration_serves_nothing() {
    let config = RedisConfig { maxclients: 0, ..RedisConfig::default() };
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let places = [Place::Tcp([127, 0, 0, 1].into(), 0)];
    let opened = Server::<Resp, Unwatched>::open(
        Resp::default(),
        &config,
        boot,
        &places,
        Limits::default(),
        Instant::now(),
        Unwatched,
    );
    let Err(error) = opened.map(|_| ()) else { panic!("it was refused") };
    assert!(error.to_string().contains("maxclients"), "{error}");
}
