//! Plays a usage log onto a restored or rebuilt state (L12): what one event says is `super::replay`'s; here is what
//! takes several, or what stood there before: license texts, serials, revocations, the mark.
//!
//! It must not decide which entries are played: the journal does.

use std::collections::BTreeMap;
use std::sync::Arc;

use usher_engine::record::{Event, LicenseSerial, Mark, PinnedRoot, Record, TextPiece, What};
use usher_protocol::{
    documents::{license::VerifiedLicense, revocation::VerifiedRevocationList},
    ids::PublicKey,
    names::LicenseId,
};

use super::{MARK, read, replay, revocations_key, write};
use crate::journal::{Live, Write};

/// One log, played from some entry on. Nothing is remembered between logs.
#[derive(Debug, Default)]
pub struct Replay {
    /// Texts of which pieces have come.
    texts: BTreeMap<LicenseId, String>,
}

/// What one event did.
#[derive(Debug, Default)]
pub struct Played {
    /// What is written.
    pub writes: Vec<Write>,
    /// The license that it completed.
    pub license: Option<Arc<VerifiedLicense>>,
}

impl Replay {
    /// Plays the next event on what is `live` by then.
    ///
    /// # Errors
    /// Words, where a record cannot be encoded or a license's text is not genuine.
    pub fn play(&mut self, event: &Event, live: &Live) -> Result<Played, String> {
        let mut played = Played::default();
        let words = |error: usher_protocol::codec::CodecError| error.to_string();
        played.writes.extend(replay(event).map_err(words)?);
        let license = self.completed(&event.what)?;
        let mut records: Vec<Record> = license.iter().flat_map(|it| installed(it, live)).collect();
        records.extend(mark(event, license.as_deref(), live));
        for record in &records {
            played.writes.push(write(record).map_err(words)?);
        }
        played.license = license;
        Ok(played)
    }

    fn completed(&mut self, what: &What) -> Result<Option<Arc<VerifiedLicense>>, String> {
        let What::LicenseText(it) = what else {
            return Ok(None);
        };
        let TextPiece {
            license,
            piece,
            pieces,
            text,
        } = it;
        if *piece == 1 {
            self.texts.insert(license.clone(), String::new());
        }
        // A log that begins with a later piece does not have the text.
        let Some(known) = self.texts.get_mut(license) else {
            return Ok(None);
        };
        known.push_str(text);
        if piece < pieces {
            return Ok(None);
        }
        let text = self.texts.remove(license).unwrap_or_default();
        let verified = VerifiedLicense::verify(text.as_bytes());
        let verified = verified.map_err(|error| format!("license {license}: {error}"))?;
        Ok(Some(Arc::new(verified)))
    }
}

/// As its installation left it (T3, T7).
fn installed(license: &Arc<VerifiedLicense>, live: &Live) -> Vec<Record> {
    let root = license.root();
    let serial = LicenseSerial {
        root: root.fingerprint(),
        license: license.id.clone(),
        serial: license.serial,
    };
    let pinned = PinnedRoot {
        vendor: license.vendor.clone(),
        root,
    };
    let mut records = vec![
        Record::PutRoot(pinned),
        Record::PutLicense(Arc::clone(license)),
        Record::PutSerial(serial),
    ];
    let list = license.revocations();
    if let Some(list) = list.filter(|list| is_newer(list, &root, live)) {
        let record = Record::PutRevocations(root.fingerprint(), list.signed().clone());
        records.push(record);
    }
    records
}

/// T7: the newest number wins.
fn is_newer(list: &VerifiedRevocationList, root: &PublicKey, live: &Live) -> bool {
    let key = revocations_key(&root.fingerprint());
    let Some(Ok(Record::PutRevocations(_, known))) = live.get(&key).map(|it| read(&key, it)) else {
        return true;
    };
    let known = VerifiedRevocationList::verify(&known, root);
    known.map_or(true, |known| known.number < list.number)
}

/// L11: the license time of the last event is the mark, which a newer license may have lowered.
fn mark(event: &Event, license: Option<&VerifiedLicense>, live: &Live) -> Option<Record> {
    let key = [MARK];
    let known = match live.get(&key[..]).map(|value| read(&key, value)) {
        Some(Ok(Record::PutMark(known))) => known,
        _ => Mark::default(),
    };
    let issued = license.map(|license| license.issued);
    let mark = Mark {
        license_time: event.license_time,
        issued_newest: issued.unwrap_or_default().max(known.issued_newest),
    };
    (mark != known).then_some(Record::PutMark(mark))
}
