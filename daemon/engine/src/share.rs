//! What shares a seat: leases of one group cost the largest of their seats once, and a seat comes
//! free when its last lease ends.
//!
//! A share is a function of the live lease records and nothing else, so it is the same after every
//! restart. Who may join one is decided in `room.rs`; what a grouping means was signed by the vendor.

use std::collections::BTreeSet;

use usher_protocol::{
    documents::license::Grouping,
    ids::{LeaseId, PublicKey},
    wire::Holder,
};

use crate::{policy::fold, record::Borrowed};

/// Names a share within its pool. What a license said at the grant is part of the name: leases do not
/// move when a license changes its grouping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShareKey {
    /// A host is its client key: its name is the client's own word.
    Host(PublicKey),
    /// A user on a host.
    UserHost(PublicKey, String),
    /// A user, by the client's own word, wherever; only where the vendor signed for that.
    User(String),
    /// A display of a host; none is one of its own.
    Display(PublicKey, Option<String>),
}

impl ShareKey {
    /// The share of such a holder; none where each lease has its own seats, and for an unknown key
    /// where keys count. Two spellings of one name are one user, as in the policy.
    pub(crate) fn of(
        grouping: Grouping,
        client: Option<PublicKey>,
        holder: &Holder,
    ) -> Option<Self> {
        let user = || fold(&holder.user).into_owned();
        match grouping {
            Grouping::Process => None,
            Grouping::Host => Some(Self::Host(client?)),
            Grouping::UserHost => Some(Self::UserHost(client?, user())),
            Grouping::User => Some(Self::User(user())),
            Grouping::Display => Some(Self::Display(client?, holder.display.clone())),
        }
    }
}

/// One lease as its share counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) lease: LeaseId,
    /// The lease that opened the share.
    pub(crate) since: LeaseId,
    pub(crate) seats: u32,
    pub(crate) borrowed: Option<Borrowed>,
    pub(crate) evicted: bool,
}

impl Part {
    fn is_written_off(&self) -> bool {
        self.borrowed.is_some_and(|it| it.written_off)
    }
}

/// Leases that share seats.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Those that count against the pool, the oldest first.
    by_age: BTreeSet<(LeaseId, LeaseId)>,
    by_seats: BTreeSet<(u32, LeaseId)>,
    borrowed: BTreeSet<(u32, LeaseId)>,
    /// Those that count against the signed allowance instead (L10).
    written_off: BTreeSet<(u32, LeaseId)>,
    evicted: BTreeSet<LeaseId>,
}

impl Share {
    /// A lease joins.
    pub(crate) fn enter(&mut self, part: Part) {
        let sized = (part.seats, part.lease);
        if part.evicted {
            self.evicted.insert(part.lease);
        }
        if part.is_written_off() {
            self.written_off.insert(sized);
            return;
        }
        self.by_age.insert((part.since, part.lease));
        self.by_seats.insert(sized);
        if part.borrowed.is_some() {
            self.borrowed.insert(sized);
        }
    }

    /// A lease is over, or counts otherwise from now on.
    pub(crate) fn leave(&mut self, part: Part) {
        let sized = (part.seats, part.lease);
        self.by_age.remove(&(part.since, part.lease));
        self.by_seats.remove(&sized);
        self.borrowed.remove(&sized);
        self.written_off.remove(&sized);
        self.evicted.remove(&part.lease);
    }

    /// What it costs.
    pub(crate) fn sum(&self) -> Sum {
        let standing = |(since, oldest): &(LeaseId, LeaseId)| Standing {
            since: *since,
            oldest: *oldest,
            seats: largest(&self.by_seats),
        };
        Sum {
            standing: self.by_age.first().map(standing),
            borrowed: largest(&self.borrowed),
            written_off: largest(&self.written_off),
        }
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.by_age.is_empty() && self.written_off.is_empty()
    }

    /// Whether an administrator takes it back (L7).
    pub(crate) fn is_evicted(&self) -> bool {
        !self.evicted.is_empty()
    }

    /// Its leases, those that count against the pool first.
    pub(crate) fn leases(&self) -> impl Iterator<Item = LeaseId> + '_ {
        let written_off = self.written_off.iter().map(|(_, lease)| *lease);
        let counting = self.by_age.iter().map(|(_, lease)| *lease);
        counting.chain(written_off)
    }

    /// How many leases count against the pool.
    pub(crate) fn count(&self) -> usize {
        self.by_age.len()
    }
}

/// What a share costs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    /// None has nothing out.
    pub(crate) standing: Option<Standing>,
    /// Of its seats, those borrowed (L10).
    pub(crate) borrowed: u32,
    /// Seats that count against the signed allowance (L10).
    pub(crate) written_off: u32,
}

impl Sum {
    /// A lease that shares with nobody.
    pub(crate) fn of(part: Part) -> Self {
        if part.is_written_off() {
            return Self {
                written_off: part.seats,
                ..Self::default()
            };
        }
        Self {
            standing: Some(Standing {
                since: part.since,
                oldest: part.lease,
                seats: part.seats,
            }),
            borrowed: part.borrowed.map_or(0, |_| part.seats),
            written_off: 0,
        }
    }

    /// What refusing its renewals brings back: a borrowed lease never asks for any (L7, L10).
    pub(crate) fn recallable(&self) -> Option<Standing> {
        let seats = self.seats().saturating_sub(self.borrowed);
        let standing = self.standing.filter(|_| seats > 0);
        standing.map(|it| Standing { seats, ..it })
    }

    /// Seats out.
    pub(crate) fn seats(&self) -> u32 {
        self.standing.map_or(0, |it| it.seats)
    }
}

/// A share with seats out. Its holder, for the rules of a policy, is that of its oldest live lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The lease that opened it, live or not: its age (L7). Were its age that of its oldest live lease,
    /// it would grow younger as that one ends, and another share would be renewed in its place while
    /// this one is still believed in.
    pub(crate) since: LeaseId,
    pub(crate) oldest: LeaseId,
    pub(crate) seats: u32,
}

/// A share opened, changed its seats or its holder, or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareChange {
    pub(crate) before: Option<Standing>,
    pub(crate) after: Option<Standing>,
}

fn largest(sized: &BTreeSet<(u32, LeaseId)>) -> u32 {
    sized.last().map_or(0, |(seats, _)| *seats)
}

#[cfg(test)]
mod tests {
    use usher_protocol::ids::{Commit, Epoch};

    use super::{
        Grouping::{Display, Host, Process, User, UserHost},
        *,
    };

    const FIRST: LeaseId = LeaseId {
        epoch: Epoch(1),
        commit: Commit(1),
    };

    fn part(number: u64, seats: u32) -> Part {
        Part {
            lease: LeaseId {
                epoch: Epoch(1),
                commit: Commit(number),
            },
            since: FIRST,
            seats,
            borrowed: None,
            evicted: false,
        }
    }

    #[test]
    fn a_share_costs_its_largest_lease_and_is_as_old_as_the_one_that_opened_it() {
        let mut share = Share::default();
        for it in [part(2, 3), part(1, 1), part(3, 2)] {
            share.enter(it);
        }
        let standing = |share: &Share| {
            let standing = share.sum().standing;
            assert!(standing.is_none_or(|it| it.since == FIRST));
            standing.map(|it| (it.oldest.commit.0, it.seats))
        };
        assert_eq!(standing(&share), Some((1, 3)));
        share.leave(part(2, 3));
        assert_eq!(standing(&share), Some((1, 2)));
        share.leave(part(1, 1));
        assert_eq!(standing(&share), Some((3, 2)));
        share.leave(part(3, 2));
        assert_eq!(standing(&share), None);
        assert!(share.is_over());
    }

    #[test]
    fn l10_a_lease_written_off_counts_apart_and_its_share_goes_on() {
        let until = usher_protocol::time::WallMs(1);
        let borrowed = |written_off| {
            Some(Borrowed {
                until,
                returned: false,
                written_off,
            })
        };
        let mut share = Share::default();
        share.enter(part(1, 1));
        let lost = |written_off| Part {
            borrowed: borrowed(written_off),
            ..part(2, 4)
        };
        share.enter(lost(false));
        assert_eq!((share.sum().seats(), share.sum().borrowed), (4, 4));
        share.leave(lost(false));
        share.enter(lost(true));
        let sum = share.sum();
        assert_eq!((sum.seats(), sum.borrowed, sum.written_off), (1, 0, 4));
        share.leave(part(1, 1));
        assert_eq!(share.sum().standing, None);
        assert!(!share.is_over(), "it still counts against the allowance");
    }

    #[test]
    fn the_share_of_a_holder_is_what_its_grouping_says() {
        let key = |byte: u8| PublicKey::from(&crate::tests::key(byte));
        let holder = |user: &str, host: &str, display: Option<&str>| Holder {
            user: user.to_owned(),
            host: host.to_owned(),
            display: display.map(str::to_owned),
            process: 1,
        };
        let same = |grouping, a: (u8, &Holder), b: (u8, &Holder)| {
            let of = |(client, holder)| ShareKey::of(grouping, Some(key(client)), holder);
            of(a).is_some() && of(a) == of(b)
        };
        let ada = holder("ada", "ws1", Some(":0"));
        let ada_again = holder("Ada", "ws9", None);
        let bob = holder("bob", "ws1", Some(":0"));
        for (grouping, same_key, other_user, other_key) in [
            (Process, false, false, false),
            (Host, true, true, false),
            (UserHost, true, false, false),
            (User, true, false, true),
            (Display, false, true, false),
        ] {
            assert_eq!(same(grouping, (1, &ada), (1, &ada_again)), same_key);
            assert_eq!(same(grouping, (1, &ada), (1, &bob)), other_user);
            assert_eq!(same(grouping, (1, &ada), (2, &ada_again)), other_key);
        }
        assert_eq!(ShareKey::of(Host, None, &ada), None);
        assert!(ShareKey::of(User, None, &ada).is_some());
    }
}
