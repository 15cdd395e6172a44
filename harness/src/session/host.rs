//! What the run ran on, for the record.

use std::fs;

use lab_reports::record::{Host, Lab};

/// The program.
pub fn lab() -> Lab {
    Lab {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("LAB_COMMIT").filter(|commit| !commit.is_empty()).map(str::to_owned),
    }
}

/// The machine, as far as it tells.
pub fn host() -> Host {
    let names = rustix::system::uname();
    Host {
        cpu: cpu_name().unwrap_or_else(|| names.machine().to_string_lossy().into_owned()),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_bytes: rustix::system::sysinfo().totalram as u64
            * u64::from(rustix::system::sysinfo().mem_unit.max(1)),
        os: format!("{} {}", names.sysname().to_string_lossy(), names.release().to_string_lossy()),
    }
}

fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The time now, in UTC, as RFC 3339 with whole seconds.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The day, in UTC.
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// The machine in a few words.
pub fn machine() -> String {
    let host = host();
    format!("{}, {} cores, {}", host.cpu, host.cores, host.os)
}

/// The time now, for the name of a folder.
pub fn stamp() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}
