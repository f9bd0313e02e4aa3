//! A disk in a file: a loop device with a file system of its own, and what a power cut leaves of it.
//!
//! The file holds what reached the device, and nothing that the kernel only meant to write. Decides how such a disk is
//! made, cut and cleaned up; must not know what is on it. Needs root; where `USHER_TEST_NO_LOOP` says that this
//! machine cannot do it, tests say so and end.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::station::told;

/// Why there are no such disks here, if somebody has said so.
pub fn why_not() -> Option<String> {
    env::var("USHER_TEST_NO_LOOP").ok()
}

/// The kernel's journaling file systems that servers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Debian's default.
    Ext4,
    /// Red Hat's.
    Xfs,
}

/// What a device holds at one moment, as a file. Removed when dropped.
pub struct Image {
    kind: FileSystem,
    directory: TempDir,
}

/// A mounted image. Dropping it unmounts it and removes the image.
pub struct Disk {
    image: Image,
    at: PathBuf,
    /// As `loop0`.
    device: String,
}

impl FileSystem {
    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// No write of the kernel's own goes on behind a file system that is made whole at once.
    fn make(self) -> &'static str {
        match self {
            Self::Ext4 => "mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0",
            Self::Xfs => "mkfs.xfs -q",
        }
    }

    /// The smallest that its tools make, with a little room.
    fn size(self) -> &'static str {
        match self {
            Self::Ext4 => "64M",
            Self::Xfs => "320M",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Ext4 => "loop",
            // Its copies are mounted beside it.
            Self::Xfs => "loop,nouuid",
        }
    }
}

impl Image {
    fn empty(kind: FileSystem) -> Self {
        // In memory a flush of the device costs nothing, and nothing else waits for it.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        };
        let directory = directory.unwrap();
        Self { kind, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    /// Another file with the same bytes.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::empty(self.kind);
        let files = [&*self.file(), &copy.file()];
        run("cp --sparse=always \"$1\" \"$2\"", &files);
        copy
    }
}

impl Disk {
    /// An empty one.
    pub fn make(kind: FileSystem) -> Self {
        let image = Image::empty(kind);
        let script = format!("truncate -s {} \"$1\"; {} \"$1\"", kind.size(), kind.make());
        run(&script, &[&image.file()]);
        // What was zeroed costs nothing to copy any more.
        Self::mount(image.copy())
    }

    /// Mounts what a power cut has left; the file system mends itself, as after the cut.
    pub fn mount(image: Image) -> Self {
        let at = image.directory.path().join("mounted");
        fs::create_dir(&at).unwrap();
        let (kind, options) = (image.kind.name(), image.kind.options());
        let script =
            format!("mount -t {kind} -o {options} \"$1\" \"$2\"; findmnt -no SOURCE \"$2\"");
        let said = run(&script, &[&image.file(), &at]);
        let device = said.trim().strip_prefix("/dev/").unwrap().to_owned();
        Self { image, at, device }
    }

    /// Where it is mounted.
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// What its device holds now. The writer must be stopped; what the kernel writes by itself while the copy is made
    /// would tear it, so such a copy is made anew.
    pub fn cut(&self) -> Image {
        for _ in 0..COPIES_MAX {
            let before = self.writes();
            let image = self.image.copy();
            if self.writes() == before {
                return image;
            }
        }
        panic!("{} is written to all the time", self.device);
    }

    /// Ends all writing at once, also what is under way, as a power cut does; nothing can be written any more.
    pub fn shut_down(&self) {
        run("xfs_io -x -c shutdown \"$1\"", &[&self.at]);
    }

    /// Writes completed, sectors written, requests under way, flushes completed.
    fn writes(&self) -> [String; 4] {
        for _ in 0..COPIES_MAX {
            let stat = fs::read_to_string(format!("/sys/block/{}/stat", self.device)).unwrap();
            let fields: Vec<_> = stat.split_whitespace().map(str::to_owned).collect();
            if fields[8] == "0" {
                return [4, 6, 8, 15].map(|index| fields[index].clone());
            }
            thread::sleep(POLL);
        }
        panic!("{} never rests", self.device);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there does not keep the mount, and the device goes with the last.
        let at = self.at.as_os_str();
        let unmounted = shell("umount -l \"$1\"").arg(at).output();
        if !unmounted.is_ok_and(|it| it.status.success()) {
            eprintln!("{} stays mounted", self.at.display());
        }
    }
}

/// A process that does not run until this is dropped: all of its threads are stopped.
pub struct Stopped(Pid);

impl Stopped {
    /// Stops it, and waits until it is.
    pub fn process(pid: Pid) -> Self {
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = Self(pid);
        let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
        for _ in 0..STOPS_MAX {
            if threads(&tasks).all(|state| state == 'T') {
                return stopped;
            }
            thread::sleep(POLL);
        }
        panic!("{pid:?} does not stop");
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It fails only where the process is gone.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// The state of each thread, in the kernel's letter.
fn threads(tasks: &str) -> impl Iterator<Item = char> {
    let entries = fs::read_dir(tasks).into_iter().flatten().flatten();
    entries.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    })
}

fn run(script: &str, arguments: &[&Path]) -> String {
    let output: Output = shell(script).args(arguments).output().unwrap();
    told(&output, script)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command.args(["-e", "-c", script, "sh"]);
    command
}

const COPIES_MAX: u32 = 1000;
const STOPS_MAX: u32 = 10_000;
const POLL: Duration = Duration::from_millis(1);
