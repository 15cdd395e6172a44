//! A server over TLS, spoken to by rustls's client.

use std::fs;
use std::path::{Path, PathBuf};

use broker_nats::NatsConfig;
use broker_nats::codec::NatsText;
use broker_redis::OutputLimit;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::*;
use crate::wire::tls::{Files, Start, Tls};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// Certificates, made for one test.
struct Papers {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca: CertificateDer<'static>,
}

impl Papers {
    fn new() -> Papers {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("signed");
        fs::write(folder.path().join("ca.pem"), cert.pem()).expect("written");
        let ca = cert.der().clone();
        Papers { folder, issuer: Issuer::new(params, key), ca }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes `name.pem` and `name.key`.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let cert = params.signed_by(&key, &self.issuer).expect("signed");
        let paths = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&paths.0, cert.pem()).expect("written");
        fs::write(&paths.1, key.serialize_pem()).expect("written");
        paths
    }

    fn files(&self, asks: bool) -> Files {
        let (cert, key) = self.issue("server");
        Files { cert, key, ca: asks.then(|| self.path("ca.pem")) }
    }

    /// What a client knows that trusts these papers, and perhaps has some.
    fn client(&self, own: Option<(&Path, &Path)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone()).expect("it is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("they are supported")
            .with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_file(cert).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(vec![cert], key).expect("they fit")
            }
        })
    }
}

struct Secure<C: Codec> {
    address: SocketAddr,
    handle: Handle,
    thread: JoinHandle<io::Result<(Counts, Unwatched)>>,
    codec: std::marker::PhantomData<C>,
}

fn secure<C: Codec>(
    codec: C,
    config: &<C::Broker as Broker>::Config,
    files: &Files,
    start: Start,
    limits: Limits,
) -> Secure<C> {
    let tls = Tls::load(files, start).expect("the files are good");
    let places = [Place::Tls([127, 0, 0, 1].into(), 0)];
    let room = Room::open(&places, limits, Some(&tls)).expect("a port is free");
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let server = Server::open_in(room, codec, config, boot, Instant::now(), Unwatched)
        .expect("the configuration is good");
    let address = match server.listeners().next() {
        Some(Listener::Tcp(_, address)) => *address,
        other => panic!("a port was asked for: {other:?}"),
    };
    let handle = server.handle();
    let thread = std::thread::spawn(move || server.run());
    Secure { address, handle, thread, codec: std::marker::PhantomData }
}

impl<C: Codec> Secure<C> {
    fn socket(&self) -> TcpStream {
        let peer = TcpStream::connect(self.address).expect("it listens");
        peer.set_read_timeout(Some(LONG)).expect("set");
        peer
    }

    fn client(&self, config: &Arc<ClientConfig>) -> Client {
        over(config, self.socket())
    }

    fn end(self) -> Counts {
        self.handle.stop();
        self.thread.join().expect("no panic").expect("no error").0
    }

    /// Waits until the counters say so.
    fn until(&self, so: impl Fn(&Counts) -> bool) {
        let begun = Instant::now();
        while !so(&self.handle.published().read()) {
            assert!(begun.elapsed() < LONG, "{:?}", self.handle.published().read());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn over(config: &Arc<ClientConfig>, socket: TcpStream) -> Client {
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(config.clone(), name).expect("begins"), socket)
}

fn bus(papers: &Papers, asks: bool, limits: Limits) -> Secure<Resp> {
    let files = papers.files(asks);
    secure(Resp::default(), &RedisConfig::default(), &files, Start::AtOnce, limits)
}

#[test]
fn large_messages_pass_in_both_directions_and_nothing_stays() {
    let papers = Papers::new();
    let served = bus(&papers, false, Limits::default());
    let config = papers.client(None);
    let (mut reader, mut writer) = (served.client(&config), served.client(&config));
    say(&mut reader, "SUBSCRIBE news\r\n");
    expect(&mut reader, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n");
    let large = "x".repeat(300_000);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$300000\r\n{large}\r\n");
    let taking = std::thread::spawn(move || {
        for _ in 0..10 {
            expect(
                &mut reader,
                &format!(
                    "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$300000\r\n{}\r\n",
                    "x".repeat(300_000)
                ),
            );
        }
        reader
    });
    for _ in 0..10 {
        say(&mut writer, &publish);
        expect(&mut writer, ":1\r\n");
    }
    drop(taking.join().expect("all came"));
    say(&mut writer, "QUIT\r\n");
    let mut rest = Vec::new();
    // An end without TLS's goodbye would be an error.
    writer.read_to_end(&mut rest).expect("a proper end");
    assert_eq!(rest, b"+OK\r\n");
    served.until(|counts| counts.connections == 0);
    let counts = served.end();
    assert_eq!((counts.accepted_total, counts.handshakes_failed_total), (2, 0));
    assert_eq!(counts.buffered_bytes, 0, "what is closed holds nothing");
}

#[test]
fn many_small_commands_in_one_write_are_all_answered() {
    let papers = Papers::new();
    let served = bus(&papers, false, Limits::default());
    let mut peer = served.client(&papers.client(None));
    let count = 40_000;
    // More than one read takes, and more answers than one piece.
    let mut second = "PING\r\n".repeat(count);
    second.push_str("ECHO end\r\n");
    say(&mut peer, "PING\r\n");
    expect(&mut peer, "+PONG\r\n");
    let taken = served.handle.published().clone();
    say(&mut peer, &second);
    expect(&mut peer, &"+PONG\r\n".repeat(count));
    expect(&mut peer, "$3\r\nend\r\n");
    assert!(taken.read().bytes_in_total <= (second.len() + 6) as u64, "bytes of the protocol");
    drop(peer);
    assert_eq!(served.end().bytes_out_total, ((count + 1) * 7 + 9) as u64);
}

#[test]
fn whoever_speaks_no_tls_or_nothing_is_sent_away() {
    let papers = Papers::new();
    let brief = Duration::from_millis(200);
    let limits = Limits { handshake: brief, ..Limits::default() };
    let served = bus(&papers, false, limits);
    let mut plain = served.socket();
    say(&mut plain, "PING\r\n");
    let mut rest = Vec::new();
    // An alert, or a reset because of what was not read.
    let _ = plain.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"+PONG"), "{rest:?}");
    let mut silent = served.socket();
    assert_eq!(silent.read(&mut [0; 1]).expect("closed, no timeout"), 0);
    served.until(|counts| counts.handshakes_failed_total == 2);
    // Whoever has agreed on keys may be silent for longer than that. On a busy
    // machine even this client may be too slow at first.
    let config = papers.client(None);
    let mut peer = std::iter::repeat_with(|| {
        let mut peer = served.client(&config);
        let asked = peer.write_all(b"PING\r\n").and_then(|()| peer.read_exact(&mut [0; 7]));
        asked.is_ok().then_some(peer)
    })
    .take(100)
    .flatten()
    .next()
    .expect("one of a hundred is in time");
    std::thread::sleep(brief * 2);
    say(&mut peer, "PING\r\n");
    expect(&mut peer, "+PONG\r\n");
    drop(peer);
    assert_eq!(served.end().frames_in_total, 2);
}

#[test]
fn a_client_shows_its_certificate_where_it_is_asked_for_one() {
    let papers = Papers::new();
    let served = bus(&papers, true, Limits::default());
    let mut nobody = served.client(&papers.client(None));
    let refused = nobody.write_all(b"PING\r\n").and_then(|()| nobody.read(&mut [0; 10]));
    assert!(refused.is_err(), "{refused:?}");
    let (cert, key) = papers.issue("client");
    let mut known = served.client(&papers.client(Some((&cert, &key))));
    say(&mut known, "PING\r\n");
    expect(&mut known, "+PONG\r\n");
    drop(known);
    assert_eq!(served.end().handshakes_failed_total, 1);
}

#[test]
fn a_subscriber_that_reads_nothing_is_cut_at_its_limit() {
    let papers = Papers::new();
    let limit = OutputLimit { hard_bytes: 1 << 20, ..OutputLimit::default() };
    let config = RedisConfig { pubsub: limit, ..RedisConfig::default() };
    let files = papers.files(false);
    let served = secure(Resp::default(), &config, &files, Start::AtOnce, Limits::default());
    let config = papers.client(None);
    let (mut reader, mut writer) = (served.client(&config), served.client(&config));
    say(&mut reader, "SUBSCRIBE c\r\n");
    expect(&mut reader, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$60000\r\n{}\r\n", "x".repeat(60_000));
    let mut answer = [0; 4];
    let mut sent = 0;
    // The kernel's buffers take some megabytes first.
    while &answer != b":0\r\n" {
        assert!(sent < 2_000, "120 MB wait for nobody");
        say(&mut writer, &publish);
        writer.read_exact(&mut answer).expect("an answer comes");
        sent += 1;
    }
    drop((reader, writer));
    let counts = served.end();
    assert_eq!((counts.ended_by(Ended::SlowConsumer), counts.buffered_bytes), (1, 0));
}

#[test]
fn nats_says_so_in_the_open_and_goes_on_in_secret() {
    let papers = Papers::new();
    let config = NatsConfig {
        tls_required: true,
        lame_duck_grace_period: Duration::from_millis(1),
        lame_duck_duration: Duration::from_millis(2),
        ..NatsConfig::default()
    };
    let files = papers.files(false);
    let codec = NatsText::default();
    let served = secure(codec, &config, &files, Start::AfterGreeting, Limits::default());
    let mut socket = served.socket();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("INFO comes");
        line.push(byte[0]);
    }
    let line = String::from_utf8(line).expect("text");
    assert!(line.starts_with("INFO {") && line.contains("\"tls_required\":true"), "{line}");
    let mut peer = over(&papers.client(None), socket);
    say(&mut peer, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 2\r\nhi\r\nPING\r\n");
    expect(&mut peer, "MSG a 1 2\r\nhi\r\nPONG\r\n");
    // Who does not go on with TLS is not listened to.
    let mut plain = served.socket();
    say(&mut plain, "PUB a 5\r\nplain\r\n");
    let _ = plain.read_to_end(&mut Vec::new());
    say(&mut peer, "PING\r\n");
    expect(&mut peer, "PONG\r\n");
    drop(peer);
    let counts = served.end();
    assert_eq!((counts.frames_in_total, counts.handshakes_failed_total), (5, 1));
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_one_line() {
    let papers = Papers::new();
    let good = papers.files(false);
    let (_, other_key) = papers.issue("other");
    let nothing = papers.path("nothing");
    let words = papers.path("words");
    fs::write(&words, "these are words\n").expect("written");
    let torn = papers.path("torn");
    fs::write(&torn, "-----BEGIN CERTIFICATE-----\n!!\n").expect("written");
    let cases = [
        (Files { cert: nothing.clone(), ..good.clone() }, "`nothing` cannot be read: "),
        (Files { cert: words.clone(), ..good.clone() }, "`words` holds no certificate"),
        (Files { cert: torn, ..good.clone() }, "`torn` is no PEM file: "),
        (Files { key: nothing.clone(), ..good.clone() }, "`nothing` cannot be read: "),
        (Files { key: words.clone(), ..good.clone() }, "`words` holds no private key"),
        (Files { key: other_key, ..good.clone() }, "`other.key` is the key of another"),
        (Files { ca: Some(nothing), ..good.clone() }, "`nothing` cannot be read: "),
        (Files { ca: Some(words), ..good.clone() }, "`words` holds no certificate"),
    ];
    let folder = format!("{}/", papers.folder.path().display());
    for (files, expected) in cases {
        let error = Tls::load(&files, Start::AtOnce).expect_err(expected).to_string();
        assert!(error.replace(&folder, "").starts_with(expected), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
    Tls::load(&good, Start::AtOnce).expect("these are good");
    let places = [Place::Tls([127, 0, 0, 1].into(), 0)];
    let refused = Room::open(&places, Limits::default(), None).expect_err("nothing to show");
    assert!(refused.to_string().contains("there is no certificate for it"), "{refused}");
}
