//! Client keys that an administrator must accept first (`enroll = "required"`).

use super::*;
use crate::{
    api::ClientView,
    policy::{Line, Members, PolicyGroup},
};

fn required() -> Policy {
    Policy {
        enroll: Some(Line(1)),
        ..policy()
    }
}

fn clients(world: &mut World) -> Vec<ClientView> {
    match world.admin(AdminAsk::Clients) {
        Ok(Answer::Clients(clients)) => clients,
        other => panic!("{other:?}"),
    }
}

fn of(client: u8) -> PublicKey {
    PublicKey::from(&key(client))
}

fn accept(world: &mut World, client: u8) {
    let ask = AdminAsk::AcceptClient(of(client), format!("ws{client}"));
    world.admin(ask).unwrap();
}

#[test]
fn an_unknown_key_is_refused_told_what_to_say_and_listed() {
    let mut world = World::with_seats(2);
    world.set_policy(required()).unwrap();
    let refusal = refused(world.checkout(10, 1), RefusalCode::NotEnrolled);
    let fingerprint = of(10).fingerprint();
    let command = format!("usherd client accept {fingerprint} --name NAME");
    assert!(refusal.detail.contains(&command), "{}", refusal.detail);
    assert_eq!(refusal.rule.unwrap().line, 1);
    world.run(1000);
    let listed = clients(&mut world);
    assert!(
        matches!(&listed[..], [ClientView::Knocked { client, user, ago_ms: DurationMs(1000), .. }]
            if *client == of(10) && user == "ada"),
        "{listed:?}"
    );
    accept(&mut world, 10);
    assert!(matches!(&clients(&mut world)[..], [ClientView::Accepted(it)] if it.name == "ws10"));
    world.checkout(10, 2).unwrap();
    world.restart();
    world.checkout(10, 3).unwrap();
}

#[test]
fn a_key_named_in_a_group_is_not_accepted_by_that() {
    let mut world = World::with_seats(2);
    let keys = [of(10).fingerprint()].into();
    let group = PolicyGroup {
        name: "lab".to_owned(),
        members: Members {
            keys,
            ..Members::default()
        },
        ..PolicyGroup::default()
    };
    let groups = vec![group];
    world
        .set_policy(Policy {
            groups,
            ..required()
        })
        .unwrap();
    refused(world.checkout(10, 1), RefusalCode::NotEnrolled);
}

#[test]
fn l7_a_removed_keys_leases_run_on_and_are_not_renewed() {
    let mut world = World::with_seats(3);
    world.set_policy(required()).unwrap();
    accept(&mut world, 10);
    accept(&mut world, 11);
    let lease = world.checkout(10, 1).unwrap().lease;
    let others = world.checkout(11, 2).unwrap().lease;
    world
        .admin(AdminAsk::RemoveClient(of(10).fingerprint()))
        .unwrap();
    assert_eq!(world.seats_out(), 2);
    refused(world.renew(10, &lease, 1, link(1, 2)), RefusalCode::Evicted);
    world.renew(11, &others, 2, link(2, 3)).unwrap();
    refused(world.checkout(10, 3), RefusalCode::NotEnrolled);
    world.restart();
    refused(world.renew(10, &lease, 1, link(1, 2)), RefusalCode::Evicted);
    let again = AdminAsk::RemoveClient(of(10).fingerprint());
    refused(world.admin(again), RefusalCode::BadRequest);
}

#[test]
fn l7_running_leases_are_renewed_when_acceptance_becomes_required() {
    let mut world = World::with_seats(2);
    let lease = world.checkout(10, 1).unwrap().lease;
    world.set_policy(required()).unwrap();
    world.renew(10, &lease, 1, link(1, 2)).unwrap();
    refused(world.checkout(10, 2), RefusalCode::NotEnrolled);
}

#[test]
fn a3_knocks_are_bounded_and_the_latest_stay() {
    let mut world = World::with_seats(1);
    world.set_policy(required()).unwrap();
    for number in 0..300_u32 {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let caller = Caller {
            client: PublicKey::from(&SigningKey::from_bytes(&seed)),
            root: root(),
            address: std::net::Ipv4Addr::LOCALHOST.into(),
            connection: crate::api::ConnectionId(0),
        };
        world.pass(1);
        let ask = ClientAsk::Checkout(wants(1));
        let reply_to = ReplyTo(7);
        world.input(Input::Client {
            reply_to,
            caller,
            ask,
        });
    }
    let listed = clients(&mut world);
    assert_eq!(listed.len(), crate::limits::KNOCKS_MAX);
    let ClientView::Knocked { ago_ms, .. } = listed[0] else {
        panic!()
    };
    assert_eq!(ago_ms, DurationMs::ZERO);
}

#[test]
fn a_key_has_one_name_of_a_bounded_length_and_the_same_once_more_is_no_history() {
    let mut world = World::with_seats(2);
    let accept = |name: String| AdminAsk::AcceptClient(of(10), name);
    refused(
        world.admin(accept("n".repeat(129))),
        RefusalCode::BadRequest,
    );
    world.admin(accept("n".repeat(128))).unwrap();
    world.admin(accept("ws10".to_owned())).unwrap();
    let head = world.engine.head();
    world.admin(accept("ws10".to_owned())).unwrap();
    assert_eq!(world.engine.head(), head);
    assert!(matches!(&clients(&mut world)[..], [ClientView::Accepted(it)] if it.name == "ws10"));
}
