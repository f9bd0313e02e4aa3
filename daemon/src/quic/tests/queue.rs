//! Waiting over real connections: what is pushed, in which order, what each kind of end gives up (L9), and
//! from where a client calls.

use std::sync::Arc;

use usher_engine::{
    api::{ClientView, WaiterView},
    policy::{Line, Policy},
};

use super::*;

fn waiting(nonce: u8) -> Request {
    let mut checkout = testing::checkout(nonce);
    checkout.wait = true;
    Request::Checkout(checkout)
}

impl Peer {
    /// Asks for a seat and is put into the queue at this place.
    async fn waits(&mut self, nonce: u8, position: u32) {
        match self.ask(1, waiting(nonce)).await {
            Reply::Queued(place) => assert_eq!(place.position, position),
            other => panic!("{other:?}"),
        }
    }

    async fn pushed(&mut self) -> Push {
        match self.next().await {
            Some(ServerFrame::Push(push)) => push,
            other => panic!("{other:?}"),
        }
    }
}

impl Site {
    async fn queue(&self) -> Vec<WaiterView> {
        let asked = self
            .core
            .handle
            .ask_admin("root(0)".to_owned(), AdminAsk::Queue);
        match asked.await {
            Answer::Queue(waiters) => waiters,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the queue is as it should be: the end of a connection has no answer.
    async fn queue_becomes(&self, what: &str, is: impl Fn(&[WaiterView]) -> bool) {
        for _ in 0..4000 {
            if is(&self.queue().await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}: {:?}", self.queue().await);
    }
}

async fn release(peer: &mut Peer, grant: &Grant, nonce: u8) {
    let release = Request::Release(Release {
        lease: lease_of(grant).id,
        nonce: Nonce([nonce; 16]),
        link: link(nonce, nonce + 100),
    });
    assert_eq!(peer.ask(9, release).await, Reply::Released);
}

#[tokio::test]
async fn l9_places_and_offers_are_pushed_to_whom_they_concern_and_claimed() {
    let site = site(1, 10).await;
    let mut holder = Peer::welcomed(site.address).await;
    let grant = holder.granted(1, checkout(1)).await;
    let mut first = Peer::welcomed(site.address).await;
    first.waits(2, 1).await;
    let mut second = Peer::welcomed(site.address).await;
    second.waits(3, 2).await;
    release(&mut holder, &grant, 1).await;
    // The first may hear before that one more waits now.
    let offered = loop {
        match first.pushed().await {
            Push::Queued(nonce, _) => assert_eq!(nonce, Nonce([2; 16])),
            other => break other,
        }
    };
    assert!(matches!(offered, Push::Offered(nonce, _) if nonce == Nonce([2; 16])));
    first.granted(2, waiting(2)).await;
    match second.pushed().await {
        Push::Queued(nonce, place) => {
            assert_eq!(nonce, Nonce([3; 16]));
            assert_eq!((place.position, place.waiting), (1, 1));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn l9_a_client_that_ends_in_order_gives_its_place_up_at_once() {
    let site = site(1, 10).await;
    let mut holder = Peer::welcomed(site.address).await;
    holder.granted(1, checkout(1)).await;
    let mut closes = Peer::welcomed(site.address).await;
    closes.waits(2, 1).await;
    closes.connection.close(0_u32.into(), b"");
    site.queue_becomes("nobody waits after a close", <[_]>::is_empty)
        .await;
    let mut finishes = Peer::welcomed(site.address).await;
    finishes.waits(3, 1).await;
    finishes.send.finish().unwrap();
    site.queue_becomes("nobody waits after a finished stream", <[_]>::is_empty)
        .await;
}

#[tokio::test]
async fn l9_a_client_that_is_cut_off_keeps_its_place_and_takes_it_up_again() {
    let site = site(1, 10).await;
    let mut holder = Peer::welcomed(site.address).await;
    let grant = holder.granted(1, checkout(1)).await;
    let mut cut = Peer::welcomed(site.address).await;
    cut.waits(2, 1).await;
    cut.send.reset(0_u32.into()).unwrap();
    site.queue_becomes(
        "it counts as cut off",
        |queue| matches!(queue, [waiter] if waiter.cut_off_ms.is_some()),
    )
    .await;
    // Nor does one leave that closes a connection to come back over another.
    let mut returns = Peer::welcomed(site.address).await;
    returns.waits(2, 1).await;
    let code = usher_protocol::wire::CLOSE_RETURNING;
    returns.connection.close(code.into(), b"");
    site.queue_becomes(
        "it counts as cut off again",
        |queue| matches!(queue, [waiter] if waiter.cut_off_ms.is_some()),
    )
    .await;
    let mut again = Peer::welcomed(site.address).await;
    again.waits(2, 1).await;
    assert!(site.queue().await[0].cut_off_ms.is_none());
    release(&mut holder, &grant, 1).await;
    assert!(matches!(again.pushed().await, Push::Offered(..)));
}

/// The networks of a policy are written as people write them, whichever socket a client came through.
#[tokio::test]
async fn a_client_over_ipv4_calls_from_an_ipv4_address() {
    let core = testing::start(MemoryJournal::open(&MemoryStore::default()));
    let license = testing::license(1, DurationMs::minutes(10));
    testing::install(&core.handle, &license).await;
    let site = serving_on("[::]:0", core, 10);
    let enrolled = Policy {
        enroll: Some(Line(1)),
        ..Policy::default()
    };
    let ask = |ask| site.core.handle.ask_admin("root(0)".to_owned(), ask);
    ask(AdminAsk::SetPolicy(Arc::new(enrolled))).await;
    let address = ([127, 0, 0, 1], site.address.port()).into();
    let mut peer = Peer::welcomed(address).await;
    assert!(matches!(peer.ask(1, checkout(1)).await, Reply::Refused(_)));
    match ask(AdminAsk::Clients).await {
        Answer::Clients(clients) => assert!(
            matches!(&clients[..], [ClientView::Knocked { address, .. }] if address.is_ipv4()),
            "{clients:?}"
        ),
        other => panic!("{other:?}"),
    }
}
