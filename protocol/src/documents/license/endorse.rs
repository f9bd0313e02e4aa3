//! What an endorsement says of a license: computed by who signs it and by who checks it (T4).

use super::{Feature, License};
use crate::{
    documents::endorsement::{EndorsedFeature, Endorsement},
    ids::{Fingerprint, PublicKey},
};

/// The endorsement that belongs to this license of this root, with these signed bytes.
pub(super) fn endorse(license: &License, root: &PublicKey, signed: &[u8]) -> Endorsement {
    Endorsement {
        root: root.fingerprint(),
        license: license.id.clone(),
        serial: license.serial,
        license_hash: Fingerprint::of(signed),
        customer: license.customer_id.clone(),
        environment: license.environment,
        site: license.site,
        issued: license.issued,
        features: license.features.iter().map(endorse_feature).collect(),
    }
}

fn endorse_feature(feature: &Feature) -> EndorsedFeature {
    EndorsedFeature {
        feature: feature.feature.clone(),
        version: feature.version,
        lease_ms_max: feature.lease_ms_max,
        borrow_ms_max: feature.borrow_ms_max,
        starts: feature.starts,
        expires: feature.expires,
    }
}
