//! What a server counts, and how others read it.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use broker_contract::{Cause, CloseReason};

/// How long a peer that asks for metrics may take over its question.
const PATIENCE: Duration = Duration::from_secs(2);

macro_rules! reasons {
    ($($reason:ident: $name:literal, $help:literal;)*) => {
        /// Why a connection ended.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum Ended {
            $(#[doc = $help] $reason,)*
        }

        impl Ended {
            /// All there are, in the order of [`Counts::closed`].
            pub const ALL: &[Ended] = &[$(Ended::$reason,)*];

            /// The name in logs and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Ended::$reason => $name,)*
                }
            }
        }
    };
}

reasons! {
    Peer: "peer", "The peer ended it.";
    Broken: "broken", "It broke.";
    Requested: "requested", "The peer asked the broker to end it.";
    SlowConsumer: "slow_consumer", "The peer read too slowly.";
    Protocol: "protocol", "The peer broke the protocol.";
    Stale: "stale", "The peer was idle or silent for too long.";
    TooMany: "too_many", "There were too many connections.";
    Unauthorized: "unauthorized", "The peer may not connect.";
    Shutdown: "shutdown", "The server stops.";
    Killed: "killed", "Another client or an operator ended it.";
    Memory: "memory", "The buffers of all connections are full.";
    Partial: "partial_frame", "The peer took too long over one frame.";
    Handshake: "handshake", "The peer took too long to agree on keys.";
    Other: "other", "Whatever else a broker may have.";
}

impl From<&CloseReason> for Ended {
    fn from(reason: &CloseReason) -> Ended {
        match reason {
            CloseReason::Requested => Ended::Requested,
            CloseReason::SlowConsumer => Ended::SlowConsumer,
            CloseReason::Protocol(_) => Ended::Protocol,
            CloseReason::Stale => Ended::Stale,
            CloseReason::TooMany => Ended::TooMany,
            CloseReason::Unauthorized => Ended::Unauthorized,
            CloseReason::Shutdown => Ended::Shutdown,
            CloseReason::Killed => Ended::Killed,
            _ => Ended::Other,
        }
    }
}

macro_rules! counters {
    ($($field:ident: $kind:literal, $help:literal;)*) => {
        /// Plain counters of one server, kept by its thread.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $(#[doc = $help] pub $field: u64,)*
            /// Connections that ended, by reason, as [`Ended::ALL`] has them.
            pub closed: [u64; Ended::ALL.len()],
        }

        /// The same where other threads can read them. A server's thread copies
        /// its counters here once a turn, so that counting costs no atomics.
        #[derive(Debug, Default)]
        pub struct Published {
            $($field: AtomicU64,)*
            closed: [AtomicU64; Ended::ALL.len()],
            is_ready: AtomicBool,
        }

        impl Published {
            /// Makes `counts` visible.
            pub fn publish(&self, counts: &Counts) {
                $(self.$field.store(counts.$field, Ordering::Relaxed);)*
                for (place, count) in self.closed.iter().zip(counts.closed) {
                    place.store(count, Ordering::Relaxed);
                }
            }

            /// What was last made visible.
            pub fn read(&self) -> Counts {
                Counts {
                    $($field: self.$field.load(Ordering::Relaxed),)*
                    closed: self.closed.each_ref().map(|count| count.load(Ordering::Relaxed)),
                }
            }
        }

        const DESCRIBED: &[(&str, &str, &str, fn(&Counts) -> u64)] = &[
            $((stringify!($field), $kind, $help, |counts| counts.$field),)*
        ];
    };
}

counters! {
    connections: "gauge", "Connections that are open.";
    accepted_total: "counter", "Connections that were accepted.";
    handshakes_failed_total: "counter", "Connections that ended before keys were agreed on (TLS).";
    malformed_total: "counter", "Connections whose bytes were no frames.";
    frames_in_total: "counter", "Frames read.";
    frames_out_total: "counter", "Frames written.";
    bytes_in_total: "counter", "Bytes read.";
    bytes_out_total: "counter", "Bytes written.";
    reads_total: "counter", "System calls that read.";
    writes_total: "counter", "System calls that wrote.";
    polls_total: "counter", "System calls that waited.";
    accepts_failed_total: "counter", "Connections that could not be accepted.";
    syncs_total: "counter", "Syncs of files that the broker asked for.";
    dropped_total: "counter", "Messages, or copies of them, that the broker dropped.";
    buffered_bytes: "gauge", "Bytes in the buffers of connections.";
    node_memory_bytes: "gauge", "Heap bytes of the broker's own structures, estimated.";
}

impl Published {
    /// Whether the server takes connections.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Says whether it does.
    pub fn set_ready(&self, ready: bool) {
        self.is_ready.store(ready, Ordering::Release);
    }
}

impl Counts {
    /// Counts the end of a connection.
    pub fn ended(&mut self, why: Ended) {
        self.closed[why as usize] += 1;
    }

    /// Connections that ended for this reason.
    pub fn ended_by(&self, why: Ended) -> u64 {
        self.closed[why as usize]
    }

    /// Counts a dropped message.
    pub fn dropped(&mut self, _cause: Cause) {
        self.dropped_total += 1;
    }
}

/// The counters of several servers as Prometheus reads them.
pub fn prometheus(servers: &[(&'static str, Arc<Published>)]) -> String {
    let all: Vec<(&str, Counts)> =
        servers.iter().map(|(name, published)| (*name, published.read())).collect();
    let mut page = String::new();
    for (field, kind, help, value) in DESCRIBED {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "# HELP lab_{field} {help}\n# TYPE lab_{field} {kind}");
        for (name, counts) in &all {
            let _ = writeln!(page, "lab_{field}{{broker=\"{name}\"}} {}", value(counts));
        }
    }
    let _ = writeln!(
        page,
        "# HELP lab_closed_total Connections that ended, by reason.\n# TYPE lab_closed_total counter"
    );
    for (name, counts) in &all {
        for (why, count) in Ended::ALL.iter().zip(counts.closed) {
            let why = why.name();
            let _ =
                writeln!(page, "lab_closed_total{{broker=\"{name}\",reason=\"{why}\"}} {count}");
        }
    }
    page
}

/// Answers `/metrics` and `/healthz` over HTTP, one question at a time, on a
/// thread of its own that ends with the process.
///
/// # Errors
/// When the port is taken, or the thread cannot be started.
pub fn serve(
    address: IpAddr,
    port: u16,
    servers: Vec<(&'static str, Arc<Published>)>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((address, port))?;
    let got = listener.local_addr()?;
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        for peer in listener.incoming() {
            match peer {
                // Whoever does not listen to the answer has no need of it.
                Ok(peer) => drop(answer(peer, &servers)),
                // Out of descriptors, say: it passes, or nothing can be done.
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    })?;
    Ok(got)
}

fn answer(mut peer: TcpStream, servers: &[(&'static str, Arc<Published>)]) -> io::Result<()> {
    peer.set_read_timeout(Some(PATIENCE))?;
    peer.set_write_timeout(Some(PATIENCE))?;
    let mut request = [0; 1024];
    let mut len = 0;
    while len < request.len() && !request[..len].contains(&b'\n') {
        match peer.read(&mut request[len..])? {
            0 => break,
            more => len += more,
        }
    }
    let (status, body) = match request[..len].split(|byte| *byte == b' ').nth(1) {
        Some(b"/metrics") => ("200 OK", prometheus(servers)),
        Some(b"/healthz") => {
            if servers.iter().all(|(_, published)| published.is_ready()) {
                ("200 OK", "ok\n".to_owned())
            } else {
                ("503 Service Unavailable", "not ready\n".to_owned())
            }
        }
        _ => ("404 Not Found", "there is /metrics and /healthz\n".to_owned()),
    };
    write!(
        peer,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(address: SocketAddr, path: &str) -> String {
        let mut peer = TcpStream::connect(address).expect("it listens");
        write!(peer, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("answered and closed");
        answer
    }

    #[test]
    fn metrics_and_health_are_there_for_whoever_asks() {
        let published = Arc::new(Published::default());
        published.publish(&Counts { bytes_in_total: 17, ..Counts::default() });
        let servers = vec![("redis", published.clone())];
        let address = serve([127, 0, 0, 1].into(), 0, servers).expect("a port is free");
        assert!(ask(address, "/healthz").starts_with("HTTP/1.1 503"));
        published.set_ready(true);
        assert!(ask(address, "/healthz").ends_with("\r\n\r\nok\n"));
        let page = ask(address, "/metrics");
        assert!(page.contains("\nlab_bytes_in_total{broker=\"redis\"} 17\n"), "{page}");
        assert!(page.contains("# TYPE lab_connections gauge\n"));
        assert!(ask(address, "/").starts_with("HTTP/1.1 404"));
    }

    /// The rules of Prometheus's text format and of its names.
    #[test]
    fn the_page_is_what_a_scraper_reads() {
        let published = Arc::new(Published::default());
        let mut counts = Counts { bytes_out_total: 5, ..Counts::default() };
        counts.ended(Ended::SlowConsumer);
        published.publish(&counts);
        let servers = [("redis", published), ("nats", Arc::default())];
        let page = prometheus(&servers);
        assert!(page.contains("lab_closed_total{broker=\"redis\",reason=\"slow_consumer\"} 1\n"));
        let is_name = |text: &str| {
            let mut letters = text.chars();
            letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_lowercase() || letter == '_')
        };
        let mut lines = page.lines().peekable();
        let mut families = Vec::new();
        while let Some(line) = lines.next() {
            let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            assert!(is_name(name) && help.ends_with('.'), "{line}");
            assert!(!families.contains(&name), "{name} comes twice");
            families.push(name);
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            let mut samples = Vec::new();
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                let (series, value) = sample.rsplit_once(' ').unwrap();
                assert!(value.parse::<u64>().is_ok(), "{sample}");
                let labels = series.strip_prefix(name).unwrap();
                let labels = labels.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
                for label in labels.split(',') {
                    let (label, text) = label.split_once('=').unwrap();
                    assert!(is_name(label), "{sample}");
                    assert!(is_name(text.strip_prefix('"').unwrap().strip_suffix('"').unwrap()));
                }
                assert!(!samples.contains(&series), "{series} comes twice");
                samples.push(series);
            }
            assert!(samples.len() >= 2, "{name} is there for both servers");
        }
    }
}
