//! Does the main job work between hosts that know nothing of each other but the vendor's key?

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use usher_tests::holder::{Belief, Event, Holder, What, beliefs, most_at_once};
use usher_tests::hosts::{Host, on_lan};

use super::seats_site::{Seats, boot};

#[test]
fn a_pool_is_lent_to_its_size_refused_with_reasons_released_and_reclaimed() {
    on_lan(|lan| {
        let (server, one, two) = (lan.host("lic01"), lan.host("ws1"), lan.host("ws2"));
        let seats = Seats::on_host(&server, "3,lease-min=2s,lease-default=10s");
        let (mut ann, mut bob) = (seats.holder_on(&one), seats.holder_on(&two));
        let mut granted = BTreeSet::new();
        granted.insert(ann.granted("a1", "solver").lease);
        granted.insert(bob.granted("b1", "solver").lease);
        granted.insert(ann.granted("a2", "solver").lease);
        assert_eq!(seats.lease_ids(), granted);

        let no = bob.refused("b2", "solver");
        assert_eq!(no.code, "no-seat");
        let hosts: Vec<_> = no
            .holders
            .iter()
            .map(|it| it.split_once('@').unwrap().1)
            .collect();
        assert_eq!(
            BTreeSet::from_iter(hosts),
            ["ws1", "ws2"].into(),
            "{}",
            no.text
        );
        // R + G is 11 s.
        assert!(
            (1..=11_000).contains(&no.free_in_ms.unwrap()),
            "{}",
            no.text
        );
        assert!(no.text.contains("free in"), "{}", no.text);

        ann.release("a1");
        bob.granted("b2", "solver");

        // A killed holder's seat comes back by its deadline, and not before.
        ann.kill();
        let deadline = deadline_on(&seats, "ws1");
        let (last, when) = (ann.belief("a2"), granted_when_free(&mut bob, "b3"));
        assert!(
            when >= last.end,
            "lent at {when}, believed until {}",
            last.end
        );
        assert!(when >= deadline, "lent at {when}, held until {deadline}");

        let events = [ann.events(), bob.events()];
        let held: Vec<_> = events.iter().flat_map(|events| beliefs(events)).collect();
        assert_eq!(most_at_once(&held).0, 3, "{held:#?}");
    });
}

#[test]
fn holders_find_a_server_again_whose_address_changed_and_keep_their_seats() {
    on_lan(|lan| {
        let (server, one, two) = (lan.host("lic01"), lan.host("ws1"), lan.host("ws2"));
        let seats = Seats::on_host(&server, "2,lease-min=2s,lease-default=30s");
        let mut holders = [seats.holder_on(&one), seats.holder_on(&two)];
        let before: Vec<_> = holders
            .iter_mut()
            .map(|it| it.granted("a", "solver"))
            .collect();
        server.change_addr();
        let changed = boot();
        for (holder, before) in holders.iter().zip(before) {
            let belief = holder.wait("a right had at the new address", |events| {
                let mut beliefs = events.iter().filter_map(Event::belief);
                beliefs.find(|it| it.since > changed).cloned()
            });
            assert_eq!(belief.lease, before.lease);
            assert!(
                !holder.events().iter().any(is_lost),
                "{:?}",
                holder.events()
            );
        }
        assert_eq!(seats.leases().len(), 2);
        holders[0].release("a");
        seats.wait_leases(1);
    });
}

#[test]
fn an_ipv4_only_network_will_do() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("ws1"));
        for host in [&server, &desk] {
            host.sh("for it in all default eth0; do echo 1 > /proc/sys/net/ipv6/conf/$it/disable_ipv6; done");
            assert_eq!(host.sh("ip -6 -br addr show eth0"), "");
        }
        is_lent(&server, &desk);
    });
}

#[test]
fn an_ipv6_only_network_will_do() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("ws1"));
        for host in [&server, &desk] {
            host.sh("ip -4 addr flush dev eth0");
            assert_eq!(host.sh("ip -4 -br addr show eth0"), "");
        }
        is_lent(&server, &desk);
    });
}

fn is_lent(server: &Host, desk: &Host) {
    let seats = Seats::on_host(server, "1,lease-default=10m");
    let mut holder = seats.holder_on(desk);
    let Belief { lease, .. } = holder.granted("a", "solver");
    assert_eq!(seats.lease_ids(), [lease].into());
    holder.release("a");
    assert!(seats.leases().is_empty());
}

/// When the one lease of a host comes free, in boot milliseconds, at the earliest.
fn deadline_on(seats: &Seats, host: &str) -> u64 {
    let before = boot();
    let leases = seats.leases();
    let of_host = |lease: &&Value| lease["host"] == host;
    let lease = leases.iter().find(of_host).unwrap();
    before + free_in_ms(lease)
}

fn free_in_ms(lease: &Value) -> u64 {
    lease["free-in-ms"]
        .as_u64()
        .unwrap_or_else(|| panic!("{lease}"))
}

/// Asks until there is a seat; returns when the grant was known.
fn granted_when_free(holder: &mut Holder, seat: &str) -> u64 {
    for _ in 0..ASKS_MAX {
        match holder.checkout(seat, "solver") {
            What::Granted(_) => {
                let events = holder.events();
                let is_it = |event: &&Event| event.seat == seat && event.belief().is_some();
                return events.iter().find(is_it).unwrap().at;
            }
            What::Refused(no) => assert_eq!(no.code, "no-seat", "{}", no.text),
            other => panic!("{other:?}"),
        }
        thread::sleep(ASK_AGAIN);
    }
    panic!("{seat} is never granted");
}

fn is_lost(event: &Event) -> bool {
    matches!(&event.what, What::Changed(change) if change.starts_with("lost"))
}

const ASK_AGAIN: Duration = Duration::from_millis(100);
const ASKS_MAX: u32 = 1800;
