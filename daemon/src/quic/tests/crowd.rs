//! Many at once, over real connections: who is let in, who has to make room, and what one address may have.

use super::*;
use crate::{core, limits};

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let site = site(2, 3).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Peer::welcomed(site.address).await);
    }
    let fourth = Peer::connect(site.address, &testing::client_key()).await;
    assert!(fourth.is_none(), "a fourth was let in");
    assert_eq!(site.server.connections(), 3);
    peers.pop().unwrap().connection.close(0_u32.into(), b"");
    testing::until("the place is free", || site.server.connections() < 3).await;
    Peer::welcomed(site.address).await;
}

/// A3: however many connections it has. What waits unread is answered once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_its_share_of_the_queue() {
    let (core, gate, _) = core::tests::started(10, DurationMs::minutes(10)).await;
    let site = serving(core, 10);
    let mut peers = Vec::new();
    for _ in 0..3 {
        peers.push(Peer::welcomed(site.address).await);
    }
    gate.close();
    let taken = ClientFrame::Request(1, checkout(1));
    peers[0].say(&taken).await;
    testing::until("the core is held up", || gate.is_held_up()).await;
    for peer in &mut peers {
        for number in 2..=EACH {
            peer.say(&ClientFrame::Request(number, Request::Features))
                .await;
        }
    }
    // One has its turn already.
    let most = limits::REQUESTS_PER_ADDRESS_MAX - 1;
    testing::until("as many wait as may", || site.core.handle.queued() == most).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(site.core.handle.queued(), most);
    gate.open();
    for (at, peer) in peers.iter_mut().enumerate() {
        let first = if at == 0 { 1 } else { 2 };
        let mut answered: Vec<u64> = Vec::new();
        while answered.len() as u64 <= EACH - first {
            match peer.next().await {
                Some(ServerFrame::Reply(number, _)) => answered.push(number),
                Some(ServerFrame::Push(_)) => {}
                None => panic!("{answered:?}"),
                Some(other) => panic!("{other:?}"),
            }
        }
        answered.sort_unstable();
        assert_eq!(answered, (first..=EACH).collect::<Vec<_>>());
    }
}

/// As many as one connection may have unanswered.
const EACH: u64 = limits::REQUESTS_OUTSTANDING_MAX as u64;

/// Who holds a seat stays; who holds none is told when to come back, and its place is another's.
#[tokio::test]
async fn strangers_past_their_bound_are_asked_to_come_back_later() {
    let core = testing::start(MemoryJournal::open(&MemoryStore::default()));
    testing::install(&core.handle, &testing::license(2, DurationMs::minutes(10))).await;
    let site = crowding("127.0.0.1:0", core, 10, 1);
    let mut holder = Peer::welcomed(site.address).await;
    holder.granted(1, checkout(1)).await;
    let mut stranger = Peer::welcomed(site.address).await;
    let mut newcomer = Peer::welcomed(site.address).await;
    let later = ServerFrame::Push(Push::Draining(limits::CROWDED_RETRY_MS));
    assert_eq!(stranger.next().await, Some(later));
    assert_eq!(stranger.next().await, None);
    testing::until("the place is free", || site.server.connections() == 2).await;
    assert!(matches!(
        holder.ask(2, Request::Features).await,
        Reply::Features(_)
    ));
    newcomer.granted(1, checkout(2)).await;
}

#[tokio::test]
async fn whoever_says_nothing_is_forgotten() {
    let site = site(2, 10).await;
    let peer = Peer::connect(site.address, &testing::client_key())
        .await
        .unwrap();
    assert_eq!(site.server.connections(), 1);
    let closed = tokio::time::timeout(Duration::from_mins(1), peer.connection.closed());
    assert!(
        closed.await.is_ok(),
        "still open after the handshake's time-out"
    );
    testing::until("the place is free", || site.server.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_silent_handshakes_and_garbage_keep_nobody_out() {
    let site = site(2, 1000).await;
    let garbage = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 1..1200 {
        let byte = u8::try_from(length % 251).unwrap();
        garbage
            .send_to(&vec![byte ^ 0xc3; length], site.address)
            .unwrap();
    }
    // Past the threshold addresses prove themselves by a retry, which costs an honest client a round trip.
    let silent = limits::HALF_OPEN_UNPROVED_MAX + 20;
    let mut peers = Vec::new();
    for _ in 0..silent {
        peers.push(
            Peer::connect(site.address, &testing::client_key())
                .await
                .unwrap(),
        );
    }
    let mut honest = Peer::welcomed(site.address).await;
    honest.granted(1, checkout(1)).await;
}
