//! Each fact says what it is about, as loud as it has to be.

use usher_engine::record::LeaseRecord;
use usher_protocol::{ids::Epoch, refusal::RefusalCode, time::WallMs};

use super::*;
use crate::testing::lease;

fn teller() -> Teller {
    let mut teller = Teller::default();
    teller.vendors.name(lease().root, "acme".parse().unwrap());
    teller
}

fn by(actor: &str, what: What) -> Event {
    Event {
        at: WallMs(1),
        license_time: WallMs(1),
        epoch: Epoch(5),
        actor: actor.to_owned(),
        what,
    }
}

#[test]
fn a_grant_its_end_and_a_denial_name_feature_lease_and_holder() {
    let mut teller = teller();
    let granted = teller.fact(by("client", What::Granted(Box::new(lease()))));
    let denied = What::Denied {
        root: lease().root,
        feature: lease().feature,
        holder: lease().holder,
        code: RefusalCode::NoSeat,
        count: 2,
    };
    let denied = teller.fact(by("client", denied));
    let reclaimed = teller.fact(by("daemon", What::Reclaimed(lease().id)));
    let said: Vec<_> = [&granted, &denied, &reclaimed]
        .iter()
        .map(|it| {
            format!(
                "{:?} {}\n{}",
                it.loud,
                it.text,
                Value::Object(it.fields.clone())
            )
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    assert!(teller.leases.is_empty());
}

#[test]
fn an_end_whose_grant_was_not_told_names_the_lease_alone() {
    let released = teller().fact(by("client", What::Released(lease().id)));
    assert_eq!(released.text, format!("released {}", lease().id));
    assert_eq!(released.fields["event"], "released");
    assert!(!released.fields.contains_key("feature"));
}

#[test]
fn what_an_administrator_does_is_said_with_the_name_and_louder() {
    let mut teller = teller();
    let evicted = LeaseRecord {
        evicted: Some("maintenance".to_owned()),
        ..lease()
    };
    let fact = teller.fact(by("anna\u{7}(1000)", What::Changed(Box::new(evicted))));
    assert_eq!(fact.loud, Loud::Notice);
    assert!(
        fact.text.starts_with("anna\u{fffd}(1000): evicted"),
        "{}",
        fact.text
    );
    assert_eq!(fact.fields["actor"], "anna\u{7}(1000)");
}

#[test]
fn what_somebody_should_look_at_is_a_warning() {
    let mut teller = teller();
    let forked = LeaseRecord {
        forked: true,
        ..lease()
    };
    for what in [
        What::Trouble("clone-found: another daemon".to_owned()),
        What::Clock("the wall clock went back 10m".to_owned()),
        What::Changed(Box::new(forked)),
    ] {
        assert_eq!(teller.fact(by("daemon", what)).loud, Loud::Warning);
    }
}

/// T6: the nonce is the checkout's secret.
#[test]
fn t6_no_fact_shows_a_nonce() {
    let mut teller = teller();
    let fact = teller.fact(by("client", What::Granted(Box::new(lease()))));
    let said = format!("{}{}", fact.text, Value::Object(fact.fields));
    assert!(
        !said.contains("nonce") && !said.contains(&"07".repeat(16)),
        "{said}"
    );
}

#[test]
fn a3_what_is_remembered_is_bounded() {
    let mut teller = teller();
    for commit in 0..limits::FACTS_LEASES_MAX as u64 + 5 {
        let mut lease = lease();
        lease.id.commit.0 = commit;
        teller.fact(by("client", What::Granted(Box::new(lease))));
    }
    assert_eq!(teller.leases.len(), limits::FACTS_LEASES_MAX);
    let first = teller.leases.keys().next().unwrap();
    assert_eq!(first.commit.0, 5);
}
