//! Decides how a record becomes bytes under a key, and how an event becomes the body of a log entry.
//!
//! Keys are one prefix byte and the name of the thing, so that the order of keys is the order of
//! prefixes and then of names. Values start with version and kind (S5). A license is stored as its text
//! and verified anew at load (T2). Must not decide what is stored: the engine does.

use std::path::Path;
use std::sync::Arc;

use usher_engine::record::{
    Event, LicenseSerial, PinnedRoot, Record, SuspensionKey, Trouble, What,
};
use usher_protocol::{
    codec::{self, CodecError},
    documents::license::{LicenseError, VerifiedLicense},
    envelope::Signed,
    ids::{Commit, Epoch, Fingerprint, LeaseId, PublicKey},
    names::LicenseId,
    refusal::RefusalCode,
};

use crate::journal::{self, Write};

mod replay;

pub use replay::{Played, Replay};

/// The version of every value and body written by this build (S7).
pub const RECORD_VERSION: u8 = 1;

/// Why a stored record is not used. The store is damaged or of another version.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes are no record of this kind.
    #[error("the record under key {key} cannot be read: {source}")]
    Codec {
        /// The key, in hexadecimal.
        key: String,
        /// What is wrong.
        source: CodecError,
    },
    /// The value belongs under another key.
    #[error("the record under key {key} belongs under another key")]
    Misplaced {
        /// The key, in hexadecimal.
        key: String,
    },
    /// A license that verified when it was installed does so no more.
    #[error("the stored license {id} is not genuine: {source}")]
    License {
        /// Its key's text.
        id: String,
        /// What is wrong.
        source: Box<LicenseError>,
    },
}

/// The write that makes `record` durable.
///
/// # Errors
/// [`CodecError`] if it cannot be encoded.
pub fn write(record: &Record) -> Result<Write, CodecError> {
    let put = |key: Vec<u8>, value: Vec<u8>| Write {
        key,
        value: Some(value),
    };
    let drop = |key: Vec<u8>| Write { key, value: None };
    Ok(match record {
        Record::PutLease(lease) => put(lease_key(lease.id), value(LEASE, lease)?),
        Record::DropLease(id) => drop(lease_key(*id)),
        Record::PutLicense(license) => {
            let mut value = vec![RECORD_VERSION, LICENSE];
            value.extend_from_slice(license.text().as_bytes());
            put(license_key(&license.id), value)
        }
        Record::DropLicense(id) => drop(license_key(id)),
        Record::PutSerial(serial) => put(serial_key(serial), value(SERIAL, serial)?),
        Record::PutRoot(root) => put(root_key(root), value(ROOT, root)?),
        Record::PutRevocations(root, list) => {
            put(revocations_key(root), value(REVOCATIONS, &(root, list))?)
        }
        Record::PutMark(mark) => put(vec![MARK], value(MARK, mark)?),
        Record::PutTrouble(trouble) => put(vec![TROUBLE], value(TROUBLE, trouble)?),
        Record::PutClient(it) => put(client_key(&it.client), value(CLIENT, it)?),
        Record::DropClient(client) => drop(client_key(client)),
        Record::PutSuspension(it) => put(suspension_key(&it.key), value(SUSPENSION, it)?),
        Record::DropSuspension(key) => drop(suspension_key(key)),
    })
}

/// The record stored under `key`.
///
/// # Errors
/// [`RecordError`]; the store must not be used then (S3).
pub fn read(key: &[u8], value: &[u8]) -> Result<Record, RecordError> {
    let tagged = codec::untag(RECORD_VERSION, value).map_err(|error| unreadable(key, error))?;
    let record = match tagged.kind {
        LEASE => Record::PutLease(body(key, tagged.body)?),
        LICENSE => Record::PutLicense(license(key, tagged.body)?),
        SERIAL => Record::PutSerial(body(key, tagged.body)?),
        ROOT => Record::PutRoot(body(key, tagged.body)?),
        REVOCATIONS => {
            let (root, list): (Fingerprint, Signed) = body(key, tagged.body)?;
            Record::PutRevocations(root, list)
        }
        MARK => Record::PutMark(body(key, tagged.body)?),
        TROUBLE => Record::PutTrouble(body(key, tagged.body)?),
        CLIENT => Record::PutClient(body(key, tagged.body)?),
        SUSPENSION => Record::PutSuspension(body(key, tagged.body)?),
        other => {
            let unknown = CodecError::Malformed(format!("unknown record kind {other:#04x}"));
            return Err(unreadable(key, unknown));
        }
    };
    if key_of(&record) == key {
        Ok(record)
    } else {
        Err(RecordError::Misplaced { key: hex(key) })
    }
}

/// The usage-log entry of `event`.
///
/// # Errors
/// [`CodecError`] if it cannot be encoded.
pub fn event_body(event: &Event) -> Result<journal::Event, CodecError> {
    Ok(journal::Event {
        body: value(EVENT, event)?,
    })
}

/// Reads the body of a usage-log entry.
///
/// # Errors
/// [`CodecError`].
pub fn read_event(bytes: &[u8]) -> Result<Event, CodecError> {
    let tagged = codec::untag(RECORD_VERSION, bytes)?;
    match tagged.kind {
        EVENT => codec::decode(tagged.body),
        other => Err(CodecError::Malformed(format!(
            "unknown event kind {other:#04x}"
        ))),
    }
}

/// Roots and licenses that the base of the log in `usage` knows, where its oldest part was retired: that part named them.
/// For what is printed alone.
pub fn told_by_base(usage: &Path) -> Vec<Record> {
    let is_name = |key: &[u8]| matches!(key.first(), Some(&(ROOT | LICENSE)));
    let names = journal::told_by_base(usage, is_name).into_iter();
    names
        .filter_map(|(key, value)| read(&key, &value).ok())
        .collect()
}

/// What replaying `event` alone does to a restored store (L12): leases, and what stopped granting. Licenses
/// and the mark take more than one event: [`Replay`] plays those as well.
///
/// After any trouble since the copy, seats are held: how far that trouble's own hold had run is not history.
///
/// # Errors
/// [`CodecError`] if a record cannot be encoded.
pub fn replay(event: &Event) -> Result<Option<Write>, CodecError> {
    let after = Epoch(event.epoch.0.saturating_add(1));
    let record = match &event.what {
        What::Granted(lease) | What::Changed(lease) | What::Adopted(lease) => {
            Record::PutLease(lease.clone())
        }
        What::Released(id) | What::Reclaimed(id) => Record::DropLease(*id),
        What::ClientAccepted(client) => Record::PutClient(client.clone()),
        What::ClientRemoved(client) => Record::DropClient(*client),
        What::Suspended(suspension) => Record::PutSuspension(suspension.clone()),
        What::Resumed(key) => Record::DropSuspension(key.clone()),
        What::LicenseRemoved(id, _) => Record::DropLicense(id.clone()),
        What::Trouble(word) => Record::PutTrouble(Trouble {
            rolled_back: false,
            clone: word
                .starts_with(RefusalCode::CloneFound.name())
                .then(|| "an address that the usage log names".to_owned()),
            hold_since: Some(after),
            lost_before: after,
            borrows_lost: Some(event.license_time),
        }),
        _ => return Ok(None),
    };
    write(&record).map(Some)
}

fn value<T: serde::Serialize>(kind: u8, value: &T) -> Result<Vec<u8>, CodecError> {
    codec::tag(RECORD_VERSION, kind, value)
}

fn body<T: serde::de::DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, RecordError> {
    codec::decode(bytes).map_err(|error| unreadable(key, error))
}

fn license(key: &[u8], text: &[u8]) -> Result<Arc<VerifiedLicense>, RecordError> {
    VerifiedLicense::verify(text)
        .map(Arc::new)
        .map_err(|error| RecordError::License {
            id: String::from_utf8_lossy(key.get(1..).unwrap_or_default()).into_owned(),
            source: Box::new(error),
        })
}

fn key_of(record: &Record) -> Vec<u8> {
    match record {
        Record::PutLease(lease) => lease_key(lease.id),
        Record::DropLease(id) => lease_key(*id),
        Record::PutLicense(license) => license_key(&license.id),
        Record::DropLicense(id) => license_key(id),
        Record::PutSerial(serial) => serial_key(serial),
        Record::PutRoot(root) => root_key(root),
        Record::PutRevocations(root, _) => revocations_key(root),
        Record::PutMark(_) => vec![MARK],
        Record::PutTrouble(_) => vec![TROUBLE],
        Record::PutClient(it) => client_key(&it.client),
        Record::DropClient(client) => client_key(client),
        Record::PutSuspension(it) => suspension_key(&it.key),
        Record::DropSuspension(key) => suspension_key(key),
    }
}

fn lease_key(id: LeaseId) -> Vec<u8> {
    let LeaseId {
        epoch: Epoch(epoch),
        commit: Commit(commit),
    } = id;
    let mut key = vec![LEASE];
    key.extend_from_slice(&epoch.to_be_bytes());
    key.extend_from_slice(&commit.to_be_bytes());
    key
}

fn license_key(id: &LicenseId) -> Vec<u8> {
    prefixed(LICENSE, id.as_str().as_bytes())
}

fn serial_key(serial: &LicenseSerial) -> Vec<u8> {
    let mut key = prefixed(SERIAL, &serial.root.0);
    key.extend_from_slice(serial.license.as_str().as_bytes());
    key
}

fn root_key(root: &PinnedRoot) -> Vec<u8> {
    prefixed(ROOT, root.vendor.as_str().as_bytes())
}

fn revocations_key(root: &Fingerprint) -> Vec<u8> {
    prefixed(REVOCATIONS, &root.0)
}

fn client_key(client: &PublicKey) -> Vec<u8> {
    prefixed(CLIENT, client.as_bytes())
}

fn suspension_key(key: &SuspensionKey) -> Vec<u8> {
    match key {
        SuspensionKey::License(id) => {
            let mut key = vec![SUSPENSION, b'l'];
            key.extend_from_slice(id.as_str().as_bytes());
            key
        }
        SuspensionKey::Feature(root, feature) => {
            let mut key = vec![SUSPENSION, b'f'];
            key.extend_from_slice(&root.0);
            key.extend_from_slice(feature.as_str().as_bytes());
            key
        }
    }
}

fn prefixed(prefix: u8, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(prefix);
    key.extend_from_slice(name);
    key
}

fn unreadable(key: &[u8], source: CodecError) -> RecordError {
    RecordError::Codec {
        key: hex(key),
        source,
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

// One letter is both the key's prefix and the value's kind; frozen by the golden bytes.
const LEASE: u8 = b'L';
const LICENSE: u8 = b'P';
const SERIAL: u8 = b'S';
const ROOT: u8 = b'R';
const REVOCATIONS: u8 = b'V';
const MARK: u8 = b'M';
const TROUBLE: u8 = b'T';
const CLIENT: u8 = b'C';
const SUSPENSION: u8 = b'X';
const EVENT: u8 = b'E';

#[cfg(test)]
mod tests;
