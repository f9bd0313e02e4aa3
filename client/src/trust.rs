//! Decides which vendor roots the commands believe: the key files in `trust.d` (T3). An application
//! does not come here, its root is built in.

use crate::paths::{Paths, files};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};
use usher_protocol::{
    documents::vendor::{VendorKey, VendorKeyError},
    ids::{Fingerprint, PublicKey},
    names::VendorName,
};

/// A root that the commands believe, and the file that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedRoot {
    /// The vendor's display name: as the file says, or else the file's own name.
    pub vendor: VendorName,
    /// The root, which is the vendor's identity.
    pub root: PublicKey,
    /// Where it is written.
    pub path: PathBuf,
}

/// Every root the commands believe.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    roots: Vec<TrustedRoot>,
}

/// Why the roots cannot be read, or one cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file or directory cannot be read or written.
    #[error("cannot use {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system answered.
        source: io::Error,
    },
    /// A file ends in `.pub` and is no vendor key.
    #[error("{path}: {source}; correct or remove it", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: VendorKeyError,
    },
    /// Neither the file nor its name gives the vendor a name.
    #[error("{path}: it does not name its vendor; name the file VENDOR.pub", path = .path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
    },
    /// Two roots under one name (T3).
    #[error(
        "two roots are called `{vendor}`: {first} and {second}; remove the one that you did not get \
         from the vendor", first = .first.display(), second = .second.display()
    )]
    TwoRoots {
        /// The name.
        vendor: VendorName,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

impl Trust {
    /// Reads every `*.pub` of the trust directories; a directory that is not there has none.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn load(paths: &Paths) -> Result<Self, TrustError> {
        let mut named: BTreeMap<VendorName, TrustedRoot> = BTreeMap::new();
        for directory in paths.trust_directories() {
            for path in key_files(&directory)? {
                let read = read(path)?;
                if let Some(other) = named.get(&read.vendor) {
                    if other.root != read.root {
                        return Err(two_roots(other, &read));
                    }
                    continue;
                }
                named.insert(read.vendor.clone(), read);
            }
        }
        Ok(Self {
            roots: named.into_values().collect(),
        })
    }

    /// Every root, by name.
    pub fn roots(&self) -> &[TrustedRoot] {
        &self.roots
    }

    /// The root of that name.
    pub fn by_vendor(&self, vendor: &VendorName) -> Option<&TrustedRoot> {
        self.roots.iter().find(|root| root.vendor == *vendor)
    }

    /// The root with that fingerprint.
    pub fn by_fingerprint(&self, fingerprint: &Fingerprint) -> Option<&TrustedRoot> {
        self.roots
            .iter()
            .find(|root| root.root.fingerprint() == *fingerprint)
    }

    /// Believes a vendor key from now on: writes it where [`Paths::trust_directory_own`] says.
    ///
    /// # Errors
    /// [`TrustError::TwoRoots`] if its name is taken by another root; no name at all is
    /// [`TrustError::Nameless`].
    pub fn add(paths: &Paths, key: &VendorKey) -> Result<TrustedRoot, TrustError> {
        let directory = paths.trust_directory_own();
        let vendor = key.vendor.clone().ok_or_else(|| TrustError::Nameless {
            path: directory.clone(),
        })?;
        let added = TrustedRoot {
            path: directory.join(format!("{vendor}.pub")),
            vendor,
            root: key.root,
        };
        if let Some(known) = Self::load(paths)?.by_vendor(&added.vendor) {
            return if known.root == added.root {
                Ok(known.clone())
            } else {
                Err(two_roots(known, &added))
            };
        }
        files::replace_private(&added.path, key.to_string().as_bytes()).map_err(|source| {
            TrustError::Io {
                path: added.path.clone(),
                source,
            }
        })?;
        Ok(added)
    }
}

fn key_files(directory: &Path) -> Result<Vec<PathBuf>, TrustError> {
    let failed = |source| TrustError::Io {
        path: directory.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "pub") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: PathBuf) -> Result<TrustedRoot, TrustError> {
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(TrustError::Io { path, source }),
    };
    let key: VendorKey = match text.parse() {
        Ok(key) => key,
        Err(source) => return Err(TrustError::Malformed { path, source }),
    };
    let of_file = || path.file_stem()?.to_str()?.parse().ok();
    match key.vendor.or_else(of_file) {
        Some(vendor) => Ok(TrustedRoot {
            vendor,
            root: key.root,
            path,
        }),
        None => Err(TrustError::Nameless { path }),
    }
}

fn two_roots(first: &TrustedRoot, second: &TrustedRoot) -> TrustError {
    TrustError::TwoRoots {
        vendor: first.vendor.clone(),
        first: first.path.clone(),
        second: second.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(home: &Path) -> Paths {
        let variable = |name: &str| match name {
            "HOME" => Some(home.into()),
            "USHER_TRUST_DIR" => Some(home.join("trust.d").into()),
            _ => None,
        };
        let machine = "0123456789abcdef0123456789abcdef".parse().unwrap();
        Paths::from_variables(variable, machine).unwrap()
    }

    fn key(seed: u8, vendor: &str) -> VendorKey {
        let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        VendorKey {
            vendor: Some(vendor.parse().unwrap()),
            root: PublicKey::from(&signing),
        }
    }

    #[test]
    fn what_was_added_is_believed() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        assert!(Trust::load(&paths).unwrap().roots().is_empty());
        let added = Trust::add(&paths, &key(1, "acme")).unwrap();
        let trust = Trust::load(&paths).unwrap();
        assert_eq!(trust.roots(), std::slice::from_ref(&added));
        assert_eq!(trust.by_vendor(&added.vendor), Some(&added));
        assert_eq!(
            trust.by_fingerprint(&added.root.fingerprint()),
            Some(&added)
        );
        assert_eq!(Trust::add(&paths, &key(1, "acme")).unwrap(), added);
    }

    #[test]
    fn t3_two_roots_under_one_name_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        Trust::add(&paths, &key(1, "acme")).unwrap();
        let second = Trust::add(&paths, &key(2, "acme"));
        assert!(matches!(second, Err(TrustError::TwoRoots { .. })));
        let other = home.path().join("trust.d/other.pub");
        std::fs::write(other, key(2, "acme").to_string()).unwrap();
        assert!(matches!(
            Trust::load(&paths),
            Err(TrustError::TwoRoots { .. })
        ));
    }

    #[test]
    fn a_bare_key_is_named_by_its_file_and_rubbish_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let paths = paths(home.path());
        let directory = home.path().join("trust.d");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("acme.pub"), key(1, "x").root.to_string()).unwrap();
        std::fs::write(directory.join("README"), "not a key").unwrap();
        assert_eq!(
            Trust::load(&paths).unwrap().roots()[0].vendor.as_str(),
            "acme"
        );
        std::fs::write(directory.join("bad.pub"), "not a key").unwrap();
        assert!(matches!(
            Trust::load(&paths),
            Err(TrustError::Malformed { .. })
        ));
    }
}
