//! The key directory of one vendor: root and issuing keys (encrypted), certificates, the log.
//!
//! ```text
//! acme.pub            the vendor key file that applications and trust directories carry
//! root.key            encrypted PKCS#8; rarely needed, may live on other media (`--root-key FILE`)
//! issuing-1.key       encrypted PKCS#8
//! issuing-1.cert      the root's word for it
//! revocations         the newest root-signed list, once there is one
//! issuer.log(.head)   what was signed
//! lock                held while something is signed
//! ```

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use data_encoding::BASE64;
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use usher_protocol::{
    codec,
    documents::certificate::{Certificate, VerifiedCertificate},
    documents::vendor::VendorKey,
    envelope::Signed,
    ids::PublicKey,
};
use zeroize::Zeroizing;

use crate::{error::Error, files};

/// One vendor's key directory, locked for as long as this lives.
pub(crate) struct Vault {
    dir: PathBuf,
    vendor_key: VendorKey,
    _lock: File,
}

/// An issuing key's certificate, as stored and as read.
pub(crate) struct Issuing {
    /// Counts the issuing keys, from 1.
    pub(crate) number: u64,
    /// The stored bytes.
    pub(crate) signed: Signed,
    /// What they say.
    pub(crate) certificate: VerifiedCertificate,
}

impl Vault {
    /// Makes the directory and takes its lock; an existing vendor is an error.
    pub(crate) fn create(dir: &Path, vendor_key: VendorKey) -> Result<Self, Error> {
        files::make_private_dir(dir)?;
        let vault = Self {
            dir: dir.to_owned(),
            vendor_key,
            _lock: lock(dir)?,
        };
        let text = vault.vendor_key.to_string();
        files::create(&vault.public_path()?, text.as_bytes(), 0o644)?;
        Ok(vault)
    }

    /// Opens the directory of a vendor and takes its lock.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = public_file(dir)?;
        let vendor_key: VendorKey = files::read(&path)?
            .parse()
            .map_err(|error| Error::Vault(format!("{}: {error}", path.display())))?;
        Ok(Self {
            dir: dir.to_owned(),
            vendor_key,
            _lock: lock(dir)?,
        })
    }

    /// The vendor's public root, and its name.
    pub(crate) fn vendor_key(&self) -> &VendorKey {
        &self.vendor_key
    }

    /// The vendor key file.
    pub(crate) fn public_path(&self) -> Result<PathBuf, Error> {
        let name = self.vendor_key.vendor.as_ref().ok_or_else(|| {
            Error::Vault(format!(
                "{}: the vendor key file names no vendor",
                self.dir.display()
            ))
        })?;
        Ok(self.dir.join(format!("{name}.pub")))
    }

    /// The log.
    pub(crate) fn log(&self) -> crate::log::Log {
        crate::log::Log::at(&self.dir)
    }

    /// The file of the root key, if it is kept here.
    pub(crate) fn root_path(&self) -> PathBuf {
        self.dir.join("root.key")
    }

    /// The file of an issuing key.
    pub(crate) fn issuing_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("issuing-{number}.key"))
    }

    /// Writes a certificate beside its key.
    pub(crate) fn keep_certificate(&self, number: u64, signed: &Signed) -> Result<(), Error> {
        files::create(
            &self.certificate_path(number),
            armored(signed)?.as_bytes(),
            0o644,
        )
    }

    /// All certificates, oldest first.
    pub(crate) fn certificates(&self) -> Result<Vec<Issuing>, Error> {
        let mut all = Vec::new();
        for number in 1.. {
            let path = self.certificate_path(number);
            if !path.exists() {
                break;
            }
            let signed = read_armored(&path)?;
            let certificate = VerifiedCertificate::verify(&signed)
                .map_err(|error| Error::Vault(format!("{}: {error}", path.display())))?;
            all.push(Issuing {
                number,
                signed,
                certificate,
            });
        }
        Ok(all)
    }

    /// The newest certificate: the one that signs.
    pub(crate) fn newest(&self) -> Result<Issuing, Error> {
        self.certificates()?.pop().ok_or_else(|| {
            Error::Vault(format!(
                "{}: no issuing certificate; make one with `usher-issuer key rotate`",
                self.dir.display()
            ))
        })
    }

    /// Every key whose signature may stand in the log.
    pub(crate) fn trusted(&self) -> Result<Vec<PublicKey>, Error> {
        let mut keys = vec![self.vendor_key.root];
        keys.extend(self.certificates()?.iter().map(|it| it.certificate.issuing));
        Ok(keys)
    }

    /// The newest revocation list, if there is one.
    pub(crate) fn revocations(&self) -> Result<Option<Signed>, Error> {
        let path = self.revocations_path();
        if path.exists() {
            read_armored(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Keeps a newer revocation list.
    pub(crate) fn keep_revocations(&self, signed: &Signed) -> Result<(), Error> {
        files::replace(&self.revocations_path(), armored(signed)?.as_bytes(), 0o644)
    }

    fn certificate_path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("issuing-{number}.cert"))
    }

    fn revocations_path(&self) -> PathBuf {
        self.dir.join("revocations")
    }
}

/// Where the keys of `vendor` are, unless told otherwise; without a name, the only vendor there is.
pub(crate) fn default_dir(vendor: Option<&str>) -> Result<PathBuf, Error> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(home);
    let base = data
        .ok_or_else(|| {
            Error::Usage("neither HOME nor XDG_DATA_HOME is set; give --dir".to_owned())
        })?
        .join("usher-issuer");
    if let Some(vendor) = vendor {
        return Ok(base.join(vendor));
    }
    let found: Vec<PathBuf> = fs::read_dir(&base)
        .map(|entries| {
            entries
                .flatten()
                .map(|it| it.path())
                .filter(|it| it.is_dir())
                .collect()
        })
        .unwrap_or_default();
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::Vault(format!(
            "no vendor keys in {}; make them with `usher-issuer key new --vendor NAME`",
            base.display()
        ))),
        _ => Err(Error::Usage(format!(
            "several vendors in {}; say which with --vendor NAME",
            base.display()
        ))),
    }
}

/// A fresh key.
pub(crate) fn new_key() -> Result<SigningKey, Error> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut())
        .map_err(|error| Error::Vault(format!("no randomness from the system: {error}")))?;
    Ok(SigningKey::from_bytes(&seed))
}

/// Writes a key as encrypted PKCS#8 (scrypt at a cost that OpenSSL reads, AES-256-CBC), mode 0600.
pub(crate) fn keep_key(path: &Path, key: &SigningKey, passphrase: &str) -> Result<(), Error> {
    // Without the public half: OpenSSL 3.0 reads only version 1 of PKCS#8.
    let secret = KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let pem = secret
        .to_pkcs8_encrypted_pem(passphrase, LineEnding::LF)
        .map_err(|error| Error::Vault(format!("cannot encrypt the key: {error}")))?;
    files::create(path, pem.as_bytes(), 0o600)
}

/// Opens an encrypted key; a file that others may read is refused.
pub(crate) fn open_key(path: &Path, passphrase: &str) -> Result<SigningKey, Error> {
    let mode = fs::metadata(path).map_err(Error::file("cannot open the key", path))?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(Error::Vault(format!(
            "{}: others may read this key; run `chmod 600` on it, and rotate it if they did",
            path.display()
        )));
    }
    let pem = Zeroizing::new(files::read(path)?);
    SigningKey::from_pkcs8_encrypted_pem(&pem, passphrase).map_err(|_| {
        Error::Vault(format!(
            "{}: wrong passphrase, or not an encrypted key file",
            path.display()
        ))
    })
}

fn public_file(dir: &Path) -> Result<PathBuf, Error> {
    let files = fs::read_dir(dir).map_err(|_| {
        Error::Vault(format!(
            "no vendor keys in {}; make them with `usher-issuer key new --vendor NAME`, or give --dir",
            dir.display()
        ))
    })?;
    files
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|it| it == "pub"))
        .ok_or_else(|| Error::Vault(format!("{}: no vendor key file (NAME.pub)", dir.display())))
}

/// One issuer at a time: serials and log numbers are given out under this lock.
fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(Error::file("cannot lock", &path))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
        |_| {
            Error::Vault(format!(
                "{}: another usher-issuer is at work; wait for it",
                dir.display()
            ))
        },
    )?;
    Ok(file)
}

fn armored(signed: &Signed) -> Result<String, Error> {
    Ok(format!("{}\n", BASE64.encode(&codec::encode(signed)?)))
}

fn read_armored(path: &Path) -> Result<Signed, Error> {
    let text = files::read(path)?;
    let bad = || Error::Vault(format!("{}: not a signed document", path.display()));
    let bytes = BASE64.decode(text.trim().as_bytes()).map_err(|_| bad())?;
    codec::decode(&bytes).map_err(|_| bad())
}

/// Signs a certificate for an issuing key.
pub(crate) fn certify(certificate: &Certificate, root: &SigningKey) -> Result<Signed, Error> {
    let body = codec::encode(certificate)?;
    Ok(Signed::new(
        usher_protocol::envelope::DocumentType::CERTIFICATE,
        body,
        root,
    ))
}
