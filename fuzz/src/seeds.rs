//! The seeds: genuine inputs of every target, so that the first mutation already changes something that matters.
//!
//! They are kept in `seeds/`; this writes them anew after a format has changed. Found inputs may stand beside them.

use std::{fs, path::Path};

use usher_engine::record::{Event, What};
use usher_protocol::{
    codec,
    documents::vendor::VendorKey,
    ids::{Commit, Epoch, LeaseId, LifeId, Nonce},
    refusal::{HolderView, Refusal, RefusalCode, RuleRef},
    time::{DurationMs, WallMs},
    wire::{
        Attach, Borrow, ClientFrame, Environment, FeatureView, Grant, Hello, Place, Push, Release,
        Renew, Reply, Request, ServerFrame, Welcome,
    },
};
use usherd::{
    admin::protocol::{ADMIN_VERSION, Ask, Question},
    records,
    usage::{Entry, LogHead, fuzzing},
};

use crate::{
    feed::Feed,
    samples::{
        CLIENT, ISSUED, ROOT, SITE, certificate, checkout, holder, key, lease, lease_file,
        licenses, link, public, revocations, site_request,
    },
    targets,
};

/// Writes all of them below the directory, each target's in one of its own.
pub(crate) fn write(directory: &Path) {
    for (target, seeds) in all() {
        let directory = directory.join(target);
        fs::create_dir_all(&directory).unwrap();
        for (number, bytes) in seeds.iter().enumerate() {
            fs::write(directory.join(format!("{number:02}")), bytes).unwrap();
        }
    }
}

type Seeds = Vec<Vec<u8>>;

fn all() -> Vec<(&'static str, Seeds)> {
    vec![
        ("admin", admin()),
        ("config", texts(CONFIGS)),
        ("documents", documents()),
        ("engine", sequences(48)),
        ("flexnet", options()),
        ("frame", frames()),
        ("lease_file", lease_files()),
        ("license", license_texts()),
        ("log_segment", segments()),
        ("mdns_answer", mdns()),
        ("mdns_packet", mdns()),
        ("mdns_txt", texts(TXT)),
        ("policy", texts(POLICIES)),
        ("reply", replies()),
        ("session", sequences(64)),
        ("signed", signed()),
        ("store", store()),
        ("words", words()),
    ]
}

fn texts(texts: &[&str]) -> Seeds {
    texts.iter().map(|it| it.as_bytes().to_vec()).collect()
}

/// A few lines each: an options file is read line by line, and short ones are read fast.
fn options() -> Seeds {
    let lines: Vec<&str> = OPTIONS.split_inclusive('\n').collect();
    lines.chunks(4).map(|it| it.concat().into_bytes()).collect()
}

fn with(first: u8, rest: &[u8]) -> Vec<u8> {
    [&[first], rest].concat()
}

/// Steps need no form; these name each of them.
fn sequences(length: u8) -> Seeds {
    let run = |from: u8, by: u8| (0..length).map(move |at| from.wrapping_add(at.wrapping_mul(by)));
    [(0, 1), (7, 5), (11, 3), (64, 7), (129, 11), (200, 13)]
        .into_iter()
        .map(|(from, by)| run(from, by).collect())
        .collect()
}

fn admin() -> Seeds {
    let reason = || "because".to_owned();
    let asks = [
        Ask::Status,
        Ask::Leases {
            after: Some(lease().id),
            count_max: 100,
        },
        Ask::Evict {
            lease: lease().id,
            reason: reason(),
            cool_down_ms: Some(DurationMs(60_000)),
        },
        Ask::Explain {
            feature: "acme/solver".to_owned(),
            environment: Environment::Live,
            seats: 1,
            version: Some("2027.1".parse().unwrap()),
            user: "ada".to_owned(),
            host: "ws01".to_owned(),
            client: Some(public(CLIENT).to_string()),
            address: Some([10, 1, 2, 3].into()),
            borrow_ms: Some(DurationMs(86_400_000)),
        },
        Ask::LicenseAdd {
            text: "format = 1\n".to_owned(),
            root: Some(public(ROOT).fingerprint()),
        },
        Ask::Suspend {
            what: "acme/solver".to_owned(),
            reason: reason(),
        },
    ];
    let question = |ask| {
        let version = ADMIN_VERSION;
        serde_json::to_vec(&Question { version, ask }).unwrap()
    };
    let questions = asks.map(|ask| with(0, &question(ask)));
    let replies = REPLIES.iter().map(|text| with(1, text.as_bytes()));
    questions.into_iter().chain(replies).collect()
}

fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value).unwrap()
}

fn documents() -> Seeds {
    let license = &licenses()[0];
    vec![
        with(0, &encoded(&certificate())),
        with(1, &license.signed_endorsement().endorsement.body),
        with(2, &encoded(license.signed_endorsement())),
        with(3, &encoded(&lease())),
        with(4, &encoded(&revocations())),
        with(5, &encoded(&lease().sign(key(SITE)).unwrap())),
    ]
}

fn requests() -> Vec<Request> {
    let (nonce, lease_id) = (Nonce([5; 16]), lease().id);
    vec![
        Request::Checkout(checkout()),
        Request::Renew(Renew {
            lease: lease_id,
            nonce,
            link: link(),
            length_ms: Some(DurationMs(60_000)),
            idle_ms: Some(DurationMs(5)),
        }),
        Request::Release(Release {
            lease: lease_id,
            nonce,
            link: link(),
        }),
        Request::Attach(Attach {
            lease: lease().sign(key(SITE)).unwrap(),
            nonce,
            link: link(),
            length_ms: None,
        }),
        Request::Features,
        Request::Holders("solver".parse().unwrap()),
        Request::Endorsement("acme-0042".parse().unwrap()),
        Request::CheckoutAll(vec![checkout(), checkout()]),
        Request::Leave(nonce),
        Request::Borrow(Borrow {
            checkout: checkout(),
            wall: ISSUED,
        }),
    ]
}

fn frames() -> Seeds {
    let hello = targets::engine::hello(&mut Feed::new(&[1, 1, ROOT]));
    let hello = ClientFrame::Hello(Hello { ..hello }).encode().unwrap();
    let numbered = (1..).zip(requests());
    let requests: Seeds = numbered
        .map(|(number, it)| ClientFrame::Request(number, it).encode().unwrap())
        .collect();
    let several = [hello.as_slice(), &requests.concat()].concat();
    let mut seeds: Seeds = requests.iter().map(|it| with(0, it)).collect();
    seeds.push(with(0, &hello));
    seeds.push(with(50, &several));
    seeds
}

fn refusal() -> Refusal {
    let view = HolderView {
        user: "ada".to_owned(),
        host: "ws01".to_owned(),
        display: Some(":0".to_owned()),
        process: 7,
        seats: 1,
        since: ISSUED,
        free_in_ms: DurationMs(5),
        borrowed: true,
    };
    Refusal {
        rule: Some(RuleRef {
            text: "maximum".to_owned(),
            file: "policy.toml".to_owned(),
            line: 7,
        }),
        holders: vec![view],
        holders_more: 3,
        earliest_free_ms: Some(DurationMs(9)),
        earliest_because: Some("ada".to_owned()),
        retry_after_ms: Some(DurationMs(9)),
        support: Some("call us".to_owned()),
        ..Refusal::new(RefusalCode::NoSeat, "all 3 seats are out")
    }
}

fn replies() -> Seeds {
    let grant = Grant {
        lease: lease().sign(key(SITE)).unwrap(),
        renew_after_ms: DurationMs(200_000),
        seats_out: 2,
        seats_total: Some(3),
    };
    let place = Place {
        position: 1,
        waiting: 2,
        expected_ms: Some(DurationMs(60_000)),
    };
    let feature = FeatureView {
        feature: "solver".parse().unwrap(),
        license: "acme-0042".parse().unwrap(),
        environment: Environment::Live,
        version: Some("2027.1".parse().unwrap()),
        seats: Some(3),
        out: 2,
        overdraft: 1,
        reserved_idle: 0,
        kept: 0,
        queued: 4,
        borrow_ms_max: DurationMs(86_400_000),
        suspended: false,
        expires: Some(WallMs::NEVER),
    };
    let endorsement = licenses()[0].signed_endorsement().clone();
    let welcome = Welcome {
        version: 1,
        endorsement: endorsement.clone(),
        licenses_more: vec!["acme-0043".parse().unwrap()],
        epoch: Epoch(1_795_000_000),
        life: LifeId([8; 16]),
        server: "lic01".to_owned(),
        wall: ISSUED,
    };
    let replies = [
        Reply::Granted(grant.clone()),
        Reply::Released,
        Reply::Features(vec![feature]),
        Reply::Holders(refusal().holders, 2),
        Reply::Endorsement(endorsement),
        Reply::Refused(refusal()),
        Reply::Queued(place),
        Reply::GrantedAll(vec![grant.clone(), grant]),
        Reply::Left,
        Reply::Returned(DurationMs(7)),
    ];
    let nonce = Nonce([5; 16]);
    let pushes = [
        Push::Draining(DurationMs(5_000)),
        Push::FeaturesChanged,
        Push::Evicted(lease().id, "maintenance".to_owned()),
        Push::Queued(nonce, place),
        Push::Offered(nonce, DurationMs(30_000)),
        Push::Dismissed(nonce, refusal()),
    ];
    let replies = replies.map(|it| ServerFrame::Reply(3, it));
    let pushes = pushes.map(ServerFrame::Push);
    let frames = [ServerFrame::Welcome(welcome)].into_iter();
    let frames = frames.chain(replies).chain(pushes);
    frames
        .map(|it| it.encode().unwrap()[codec::FRAME_PREFIX_BYTES..].to_vec())
        .collect()
}

fn lease_files() -> Seeds {
    let whole = lease_file();
    let shown = usher_protocol::documents::lease_file::LeaseFile {
        secret: None,
        length_ms: None,
        ..lease_file()
    };
    [whole, shown]
        .iter()
        .map(|it| it.to_text().unwrap().into_bytes())
        .collect()
}

/// Without the signature table, which `signed` reads.
fn license_texts() -> Seeds {
    let text = |file: &str| {
        file.split("\n[signature]\n")
            .next()
            .unwrap_or_default()
            .to_owned()
            + "\n"
    };
    licenses()
        .iter()
        .map(|it| text(it.text()).into_bytes())
        .collect()
}

fn events() -> Vec<Event> {
    let event = |what| Event {
        at: ISSUED,
        license_time: ISSUED,
        epoch: Epoch(100),
        actor: "root(0)".to_owned(),
        what,
    };
    let id = LeaseId {
        epoch: Epoch(100),
        commit: Commit(7),
    };
    let root = public(ROOT).fingerprint();
    vec![
        event(What::Started("0.1.0".to_owned())),
        event(What::Released(id)),
        event(What::Denied {
            root,
            feature: "solver".parse().unwrap(),
            holder: holder(),
            code: RefusalCode::NoSeat,
            count: 3,
        }),
        event(What::LicenseInstalled("acme-0042".parse().unwrap(), 3)),
        event(What::RootPinned("acme".parse().unwrap(), root)),
        event(What::Trouble("clone-found: 192.0.2.9:27443".to_owned())),
        event(What::ClientRemoved(public(CLIENT))),
        event(What::WrittenOff(id, "lost".to_owned())),
    ]
    .into_iter()
    .chain(granted().map(event))
    .collect()
}

/// What an engine tells of a checkout.
fn granted() -> impl Iterator<Item = What> {
    crate::world::granted()
        .into_iter()
        .map(Box::new)
        .flat_map(|it| [What::Granted(it.clone()), What::Changed(it)])
}

fn segments() -> Seeds {
    let bodies: Seeds = events()
        .iter()
        .map(|it| records::event_body(it).unwrap().body)
        .collect();
    let numbered = (1..).zip(&bodies);
    let entries: Vec<Entry> = numbered
        .map(|(number, body)| Entry {
            number,
            epoch: 100,
            head: number,
            body: body.clone(),
        })
        .collect();
    let mut forged = vec![1, 1, 0, 0];
    for body in &bodies {
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        forged.extend_from_slice(&[1, 100, 7, length]);
        forged.extend_from_slice(&body[..usize::from(length)]);
    }
    let whole = fuzzing::write(1, LogHead::default(), &entries);
    let torn = whole[..whole.len() - 9].to_vec();
    let mut seeds: Seeds = bodies.iter().map(|it| with(2, it)).collect();
    seeds.extend([with(0, &whole), with(0, &torn), forged]);
    seeds
}

fn mdns() -> Seeds {
    let mut seeds: Seeds = TXT
        .iter()
        .map(|it| targets::mdns_txt::answer(it.as_bytes()))
        .collect();
    seeds.push(usher_client::discover::fuzzing::query(0x1234));
    seeds
}

fn signed() -> Seeds {
    let license = &licenses()[0];
    let request = site_request().sign(key(SITE)).unwrap();
    let endorsement = &license.signed_endorsement().endorsement.body;
    let eighths = endorsement.len().div_ceil(8);
    let mut chain = vec![3, 0, u8::try_from(eighths).unwrap()];
    chain.extend_from_slice(endorsement);
    chain.resize(3 + eighths * 8, 0);
    chain.extend_from_slice(&encoded(&lease()));
    let mut seeds = vec![
        with(0, license.text().as_bytes()),
        with(1, request.as_bytes()),
        chain,
        with(4, &encoded(&revocations())),
    ];
    seeds.extend(license_texts().iter().map(|it| with(2, it)));
    seeds
}

fn store() -> Seeds {
    let mut seeds = Seeds::new();
    let mut snapshot = b"USHERSNP\x01\x01".to_vec();
    snapshot.resize(72, 0);
    let mut count = 0_u64;
    for (key, value) in crate::world::stored() {
        let length = u8::try_from(key.len()).unwrap();
        seeds.push([&[0, length], key.as_slice(), &value].concat());
        let lengths = [key.len(), value.len()].map(|it| u32::try_from(it).unwrap().to_le_bytes());
        snapshot.extend_from_slice(&lengths.concat());
        snapshot.extend_from_slice(&key);
        snapshot.extend_from_slice(&value);
        count += 1;
    }
    snapshot.extend_from_slice(&[0; 4]);
    snapshot.extend_from_slice(&count.to_le_bytes());
    seeds.push(with(4, &snapshot));
    seeds.push(with(2, &[1; 108]));
    seeds.push(step());
    seeds
}

/// A step with one write and one event: its numbers, then its pieces, each behind its length and one.
fn step() -> Vec<u8> {
    let mut seed = vec![6, 40];
    for number in 1_u64..=4 {
        seed.extend_from_slice(&number.to_le_bytes());
    }
    seed.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    for piece in [&b"key"[..], b"value", b"event"] {
        let length = u32::try_from(piece.len() + 1).unwrap();
        seed.extend_from_slice(&length.to_le_bytes());
        seed.extend_from_slice(piece);
    }
    seed
}

fn words() -> Seeds {
    let vendor = VendorKey {
        vendor: Some("acme".parse().unwrap()),
        root: public(ROOT),
    };
    let mut seeds = texts(WORDS);
    seeds.push(public(CLIENT).to_string().into_bytes());
    seeds.push(public(CLIENT).fingerprint().to_string().into_bytes());
    seeds.push(vendor.to_string().into_bytes());
    seeds
}

const WORDS: &[&str] = &[
    "69210abc-11",
    "acme/solver",
    "[fe80::7%eth0]:27443",
    "lic01.example.com:27443, 192.0.2.7,2001:db8::7",
    "1d1h1m1s1ms",
    "2027.1.2.3",
    "2027-12-31T23:59:59.999Z",
    "05050505050505050505050505050505",
];

const TXT: &[&str] = &[
    "\x03v=1\x0eroots=deadbeef\x15site=0123456789abcdef",
    "\x17roots=deadbeef,00000000\x04V=\u{e9}x\x03bad",
];

const CONFIGS: &[&str] = &[
    "listen = [\"[::]:27443\", \"192.0.2.7:1\"]\nstate-dir = \"/var/lib/usherd\"\nname = \"lic01\"\nserve-test = true\n\
     advertise = false\nadmin-socket = \"/run/usherd/admin.sock\"\npolicy = \"policy.toml\"\n\
     leases-per-client-max = 100\nleases-max = 1000\nconnections-per-address-max = 16\n",
    "server = [\"lic01\", \"lic02:27443\"]\nmdns = true\n",
];

const REPLIES: &[&str] = &[
    r#"{"version":1,"answer":"done"}"#,
    r#"{"version":1,"answer":{"refused":{"code":"no-seat","detail":"d","support":null}}}"#,
    r#"{"version":1,"answer":{"suspension":{"what":"acme/solver"}}}"#,
    r#"{"version":1,"answer":{"queue":[]}}"#,
];

const POLICIES: &[&str] = &[
    targets::engine::RESERVED,
    targets::engine::QUEUED,
    "[groups.a]\nusers = [\"ann\", \"b*\"]\nnetworks = [\"10.1.0.0/16\", \"fd00::/8\"]\ngroups = [\"b\"]\n[groups.b]\n\
     keys = [\"3f9a0c5e7b1d2468ace013579bdf02468ace13579bdf02468ace13579bdf0246\"]\n[[allow]]\nwho = [\"a\"]\n\
     [[queue]]\nfeature = \"acme/solver\"\nbackfill = true\n[[idle]]\nafter = \"never\"\n",
];

const OPTIONS: &str = concat!(
    include_str!("../../daemon/src/policy/flexnet/tests/site.opt"),
    "GROUP a b c\nMAX_OVERDRAFT Solver 1\nREPORTLOG +/x\nRESERVE 1 Solver:VERSION=2 USER \"a b\"\n",
);
