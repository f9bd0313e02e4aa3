//! Licenses that leave fewer seats than are out (L7), and what people do about it: whoever has a seat at
//! home and works on line beside it is asked to bring it back (L10).

use usher_protocol::time::DurationMs;

use super::{Chance, Event, World};
use crate::{invariants::believers, site::Terms};

impl World {
    /// Seats and overdraft of the next issue of a license: as it comes, or fewer than are out.
    pub(super) fn draw_seats(&mut self, now: &Terms) -> (u32, u32) {
        let overdraft = if self.dice.permille(200) {
            self.small(3)
        } else {
            now.overdraft
        };
        if !self.dice.permille(self.knobs.faults.fewer_permille) {
            return (1 + self.small(6), overdraft);
        }
        let (out, at_home) = believers::out(self, &now.id());
        let is_below_home = at_home > 1 && self.dice.permille(850);
        let limit = if is_below_home { at_home } else { out }.saturating_sub(1);
        if limit == 0 {
            return (1 + self.small(6), overdraft);
        }
        self.figures.shrunk += 1;
        self.figures.shrunk_below_home += u64::from(limit < at_home);
        let overdraft = overdraft.min(limit - 1);
        for _ in 0..at_home.min(RECALLS_MAX) {
            let wait = self.dice.below(now.lease_ms.0 / 2);
            self.after(DurationMs(wait), Event::Chance(Chance::Recall));
        }
        (limit - overdraft, overdraft)
    }

    /// One of those who have a seat on line in the same share brings what is at home back.
    pub(super) fn recall(&mut self) {
        let is_asked = |number: &usize| {
            let station = &self.stations[*number];
            let at_home = station.at_home.last();
            let is_there = !station.jumps && !station.is_still && station.link.up().is_some();
            is_there && at_home.is_some_and(|it| believers::goes_on(self, station, it))
        };
        let asked: Vec<_> = (0..self.stations.len()).filter(is_asked).collect();
        if !asked.is_empty() {
            let station = asked[self.draw(asked.len())];
            self.bring_back(station);
        }
    }

    fn small(&mut self, end: u64) -> u32 {
        u32::try_from(self.dice.below(end)).unwrap_or(0)
    }
}

/// Of those who are asked after one issue.
const RECALLS_MAX: u32 = 3;
