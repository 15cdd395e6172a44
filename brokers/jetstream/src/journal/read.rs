//! Reading a journal back.

use broker_contract::{Disk, FileId};

use super::{Event, FILE_HEAD, HEAD, Journal, MAGIC, VERSION, file_name};
use crate::store::block::read_file;
use crate::store::{LAST_SEQ, OpenError};

/// What a journal holds.
#[derive(Debug)]
pub(crate) struct Replay {
    pub journal: Journal,
    pub events: Vec<Event>,
    /// Bytes of a torn tail that were cut off.
    pub cut: u64,
    /// Offsets at which records were damaged.
    pub damage: Vec<u64>,
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32_at(bytes, at)?) | u64::from(u32_at(bytes, at + 4)?) << 32)
}

/// The event that `bytes` begin with, and its length.
fn decode(bytes: &[u8]) -> Option<(Event, usize)> {
    let len = u32_at(bytes, 4)? as usize;
    let end = HEAD.checked_add(len)?;
    let record = bytes.get(..end)?;
    if crc32c::crc32c(&record[4..]) != u32_at(record, 0)? {
        return None;
    }
    let body = &record[HEAD..];
    let id = u32_at(body, 0);
    let number = |place: usize| u64_at(body, 4 + 8 * place).filter(|number| *number <= LAST_SEQ);
    let event = match record[8] {
        1 => Event::Stream(body.to_vec()),
        2 => Event::Consumer { id: id?, json: body[4..].to_vec() },
        3 => Event::Removed { id: id? },
        4 => Event::Delivered {
            id: id?,
            stream_seq: number(0)?,
            consumer_seq: number(1)?,
            // Counted up from here on, it must not come to an end.
            count: u32::try_from(number(2)?).ok().filter(|count| *count <= u32::MAX / 2)?,
        },
        5 => Event::Settled { id: id?, stream_seq: number(0)? },
        6 => Event::SettledTo { id: id?, stream_seq: number(0)? },
        7 => Event::Passed { id: id?, stream_seq: number(0)?, consumer_seq: number(1)? },
        8 => Event::Deleted,
        9 => Event::GaveUp { id: id?, stream_seq: number(0)? },
        _ => return None,
    };
    Some((event, end))
}

/// Reads the journal below `dir`; `None` when it ends before its first event does,
/// so that the stream was never acknowledged to exist.
///
/// # Errors
/// [`OpenError`], when the file is foreign or newer, its first event is damaged, or
/// the disk fails.
pub(crate) fn replay(disk: &mut dyn Disk, dir: &str) -> Result<Option<Replay>, OpenError> {
    let name = file_name(dir);
    let file = disk.open(&name)?;
    let bytes = read_file(disk, file)?;
    let refuse = |offset: usize, reason: String| OpenError::File {
        file: name.clone(),
        offset: offset as u64,
        reason,
    };
    let seen = bytes.len().min(MAGIC.len());
    if bytes[..seen] != MAGIC[..seen] {
        return Err(refuse(0, "this is not the journal of a stream".to_owned()));
    }
    if bytes.len() <= FILE_HEAD {
        return Ok(None);
    }
    match u32_at(&bytes, 8) {
        Some(VERSION) => {}
        version => {
            let version = version.unwrap_or(0);
            let reason = format!(
                "it was written in format {version}, and this version reads format {VERSION}"
            );
            return Err(refuse(8, reason));
        }
    }
    if u32_at(&bytes, 12) != Some(crc32c::crc32c(&bytes[..12])) {
        return Err(refuse(12, "the checksum of the file's head is wrong".to_owned()));
    }
    let (mut events, mut damage) = (Vec::new(), Vec::new());
    let mut at = FILE_HEAD;
    while at < bytes.len() {
        if let Some((event, len)) = decode(&bytes[at..]) {
            events.push(event);
            at += len;
            continue;
        }
        let next = (at + 1..bytes.len()).find(|next| decode(&bytes[*next..]).is_some());
        let is_whole = u32_at(&bytes, at + 4)
            .is_some_and(|len| (HEAD + len as usize).saturating_add(at) <= bytes.len());
        if events.is_empty() && (next.is_some() || is_whole) {
            return Err(refuse(at, "the stream's configuration is damaged".to_owned()));
        }
        match next {
            Some(next) => {
                damage.push(at as u64);
                at = next;
            }
            None => break,
        }
    }
    if events.is_empty() {
        return Ok(None);
    }
    let cut = (bytes.len() - at) as u64;
    if cut > 0 {
        disk.truncate(file, at as u64)?;
    }
    let mut journal = opened(name, file, at as u64);
    journal.is_behind = !damage.is_empty();
    Ok(Some(Replay { journal, events, cut, damage }))
}

fn opened(name: String, file: FileId, len: u64) -> Journal {
    let mut journal = Journal::with(name, file, len);
    // How much of it is needed is not known, so a first look finds it fresh.
    journal.fresh_len = len.min(super::COMPACT_FROM);
    journal
}
