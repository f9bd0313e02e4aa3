//! Decides where the server that answered last is remembered: one small file per user, by vendor
//! root. Only a shortcut: a file that is missing, damaged or stale costs time, never correctness,
//! and whatever it names still has to prove itself.

use super::address::Address;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

/// Reads the addresses that last served `key` (a vendor root's fingerprint in hex), newest first.
/// Whatever is wrong with the file, the answer is an empty list.
pub fn recall(path: &Path, key: &str) -> Vec<Address> {
    let file = read(path).unwrap_or_default();
    let Some(texts) = file.servers.get(key) else {
        return Vec::new();
    };
    let addresses = texts.iter().filter_map(|text| text.parse().ok());
    addresses.take(ADDRESSES_MAX).collect()
}

/// Puts `address` first for `key`. Writes nothing if it already is.
///
/// # Errors
/// Whatever the file system says; the caller may go on without.
pub fn remember(path: &Path, key: &str, address: &Address) -> io::Result<()> {
    let mut file = read(path).unwrap_or_default();
    let text = address.to_string();
    let list = file.servers.entry(key.to_owned()).or_default();
    if list.first() == Some(&text) {
        return Ok(());
    }
    list.retain(|known| *known != text);
    list.insert(0, text);
    list.truncate(ADDRESSES_MAX);
    while file.servers.len() > KEYS_MAX {
        let other = file.servers.keys().find(|other| *other != key).cloned();
        other.map(|other| file.servers.remove(&other));
    }
    write(path, &file)
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    #[serde(default)]
    servers: BTreeMap<String, Vec<String>>,
}

fn read(path: &Path) -> Option<File> {
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    toml::from_str(&text).ok()
}

/// Replaces the file in one step, so that a reader sees the old or the new one.
fn write(path: &Path, file: &File) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let body = toml::to_string(file).map_err(io::Error::other)?;
    let text = format!("# Where servers answered last; written by usher, safe to delete.\n{body}");
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = dir.join(name);
    let written = create_private(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

fn create_private(path: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

const ADDRESSES_MAX: usize = 4;
const KEYS_MAX: usize = 32;
const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(path: &Path, key: &str) -> Vec<String> {
        recall(path, key).iter().map(ToString::to_string).collect()
    }

    fn put(path: &Path, key: &str, text: &str) {
        remember(path, key, &text.parse().unwrap()).unwrap();
    }

    #[test]
    fn the_newest_comes_first_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usher/last-good.toml");
        assert!(recall(&path, "a").is_empty());
        for text in ["h1", "h2", "[fe80::1%eth0]:9", "h4", "h5", "h2"] {
            put(&path, "a", text);
        }
        put(&path, "b", "other:1");
        let expected = ["h2:27443", "h5:27443", "h4:27443", "[fe80::1%eth0]:9"];
        assert_eq!(addresses(&path, "a"), expected);
        assert_eq!(addresses(&path, "b"), ["other:1"]);
    }

    #[test]
    fn the_file_is_private_bounded_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-good.toml");
        for key in 0..40 {
            put(&path, &format!("{key:02}"), "h");
        }
        assert_eq!(read(&path).unwrap().servers.len(), KEYS_MAX);
        assert_eq!(addresses(&path, "39"), ["h:27443"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_an_empty_one_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last-good.toml");
        for damage in [
            &b"\xff\xfe"[..],
            b"servers = 1",
            b"[servers]\na = ['x y', 'ok']",
        ] {
            std::fs::write(&path, damage).unwrap();
            let known = addresses(&path, "a");
            assert!(known.is_empty() || known == ["ok:27443"]);
        }
        std::fs::write(&path, b"[[[").unwrap();
        put(&path, "a", "h");
        assert_eq!(addresses(&path, "a"), ["h:27443"]);
    }
}
