//! The snapshot file: a checksummed copy of the live state and of the usage log's head (S6).
//!
//! It decides the file's bytes (documented in `docs/formats.md`). It must not touch a store: `restore.rs`
//! does.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::files::{self, sync_directory};
use super::{JournalError, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::usage::LogHead;

/// A finished snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub header: SnapshotHeader,
    /// Number of keys in it.
    pub records: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// What a snapshot says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Version of the records in it (S7).
    pub store_version: u8,
    /// Epoch of the daemon life that wrote it.
    pub epoch: u64,
    /// The last commit number in it.
    pub head: u64,
    /// The usage log's head at that moment: what came after it can be replayed.
    pub log: LogHead,
}

/// One key with its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Takes one record into a snapshot.
pub type Take<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), JournalError>;

/// Writes a new snapshot file of what `records` gives, durable on return. An existing `target` is never
/// overwritten.
pub fn write_snapshot(
    target: &Path,
    header: &SnapshotHeader,
    records: impl FnOnce(Take<'_>) -> Result<(), JournalError>,
) -> Result<SnapshotInfo, JournalError> {
    if target.exists() {
        return Err(JournalError::io("write", target)(
            io::ErrorKind::AlreadyExists.into(),
        ));
    }
    let partial = files::with_suffix(target, ".partial");
    let outcome = write_partial(&partial, header, records);
    if outcome.is_err() {
        // The first error is the one to report; the rest of an unfinished copy is of no use.
        let _ = fs::remove_file(&partial);
    }
    let (records, bytes) = outcome?;
    fs::rename(&partial, target).map_err(JournalError::io("name", target))?;
    sync_directory(files::parent_of(target))?;
    Ok(SnapshotInfo {
        path: target.to_owned(),
        header: *header,
        records,
        bytes,
    })
}

/// Reads a snapshot from beginning to end, hands each record to `each`, and checks its digest.
///
/// `each` sees records before the digest is checked: keep what it does reversible.
pub fn read_snapshot(
    source: &Path,
    each: impl FnMut(Record) -> Result<(), JournalError>,
) -> Result<SnapshotInfo, JournalError> {
    let file = File::open(source).map_err(JournalError::io("open the snapshot", source))?;
    let bytes = file
        .metadata()
        .map_err(JournalError::io("read", source))?
        .len();
    read_bytes(source, io::BufReader::new(file), bytes, each)
}

/// The same of bytes that are read already; the path is for messages.
pub(super) fn read_bytes(
    source: &Path,
    inner: impl Read,
    bytes: u64,
    mut each: impl FnMut(Record) -> Result<(), JournalError>,
) -> Result<SnapshotInfo, JournalError> {
    let mut reader = HashedReader {
        path: source,
        inner,
        digest: Sha256::new(),
    };
    let header = read_header(&mut reader)?;
    let mut records = 0;
    while let Some(record) = read_record(&mut reader)? {
        records += 1;
        each(record)?;
    }
    if u64::from_le_bytes(reader.array()?) != records {
        return Err(reader.damaged("records are missing"));
    }
    reader.finish()?;
    Ok(SnapshotInfo {
        path: source.to_owned(),
        header,
        records,
        bytes,
    })
}

/// Checks a snapshot without keeping anything of it.
pub fn verify_snapshot(source: &Path) -> Result<SnapshotInfo, JournalError> {
    read_snapshot(source, |_| Ok(()))
}

fn write_partial(
    partial: &Path,
    header: &SnapshotHeader,
    records: impl FnOnce(Take<'_>) -> Result<(), JournalError>,
) -> Result<(u64, u64), JournalError> {
    let failed = || JournalError::io("write", partial);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(partial)
        .map_err(JournalError::io("create", partial))?;
    let mut writer = HashedWriter {
        inner: BufWriter::new(file),
        digest: Sha256::new(),
        bytes: 0,
    };
    writer.put(&header.encode()).map_err(failed())?;
    let mut count = 0_u64;
    records(&mut |key, value| {
        count += 1;
        let lengths = [length_of(key), length_of(value)].concat();
        [&lengths, key, value]
            .into_iter()
            .try_for_each(|part| writer.put(part))
            .map_err(failed())
    })?;
    writer.put(&END).map_err(failed())?;
    writer.put(&count.to_le_bytes()).map_err(failed())?;
    Ok((count, writer.finish().map_err(failed())?))
}

fn read_header(reader: &mut HashedReader<'_, impl Read>) -> Result<SnapshotHeader, JournalError> {
    let fixed: [u8; HEADER_BYTES] = reader.array()?;
    if fixed[..8] != MAGIC {
        return Err(reader.damaged("this is not an Usher snapshot"));
    }
    let version = fixed[8];
    if version != VERSION {
        return Err(JournalError::Corrupt {
            path: reader.path.to_owned(),
            detail: format!("snapshot version {version}, this usherd reads {VERSION}"),
            next: "use the usherd that wrote it",
        });
    }
    Ok(SnapshotHeader::decode(&fixed))
}

/// `None` at the end of the records.
fn read_record(reader: &mut HashedReader<'_, impl Read>) -> Result<Option<Record>, JournalError> {
    let key_length = u32::from_le_bytes(reader.array()?) as usize;
    if key_length == 0 {
        return Ok(None);
    }
    let value_length = u32::from_le_bytes(reader.array()?) as usize;
    // S5: a length is judged before anything is allocated for it.
    if key_length > KEY_BYTES_MAX || value_length > VALUE_BYTES_MAX {
        return Err(reader.damaged("a record's length is out of bounds"));
    }
    Ok(Some((reader.take(key_length)?, reader.take(value_length)?)))
}

impl SnapshotHeader {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = VERSION;
        bytes[9] = self.store_version;
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.head.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.log.number.to_le_bytes());
        bytes[40..72].copy_from_slice(&self.log.hash);
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let number = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[40..72]);
        Self {
            store_version: bytes[9],
            epoch: number(16),
            head: number(24),
            log: LogHead {
                number: number(32),
                hash,
            },
        }
    }
}

/// Everything written is also hashed.
struct HashedWriter {
    inner: BufWriter<File>,
    digest: Sha256,
    bytes: u64,
}

impl HashedWriter {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<u64> {
        let digest = self.digest.finalize();
        self.inner.write_all(&digest)?;
        let file = self
            .inner
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.bytes + digest.len() as u64)
    }
}

/// Everything read is also hashed.
struct HashedReader<'a, R> {
    path: &'a Path,
    inner: R,
    digest: Sha256,
}

impl<R: Read> HashedReader<'_, R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], JournalError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, JournalError> {
        let mut bytes = vec![0; length];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.read_exact(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    fn finish(mut self) -> Result<(), JournalError> {
        let mut stored = [0; 32];
        self.read_exact(&mut stored)?;
        if stored[..] != self.digest.clone().finalize()[..] {
            return Err(
                self.damaged("its digest does not match: it was changed after it was written")
            );
        }
        let more = self
            .inner
            .read(&mut [0])
            .map_err(JournalError::io("read", self.path))?;
        if more != 0 {
            return Err(self.damaged("it goes on after its end"));
        }
        Ok(())
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), JournalError> {
        self.inner
            .read_exact(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.damaged("it is cut off"),
                _ => JournalError::io("read", self.path)(error),
            })
    }

    fn damaged(&self, detail: &str) -> JournalError {
        JournalError::Corrupt {
            path: self.path.to_owned(),
            detail: detail.to_owned(),
            next: "use another backup",
        }
    }
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    // Callers stay within KEY_BYTES_MAX and VALUE_BYTES_MAX, far below this type's end.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

const MAGIC: [u8; 8] = *b"USHERSNP";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 72;
/// A key's length that no key has.
const END: [u8; 4] = [0; 4];
