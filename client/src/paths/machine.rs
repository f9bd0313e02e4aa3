//! Decides what this machine is called in file names, so that a home shared over the network keeps
//! one client key for each machine (T6). Must not be sent anywhere: machine ids are private.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// 32 hexadecimal digits, as in machine-id(5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MachineId(String);

/// A text that is no machine id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a machine id: expected 32 hexadecimal digits")]
pub struct MachineIdError;

impl MachineId {
    /// The id in `/etc/machine-id`, else D-Bus's copy of it. Where there is neither (containers,
    /// a system on its first boot), a hash of the host name, which is as stable as that is: a
    /// renamed container then gets a client key of its own.
    #[must_use]
    pub fn of_this_machine() -> MachineId {
        let name = rustix::system::uname();
        MachineId::from_files(&["/etc/machine-id", "/var/lib/dbus/machine-id"])
            .unwrap_or_else(|| MachineId::of_host(name.nodename().to_bytes()))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_files(files: &[&str]) -> Option<MachineId> {
        let mut texts = files
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok());
        texts.find_map(|text| text.parse().ok())
    }

    fn of_host(name: &[u8]) -> MachineId {
        let digest = Sha256::new()
            .chain_update(b"usher machine\0")
            .chain_update(name)
            .finalize();
        MachineId(HEXLOWER.encode(&digest[..16]))
    }
}

impl FromStr for MachineId {
    type Err = MachineIdError;

    /// Accepts digits of either case and one line end; `uninitialized` is no id.
    fn from_str(text: &str) -> Result<MachineId, MachineIdError> {
        let digits = text.trim_end();
        let sound = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        sound
            .then(|| MachineId(digits.to_ascii_lowercase()))
            .ok_or(MachineIdError)
    }
}

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_32_digits_are_an_id() {
        let id: MachineId = "3D1219C7c4c5404aaa1f6d2a48adfda4\n".parse().unwrap();
        assert_eq!(id.as_str(), "3d1219c7c4c5404aaa1f6d2a48adfda4");
        for other in [
            "",
            "uninitialized\n",
            "../../../../../../../etc/passwd\n",
            "3d12",
        ] {
            assert_eq!(other.parse::<MachineId>(), Err(MachineIdError), "{other:?}");
        }
    }

    #[test]
    fn the_first_file_with_an_id_counts_and_the_host_name_is_the_last_resort() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name).to_str().unwrap().to_owned();
            std::fs::write(&path, text).unwrap();
            path
        };
        let (booting, good) = (file("a", "uninitialized\n"), file("b", &"7".repeat(32)));
        let found = MachineId::from_files(&["/nonexistent", &booting, &good]).unwrap();
        assert_eq!(found.as_str(), "7".repeat(32));
        assert_eq!(MachineId::from_files(&[&booting]), None);
        assert_eq!(MachineId::of_host(b"ci-1"), MachineId::of_host(b"ci-1"));
        assert_ne!(MachineId::of_host(b"ci-1"), MachineId::of_host(b"ci-2"));
    }
}
