//! The clients of the comparison: they know the protocol's bytes and no broker.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use crate::measure::meters::{histogram, record};
use crate::modes::wire::dial::dial;

/// Bytes of a payload.
const PAYLOAD: usize = 100;
/// Digits of the time at its front.
const DIGITS: usize = 20;
/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes in front of a payload on its way to a subscriber.
const HEAD: &[u8] = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$100\r\n";
/// A whole message.
const MESSAGE: usize = HEAD.len() + PAYLOAD + 2;

/// A command as clients send it.
pub(super) fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

pub(super) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads what must come, and says so if something else does.
fn expect(stream: &mut TcpStream, expected: &[u8]) -> io::Result<()> {
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got)?;
    if got == expected {
        return Ok(());
    }
    let got = String::from_utf8_lossy(&got).into_owned();
    Err(io::Error::other(format!("an answer that was not expected: {got:?}")))
}

fn subscribers(to: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = connect(to)?;
        stream.write_all(&command(&[b"SUBSCRIBE", b"c"]))?;
        expect(&mut stream, b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")?;
        all.push(stream);
    }
    Ok(all)
}

/// Reads `messages` of each of `streams`; shows `each` every whole message.
fn read_all(
    streams: Vec<TcpStream>,
    messages: u64,
    mut each: impl FnMut(&[u8]),
    looks_inside: bool,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut left = streams.len();
    let mut peers = Vec::with_capacity(left);
    for (at, stream) in streams.into_iter().enumerate() {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(at), Interest::READABLE)?;
        peers.push((stream, messages * MESSAGE as u64, Vec::new()));
    }
    let mut buf = vec![0; 256 << 10];
    while left > 0 {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(io::Error::other("messages did not come"));
        }
        for event in &events {
            let (stream, due, kept): &mut (_, u64, Vec<u8>) = &mut peers[event.token().0];
            loop {
                let got = match stream.read(&mut buf) {
                    Ok(0) => return Err(io::Error::other("a subscriber was cut")),
                    Ok(got) => got,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                *due = due.saturating_sub(got as u64);
                if looks_inside {
                    kept.extend_from_slice(&buf[..got]);
                    let whole = kept.len() / MESSAGE * MESSAGE;
                    kept[..whole].chunks(MESSAGE).for_each(&mut each);
                    kept.drain(..whole);
                }
                if *due == 0 {
                    left -= 1;
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Deliveries per second of 100 B to `count` subscribers, `messages` in batches.
pub(super) fn fan_out(to: SocketAddr, count: usize, messages: u64) -> io::Result<f64> {
    const BATCH: u64 = 200;
    let messages = messages.next_multiple_of(BATCH);
    let streams = subscribers(to, count)?;
    let mut publisher = connect(to)?;
    let batch = command(&[b"PUBLISH", b"c", &[b'x'; PAYLOAD]]).repeat(BATCH as usize);
    let answers = format!(":{count}\r\n").repeat(BATCH as usize).into_bytes();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || read_all(streams, messages, |_| {}, false));
        for _ in 0..messages / BATCH {
            publisher.write_all(&batch)?;
            expect(&mut publisher, &answers)?;
        }
        reading.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })?;
    Ok((messages * count as u64) as f64 / begun.elapsed().as_secs_f64())
}

/// Times from when a message was due to its delivery, at `rate` messages a second to
/// `count` subscribers for `time`, whether or not the server keeps up.
pub(super) fn open_loop(
    to: SocketAddr,
    rate: u64,
    count: usize,
    time: Duration,
) -> io::Result<Histogram<u64>> {
    let messages = rate * time.as_millis() as u64 / 1_000;
    let streams = subscribers(to, count)?;
    let mut publisher = connect(to)?;
    let mut answers = publisher.try_clone()?;
    let answered = format!(":{count}\r\n").len() as u64 * messages;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut times = histogram();
            let each = |message: &[u8]| {
                let digits = &message[HEAD.len()..HEAD.len() + DIGITS];
                let due_ns = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                let now_ns = begun.elapsed().as_nanos() as u64;
                record(&mut times, now_ns.saturating_sub(due_ns.unwrap_or(0)));
            };
            read_all(streams, messages, each, true).map(|()| times)
        });
        // Answers are read as they come, so that they never hold up the server.
        let taking =
            scope.spawn(move || io::copy(&mut (&mut answers).take(answered), &mut io::sink()));
        let mut bytes = Vec::new();
        let mut sent = 0;
        while sent < messages {
            let due = (begun.elapsed().as_nanos() as u64 * rate / 1_000_000_000).min(messages);
            if due == sent {
                std::thread::yield_now();
                continue;
            }
            bytes.clear();
            for number in sent..due {
                let at_ns = number * 1_000_000_000 / rate;
                let payload = format!("{at_ns:0DIGITS$}{:x<1$}", "", PAYLOAD - DIGITS);
                bytes.extend_from_slice(&command(&[b"PUBLISH", b"c", payload.as_bytes()]));
            }
            publisher.write_all(&bytes)?;
            sent = due;
        }
        let _ = taking.join();
        reading.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })
}

/// A connection with `count` patterns; none of two are equal.
pub(super) fn patterns(to: SocketAddr, count: usize) -> io::Result<TcpStream> {
    let mut stream = connect(to)?;
    for start in (0..count).step_by(100) {
        let names: Vec<Vec<u8>> =
            (start..start + 100).map(|at| format!("zone:{at:04}:*").into_bytes()).collect();
        let mut words: Vec<&[u8]> = vec![b"PSUBSCRIBE"];
        words.extend(names.iter().map(Vec::as_slice));
        stream.write_all(&command(&words))?;
        let answers: String = (start..start + 100)
            .map(|at| {
                format!("*3\r\n$10\r\npsubscribe\r\n$11\r\nzone:{at:04}:*\r\n:{}\r\n", at + 1)
            })
            .collect();
        expect(&mut stream, answers.as_bytes())?;
    }
    Ok(stream)
}

/// Opens `count` connections, from several addresses of this machine.
pub(super) fn idle(to: SocketAddr, count: u32) -> io::Result<Vec<TcpStream>> {
    (0..count)
        .map(|conn| {
            let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
            let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
            dial(&socket, to, conn)?;
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        })
        .collect()
}

/// Every one of them says something and is answered.
pub(super) fn ping(streams: &mut [TcpStream]) -> io::Result<()> {
    for stream in streams {
        stream.write_all(b"*1\r\n$4\r\nPING\r\n")?;
        expect(stream, b"+PONG\r\n")?;
    }
    Ok(())
}
