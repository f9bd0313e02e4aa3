//! One entry of the usage log: as a line for people, as an object for scripts (docs/formats.md).
//!
//! It shows no secret: a checkout's nonce stays in the log.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use usher_client::clock::{local_rfc3339, utc_rfc3339};
use usher_engine::record::{LeaseRecord, Record, Retirement, SuspensionKey, TextPiece, What};
use usher_protocol::{
    ids::Fingerprint,
    names::VendorName,
    printable::printable as plain,
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::{Environment, Holder},
};

use super::words::{counted, environment};
use crate::{records, usage::Entry};

/// The vendors whose roots the log has named so far; as many as there are vendors.
#[derive(Debug, Default)]
pub(crate) struct Vendors(BTreeMap<Fingerprint, VendorName>);

impl Vendors {
    /// Those that a state names in its records: a log whose oldest part was retired does not name them any more.
    pub(crate) fn named_by(records: &[Record]) -> Self {
        let mut vendors = Self::default();
        for record in records {
            if let Record::PutRoot(pinned) = record {
                vendors.name(pinned.root.fingerprint(), pinned.vendor.clone());
            }
        }
        vendors
    }

    /// From now on `root` is called so.
    pub(super) fn name(&mut self, root: Fingerprint, vendor: VendorName) {
        self.0.insert(root, vendor);
    }

    /// Reads one entry.
    pub(crate) fn report(&mut self, entry: &Entry) -> Result<EntryReport, String> {
        let event = records::read_event(&entry.body).map_err(|error| {
            format!(
                "entry {} cannot be read: {error}; use the usherd that wrote it, or a newer one",
                entry.number
            )
        })?;
        Ok(EntryReport {
            number: entry.number,
            epoch: entry.epoch,
            commit: entry.head,
            at: event.at,
            license_time: event.license_time,
            actor: event.actor.clone(),
            what: self.what(event.what),
        })
    }

    /// Reads what happened.
    pub(super) fn what(&mut self, what: What) -> WhatReport {
        if let What::RootPinned(vendor, root) = &what {
            self.0.insert(*root, vendor.clone());
        }
        match what {
            What::Started(version) => WhatReport::Started { usherd: version },
            What::Granted(lease) => WhatReport::Granted(self.lease(*lease)),
            What::Changed(lease) => WhatReport::Changed(self.lease(*lease)),
            What::Adopted(lease) => WhatReport::Adopted(self.lease(*lease)),
            What::Released(lease) => WhatReport::Released { lease: text(lease) },
            What::Reclaimed(lease) => WhatReport::Reclaimed { lease: text(lease) },
            What::Denied {
                root,
                feature,
                holder,
                code,
                count,
            } => Self::denied(self.feature(root, &feature), root, holder, code, count),
            What::LicenseInstalled(license, serial) => WhatReport::LicenseInstalled {
                license: text(license),
                serial,
            },
            What::LicenseText(it) => text_piece(&it),
            What::LicenseRemoved(license, serial) => WhatReport::LicenseRemoved {
                license: text(license),
                serial,
            },
            What::RootPinned(vendor, root) => WhatReport::RootPinned {
                vendor: text(vendor),
                root: text(root),
            },
            What::Trouble(text) => WhatReport::Trouble { text },
            What::Clock(text) => WhatReport::Clock { text },
            What::GaveUp {
                root,
                feature,
                holder,
                waited_ms,
            } => WhatReport::GaveUp {
                feature: self.feature(root, &feature),
                root: text(root),
                holder: holder.into(),
                waited_ms,
            },
            What::Suspended(it) => WhatReport::Suspended {
                what: self.suspended(&it.key),
                reason: it.reason,
            },
            What::Resumed(key) => WhatReport::Resumed {
                what: self.suspended(&key),
            },
            What::ClientAccepted(it) => WhatReport::ClientAccepted {
                client: text(it.client.fingerprint()),
                name: it.name,
            },
            What::ClientRemoved(client) => WhatReport::ClientRemoved {
                client: text(client.fingerprint()),
            },
            What::WrittenOff(lease, reason) => WhatReport::WrittenOff {
                lease: text(lease),
                reason,
            },
            What::Policy(text) => WhatReport::Policy { text },
            What::LogRetired(it) => log_retired(&it),
        }
    }

    fn denied(
        feature: String,
        root: Fingerprint,
        holder: Holder,
        code: RefusalCode,
        count: u32,
    ) -> WhatReport {
        WhatReport::Denied {
            feature,
            root: text(root),
            holder: holder.into(),
            refusal: code.name(),
            refusal_number: code.into(),
            count,
        }
    }

    fn lease(&self, lease: LeaseRecord) -> Box<LeaseEntry> {
        Box::new(LeaseEntry {
            feature: self.feature(lease.root, &lease.feature),
            lease: lease.id.to_string(),
            root: lease.root.to_string(),
            license: lease.license.to_string(),
            environment: lease.environment,
            seats: lease.seats,
            version: lease.version.map(|it| it.to_string()),
            client: lease.client.fingerprint().to_string(),
            holder: lease.holder.into(),
            since: utc_rfc3339(lease.since),
            length_ms: lease.length_ms_longest,
            evicted: lease.evicted,
            forked: lease.forked,
            overdraft_seats: lease.overdraft_seats,
            waited_ms: lease.waited_ms,
            borrowed_until: lease.borrowed.map(|it| utc_rfc3339(it.until)),
            returned: lease.borrowed.is_some_and(|it| it.returned),
            written_off: lease.borrowed.is_some_and(|it| it.written_off),
        })
    }

    fn suspended(&self, key: &SuspensionKey) -> String {
        match key {
            SuspensionKey::License(license) => format!("license {license}"),
            SuspensionKey::Feature(root, feature) => self.feature(*root, feature),
        }
    }

    /// `vendor/feature`; the root's first digits for a vendor the log has not named.
    fn feature(&self, root: Fingerprint, feature: impl fmt::Display) -> String {
        match self.0.get(&root) {
            Some(vendor) => format!("{vendor}/{feature}"),
            None => format!("{}/{feature}", root.short()),
        }
    }
}

/// One entry, readable.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct EntryReport {
    pub(crate) number: u64,
    epoch: u64,
    commit: u64,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) at: WallMs,
    #[serde(serialize_with = "rfc3339")]
    license_time: WallMs,
    actor: String,
    #[serde(flatten)]
    what: WhatReport,
}

/// What happened, readable.
#[derive(Debug, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub(super) enum WhatReport {
    Started {
        usherd: String,
    },
    Granted(Box<LeaseEntry>),
    Changed(Box<LeaseEntry>),
    Released {
        lease: String,
    },
    Reclaimed {
        lease: String,
    },
    Adopted(Box<LeaseEntry>),
    Denied {
        feature: String,
        root: String,
        #[serde(flatten)]
        holder: HolderEntry,
        refusal: &'static str,
        refusal_number: u16,
        count: u32,
    },
    LicenseInstalled {
        license: String,
        serial: u64,
    },
    LicenseText {
        license: String,
        piece: u32,
        pieces: u32,
    },
    LicenseRemoved {
        license: String,
        serial: u64,
    },
    RootPinned {
        vendor: String,
        root: String,
    },
    Trouble {
        text: String,
    },
    Clock {
        text: String,
    },
    GaveUp {
        feature: String,
        root: String,
        #[serde(flatten)]
        holder: HolderEntry,
        waited_ms: DurationMs,
    },
    Suspended {
        what: String,
        reason: String,
    },
    Resumed {
        what: String,
    },
    ClientAccepted {
        client: String,
        name: String,
    },
    ClientRemoved {
        client: String,
    },
    WrittenOff {
        lease: String,
        reason: String,
    },
    Policy {
        text: String,
    },
    LogRetired {
        through: u64,
        hash: String,
        base: u64,
        base_digest: String,
    },
}

/// A lease, readable.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LeaseEntry {
    lease: String,
    feature: String,
    seats: u32,
    #[serde(flatten)]
    holder: HolderEntry,
    client: String,
    license: String,
    root: String,
    environment: Environment,
    version: Option<String>,
    since: String,
    length_ms: DurationMs,
    evicted: Option<String>,
    forked: bool,
    overdraft_seats: u32,
    waited_ms: DurationMs,
    borrowed_until: Option<String>,
    returned: bool,
    written_off: bool,
}

/// The holder's own words.
#[derive(Debug, Clone, Serialize)]
pub(super) struct HolderEntry {
    user: String,
    host: String,
    display: Option<String>,
    process: u32,
}

impl From<Holder> for HolderEntry {
    fn from(holder: Holder) -> Self {
        Self {
            user: holder.user,
            host: holder.host,
            display: holder.display,
            process: holder.process,
        }
    }
}

impl fmt::Display for EntryReport {
    /// `2026-11-22T09:00:00+01:00  12  anna(1000): evicted 1-2: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = local_rfc3339(self.at);
        write!(f, "{at}  {}  {}: ", self.number, plain(&self.actor))?;
        write!(f, "{}", self.what)
    }
}

impl fmt::Display for WhatReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { usherd } => write!(f, "started usherd {}", plain(usherd)),
            Self::Granted(lease) => write!(f, "granted {lease}"),
            Self::Adopted(lease) => write!(f, "adopted {lease}"),
            Self::Changed(lease) => lease.change(f),
            Self::Released { lease } => write!(f, "released {lease}"),
            Self::Reclaimed { lease } => write!(f, "reclaimed {lease}"),
            Self::Denied {
                feature,
                holder,
                refusal,
                count,
                ..
            } => {
                let times = counted(*count, "time");
                write!(
                    f,
                    "denied {} to {holder}: {refusal}, {times}",
                    plain(feature)
                )
            }
            Self::LicenseInstalled { license, serial } => {
                write!(f, "installed license {license}, serial {serial}")
            }
            Self::LicenseText {
                license,
                piece,
                pieces,
            } => write!(f, "text of license {license}, piece {piece} of {pieces}"),
            Self::LicenseRemoved { license, serial } => {
                write!(f, "removed license {license}, serial {serial}")
            }
            Self::RootPinned { vendor, root } => write!(f, "pinned vendor {vendor}, root {root}"),
            Self::Trouble { text } => write!(f, "trouble: {}", plain(text)),
            Self::Clock { text } => write!(f, "clock: {}", plain(text)),
            Self::GaveUp {
                feature,
                holder,
                waited_ms,
                ..
            } => {
                let feature = plain(feature);
                write!(f, "{holder} waited {waited_ms} for {feature} and left")
            }
            Self::Suspended { what, reason } => {
                write!(f, "suspended {}: {}", plain(what), plain(reason))
            }
            Self::Resumed { what } => write!(f, "resumed {}", plain(what)),
            Self::ClientAccepted { client, name } => {
                write!(f, "accepted client {client} as {}", plain(name))
            }
            Self::ClientRemoved { client } => write!(f, "removed client {client}"),
            Self::WrittenOff { lease, reason } => {
                write!(f, "wrote off {lease}: {}", plain(reason))
            }
            Self::Policy { text } => write!(f, "policy: {}", plain(text)),
            Self::LogRetired { through, base, .. } => write!(
                f,
                "retired the usage log up to entry {through}; a repair goes on from entry {base}"
            ),
        }
    }
}

impl WhatReport {
    /// The lease that is out from now on, or as it now is.
    pub(super) fn into_lease(self) -> Option<Box<LeaseEntry>> {
        match self {
            Self::Granted(lease) | Self::Changed(lease) | Self::Adopted(lease) => Some(lease),
            _ => None,
        }
    }
}

impl LeaseEntry {
    /// Two renewed it (T6).
    pub(super) fn is_forked(&self) -> bool {
        self.forked
    }

    /// The entry holds the lease as it now is, so the change is the last thing that can have happened.
    fn change(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.evicted {
            _ if self.forked => write!(f, "forked {self}"),
            _ if self.written_off => write!(f, "written off {self}"),
            _ if self.returned => write!(f, "returned early {self}, free at its end"),
            Some(reason) => write!(f, "evicted {self}: {}", plain(reason)),
            None => write!(f, "promised {} to {self}", self.length_ms),
        }
    }
}

impl fmt::Display for LeaseEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seats, feature) = (counted(self.seats, "seat"), plain(&self.feature));
        write!(f, "{} ({seats} of {feature}, ", self.lease)?;
        write!(f, "{}, license {}", self.holder, self.license)?;
        if let Some(until) = &self.borrowed_until {
            write!(f, ", borrowed until {until}")?;
        }
        if self.overdraft_seats > 0 {
            write!(f, ", {} overdraft", self.overdraft_seats)?;
        }
        if self.waited_ms > DurationMs::ZERO {
            write!(f, ", after {} in the queue", self.waited_ms)?;
        }
        match self.environment {
            Environment::Live => f.write_str(")"),
            Environment::Test => write!(f, ", {})", environment(self.environment)),
        }
    }
}

impl fmt::Display for HolderEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", plain(&self.user), plain(&self.host))
    }
}

fn text_piece(it: &TextPiece) -> WhatReport {
    WhatReport::LicenseText {
        license: text(&it.license),
        piece: it.piece,
        pieces: it.pieces,
    }
}

fn log_retired(it: &Retirement) -> WhatReport {
    WhatReport::LogRetired {
        through: it.through,
        hash: data_encoding::HEXLOWER.encode(&it.hash),
        base: it.base,
        base_digest: data_encoding::HEXLOWER.encode(&it.base_digest),
    }
}

fn text(it: impl fmt::Display) -> String {
    it.to_string()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out a reference"
)]
fn rfc3339<S: serde::Serializer>(wall: &WallMs, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&utc_rfc3339(*wall))
}

#[cfg(test)]
#[path = "entry_tests.rs"]
pub(crate) mod tests;
