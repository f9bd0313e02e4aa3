//! `engine`: the state behind all connections: questions with hostile values, in any order, while time does as it
//! likes; frames as they come over the wire among them (A1, A3).

use std::sync::{Arc, LazyLock};

use usher_engine::{
    api::{AdminAsk, Answer, ConnectionId, Input, Question, Settings},
    policy::Policy,
    record::SuspensionKey,
};
use usher_protocol::{
    ids::{Commit, Epoch, LeaseId, LifeId, Nonce, Token},
    names::{FeatureName, LicenseId},
    time::{BootMs, DurationMs, WallMs},
    wire::{
        Attach, Borrow, Checkout, ClientFrame, Environment, Hello, Holder, Link, Release, Renew,
        Request,
    },
};
use usherd::quic::fuzzing::{ask_of, reply};

use crate::{
    feed::Feed,
    samples::{ROOT, SITE, key, licenses, public},
    world::{World, question},
};

/// Plays the steps that the bytes name.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let mut world = World::new();
    for _ in 0..STEPS_MAX {
        if feed.is_empty() {
            return;
        }
        step(&mut world, &mut feed);
    }
}

fn step(world: &mut World, feed: &mut Feed<'_>) {
    match feed.byte() % 24 {
        0..6 => {
            let asked = checkout(feed);
            ask(world, feed, Request::Checkout(asked));
        }
        6..11 => {
            let request = of_lease(world, feed);
            ask(world, feed, request);
        }
        11..14 => {
            let request = other(feed);
            ask(world, feed, request);
        }
        14 => {
            let bytes = feed.counted();
            if let Ok(ClientFrame::Request(_, request)) = ClientFrame::decode(bytes) {
                ask(world, feed, request);
            }
        }
        15..18 => admin(world, feed),
        18 => world.handle(Input::Disconnected {
            connection: ConnectionId(u64::from(feed.byte() % 8)),
            orderly: feed.flag(),
        }),
        19 => world.handle(Input::CloneFound {
            life: LifeId([feed.byte(); 16]),
            address: "192.0.2.9:27443".to_owned(),
        }),
        20 => {
            world.now.wall = WallMs(feed.number());
            world.handle(Input::Tick);
        }
        21 => world.restart(feed.flag()),
        _ => pass(world, feed),
    }
}

/// Time goes on: to the next wake-up, or by any length.
fn pass(world: &mut World, feed: &mut Feed<'_>) {
    let length = match (feed.flag(), world.wake) {
        (true, Some(BootMs(wake))) => DurationMs(wake.saturating_sub(world.now.boot.0)),
        _ => DurationMs(feed.number()),
    };
    world.pass(length);
    world.handle(Input::Tick);
}

/// What passes the edge reaches the engine, and its answer fits a frame.
fn ask(world: &mut World, feed: &mut Feed<'_>, request: Request) {
    let client = feed.byte();
    let Ok(ask) = ask_of(request, &public(SITE)) else {
        return;
    };
    let answer = world.client(client, ask);
    if !matches!(answer, Answer::Promised(_) | Answer::PromisedAll(_)) {
        reply(1, answer, key(SITE)).unwrap();
    }
}

fn checkout(feed: &mut Feed<'_>) -> Checkout {
    let shape = feed.byte();
    let person = feed.byte();
    Checkout {
        nonce: Nonce([feed.byte() % 16; 16]),
        token: Token([feed.byte() % 4; 16]),
        feature: feature(feed),
        environment: environment(feed),
        seats: 1 + feed.number_32().min(1_000_000 - 1) * u32::from(shape & 1),
        version: (shape & 2 == 0).then(|| feed.pick(&VERSIONS).parse().unwrap()),
        length_ms: (shape & 4 == 0).then(|| DurationMs(feed.number())),
        holder: Holder {
            user: format!("user-{}", person % 3),
            host: format!("ws-{}", person % 5),
            display: (person & 8 == 0).then(|| ":0".to_owned()),
            process: u32::from(person),
        },
        wait: shape & 8 == 0,
    }
}

/// A renewal, release, return or second showing of a lease that was granted, or never was.
fn of_lease(world: &World, feed: &mut Feed<'_>) -> Request {
    let known = match world.leases.as_slice() {
        [] => None,
        leases => Some(feed.pick(leases)),
    };
    let lease = known.map_or_else(|| lease_id(feed), |it| it.id);
    let nonce = Nonce([feed.byte() % 16; 16]);
    let link = Link {
        previous: known
            .filter(|_| feed.flag())
            .map_or(Token([feed.byte() % 4; 16]), |it| it.token),
        next: Token([feed.byte() % 4; 16]),
    };
    let length_ms = feed.flag().then(|| DurationMs(feed.number()));
    match (feed.byte() % 4, known) {
        (0, Some(known)) => {
            let lease = known.sign(key(SITE)).unwrap();
            Request::Attach(Attach {
                lease,
                nonce,
                link,
                length_ms,
            })
        }
        (1, _) => Request::Release(Release { lease, nonce, link }),
        _ => Request::Renew(Renew {
            lease,
            nonce,
            link,
            length_ms,
            idle_ms: feed.flag().then(|| DurationMs(feed.number())),
        }),
    }
}

fn other(feed: &mut Feed<'_>) -> Request {
    match feed.byte() % 6 {
        0 => Request::Features,
        1 => Request::Holders(feature(feed)),
        2 => Request::Endorsement(license_id(feed)),
        3 => Request::Leave(Nonce([feed.byte() % 16; 16])),
        4 => {
            let count = feed.byte() % 9;
            Request::CheckoutAll((0..count).map(|_| checkout(feed)).collect())
        }
        _ => {
            let wall = WallMs(feed.number().wrapping_add(1_794_355_200_000));
            let mut checkout = checkout(feed);
            checkout.wait = false;
            Request::Borrow(Borrow { checkout, wall })
        }
    }
}

fn admin(world: &mut World, feed: &mut Feed<'_>) {
    let reason = || "because".to_owned();
    let lease = match world.leases.as_slice() {
        [] => lease_id(feed),
        leases => feed.pick(leases).id,
    };
    let ask = match feed.byte() % 20 {
        0 => return world.install(feed.pick(licenses())),
        1 => return world.set_policy(Arc::clone(feed.pick(&*POLICIES))),
        2 => return world.set_settings(settings(feed)),
        3 => AdminAsk::RemoveLicense(license_id(feed)),
        4 => AdminAsk::Evict {
            lease,
            reason: reason(),
            cool_down_ms: feed.flag().then(|| DurationMs(feed.number())),
        },
        5 => AdminAsk::WriteOff {
            lease,
            reason: reason(),
        },
        6 => AdminAsk::Suspend(suspension(feed), reason()),
        7 => AdminAsk::Resume(suspension(feed)),
        8 => AdminAsk::AcceptClient(public(10 + feed.byte() % 5), "ada".to_owned()),
        9 => AdminAsk::RemoveClient(public(10 + feed.byte() % 5).fingerprint()),
        10 => AdminAsk::ConfirmClock,
        11 => AdminAsk::KeepThisClone,
        12 => AdminAsk::AcceptRollback,
        13 => AdminAsk::Explain(explained(feed)),
        14 => AdminAsk::Leases {
            after: feed.flag().then_some(lease),
            count_max: 1 + usize::from(feed.byte()),
        },
        15 => AdminAsk::Clients,
        16 => AdminAsk::Queue,
        17 => AdminAsk::Licenses,
        18 if feed.byte() == 255 => AdminAsk::Drain,
        _ => AdminAsk::Status,
    };
    world.admin(ask);
}

fn explained(feed: &mut Feed<'_>) -> Question {
    Question {
        feature: (*feed.pick(&["acme/solver", "acme/mesher", "acme/none", "solver", "/"]))
            .to_owned(),
        environment: environment(feed),
        seats: feed.number_32(),
        version: feed.flag().then(|| feed.pick(&VERSIONS).parse().unwrap()),
        user: format!("user-{}", feed.byte() % 3),
        client: feed.flag().then(|| public(10 + feed.byte() % 5)),
        borrow_ms: feed.flag().then(|| DurationMs(feed.number())),
        ..question()
    }
}

fn settings(feed: &mut Feed<'_>) -> Settings {
    Settings {
        serve_test: feed.flag(),
        leases_per_client_max: 1 + usize::from(feed.byte() % 16),
        leases_max: 1 + usize::from(feed.byte() % 32),
        host_names: vec![(*feed.pick(&["lic01", "other"])).to_owned()],
    }
}

fn suspension(feed: &mut Feed<'_>) -> SuspensionKey {
    if feed.flag() {
        SuspensionKey::License(license_id(feed))
    } else {
        SuspensionKey::Feature(public(ROOT).fingerprint(), feature(feed))
    }
}

fn lease_id(feed: &mut Feed<'_>) -> LeaseId {
    LeaseId {
        epoch: Epoch(feed.number()),
        commit: Commit(feed.number()),
    }
}

fn feature(feed: &mut Feed<'_>) -> FeatureName {
    feed.pick(&["solver", "mesher", "solver", "none"])
        .parse()
        .unwrap()
}

fn license_id(feed: &mut Feed<'_>) -> LicenseId {
    feed.pick(&["acme-0042", "acme-test", "acme-0041"])
        .parse()
        .unwrap()
}

fn environment(feed: &mut Feed<'_>) -> Environment {
    *feed.pick(&[Environment::Live, Environment::Live, Environment::Test])
}

/// The first question of a client, with any versions.
pub(crate) fn hello(feed: &mut Feed<'_>) -> Hello {
    Hello {
        version_min: feed.byte(),
        version_max: feed.byte(),
        root: public(feed.byte() % 3).fingerprint(),
    }
}

const VERSIONS: [&str; 4] = ["2027", "2027.1", "2027.2", "4294967295.4294967295"];
/// A longer input is a slower one, not a deeper one.
const STEPS_MAX: usize = 48;

static POLICIES: LazyLock<[Arc<Policy>; 3]> = LazyLock::new(|| {
    ["", RESERVED, QUEUED].map(|text| {
        let policy = usherd::policy::parse(std::path::Path::new("policy.toml"), text);
        Arc::new(policy.unwrap())
    })
});

/// A policy of most rules.
pub(crate) const RESERVED: &str = r#"
enroll = "required"
[groups.night]
users = ["user-1"]
hosts = ["ws-?"]
[[deny]]
feature = "acme/mesher"
who = ["host:ws-4"]
[[maximum]]
feature = "acme/*"
per = "user"
seats = 2
[[reserve]]
feature = "acme/solver"
who = ["night"]
seats = 1
[[lease]]
feature = "acme/solver"
length = "5m"
[[linger]]
length = "90s"
"#;

/// And one of the others.
pub(crate) const QUEUED: &str = r#"
[[allow]]
feature = "acme/solver"
who = ["user:user-*"]
[[maximum]]
per = "host"
seats = 3
[[reserve]]
feature = "acme/mesher"
who = ["user:user-2"]
seats = 2
[[priority]]
who = ["user:user-0"]
level = 5
[[idle]]
after = "10m"
[[borrow]]
feature = "acme/mesher"
longest = "2d"
at-home = 1
"#;
