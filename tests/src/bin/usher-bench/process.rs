//! Reads what the kernel knows of a process or a file: memory, time on a processor, bytes written, bytes kept.
//! Must not judge any of it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Memory that is resident now, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    of_status(&status(pid), "VmRSS:").unwrap()
}

/// The most memory that was ever resident, in KiB.
pub(crate) fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    of_status(&status, "VmHWM:")
}

/// Nanoseconds on a processor so far, of all threads that are alive.
pub(crate) fn busy_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of_thread = |path: &Path| {
        // A thread may end meanwhile.
        let schedstat = fs::read_to_string(path.join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    };
    threads
        .filter_map(|thread| of_thread(&thread.ok()?.path()))
        .sum()
}

/// Bytes it made the kernel write so far, or meant to.
pub(crate) fn written_bytes(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    of_status(&io, "write_bytes:").unwrap()
}

/// Bytes that the files below a directory take on the disk.
pub(crate) fn kept_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let of_entry = |path: &Path| match fs::symlink_metadata(path) {
        Ok(it) if it.is_dir() => kept_bytes(path),
        Ok(it) => it.blocks() * BLOCK_BYTES,
        // Gone meanwhile.
        Err(_) => 0,
    };
    entries.flatten().map(|it| of_entry(&it.path())).sum()
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

/// The number behind a name, whatever its unit.
fn of_status(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_by_its_whole_name() {
        let status =
            "VmHWM:\t  300 kB\nVmRSS:\t  200 kB\ncancelled_write_bytes: 9\nwrite_bytes: 7\n";
        let found = ["VmRSS:", "VmHWM:", "write_bytes:", "VmPeak:"].map(|it| of_status(status, it));
        assert_eq!(found, [Some(200), Some(300), Some(7), None]);
    }

    #[test]
    fn this_process_has_memory_and_has_run() {
        let own = std::process::id();
        assert!(resident_kib(own) > 100 && peak_kib(own) >= Some(resident_kib(own) / 2));
        assert!(busy_ns(own) > 0);
    }
}
