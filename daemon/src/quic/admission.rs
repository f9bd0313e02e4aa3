//! Decides who is let in: how many handshakes and connections there may be, in all and from one address, and
//! how many of one address's requests may wait for the core together.
//!
//! Where there are as many handshakes as there may be, a further one takes the place of the oldest: an honest one
//! takes a few round trips, and whoever dawdles on purpose keeps nobody out. So it is with connections that hold no
//! seat and wait for none: memory is bounded, and not at the cost of those who come back for their seats.
//!
//! Addresses are counted one by one. A whole network is often one IPv6 prefix, so counting prefixes would
//! lock out neighbors; the totals hold against one host with many addresses.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, oneshot};

use crate::limits;

/// The counters of all endpoints.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    per_address_max: usize,
    strangers_max: usize,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    /// Handshakes under way, in the order in which they began.
    half_open: BTreeMap<u64, HalfOpen>,
    /// Connections without ties, in the order in which they became so.
    strangers: BTreeMap<u64, Place>,
    last: u64,
    by_address: HashMap<IpAddr, PerAddress>,
}

#[derive(Debug)]
struct HalfOpen {
    address: IpAddr,
    _place: Place,
}

/// Dropped to tell a handshake or a connection that its place is another's.
type Place = oneshot::Sender<()>;

#[derive(Debug)]
struct PerAddress {
    open: usize,
    half_open: usize,
    turns: Arc<Semaphore>,
}

impl Default for PerAddress {
    fn default() -> Self {
        Self {
            open: 0,
            half_open: 0,
            turns: Arc::new(Semaphore::new(limits::REQUESTS_PER_ADDRESS_MAX)),
        }
    }
}

impl Counts {
    fn begin(&mut self, address: IpAddr) -> (u64, oneshot::Receiver<()>, Arc<Semaphore>) {
        if self.half_open.len() >= limits::HALF_OPEN_MAX
            && let Some((_, oldest)) = self.half_open.pop_first()
        {
            self.leave_half_open(oldest.address);
        }
        let (place, overtaken) = oneshot::channel();
        self.last += 1;
        let half_open = HalfOpen {
            address,
            _place: place,
        };
        self.half_open.insert(self.last, half_open);
        self.open += 1;
        let own = self.by_address.entry(address).or_default();
        own.half_open += 1;
        own.open += 1;
        (self.last, overtaken, Arc::clone(&own.turns))
    }

    fn leave_half_open(&mut self, address: IpAddr) {
        if let Some(own) = self.by_address.get_mut(&address) {
            own.half_open -= 1;
        }
    }

    fn end_half_open(&mut self, number: u64) {
        if let Some(HalfOpen { address, .. }) = self.half_open.remove(&number) {
            self.leave_half_open(address);
        }
    }

    /// The last of the strangers; the first has to go where they are too many. Gives its number.
    fn line_up(&mut self, place: Place, strangers_max: usize) -> u64 {
        if self.strangers.len() >= strangers_max {
            self.strangers.pop_first();
        }
        self.last += 1;
        self.strangers.insert(self.last, place);
        self.last
    }
}

/// What to do with a handshake that arrives.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Go on; the permit counts it until it is dropped.
    Admit(Permit),
    /// Let the address prove itself first (`retry`), so that a forged one costs nothing.
    Prove,
    /// Too many.
    Refuse,
}

/// One counted handshake or connection.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Admission,
    address: IpAddr,
    number: u64,
    overtaken: Option<oneshot::Receiver<()>>,
    turns: Arc<Semaphore>,
    /// Of a connection that has ties.
    place: Option<Place>,
}

impl Admission {
    pub(super) fn new(per_address_max: usize, strangers_max: usize) -> Self {
        Self {
            per_address_max,
            strangers_max,
            counts: Arc::default(),
        }
    }

    /// Judges a handshake from `address`; `proved` if the address has shown that it is there.
    pub(super) fn judge(&self, address: IpAddr, proved: bool) -> Verdict {
        let address = address.to_canonical();
        let mut counts = self.counts();
        if counts.open >= limits::CONNECTIONS_MAX {
            return Verdict::Refuse;
        }
        let own = counts.by_address.get(&address);
        let too_many = own.is_some_and(|own| {
            own.open >= self.per_address_max || own.half_open >= limits::HALF_OPEN_PER_ADDRESS_MAX
        });
        match (too_many, proved) {
            // Someone may forge a neighbor's address to fill its share.
            (true, false) => return Verdict::Prove,
            (true, true) => return Verdict::Refuse,
            (false, false) if counts.half_open.len() >= limits::HALF_OPEN_UNPROVED_MAX => {
                return Verdict::Prove;
            }
            (false, _) => {}
        }
        let (number, overtaken, turns) = counts.begin(address);
        Verdict::Admit(Permit {
            admission: self.clone(),
            address,
            number,
            overtaken: Some(overtaken),
            turns,
            place: None,
        })
    }

    /// Connections and handshakes right now.
    pub(super) fn open(&self) -> usize {
        self.counts().open
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Resolves when the place of this handshake was given to another.
    pub(super) fn overtaken(&mut self) -> impl Future<Output = ()> + use<> {
        given_away(self.overtaken.take())
    }

    /// The turns that all connections of this address share: one for each request that waits for the core.
    pub(super) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// The handshake is done, to the end of `Welcome`: a stranger so far. Resolves when it has to make room.
    pub(super) fn welcomed(&mut self) -> impl Future<Output = ()> + use<> {
        let (place, crowded_out) = oneshot::channel();
        let mut counts = self.admission.counts();
        counts.end_half_open(self.number);
        self.number = counts.line_up(place, self.admission.strangers_max);
        given_away(Some(crowded_out))
    }

    /// Takes note of whether the client has ties to us; one that has makes room for nobody.
    pub(super) fn tied(&mut self, is_tied: bool) {
        if is_tied == self.place.is_some() {
            return;
        }
        let mut counts = self.admission.counts();
        match self.place.take() {
            Some(place) => self.number = counts.line_up(place, self.admission.strangers_max),
            None => self.place = counts.strangers.remove(&self.number),
        }
    }
}

async fn given_away(place: Option<oneshot::Receiver<()>>) {
    match place {
        Some(place) => drop(place.await),
        None => std::future::pending().await,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.end_half_open(self.number);
        counts.strangers.remove(&self.number);
        counts.open -= 1;
        if let Some(own) = counts.by_address.get_mut(&self.address) {
            own.open -= 1;
            if own.open == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn other(number: usize) -> IpAddr {
        let number = u32::try_from(number).unwrap();
        IpAddr::V4(std::net::Ipv4Addr::from(0x0b00_0000 + number))
    }

    #[test]
    fn one_address_cannot_take_more_than_its_share() {
        let admission = Admission::new(2, 10);
        let first = admission.judge(HOST, true);
        let second = admission.judge(HOST, true);
        assert!(matches!(
            (&first, &second),
            (Verdict::Admit(_), Verdict::Admit(_))
        ));
        assert!(matches!(admission.judge(HOST, false), Verdict::Prove));
        assert!(matches!(admission.judge(HOST, true), Verdict::Refuse));
        assert!(matches!(admission.judge(other(1), true), Verdict::Admit(_)));
        drop(first);
        assert!(matches!(admission.judge(HOST, true), Verdict::Admit(_)));
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_is_written() {
        let admission = Admission::new(1, 10);
        let IpAddr::V4(plain) = HOST else {
            unreachable!()
        };
        let _first = admission.judge(plain.to_ipv6_mapped().into(), true);
        assert!(matches!(admission.judge(HOST, true), Verdict::Refuse));
    }

    #[test]
    fn many_handshakes_under_way_must_prove_their_address_and_a_further_one_overtakes_the_oldest() {
        let is_overtaken = |it: &mut Verdict| match it {
            Verdict::Admit(permit) => permit.overtaken.as_mut().unwrap().try_recv(),
            other => panic!("{other:?}"),
        } == Err(oneshot::error::TryRecvError::Closed);
        let admission = Admission::new(10, 10);
        let mut permits: Vec<_> = (0..limits::HALF_OPEN_UNPROVED_MAX)
            .map(|number| admission.judge(other(number), false))
            .collect();
        assert!(permits.iter().all(|it| matches!(it, Verdict::Admit(_))));
        assert!(matches!(admission.judge(HOST, false), Verdict::Prove));
        permits.extend(
            (permits.len()..limits::HALF_OPEN_MAX).map(|n| admission.judge(other(n), true)),
        );
        assert!(!is_overtaken(&mut permits[0]));
        permits.push(admission.judge(HOST, true));
        assert!(is_overtaken(&mut permits[0]) && !is_overtaken(&mut permits[1]));
        assert_eq!(admission.counts().half_open.len(), limits::HALF_OPEN_MAX);
        for permit in &mut permits {
            if let Verdict::Admit(permit) = permit {
                drop(permit.welcomed());
            }
        }
        assert!(admission.counts().half_open.is_empty());
        assert!(matches!(admission.judge(HOST, false), Verdict::Admit(_)));
    }

    fn is_told(crowded_out: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        crowded_out.poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn strangers_past_their_bound_make_room_and_nobody_with_ties_does() {
        let admission = Admission::new(10, 2);
        let enter = |number| match admission.judge(other(number), true) {
            Verdict::Admit(mut permit) => {
                let crowded_out = Box::pin(permit.welcomed());
                (permit, crowded_out)
            }
            refused => panic!("{refused:?}"),
        };
        let (mut tied, mut stays) = enter(0);
        tied.tied(true);
        let (_first, goes) = enter(1);
        let (_second, mut stays_too) = enter(2);
        let (_third, _) = enter(3);
        goes.await;
        assert!(!is_told(stays.as_mut()) && !is_told(stays_too.as_mut()));
        // Without its ties it is the last stranger, and the second has to go.
        tied.tied(false);
        assert!(!is_told(stays.as_mut()) && is_told(stays_too.as_mut()));
        assert_eq!(admission.counts().strangers.len(), 2);
    }

    #[test]
    fn nothing_is_left_behind() {
        let admission = Admission::new(10, 10);
        drop(
            (0..100)
                .map(|n| admission.judge(other(n), true))
                .collect::<Vec<_>>(),
        );
        let counts = admission.counts();
        assert!(
            counts.open == 0
                && counts.half_open.is_empty()
                && counts.strangers.is_empty()
                && counts.by_address.is_empty()
        );
    }
}
