//! Does a client that looks for a server always end with a seat or a clear reason, whatever the network does?
//!
//! Each search is the real `usher run` by mDNS alone, from cold. A search that ends with neither, or not at all, fails.

mod ground;

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use usher_tests::holder::{Event, What};
use usher_tests::hosts::{Lan, can_lose, on_lan};
use usher_tests::proof::{Dice, seeds, tell};

use ground::{Ended, Ground, Search, boot, search};

#[test]
fn packets_lost_both_ways_multicast_too() {
    if !can_lose() {
        return;
    }
    on_lan(|lan| {
        let (server, desk, other) = (lan.host("lic01"), lan.host("ws1"), lan.host("ws2"));
        let ground = Ground::new(&server, "10,lease-min=2s,lease-default=20s");
        let mut holder = ground.holder_on(&other);
        let before = holder.granted("a", "solver");
        for seed in seeds(1) {
            println!("seed {seed}");
            let mut dice = Dice::new(seed);
            for percent in [10, 20, 30] {
                for host in [&server, &desk, &other] {
                    host.lose(percent);
                }
                let searches: Vec<_> = (0..LOSSY_SEARCHES)
                    .map(|_| {
                        thread::sleep(Duration::from_millis(dice.below(300)));
                        search(&ground, &desk)
                    })
                    .collect();
                report(&format!("{percent} % lost"), &searches);
            }
            for host in [&server, &desk, &other] {
                host.lose(0);
            }
            ground.search_until_seat(&desk);
        }
        assert_eq!(holder.belief("a").lease, before.lease);
        assert!(
            !holder.events().iter().any(is_lost),
            "{:?}",
            holder.events()
        );
        let renewed = boot();
        holder.wait("a renewal", |events| {
            has_extended(events, renewed, &before.lease)
        });
    });
}

#[test]
fn an_interface_that_vanishes_while_searching_and_while_holding() {
    on_lan(|lan| {
        for seed in seeds(1) {
            println!("seed {seed}");
            vanishing(lan, seed);
        }
    });
}

fn vanishing(lan: &mut Lan, seed: u64) {
    let [server, desk] = ["lic01", "ws1"].map(|name| lan.host(&format!("{name}-{seed}")));
    let ground = Ground::new(&server, "10,lease-min=2s,lease-default=40s");
    let mut holder = ground.holder_on(&desk);
    let before = holder.granted("a", "solver");
    for (who, host) in [("client's", &desk), ("server's", &server)] {
        host.vanish();
        let without = search(&ground, &desk);
        assert_ne!(without.ended, Ended::Seat, "there is no way");
        let between = thread::scope(|scope| {
            let looking = scope.spawn(|| search(&ground, &desk));
            thread::sleep(Duration::from_secs(1));
            host.reappear();
            looking.join().unwrap()
        });
        let back = boot();
        holder.wait("its seat again", |events| {
            has_extended(events, back, &before.lease)
        });
        println!(
            "the {who} interface: a holder had its seat again after {} ms",
            boot() - back
        );
        let after = ground.search_until_seat(&desk);
        report(
            &format!("the {who} interface vanished"),
            &[without, between, after],
        );
    }
    assert!(
        !holder.events().iter().any(is_lost),
        "{:?}",
        holder.events()
    );
}

#[test]
fn link_local_addresses_alone() {
    on_lan(|lan| {
        let (server, desk) = (lan.host("lic01"), lan.host("ws1"));
        server.only_link_local();
        desk.only_link_local();
        let ground = Ground::new(&server, "10,lease-min=2s,lease-default=30s");
        let found = ground.search_until_seat(&desk);
        // The last good server is a link-local address too, whose interface counts.
        let again = ground.run(&desk);
        report("link-local IPv6 alone", &[found, again]);
    });
}

#[test]
fn two_hosts_of_one_name() {
    on_lan(|lan| {
        let (one, two, desk) = (lan.host("lic01"), lan.host("other"), lan.host("ws1"));
        two.sh("hostname lic01");
        let ground = Ground::new(&one, "1,lease-default=10m");
        let second = ground.another(&two, "solver:1,lease-default=10m");
        let mut searches: Vec<_> = (0..4).map(|_| ground.search_until_seat(&desk)).collect();
        // One of the two alone, whichever was found so far.
        ground.daemon.signal(Signal::STOP);
        searches.push(ground.search_until_seat(&desk));
        ground.daemon.signal(Signal::CONT);
        second.signal(Signal::STOP);
        searches.push(ground.search_until_seat(&desk));
        second.signal(Signal::CONT);
        report("two hosts of one name", &searches);
    });
}

#[test]
fn a_server_that_stands_still() {
    on_lan(|lan| {
        let (server, desk, other) = (lan.host("lic01"), lan.host("ws1"), lan.host("ws2"));
        let ground = Ground::new(&server, "10,lease-min=2s,lease-default=30s");
        let mut holder = ground.holder_on(&other);
        let before = holder.granted("a", "solver");
        ground.search_until_seat(&desk);
        ground.daemon.signal(Signal::STOP);
        // With the last good server known, and from cold.
        let known = ground.run(&desk);
        let cold = search(&ground, &desk);
        for it in [&known, &cold] {
            assert!(matches!(it.ended, Ended::Reason(_)), "{it:?}");
        }
        let looking = thread::scope(|scope| {
            let looking = scope.spawn(|| search(&ground, &desk));
            thread::sleep(Duration::from_secs(1));
            ground.daemon.signal(Signal::CONT);
            looking.join().unwrap()
        });
        let back = boot();
        holder.wait("its seat again", |events| {
            has_extended(events, back, &before.lease)
        });
        println!("a holder had its seat again after {} ms", boot() - back);
        let after = ground.search_until_seat(&desk);
        report("a server stands still", &[known, cold, looking, after]);
    });
}

#[test]
fn several_servers_of_which_one_will_do() {
    on_lan(|lan| {
        let [full, stopped, without, desk, other] =
            ["full", "stopped", "without", "ws1", "ws2"].map(|name| lan.host(name));
        let ground = Ground::new(&full, "1,lease-default=10m");
        let mut holder = ground.holder_on(&other);
        holder.granted("a", "solver");
        let stands = ground.another(&stopped, "solver:1,lease-default=10m");
        let _other = ground.another(&without, "mesher:1,lease-default=10m");
        stands.signal(Signal::STOP);
        let mut searches: Vec<_> = (0..4).map(|_| search(&ground, &desk)).collect();
        assert!(
            searches
                .iter()
                .all(|it| matches!(it.ended, Ended::Reason(_))),
            "nobody has a seat: {searches:?}"
        );
        stands.signal(Signal::CONT);
        searches.extend((0..4).map(|_| search(&ground, &desk)));
        report("full, stopped, without the feature", &searches);
    });
}

/// Prints what came of them, and adds it to the figures.
fn report(what: &str, searches: &[Search]) {
    let count = |is: fn(&Ended) -> bool| searches.iter().filter(|it| is(&it.ended)).count() as u64;
    let (seats, reasons) = (
        count(|it| *it == Ended::Seat),
        count(|it| matches!(it, Ended::Reason(_))),
    );
    let mut took: Vec<_> = searches.iter().map(|it| it.took_ms).collect();
    took.sort_unstable();
    println!("{what}: {seats} seats, {reasons} reasons; took {took:?} ms");
    for it in searches {
        if let Ended::Reason(reason) = &it.ended {
            println!("  {}", reason.trim_end().replace('\n', "\n  "));
        }
    }
    assert_eq!(seats + reasons, searches.len() as u64, "{searches:?}");
    tell(
        "searches under trouble",
        &[
            ("searches", searches.len() as u64),
            ("ended with a seat", seats),
            ("ended with a clear reason", reasons),
            ("never ended, or without a reason", 0),
        ],
    );
}

fn has_extended(events: &[Event], since: u64, lease: &str) -> Option<()> {
    let mut beliefs = events.iter().filter_map(Event::belief);
    beliefs
        .any(|it| it.since > since && it.lease == lease)
        .then_some(())
}

fn is_lost(event: &Event) -> bool {
    matches!(&event.what, What::Changed(change) if change.starts_with("lost"))
}

const LOSSY_SEARCHES: usize = 6;
