//! The engine's views as administrators' answers. Decides nothing: names and units only.

use std::path::Path;

use usher_engine::api::{
    ClientView, Explanation, LeaseView, LicenseView, PoolView, ReservationView, WaiterView,
};
use usher_protocol::documents::license::Feature;

use super::protocol::{
    ClientReport, ExplanationReport, FeatureReport, LeaseReport, LicenseReport, PoolReport,
    RefusalReport, ReservationReport, WaiterReport,
};

pub(crate) fn pool(view: PoolView) -> PoolReport {
    let taken = view
        .view
        .out
        .saturating_add(view.offered)
        .saturating_add(view.lingering);
    let own = taken.saturating_sub(view.overdraft_used);
    PoolReport {
        feature: format!("{}/{}", view.vendor, view.view.feature),
        license: view.view.license,
        environment: view.view.environment,
        version: view.view.version.map(|version| version.to_string()),
        seats: view.view.seats,
        out: view.view.out,
        free: view.view.seats.map(|seats| seats.saturating_sub(own)),
        reserved_idle: view.view.reserved_idle,
        overdraft: view.view.overdraft,
        overdraft_used: view.overdraft_used,
        borrowed: view.borrowed,
        written_off: view.written_off,
        offered: view.offered,
        lingering: view.lingering,
        queued: view.view.queued,
        suspended: view.suspended,
        held: view.held,
        overcommitted: view.overcommitted,
        expires: view.view.expires,
    }
}

pub(super) fn lease(view: LeaseView) -> LeaseReport {
    LeaseReport {
        id: view.id,
        feature: view.feature,
        license: view.license,
        environment: view.environment,
        seats: view.seats,
        client: view.client,
        user: view.user,
        host: view.host,
        display: view.display,
        process: view.process,
        since: view.since,
        free_in_ms: view.free_in_ms,
        note: view.note,
        borrowed_until: view.borrowed_until,
        sharing: view.sharing,
    }
}

pub(super) fn reservation(view: ReservationView, file: &Path) -> ReservationReport {
    ReservationReport {
        feature: view.feature,
        who: view.who,
        seats: view.seats,
        used: view.used,
        file: file.to_owned(),
        line: view.line,
    }
}

pub(super) fn explanation(explanation: Explanation) -> ExplanationReport {
    ExplanationReport {
        detail: explanation.detail,
        refusal: explanation.refusal.map(RefusalReport::from),
    }
}

pub(super) fn client(view: ClientView) -> ClientReport {
    match view {
        ClientView::Accepted(accepted) => ClientReport::Accepted {
            client: accepted.client.fingerprint(),
            key: accepted.client,
            name: accepted.name,
            since: accepted.since,
        },
        ClientView::Knocked {
            client,
            user,
            host,
            address,
            ago_ms,
        } => ClientReport::Pending {
            client: client.fingerprint(),
            key: client,
            user,
            host,
            address,
            ago_ms,
        },
    }
}

pub(super) fn waiter(view: WaiterView) -> WaiterReport {
    WaiterReport {
        feature: view.feature,
        position: view.place.position,
        waiting: view.place.waiting,
        expected_ms: view.place.expected_ms,
        seats: view.seats,
        user: view.user,
        host: view.host,
        priority: view.priority,
        waited_ms: view.waited_ms,
        offered_ms: view.offered_ms,
        cut_off_ms: view.cut_off_ms,
    }
}

pub(super) fn license(view: LicenseView) -> LicenseReport {
    let license = &view.license;
    LicenseReport {
        id: license.id.clone(),
        serial: license.serial,
        vendor: license.vendor.to_string(),
        root: view.root,
        customer: license.customer.clone(),
        environment: license.environment,
        issued: license.issued,
        features: license.features.iter().map(feature).collect(),
        idle_because: view.idle_because,
    }
}

fn feature(feature: &Feature) -> FeatureReport {
    FeatureReport {
        feature: feature.feature.to_string(),
        version: feature.version.map(|version| version.to_string()),
        seats: feature.seats,
        starts: feature.starts,
        expires: feature.expires,
    }
}
