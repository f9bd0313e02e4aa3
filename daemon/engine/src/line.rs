//! The line of those who wait for one feature (L9): who stands before whom, which pools those in
//! front keep for themselves, and how far the line was looked at since seats last came free.
//!
//! Whose turn it is, is decided in `offer.rs`.

use std::collections::{BTreeMap, BTreeSet};

use usher_protocol::time::BootMs;

use crate::{
    pool::{FeatureKey, PoolIndex},
    queue::Rank,
};

/// Where a line stands in [`crate::queue::Queue`]; stable within one life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineIndex(pub(crate) usize);

/// Those who wait for one feature; who is offered seats stands here no more.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) key: FeatureKey,
    /// What its waiters are told, and when.
    pub(crate) telling: Telling,
    waiting: BTreeSet<Rank>,
    /// Those of them who belong to a reservation of the policy, by its place there.
    members: BTreeMap<usize, BTreeSet<Rank>>,
    /// The first of a reservation that has no room even there keeps it from those behind.
    blocked_members: BTreeMap<usize, Rank>,
    /// Seats offered to those of a reservation: they count as taken from it.
    offered_members: BTreeMap<usize, u64>,
    /// How many ask for how many seats.
    sizes: BTreeMap<u32, usize>,
    /// Pools that are kept for a waiter which has no room there yet, from its rank on.
    blocked: BTreeMap<PoolIndex, Rank>,
    /// Who stands from here on was not looked at since something changed.
    unseen_from: Option<Rank>,
    look: Look,
    /// Something changed while the line was looked at.
    again: bool,
    again_everybody: bool,
}

/// How far places were told.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    /// When those behind the first are told.
    pub(crate) rest_at: Option<BootMs>,
    /// Who of them is next, and how many stand before it.
    pub(crate) rest_from: Option<(Rank, usize)>,
    /// Places changed while they were told.
    pub(crate) again: bool,
    /// When they were told last.
    pub(crate) told_at: Option<BootMs>,
}

/// A look at the line, from the front, in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Nothing to look at.
    Rest,
    /// To be begun.
    Due,
    /// Begun; the next is of this rank or after it.
    Going { from: Rank, everybody: bool },
}

impl Line {
    /// Nobody waits yet.
    pub(crate) fn new(key: FeatureKey) -> Self {
        Self {
            key,
            telling: Telling::default(),
            waiting: BTreeSet::new(),
            members: BTreeMap::new(),
            blocked_members: BTreeMap::new(),
            offered_members: BTreeMap::new(),
            sizes: BTreeMap::new(),
            blocked: BTreeMap::new(),
            unseen_from: None,
            look: Look::Rest,
            again: false,
            again_everybody: false,
        }
    }

    /// Nobody stands here.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many stand here.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// From this rank on, in order.
    pub(crate) fn from(&self, rank: Rank) -> impl Iterator<Item = Rank> + '_ {
        self.waiting.range(rank..).copied()
    }

    /// The position of a rank, 1 for the first: counted from the nearer end.
    pub(crate) fn position(&self, rank: Rank) -> usize {
        let mut before = self.waiting.range(..rank);
        let mut from_here = self.waiting.range(rank..);
        let mut count = 0;
        loop {
            if before.next().is_none() {
                return count + 1;
            }
            if from_here.next().is_none() {
                return self.waiting.len() - count + 1;
            }
            count += 1;
        }
    }

    /// One more. Whether it moves others back.
    pub(crate) fn insert(&mut self, rank: Rank, seats: u32, reservation: Option<usize>) -> bool {
        let moves = self.waiting.last().is_some_and(|last| *last > rank);
        self.waiting.insert(rank);
        if let Some(reservation) = reservation {
            self.members.entry(reservation).or_default().insert(rank);
        }
        *self.sizes.entry(seats).or_default() += 1;
        moves
    }

    /// One less.
    pub(crate) fn remove(&mut self, rank: Rank, seats: u32, reservation: Option<usize>) {
        if !self.waiting.remove(&rank) {
            return;
        }
        if let Some(reservation) = reservation
            && let Some(members) = self.members.get_mut(&reservation)
        {
            members.remove(&rank);
            if members.is_empty() {
                self.members.remove(&reservation);
            }
        }
        if self.waiting.is_empty() {
            // Nobody keeps anything from newcomers any more.
            self.blocked.clear();
            self.blocked_members.clear();
            self.unseen_from = None;
        }
        if let Some(count) = self.sizes.get_mut(&seats) {
            *count -= 1;
            if *count == 0 {
                self.sizes.remove(&seats);
            }
        }
    }

    /// The fewest seats that anybody here asks for.
    pub(crate) fn fewest_seats(&self) -> u64 {
        self.sizes.keys().next().copied().map_or(0, u64::from)
    }

    /// Who waits before this rank keeps this pool, as far as is known.
    pub(crate) fn is_kept_from(&self, pool: PoolIndex, rank: Rank, backfill: bool) -> bool {
        if self.blocked.get(&pool).is_some_and(|first| *first < rank) {
            return true;
        }
        // With backfill only those keep something who were not asked since it came free.
        let unseen_from = match (self.unseen_from, self.look) {
            (_, Look::Rest) if backfill => None,
            (unseen_from, _) => unseen_from,
        };
        unseen_from.is_some_and(|from| stands_between(&self.waiting, from, rank))
    }

    /// A waiter that has no room in a pool keeps it from those behind.
    pub(crate) fn block(&mut self, pool: PoolIndex, rank: Rank) {
        let first = self.blocked.entry(pool).or_insert(rank);
        *first = rank.min(*first);
    }

    /// Whether a waiter before this rank keeps a reservation that both belong to, as far as is known.
    pub(crate) fn is_reservation_kept_from(&self, reservation: usize, rank: Rank) -> bool {
        let first = self.blocked_members.get(&reservation);
        if first.is_some_and(|first| *first < rank) {
            return true;
        }
        let unseen_from = match self.look {
            Look::Rest => return false,
            Look::Due => Rank::FIRST,
            Look::Going { from, .. } => from,
        };
        let members = self.members.get(&reservation);
        members.is_some_and(|members| stands_between(members, unseen_from, rank))
    }

    /// A waiter that has no room in its reservation keeps it from those behind.
    pub(crate) fn block_reservation(&mut self, reservation: usize, rank: Rank) {
        let first = self.blocked_members.entry(reservation).or_insert(rank);
        *first = rank.min(*first);
    }

    /// The reservations whose holders wait here.
    pub(crate) fn reservations(&self) -> Vec<usize> {
        self.members.keys().copied().collect()
    }

    /// The first holder of a reservation from this rank on.
    pub(crate) fn member_from(&self, reservation: usize, rank: Rank) -> Option<Rank> {
        let members = self.members.get(&reservation)?;
        members.range(rank..).next().copied()
    }

    /// Seats offered to the holders of a reservation.
    pub(crate) fn offered_to(&self, reservation: usize) -> u64 {
        let offered = self.offered_members.get(&reservation);
        offered.copied().unwrap_or_default()
    }

    /// So many more are offered to them.
    pub(crate) fn offer_to(&mut self, reservation: usize, seats: u32) {
        *self.offered_members.entry(reservation).or_default() += u64::from(seats);
    }

    /// So many less.
    pub(crate) fn withdraw_from(&mut self, reservation: usize, seats: u32) {
        if let Some(offered) = self.offered_members.get_mut(&reservation) {
            *offered = offered.saturating_sub(u64::from(seats));
            if *offered == 0 {
                self.offered_members.remove(&reservation);
            }
        }
    }

    /// Whether somebody keeps this pool from all behind.
    pub(crate) fn is_blocked(&self, pool: PoolIndex) -> bool {
        self.blocked.contains_key(&pool)
    }

    /// Something changed. Whether the line is to be put among those to look at.
    pub(crate) fn touch(&mut self, everybody: bool) -> bool {
        self.again = true;
        self.again_everybody |= everybody;
        if self.look != Look::Rest {
            return false;
        }
        self.look = Look::Due;
        self.unseen_from = Some(Rank::FIRST);
        true
    }

    /// Begins to look, or goes on: from which rank, and whether at everybody.
    pub(crate) fn begin_look(&mut self) -> (Rank, bool) {
        if let Look::Going { from, everybody } = self.look {
            return (from, everybody);
        }
        self.blocked.clear();
        self.blocked_members.clear();
        self.again = false;
        let everybody = std::mem::take(&mut self.again_everybody);
        self.look_on(Rank::FIRST, everybody);
        (Rank::FIRST, everybody)
    }

    /// Who stands before this rank was looked at.
    pub(crate) fn look_on(&mut self, from: Rank, everybody: bool) {
        self.look = Look::Going { from, everybody };
        self.unseen_from = Some(from);
    }

    /// Looked as far as there was anything to give: those from this rank on were not asked. Whether to
    /// look again.
    pub(crate) fn end_look(&mut self, unseen_from: Option<Rank>) -> bool {
        self.look = Look::Rest;
        self.unseen_from = unseen_from;
        std::mem::take(&mut self.again) && !self.is_empty() && self.touch(false)
    }
}

/// Whether somebody stands from one rank on and before the other.
fn stands_between(standing: &BTreeSet<Rank>, from: Rank, before: Rank) -> bool {
    let first = standing.range(from..).next();
    first.is_some_and(|first| *first < before)
}
