//! Decides how a private key rests on disk (T6): PKCS#8 PEM that stock `openssl` reads, mode 0600,
//! made once however many processes ask first. Must not decide whose key it is: callers name the
//! path. The daemon keeps its site key through here as well.

use crate::paths::files::{Created, create_private};
use crate::paths::{CLIENT_KEY_VARIABLE, Paths};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use pkcs8::LineEnding;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

/// The key of this user on this machine (T6).
#[derive(Clone, Copy, Debug)]
pub struct ClientIdentity;

impl ClientIdentity {
    /// Reads the client key, or makes it at first use. One that the environment names is never made:
    /// a mount that is missing must not become another host.
    ///
    /// # Errors
    /// See [`KeyFileError`].
    pub fn load_or_create(paths: &Paths) -> Result<SigningKey, KeyFileError> {
        match paths.client_key_given() {
            Some(given) => load_given(given),
            None => load_or_create(&paths.client_key()),
        }
    }
}

/// Why a key file gave no key. Each message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file {}", .0.display())]
    Missing(PathBuf),
    /// The environment names one that is not there.
    #[error(
        "there is no key file {path}, which {CLIENT_KEY_VARIABLE} names; mount it there, or unset \
         {CLIENT_KEY_VARIABLE} for a key of this machine's own", path = .0.display()
    )]
    GivenMissing(PathBuf),
    /// Others than its owner may read it.
    #[error(
        "the key file {path} is open to others (mode {mode:03o}); if nobody else has read it: \
         chmod 600 {path}", path = path.display()
    )]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to another user, who could change it.
    #[error(
        "the key file {path} belongs to user {owner}, not to you; run as that user, or: \
         chown {own} {path}", path = path.display()
    )]
    NotOwned {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our own number.
        own: u32,
    },
    /// Its content is no key.
    #[error(
        "the key file {path} holds no Ed25519 private key (PKCS#8 PEM); restore it from a backup, \
         or move it away to have a new key made: what was bound to the old key is then lost",
        path = path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot use the key file {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// The operating system gave no randomness.
    #[error("cannot make a key: no randomness from the operating system: {0}")]
    Randomness(getrandom::Error),
}

/// Reads the key at `path`, or makes one there: processes that race all get the same key.
///
/// # Errors
/// See [`KeyFileError`].
pub fn load_or_create(path: &Path) -> Result<SigningKey, KeyFileError> {
    match load(path) {
        Err(KeyFileError::Missing(_)) => {}
        found => return found,
    }
    keep(path, new_key()?)
}

/// Makes the file at `path` for this key, unless there is one by now: then that one's key counts.
///
/// # Errors
/// See [`KeyFileError`].
pub fn keep(path: &Path, key: SigningKey) -> Result<SigningKey, KeyFileError> {
    let created = create_private(path, encode(&key, path)?.as_bytes());
    match created.map_err(|source| KeyFileError::Io {
        path: path.into(),
        source,
    })? {
        Created::Now => Ok(key),
        Created::Before => load(path),
    }
}

/// Reads the key at `path`, which nobody but its owner, us, may read or write.
///
/// # Errors
/// See [`KeyFileError`].
pub fn load(path: &Path) -> Result<SigningKey, KeyFileError> {
    let file = open(path)?;
    check_custody(&file, path)?;
    read(file, path)
}

/// Reads a key that was mounted at `path`. Inside a container its owner may have another number, so only
/// its mode is judged.
fn load_given(path: &Path) -> Result<SigningKey, KeyFileError> {
    let file = open(path).map_err(|error| match error {
        KeyFileError::Missing(path) => KeyFileError::GivenMissing(path),
        other => other,
    })?;
    check_mode(&about(&file, path)?, path)?;
    read(file, path)
}

/// Reads a key that a service manager has placed at `path`. Its directory guards it, and its mode
/// and owner are the manager's (systemd grants access by ACL), so neither is judged.
///
/// # Errors
/// See [`KeyFileError`].
pub fn load_credential(path: &Path) -> Result<SigningKey, KeyFileError> {
    read(open(path)?, path)
}

/// A key of the operating system's randomness.
///
/// # Errors
/// [`KeyFileError::Randomness`].
pub fn new_key() -> Result<SigningKey, KeyFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut()).map_err(KeyFileError::Randomness)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn open(path: &Path) -> Result<File, KeyFileError> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.into()),
        _ => KeyFileError::Io {
            path: path.into(),
            source,
        },
    })
}

/// Judges the open file, not its name, so that nothing can be swapped in between.
fn check_custody(file: &File, path: &Path) -> Result<(), KeyFileError> {
    let about = about(file, path)?;
    check_mode(&about, path)?;
    let own = rustix::process::geteuid().as_raw();
    // Root may use a service's key, as its off-line verbs do (S7).
    if about.uid() != own && own != 0 {
        return Err(KeyFileError::NotOwned {
            path: path.into(),
            owner: about.uid(),
            own,
        });
    }
    Ok(())
}

fn check_mode(about: &Metadata, path: &Path) -> Result<(), KeyFileError> {
    if is_open_to_others(about) {
        return Err(KeyFileError::OpenToOthers {
            path: path.into(),
            mode: about.mode() & 0o777,
        });
    }
    Ok(())
}

/// Whether a key file lets anybody but its owner at the key; such a key is not used (T6).
pub fn is_open_to_others(about: &Metadata) -> bool {
    about.mode() & 0o077 != 0
}

fn about(file: &File, path: &Path) -> Result<Metadata, KeyFileError> {
    file.metadata().map_err(|source| KeyFileError::Io {
        path: path.into(),
        source,
    })
}

fn read(file: File, path: &Path) -> Result<SigningKey, KeyFileError> {
    // Room from the start: growing would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX + 1));
    let limit = u64::try_from(FILE_BYTES_MAX + 1).unwrap_or(u64::MAX);
    match file.take(limit).read_to_string(&mut text) {
        Ok(length) if length <= FILE_BYTES_MAX => SigningKey::from_pkcs8_pem(&text)
            .map_err(|_| KeyFileError::Malformed { path: path.into() }),
        Err(source) if source.kind() != io::ErrorKind::InvalidData => Err(KeyFileError::Io {
            path: path.into(),
            source,
        }),
        _ => Err(KeyFileError::Malformed { path: path.into() }),
    }
}

/// Without the public half, which older `openssl` does not expect in PKCS#8.
fn encode(key: &SigningKey, path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    let mut pair = KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let text = pair.to_pkcs8_pem(LineEnding::LF);
    pair.secret_key.zeroize();
    text.map_err(|_| KeyFileError::Malformed { path: path.into() })
}

const FILE_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    /// The example of RFC 8410, section 10.3.
    const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("usher/machine.key");
        assert!(matches!(load(&path), Err(KeyFileError::Missing(_))));
        let made = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap(), made);
        assert_eq!(load(&path).unwrap(), made);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(
            load_or_create(&home.path().join("other.key")).unwrap(),
            made
        );
    }

    #[test]
    fn the_format_is_the_rfcs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("rfc.key");
        std::fs::write(&path, RFC_8410).unwrap();
        set_mode(&path, 0o600);
        let key = load(&path).unwrap();
        assert_eq!(key.as_bytes()[..4], [0xd4, 0xee, 0x72, 0xdb]);
        assert_eq!(*encode(&key, &path).unwrap(), RFC_8410);
    }

    #[test]
    fn openssl_reads_it_and_finds_the_same_public_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.key");
        let key = load_or_create(&path).unwrap();
        let openssl = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(&path)
            .stderr(Stdio::inherit())
            .output();
        let public = openssl.expect("openssl is needed to test this").stdout;
        assert!(
            public.ends_with(key.verifying_key().as_bytes()),
            "{public:?}"
        );
    }

    #[test]
    fn a_key_open_to_others_is_refused_with_its_fix() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.key");
        load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o610] {
            set_mode(&path, mode);
            let error = load_or_create(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("chmod 600 {}", path.display())),
                "{error}"
            );
            assert!(
                load_credential(&path).is_ok(),
                "a credential's mode is its manager's"
            );
        }
        set_mode(&path, 0o400);
        load(&path).unwrap();
    }

    #[test]
    fn what_is_no_key_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.key");
        let cut = &RFC_8410[..60];
        for content in [
            &b""[..],
            b"hello",
            cut.as_bytes(),
            &[0xff; 64],
            &[b'x'; 5000],
        ] {
            std::fs::write(&path, content).unwrap();
            set_mode(&path, 0o600);
            assert!(matches!(
                load_or_create(&path),
                Err(KeyFileError::Malformed { .. })
            ));
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn those_who_race_get_the_same_key() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/raced.key");
        let keys: Vec<SigningKey> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|_| scope.spawn(|| load_or_create(&path).unwrap()))
                .collect();
            racers
                .into_iter()
                .map(|racer| racer.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }
}
