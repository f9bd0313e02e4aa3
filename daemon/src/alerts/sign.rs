//! How a payload is signed: HMAC-SHA256 over the time, a dot, and the very bytes of the body.
//!
//! The secret is read from its file for each delivery, so that a new one needs no restart, and is kept nowhere.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What receivers know us by; it prints as nothing.
pub(super) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Reads it; a last line end does not belong to it.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let mut bytes = Zeroizing::new(Vec::new());
        let mode = Self::load(path, &mut bytes)
            .map_err(|error| format!("cannot read the secret {name}: {error}"))?;
        // A group may be systemd's own, as of a credential.
        if mode & 0o027 != 0 {
            return Err(format!("the secret {name} is open to others; chmod 600 it"));
        }
        while bytes
            .last()
            .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
        {
            bytes.pop();
        }
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            return Err(format!(
                "the secret {name} has {} bytes, expected {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}; openssl rand -hex 32 makes a good one",
                bytes.len()
            ));
        }
        Ok(Self(bytes))
    }

    fn load(path: &Path, bytes: &mut Vec<u8>) -> io::Result<u32> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        // Some room, so that no half of it stays behind in memory that was grown out of.
        bytes.reserve(SECRET_BYTES_MAX + 3);
        file.take(SECRET_BYTES_MAX as u64 + 3).read_to_end(bytes)?;
        Ok(mode)
    }

    /// The signature's field: `t=SECONDS,v1=HEX`.
    pub(super) fn signature(&self, seconds: u64, body: &str) -> String {
        // Any length of key will do for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            return String::new();
        };
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body.as_bytes());
        let code = HEXLOWER.encode(&mac.finalize().into_bytes());
        format!("t={seconds},v1={code}")
    }
}

const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(file.path(), mode).unwrap();
        file
    }

    #[test]
    fn the_signature_is_the_one_that_openssl_makes() {
        let file = file("0123456789abcdef\n", 0o600);
        let secret = Secret::read(file.path()).unwrap();
        // printf '1795348800.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        insta::assert_snapshot!(secret.signature(1_795_348_800, "{}"), @"t=1795348800,v1=9cb1e6c18e1e9e02000e073d7669b4946b5ce3794396505ccfe62d0c7dd6cdd5");
    }

    #[test]
    fn a_secret_that_is_open_short_or_missing_is_refused_without_being_shown() {
        for (text, mode, told) in [
            ("0123456789abcdef", 0o644, "chmod 600"),
            ("zq5secret", 0o600, "has 9 bytes"),
        ] {
            let file = file(text, mode);
            let error = Secret::read(file.path()).err().unwrap();
            assert!(error.contains(told) && !error.contains("zq5"), "{error}");
        }
        let error = Secret::read(Path::new("/nonexistent")).err().unwrap();
        assert!(error.contains("cannot read"), "{error}");
    }
}
