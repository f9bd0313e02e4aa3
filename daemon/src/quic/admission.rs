//! Decides who is let in: how many handshakes and connections there may be, in all and from one address, and
//! how many of one address's requests may wait for the core together.
//!
//! Where there are as many handshakes as there may be, a further one takes the place of the oldest: an honest one
//! takes a few round trips, and whoever dawdles on purpose keeps nobody out.
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
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    open: usize,
    /// Handshakes under way, in the order in which they began.
    half_open: BTreeMap<u64, HalfOpen>,
    last: u64,
    by_address: HashMap<IpAddr, PerAddress>,
}

#[derive(Debug)]
struct HalfOpen {
    address: IpAddr,
    /// Dropped to tell it that its place is another's.
    _place: oneshot::Sender<()>,
}

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
}

impl Admission {
    pub(super) fn new(per_address_max: usize) -> Self {
        Self {
            per_address_max,
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
        let overtaken = self.overtaken.take();
        async move {
            match overtaken {
                Some(place) => drop(place.await),
                None => std::future::pending().await,
            }
        }
    }

    /// The turns that all connections of this address share: one for each request that waits for the core.
    pub(super) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// The handshake is done, to the end of `Welcome`.
    pub(super) fn welcomed(&mut self) {
        let mut counts = self.admission.counts();
        if counts.half_open.remove(&self.number).is_some() {
            counts.leave_half_open(self.address);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.welcomed();
        let mut counts = self.admission.counts();
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
        let admission = Admission::new(2);
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
        let admission = Admission::new(1);
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
        let admission = Admission::new(10);
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
                permit.welcomed();
            }
        }
        assert!(admission.counts().half_open.is_empty());
        assert!(matches!(admission.judge(HOST, false), Verdict::Admit(_)));
    }

    #[test]
    fn nothing_is_left_behind() {
        let admission = Admission::new(10);
        drop(
            (0..100)
                .map(|n| admission.judge(other(n), true))
                .collect::<Vec<_>>(),
        );
        let counts = admission.counts();
        assert!(counts.open == 0 && counts.half_open.is_empty() && counts.by_address.is_empty());
    }
}
