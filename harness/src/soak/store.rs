//! Stores that a run left behind: booted as they are, after a power loss, and
//! damaged on purpose.
//!
//! A store that a killed process or a power loss leaves must boot. One that
//! somebody damaged must boot, perhaps cut back, or be refused with a typed
//! error; it must never bring the node down.

use broker_contract::{
    Boot, BootError, Broker, Client, Configured, Contender, CrashKind, Disk, DiskError, Effects,
    Input, MemoryDisk, NodeId, SeedStream, Time,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::panics::caught;

/// What became of damaged stores.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Damaged {
    /// Refused with a typed error.
    pub refused: u64,
    /// Booted, and the node said something about it or changed a file.
    pub repaired: u64,
    /// Booted without a word: what is wrong is found on reading, if at all.
    pub silent: u64,
}

impl Damaged {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: Damaged) {
        self.refused += other.refused;
        self.repaired += other.repaired;
        self.silent += other.silent;
    }

    /// All that were tried.
    pub const fn all(self) -> u64 {
        self.refused + self.repaired + self.silent
    }
}

/// Boots `C` from copies of `disk`: as a killed process leaves it, after a power
/// loss that tears the unsynced ends off, and after `damages` pieces of damage,
/// each on a fresh copy. Does nothing where nothing was stored.
///
/// # Errors
/// What went wrong, and after what, in one line.
pub fn try_boots<C: Contender>(
    configured: &Configured<C>,
    disk: &MemoryDisk,
    seed: SeedStream,
    damages: u32,
    counts: &mut Damaged,
) -> Result<(), String> {
    if disk.used() == 0 {
        return Ok(());
    }
    let config = &configured.node;
    let mut rng = seed.fork("stores").rng();
    let as_left = boot::<C::Client>(config, disk.clone(), seed)
        .map_err(|how| format!("after a killed process: {how}"))?;
    as_left.refused().map_err(|how| format!("after a killed process it does not boot: {how}"))?;
    let mut torn = disk.clone();
    torn.crash(CrashKind::PowerLoss, |unsynced| rng.random_range(0..=unsynced));
    let torn = boot::<C::Client>(config, torn, seed)
        .map_err(|how| format!("after a power loss: {how}"))?;
    torn.refused().map_err(|how| format!("after a power loss it does not boot: {how}"))?;
    for _ in 0..damages {
        let mut copy = disk.clone();
        let what = damage(&mut copy, &mut rng).map_err(|error| error.to_string())?;
        let booted =
            boot::<C::Client>(config, copy, seed).map_err(|how| format!("{what}: {how}"))?;
        match booted {
            Booted::Refused(_) => counts.refused += 1,
            Booted::Well { remarked: true } => counts.repaired += 1,
            Booted::Well { remarked: false } => counts.silent += 1,
        }
    }
    Ok(())
}

/// How a boot ended.
enum Booted {
    /// With a typed error.
    Refused(BootError),
    /// With a node; whether it noted anything, or changed a file.
    Well { remarked: bool },
}

impl Booted {
    fn refused(self) -> Result<(), BootError> {
        match self {
            Booted::Refused(error) => Err(error),
            Booted::Well { .. } => Ok(()),
        }
    }
}

/// Boots a node on `disk`, and lets it stop again. The error is a panic.
fn boot<K: Client>(
    config: &<K::Broker as Broker>::Config,
    mut disk: MemoryDisk,
    seed: SeedStream,
) -> Result<Booted, String> {
    let before = lengths(&mut disk);
    caught(|| {
        let mut effects: Effects<K::Broker> = Effects::new(Box::new(disk));
        let boot = Boot { seed, node: NodeId(0), peers: vec![NodeId(0)] };
        match K::Broker::boot(config, boot, Time::ZERO, &mut effects) {
            Err(error) => Booted::Refused(error),
            Ok(mut node) => {
                let noted = effects
                    .as_slice()
                    .iter()
                    .any(|effect| matches!(effect, broker_contract::Effect::Note(_)));
                let after = effects.disk_as::<MemoryDisk>().map(lengths).unwrap_or_default();
                for input in [Input::Tick, Input::Drain] {
                    node.handle(Time::from_millis(1), input, &mut effects);
                }
                Booted::Well { remarked: noted || after != before }
            }
        }
    })
}

fn lengths(disk: &mut MemoryDisk) -> Vec<(String, u64)> {
    let names = disk.list("").unwrap_or_default();
    names
        .into_iter()
        .filter_map(|name| {
            let file = disk.open(&name).ok()?;
            let len = disk.len(file).ok()?;
            Some((name, len))
        })
        .collect()
}

/// Damages one file, and says how.
fn damage(disk: &mut MemoryDisk, rng: &mut ChaCha8Rng) -> Result<String, DiskError> {
    let mut files = lengths(disk);
    files.retain(|(_, len)| *len > 0);
    if files.is_empty() {
        return Ok("nothing to damage".to_owned());
    }
    let (name, len) = files.swap_remove(rng.random_range(0..files.len()));
    let mut bytes = read(disk, &name, len)?;
    let at = rng.random_range(0..bytes.len());
    let what = match rng.random_range(0..5) {
        0 => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            format!("a bit of `{name}` at {at} flipped")
        }
        1 => {
            bytes.truncate(at);
            format!("`{name}` cut at {at} of {len}")
        }
        2 => {
            let until = (at + 512).min(bytes.len());
            bytes[at..until].fill(0);
            format!("`{name}` zeroed from {at} to {until}")
        }
        3 => {
            let more = rng.random_range(1..64);
            bytes.extend((0..more).map(|_| rng.random::<u8>()));
            format!("{more} bytes of noise after `{name}`")
        }
        _ => {
            disk.delete(&name)?;
            return Ok(format!("`{name}` deleted"));
        }
    };
    let file = disk.open(&name)?;
    disk.truncate(file, 0)?;
    disk.append(file, &[&bytes])?;
    disk.complete_sync(file);
    Ok(what)
}

fn read(disk: &mut MemoryDisk, name: &str, len: u64) -> Result<Vec<u8>, DiskError> {
    let file = disk.open(name)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let got = disk.read_at(file, 0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}
