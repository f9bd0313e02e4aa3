//! The engine's views as administrators' answers. Decides nothing: names and units only.

use usher_engine::api::{LeaseView, LicenseView, PoolView};
use usher_protocol::documents::license::Feature;

use super::protocol::{FeatureReport, LeaseReport, LicenseReport, PoolReport};

pub(super) fn pool(view: PoolView) -> PoolReport {
    PoolReport {
        feature: format!("{}/{}", view.vendor, view.view.feature),
        license: view.view.license,
        environment: view.view.environment,
        version: view.view.version.map(|version| version.to_string()),
        seats: view.view.seats,
        out: view.view.out,
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
