//! Any value of every message and document, within its shape.

use ed25519_dalek::SigningKey;
use proptest::{collection::vec, option, prelude::*};
use usher_protocol::{
    calendar::DAY,
    documents::{
        certificate::Certificate,
        endorsement::{EndorsedFeature, Endorsement, SignedEndorsement},
        lease::Lease,
        license::{Feature, Grouping, License},
        revocation::RevocationList,
    },
    envelope::{Signature, Signed},
    ids::{Commit, Epoch, Fingerprint, LeaseId, LifeId, Nonce, PublicKey, Token},
    names::{CustomerId, FeatureName, LicenseId, Version},
    printable::printable,
    refusal::{HolderView, Refusal, RefusalCode, RuleRef},
    time::{DurationMs, WallMs},
    wire::{
        Attach, Borrow, Checkout, ClientFrame, Environment, FeatureView, Grant, Hello, Holder,
        Link, Place, Push, Release, Renew, Reply, Request, ServerFrame, Welcome,
    },
};

use crate::samples::{certificate, day};

prop_compose! {
    pub(crate) fn public_key()(seed: [u8; 32]) -> PublicKey {
        PublicKey::from(&SigningKey::from_bytes(&seed))
    }
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    any::<[u8; 32]>().prop_map(Fingerprint)
}

fn feature_name() -> impl Strategy<Value = FeatureName> {
    "[a-z0-9._-]{1,48}".prop_map(|text| text.parse().unwrap())
}

fn license_id() -> impl Strategy<Value = LicenseId> {
    "[a-z0-9._-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn customer_id() -> impl Strategy<Value = CustomerId> {
    "[a-z0-9._-]{1,64}".prop_map(|text| text.parse().unwrap())
}

fn version() -> impl Strategy<Value = Version> {
    vec(any::<u32>(), 1..=4).prop_map(|numbers| numbers.try_into().unwrap())
}

/// Somebody's words as they are once received: whatever steers a terminal is marked already.
fn words() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| printable(&text))
}

fn wall() -> impl Strategy<Value = WallMs> {
    any::<u64>().prop_map(WallMs)
}

fn length() -> impl Strategy<Value = DurationMs> {
    any::<u64>().prop_map(DurationMs)
}

fn token() -> impl Strategy<Value = Token> {
    any::<[u8; 16]>().prop_map(Token)
}

fn nonce() -> impl Strategy<Value = Nonce> {
    any::<[u8; 16]>().prop_map(Nonce)
}

fn environment() -> impl Strategy<Value = Environment> {
    prop_oneof![Just(Environment::Live), Just(Environment::Test)]
}

prop_compose! {
    fn lease_id()(epoch: u64, commit: u64) -> LeaseId {
        LeaseId { epoch: Epoch(epoch), commit: Commit(commit) }
    }
}

prop_compose! {
    fn link()(previous in token(), next in token()) -> Link {
        Link { previous, next }
    }
}

prop_compose! {
    pub(crate) fn signed()(body in vec(any::<u8>(), 0..300), r: [u8; 32], s: [u8; 32]) -> Signed {
        let bytes = [r, s].concat().try_into().unwrap();
        Signed { body, signature: Signature::from_bytes(&bytes) }
    }
}

prop_compose! {
    fn signed_endorsement()(certificate in signed(), endorsement in signed()) -> SignedEndorsement {
        SignedEndorsement { certificate, endorsement }
    }
}

prop_compose! {
    fn holder()(user in words(), host in words(), display in option::of(words()), process: u32) -> Holder {
        Holder { user, host, display, process }
    }
}

prop_compose! {
    fn holder_view()(
        holder in holder(), seats: u32, since in wall(), free_in_ms in length(), borrowed: bool,
    ) -> HolderView {
        let Holder { user, host, display, process } = holder;
        HolderView { user, host, display, process, seats, since, free_in_ms, borrowed }
    }
}

prop_compose! {
    fn rule()(text in words(), file in words(), line: u32) -> RuleRef {
        RuleRef { text, file, line }
    }
}

prop_compose! {
    fn refusal()(
        code: u16, detail in words(), rule in option::of(rule()),
        holders in vec(holder_view(), 0..3), holders_more: u32,
        earliest in option::of((length(), option::of(words()))),
        retry_after_ms in option::of(length()), support in option::of(words()),
    ) -> Refusal {
        let code = RefusalCode::from(code);
        let (earliest_free_ms, earliest_because) = earliest.map_or((None, None), |(free, because)| (Some(free), because));
        Refusal {
            code, detail, rule, holders, holders_more, earliest_free_ms, earliest_because,
            retry_after_ms, support,
        }
    }
}

prop_compose! {
    fn checkout()(
        nonce in nonce(), token in token(), feature in feature_name(),
        environment in environment(), seats: u32, version in option::of(version()),
        length_ms in option::of(length()), holder in holder(), wait: bool,
    ) -> Checkout {
        Checkout { nonce, token, feature, environment, seats, version, length_ms, holder, wait }
    }
}

prop_compose! {
    fn renew()(
        lease in lease_id(), nonce in nonce(), link in link(), length_ms in option::of(length()),
        idle_ms in option::of(length()),
    ) -> Renew {
        Renew { lease, nonce, link, length_ms, idle_ms }
    }
}

prop_compose! {
    fn place()(position: u32, waiting: u32, expected_ms in option::of(length())) -> Place {
        Place { position, waiting, expected_ms }
    }
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        checkout().prop_map(Request::Checkout),
        renew().prop_map(Request::Renew),
        (lease_id(), nonce(), link()).prop_map(|(lease, nonce, link)| Request::Release(Release {
            lease,
            nonce,
            link
        })),
        (signed(), nonce(), link(), option::of(length())).prop_map(
            |(lease, nonce, link, length_ms)| Request::Attach(Attach {
                lease,
                nonce,
                link,
                length_ms
            })
        ),
        Just(Request::Features),
        feature_name().prop_map(Request::Holders),
        license_id().prop_map(Request::Endorsement),
        vec(checkout(), 0..4).prop_map(Request::CheckoutAll),
        nonce().prop_map(Request::Leave),
        (checkout(), wall())
            .prop_map(|(checkout, wall)| Request::Borrow(Borrow { checkout, wall })),
    ]
}

pub(crate) fn client_frame() -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        (any::<u8>(), any::<u8>(), fingerprint()).prop_map(|(version_min, version_max, root)| {
            ClientFrame::Hello(Hello {
                version_min,
                version_max,
                root,
            })
        }),
        (any::<u64>(), request()).prop_map(|(number, it)| ClientFrame::Request(number, it)),
    ]
}

prop_compose! {
    fn welcome()(
        version: u8, endorsement in signed_endorsement(),
        licenses_more in vec(license_id(), 0..3), epoch: u64, life: [u8; 16], server in words(),
        wall in wall(),
    ) -> Welcome {
        let (epoch, life) = (Epoch(epoch), LifeId(life));
        Welcome { version, endorsement, licenses_more, epoch, life, server, wall }
    }
}

prop_compose! {
    fn feature_view()(
        feature in feature_name(), license in license_id(), environment in environment(),
        version in option::of(version()), seats: Option<u32>, counts: [u32; 5],
        borrow_ms_max in length(), suspended: bool, expires in option::of(wall()),
    ) -> FeatureView {
        let [out, overdraft, reserved_idle, kept, queued] = counts;
        FeatureView {
            feature, license, environment, version, seats, out, overdraft, reserved_idle, kept,
            queued, borrow_ms_max, suspended, expires,
        }
    }
}

prop_compose! {
    fn grant()(
        lease in signed(), renew_after_ms in length(), seats_out: u32, seats_total: Option<u32>,
    ) -> Grant {
        Grant { lease, renew_after_ms, seats_out, seats_total }
    }
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        grant().prop_map(Reply::Granted),
        Just(Reply::Released),
        vec(feature_view(), 0..4).prop_map(Reply::Features),
        (vec(holder_view(), 0..4), any::<u32>()).prop_map(|(it, more)| Reply::Holders(it, more)),
        signed_endorsement().prop_map(Reply::Endorsement),
        refusal().prop_map(Reply::Refused),
        place().prop_map(Reply::Queued),
        vec(grant(), 0..4).prop_map(Reply::GrantedAll),
        Just(Reply::Left),
        length().prop_map(Reply::Returned),
    ]
}

pub(crate) fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let push = prop_oneof![
        length().prop_map(Push::Draining),
        Just(Push::FeaturesChanged),
        (lease_id(), words()).prop_map(|(lease, why)| Push::Evicted(lease, why)),
        (nonce(), place()).prop_map(|(nonce, place)| Push::Queued(nonce, place)),
        (nonce(), length()).prop_map(|(nonce, stands)| Push::Offered(nonce, stands)),
        (nonce(), refusal()).prop_map(|(nonce, why)| Push::Dismissed(nonce, why)),
    ];
    prop_oneof![
        welcome().prop_map(ServerFrame::Welcome),
        (any::<u64>(), reply()).prop_map(|(number, it)| ServerFrame::Reply(number, it)),
        push.prop_map(ServerFrame::Push),
    ]
}

prop_compose! {
    pub(crate) fn any_certificate()(
        root in public_key(), vendor in "[a-z0-9_-]{1,48}", issuing in public_key(), serial: u64,
        starts in wall(), expires in wall(),
    ) -> Certificate {
        Certificate { root, vendor: vendor.parse().unwrap(), issuing, serial, starts, expires }
    }
}

prop_compose! {
    pub(crate) fn revocation_list()(
        root in public_key(), number: u64, issued in wall(),
        issuing_keys in vec(fingerprint(), 0..4), licenses in vec(license_id(), 0..4),
    ) -> RevocationList {
        RevocationList { root, number, issued, issuing_keys, licenses }
    }
}

prop_compose! {
    fn endorsed_feature()(
        feature in feature_name(), version in option::of(version()), lease_ms_max in length(),
        borrow_ms_max in length(), starts in wall(), expires in option::of(wall()),
    ) -> EndorsedFeature {
        EndorsedFeature { feature, version, lease_ms_max, borrow_ms_max, starts, expires }
    }
}

prop_compose! {
    pub(crate) fn endorsement()(
        root in fingerprint(), license in license_id(), serial: u64, license_hash in fingerprint(),
        customer in customer_id(), environment in environment(), site in public_key(),
        issued in wall(), features in vec(endorsed_feature(), 0..4),
    ) -> Endorsement {
        Endorsement {
            root, license, serial, license_hash, customer, environment, site, issued, features,
        }
    }
}

prop_compose! {
    fn lease_subject()(
        id in lease_id(), root in fingerprint(), license in license_id(),
        license_hash in fingerprint(), feature in feature_name(), client in public_key(),
    ) -> (LeaseId, Fingerprint, LicenseId, Fingerprint, FeatureName, PublicKey) {
        (id, root, license, license_hash, feature, client)
    }
}

prop_compose! {
    pub(crate) fn lease()(
        subject in lease_subject(), environment in environment(), seats: u32, holder in holder(),
        head: (u64, u64), token in token(), issued in wall(), length_ms in length(),
        not_after in wall(), grouping in 0_usize..Grouping::ALL.len(), borrowed: bool,
    ) -> Lease {
        let (id, root, license, license_hash, feature, client) = subject;
        let (epoch, commit, grouping) = (Epoch(head.0), Commit(head.1), Grouping::ALL[grouping]);
        Lease {
            id, root, license, license_hash, environment, feature, seats, client, holder, epoch,
            commit, token, issued, length_ms, not_after, grouping, borrowed,
        }
    }
}

/// One line of text as a license may have it.
fn line() -> impl Strategy<Value = String> {
    "\\PC{1,60}".prop_filter("no control characters", |text| {
        !text.chars().any(char::is_control)
    })
}

prop_compose! {
    fn feature(issued: WallMs)(
        name in feature_name(), version in option::of(version()),
        seats in option::of(1..=u32::MAX), starts_days in 0_u64..300, starts_ms in 0_u64..2,
        days in 1_u64..2000, expires_ms in 0_u64..2, lengths in vec(60_000_u64..=86_400_000, 3),
        borrow in option::of((1_u64..31_000_000_000, any::<bool>(), any::<u32>())), overdraft: u32,
        grouping in 0_usize..Grouping::ALL.len(),
    ) -> Feature {
        let (borrow, early_return, write_off) = borrow.unwrap_or_default();
        let grouping = Grouping::ALL[grouping];
        let mut lengths: Vec<_> = lengths.into_iter().map(DurationMs).collect();
        lengths.sort_unstable();
        let starts = WallMs(issued.0 + starts_days * DAY.0 + starts_ms);
        Feature {
            feature: name,
            version,
            seats,
            starts,
            expires: Some(WallMs(starts.0 + days * DAY.0 + expires_ms)),
            lease_ms_min: lengths[0],
            lease_ms_default: lengths[1],
            lease_ms_max: lengths[2],
            borrow_ms_max: DurationMs(borrow),
            overdraft,
            grouping,
            claimed_user: grouping == Grouping::User,
            early_return,
            write_off,
        }
    }
}

prop_compose! {
    /// A license that the sample certificate covers.
    pub(crate) fn license()(
        id in license_id(), serial in 1..=i64::MAX.unsigned_abs(), customer in line(),
        customer_id in customer_id(), environment in environment(), site in public_key(),
        hosts in vec(line(), 0..3), issued_ms in 0_u64..2, replaces in vec(license_id(), 0..3),
        support in option::of(line()), features in vec(feature(day(2026, 3, 1)), 1..4),
    ) -> License {
        let mut features = features;
        features.sort_by(|a, b| a.feature.cmp(&b.feature));
        features.dedup_by(|a, b| a.feature == b.feature);
        License {
            id,
            serial,
            vendor: certificate().vendor,
            customer,
            customer_id,
            environment,
            site,
            hosts,
            issued: WallMs(day(2026, 3, 1).0 + issued_ms),
            replaces,
            support,
            features,
        }
    }
}
