//! What each event of the log means for a report: sessions, waits and denials, put on the timeline.
//!
//! Decides which request an event tells of and when that came. Must not count: rows do.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use usher_engine::{
    policy::{SubjectKey, fold},
    record::{Event, LeaseRecord, Record, What as Happened},
};
use usher_protocol::{
    ids::{Fingerprint, LeaseId},
    names::{FeatureName, VendorName},
    refusal::RefusalCode,
    time::{DurationMs, WallMs},
    wire::Holder,
};

use super::{
    denials::{Asked, Denials, TOLD_LATE_MS},
    pools::Pools,
    row::Outcome,
    rows::{Asker, RowId, Rows},
    timeline::{Timeline, What},
};

/// What is known of the log so far.
#[derive(Debug)]
pub(super) struct Fold {
    only: Option<String>,
    /// The latest moment that the log has told of: a clock that went back stands still here.
    now: WallMs,
    /// When the daemon life began that tells.
    started: WallMs,
    vendors: BTreeMap<Fingerprint, VendorName>,
    pools: Pools,
    held: HashMap<LeaseId, Held>,
    denials: Denials<(Rc<[RowId]>, Outcome)>,
}

/// A lease that is out.
#[derive(Debug)]
struct Held {
    rows: Rc<[RowId]>,
    share: LeaseId,
    seats: u32,
}

impl Fold {
    /// Of all features, or of one.
    pub(super) fn of(only: Option<String>) -> Self {
        Self {
            only,
            now: WallMs::default(),
            started: WallMs::default(),
            vendors: BTreeMap::new(),
            pools: Pools::default(),
            held: HashMap::new(),
            denials: Denials::default(),
        }
    }

    pub(super) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(super) fn know(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::PutRoot(it) => {
                    self.vendors
                        .insert(it.root.fingerprint(), it.vendor.clone());
                }
                Record::PutLicense(license) => self.pools.know(license),
                _ => {}
            }
        }
    }

    /// The next event; gives the moment that the log has come to.
    pub(super) fn take(
        &mut self,
        event: &Event,
        rows: &mut Rows,
        timeline: &mut Timeline,
    ) -> WallMs {
        self.now = self.now.max(event.at);
        while let Some((at, (rows, outcome))) = self.denials.settled(Some(self.now)) {
            timeline.push(at, &rows, What::Asked(outcome));
        }
        match &event.what {
            Happened::Started(_) => self.started = self.now,
            Happened::RootPinned(vendor, root) => {
                self.vendors.insert(*root, vendor.clone());
            }
            Happened::Granted(lease) => self.granted(lease, rows, timeline),
            Happened::Adopted(lease) | Happened::Changed(lease) => {
                self.changed(lease, rows, timeline);
            }
            Happened::Released(lease) | Happened::Reclaimed(lease) => self.leave(*lease, timeline),
            Happened::Denied {
                root,
                feature,
                holder,
                code,
                ..
            } => self.denied((*root, feature), holder, *code, rows, timeline),
            Happened::GaveUp {
                root,
                feature,
                holder,
                waited_ms,
            } => self.gave_up((*root, feature), holder, *waited_ms, rows, timeline),
            other => self.pools.take(other),
        }
        self.now
    }

    /// Nothing more comes: a denial whose seat was not got by now is true.
    pub(super) fn end(&mut self, timeline: &mut Timeline) {
        while let Some((at, (rows, outcome))) = self.denials.settled(None) {
            timeline.push(at, &rows, What::Asked(outcome));
        }
    }

    fn granted(&mut self, lease: &LeaseRecord, rows: &mut Rows, timeline: &mut Timeline) {
        let Some(feature) = self.feature(lease.root, &lease.feature) else {
            return;
        };
        let asked = asked(&feature, &lease.holder);
        for (at, (rows, _)) in self.denials.grant(self.now, asked) {
            timeline.push(at, &rows, What::Asked(Outcome::GotLater));
        }
        let ids = rows.of(&feature, &asker_of(lease));
        let came = self.before(lease.waited_ms);
        let asked = What::Asked(Outcome::Granted(lease.waited_ms));
        if lease.waited_ms > DurationMs::ZERO {
            let seats = lease.seats;
            timeline.push(came, &ids, What::WaitBegins { seats });
            timeline.push(came, &ids, asked);
            timeline.push(self.now, &ids, What::WaitEnds { seats });
            self.enter(lease, ids, timeline);
        } else {
            self.enter(lease, Rc::clone(&ids), timeline);
            timeline.push(self.now, &ids, asked);
        }
    }

    /// A lease as it now is; one that the log has not told of was granted before it begins.
    fn changed(&mut self, lease: &LeaseRecord, rows: &mut Rows, timeline: &mut Timeline) {
        if lease.borrowed.is_some_and(|it| it.written_off) {
            // L10: it counts against the pool no more.
            return self.leave(lease.id, timeline);
        }
        let is_known = |held: &Held| held.seats == lease.seats && held.share == lease.share_since;
        if self.held.get(&lease.id).is_some_and(is_known) {
            return;
        }
        if let Some(feature) = self.feature(lease.root, &lease.feature) {
            let ids = rows.of(&feature, &asker_of(lease));
            self.enter(lease, ids, timeline);
        }
    }

    fn denied(
        &mut self,
        (root, feature): (Fingerprint, &FeatureName),
        holder: &Holder,
        code: RefusalCode,
        rows: &mut Rows,
        timeline: &mut Timeline,
    ) {
        let Some(feature) = self.feature(root, feature) else {
            return;
        };
        let outcome = if is_want_of_seats(code) {
            Outcome::Denied(code)
        } else {
            Outcome::Refused(code)
        };
        let ids = rows.of(&feature, &asker(holder));
        let asked = asked(&feature, holder);
        let at = self.before(TOLD_LATE_MS).max(self.started);
        if let Err((ids, _)) = self.denials.deny(at, asked, (ids, outcome)) {
            timeline.push(at, &ids, What::Asked(Outcome::GotLater));
        }
    }

    fn gave_up(
        &mut self,
        (root, feature): (Fingerprint, &FeatureName),
        holder: &Holder,
        waited: DurationMs,
        rows: &mut Rows,
        timeline: &mut Timeline,
    ) {
        let Some(feature) = self.feature(root, feature) else {
            return;
        };
        let ids = rows.of(&feature, &asker(holder));
        let came = self.before(waited);
        // How many it waited for is not in the log.
        let seats = 1;
        timeline.push(came, &ids, What::WaitBegins { seats });
        timeline.push(came, &ids, What::Asked(Outcome::GaveUp));
        timeline.push(self.now, &ids, What::WaitEnds { seats });
    }

    fn enter(&mut self, lease: &LeaseRecord, rows: Rc<[RowId]>, timeline: &mut Timeline) {
        self.leave(lease.id, timeline);
        let (share, seats) = (lease.share_since, lease.seats);
        let lease = lease.id;
        timeline.push(
            self.now,
            &rows,
            What::Enter {
                lease,
                share,
                seats,
            },
        );
        self.held.insert(lease, Held { rows, share, seats });
    }

    fn leave(&mut self, lease: LeaseId, timeline: &mut Timeline) {
        if let Some(Held { rows, share, .. }) = self.held.remove(&lease) {
            timeline.push(self.now, &rows, What::Leave { lease, share });
        }
    }

    /// `vendor/feature`, the root's first digits for a vendor the log has not named; none for what the report is not about.
    fn feature(&self, root: Fingerprint, feature: &FeatureName) -> Option<String> {
        let path = match self.vendors.get(&root) {
            Some(vendor) => format!("{vendor}/{feature}"),
            None => format!("{}/{feature}", root.short()),
        };
        let fits = |only: &String| *only == path || only == feature.as_str();
        self.only.as_ref().is_none_or(fits).then_some(path)
    }

    fn before(&self, length: DurationMs) -> WallMs {
        WallMs(self.now.0.saturating_sub(length.0))
    }
}

/// More seats would have made it a grant.
fn is_want_of_seats(code: RefusalCode) -> bool {
    matches!(
        code,
        RefusalCode::NoSeat
            | RefusalCode::Overcommitted
            | RefusalCode::QueueFull
            | RefusalCode::Reserved
            | RefusalCode::KeptAtHome
    )
}

fn asked(feature: &str, holder: &Holder) -> Asked {
    let (user, host) = (fold(&holder.user), fold(&holder.host));
    (feature.to_owned(), user.into_owned(), host.into_owned())
}

fn asker_of(lease: &LeaseRecord) -> Asker<'_> {
    Asker {
        holder: &lease.holder,
        client: SubjectKey::Key(lease.client),
        address: lease.address,
    }
}

/// The log names no key of those who got nothing.
fn asker(holder: &Holder) -> Asker<'_> {
    Asker {
        holder,
        client: SubjectKey::Unseen,
        address: None,
    }
}
