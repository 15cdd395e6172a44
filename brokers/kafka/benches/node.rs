//! The log node through `handle`: batches of 16 KB with 160 records of 100 B.
//!
//! Every benchmark is a test as well: an answer that is not a success, or a batch
//! that does not come back, ends it. Frames are made outside of what is timed;
//! making them is the client's work.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::iter::empty;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use broker_contract::{
    Boot, Broker, ConnId, Disk, DiskError, DiskIo, Effect, Effects, FileId, Frame, Input,
    MemoryDisk, NodeId, Origin, SeedStream, Time,
};
use broker_kafka::frame::batch::BatchWriter;
use broker_kafka::frame::{Codec, Down, Request, Response, Up};
use broker_kafka::{Kafka, KafkaConfig};
use bytes::Bytes;
use criterion::measurement::{Measurement, WallTime};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{CreateTopicsRequest, FetchRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use tempfile::{NamedTempFile, TempDir};

/// Records in a batch.
const RECORDS: usize = 160;
/// Bytes of a record on the wire, so that a batch has 16 KB.
const VALUE: usize = 92;
/// Inputs that a driver hands in before it flushes the disk.
const INPUTS: usize = 16;
/// Requests after which the log is emptied, outside of the time: 64 MiB of it.
const REQUESTS: u64 = 4096;
/// The producing connection.
const CONN: ConnId = ConnId(0);

/// Real files, as the embedded mode has them: appends are gathered, and written
/// by `flush`, one write a file.
#[derive(Debug)]
struct Files {
    folder: TempDir,
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, Open>,
    dirty: Vec<FileId>,
}

#[derive(Debug)]
struct Open {
    file: NamedTempFile,
    len: u64,
    gathered: Vec<u8>,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        Files { folder, names: BTreeMap::new(), files: BTreeMap::new(), dirty: Vec::new() }
    }

    fn open_file(&mut self, id: FileId) -> Result<&mut Open, DiskError> {
        self.files.get_mut(&id).ok_or(DiskError::NotOpen(id))
    }
}

fn failed(error: std::io::Error) -> DiskError {
    let reason = error.to_string();
    DiskError::Io(Box::new(DiskIo { operation: "use", file: String::new(), reason }))
}

impl Open {
    fn write_gathered(&mut self) -> Result<(), DiskError> {
        self.file.write_all(&self.gathered).map_err(failed)?;
        self.gathered.clear();
        Ok(())
    }
}

impl Disk for Files {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let id = FileId(self.names.len() as u32 + 1_000 * self.files.len() as u32);
        let file = NamedTempFile::new_in(&self.folder).map_err(failed)?;
        self.names.insert(name.to_owned(), id);
        self.files.insert(id, Open { file, len: 0, gathered: Vec::new() });
        Ok(id)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let open = self.open_file(file)?;
        let (offset, is_first) = (open.len, open.gathered.is_empty());
        for part in parts {
            open.gathered.extend_from_slice(part);
            open.len += part.len() as u64;
        }
        if is_first {
            self.dirty.push(file);
        }
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let open = self.open_file(file)?;
        if offset + buf.len() as u64 > open.len - open.gathered.len() as u64 {
            open.write_gathered()?;
        }
        let want = buf.len().min(open.len.saturating_sub(offset) as usize);
        open.file.as_file().read_exact_at(&mut buf[..want], offset).map_err(failed)?;
        Ok(want)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.open_file(file)?.len)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let open = self.open_file(file)?;
        open.write_gathered()?;
        if len < open.len {
            open.file.as_file().set_len(len).map_err(failed)?;
            open.len = len;
        }
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        Ok(self.names.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let id = self.names.remove(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        if let Some(old) = self.names.insert(to.to_owned(), id) {
            self.files.remove(&old);
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        let id = self.names.remove(name).ok_or_else(|| DiskError::NotFound(name.to_owned()))?;
        self.files.remove(&id);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        for id in std::mem::take(&mut self.dirty) {
            if let Some(open) = self.files.get_mut(&id) {
                open.write_gathered()?;
            }
        }
        Ok(())
    }
}

/// A node with one topic of one partition and one connection.
struct Stand {
    node: Kafka,
    out: Effects<Kafka>,
}

fn boot(out: &mut Effects<Kafka>) -> Kafka {
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    Kafka::boot(&KafkaConfig::default(), boot, Time::ZERO, out).expect("boots")
}

fn frame(version: i16, request: impl Into<Request>) -> Up {
    Up { correlation: 1, version, client_id: Some("bench".into()), request: request.into() }
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("bench"))
}

impl Stand {
    fn new(disk: Box<dyn Disk>) -> Stand {
        let mut out = Effects::new(disk);
        let node = boot(&mut out);
        let mut stand = Stand { node, out };
        stand.input(Input::Opened { conn: CONN, origin: Origin::default() });
        let topic = CreatableTopic::default()
            .with_name(topic())
            .with_num_partitions(1)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        stand.input(Input::Frame { conn: CONN, frame: frame(7, request) });
        stand.release();
        stand
    }

    /// Empties the topic's files, keeping what the disk has set aside for them,
    /// and boots again.
    fn rewind(&mut self) {
        let disk = self.out.disk();
        for name in disk.list("bench-0/").expect("lists") {
            let file = disk.open(&name).expect("opens");
            disk.truncate(file, 0).expect("cuts");
        }
        self.out.clear();
        self.node = boot(&mut self.out);
        self.input(Input::Opened { conn: CONN, origin: Origin::default() });
        self.release();
    }

    fn input(&mut self, input: Input<Kafka>) {
        self.node.handle(Time::from_millis(1), input, &mut self.out);
    }

    /// What a driver does after a batch of inputs. Returns the fetched bytes.
    fn release(&mut self) -> usize {
        self.out.disk().flush().expect("writes");
        let mut fetched = 0;
        loop {
            let effects: Vec<_> = self.out.drain().collect();
            if effects.is_empty() {
                return fetched;
            }
            for effect in effects {
                match effect {
                    Effect::Send { conn, frame } => {
                        let bytes = frame.wire_len() as u64;
                        fetched += check(&frame);
                        self.input(Input::Drained { conn, bytes });
                    }
                    Effect::Sync { token, .. } => {
                        self.input(Input::Synced { token, result: Ok(()) });
                    }
                    Effect::Close { reason, .. } => panic!("closed: {reason:?}"),
                    Effect::Peer { .. } | Effect::Note(_) => {}
                }
            }
        }
    }
}

/// Every answer is a success. Returns the bytes of a fetch.
fn check(frame: &Down) -> usize {
    match &frame.response {
        Response::Produce(response) => {
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
            0
        }
        Response::Fetch(response) => {
            let data = &response.responses[0].partitions[0];
            assert_eq!(data.error_code, 0);
            data.records.as_ref().map_or(0, Bytes::len)
        }
        _ => 0,
    }
}

fn batch() -> Bytes {
    let mut writer = BatchWriter::new();
    for at in 0..RECORDS {
        writer.push(at as i64, None, Some(&[b'x'; VALUE]), empty());
    }
    writer.finish(Codec::None).expect("finishes").into()
}

fn produce(batch: &Bytes) -> Up {
    let data = PartitionProduceData::default().with_records(Some(batch.clone()));
    let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
    frame(9, ProduceRequest::default().with_acks(-1).with_topic_data(vec![data]))
}

fn fetch(offset: i64, max: i32) -> Up {
    let wanted = FetchPartition::default()
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(max);
    let wanted = FetchTopic::default().with_topic(topic()).with_partitions(vec![wanted]);
    let request = FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_topics(vec![wanted]);
    frame(12, request)
}

/// Produces `count` batches and times it without making frames and without what
/// [`Stand::rewind`] does between rounds.
fn timed_produce(stand: &mut Stand, count: u64) -> Duration {
    let batch = batch();
    let (mut left, mut time) = (count, Duration::ZERO);
    while left > 0 {
        let now = left.min(REQUESTS);
        left -= now;
        stand.rewind();
        let mut frames: Vec<Up> = (0..now).map(|_| produce(&batch)).collect();
        let start = WallTime.start();
        while !frames.is_empty() {
            for frame in frames.drain(frames.len().saturating_sub(INPUTS)..) {
                stand.input(Input::Frame { conn: CONN, frame });
            }
            stand.release();
        }
        time += WallTime.end(start);
    }
    time
}

fn producing(c: &mut Criterion) {
    let mut group = c.benchmark_group("produce 160 records of 100 B");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let disks: [(&str, Box<dyn Disk>); 2] =
        [("in memory", Box::new(MemoryDisk::new())), ("real files", Box::new(Files::new()))];
    for (name, disk) in disks {
        let mut stand = Stand::new(disk);
        // One round ahead maps the memory and fills the page cache: the node is
        // measured, not the kernel's clearing of pages.
        timed_produce(&mut stand, REQUESTS);
        group.bench_function(name, |b| b.iter_custom(|count| timed_produce(&mut stand, count)));
    }
    group.finish();
}

/// A stand with `batches` batches in its log.
fn filled(disk: Box<dyn Disk>, batches: u64) -> Stand {
    let batch = batch();
    let mut stand = Stand::new(disk);
    for at in 0..batches {
        stand.input(Input::Frame { conn: CONN, frame: produce(&batch) });
        if at % INPUTS as u64 == 0 {
            stand.release();
        }
    }
    stand.release();
    stand
}

fn fetching(c: &mut Criterion) {
    let mut group = c.benchmark_group("fetch records of 100 B");
    let size = batch().len();
    for (name, batches) in [("one batch of 160", 1_u64), ("1 MB", 64)] {
        group.throughput(Throughput::Elements(batches * RECORDS as u64));
        let max = (batches as usize * size) as i32;
        let run = |group: &mut BenchmarkGroup<'_, WallTime>, kind: &str, disk: Box<dyn Disk>| {
            let mut stand = filled(disk, 4096);
            let mut offset = 0;
            group.bench_function(BenchmarkId::new(kind, name), |b| {
                b.iter(|| {
                    let frame = fetch(offset, max);
                    stand.input(Input::Frame { conn: CONN, frame });
                    let bytes = black_box(stand.release());
                    assert_eq!(bytes, max as usize);
                    offset += (batches * RECORDS as u64) as i64;
                    if offset == 4096 * RECORDS as i64 {
                        offset = 0;
                    }
                });
            });
        };
        run(&mut group, "in memory", Box::new(MemoryDisk::new()));
        run(&mut group, "real files", Box::new(Files::new()));
    }
    group.finish();
}

/// Ten million records, all of them in the active segment: after a kill every
/// byte is checked, after an orderly end nothing is.
fn reopening(c: &mut Criterion) {
    let mut group = c.benchmark_group("reopen 10 M records of 100 B");
    group.sample_size(10);
    let batches = 10_000_000 / RECORDS as u64;
    let Stand { node, mut out } = filled(Box::new(Files::new()), batches);
    drop(node);
    group.bench_function("after a kill", |b| {
        b.iter(|| {
            out.clear();
            let node = boot(&mut out);
            assert!(node.cuts().is_empty());
            node
        });
    });
    let node = boot(&mut out);
    let mut stand = Stand { node, out };
    stand.release();
    stand.input(Input::Drain);
    stand.release();
    let Stand { node, mut out } = stand;
    drop(node);
    group.bench_function("after an orderly end", |b| {
        b.iter(|| {
            out.clear();
            let node = boot(&mut out);
            assert!(node.cuts().is_empty());
            node
        });
    });
    group.finish();
}

criterion_group!(benches, producing, fetching, reopening);
criterion_main!(benches);
