//! What the node knows beside its records: topics, their settings, producer ids.
//!
//! The journal is one file, [`NAME`], to which changes are appended; reading it
//! from the start gives the present state. It begins with a magic, a version and
//! the cluster's id. An entry is a length, a checksum of that length, the entry,
//! and a checksum of it: because the length has its own, a tail that a crash has
//! torn (there are too few bytes) can be told from damage (the bytes are there
//! and wrong). The first is cut and reported, the second ends the boot.

use broker_contract::{BootError, Disk, DiskError, FileId};

use super::log::{Cut, read_all};
use super::topics::PARTITIONS_MAX;

/// The journal's file. Logs are in folders, so it collides with none.
pub const NAME: &str = "meta";
const MAGIC: [u8; 4] = *b"KLOG";
const VERSION: u16 = 1;
/// Magic, version, cluster id.
const HEADER: usize = 4 + 2 + 16;
/// Length and its checksum.
const FRONT: usize = 8;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The node was booted: a new leader epoch begins.
    Booted,
    /// A topic was created.
    Created {
        /// Its name.
        topic: String,
        /// Its id.
        id: [u8; 16],
        /// How many partitions it has.
        partitions: u32,
        /// Its settings, by name, where they are its own.
        settings: Vec<(String, String)>,
    },
    /// A topic was deleted.
    Deleted {
        /// Its name.
        topic: String,
    },
    /// A topic has more partitions now.
    Extended {
        /// Its name.
        topic: String,
        /// How many partitions it has.
        partitions: u32,
    },
    /// A topic has another setting now, or none of its own.
    Set {
        /// Its name.
        topic: String,
        /// The setting's name.
        name: String,
        /// The setting's value.
        value: Option<String>,
    },
    /// Records were deleted from the front of a partition.
    Started {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: u32,
        /// Its first offset.
        offset: i64,
    },
    /// All producer ids below this one may have been given out.
    ProducerIds {
        /// The first that is free.
        next: i64,
    },
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    file: FileId,
    /// The id that the cluster was given when the store was made.
    pub cluster: [u8; 16],
}

/// What opening a journal has given.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// What it held.
    pub entries: Vec<Entry>,
    /// A torn tail that was cut off.
    pub cut: Option<Cut>,
}

impl Journal {
    /// Opens the journal of this store, or begins a new store on an empty disk.
    ///
    /// # Errors
    /// [`BootError::Store`] for a store that is foreign, newer or damaged.
    pub fn open(disk: &mut dyn Disk, new_cluster: [u8; 16]) -> Result<Opened, BootError> {
        let others: Vec<String> = disk.list("")?.into_iter().filter(|name| name != NAME).collect();
        let file = disk.open(NAME)?;
        let bytes = read_all(disk, file)?;
        if bytes.len() < HEADER {
            clear_beside(disk, &bytes, &others)?;
            let cut = (!bytes.is_empty()).then(|| Cut {
                file: NAME.to_owned(),
                offset: 0,
                bytes: bytes.len() as u64,
                reason: "the head is not whole".to_owned(),
                is_torn: true,
            });
            disk.truncate(file, 0)?;
            disk.append(file, &[&MAGIC, &VERSION.to_be_bytes(), &new_cluster])?;
            let journal = Journal { file, cluster: new_cluster };
            return Ok(Opened { journal, entries: Vec::new(), cut });
        }
        if bytes[..4] != MAGIC {
            return Err(wrong(0, "this is no store of the log: its magic is not KLOG".to_owned()));
        }
        let version = u16::from_be_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            let reason =
                format!("the store has version {version}, and this node knows only {VERSION}");
            return Err(wrong(4, reason));
        }
        let mut cluster = [0; 16];
        cluster.copy_from_slice(&bytes[6..HEADER]);
        let journal = Journal { file, cluster };
        let (entries, end) = read_entries(&bytes)?;
        let cut = (end < bytes.len()).then(|| Cut {
            file: NAME.to_owned(),
            offset: end as u64,
            bytes: (bytes.len() - end) as u64,
            reason: "an entry is not whole".to_owned(),
            is_torn: true,
        });
        if cut.is_some() {
            disk.truncate(file, end as u64)?;
        }
        Ok(Opened { journal, entries, cut })
    }

    /// Its file, to be synced.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Appends a change.
    ///
    /// # Errors
    /// [`DiskError`] of the disk; nothing was appended then.
    pub fn append(&self, disk: &mut dyn Disk, entry: &Entry) -> Result<(), DiskError> {
        let body = entry.encode();
        let len = (body.len() as u32).to_be_bytes();
        let (front, back) = (crc32c::crc32c(&len), crc32c::crc32c(&body));
        let parts: [&[u8]; 4] = [&len, &front.to_be_bytes(), &body, &back.to_be_bytes()];
        disk.append(self.file, &parts).map(drop)
    }
}

/// Makes way for a new store where the journal's head is not whole.
///
/// The head is synced before anything that is acknowledged as synced, so a crash
/// that tore it left nothing that counts: files beside it are empty, and go. Files
/// that hold bytes are somebody's records, and those no journal is worth: without
/// it nobody knows the topics, so the boot ends, and nothing is touched.
///
/// # Errors
/// [`BootError::Store`] with what is there and the way out.
fn clear_beside(disk: &mut dyn Disk, head: &[u8], others: &[String]) -> Result<(), BootError> {
    let known = [&MAGIC[..], &VERSION.to_be_bytes()].concat();
    let is_ours = head.iter().zip(&known).all(|(is, should)| is == should)
        || head.iter().all(|byte| *byte == 0);
    let is_log = |name: &&String| name.contains('/') && name.ends_with(".log");
    let mut empty = Vec::new();
    for name in others {
        let file = disk.open(name)?;
        if !is_ours || !name.contains('/') || disk.len(file)? > 0 {
            let reason = match others.iter().find(is_log) {
                Some(log) if is_ours => format!(
                    "the head of {NAME:?} is not whole, and there are records in {log:?} and \
                     perhaps others: put {NAME:?} back from a copy, or move everything here \
                     away to begin an empty store"
                ),
                _ => {
                    format!("this is no store of the log: there is {name:?}, and no whole {NAME:?}")
                }
            };
            return Err(wrong(head.len(), reason));
        }
        empty.push(name);
    }
    for name in empty {
        disk.delete(name)?;
    }
    Ok(())
}

fn wrong(offset: usize, reason: String) -> BootError {
    BootError::Store { file: NAME.to_owned(), offset: offset as u64, reason }
}

/// The entries behind the header, and where the last whole one ends.
fn read_entries(bytes: &[u8]) -> Result<(Vec<Entry>, usize), BootError> {
    let (mut entries, mut at) = (Vec::new(), HEADER);
    loop {
        let mut rest = &bytes[at..];
        if rest.iter().all(|byte| *byte == 0) {
            // Nothing, or what a file system puts where no byte has arrived.
            return Ok((entries, at));
        }
        let (Some(len), Some(front)) = (take::<4>(&mut rest), take::<4>(&mut rest)) else {
            return Ok((entries, at));
        };
        if crc32c::crc32c(&len) != u32::from_be_bytes(front) {
            return Err(wrong(at, "the length of an entry is damaged".to_owned()));
        }
        let len = u32::from_be_bytes(len) as usize;
        if rest.len() < len.saturating_add(4) {
            return Ok((entries, at));
        }
        let (body, mut rest) = rest.split_at(len);
        if take(&mut rest).map(u32::from_be_bytes) != Some(crc32c::crc32c(body)) {
            return Err(wrong(at, "an entry is damaged: its checksum does not fit".to_owned()));
        }
        let entry = Entry::decode(body)
            .ok_or_else(|| wrong(at, "an entry is of a kind that is not known".to_owned()))?;
        entries.push(entry);
        at += FRONT + len + 4;
    }
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Entry::Booted => out.push(0),
            Entry::Created { topic, id, partitions, settings } => {
                out.push(1);
                put_text(&mut out, topic);
                out.extend_from_slice(id);
                out.extend_from_slice(&partitions.to_be_bytes());
                out.extend_from_slice(&(settings.len() as u32).to_be_bytes());
                for (name, value) in settings {
                    put_text(&mut out, name);
                    put_text(&mut out, value);
                }
            }
            Entry::Deleted { topic } => {
                out.push(2);
                put_text(&mut out, topic);
            }
            Entry::Extended { topic, partitions } => {
                out.push(3);
                put_text(&mut out, topic);
                out.extend_from_slice(&partitions.to_be_bytes());
            }
            Entry::Set { topic, name, value } => {
                out.push(4);
                put_text(&mut out, topic);
                put_text(&mut out, name);
                out.push(u8::from(value.is_some()));
                put_text(&mut out, value.as_deref().unwrap_or_default());
            }
            Entry::Started { topic, partition, offset } => {
                out.push(5);
                put_text(&mut out, topic);
                out.extend_from_slice(&partition.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
            }
            Entry::ProducerIds { next } => {
                out.push(6);
                out.extend_from_slice(&next.to_be_bytes());
            }
        }
        out
    }

    fn decode(body: &[u8]) -> Option<Entry> {
        let mut rest = body;
        let count = |count: u32| (count <= PARTITIONS_MAX).then_some(count);
        let entry = match take::<1>(&mut rest)?[0] {
            0 => Entry::Booted,
            1 => {
                let (topic, id) = (text(&mut rest)?, take(&mut rest)?);
                let partitions = count(u32::from_be_bytes(take(&mut rest)?))?;
                let mut settings = Vec::new();
                for _ in 0..u32::from_be_bytes(take(&mut rest)?) {
                    settings.push((text(&mut rest)?, text(&mut rest)?));
                }
                Entry::Created { topic, id, partitions, settings }
            }
            2 => Entry::Deleted { topic: text(&mut rest)? },
            3 => Entry::Extended {
                topic: text(&mut rest)?,
                partitions: count(u32::from_be_bytes(take(&mut rest)?))?,
            },
            4 => {
                let (topic, name) = (text(&mut rest)?, text(&mut rest)?);
                let (is_some, value) = (take::<1>(&mut rest)?[0] != 0, text(&mut rest)?);
                Entry::Set { topic, name, value: is_some.then_some(value) }
            }
            5 => Entry::Started {
                topic: text(&mut rest)?,
                partition: u32::from_be_bytes(take(&mut rest)?),
                offset: i64::from_be_bytes(take(&mut rest)?),
            },
            6 => {
                let next = i64::from_be_bytes(take(&mut rest)?);
                // Counted up from here on, it must not come to an end.
                Entry::ProducerIds { next: (0..i64::MAX / 2).contains(&next).then_some(next)? }
            }
            _ => return None,
        };
        rest.is_empty().then_some(entry)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let len = u32::from_be_bytes(take(rest)?) as usize;
    let (text, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    String::from_utf8(text.to_vec()).ok()
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use broker_contract::MemoryDisk;
    use proptest::prelude::*;

    use super::*;

    fn entries() -> Vec<Entry> {
        let topic = || "orders".to_owned();
        let settings = vec![("retention.ms".to_owned(), "1000".to_owned())];
        vec![
            Entry::Booted,
            Entry::Created { topic: topic(), id: [7; 16], partitions: 3, settings },
            Entry::Extended { topic: topic(), partitions: 6 },
            Entry::Set { topic: topic(), name: "a".into(), value: Some("b".into()) },
            Entry::Set { topic: topic(), name: "a".into(), value: None },
            Entry::Started { topic: topic(), partition: 2, offset: 1 << 40 },
            Entry::ProducerIds { next: 1000 },
            Entry::Deleted { topic: topic() },
        ]
    }

    fn written() -> MemoryDisk {
        let mut disk = MemoryDisk::new();
        let opened = Journal::open(&mut disk, [3; 16]).expect("opens");
        assert!(opened.entries.is_empty());
        for entry in entries() {
            opened.journal.append(&mut disk, &entry).expect("appends");
        }
        disk
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut disk = written();
        let opened = Journal::open(&mut disk, [9; 16]).expect("opens");
        assert_eq!(opened.entries, entries());
        assert_eq!(opened.journal.cluster, [3; 16]);
        assert_eq!(opened.cut, None);
    }

    proptest! {
        #[test]
        fn a_crash_at_any_byte_leaves_whole_entries(at in 0_u64..400) {
            let mut disk = written();
            let file = disk.open(NAME).expect("opens");
            let len = disk.len(file).expect("has a length").min(at);
            disk.truncate(file, len).expect("cuts");
            let opened = Journal::open(&mut disk, [3; 16]).expect("opens");
            prop_assert_eq!(&opened.entries[..], &entries()[..opened.entries.len()]);
            opened.journal.append(&mut disk, &Entry::Booted).expect("appends");
            if len < HEADER as u64 {
                prop_assert_eq!(opened.cut.is_some(), len > 0);
            }
            let again = Journal::open(&mut disk, [3; 16]).expect("opens");
            prop_assert_eq!(again.cut, None);
            prop_assert_eq!(again.entries.last(), Some(&Entry::Booted));
        }

        #[test]
        fn a_flipped_bit_ends_the_boot(at: prop::sample::Index, bit in 0..8_u8) {
            let mut disk = written();
            let file = disk.open(NAME).expect("opens");
            let mut bytes = read_all(&mut disk, file).expect("reads");
            // The cluster's id is not covered: any is as good as another.
            let at = at.index(bytes.len());
            prop_assume!(!(6..HEADER).contains(&at));
            bytes[at] ^= 1 << bit;
            disk.truncate(file, 0).expect("cuts");
            disk.append(file, &[&bytes]).expect("appends");
            let error = Journal::open(&mut disk, [3; 16]).expect_err("is damaged");
            prop_assert!(matches!(error, BootError::Store { .. }), "{error}");
        }
    }

    #[test]
    fn every_flipped_bit_ends_the_boot_and_every_cut_is_reported() {
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut disk = written();
            let file = disk.open(NAME).expect("opens");
            let mut bytes = read_all(&mut disk, file).expect("reads");
            change(&mut bytes);
            disk.truncate(file, 0).expect("cuts");
            disk.append(file, &[&bytes]).expect("appends");
            disk
        };
        let mut ends = vec![0, HEADER];
        for entry in entries() {
            ends.push(ends[ends.len() - 1] + FRONT + entry.encode().len() + 4);
        }
        let len = ends[ends.len() - 1];
        for bit in 0..len * 8 {
            let mut disk = with(&|bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            if (6..HEADER).contains(&(bit / 8)) {
                // The cluster's id is not covered: any is as good as another.
                continue;
            }
            match Journal::open(&mut disk, [3; 16]).map(|opened| opened.entries) {
                Err(BootError::Store { file, .. }) => assert_eq!(file, NAME),
                other => panic!("bit {bit}: {other:?}"),
            }
        }
        for at in 0..len {
            let opened = Journal::open(&mut with(&|bytes| bytes.truncate(at)), [3; 16]);
            let opened = opened.expect("a crash may leave it like this");
            let whole = entries();
            assert_eq!(opened.entries, whole[..opened.entries.len()], "cut at {at}");
            // What is left is a whole number of entries, or the rest is reported.
            assert_eq!(opened.cut.is_none(), ends.contains(&at), "cut at {at}");
        }
    }

    #[test]
    fn entries_with_numbers_that_nobody_writes_are_refused() {
        let topic = || "t".to_owned();
        for entry in [
            Entry::ProducerIds { next: i64::MAX },
            Entry::ProducerIds { next: -1 },
            Entry::Extended { topic: topic(), partitions: u32::MAX },
            Entry::Created { topic: topic(), id: [0; 16], partitions: u32::MAX, settings: vec![] },
        ] {
            let mut disk = written();
            let opened = Journal::open(&mut disk, [3; 16]).expect("opens");
            opened.journal.append(&mut disk, &entry).expect("appends");
            let error = Journal::open(&mut disk, [3; 16]).expect_err("is refused");
            assert!(error.to_string().contains("of a kind that is not known"), "{error}");
        }
    }

    #[test]
    fn a_torn_head_begins_anew_beside_empty_files_and_spares_records() {
        let torn = |beside: &[u8]| {
            let mut disk = MemoryDisk::new();
            let file = disk.open(NAME).expect("opens");
            disk.append(file, &[b"KLOG\0\x01\x03\x03"]).expect("appends");
            let log = disk.open("t-0/00000000000000000000.log").expect("opens");
            disk.append(log, &[beside]).expect("appends");
            disk
        };
        let mut disk = torn(b"");
        let opened = Journal::open(&mut disk, [9; 16]).expect("a crash leaves it like this");
        assert_eq!((opened.journal.cluster, opened.entries), ([9; 16], vec![]));
        assert_eq!(opened.cut.map(|cut| (cut.bytes, cut.is_torn)), Some((8, true)));
        assert_eq!(disk.list("").expect("lists"), [NAME]);
        let mut disk = torn(b"records");
        let error = Journal::open(&mut disk, [9; 16]).expect_err("records are there").to_string();
        assert_eq!(
            error,
            "meta at byte 8: the head of \"meta\" is not whole, and there are records in \
             \"t-0/00000000000000000000.log\" and perhaps others: put \"meta\" back from a copy, \
             or move everything here away to begin an empty store"
        );
        assert_eq!(disk.list("").expect("lists").len(), 2, "nothing is touched");
    }

    #[test]
    fn foreign_and_newer_stores_are_named() {
        let mut disk = MemoryDisk::new();
        disk.open("dump.rdb").expect("opens");
        let error = Journal::open(&mut disk, [0; 16]).expect_err("is foreign").to_string();
        assert_eq!(
            error,
            "meta at byte 0: this is no store of the log: there is \"dump.rdb\", and no whole \"meta\""
        );
        let mut disk = MemoryDisk::new();
        let file = disk.open(NAME).expect("opens");
        disk.append(file, &[b"KLOG\0\x09", &[0; 16]]).expect("appends");
        let error = Journal::open(&mut disk, [0; 16]).expect_err("is newer").to_string();
        assert_eq!(error, "meta at byte 4: the store has version 9, and this node knows only 1");
    }
}
